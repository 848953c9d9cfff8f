"""Housekeeping: what a run of the poller or the purge puts in order, whatever jobs there are."""

import time
from typing import Final

from generation_history.db.database import Database

#: How long a delivery is remembered: its sender repeats it for up to three days.
DELIVERY_DAYS: Final = 7
#: How long a POST is remembered: limits look a day back.
POST_DAYS: Final = 2


class Housekeeping:
    """What is due over all owners, as the login history_worker sees it."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def fail_stale_generations(self, limit: int = 100) -> int:
        """The number of generations that have not changed for a day and have nothing due: their open scenes fail now.

        A generation that its caller ended stays as the caller said.
        """
        return self._db.run(None, ("select fail_stale_generations(%(limit)s) as found", {"limit": limit}))[0]["found"]

    def merge_stats_deltas(self, *, seconds: float, batch: int = 10_000) -> int:
        """The number of changes that are merged into the statistics now.

        Stops when none is left, when another process is merging, or when the time is up.
        """
        deadline = time.monotonic() + seconds
        total = 0
        while time.monotonic() < deadline:
            rows = self._db.run(None, ("select merge_stats_deltas(%(limit)s) as merged", {"limit": batch}))
            count = rows[0]["merged"]
            total += count
            if count < batch:
                break
        return total

    def forget_expired(self) -> None:
        """What was kept to tell a repeat, or to count, is removed once it is of no use any more."""
        deliveries = "delete from deliveries where received_at < now() - make_interval(days => %(days)s)"
        posts = "delete from posts where at < now() - make_interval(days => %(days)s)"
        self._db.run(None, (deliveries, {"days": DELIVERY_DAYS}), (posts, {"days": POST_DAYS}))
