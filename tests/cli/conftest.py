"""The command line as it is typed, over HTTP to a real server of the API and straight on the database."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from werkzeug.serving import make_server

from generation_history.api.flask_adapter import register_history_api
from generation_history.archives.archive_builder import ArchiveBuilder
from generation_history.archives.archive_queue import ArchiveQueue
from generation_history.cli import waiting
from generation_history.cli.commands import commands
from scripts.local.simulator.server import QuietHandler

Run = Callable[..., Result]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """No command waits: in each pause the next of these is done instead."""
    todo: list[Callable[[], object]] = []
    monkeypatch.setattr(waiting, "pause", lambda _: todo.pop(0)() if todo else None)
    return todo


@pytest.fixture
def api_url(db) -> Iterator[str]:
    """The base URL of a server of the API on loopback."""
    app = Flask("server")
    register_history_api(app)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, args=[0.01], name="api")
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def token(owner: str, by_token) -> str:
    """A token of the owner that HISTORY_OWNER_ID names."""
    return by_token(sub=owner)["authorization"].removeprefix("Bearer ")


@pytest.fixture
def typed() -> Run:
    """What comes of a command that is typed just so."""
    return lambda *words: CliRunner().invoke(commands, [str(word) for word in words], prog_name="generation-history")


@pytest.fixture
def http(typed: Run, api_url: str, token: str, monkeypatch: pytest.MonkeyPatch, pauses) -> Run:
    """The same over HTTP."""
    monkeypatch.setenv("HISTORY_URL", api_url)
    monkeypatch.setenv("HISTORY_TOKEN", token)
    return typed


@pytest.fixture(params=["http", "direct"])
def run(request: pytest.FixtureRequest, typed: Run, db, owner: str, pauses) -> Run:
    """The same in both ways, one after the other."""
    if request.param == "http":
        return request.getfixturevalue("http")
    return lambda command, *words: typed(command, "--direct", *words)


@pytest.fixture
def answer(run: Run) -> Callable[..., dict[str, Any]]:
    """The JSON that a command prints, which goes well."""

    def print_json(command: str, *words: object, code: int = 0) -> dict[str, Any]:
        result = run(command, "--json", *words)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    return print_json


@pytest.fixture
def build(worker_db, store) -> Callable[[], int]:
    """The poller makes the zips that are asked for: how many are ready."""
    builder = ArchiveBuilder(ArchiveQueue(worker_db, lease_seconds=60), store, lease_seconds=60)
    return lambda: builder.run(seconds=600)


def refused(result: Result, code: int = 1) -> str:
    """The one line that a command which failed says, and nothing else."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    (line,) = result.stderr.splitlines()
    return line.removeprefix("generation-history: ")
