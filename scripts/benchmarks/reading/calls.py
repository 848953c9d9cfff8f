"""Calls of the deployed functions, and the bare SQL beneath them."""

import importlib
import json
import os
import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, cast
from unittest.mock import patch

import jwt
import psycopg
from psycopg.types.string import TextLoader

from generation_history.db import database
from generation_history.db.database import Database, Row, Statement
from scripts.local.host.launcher import Context

_SECRET = "bench-" * 8
_SETTINGS = {
    "HISTORY_ACCESS": "jwt",
    "HISTORY_JWT_SECRET": _SECRET,
    "DO_SPACES_ACCESS_KEY": "bench",
    "DO_SPACES_SECRET_KEY": "bench-secret",
}
OK, FOUND = 200, 302


@dataclass(frozen=True)
class Request:
    """A GET of a function: what follows its name, and the query string."""

    function: str
    path: str = ""
    query: str = ""


@contextmanager
def settings(*api_urls: str) -> Generator[None]:
    """The functions have what they need; afterwards their connections to these databases are closed."""
    with patch.dict(os.environ, _SETTINGS):
        try:
            yield
        finally:
            for url in api_urls:
                database.connect(url, setting="DATABASE_URL").close()


def handler(request: Request, owner: uuid.UUID, api_url: str) -> Callable[[], dict[str, Any]]:
    """From DigitalOcean's raw event to what the function returns, as a warm instance does it for this owner."""
    main = importlib.import_module(f"history.{request.function}.__main__").main
    token = jwt.encode({"sub": str(owner), "exp": int(time.time()) + 86400}, _SECRET, algorithm="HS256")
    event = {
        "http": {
            "headers": {
                "accept": "*/*",
                "authorization": f"Bearer {token}",
                "host": "faas-nyc1-2ef2e6cc.doserverless.co",
                "user-agent": "curl/8.5.0",
                "x-forwarded-for": "203.0.113.7",
                "x-forwarded-proto": "https",
                "x-request-id": "2f9ab0d53a8bbd1e0f4a4e5a1d2c3b4a",
            },
            "method": "GET",
            "path": request.path,
            "queryString": request.query,
            "body": "",
            "isBase64Encoded": False,
        }
    }

    def call() -> dict[str, Any]:
        os.environ["DATABASE_URL"] = api_url
        context = Context(f"/fn-bench/history/{request.function}", uuid.uuid4().hex, time.time() + 30)
        return main(event, context)

    return call


def answer(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The body of a call, or where it redirects to; AssertionError for any other answer."""
    result = call()
    if result["statusCode"] == FOUND:
        return {"location": result["headers"]["Location"]}
    if result["statusCode"] != OK:
        raise AssertionError(f"the function answered {result['statusCode']}: {result['body']}")
    return json.loads(result["body"])


class Floor:
    """The very statements of a call, in one pipelined transaction under its owner, fetched as text."""

    def __init__(self, call: Callable[[], object], api_url: str) -> None:
        self._owner, self.statements = _statements_of(call)
        self._connection = psycopg.connect(api_url, autocommit=True, prepare_threshold=None)
        for kind in ("json", "jsonb"):
            self._connection.adapters.register_loader(kind, TextLoader)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the last statement, by name."""
        cursor = self._run()
        names = [column.name for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def __call__(self) -> list[tuple[Any, ...]]:
        """The rows of the last statement."""
        return self._run().fetchall()

    def _run(self) -> psycopg.Cursor[tuple[Any, ...]]:
        connection = self._connection
        with connection.pipeline():
            connection.execute("begin")
            connection.execute("select set_config('app.owner_id', %s, true)", [str(self._owner)])
            cursors = [connection.execute(query, parameters) for query, parameters in self.statements]
            connection.execute("commit")
        return cursors[-1]

    def explain(self) -> str:
        """The plan of each statement, as it is now."""
        lines: list[str] = []
        with self._connection.transaction():
            self._connection.execute("select set_config('app.owner_id', %s, true)", [str(self._owner)])
            for query, parameters in self.statements:
                plan_cursor = self._connection.execute("explain (analyze, buffers) " + query, parameters)
                lines += [row[0] for row in plan_cursor]
        return "\n".join(lines)


def _statements_of(call: Callable[[], object]) -> tuple[uuid.UUID | None, Sequence[Statement]]:
    """Whose statements a call sends to the database, and all of them in order."""
    owners: list[uuid.UUID | None] = []
    executed: list[Statement] = []
    run = Database.run_each

    def note(db: Database, owner_id: uuid.UUID | None, *statements: Statement) -> list[list[Row]]:
        owners.append(owner_id)
        executed.extend(statements)
        return run(db, owner_id, *statements)

    with patch.object(Database, "run_each", note):
        call()
    if len(set(owners)) != 1:
        raise AssertionError(f"the function asked the database as {len(set(owners))} owners")
    return owners[0], executed


def records(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What the floor fetched as records, read."""
    return [cast("Mapping[str, Any]", json.loads(row["record"])) for row in rows]
