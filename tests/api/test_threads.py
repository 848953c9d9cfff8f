"""On a server with threads, calls are answered side by side, and within bounds."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from flask import Flask
from history_api import register_history_api

from generation_history.api import app as api
from generation_history.api import turns
from generation_history.api.turns import MAX_CONNECTIONS, WRITES_OF_ONE_AT_ONCE, Turns, turn_of
from generation_history.errors import Unavailable
from generation_history.ids import as_uuid
from tests.support.waiting import eventually

WAIT_SECONDS = 30


@pytest.fixture
def client(db, open_to_one: str):
    app = Flask("ad_cloner")
    register_history_api(app)
    return app.test_client


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as made:
        yield made


@contextmanager
def locked(url: str, generation_id: str):
    """Somebody holds the generation's row, for as long as the block runs."""
    with psycopg.connect(url) as connection:
        connection.execute("select 1 from generations where id = %s for update", [generation_id])
        yield
        connection.rollback()


def waiting(db) -> int:
    [(count,)] = db.rows("select count(*) from pg_stat_activity where wait_event_type = 'Lock'")
    return count


def test_a_locked_generation_keeps_no_other_call_waiting(client, pool, db, generation_factory):
    """Before, one write that waited for the lock kept every call of the process waiting."""
    held, other = generation_factory(1)["id"], generation_factory(1)["id"]
    with locked(db.admin, held):
        writes = [
            pool.submit(lambda: client().delete(f"/api/history/generations/{held}").status_code) for _ in range(20)
        ]
        eventually(lambda: waiting(db) == WRITES_OF_ONE_AT_ONCE)

        assert client().get(f"/api/history/generations/{held}").status_code == 200
        assert client().get("/api/history/generations").json["count"] == 2
        assert client().delete(f"/api/history/generations/{other}").status_code == 200
        assert waiting(db) == WRITES_OF_ONE_AT_ONCE
        assert not all(write.done() for write in writes)

    statuses = {write.result(WAIT_SECONDS) for write in writes}
    assert statuses <= {200, 404, 503}
    assert 200 in statuses


def test_fifty_calls_at_once_have_no_more_connections_than_a_process_may(client, pool, db, generation_factory):
    made = generation_factory(2)["id"]
    paths = ["generations?limit=100", "library", f"generations/{made}", "stats"]

    answers = [
        pool.submit(lambda path=paths[n % 4]: client().get(f"/api/history/{path}").status_code) for n in range(50)
    ]

    assert {answer.result(WAIT_SECONDS) for answer in answers} == {200}
    [(count,)] = db.rows(
        "select count(*) from pg_stat_activity where usename = 'history_api' and datname = current_database()"
    )
    assert count <= MAX_CONNECTIONS


def test_two_calls_run_at_the_same_time(client, pool, monkeypatch, generation_factory):
    """Each waits within its route for the other one."""
    made = generation_factory(1)["id"]
    both = threading.Barrier(2)
    history = api.history
    monkeypatch.setattr("history.generations.get_generation.history", lambda: (both.wait(WAIT_SECONDS), history())[1])

    calls: list[Future[int]] = [
        pool.submit(lambda: client().get(f"/api/history/generations/{made}").status_code) for _ in range(2)
    ]

    assert [call.result(WAIT_SECONDS) for call in calls] == [200, 200]


def in_turn(pool: ThreadPoolExecutor, method: str, path: str, held: threading.Event) -> Callable[[], bool]:
    """Whether a call has its turn, which it keeps until the event."""
    entered = threading.Event()

    def call() -> None:
        with turn_of(method, path):
            entered.set()
            assert held.wait(WAIT_SECONDS)

    pool.submit(call)
    return entered.is_set


@pytest.mark.parametrize(
    ("method", "path", "at_once"),
    [
        ("GET", "/history/generations", turns.PAGES_AT_ONCE),
        ("GET", "/api/history/library/", turns.PAGES_AT_ONCE),
        ("GET", "/history/stats", turns.READS_AT_ONCE),
        ("POST", "/history/generations", turns.WRITES_AT_ONCE),
        ("DELETE", "/history/generations/018f0000-0000-7000-8000-000000000000", turns.WRITES_OF_ONE_AT_ONCE),
        ("PATCH", "/history/generations/018F0000-0000-7000-8000-000000000000", turns.WRITES_OF_ONE_AT_ONCE),
    ],
)
def test_no_more_calls_of_a_kind_have_their_turn_at_once(pool, monkeypatch, method: str, path: str, at_once: int):
    monkeypatch.setattr(turns, "_turns", Turns())
    go_on = threading.Event()
    entered = [in_turn(pool, method, path, go_on) for _ in range(at_once + 3)]
    eventually(lambda: sum(is_in() for is_in in entered) == at_once)
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(turns, "LOCK_WAIT_SECONDS", 0.01)

    with pytest.raises(Unavailable, match="are busy with"), turn_of(method, path):
        pass

    go_on.set()
    eventually(lambda: all(is_in() for is_in in entered))


def test_a_call_that_fails_gives_its_turn_back(monkeypatch):
    made = Turns()
    monkeypatch.setattr(turns, "_turns", made)
    assert as_uuid("018f0000-0000-7000-8000-000000000000")
    for _ in range(20):
        with pytest.raises(ZeroDivisionError), turn_of("GET", "/history/generations"):
            _ = 1 / 0
    assert not made._running
