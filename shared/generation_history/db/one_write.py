"""A connection whose transactions leave in one write: no client can stop between two statements of one."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import Pipeline
from psycopg.abc import PQGen

Row = dict[str, Any]
_T = TypeVar("_T")
#: A database or a pooler that says nothing for so long, of a transaction whose login has 30 s, is not answering.
CALL_SECONDS = 40.0
_INTERVAL_SECONDS = 0.1


class _OneWrite(Pipeline):
    """A pipeline that keeps its statements until the Sync that ends it.

    psycopg sends each statement by itself. Whoever stops in between (a frozen instance, SIGSTOP) would keep the locks
    of those before it: the server waits for the next message, without any timeout before PostgreSQL 17. In one write
    all of them are there, with their commit, or none is; beyond 64 kB, libpq's buffer, it is as it was.
    """

    def _communicate_gen(self) -> Generator[Any, Any, None]:
        if self.command_queue and self.command_queue[-1] == self.pgconn.pipeline_sync:
            while self.command_queue:
                self.command_queue.popleft()()
            yield from super()._communicate_gen()

    def _fetch_gen(self, *, flush: bool) -> Generator[Any, Any, None]:
        # The Sync has asked for all answers; psycopg would ask once more, in a write of its own.
        return super()._fetch_gen(flush=flush and bool(self.command_queue))


class Connection(psycopg.Connection[Row]):
    """psycopg's, and nothing is waited for longer than CALL_SECONDS."""

    def wait(self, gen: PQGen[_T], interval: float = _INTERVAL_SECONDS, timeout: float | None = None) -> _T:
        """As psycopg's."""
        return super().wait(gen, interval, timeout or CALL_SECONDS)

    @contextmanager
    def one_write(self) -> Generator[None]:
        """As pipeline(), but what is executed in the block leaves at its end."""
        with self.lock:
            self._check_connection_ok()
            pipeline = self._pipeline = _OneWrite(self)
        try:
            with pipeline:
                yield
        finally:
            self._pipeline = None
