"""A small place for temporary folders, which may be full."""

import os
import resource
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from scripts.local import process

#: Room for all that the soak's pollers have in it at once, many times.
ROOM_BYTES = 16 * 1024 * 1024
FULL_SECONDS = 4.0
MOUNT_SECONDS = 10
_FILLER = "filler"


class SmallFolder:
    """A file system of its own, where we may make one; else its users may at times write no longer files."""

    def __init__(self, path: Path, *, is_mounted: bool) -> None:
        self._path = path
        self._is_mounted = is_mounted

    def make(self, name: str) -> Path:
        """A new folder in it."""
        folder = self._path / name
        folder.mkdir()
        return folder

    def fill(self, users: Sequence[int], *, spare_bytes: int) -> None:
        """For a while there is no more room in it than so many bytes, for the processes of these ids at least."""
        if self._is_mounted:
            room = os.statvfs(self._path)
            with (self._path / _FILLER).open("ab") as filler:
                size = room.f_bavail * room.f_frsize - spare_bytes
                with suppress(OSError):
                    os.posix_fallocate(filler.fileno(), filler.tell(), max(1, size))
        else:
            _limit(users, spare_bytes)
        timer = threading.Timer(FULL_SECONDS, self._make_room, [users])
        timer.daemon = True
        timer.start()

    def _make_room(self, users: Sequence[int]) -> None:
        if self._is_mounted:
            (self._path / _FILLER).unlink(missing_ok=True)
        else:
            _limit(users, resource.RLIM_INFINITY)


def _limit(users: Sequence[int], most_bytes: int) -> None:
    """These processes may write no longer files; who is gone needs none."""
    for user in users:
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(user, resource.RLIMIT_FSIZE)
            soft = most_bytes if hard == resource.RLIM_INFINITY else min(most_bytes, hard)
            resource.prlimit(user, resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_folder(path: Path) -> Generator[SmallFolder]:
    """It is there until the block ends."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES},mode=0700", "tmpfs", str(path)]
    log = path.with_name("mount.log")
    try:
        process.run(mount, log=log, timeout=MOUNT_SECONDS)
    except process.StartError:
        yield SmallFolder(path, is_mounted=False)
        return
    try:
        yield SmallFolder(path, is_mounted=True)
    finally:
        # Lazily: who was killed just now may hold a file of it still.
        process.run(["umount", "--lazy", str(path)], log=log, timeout=MOUNT_SECONDS)
