"""A database for one run of a command: a server with fsync on, the logins, every migration, and nothing left of it."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.local.postgres import Postgres
from scripts.operate.create_logins import LOGINS, create_logins
from scripts.operate.migrate import migrate

PASSWORD = "scratch"  # noqa: S105


@dataclass(frozen=True)
class Scratch:
    """The database's URL for each login."""

    admin: str
    migrate: str
    api: str
    worker: str


@contextmanager
def scratch() -> Generator[Scratch]:
    """A database that lasts as long as the block."""
    with tempfile.TemporaryDirectory() as folder, Postgres(Path(folder) / "data", password=PASSWORD) as server:
        create_logins(server.admin_url, dict.fromkeys(LOGINS, PASSWORD))
        migrate_url, api, worker = (server.url("postgres", login, PASSWORD) for login in LOGINS)
        migrate(migrate_url)
        yield Scratch(server.admin_url, migrate_url, api, worker)
