"""Purge: what was deleted long enough ago goes for good: fenced first, then its objects, then its rows.

So do archives whose time is over, and what has been in quarantine for 30 days.
"""

import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from uuid import UUID

from generation_history.archives.archive_queue import ExpiredArchives
from generation_history.db.database import Database
from generation_history.errors import StorageError
from generation_history.storage.object_store import ObjectStore
from generation_history.storage.quarantine import Quarantine
from generation_history.work.housekeeping import Housekeeping
from generation_history.work.intents import Intents
from generation_history.work.monitoring import Monitoring

logger = logging.getLogger(__name__)

BATCH = 100
#: Of the objects in quarantine a run removes no more.
QUARANTINE_BATCH = 1_000
#: After its jobs are gone, a worker may still be downloading and uploading for a generation this long.
FENCED_SECONDS = 900
#: After so many generations whose objects cannot be removed, the store is to blame.
MAX_FAILURES = 3


class Purge:
    """Removes what is due, a batch at a time, as the login history_worker."""

    def __init__(self, db: Database, store: ObjectStore, *, fenced_seconds: int = FENCED_SECONDS) -> None:
        self._db = db
        self._archives = ExpiredArchives(db)
        self._housekeeping = Housekeeping(db)
        self._monitoring = Monitoring(db)
        self._store = store
        self._quarantine = Quarantine(store)
        self._intents = Intents(store)
        self._fenced_seconds = fenced_seconds
        self._stopping = False

    def stop(self) -> None:
        """Guarantees that a run ends after the object that is being removed; a signal's handler may call this."""
        self._stopping = True

    def run(self, *, seconds: float) -> int:
        """The number of generations that are gone for good now; stops when none is due or the time is up.

        A purge that dies in between goes on with the next one: a generation's rows go last.
        """
        deadline = time.monotonic() + seconds
        self._housekeeping.forget_expired()
        self._monitoring.heartbeat("purge")
        while not self._is_over(deadline) and self._fence():
            continue
        failures: dict[UUID, StorageError] = {}
        purged = self._remove_all(self._due, self._remove_generation, failures, deadline)
        archives = self._remove_all(self._due_archives, self._archives.remove, failures, deadline)
        problems = list(failures.values())
        objects = self._empty_quarantine(problems, deadline)
        logger.info("purged %d generations, %d archives, %d objects in quarantine", purged, archives, objects)
        for problem in problems:
            raise problem
        return purged

    def _fence(self) -> int:
        return self._db.run(None, ("select begin_purge(%(limit)s) as fenced", {"limit": BATCH}))[0]["fenced"]

    def _remove_all(
        self,
        find_due: Callable[[Iterable[UUID]], list[tuple[UUID, str]]],
        remove_row: Callable[[UUID], bool],
        failures: dict[UUID, StorageError],
        deadline: float,
    ) -> int:
        """The number of due rows that are gone now: first all objects under the prefix go, then the row."""
        removed = 0
        while len(failures) < MAX_FAILURES and not self._is_over(deadline) and (rows := find_due(failures)):
            for row_id, prefix in rows:
                try:
                    removed += self._empty(prefix, deadline) and remove_row(row_id)
                except StorageError as failure:
                    # The others need not wait for this one.
                    failures[row_id] = failure
                    logger.error("%s cannot be purged: %s", prefix, failure)  # noqa: TRY400
                if len(failures) == MAX_FAILURES:
                    break
        return removed

    def _empty_quarantine(self, problems: list[StorageError], deadline: float) -> int:
        """The number of objects that are gone now because they were in quarantine long enough."""
        removed = 0
        try:
            for _ in self._quarantine.remove_expired(datetime.now(UTC), limit=QUARANTINE_BATCH):
                removed += 1
                if self._is_over(deadline):
                    break
        except StorageError as problem:
            problems.append(problem)
            logger.error("the quarantine cannot be emptied: %s", problem)  # noqa: TRY400
        return removed

    def _empty(self, prefix: str, deadline: float) -> bool:
        """Whether there is no object under the prefix now, nor an unfinished one; at the deadline there may be."""
        keys = [key for key, _ in self._store.keys(prefix)]
        for key in keys:
            if self._is_over(deadline):
                return False
            self._store.delete(key)
        # Their rows go next, and with them all that anyone knows of what may be left.
        if keys and any(True for _ in self._store.keys(prefix)):
            raise StorageError(f"DO_SPACES_ENDPOINT: {prefix} still holds objects that were deleted")
        for key, upload_id, _ in list(self._store.unfinished_uploads(prefix)):
            self._store.abort_upload(key, upload_id)
        return True

    def _is_over(self, deadline: float) -> bool:
        return self._stopping or time.monotonic() >= deadline

    def _due(self, excluded: Iterable[UUID]) -> list[tuple[UUID, str]]:
        query = "select id from purgeable(%(limit)s, %(fenced_seconds)s, %(excluded)s)"
        params = {"limit": BATCH, "fenced_seconds": self._fenced_seconds, "excluded": list(excluded)}
        return [(row["id"], f"generations/{row['id']}/") for row in self._db.run(None, (query, params))]

    def _remove_generation(self, generation_id: UUID) -> bool:
        """Whether it is gone now, and was not before; the bucket goes on knowing what was posted for it."""
        self._intents.mark_purged(generation_id)
        query = "select purge_generation(%(id)s) as gone"
        return self._db.run(None, (query, {"id": generation_id}))[0]["gone"]

    def _due_archives(self, excluded: Iterable[UUID]) -> list[tuple[UUID, str]]:
        return self._archives.removable(BATCH, excluded=excluded)
