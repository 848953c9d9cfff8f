"""The server of scripts/bench read, and its databases, which are kept for the next run."""

import hashlib
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from scripts.benchmarks.reading import fill
from scripts.local.postgres import Postgres
from scripts.operate.create_logins import LOGINS, create_logins
from scripts.operate.migrate import FOLDER, migrate, read_folder

PASSWORD = "bench"  # noqa: S105
_SETTINGS = {
    "shared_buffers": "2GB",
    "effective_cache_size": "8GB",
    "max_wal_size": "4GB",
    # Nobody replicates it: filling then needs no log of what it writes.
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


@dataclass(frozen=True)
class Place:
    """A filled database: how many generations it was filled with, and the URLs of its superuser and history_api."""

    count: int
    admin: str
    api: str


@contextmanager
def server(folder: Path, *, reset: bool) -> Generator[Postgres]:
    """A server with fsync on, whose data are in the folder; with reset, nothing of earlier runs is left there."""
    if reset and folder.exists():
        shutil.rmtree(folder)
    with Postgres(folder / "postgres", password=PASSWORD, settings=_SETTINGS) as postgres:
        yield postgres


def filled(postgres: Postgres, count: int) -> Place:
    """A database of so many generations: the last run's, unless the schema or what fills it is another now."""
    name = f"bench_{count}_{_fingerprint()}"
    with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
        names = [row[0] for row in connection.execute("select datname from pg_database")]
        for stale_name in names:
            if stale_name == "filling" or (stale_name.startswith(f"bench_{count}_") and stale_name != name):
                connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(stale_name)))
        if name not in names:
            connection.execute("create database filling")
            _prepare(postgres, "filling")
            fill.fill(_admin(postgres, "filling"), count)
            connection.execute(sql.SQL("alter database filling rename to {}").format(sql.Identifier(name)))
    _prepare(postgres, name)
    return Place(count, _admin(postgres, name), postgres.url(name, "history_api", PASSWORD))


def _prepare(postgres: Postgres, name: str) -> None:
    create_logins(_admin(postgres, name), dict.fromkeys(LOGINS, PASSWORD))
    migrate(postgres.url(name, "history_migrate", PASSWORD))


def _admin(postgres: Postgres, name: str) -> str:
    return postgres.url(name, "postgres", PASSWORD)


def _fingerprint() -> str:
    """Of everything that a filled database depends on."""
    migrations = "".join(migration.sha256 for migration in read_folder(FOLDER))
    return hashlib.sha256(migrations.encode() + Path(fill.__file__).read_bytes()).hexdigest()[:12]
