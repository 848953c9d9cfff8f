"""TempSpace: what lies in the temporary folder at once is bounded by the room that it has, in bytes."""

import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from generation_history.errors import MachineFault

#: Where temporary files are in memory, as on the smallest functions, this much of it is theirs.
MAX_TEMP_BYTES: Final = 512 * 1024**2
#: Kept free of videos: a thumbnail, and whatever else is written there, need room as well.
SPARE_BYTES: Final = 1024**2
#: How often the room is checked again, as another process may have freed some.
RECHECK_SECONDS: Final = 1.0


class TempSpace:
    """Hands out the room of the temporary folder to this process's files; thread-safe."""

    def __init__(self) -> None:
        self._reserved: dict[Path, int] = {}
        #: Those that are written to their end: they take just their size, as long as they are there.
        self._settled: set[Path] = set()
        self._changed = threading.Condition()

    def reserve(self, path: Path, size: int | None, *, max_size: int, deadline: float) -> None:
        """Guarantees room for a file of this size at path, until it is settled and removed, or release(path).

        A file of unknown size gets as much as it may become, or all there is. Where other files of ours are in the way
        they are waited for, until the deadline of time.monotonic(). MachineFault where the room is not to be had.
        """
        with self._changed:
            while not self._take(path, size, max_size):
                seconds_left = deadline - time.monotonic()
                if not self._reserved or seconds_left <= 0:
                    raise MachineFault(
                        _no_room(size, "other videos are in its way" if self._reserved else "it is full")
                    )
                self._changed.wait(min(RECHECK_SECONDS, seconds_left))

    def _take(self, path: Path, size: int | None, max_size: int) -> bool:
        self._forget_removed()
        total = self._total(path.parent)
        reservation = min(max_size, total) if size is None else size
        if total <= 0 or reservation > total:
            raise MachineFault(_no_room(size, "it is full"))
        if reservation > total - sum(self._reserved.values()):
            return False
        self._reserved[path] = reservation
        return True

    def settle(self, path: Path) -> None:
        """The file is written, and takes its size from now on, until it is removed."""
        with self._changed:
            self._reserved[path] = path.stat().st_size
            self._settled.add(path)
            self._changed.notify_all()

    def _forget_removed(self) -> None:
        for path in [path for path in self._settled if not path.exists()]:
            self._settled.discard(path)
            self._reserved.pop(path, None)

    def release(self, path: Path) -> None:
        """The room of this file, if it had any, is others' again."""
        with self._changed:
            self._settled.discard(path)
            if self._reserved.pop(path, None) is not None:
                self._changed.notify_all()

    def _total(self, folder: Path) -> int:
        """The bytes that files of ours may have in the folder: what is free, and what those there have already."""
        disk = shutil.disk_usage(folder)
        if disk.total <= 0:
            # A file system that does not say.
            return MAX_TEMP_BYTES
        written_bytes = 0
        for path in self._reserved:
            with suppress(FileNotFoundError):
                written_bytes += path.stat().st_size
        return min(MAX_TEMP_BYTES, disk.free + written_bytes - SPARE_BYTES)


def _no_room(size: int | None, reason: str) -> str:
    return f"the temporary folder has no room for {'a video' if size is None else f'{size} bytes'}: {reason}"


#: The temporary folder is the whole process's.
TEMP_SPACE: Final = TempSpace()
