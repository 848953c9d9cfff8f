"""Spool: a local file that keeps, in order, what a pipeline could not record, until the database is there again."""

import fcntl
import json
import logging
import os
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from generation_history.errors import DuplicateRequest, NotConfigured, Unavailable
from generation_history.ids import uuid7
from generation_history.record.nearest_json import nearest_json

logger = logging.getLogger(__name__)

#: After these an entry is as it was, and so are those after it.
AWAY = (Unavailable, NotConfigured)


@dataclass(frozen=True)
class Entry:
    """One write of a pipeline: which call of the record, of which generation, with what, and under which key, once."""

    key: str
    owner_id: str
    generation_id: str
    call: str
    arguments: dict[str, Any]
    at: str

    @classmethod
    def of(cls, owner_id: object, generation_id: str, call: str, **arguments: Any) -> Self:
        """A new one, with a key that no other has."""
        return cls(
            f"spool:{uuid7()}", str(owner_id), str(generation_id), call, arguments, datetime.now(UTC).isoformat()
        )


class Spool:
    """A file of one entry a line. Processes and threads take turns by a lock beside it.

    An entry is on the disk when append() returns. replay() performs entries and then removes them: after a crash in
    between it performs them once more, so performing has to be harmless to repeat (DuplicateRequest).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_path = path.with_name(f"{path.name}.lock")
        self.refused_path = path.with_name(f"{path.name}.refused")

    def append(self, entry: Entry) -> None:
        """Guarantees that the entry survives this process and this machine's next crash."""
        with self._locked():
            _append(self.path, _line_of(entry))

    def replay(self, owner_id: object, perform: Callable[[Entry], object]) -> int:
        """The number of this owner's entries that were performed now, in order, and removed.

        An entry that is refused for good goes to the file of refused ones and stops no other. An error of AWAY leaves
        its entry and those after it, and is raised.
        """
        if not self.path.exists():
            return 0
        with self._locked():
            lines = self._lines()
            entries = {number: entry for number, line in enumerate(lines) if (entry := self._read(line))}
            over = {number for number in range(len(lines)) if number not in entries}
            try:
                for number, entry in entries.items():
                    if entry.owner_id == str(owner_id):
                        self._perform(entry, perform)
                        over.add(number)
            finally:
                if over:
                    self._rewrite(line for number, line in enumerate(lines) if number not in over)
        return len(over)

    def refuse(self, entry: Entry, reason: object) -> None:
        """Guarantees that what the record refuses for good is kept, and that somebody is told."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._refuse(_line_of(entry), reason)

    def _refuse(self, line: str, reason: object) -> None:
        _append(self.refused_path, line)
        logger.error("the record refuses what a pipeline wrote; it is kept in %s: %s", self.refused_path, reason)

    def _perform(self, entry: Entry, perform: Callable[[Entry], object]) -> None:
        try:
            perform(entry)
        except AWAY:
            raise
        except DuplicateRequest:
            """It was performed before a crash."""
        except Exception as error:  # noqa: BLE001 - one entry must not keep all others
            self.refuse(entry, f"{entry.call}: {type(error).__name__}: {error}")

    def _lines(self) -> list[str]:
        try:
            return self.path.read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def _read(self, line: str) -> Entry | None:
        """The entry; None for an empty line, and for one that a crash left unfinished, which is refused."""
        if not line.strip():
            return None
        try:
            return Entry(**json.loads(line))
        except (TypeError, ValueError) as error:
            self._refuse(line, f"it is no entry: {error}")
            return None

    def _rewrite(self, lines: Iterable[str]) -> None:
        content = "".join(f"{line}\n" for line in lines)
        if not content:
            self.path.unlink(missing_ok=True)
        else:
            new_path = self.path.with_name(f"{self.path.name}.new")
            new_path.unlink(missing_ok=True)
            _append(new_path, content.removesuffix("\n"))
            new_path.replace(self.path)
        _sync_folder(self.path.parent)

    @contextmanager
    def _locked(self) -> Generator[None]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # It ends with its process, however that ends.
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _line_of(entry: Entry) -> str:
    """The entry as JSON; what JSON has no form for is in its nearest one: an error here would end a pipeline."""
    return json.dumps(asdict(entry), default=lambda value: nearest_json(value)[0])


def _append(path: Path, line: str) -> None:
    """The line is on the disk, on a line of its own, whatever a crash has left before it."""
    is_new = not path.exists()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(file).st_size
        is_torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
        rest = memoryview((b"\n" if is_torn else b"") + line.encode() + b"\n")
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    finally:
        os.close(file)
    if is_new:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Names of files are on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
