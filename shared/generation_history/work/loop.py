"""A program that runs again and again until it is told to stop: the poller and the purge without a platform."""

import argparse
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final, NoReturn, Protocol

from generation_history import logs
from generation_history.errors import HistoryError

logger = logging.getLogger(__name__)

#: What one run may take: long archives and batches are done in one run.
RUN_SECONDS: Final = 900.0
#: After runs that failed, the pause doubles up to this.
MAX_PAUSE_SECONDS: Final = 60.0
#: How soon a pause notices that it is over.
_TICK_SECONDS: Final = 0.2
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Work(Protocol):
    """The poller, or the purge."""

    def run(self, *, seconds: float) -> object:
        """Do what is due, within so many seconds."""
        ...

    def stop(self) -> None:
        """Have the run end soon; called within a signal's handler, so it takes no lock."""
        ...


class Loop:
    """Runs the work, and pauses, until stop() is called."""

    def __init__(self, name: str, work: Work, *, pause_seconds: float) -> None:
        self._name = name
        self._work = work
        self._pause_seconds = pause_seconds
        self._stopping = False

    def stop(self) -> None:
        """Guarantees that no other run begins, and that the present one ends with the steps that are running."""
        self._stopping = True
        self._work.stop()

    def run(self) -> None:
        """Returns when it was stopped. A run that fails is logged and tried again, whatever was in the way."""
        failures = 0
        while not self._stopping:
            failures = 0 if self.run_once() else failures + 1
            self._pause(failures)

    def run_once(self) -> bool:
        """Whether the run did what it could; if not, the log says why."""
        try:
            self._work.run(seconds=RUN_SECONDS)
        except HistoryError as error:
            logger.error("the %s cannot work now: %s", self._name, error)  # noqa: TRY400 - its text says all of it
            return False
        except Exception:
            logger.exception("the %s cannot work now", self._name)
            return False
        return True

    def _pause(self, failures: int) -> None:
        seconds = self._pause_seconds
        if failures:
            seconds = max(seconds, min(MAX_PAUSE_SECONDS, 2.0 ** min(failures, 10)))
        end = time.monotonic() + seconds
        while not self._stopping and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _TICK_SECONDS))


def main(
    name: str, make: Callable[[], Work], pause_seconds: Callable[[], int], *, about: str, stop_seconds: float
) -> int:
    """The exit code: 0 when it was stopped, or with --once when all was done; 1 with the reason in the log.

    What still runs so many seconds after the signal is given up, and the exit code is 1.
    """
    parser = argparse.ArgumentParser(prog=f"python -m generation_history.{name}", description=about)
    parser.add_argument("--once", action="store_true", help="one run, and then end: 1 if it could not work")
    once = parser.parse_args().once
    logs.configure()
    try:
        loop = Loop(name, make(), pause_seconds=pause_seconds())
    except HistoryError as error:
        logger.error("the %s cannot begin: %s", name, error)  # noqa: TRY400
        return 1
    _stop_on_signals(loop, _Deadline(name, stop_seconds))
    logger.info("the %s begins", name)
    if once:
        return 0 if loop.run_once() else 1
    loop.run()
    logger.info("the %s has ended", name)
    return 0


class _Deadline:
    """Ends the process so many seconds after begin(): as a crash does, for which leases and the intents are made."""

    def __init__(self, name: str, seconds: float) -> None:
        self._name = name
        self._seconds = seconds
        self._has_begun = threading.Event()
        # Started now: a signal's handler may start no thread. A daemon ends with everything else.
        threading.Thread(target=self._run, name="deadline", daemon=True).start()

    def begin(self) -> None:
        """Guarantees that the process ends in time, whatever its threads wait for."""
        self._has_begun.set()

    def _run(self) -> NoReturn:
        self._has_begun.wait()
        time.sleep(self._seconds)
        logger.error("the %s ends with steps under way, after %g s: their leases run out", self._name, self._seconds)
        logging.shutdown()
        os._exit(1)


def _stop_on_signals(loop: Loop, deadline: _Deadline) -> None:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        # A second signal ends the process at once: leases and the bucket's intents are made for that.
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        loop.stop()
        deadline.begin()

    for number in _SIGNALS:
        signal.signal(number, stop)
