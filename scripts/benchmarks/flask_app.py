"""The applications that scripts/bench flask serves: the present way, and ways that bound less."""

import os
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast
from uuid import UUID

from flask import Flask

from generation_history.api import app, pagination
from generation_history.api.flask_adapter import register_history_api
from generation_history.api.threaded_resolver import ThreadedResolver
from generation_history.db.database import Database, Statement
from generation_history.db.one_write import Row

#: How far the database is, in milliseconds.
LATENCY = "BENCH_DATABASE_MS"


def after() -> Flask:
    """An application with the API, as register_history_api() makes it."""
    _move_the_database_away(float(os.environ.get(LATENCY, "0")) / 1000)
    flask = Flask("bench")
    register_history_api(flask)
    return flask


def before() -> Flask:
    """The same, where calls take turns, and nothing else is bounded."""
    turn, resolve = threading.Lock(), ThreadedResolver.resolve

    def one_at_a_time(self: ThreadedResolver, event: Mapping[str, Any], context: object) -> dict[str, Any]:
        with turn:
            return resolve(self, event, context)

    cast("Any", ThreadedResolver).resolve = one_at_a_time
    return unbounded()


def unbounded() -> Flask:
    """The same, where as many calls run side by side as there are threads."""
    cast("Any", app).turn_of = _no_turn
    cast("Any", pagination).is_surely_too_large = _no_knowledge
    return after()


def _no_turn(_method: str, _path: str) -> AbstractContextManager[None]:
    return nullcontext()


def _no_knowledge(_records: object) -> bool:
    return False


def _move_the_database_away(seconds: float) -> None:
    """Each transaction takes so much longer, as it does where the database is on another machine."""
    run_each = Database.run_each

    def from_far(self: Database, owner_id: UUID | None, *statements: Statement) -> list[list[Row]]:
        time.sleep(seconds)
        return run_each(self, owner_id, *statements)

    if seconds:
        cast("Any", Database).run_each = from_far
