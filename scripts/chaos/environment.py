"""Where the soak runs: a database and a store, each behind a proxy that can fail, a provider, and their settings."""

import base64
import os
import secrets
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import psycopg
import requests

from generation_history.settings import spaces
from generation_history.storage.object_store import ObjectStore
from scripts.chaos.payments import watch
from scripts.chaos.small_folder import SmallFolder, small_folder
from scripts.local import ports
from scripts.local.postgres import Postgres
from scripts.local.seaweedfs import SeaweedFS
from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator
from scripts.local.tcp_proxy import TcpProxy
from scripts.operate.create_logins import LOGINS, create_logins
from scripts.operate.migrate import migrate

ASK_SECONDS = 10
#: For the superuser, whose login has no limits: a poller that was killed or frozen may have what we wait for.
PATIENT = "-c lock_timeout=10s -c statement_timeout=60s"
LEASE_SECONDS = 3
#: Longer than a poller is ever frozen.
FIND_SECONDS = 20
#: So that a copy is made soon.
_LITTLE_LOG: Final = {"max_wal_size": "64MB", "min_wal_size": "32MB"}
TIMING: Final = Timing(queue_seconds=0.2, render_seconds=0.5, expires_seconds=3600)
SIZES: Final = ("160x288", "96x160")
PRICED_MODEL, PRICELESS_MODEL = "sora-2", "sora-2-pro"
_PRICES = f"""
    insert into prices (provider, model, size, usd_per_second, valid_from, source) values
        ('{ports.LOOPBACK}', '{PRICED_MODEL}', '*', 0.10, '2025-01-01', 'the soak'),
        ('{ports.LOOPBACK}', '{PRICED_MODEL}', '{SIZES[1]}', 0.03333, '2025-01-01', 'the soak')
"""


@dataclass(frozen=True)
class Environment:
    """Everything there is; the pollers and we reach database and store through their proxies."""

    postgres: Postgres
    database: TcpProxy
    spaces: TcpProxy
    store: ObjectStore
    provider_url: str
    folder: Path
    #: Where temporary folders are, which is full at times.
    small: SmallFolder
    #: Of the logins, past the proxy.
    migrate_url: str
    worker_url: str

    @property
    def admin_url(self) -> str:
        """The superuser's URL of the database, past its proxy."""
        return self.postgres.admin_url

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What the query returns to a superuser."""
        with psycopg.connect(self.admin_url, autocommit=True, options=PATIENT) as connection:
            cursor = connection.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def postgres_down(self) -> Generator[None]:
        """Whoever is connected is cut off, and there is no database until the block ends."""
        self.postgres.stop()
        yield
        self.postgres.start()

    def control(self, method: str, path: str, plan: Any = None) -> dict[str, Any]:
        """The answer of the simulator's own routes."""
        url = f"{self.provider_url.removesuffix('/v1')}/simulator/{path}"
        return requests.request(method, url, json=plan, timeout=ASK_SECONDS).json()


@contextmanager
def environment(folder: Path) -> Generator[Environment]:
    """All of it runs on free ports until the block ends, and its settings are in the environment."""
    passwords = {login: secrets.token_hex(8) for login in (*LOGINS, "postgres", "spaces", "sora", "webhook")}
    with ExitStack() as closing:
        postgres = closing.enter_context(
            Postgres(folder / "postgres", port=ports.free_port(), password=passwords["postgres"], settings=_LITTLE_LOG)
        )
        create_logins(postgres.admin_url, {login: passwords[login] for login in LOGINS})
        urls = {login: postgres.url("postgres", login, passwords[login]) for login in LOGINS}
        migrate(urls["history_migrate"])
        watch(postgres.admin_url)
        objects = closing.enter_context(
            SeaweedFS(folder / "spaces", access_key="soak", secret_key=passwords["spaces"], bucket="soak")
        )
        provider_url = closing.enter_context(simulator(folder / "sora", api_key=passwords["sora"], timing=TIMING))
        database = closing.enter_context(TcpProxy(postgres.port))
        store = closing.enter_context(TcpProxy(objects.port))
        os.environ.update(
            {
                "DATABASE_URL": through(database, urls["history_api"]),
                "WORKER_DATABASE_URL": through(database, urls["history_worker"]),
                "DO_SPACES_BUCKET": "soak",
                "DO_SPACES_ENDPOINT": through(store, objects.endpoint),
                "DO_SPACES_ACCESS_KEY": "soak",
                "DO_SPACES_SECRET_KEY": passwords["spaces"],
                "SORA_BASE_URL": provider_url,
                "OPENAI_API_KEY": passwords["sora"],
                "OPENAI_WEBHOOK_SECRET": "whsec_" + base64.b64encode(passwords["webhook"].encode()).decode(),
                "SORA_MODEL": PRICED_MODEL,
                "SORA_SIZE": SIZES[0],
                "SORA_SECONDS": "1",
                "WORKER_LEASE_SECONDS": str(LEASE_SECONDS),
                "WORKER_FIND_SECONDS": str(FIND_SECONDS),
            }
        )
        small = closing.enter_context(small_folder(folder / "small-temp"))
        result = Environment(
            postgres,
            database,
            store,
            ObjectStore(spaces()),
            provider_url,
            folder,
            small,
            migrate_url=urls["history_migrate"],
            worker_url=urls["history_worker"],
        )
        result.rows(_PRICES)
        yield result


def through(proxy: TcpProxy, url: str) -> str:
    """The same URL by way of the proxy."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{proxy.port}"))
