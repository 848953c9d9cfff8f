"""A client that stands still within a transaction: it cannot, and if it is not ours, what it holds ends soon."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from time import monotonic, sleep
from uuid import uuid4

import psycopg
import pytest

from generation_history.db import database, one_write
from generation_history.db.database import Database
from generation_history.errors import Unavailable
from generation_history.provider_settings import Limits
from scripts.local.tcp_proxy import MUTE, TcpProxy
from scripts.operate.create_logins import LOGIN_SETTINGS

ONE = ("select 1 as one", {})
SOON_SECONDS = 10


@pytest.fixture
def stalled(db) -> Iterator[Callable[..., psycopg.Connection]]:
    """A connection that was stopped in the middle of a transaction's pipeline."""
    made: list[psycopg.Connection] = []

    def stall(url: str, owner_id: object, statement: str, *parameters: object) -> psycopg.Connection:
        connection = psycopg.connect(url, autocommit=True, prepare_threshold=None)
        made.append(connection)
        connection.pipeline().__enter__()
        connection.execute("begin")
        connection.execute("select set_config('app.owner_id', %s, true)", [str(owner_id)])
        connection.execute(statement, parameters)
        # What psycopg has not sent yet; no Sync: as if SIGSTOP came between this statement and the next one.
        connection.pgconn.send_flush_request()
        while connection.pgconn.flush():
            pass
        wait_until(lambda: db.rows(STALLED))
        return connection

    yield stall
    for connection in made:
        connection.pgconn.finish()


STALLED = """
    select pid from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and wait_event = 'ClientRead'
        and xact_start is not null
"""


def wait_until(condition: Callable[[], object]) -> None:
    late = monotonic() + SOON_SECONDS
    while not condition():
        assert monotonic() < late
        sleep(0.01)


def set_on_logins(db, **settings: str) -> None:
    """The logins' settings in this test's database alone."""
    [(name,)] = db.rows("select current_database()")
    for login in ("history_api", "history_worker"):
        for setting, value in settings.items():
            db.rows(f"alter role {login} in database {name} set {setting} = '{value}'")


# ---------------------------------------------------------------- ours leave in one write


def segments_sent(connection: psycopg.Connection) -> int:
    """How often the connection has sent anything: tcpi_data_segs_out of Linux's struct tcp_info."""
    with socket.socket(fileno=socket.dup(connection.fileno())) as same:
        return struct.unpack_from("I", same.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 156)[0]


def test_a_transaction_is_on_its_way_as_a_whole_or_not_at_all(db):
    """Its statements, and the commit, leave in one write: whoever stops can stop before it, or after it."""
    ours = Database(db.api, setting="DATABASE_URL")
    ours.run(uuid4(), ONE)
    [connection] = ours._idle
    before = segments_sent(connection)

    # Also where the answers are still to come when all is sent.
    ours.run(uuid4(), *[ONE] * 20, ("select pg_sleep(0.05)", {}))

    assert segments_sent(connection) - before == 1
    ours.close()


def test_a_transaction_larger_than_a_buffer_is_done_all_the_same(db):
    ours = Database(db.api, setting="DATABASE_URL")
    text = "x" * 3_000_000

    rows = ours.run_each(uuid4(), *[("select %(text)s::text as text, length(%(text)s::text)", {"text": text})] * 3)

    assert [[row["length"] for row in each] for each in rows] == [[len(text)]] * 3
    ours.close()


# ---------------------------------------------------------------- others' end by themselves


@pytest.mark.parametrize("login", ["api", "worker"])
def test_the_lock_on_a_generation_ends_by_itself(db, manager, generation_factory, stalled, login: str):
    """By transaction_timeout, on servers that know it."""
    generation = generation_factory(1)
    set_on_logins(db, transaction_timeout="500ms")
    manager._db.close()
    stalled(getattr(db, login), manager.owner_id, "select lock_generation(%s)", generation["id"])

    assert manager.delete_generation(generation["id"])


def test_one_stalled_worker_does_not_stop_all_submitting(db, scenes, provider, stalled):
    scenes.add()
    set_on_logins(db, transaction_timeout="500ms")
    stalled(db.worker, "", "select pg_advisory_xact_lock(hashtext('admit_submission'))")

    scenes.step(limits=Limits(most_running=10))

    assert len(provider.posts) == 1


def test_the_logins_end_what_stands_still_before_a_web_call_ends():
    assert LOGIN_SETTINGS["transaction_timeout"] == f"{database.STALLED_SECONDS}s"


@pytest.fixture
def impatient(db, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a server before 17, and whatever stands still for a moment has stood still for long."""
    set_on_logins(db, transaction_timeout="0", lock_timeout="300ms")
    monkeypatch.setattr(database, "STALLED_SECONDS", 0.1)


@pytest.mark.usefixtures("impatient")
def test_whoever_waited_in_vain_ends_what_stood_still(db, worker_db: Database, stalled):
    """Of its own login: another's stays, and is in nobody's way here."""
    which = ("select pg_backend_pid() as pid", {})
    before = worker_db.run(None, which)
    anothers = stalled(db.api, "", "select pg_advisory_xact_lock(1)").info.backend_pid
    stalled(db.worker, "", "select pg_advisory_xact_lock(hashtext('admit_submission'))")
    submit = ("select reserve_budget(null, 0, 10, null, null)", {})
    with pytest.raises(Unavailable, match="too long"):
        worker_db.run(None, submit)

    assert worker_db.run(None, submit)
    assert worker_db.run(None, which) == before
    assert db.rows(STALLED) == [(anothers,)]


@pytest.mark.usefixtures("impatient")
def test_what_only_works_for_long_or_is_another_logins_is_left_alone(db, worker_db: Database, stalled):
    stalled(db.api, "", "select pg_advisory_xact_lock(1)")
    with closing(psycopg.connect(db.worker)) as at_work:
        at_work.execute("set statement_timeout = 0")
        at_work.execute("select pg_advisory_xact_lock(2)")
        at_work.pgconn.send_query(b"select pg_sleep(30)")
        while at_work.pgconn.flush():
            pass
        wait_until(lambda: db.rows("select 1 from pg_stat_activity where wait_event = 'PgSleep'"))
        for lock in (1, 2):
            with pytest.raises(Unavailable):
                worker_db.run(None, ("select pg_advisory_xact_lock(%(lock)s)", {"lock": lock}))

        held = "select objid::int from pg_locks where locktype = 'advisory' and granted order by 1"
        assert db.rows(held) == [(1,), (2,)]
        db.rows("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'")


# ---------------------------------------------------------------- a database that says nothing


def test_a_database_that_never_answers_is_given_up(db, postgres, monkeypatch: pytest.MonkeyPatch):
    """As behind a pooler that is full, or a host that stands still."""
    monkeypatch.setattr(one_write, "CALL_SECONDS", 0.5)
    monkeypatch.setattr(database, "LAST_ATTEMPT_SECONDS", 0.1)
    with TcpProxy(postgres.port) as proxy:
        ours = Database(db.api.replace(f":{postgres.port}/", f":{proxy.port}/"), setting="DATABASE_URL")
        assert ours.run(None, ONE) == [{"one": 1}]
        with pytest.raises(Unavailable):
            ours.run(None, ("select pg_sleep(15)", {}))

        proxy.fate = lambda: MUTE
        assert ours._idle == []
        ours.close()
