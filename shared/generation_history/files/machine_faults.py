"""What is the fault of the machine that we run on, and says nothing of a video: a disk, memory, processes, files."""

import errno
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Final

from generation_history.errors import MachineFault

#: What no server and no file brings about, wherever in a call's errors it is found.
_SHORTAGES: Final = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS),
        *(errno.EAGAIN, errno.EADDRNOTAVAIL),
    }
)


@contextmanager
def machine_faults(action: str) -> Generator[None]:
    """A failure of the operating system, or of memory, becomes a MachineFault: what could not be done, and why.

    Only for work on files and processes: an error of the network is an OSError as well.
    """
    try:
        yield
    except (OSError, MemoryError) as error:
        raise MachineFault(f"this machine cannot {action}: {_reason(error)}") from error


def shortage(error: BaseException) -> str | None:
    """What this machine is short of, where that is at the bottom of an error of the network; None where it is not."""
    return next((_reason(cause) for cause in _causes(error) if _is_shortage(cause)), None)


def _is_shortage(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _SHORTAGES)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and those that led to it; urllib3 hands them on as reason, requests as an argument."""
    causes: list[BaseException] = []
    candidates: list[object] = [error]
    while candidates:
        cause = candidates.pop(0)
        if isinstance(cause, BaseException) and not any(cause is other for other in causes):
            causes.append(cause)
            yield cause
            candidates += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]


def _reason(error: BaseException) -> str:
    # Without the path that Python's own text names.
    code = error.errno if isinstance(error, OSError) else errno.ENOMEM if isinstance(error, MemoryError) else None
    return os.strerror(code) if code else type(error).__name__
