"""Runs a module under a clock that is off by as many seconds as a file says at the moment.

`python -m scripts.local.shifted_clock FILE MODULE [ARGUMENT...]`: all of that process that asks Python for the time of
day is told the shifted one. Its monotonic clocks, and everyone else's clocks, go on as they are.
"""

import datetime as dt
import runpy
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

_Datetime = dt.datetime


class ShiftedClock:
    """The time of day and what the file adds to it; a file that is just being written changes nothing yet."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._true = time.time
        self._shift = 0.0

    def time(self) -> float:
        """Seconds since 1970, as time.time tells them."""
        with suppress(OSError, ValueError):
            self._shift = float(self._file.read_text())
        return self._true() + self._shift


class _AnyDatetime(type):
    """A datetime made elsewhere is one as well."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _Datetime)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _Datetime)


class _ShiftedDatetime(_Datetime, metaclass=_AnyDatetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Self:
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> Self:
        return cls.now(dt.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Self:
        return cls.now()


def shift_clocks(clock: Callable[[], float]) -> None:
    """From now on Python's clocks of the time of day tell this one's time, to whoever imports them from here on."""
    time.time = clock
    time.time_ns = lambda: int(clock() * 1_000_000_000)
    dt.datetime = _ShiftedDatetime


def main() -> None:
    """What the module does, under the file's clock."""
    file, module, *arguments = sys.argv[1:]
    shift_clocks(ShiftedClock(Path(file)).time)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
