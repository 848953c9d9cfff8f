"""Clients of the database that stand still in the middle of a transaction, with a lock that others wait for.

Every transaction of ours is a pipeline. Whoever stands still before its end has sent no Sync: the server is neither in
a statement nor idle in the transaction, and keeps the locks.
"""

import random
import threading
from collections import Counter
from contextlib import suppress

import psycopg

from scripts.chaos.environment import Environment

#: Longer than a lease. Shorter than anybody waits for a lock: what ends a client that never goes on is not tried here.
FROZEN_SECONDS = 6.0
#: Of two locks: a generation's, and the one that all POSTs under a limit take turns at.
_LOCK_GENERATION = "select lock_generation(%s)"
_TAKE_TURN = "select pg_advisory_xact_lock(hashtext('admit_submission'))"


class FrozenClients:
    """Those that stand still now; each goes on, or vanishes, after a while."""

    def __init__(self, environment: Environment, chance: random.Random) -> None:
        self._env = environment
        self._chance = chance
        self._waking: list[tuple[threading.Timer, psycopg.Connection]] = []
        self.counts: Counter[str] = Counter()

    def freeze_with_a_generation(self) -> None:
        """One stands still with the lock on somebody's generation, if there is any."""
        generations = self._env.rows("select id, owner_id from generations order by id")
        if generations:
            generation_id, owner_id = self._chance.choice(generations)
            self._freeze(str(owner_id), _LOCK_GENERATION, generation_id)
            self.counts["clients frozen with a generation"] += 1

    def freeze_at_its_turn(self) -> None:
        """One stands still where all who post under a limit take turns."""
        self._freeze("", _TAKE_TURN)
        self.counts["clients frozen at their turn"] += 1

    def _freeze(self, owner_id: str, lock: str, *parameters: object) -> None:
        connection = psycopg.connect(self._env.worker_url, autocommit=True, prepare_threshold=None, connect_timeout=5)
        pipeline = connection.pipeline()
        pipeline.__enter__()  # it never ends as a block does
        connection.execute("begin")
        connection.execute("select set_config('app.owner_id', %s, true)", [owner_id])
        connection.execute(lock.encode(), parameters)
        # What psycopg has not sent yet, and no Sync: as if SIGSTOP came between this statement and the next one.
        connection.pgconn.send_flush_request()
        while connection.pgconn.flush():
            continue
        wakes = self._chance.random() < 0.5  # noqa: PLR2004
        timer = threading.Timer(FROZEN_SECONDS, _go_on if wakes else connection.pgconn.finish, [connection] * wakes)
        timer.daemon = True
        self._waking = [(waking_timer, frozen) for waking_timer, frozen in self._waking if waking_timer.is_alive()]
        self._waking.append((timer, connection))
        timer.start()

    def close(self) -> None:
        """None stands still any more."""
        for timer, connection in self._waking:
            timer.cancel()
            timer.join()
            connection.pgconn.finish()
        self._waking.clear()


def _go_on(connection: psycopg.Connection) -> None:
    """As if nothing had been; whoever was cut off meanwhile finds out."""
    with suppress(psycopg.Error):
        connection.execute("commit")
        connection.pgconn.pipeline_sync()
        while connection.pgconn.flush():
            continue
    connection.pgconn.finish()
