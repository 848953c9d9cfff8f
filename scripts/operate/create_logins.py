"""Create or update the three logins, with the names and passwords of the three database URLs.

ADMIN_DATABASE_URL names someone who may create roles (doadmin on DigitalOcean); it is used here and nowhere else. With
--check nothing is changed: each thing that must hold is told, and what to do where it does not; any login may ask.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import conninfo, sql

from generation_history import settings
from generation_history.errors import HistoryError, NotConfigured
from scripts.operate import database_rights as rights
from scripts.operate.migrate import one_line

#: Set on the login, because a pooler takes no settings at connect and SET ROLE applies none.
LOGIN_SETTINGS = {
    # A plan made for a small owner costs a big one a thousand times more.
    "plan_cache_mode": "force_custom_plan",
    "statement_timeout": "20s",
    # Calls on a Flask server take turns: whoever waits for a row keeps strangers waiting.
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "30s",
    # The only one that ends a client standing still between two messages of a pipeline (database.STALLED_SECONDS).
    "transaction_timeout": "30s",
    # Of a host that vanished, or takes no more of an answer, the locks are free after about half a minute.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "timezone": "UTC",
}
#: The first version that knows a setting, where the oldest that we run on does not.
SINCE = {"transaction_timeout": 170_000}
LOGINS = ("history_migrate", "history_api", "history_worker")


class LoginError(HistoryError):
    """A login cannot be made, or must not be used; the text says which and why."""


def create_logins(admin_url: str, passwords: dict[str, str]) -> None:
    """Guarantees that the logins exist with these passwords and settings, and that history_migrate may make tables.

    It may make extensions, too, of those that any owner of a database may (trusted ones). Nobody else may create
    anything in the schema public, or a temporary table that a pooler would hand to the next client. What a login has
    set for itself is reset: anyone with its password may have. None of them may create roles or databases. One that
    row level security does not bind is refused, whoever made it, and so is what is in the way and cannot be mended.
    """
    with _connect(admin_url) as connection, connection.transaction():
        database = sql.Identifier(connection.info.dbname)
        for login, password in passwords.items():
            name = sql.Identifier(login)
            if not connection.execute("select 1 from pg_roles where rolname = %s", [login]).fetchone():
                connection.execute(sql.SQL("create role {} nocreatedb nocreaterole").format(name))
            connection.execute(sql.SQL("alter role {} login password {}").format(name, sql.Literal(password)))
            if login != rights.OWNER:
                _set(connection, name, database)
        # Before anything is granted to one whom nothing binds.
        _require(connection, (rights.BOUND, rights.ALONE), passwords)
        connection.execute(sql.SQL("grant create, usage on schema public to {}").format(sql.Identifier(rights.OWNER)))
        connection.execute(sql.SQL("grant create on database {} to {}").format(database, sql.Identifier(rights.OWNER)))
        users = [sql.Identifier(login) for login in passwords if login != rights.OWNER]
        for grantee in (sql.SQL("public"), *users):
            connection.execute(sql.SQL("revoke create on schema public from {}").format(grantee))
            connection.execute(sql.SQL("revoke create, temporary on database {} from {}").format(database, grantee))
        # Where we may not revoke, there was a warning only.
        _require(connection, (*rights.GUARDS, rights.NO_TEMPORARY), passwords)


def _connect(url: str, setting: str = "ADMIN_DATABASE_URL") -> psycopg.Connection[Any]:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10, client_encoding="UTF8")
    except psycopg.Error as error:
        raise LoginError(f"{setting}: {one_line(error)}") from None


def _set(connection: psycopg.Connection[Any], name: sql.Identifier, database: sql.Identifier) -> None:
    connection.execute(sql.SQL("alter role {} reset all").format(name))
    connection.execute(sql.SQL("alter role {} in database {} reset all").format(name, database))
    for setting, value in settings_for(connection).items():
        connection.execute(
            sql.SQL("alter role {} set {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
        )


def settings_for(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Those of LOGIN_SETTINGS that this server knows."""
    version = connection.info.server_version
    return {name: value for name, value in LOGIN_SETTINGS.items() if version >= SINCE.get(name, 0)}


def _require(connection: psycopg.Connection[Any], points: Iterable[rights.Point], logins: Iterable[str]) -> None:
    if problem := rights.first_open(connection, points, logins):
        raise LoginError(problem)


def check(url: str, setting: str) -> bool:
    """Whether everything holds in this database; each point is printed, with what to do where it does not."""
    with _connect(url, setting) as connection:
        offenders = {point: rights.offenders(connection, point, LOGINS) for point in rights.POINTS}
        missing = set(LOGINS) - {name for (name,) in connection.execute("select rolname from pg_roles")}
        differing = rights.other_settings(connection, LOGINS, settings_for(connection))
    for point, names in offenders.items():
        print(f"open: {rights.sentence(point, names)}" if names else f"ok: {point.holds}")
    for law, names in (("the logins exist", missing), ("the logins have their settings and no others", differing)):
        print(f"open: {law}, but for: {', '.join(sorted(names))}. scripts/create-logins" if names else f"ok: {law}")
    return not (any(offenders.values()) or missing or differing)


def _password(setting: str, url: str, login: str) -> str:
    params = conninfo.conninfo_to_dict(url)
    if params.get("user") != login or not params.get("password"):
        raise NotConfigured(f"{setting} must be a URL with the login {login} and its password")
    return str(params["password"])


def _database(url: str) -> str:
    return str(conninfo.conninfo_to_dict(url).get("dbname", ""))


def _check() -> int:
    setting, url = "ADMIN_DATABASE_URL", settings.admin_database_url
    try:
        url()
    except NotConfigured:
        setting, url = "MIGRATE_DATABASE_URL", settings.migrate_database_url
    return 0 if check(url(), setting) else 1


def main(arguments: Sequence[str] = ()) -> int:
    """0 when the logins are there, or with --check all is as it must be; 1, with the reason, when not."""
    parser = argparse.ArgumentParser(prog="scripts/create-logins", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, say what is open")
    try:
        if parser.parse_args(arguments).check:
            return _check()
        admin_url = settings.admin_database_url()
        urls = {
            "MIGRATE_DATABASE_URL": settings.migrate_database_url(),
            "DATABASE_URL": settings.database_url(),
            "WORKER_DATABASE_URL": settings.worker_database_url(),
        }
        passwords = {
            login: _password(setting, url, login) for login, (setting, url) in zip(LOGINS, urls.items(), strict=True)
        }
        # Pools have names of their own; scripts and tables are where the first two say.
        granted_database, used_database = (_database(url) for url in (admin_url, urls["MIGRATE_DATABASE_URL"]))
        if granted_database != used_database:
            raise NotConfigured(
                f"ADMIN_DATABASE_URL names the database {granted_database}, MIGRATE_DATABASE_URL {used_database}"
            )
        with _connect(admin_url) as connection:
            _require(connection, [rights.UTF8], LOGINS)
        create_logins(admin_url, passwords)
    except (HistoryError, psycopg.Error) as error:
        print(f"scripts/create-logins: {one_line(error)}", file=sys.stderr)
        return 1
    print(f"logins ready: {', '.join(LOGINS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
