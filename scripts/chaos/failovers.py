"""The database fails over to a replica that lacks the last transactions: all that was committed since is forgotten."""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from scripts.chaos.environment import Environment
from scripts.local import process

#: How much is forgotten, in seconds: enough for a POST, its answer and its video, and longer while nothing was posted.
#: Less than a purge is fenced.
FORGOTTEN: Final = (2.0, 12.0)
MAX_FORGOTTEN_SECONDS = 25.0
COPY_SECONDS = 60


class Failovers:
    """A replica is as the database was for a while, and then the database is as the replica is."""

    def __init__(
        self, environment: Environment, chance: random.Random, *, save_state: Callable[[], Callable[[], None]]
    ) -> None:
        """Call what save_state() returned with each copy once that copy has become the database."""
        self._env = environment
        self._chance = chance
        self._save_state = save_state
        self._restore: Callable[[], None] | None = None
        self._due_at = self._latest_at = 0.0
        self._posts = 0
        self._copy = environment.postgres.data.with_name("replica")
        self.counts: Counter[str] = Counter()

    def fall_behind(self) -> None:
        """A replica gets no transactions from now on; soon it will be the database."""
        if self._restore is not None:
            return
        with self._env.postgres_down():
            # It stays the server's own user's.
            command = ["cp", "--archive", str(self._env.postgres.data), str(self._copy)]
            process.run(command, log=self._env.folder / "replica.log", timeout=COPY_SECONDS)
        self._restore = self._save_state()
        self._posts = self._count_posts()
        self._due_at = time.monotonic() + self._chance.uniform(*FORGOTTEN)
        self._latest_at = time.monotonic() + MAX_FORGOTTEN_SECONDS
        self.counts["replicas that fell behind"] += 1

    def fail_over_when_due(self) -> None:
        """The database fails over once it is time to."""
        now = time.monotonic()
        if (
            self._restore is not None
            and now >= self._due_at
            and (now >= self._latest_at or self._count_posts() > self._posts)
        ):
            self.finish()

    def _count_posts(self) -> int:
        return len(self._env.control("GET", "arrivals")["arrivals"])

    def finish(self) -> None:
        """The database fails over now, if it is still to."""
        if self._restore is None:
            return
        with self._env.postgres_down():
            shutil.rmtree(self._env.postgres.data)
            self._copy.rename(self._env.postgres.data)
        self._restore()
        self._restore = None
        self.counts["failovers"] += 1
        self.counts["POSTs that failovers forgot"] += self._count_posts() - self._posts
