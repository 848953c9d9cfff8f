"""scripts/migrate: what is applied, what is refused, and what a failure leaves behind."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from scripts.operate import migrate as command
from scripts.operate.migrate import ADVISORY_LOCK, FOLDER, MigrationError, migrate

SECRET = "s3cr3t-w0rd"
Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Makes the folder hold these migrations, given by name without .sql, and no others."""

    def make(**files: str) -> Path:
        made = tmp_path / "migrations"
        made.mkdir(exist_ok=True)
        for old in made.iterdir():
            old.unlink()
        for name, sql in files.items():
            (made / f"{name}.sql").write_text(sql)
        return made

    return make


@pytest.fixture
def tables(blank) -> Callable[[], set[str]]:
    """Reads which tables there are, but for the list of migrations."""
    query = "select tablename from pg_tables where schemaname = 'public' and tablename <> 'schema_migrations'"
    return lambda: {name for (name,) in blank.rows(query)}


@pytest.fixture
def in_the_way(blank) -> Iterator[psycopg.Connection]:
    """Another session, whose transaction is open."""
    with psycopg.connect(blank.admin) as connection:
        yield connection
        connection.rollback()


# ---------------------------------------------------------------- what is applied


def test_migrations_are_applied_in_order_and_once(blank, folder: Folder, tables):
    path = folder(**{"002_b": "create table b (like a)", "001_a": "create table a (x int)"})

    assert migrate(blank.migrate, path) == ["001_a.sql", "002_b.sql"]
    assert migrate(blank.migrate, path) == []
    assert tables() == {"a", "b"}


def test_a_new_migration_is_all_that_a_later_run_applies(blank, folder: Folder):
    migrate(blank.migrate, folder(**{"001_a": "create table a ()"}))

    assert migrate(blank.migrate, folder(**{"001_a": "create table a ()", "002_b": "create table b ()"})) == [
        "002_b.sql"
    ]


def test_the_real_migrations_apply_to_an_empty_database_and_then_change_nothing(blank, tables):
    assert migrate(blank.migrate) == sorted(path.name for path in FOLDER.glob("[0-9]*.sql"))
    assert migrate(blank.migrate) == []
    assert {"generations", "variants", "scenes", "generation_metadata"} <= tables()


def test_the_schema_beside_the_migrations_is_none_of_them(blank, folder: Folder, tables):
    """It is for reading (scripts/schema)."""
    path = folder(**{"001_a": "create table a ()", "schema": "create table b ()"})

    assert migrate(blank.migrate, path) == ["001_a.sql"]
    assert tables() == {"a"}


def test_a_schema_alone_is_no_migration(blank, folder: Folder):
    with pytest.raises(MigrationError, match="no migrations"):
        migrate(blank.migrate, folder(schema="create table b ()"))


def test_line_endings_are_no_change(blank, folder: Folder):
    """The same commit is checked out with other line endings elsewhere."""
    migrate(blank.migrate, folder(**{"001_a": "create table a (\n  x int\n)"}))
    path = folder()
    (path / "001_a.sql").write_bytes(b"create table a (\r\n  x int\r\n)")

    assert migrate(blank.migrate, path) == []


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("later", "named", "reason"),
    [
        ({"001_a": "create table a (x int)", "003_c": "select 1"}, "001_a.sql", "changed"),
        ({"003_c": "select 1"}, "001_a.sql", "missing"),
        ({"001_b": "create table a ()", "003_c": "select 1"}, "001_a.sql", "missing"),
        ({}, "migrations", "no migrations"),
        ({"001_a": "create table a ()", "003_c": "select 1", "003_d": "select 1"}, "003_c.sql and 003_d.sql", "same"),
        ({"001_a": "create table a ()", "002_b": "select 1", "003_c": "select 1"}, "002_b.sql", "before 003_c.sql"),
        ({"001_a": "create table a ()", "003_c": "select 1", "4_d": "select 1"}, "4_d.sql", "named like"),
        ({"001_a": "create table a ()", "003_c": "select 1", "004_D e": "select 1"}, "004_D e.sql", "named like"),
    ],
    ids=["changed", "missing", "renamed", "all missing", "twice", "too late", "no number", "odd name"],
)
def test_a_folder_that_does_not_fit_the_database_is_refused_by_the_name_of_the_file(
    blank, folder: Folder, tables, later: dict[str, str], named: str, reason: str
):
    migrate(blank.migrate, folder(**{"001_a": "create table a ()", "003_c": "select 1"}))

    with pytest.raises(MigrationError) as refused:
        migrate(blank.migrate, folder(**later))

    assert named in str(refused.value)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    assert tables() == {"a"}


def test_a_file_that_is_not_utf_8_is_refused_by_its_name(blank, folder: Folder):
    path = folder()
    (path / "001_a.sql").write_bytes(b"select '\xff'")

    with pytest.raises(MigrationError, match=r"^001_a\.sql: "):
        migrate(blank.migrate, path)


def test_a_failing_migration_leaves_nothing_of_itself_and_those_before_it_whole(blank, folder: Folder, tables):
    broken = "create table b ();\ninsert into b values (1);\ncreate table c ()"

    with pytest.raises(MigrationError, match=r"^002_b\.sql: [^\n]+$"):
        migrate(blank.migrate, folder(**{"001_a": "create table a ()", "002_b": broken, "003_d": "create table d ()"}))

    assert tables() == {"a"}
    assert blank.rows("select name from schema_migrations") == [("001_a.sql",)]
    mended = folder(**{"001_a": "create table a ()", "002_b": "create table b ()", "003_d": "create table d ()"})
    assert migrate(blank.migrate, mended) == ["002_b.sql", "003_d.sql"]


# ---------------------------------------------------------------- at once, and in the way


def test_two_runs_at_once_apply_each_migration_once(blank, folder: Folder, tables):
    path = folder(**{f"{n:03}_t": f"select pg_sleep(0.05); create table t{n} ()" for n in range(1, 6)})
    together = threading.Barrier(2)

    def run(_: int) -> list[str]:
        together.wait()
        return migrate(blank.migrate, path)

    with ThreadPoolExecutor(2) as pool:
        applied = [name for names in pool.map(run, range(2)) for name in names]

    assert sorted(applied) == sorted(file.name for file in path.iterdir())
    assert tables() == {f"t{n}" for n in range(1, 6)}


def test_a_run_waits_for_another_one_longer_than_for_a_table(
    blank, folder: Folder, in_the_way, monkeypatch: pytest.MonkeyPatch
):
    """A second deployment waits for the first one's long migration instead of failing."""
    monkeypatch.setattr(command, "LOCK_TIMEOUT", "50ms")
    in_the_way.execute("select pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
    path = folder(**{"001_a": "create table a ()"})
    waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted and now() - waitstart > '0.2 s'"

    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(migrate, blank.migrate, path)
        while not run.done() and not blank.rows(waiting):
            time.sleep(0.01)
        in_the_way.rollback()

        assert run.result() == ["001_a.sql"]


def test_a_table_that_somebody_holds_gives_an_error_and_not_a_hang(
    blank, folder: Folder, in_the_way, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(command, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(command, "STATEMENT_TIMEOUT", "5s")
    files = {"001_a": "create table a ()"}
    migrate(blank.migrate, folder(**files))
    in_the_way.execute("lock table a in access exclusive mode")

    with pytest.raises(MigrationError, match=r"^002_b\.sql: .*lock timeout"):
        migrate(blank.migrate, folder(**files, **{"002_b": "alter table a add x int"}))

    in_the_way.rollback()
    assert migrate(blank.migrate, folder(**files, **{"002_b": "alter table a add x int"})) == ["002_b.sql"]


# ---------------------------------------------------------------- the command


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "is not set"),
        ("{with_another_password}", "password authentication failed"),
        (f"postgresql://history_migrate:{SECRET}@nowhere.invalid/name", "nowhere.invalid"),
        (f"postgresql://history_migrate:{SECRET}@127.0.0.1:1/name", "refused"),
        (f"mysql://history_migrate:{SECRET}@host/name", "postgresql://login:password@host/name"),
        (f"history_migrate:{SECRET}@host", "postgresql://login:password@host/name"),
        (f"password={SECRET} nonsense", "postgresql://login:password@host/name"),
        (f"postgresql://login:%zz{SECRET}@host/name", "postgresql://login:password@host/name"),
        (f"postgresql://login:pass@{SECRET}@host/name", "postgresql://login:password@host/name"),
        (f"postgresql://login:{SECRET}/word@host/name", "postgresql://login:password@host/name"),
        (f"postgresql://login:{SECRET}#word@host/name", "postgresql://login:password@host/name"),
        (f"postgresql://login:{SECRET}?word@host/name", "postgresql://login:password@host/name"),
        (f"postgresql://login:{SECRET}@[host/name", "postgresql://login:password@host/name"),
        (f"postgresql://login:word@host:{SECRET}/name", "postgresql://login:password@host/name"),
    ],
    ids=range(14),
)
def test_a_wrong_url_is_one_line_that_names_the_setting_and_never_the_password(
    postgres, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, said: str
):
    with_another_password = postgres.url("postgres", "history_migrate", SECRET)
    monkeypatch.setenv("MIGRATE_DATABASE_URL", url.format(with_another_password=with_another_password))

    assert command.main([]) == 1

    out, error = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"scripts/migrate: MIGRATE_DATABASE_URL[^\n]+\n", error)
    assert said in error
    assert SECRET not in error


@pytest.mark.usefixtures("blank")
def test_the_command_says_what_it_applied_and_then_that_nothing_is_left(capsys: pytest.CaptureFixture[str]):
    assert command.main([]) == 0
    assert capsys.readouterr() == ("".join(f"applied {path.name}\n" for path in sorted(FOLDER.glob("[0-9]*.sql"))), "")
    assert command.main([]) == 0
    assert capsys.readouterr() == ("the database is up to date\n", "")


@pytest.mark.usefixtures("blank")
def test_the_command_says_why_a_migration_failed(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    path = folder(**{"001_a": "create table a (x nonsense)"})
    monkeypatch.setattr(command, "migrate", lambda url: migrate(url, path))

    assert command.main([]) == 1

    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith('scripts/migrate: 001_a.sql: type "nonsense" does not exist')
    assert error.count("\n") == 1
