"""Quarantine: where objects that nobody seems to need lie for a while before they are gone, and come back from."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from generation_history.errors import Conflict
from generation_history.storage.object_copy import copy_object
from generation_history.storage.object_store import ObjectStore

PREFIX: Final = "quarantine/"
RETENTION: Final = timedelta(days=30)
#: Of the times in keys, which sort as they follow each other.
_STAMP: Final = "%Y-%m-%dT%H%M%SZ"
_KEY: Final = re.compile(rf"{PREFIX}(\d{{4}}-\d\d-\d\dT\d{{6}}Z)/(.+)", re.DOTALL)


@dataclass(frozen=True)
class Quarantined:
    """An object in quarantine: its key there, the key that it had, and when it was moved."""

    key: str
    original_key: str
    moved_at: datetime
    modified_at: datetime


class Quarantine:
    """The part of the bucket under "quarantine/". An object lies there as <the time of its move>/<the key it had>."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def copy_in(self, key: str, now: datetime) -> str:
        """The key in quarantine of a proven copy of this object; FileNotFoundError where there is no such object."""
        target = f"{PREFIX}{now.astimezone(UTC):{_STAMP}}/{key}"
        copy_object(self._store, key, target)
        return target

    def entries(self) -> Iterator[Quarantined]:
        """What lies in quarantine, the longest first. Objects under other names than ours are not looked at."""
        for key, modified_at in self._store.keys(PREFIX):
            if match := _KEY.fullmatch(key):
                moved_at = datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
                yield Quarantined(key, match[2], moved_at, modified_at)

    def restore(self, key: str) -> Iterator[str]:
        """Brings back what had this key, or with a slash at its end what lay under it: each key that is there again.

        Of several that had one key the one that was moved last comes back. An object that has the key by now stays, and
        so does the one in quarantine: that is a Conflict, once the others are back.
        """
        latest = {entry.original_key: entry for entry in self.entries() if _is_meant(entry, key)}
        taken: list[str] = []
        for original_key, entry in latest.items():
            if self._store.size(original_key) is not None:
                taken.append(entry.key)
                continue
            copy_object(self._store, entry.key, original_key)
            self._store.delete(entry.key)
            yield original_key
        if taken:
            raise Conflict(f"{taken[0]} stays where it is, as its key has an object again (so do {len(taken)} in all)")

    def remove_expired(self, now: datetime, *, limit: int) -> Iterator[str]:
        """Removes what has been here for 30 days, up to so many objects: the key of each that is gone now."""
        for entry in list(islice(self._expired(now - RETENTION), limit)):
            self._store.delete(entry.key)
            yield entry.key

    def _expired(self, before: datetime) -> Iterator[Quarantined]:
        for entry in self.entries():
            if entry.moved_at >= before:
                # What follows was moved later.
                return
            # The key says when it was moved by the clock of whoever moved it, the store by its own.
            if entry.modified_at < before:
                yield entry


def _is_meant(entry: Quarantined, key: str) -> bool:
    return entry.original_key == key or (key.endswith("/") and entry.original_key.startswith(key))
