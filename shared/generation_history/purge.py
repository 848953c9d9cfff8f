"""Purge: what was deleted long enough ago goes for good: fenced first, then its objects, then its rows."""

import logging
import time
from collections.abc import Iterable
from uuid import UUID

from generation_history.database import Database
from generation_history.errors import SceneFailure
from generation_history.object_store import ObjectStore

logger = logging.getLogger(__name__)

BATCH = 100
#: After its jobs are gone, a worker may still be downloading and uploading for a generation this long.
FENCED_SECONDS = 900
#: How long a delivery is remembered: its sender repeats it for up to three days.
DELIVERY_DAYS = 7
#: How long a POST is remembered: limits look a day back.
POST_DAYS = 2
#: After so many generations whose objects cannot be removed, the store is to blame.
MOST_FAILURES = 3


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
        self._forget()
        while time.monotonic() < deadline and self._fence():
            continue
        purged = 0
        failed: dict[UUID, SceneFailure] = {}
        while len(failed) < MOST_FAILURES and time.monotonic() < deadline and (due := self._due(but=failed)):
            for generation_id in due:
                try:
                    purged += self._remove(generation_id, deadline)
                except SceneFailure as failure:
                    # The others need not wait for this one.
                    failed[generation_id] = failure
                    logger.error("generation %s cannot be purged: %s", generation_id, failure)  # noqa: TRY400
                if len(failed) == MOST_FAILURES:
                    break
        logger.info("purged %d generations", purged)
        for failure in failed.values():
            raise failure
        return purged

    def _fence(self) -> int:
        return self._db.run(None, ("select begin_purge(%(limit)s) as fenced", {"limit": BATCH}))[0]["fenced"]

    def _due(self, *, but: Iterable[UUID]) -> list[UUID]:
        query = "select id from purgeable(%(limit)s, %(fenced_seconds)s, %(but)s)"
        due = {"limit": BATCH, "fenced_seconds": self._fenced_seconds, "but": list(but)}
        return [row["id"] for row in self._db.run(None, (query, due))]

    def _remove(self, generation_id: UUID, deadline: float) -> bool:
        """Whether it is gone now, and was not before; at the deadline it stays for the next purge."""
        for key, _ in list(self._store.keys(f"generations/{generation_id}/")):
            if time.monotonic() >= deadline:
                return False
            self._store.delete(key)
        purge = "select purge_generation(%(id)s) as gone"
        return self._db.run(None, (purge, {"id": generation_id}))[0]["gone"]

    def _forget(self) -> None:
        """What was kept to tell a repeat, or to count, is of no use any more; the purge is seen to run."""
        deliveries = "delete from deliveries where received_at < now() - make_interval(days => %(days)s)"
        posts = "delete from posts where at < now() - make_interval(days => %(days)s)"
        pulse = "insert into pulses (name) values ('purge') on conflict (name) do update set at = now()"
        self._db.run(None, (deliveries, {"days": DELIVERY_DAYS}), (posts, {"days": POST_DAYS}), (pulse, {}))
