"""Purge: what was deleted long enough ago goes for good: fenced first, then its objects, then its rows."""

import logging
import time

from generation_history.database import Database
from generation_history.object_store import ObjectStore

logger = logging.getLogger(__name__)

BATCH = 100
#: After its jobs are gone, a worker may still be downloading and uploading for a generation this long.
FENCED_SECONDS = 900
#: How long a delivery is remembered: its sender repeats it for up to three days.
DELIVERY_DAYS = 7


class Purge:
    """Removes what is due, a batch at a time, as the login history_worker."""

    def __init__(self, db: Database, store: ObjectStore, *, fenced_seconds: int = FENCED_SECONDS) -> None:
        self._db = db
        self._store = store
        self._fenced_seconds = fenced_seconds

    def run(self, *, seconds: float) -> int:
        """The number of generations that are gone for good now; stops when none is due or the time is up.

        A purge that dies in between goes on with the next one: a generation's rows go last.
        """
        deadline = time.monotonic() + seconds
        self._forget_deliveries()
        while time.monotonic() < deadline and self._fence():
            continue
        purged = 0
        while time.monotonic() < deadline and (due := self._due()):
            for row in due:
                purged += self._remove(str(row["id"]), deadline)
        logger.info("purged %d generations", purged)
        return purged

    def _fence(self) -> int:
        return self._db.run(None, ("select begin_purge(%(limit)s) as fenced", {"limit": BATCH}))[0]["fenced"]

    def _due(self) -> list[dict[str, object]]:
        query = "select id, owner_id from purgeable(%(limit)s, %(fenced_seconds)s)"
        return self._db.run(None, (query, {"limit": BATCH, "fenced_seconds": self._fenced_seconds}))

    def _remove(self, generation_id: str, deadline: float) -> bool:
        """Whether it is gone now, and was not before; at the deadline it stays for the next purge."""
        for key, _ in list(self._store.keys(f"generations/{generation_id}/")):
            if time.monotonic() >= deadline:
                return False
            self._store.delete(key)
        purge = "select purge_generation(%(id)s) as gone"
        return self._db.run(None, (purge, {"id": generation_id}))[0]["gone"]

    def _forget_deliveries(self) -> None:
        query = "delete from deliveries where received_at < now() - make_interval(days => %(days)s)"
        self._db.run(None, (query, {"days": DELIVERY_DAYS}))
