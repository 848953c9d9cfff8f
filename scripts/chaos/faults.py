"""What fails around the soak's pollers: the provider, the store, which lies as well, the database and its clock."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import psycopg

from scripts.chaos.environment import Environment
from scripts.local.tcp_proxy import MUTE, SILENCE, THROUGH, Fate, answering

#: What may go wrong in each place of the provider, one of them at a time.
PROVIDER: Final[dict[str, list[dict[str, object]]]] = {
    "create": [
        {"status": 429, "retry_after": 1},
        {"status": 500},
        {"status": 503, "after_accepting": True},
        {"status": 401},
        {"kind": "close"},
        {"kind": "close", "after_accepting": True},
        {"kind": "hang", "seconds": 2, "after_accepting": True},
        # Longer than a poller waits.
        {"kind": "hang", "seconds": 5, "after_accepting": True},
        {"kind": "hang", "seconds": 5},
        {"kind": "html", "status": 502, "after_accepting": True},
        {"kind": "html"},
        {"kind": "truncate"},
        {"kind": "vague"},
    ],
    "retrieve": [
        {"status": 500},
        {"status": 404},
        {"status": 429},
        {"kind": "close"},
        {"kind": "json"},
        {"kind": "vague"},
        {"kind": "vague", "word": ""},
        {"kind": "truncate"},
        {"kind": "hang", "seconds": 5},
    ],
    "list": [{"status": 500}, {"kind": "html"}, {"kind": "close"}, {"kind": "truncate"}, {"kind": "vague"}],
    "content": [
        {"status": 500},
        {"status": 404},
        {"status": 403},
        {"kind": "html"},
        {"kind": "truncate"},
        {"kind": "close"},
        {"kind": "hang", "seconds": 5},
        {"kind": "slow", "bytes_per_second": 10_000},
    ],
    "everything": [{"status": 503}, {"status": 429}, {"kind": "close"}, {"kind": "html", "status": 502}],
}
_S3_ERROR = "<Error><Code>{code}</Code></Error>"
#: What may become of a connection to the store.
STORE: Final[dict[str, Callable[[random.Random], Fate]]] = {
    "500": lambda _: answering("500 Internal Server Error", _S3_ERROR.format(code="InternalError")),
    "503": lambda _: answering("503 Service Unavailable", _S3_ERROR.format(code="SlowDown")),
    "silence": lambda _: SILENCE,
    "mute": lambda _: MUTE,
    "cut on the way there": lambda chance: Fate(chance.randint(1, 40_000), "up"),
    "cut on the way back": lambda chance: Fate(chance.randint(1, 600), "down"),
}
_SIGN_IN: Final = "<!doctype html><title>Please sign in</title><p>Please sign in to go on.</p>"
#: What a store, or who stands in for it, says of what was not done.
LIES: Final[dict[str, Fate]] = {
    "a page": answering("200 OK", _SIGN_IN, kind="text/html"),
    "nothing": answering("200 OK"),
    "no content": answering("204 No Content"),
    "another ETag": answering("200 OK", etag="0" * 32),
    "PUTs swallowed": replace(answering("200 OK"), request_start=b"PUT "),
    "PUTs swallowed, another ETag": replace(answering("200 OK", etag="0" * 32), request_start=b"PUT "),
}
#: How far the database's clock goes wrong: more than a lease, so that the living lose theirs.
CLOCKS: Final = (0, -20, 20)
_JUMP = """
    update jobs set run_at = run_at - jump, deadline = deadline - jump, expires_at = expires_at - jump
    from make_interval(secs => %s) jump
"""
#: A deadlock with a worker, or one that was frozen with a lock, is no reason to stop.
_TRIES = 5


class Faults:
    """All faults from outside: each change brings other ones, or none."""

    def __init__(self, environment: Environment, chance: random.Random) -> None:
        self._env = environment
        self._chance = chance
        # The proxies ask from threads of their own.
        self._fates = random.Random(chance.random())  # noqa: S311
        self._clock = 0
        self.counts: Counter[str] = Counter()

    def change_provider(self) -> None:
        """The provider misbehaves in some places, in one way each."""
        places = self._chance.sample(list(PROVIDER), self._chance.randint(0, 3))
        plan = {
            place: {
                **self._chance.choice(PROVIDER[place]),
                "share": self._chance.choice((0.2, 0.5)),
                "seed": self._chance.randrange(1000),
            }
            for place in places
        }
        self._env.control("PUT", "faults", plan)
        self.counts["provider faults changed"] += 1

    def change_store(self) -> None:
        """The store fails in one way, for a share of all connections; those there are break off."""
        share = self._chance.choice((0, 0.3, 0.7, 1))
        kind = self._chance.choice(list(STORE))
        self._env.spaces.fate = lambda: STORE[kind](self._fates) if self._fates.random() < share else THROUGH
        self._env.spaces.cut_all()
        self.counts[f"store: {kind}" if share else "store: well"] += 1

    def lie(self, kind: str) -> None:
        """The store lies in this way, on a share of all connections; those there are break off."""
        share = self._chance.choice((0.3, 0.7, 1))
        self._env.spaces.fate = lambda: LIES[kind] if self._fates.random() < share else THROUGH
        self._env.spaces.cut_all()
        self.counts[f"store lies: {kind}"] += 1

    def change_database(self) -> None:
        """Connections to the database last, or break off after some bytes, in mid-transaction; those there do now."""
        share = self._chance.choice((0, 0.5, 0.9))

        def fate() -> Fate:
            if self._fates.random() >= share:
                return THROUGH
            return Fate(self._fates.randint(300, 60_000), self._fates.choice(("up", "down")))

        self._env.database.fate = fate
        self._env.database.cut_all()
        self.counts["database proxies changed"] += 1

    def restart_database(self) -> None:
        """Whoever is connected is cut off, and for a moment there is no database."""
        with self._env.postgres_down():
            pass
        self.counts["database restarts"] += 1

    def move_clock(self) -> None:
        """The database's clock jumps: what it has written is so much older or newer; nothing else can tell."""
        clock = self._chance.choice([clock for clock in CLOCKS if clock != self._clock])
        self._shift(clock - self._clock)
        self._clock = clock
        self.counts["database clocks moved"] += 1

    def save_clock(self) -> Callable[[], None]:
        """Call what is returned when the database is again as it is now."""
        now = self._clock

        def restore() -> None:
            self._clock = now

        return restore

    def _shift(self, seconds: int) -> None:
        for left in reversed(range(_TRIES)):
            try:
                # An attempt's times are left alone: the proof goes by them.
                self._env.rows(_JUMP, seconds)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
                if not left:
                    raise
            else:
                return

    def calm(self) -> None:
        """Nothing fails any more."""
        self._env.control("DELETE", "faults")
        for proxy in (self._env.spaces, self._env.database):
            proxy.fate = lambda: THROUGH
            proxy.cut_all()

    def __str__(self) -> str:
        """How often a connection met a bad fate."""
        database, store = self._env.database.fault_count, self._env.spaces.fault_count
        return f"{database} connections to the database failed, {store} to the store"
