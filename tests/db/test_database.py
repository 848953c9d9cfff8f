"""Database: whole transactions or none, what is tried again, how many connections, and what its errors say."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread
from uuid import uuid4

import psycopg
import pytest

from generation_history.db import database
from generation_history.db.database import ATTEMPTS, Database
from generation_history.errors import HistoryError, InvalidValue, NotConfigured, Unavailable
from generation_history.record.generation_manager import GenerationManager

SECRET = "s3cr3t-w0rd"
ONE = ("select 1 as one", {})


@pytest.fixture
def ours(db) -> Iterator[Database]:
    made = Database(db.api, setting="DATABASE_URL")
    yield made
    made.close()


@pytest.fixture
def tries(db):
    """A sequence, whose numbers no rollback takes back: nextval('tries') counts attempts."""
    db.rows("create sequence tries; grant usage on sequence tries to history_api")
    return lambda: db.rows("select last_value from tries")[0][0]


OURS = "from pg_stat_activity where application_name = 'generation-history' and datname = current_database()"


def connections(db) -> int:
    return db.rows(f"select count(*) {OURS}")[0][0]


def end_all_connections(db) -> None:
    assert all(ended for (ended,) in db.rows(f"select pg_terminate_backend(pid, 5000) {OURS}"))


# ---------------------------------------------------------------- whole or not at all


def test_statements_are_one_transaction_under_the_owner(ours: Database):
    owner = uuid4()
    who = "select current_setting('app.owner_id') as owner, pg_current_xact_id()::text as transaction"

    [first] = ours.run(owner, (who, {}))
    [again] = ours.run(owner, ONE, (who, {}))
    [nobody] = ours.run(None, (who, {}))

    assert (first["owner"], again["owner"], nobody["owner"]) == (str(owner), str(owner), "")
    assert first["transaction"] != again["transaction"]


@pytest.mark.parametrize("error", ["select 1 / 0", "select no_such_column", "select %(x)s::uuid"])
def test_an_error_undoes_all_statements_and_leaves_the_connection_usable(db, ours: Database, error: str):
    db.rows("create table notes (text text); grant select, insert on notes to history_api")
    note = ("insert into notes values ('x')", {})

    with pytest.raises(HistoryError):
        ours.run(None, note, (error, {"x": "no uuid"}), note)

    assert ours.run(None, ("select * from notes", {})) == []
    assert ours.run(None, ONE) == [{"one": 1}]
    assert connections(db) == 1


def test_a_value_that_the_driver_cannot_send_leaves_the_connection_usable(db, ours: Database):
    with pytest.raises(HistoryError):
        ours.run(None, ONE, ("select %(x)s", {"x": object()}))

    assert ours.run(None, ONE) == [{"one": 1}]
    assert connections(db) == 1


# ---------------------------------------------------------------- what is tried again


@pytest.mark.parametrize(
    ("sqlstate", "attempts"),
    [
        ("40P01", ATTEMPTS),  # deadlock
        ("40001", ATTEMPTS),  # serialization failure
        ("57P01", ATTEMPTS),  # shutdown
        ("53300", ATTEMPTS),  # too many connections
        ("57014", 1),  # statement timeout
        ("55P03", 1),  # lock timeout: three of them outlast a web call
        ("23514", 1),
        ("22000", 1),
        ("42501", 1),
        ("XX000", 1),
    ],
)
def test_what_may_pass_is_tried_again_and_nothing_else(db, ours: Database, tries, sqlstate: str, attempts: int):
    db.rows(
        f"""
        create function fail() returns integer language plpgsql as $$
        begin perform nextval('tries'); raise exception 'no' using errcode = '{sqlstate}'; end $$
        """
    )

    with pytest.raises(HistoryError) as failed:
        ours.run(None, ("select fail()", {}))

    assert tries() == attempts
    assert isinstance(failed.value, Unavailable) == (attempts > 1 or sqlstate in {"57014", "55P03"})
    assert ours.run(None, ONE) == [{"one": 1}]


def test_a_connection_that_ends_in_mid_transaction_is_made_anew(ours: Database, tries):
    cut = "select case when nextval('tries') < 3 then pg_terminate_backend(pg_backend_pid()) end"

    assert ours.run(None, (cut, {}), ONE) == [{"one": 1}]
    assert tries() == ATTEMPTS


def test_connections_that_ended_between_calls_are_not_noticed(db, manager, generation_factory):
    """As after a failover, or when a pooler was restarted: also where several were kept."""
    generation = generation_factory()
    at_once = Barrier(5)
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: (at_once.wait(), manager._db.run(None, ("select pg_sleep(0.1)", {}))), range(5)))
    assert connections(db) > ATTEMPTS
    end_all_connections(db)

    assert manager.get_generation(generation["id"]) == generation
    assert manager.update_generation_status(generation["id"], "failed")["status"] == "failed"


def test_a_row_that_somebody_holds_gives_an_error_and_not_a_hang(db, generation_factory, manager):
    generation = generation_factory()
    hasty = GenerationManager(manager.owner_id, db=Database(f"{db.api}?options=-c%20lock_timeout%3D300", setting="X"))
    with psycopg.connect(db.admin) as connection:
        connection.execute("select from generations for update")
        with pytest.raises(Unavailable, match="too long"):
            hasty.update_generation_status(generation["id"], "failed")
        connection.rollback()

    assert hasty.update_generation_status(generation["id"], "failed")["status"] == "failed"
    hasty._db.close()


# ---------------------------------------------------------------- who may connect


@pytest.mark.parametrize("login", ["migrate", "admin"])
def test_a_login_that_row_level_security_does_not_bind_is_shown_nothing(db, generation_factory, login: str):
    """The tables' owner or a superuser in DATABASE_URL would be given every owner's rows as its own."""
    generation_factory()
    unbound = Database(getattr(db, login), setting="DATABASE_URL")

    for _ in range(2):
        with pytest.raises(NotConfigured, match=r"^DATABASE_URL: row level security does not bind the login \w+"):
            unbound.run(uuid4(), ("select * from generations", {}))

    assert connections(db) == 1  # the manager's


def test_a_login_that_may_not_is_named_by_its_setting(db):
    other = Database(db.worker, setting="DATABASE_URL")

    with pytest.raises(NotConfigured, match=r"^DATABASE_URL[^\n]*permission denied for table generation_metadata$"):
        other.run(uuid4(), ("select * from generation_metadata", {}))
    other.close()


def test_a_database_that_is_not_migrated_is_named_by_its_setting(blank):
    empty = Database(blank.api, setting="DATABASE_URL")

    with pytest.raises(NotConfigured, match=r"^DATABASE_URL: [^\n]*scripts/migrate[^\n]*generations"):
        empty.run(uuid4(), ONE)


@pytest.mark.parametrize("old", ["select no_such_column from generations", "select no_such()", "select from no_such"])
def test_a_database_of_an_older_version_is_named_by_its_setting(ours: Database, old: str):
    with pytest.raises(NotConfigured, match=r"^DATABASE_URL: [^\n]*scripts/migrate"):
        ours.run(uuid4(), (old, {}))


def test_a_call_on_a_connection_that_is_there_is_one_round_trip(ours: Database, tmp_path):
    ours.run(uuid4(), ONE)
    [connection] = ours._idle
    with (tmp_path / "trace").open("w+b") as trace:
        connection.pgconn.trace(trace.fileno())
        ours.run(uuid4(), ONE, ONE)
        connection.pgconn.untrace()

        trace.seek(0)
        assert trace.read().count(b"ReadyForQuery") == 1


# ---------------------------------------------------------------- how many connections


def test_one_call_after_another_needs_one_connection(db, ours: Database):
    for _ in range(20):
        ours.run(None, ONE)

    assert connections(db) == 1


def test_threads_that_come_and_go_leave_no_connections_behind(db, ours: Database):
    """A web server may answer every request in a new thread."""
    for _ in range(20):
        thread = Thread(target=ours.run, args=(None, ONE))
        thread.start()
        thread.join()

    assert connections(db) == 1


def test_calls_at_once_do_not_mix(ours: Database):
    owners = [uuid4() for _ in range(8)]
    at_once = Barrier(len(owners))

    def ask(owner) -> set[str]:
        at_once.wait()
        query = ("select current_setting('app.owner_id') as owner", {})
        return {ours.run(owner, query)[0]["owner"] for _ in range(20)}

    with ThreadPoolExecutor(len(owners)) as pool:
        assert list(pool.map(ask, owners)) == [{str(owner)} for owner in owners]


def test_a_closed_database_connects_again(db, ours: Database):
    ours.run(None, ONE)
    ours.close()
    assert connections(db) == 0
    ours.close()

    assert ours.run(None, ONE) == [{"one": 1}]


def test_a_process_has_one_database_of_a_url(db):
    assert database.connect(db.api, setting="DATABASE_URL") is database.connect(db.api, setting="DATABASE_URL")


# ---------------------------------------------------------------- what its errors say


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("", NotConfigured, "is not set"),
        ("none", NotConfigured, "is not set"),
        ("{with_another_password}", Unavailable, "password authentication failed"),
        (f"postgresql://api:{SECRET}@nowhere.invalid/name", Unavailable, "nowhere.invalid"),
        (f"postgresql://api:{SECRET}@127.0.0.1:1/name", Unavailable, "127.0.0.1:1"),
        (f"mysql://api:{SECRET}@host/name", NotConfigured, "postgresql://login:password@host/name"),
        (f"api:{SECRET}@host", NotConfigured, "postgresql://login:password@host/name"),
        (f"password={SECRET} nonsense", NotConfigured, "postgresql://login:password@host/name"),
        (f"postgresql://api:%zz{SECRET}@host/name", NotConfigured, "postgresql://login:password@host/name"),
        (f"postgresql://api:pass@{SECRET}@host/name", NotConfigured, "postgresql://login:password@host/name"),
        (f"postgresql://api:{SECRET}/word@host/name", NotConfigured, "postgresql://login:password@host/name"),
        (f"postgresql://api:{SECRET}@host/name?nonsense=1", NotConfigured, "postgresql://login:password@host/name"),
    ],
    ids=range(12),
)
def test_a_wrong_url_is_one_line_that_names_the_setting_and_never_the_password(
    postgres, monkeypatch: pytest.MonkeyPatch, url: str, error: type[HistoryError], said: str
):
    with_another_password = postgres.url("postgres", "history_api", SECRET)
    monkeypatch.setenv("DATABASE_URL", url.format(with_another_password=with_another_password))

    with pytest.raises(error, match=r"^DATABASE_URL[^\n]+$") as failed:
        GenerationManager(uuid4()).list_generations()

    assert said in str(failed.value)
    seen: BaseException | None = failed.value
    while seen:  # what a log shows, too
        assert SECRET not in str(seen)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def test_an_error_of_the_database_never_repeats_the_password(ours: Database):
    for statement in ("select 1 / 0", "select no_such", "select * from schema_migrations"):
        with pytest.raises(HistoryError) as failed:
            ours.run(None, (statement, {}))
        assert "history_api-password" not in f"{failed.value!r} {failed.value.__cause__!r}"


def test_data_that_no_column_takes_is_an_invalid_value(ours: Database):
    with pytest.raises(InvalidValue):
        ours.run(None, ("select %(x)s::integer", {"x": "x"}))
