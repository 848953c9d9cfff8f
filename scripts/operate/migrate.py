"""Apply the migrations of migrations/ to the database that MIGRATE_DATABASE_URL names.

docs/decisions/0002-migrations.md says why these hundred lines and not a library.
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString, cast

import psycopg

from generation_history import settings
from generation_history.errors import HistoryError
from scripts.operate import database_rights as rights

FOLDER = Path(__file__).resolve().parents[2] / "migrations"
#: What the migrations make (scripts/schema), for reading: it stands beside them and is none.
SCHEMA = FOLDER / "schema.sql"
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "15min"
#: Any number, the same for every run: two of them take turns.
ADVISORY_LOCK = 7_021_977

_HISTORY_TABLE = """
    create table if not exists schema_migrations (
        name text constraint schema_migrations_pkey primary key,
        sha256 text not null,
        applied_at timestamptz not null default now()
    )
"""


class MigrationError(HistoryError):
    """The folder and the database do not agree, or a migration failed; the text says which and why."""


@dataclass(frozen=True)
class Migration:
    """One numbered SQL file."""

    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The file's fingerprint, by which a change after the fact is noticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_folder(folder: Path) -> list[Migration]:
    """The migrations of a folder in order; none, a name without a number or a number used twice is an error."""
    migrations = [_read(path) for path in sorted(folder.glob("*.sql")) if path.name != SCHEMA.name]
    if not migrations:
        raise MigrationError(f"there are no migrations in the folder {folder.name}")
    numbers: dict[str, str] = {}
    for migration in migrations:
        match = re.fullmatch(r"(\d{3})_[a-z0-9_]+\.sql", migration.name)
        if not match:
            raise MigrationError(f"{migration.name}: a migration is named like 001_what_it_does.sql")
        if other_name := numbers.get(match[1]):
            raise MigrationError(f"{other_name} and {migration.name} have the same number")
        numbers[match[1]] = migration.name
    return migrations


def _read(path: Path) -> Migration:
    try:
        return Migration(path.name, path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise MigrationError(f"{path.name}: {error}") from None


def migrate(url: str, folder: Path = FOLDER) -> list[str]:
    """The names of the migrations applied now, in order; none where the database is up to date.

    Each runs in a transaction of its own, under an advisory lock, with lock and statement timeouts, so a run that
    fails leaves whole migrations behind it and none half done.
    """
    migrations = read_folder(folder)
    with connect(url) as connection:
        problem = rights.first_open(connection, (rights.UTF8, rights.NO_CREATE, rights.NOTHING_FOREIGN), rights.USERS)
        if problem:
            raise MigrationError(f"{problem}. scripts/create-logins --check says how the rest stands")
        return [migration.name for migration in migrations if _apply(connection, migration, migrations)]


def connect(url: str) -> psycopg.Connection:
    """A connection to the database that MIGRATE_DATABASE_URL names."""
    try:
        return psycopg.connect(url, autocommit=True, prepare_threshold=None, connect_timeout=10, client_encoding="UTF8")
    except psycopg.ProgrammingError:
        # Its text may repeat the URL, and with it the password.
        raise MigrationError("MIGRATE_DATABASE_URL is not a URL like postgresql://login:password@host/name") from None
    except psycopg.Error as error:
        raise MigrationError(f"MIGRATE_DATABASE_URL: {one_line(error)}") from None


def _apply(connection: psycopg.Connection, migration: Migration, migrations: list[Migration]) -> bool:
    with connection.transaction():
        try:
            # Tables are made in public, whatever the login has set.
            connection.execute(
                "select set_config('statement_timeout', %s, true), set_config('search_path', 'public', true)",
                [STATEMENT_TIMEOUT],
            )
            # Another run may take its time; a table that somebody holds may not.
            connection.execute("select pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
            connection.execute("select set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
            connection.execute(_HISTORY_TABLE)
            applied_hashes = dict(connection.execute("select name, sha256 from schema_migrations").fetchall())
            _check(applied_hashes, migrations)
            if migration.name in applied_hashes:
                return False
            connection.execute(cast("LiteralString", migration.sql))
            connection.execute(
                "insert into schema_migrations (name, sha256) values (%s, %s)", [migration.name, migration.sha256]
            )
        except psycopg.Error as error:
            raise MigrationError(f"{migration.name}: {one_line(error)}") from error
    return True


def _check(applied_hashes: dict[str, str], migrations: list[Migration]) -> None:
    migrations_by_name = {migration.name: migration for migration in migrations}
    for name, sha256 in sorted(applied_hashes.items()):
        if name not in migrations_by_name:
            raise MigrationError(f"{name} was applied to this database, but its file is missing")
        if migrations_by_name[name].sha256 != sha256:
            raise MigrationError(f"{name} was changed after it was applied; write a new migration instead")
    newest = max(applied_hashes, default="")
    for migration in migrations:
        if migration.name not in applied_hashes and migration.name < newest:
            raise MigrationError(f"{migration.name} comes before {newest}, which was applied already; renumber it")


def one_line(error: BaseException) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when the database is up to date; 1, with the reason, when it is not."""
    argparse.ArgumentParser(prog="scripts/migrate", description=__doc__).parse_args(arguments)
    try:
        applied = migrate(settings.migrate_database_url())
    except HistoryError as error:
        print(f"scripts/migrate: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"applied {name}" for name in applied) or "the database is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
