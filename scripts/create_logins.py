"""Create or update the three logins, with the names and passwords of the three database URLs.

ADMIN_DATABASE_URL names someone who may create roles (doadmin on DigitalOcean); it is used here and nowhere else.
"""

import sys
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import conninfo, sql

from generation_history import settings
from generation_history.errors import HistoryError, NotConfigured
from scripts.migrate import one_line

#: Set on the login, because a pooler takes no settings at connect and SET ROLE applies none.
LOGIN_SETTINGS = {
    # A plan made for a small owner costs a big one a thousand times more.
    "plan_cache_mode": "force_custom_plan",
    "statement_timeout": "20s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
    "timezone": "UTC",
}
LOGINS = ("history_migrate", "history_api", "history_worker")


class LoginError(HistoryError):
    """A login cannot be made, or must not be used; the text says which and why."""


def create_logins(admin_url: str, passwords: dict[str, str]) -> None:
    """Guarantees that the logins exist with these passwords and settings, and that history_migrate may make tables.

    It may make extensions, too, of those that any owner of a database may (trusted ones).
    None of them may create roles or databases. One that row level security does not bind is refused, whoever made it.
    """
    try:
        connection = psycopg.connect(admin_url, autocommit=True, connect_timeout=10)
    except psycopg.Error as error:
        raise LoginError(f"ADMIN_DATABASE_URL: {one_line(error)}") from None
    with connection, connection.transaction():
        for login, password in passwords.items():
            name = sql.Identifier(login)
            if not connection.execute("select 1 from pg_roles where rolname = %s", [login]).fetchone():
                connection.execute(sql.SQL("create role {} nocreatedb nocreaterole").format(name))
            connection.execute(sql.SQL("alter role {} login password {}").format(name, sql.Literal(password)))
            if login != "history_migrate":
                for setting, value in LOGIN_SETTINGS.items():
                    connection.execute(
                        sql.SQL("alter role {} set {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
                    )
        unbound = "select rolname from pg_roles where rolname = any (%s) and (rolsuper or rolbypassrls)"
        for (login,) in connection.execute(unbound, [list(passwords)]):
            raise LoginError(
                f"{login} is a superuser or bypasses row level security, which would open all records to it"
            )
        connection.execute("grant create, usage on schema public to history_migrate")
        database = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("grant create on database {} to history_migrate").format(database))


def _password(setting: str, url: str, login: str) -> str:
    parts = urlsplit(url)
    if parts.username != login or not parts.password:
        raise NotConfigured(f"{setting} must be a URL with the login {login} and its password")
    return unquote(parts.password)


def _database(url: str) -> str:
    return str(conninfo.conninfo_to_dict(url).get("dbname", ""))


def main() -> int:
    """0 when the logins are there; 1, with the reason, when they are not."""
    try:
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
        granted, used = (_database(url) for url in (admin_url, urls["MIGRATE_DATABASE_URL"]))
        if granted != used:
            raise NotConfigured(f"ADMIN_DATABASE_URL names the database {granted}, MIGRATE_DATABASE_URL {used}")
        create_logins(admin_url, passwords)
    except (HistoryError, psycopg.Error) as error:
        print(f"scripts/create-logins: {one_line(error)}", file=sys.stderr)
        return 1
    print(f"logins ready: {', '.join(LOGINS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
