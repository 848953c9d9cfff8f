"""A database that fails over: what takes no writes, or is gone, is dropped and asked again; nothing stays broken."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import conninfo

from generation_history.db import database
from generation_history.db.database import ATTEMPTS, Database
from generation_history.errors import HistoryError, NotConfigured, Unavailable
from generation_history.record.generation_manager import GenerationManager
from generation_history.work.worker import from_settings
from scripts.local import ports
from scripts.local.postgres import Postgres
from scripts.operate.create_logins import create_logins
from scripts.operate.migrate import migrate
from tests.conftest import PASSWORDS
from tests.support.pgbouncer import pgbouncer, program

AD = ("https://video.example/ad", "url", ["soft"], None)
ONE = ("select 1 as one", {})


@pytest.fixture
def ours(db) -> Iterator[Database]:
    made = Database(db.api, setting="DATABASE_URL")
    yield made
    made.close()


def demote(kept: Database) -> None:
    """What is kept is read-only from now on, as when its server became a standby."""
    for connection in kept._idle:
        connection.execute("set session characteristics as transaction read only")


def pid(of: Database) -> int:
    return of.run(None, ("select pg_backend_pid() as pid", {}))[0]["pid"]


# ---------------------------------------------------------------- a session that takes no writes


def test_a_write_on_a_demoted_connection_is_done_on_another_one(manager, db):
    manager.list_generations()
    before = pid(manager._db)
    demote(manager._db)

    assert manager.create_generation(*AD)
    assert pid(manager._db) != before


def test_a_worker_goes_on_with_another_connection(db, spaces, sora, generation_factory):
    generation_factory(1, submit=True)
    worker = from_settings()
    try:
        worker.run(seconds=600)
        demote(database.connect(db.worker, setting="WORKER_DATABASE_URL"))
        db.rows("update jobs set run_at = now() where lease_token is null")

        worker.run(seconds=600)
    finally:
        worker.close()


@pytest.fixture
def read_only(db) -> Iterator[Callable[[bool], None]]:
    """Makes this database read-only or not, for new connections, and cuts those there are, as a failover does."""
    name = conninfo.conninfo_to_dict(db.api)["dbname"]

    def switch(on: bool) -> None:  # noqa: FBT001
        with psycopg.connect(db.admin, autocommit=True, options="-c default_transaction_read_only=off") as admin:
            admin.execute(f"alter database {name} set default_transaction_read_only = {'on' if on else 'off'}")
            if on:
                admin.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid()"
                )

    yield switch
    switch(False)


def test_a_write_meanwhile_is_unavailable_and_the_next_one_is_taken(manager, read_only):
    manager.list_generations()
    read_only(True)
    with pytest.raises(Unavailable, match="read-only"):
        manager.create_generation(*AD)
    read_only(False)

    assert manager.create_generation(*AD)


def test_reads_go_on_meanwhile(manager, read_only):
    manager.create_generation(*AD)
    read_only(True)

    assert len(manager.list_generations()) == 1


def test_the_id_of_a_paid_job_is_recorded_once_the_database_takes_writes_again(scenes, provider, db, read_only):
    scenes.add()
    # Its list hides prompts, as some relatives' do: what is not recorded now cannot be found.
    provider.find = lambda *_args, **_kinds: []
    over = threading.Timer(1, read_only, [False])

    def fail_over(_: object) -> None:
        provider.after_submit = lambda _: None
        read_only(True)
        over.start()

    provider.after_submit = fail_over
    try:
        scenes.step()
    finally:
        over.join()

    assert db.rows("select sora_video_id from attempts") == [("video_0",)]


@pytest.fixture
def pooled(postgres, db, tmp_path: Path) -> Iterator[Database]:
    """The api's database through PgBouncer, which has one session for all of its clients."""
    if program() is None:
        pytest.skip("PgBouncer is not here: install the package pgbouncer")
    with pgbouncer(tmp_path / "pooler", server_port=postgres.port, passwords=PASSWORDS) as port:
        made = Database(db.api.replace(f":{postgres.port}/", f":{port}/"), setting="DATABASE_URL")
        yield made
        made.close()


def test_a_session_of_a_read_only_moment_does_not_stay_in_a_pool(pooled: Database, read_only):
    """The pooler would keep it for an hour, and hand it to everyone."""
    read_only(True)
    manager = GenerationManager(uuid4(), db=pooled)
    assert manager.list_generations() == []
    read_only(False)

    assert manager.create_generation(*AD)


# ---------------------------------------------------------------- a primary that really was demoted


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Postgres]:
    """A server of this test's own, with everything migrated."""
    with Postgres(tmp_path / "data", port=ports.free_port(), password="postgres", settings={"fsync": "off"}) as server:
        create_logins(server.admin_url, PASSWORDS)
        migrate(server.url("postgres", "history_migrate", PASSWORDS["history_migrate"]))
        yield server


def test_a_primary_that_became_a_standby_shows_and_takes_nothing_until_it_is_one_again(cluster: Postgres):
    url = cluster.url("postgres", "history_api", PASSWORDS["history_api"])
    manager = GenerationManager(uuid4(), db=Database(url, setting="DATABASE_URL"))
    manager.create_generation(*AD)
    cluster.stop()
    (cluster.data / "standby.signal").touch()
    cluster.start()

    assert len(manager.list_generations()) == 1
    # What it shows is getting old: it is not kept.
    assert manager._db._idle == []
    with pytest.raises(Unavailable, match="read-only"):
        manager.create_generation(*AD)
    # Of several hosts, the one that takes writes is meant.
    several = Database(url.replace("@", f"@{ports.LOOPBACK}:{cluster.port},"), setting="DATABASE_URL")
    with pytest.raises(Unavailable):
        several.run(None, ONE)

    with psycopg.connect(cluster.admin_url, autocommit=True) as admin:
        assert admin.execute("select pg_promote()").fetchone() == (True,)
    assert manager.create_generation(*AD)
    assert several.run(None, ONE) == [{"one": 1}]
    several.close()
    manager._db.close()


# ---------------------------------------------------------------- each kind of error


@pytest.mark.parametrize(
    ("sqlstate", "attempts"),
    [
        ("08000", ATTEMPTS),
        ("08006", ATTEMPTS),
        ("08P01", ATTEMPTS),  # PgBouncer, in its own name
        ("25006", ATTEMPTS),  # a standby, a read-only moment
        ("25001", ATTEMPTS),  # a session in another state than we left it
        ("25P02", ATTEMPTS),
        ("25P03", ATTEMPTS),  # ended because it stood still
        ("26000", ATTEMPTS),  # a pooler's session lacks what another had
        ("40001", ATTEMPTS),
        ("40P01", ATTEMPTS),
        ("53100", ATTEMPTS),  # no disk
        ("53300", ATTEMPTS),
        ("55000", ATTEMPTS),  # recovery is in progress
        ("57P01", ATTEMPTS),  # shut down
        ("57P02", ATTEMPTS),  # crashed
        ("57P03", ATTEMPTS),  # starting up
        ("58030", ATTEMPTS),
        ("57014", 1),
        ("55P03", 1),
        ("25P04", 1),
    ],
)
def test_what_the_database_or_a_pooler_is_to_blame_for_is_unavailable(db, ours: Database, sqlstate: str, attempts: int):
    db.rows(f"""
        create sequence tries; grant usage on sequence tries to history_api;
        create function fail() returns integer language plpgsql as $$
        begin perform nextval('tries'); raise exception 'no' using errcode = '{sqlstate}'; end $$
    """)

    with pytest.raises(Unavailable):
        ours.run(None, ("select fail()", {}))

    assert db.rows("select last_value from tries") == [(attempts,)]
    assert ours.run(None, ONE) == [{"one": 1}]


@pytest.mark.parametrize("sqlstate", ["22000", "23514", "42501", "42883", "XX000", "P0001"])
def test_what_a_statement_is_to_blame_for_is_not(db, ours: Database, sqlstate: str):
    db.rows(f"""
        create function fail() returns integer language plpgsql as $$
        begin raise exception 'no' using errcode = '{sqlstate}'; end $$
    """)
    before = pid(ours)

    with pytest.raises(HistoryError) as failed:
        ours.run(None, ("select fail()", {}))

    assert not isinstance(failed.value, Unavailable)
    assert pid(ours) == before


def test_a_statement_that_somebody_else_cancelled_leaves_the_connection_usable(db, ours: Database):
    before = pid(ours)
    ends = "select pg_cancel_backend(pg_backend_pid()), pg_sleep(1)"

    with pytest.raises(Unavailable):
        ours.run(None, (ends, {}))

    assert pid(ours) == before


def test_a_database_that_is_not_in_utf_8_is_refused_by_name(postgres):
    """It would take what ASCII has, and answer the rest with an error of ours."""
    name = f"latin_{uuid4().hex}"
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {name} encoding 'LATIN1' locale 'C' template template0")
        refused = Database(postgres.url(name, "history_api", PASSWORDS["history_api"]), setting="DATABASE_URL")

        with pytest.raises(NotConfigured, match=r"^DATABASE_URL: the database is in LATIN1, not in UTF8"):
            refused.run(None, ONE)
        admin.execute(f"drop database {name} with (force)")
