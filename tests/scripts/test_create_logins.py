"""scripts/create-logins: three logins that row level security binds."""

import re
from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest

from generation_history.errors import HistoryError
from scripts.operate import create_logins as command
from scripts.operate.create_logins import LOGIN_SETTINGS, LOGINS, create_logins
from scripts.operate.migrate import migrate
from tests.conftest import PASSWORDS

SECRET = "s3cr3t-w0rd"


@pytest.fixture
def login(blank) -> Iterator[str]:
    """The name of a login that this test alone uses; the server forgets it afterwards."""
    name = f"login_{uuid4().hex[:8]}"
    yield name
    blank.rows(f"drop owned by {name}; drop role {name}")


@pytest.fixture
def enter(postgres) -> Callable[[str, str], list[tuple]]:
    """Logs in and says who it is."""

    def run(name: str, password: str) -> list[tuple]:
        with psycopg.connect(postgres.url("postgres", name, password)) as connection:
            return connection.execute("select current_user").fetchall()

    return run


@pytest.fixture
def urls(blank, monkeypatch: pytest.MonkeyPatch) -> None:
    """All four settings, as they should be."""
    monkeypatch.setenv("ADMIN_DATABASE_URL", blank.admin)
    monkeypatch.setenv("DATABASE_URL", blank.api)
    monkeypatch.setenv("WORKER_DATABASE_URL", blank.worker)


@pytest.mark.parametrize("password", [SECRET, 'it\'s "100%" \\ ?#/@:', "ünï"])
def test_a_login_has_the_password_given_last(blank, login: str, enter, password: str):
    create_logins(blank.admin, {login: "another"})
    create_logins(blank.admin, {login: password})

    assert enter(login, password) == [(login,)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        enter(login, "another")


def test_a_login_carries_the_settings_that_a_pooler_does_not(blank, postgres, login: str):
    create_logins(blank.admin, {login: SECRET})

    with psycopg.connect(postgres.url("postgres", login, SECRET)) as connection:
        shown = {name: connection.execute(f"show {name}").fetchone()[0] for name in LOGIN_SETTINGS}
    assert shown == LOGIN_SETTINGS


def test_the_rights_are_in_the_database_that_the_tables_will_be_in(blank, urls, monkeypatch, capsys):
    """A managed database's own URL names another than the one made for this."""
    admin = blank.admin.rpartition("/")[0] + "/postgres"
    monkeypatch.setenv("ADMIN_DATABASE_URL", admin)
    monkeypatch.setenv("MIGRATE_DATABASE_URL", blank.migrate)

    assert command.main() == 1

    said = capsys.readouterr().err
    assert "ADMIN_DATABASE_URL names the database postgres, MIGRATE_DATABASE_URL " in said


@pytest.mark.parametrize("right", ["superuser", "bypassrls"])
def test_a_login_that_row_level_security_does_not_bind_is_refused(blank, login: str, right: str):
    """It may have been made by hand, before."""
    blank.rows(f"create role {login} login {right}")

    with pytest.raises(HistoryError, match=login):
        create_logins(blank.admin, {login: SECRET})


def test_whoever_may_create_roles_and_owns_the_database_is_enough(blank, postgres, login: str, enter):
    """As DigitalOcean's doadmin, which is no superuser."""
    admin = f"{login}_admin"
    blank.rows(f"create role {admin} login createrole createdb password '{SECRET}'")
    [(database,)] = blank.rows("select current_database()")
    blank.rows(f"alter database {database} owner to {admin}")
    try:
        create_logins(postgres.url(database, admin, SECRET), {login: "another"})
        create_logins(postgres.url(database, admin, SECRET), {login: SECRET})
    finally:
        blank.rows(f"reassign owned by {admin} to postgres; drop owned by {admin}; drop role {admin}")

    assert enter(login, SECRET) == [(login,)]


@pytest.mark.usefixtures("urls")
def test_the_command_takes_names_and_passwords_from_the_urls(blank, enter, capsys: pytest.CaptureFixture[str]):
    assert command.main() == 0

    assert capsys.readouterr() == ("logins ready: history_migrate, history_api, history_worker\n", "")
    assert [enter(name, f"{name}-password") for name in LOGINS] == [[(name,)] for name in LOGINS]
    assert blank.rows("select has_schema_privilege('history_api', 'public', 'create')") == [(False,)]


@pytest.mark.usefixtures("urls")
@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("ADMIN_DATABASE_URL", "", "is not set"),
        ("ADMIN_DATABASE_URL", f"password={SECRET} nonsense", "postgresql://login:password@host/name"),
        ("ADMIN_DATABASE_URL", f"postgresql://admin:{SECRET}@127.0.0.1:1/NAME", "refused"),
        ("DATABASE_URL", "", "is not set"),
        ("DATABASE_URL", f"postgresql://someone:{SECRET}@host/name", "history_api"),
        ("WORKER_DATABASE_URL", "postgresql://history_worker@host/name", "history_worker"),
        ("MIGRATE_DATABASE_URL", f"postgresql://history_migrate:{SECRET}@[/name", "postgresql://login:password@host"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it_and_never_the_password(
    blank, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], setting: str, value: str, said: str
):
    monkeypatch.setenv(setting, value.replace("NAME", blank.migrate.rpartition("/")[2]))

    assert command.main() == 1

    out, error = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"scripts/create-logins: {setting}[^\n]+\n", error)
    assert said in error
    assert SECRET not in error


# ---------------------------------------------------------------- who reaches what, in a database that has a past


@pytest.fixture
def old(blank) -> Iterator[str]:
    """The name of a login in a database as PostgreSQL 14 made them: anyone may create anything in public."""
    name = f"login_{uuid4().hex[:8]}"
    blank.rows("grant create on schema public to public")
    blank.rows(f"create role {name} login password '{SECRET}'")
    yield name
    blank.rows(f"drop owned by {name}; drop role {name}")


def test_nobody_may_create_anything_any_more_but_who_migrates(blank, old: str):
    [(database,)] = blank.rows("select current_database()")
    blank.rows(f"grant create, temporary on database {database} to {old}; grant create on schema public to {old}")

    create_logins(blank.admin, {"history_migrate": "history_migrate-password", old: SECRET})

    may = "has_schema_privilege(%s, 'public', 'create'), has_database_privilege(%s, current_database(), {})"
    assert blank.rows(f"select {may.format(repr('create'))}", old, old) == [(False, False)]
    assert blank.rows(f"select {may.format(repr('temporary'))}", old, old) == [(False, False)]
    assert blank.rows(f"select {may.format(repr('create'))}", *["history_migrate"] * 2) == [(True, True)]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        ("create function public.lower(varchar) returns text language sql return 'x'", "lower(character varying)"),
        (
            """
            create function public.same(varchar, varchar) returns boolean language sql return true;
            create operator public.= (leftarg = varchar, rightarg = varchar, function = public.same)
            """,
            "=(character varying,character varying)",
        ),
    ],
    ids=["function", "operator"],
)
def test_what_would_stand_in_for_the_databases_own_is_refused_by_name(blank, postgres, old: str, make: str, named: str):
    """It would be called with the rights of the tables' owner. Whose it is and what it is for, a person must say."""
    [(database,)] = blank.rows("select current_database()")
    with psycopg.connect(postgres.url(database, old, SECRET), autocommit=True) as attacker:
        attacker.execute(make)

    with pytest.raises(HistoryError, match=re.escape(f"{named} of {old}")):
        create_logins(blank.admin, {old: SECRET})
    blank.rows("revoke create on schema public from public")
    with pytest.raises(HistoryError, match=re.escape(f"{named} of {old}")):
        migrate(blank.migrate)


def test_nothing_is_migrated_where_anyone_may_create_anything(blank, old: str):
    with pytest.raises(HistoryError, match="revoke create on schema public from"):
        migrate(blank.migrate)

    create_logins(blank.admin, {old: SECRET})
    assert migrate(blank.migrate)


def test_what_is_not_ours_to_revoke_is_refused(blank, postgres, login: str):
    """As where the schema is a superuser's, and the administrator is none."""
    admin = f"{login}_admin"
    [(database,)] = blank.rows("select current_database()")
    blank.rows(f"create role {admin} login createrole createdb password '{SECRET}'")
    blank.rows(f"create role {login} login; alter schema public owner to postgres")
    blank.rows(f"alter database {database} owner to {admin}; grant create on schema public to public")
    blank.rows(f"grant {login} to {admin} with admin option; grant create, usage on schema public to history_migrate")
    try:
        with pytest.raises(HistoryError, match=r"but for: public\. revoke create on schema public from WHOM"):
            create_logins(postgres.url(database, admin, SECRET), {login: SECRET})
    finally:
        blank.rows(f"reassign owned by {admin} to postgres; drop owned by {admin}; drop role {admin}")


def test_what_a_login_has_set_for_itself_is_reset(blank, postgres, login: str):
    """Anyone with its password may, for all who come after."""
    create_logins(blank.admin, {login: SECRET})
    [(database,)] = blank.rows("select current_database()")
    with psycopg.connect(postgres.url(database, login, SECRET), autocommit=True) as attacker:
        attacker.execute(f"alter role {login} set default_transaction_read_only = on")
        attacker.execute(f"alter role {login} in database {database} set statement_timeout = '1ms'")

    create_logins(blank.admin, {login: SECRET})

    with psycopg.connect(postgres.url(database, login, SECRET)) as connection:
        assert connection.execute("show default_transaction_read_only").fetchone() == ("off",)
        assert connection.execute("show statement_timeout").fetchone() == (LOGIN_SETTINGS["statement_timeout"],)


# ---------------------------------------------------------------- how an installation stands


@pytest.fixture
def checked(db, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[int, str]]:
    """The exit status of --check and the lines that say what is open."""
    monkeypatch.setenv("MIGRATE_DATABASE_URL", db.migrate)
    create_logins(db.admin, PASSWORDS)

    def run() -> tuple[int, str]:
        status = command.main(["--check"])
        lines = capsys.readouterr().out.splitlines()
        assert all(line.startswith(("ok: ", "open: ")) for line in lines)
        return status, "\n".join(line for line in lines if line.startswith("open: "))

    return run


def test_the_check_holds_where_all_is_as_it_must_be(checked):
    assert checked() == (0, "")


@pytest.mark.parametrize(
    ("undo", "redo", "said"),
    [
        ("grant create on schema public to public", "", "revoke create on schema public"),
        ("grant temporary on database {db} to public", "", "history_api, history_worker. revoke temporary"),
        ("grant create on database {db} to history_api", "", "history_api. revoke create on database"),
        ("grant truncate on generations to history_api", "", "history_api on generations"),
        ("grant select on generations to public", "", "public on generations"),
        (
            "alter default privileges for role history_migrate in schema public grant select on tables to history_api",
            "",
            "history_api on what history_migrate makes",
        ),
        (
            """
            create function public.lower(varchar) returns text language sql return 'x';
            alter function public.lower(varchar) owner to history_worker
            """,
            "",
            "lower(character varying) of history_worker",
        ),
        ("alter function check_may_submit(uuid) reset search_path", "", "check_may_submit(uuid). scripts/migrate;"),
        ("grant execute on function merge_stats_deltas to public", "", "merge_stats_deltas(integer)"),
        ("alter role history_api createrole", "alter role history_api nocreaterole", "history_api may create roles"),
        ("grant pg_read_all_data to history_api", "revoke pg_read_all_data from history_api", "pg_read_all_data"),
        (
            "alter role history_api in database {db} set work_mem = '1GB'",
            "",
            "history_api work_mem is 1GB, not the default",
        ),
    ],
)
def test_the_check_says_what_is_open_and_what_to_do(db, checked, undo: str, redo: str, said: str):
    [(database,)] = db.rows("select current_database()")
    db.rows(undo.format(db=database))
    try:
        status, told = checked()
    finally:
        if redo:
            db.rows(redo)

    assert status == 1
    assert said in told
    assert told.count("\n") == 0


# ---------------------------------------------------------------- encodings


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_is_not_in_utf_8_is_refused_by_name_before_anything_is_made(
    postgres, urls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], encoding: str
):
    name = f"encoding_{uuid4().hex[:8]}"
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {name} encoding '{encoding}' locale 'C' template template0")
        try:
            monkeypatch.setenv("ADMIN_DATABASE_URL", postgres.url(name, "postgres", "postgres"))
            monkeypatch.setenv("MIGRATE_DATABASE_URL", postgres.url(name, "history_migrate", SECRET))
            assert command.main() == 1
            assert f"UTF-8, but for: {encoding}" in capsys.readouterr().err

            create_logins(postgres.url(name, "postgres", "postgres"), PASSWORDS)
            with pytest.raises(HistoryError, match=f"UTF-8, but for: {encoding}"):
                migrate(postgres.url(name, "history_migrate", PASSWORDS["history_migrate"]))
            with psycopg.connect(postgres.url(name, "postgres", "postgres")) as there:
                assert (
                    there.execute("select 1 from pg_class where relnamespace = 'public'::regnamespace").fetchall() == []
                )
        finally:
            admin.execute(f"drop database {name} with (force)")
