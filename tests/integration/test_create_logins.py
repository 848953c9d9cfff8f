"""scripts/create-logins: three logins that row level security binds."""

import re
from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest

from generation_history.errors import HistoryError
from scripts import create_logins as command
from scripts.create_logins import LOGIN_SETTINGS, LOGINS, create_logins

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
