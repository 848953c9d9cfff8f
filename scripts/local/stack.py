"""The local stack: Postgres, SeaweedFS, a Sora simulator and the functions' host, with one set of settings."""

import base64
import fcntl
import json
import os
import secrets
import shutil
import sys
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from generation_history import provider_settings, settings
from generation_history.db.database import Database, Statement
from generation_history.environment import UNSET
from generation_history.errors import NotConfigured
from generation_history.kind_settings import SHARED_SETTINGS
from generation_history.provider_kinds import KINDS, SORA
from generation_history.providers import factory
from generation_history.storage.object_store import ObjectStore
from scripts.local import ports, process
from scripts.local.host.project import ROOT, Function, read_project
from scripts.local.host.server import host
from scripts.local.postgres import Postgres
from scripts.local.seaweedfs import SeaweedFS
from scripts.local.strict_store import StrictStore
from scripts.operate.create_logins import LOGINS, create_logins
from scripts.operate.migrate import migrate

DATABASE = "history"
#: In the stack's folder, what it keeps of itself between runs.
VALUES_FILE = "kept.json"
SIMULATOR_READY_S = 20
#: Of the functions, unless something else has it.
USUAL_PORT = 8787

#: Small and short, so that a whole ad is rendered in seconds.
DEFAULTS = {
    "DO_SPACES_BUCKET": "soraking-videos",
    "DO_SPACES_REGION": "nyc3",
    "HISTORY_ACCESS": "single-owner",
    "SORA_MODEL": "sora-2",
    "SORA_SIZE": "288x512",
    "SORA_SECONDS": "2",
    "WORKER_LEASE_SECONDS": "10",
    "WORKER_FIND_SECONDS": "6",
}
#: The parts of the stack, each with the settings that name another one to be used in its place.
PARTS = {
    "Postgres": ("DATABASE_URL",),
    "SeaweedFS": ("DO_SPACES_ENDPOINT", "DO_SPACES_ACCESS_KEY"),
    "the simulator": ("SORA_BASE_URL",),
}
#: What project.yml names and nobody needs here.
UNUSED = (
    *("HISTORY_JWT_SECRET", "HISTORY_JWKS_URL", "HISTORY_JWT_ISSUER", "HISTORY_JWT_AUDIENCE", "HISTORY_CORS_ORIGINS"),
    *("SORA_DOWNLOAD_HOSTS", "DO_SPACES_ENDPOINT", "WORKER_CONCURRENCY", "WORKER_DOWNLOADS"),
    *SHARED_SETTINGS,
    *(name for kind in KINDS.values() if kind is not SORA for name in kind.settings),
    *("SORA_SUBMITTING", "SORA_MAX_RUNNING", "SORA_MAX_PER_MINUTE", "SPEND_LIMIT_PER_OWNER_DAY"),
    *("POLLER_WAKE_URL", "POLLER_WAKE_KEY", "POLLER_WAKE_LAMBDA"),
)


@dataclass(frozen=True)
class Options:
    """Where the stack keeps its state, its ports (None: the last ones or free ones), and its pace."""

    folder: Path
    port: int | None = None
    postgres_port: int | None = None
    spaces_port: int | None = None
    sora_port: int | None = None
    minute: float = 1.0
    render_seconds: float = 1.0
    #: The functions to host, from the settings that they are to have.
    deploy: Callable[[Mapping[str, str]], Iterable[Function]] = read_project


@dataclass(frozen=True)
class Stack:
    """A running stack: the functions' base URL, and every setting as the functions have it."""

    url: str
    environment: Mapping[str, str]


@contextmanager
def stack(options: Options) -> Generator[Stack]:
    """The whole stack runs until the block ends; this process's environment has its settings too.

    What the environment names already is used instead of a part of the stack, as external_parts says; DATABASE_URL
    with WORKER_DATABASE_URL. The settings of a part that is ours are its own, whatever the environment says.
    """
    with ExitStack() as closing:
        closing.enter_context(_sole_use(options.folder))
        values = _StoredValues(options.folder)
        environment = dict.fromkeys(UNUSED, UNSET) | DEFAULTS | values.settings()
        environment |= {
            name: value for name, value in os.environ.items() if value and (name in environment or _is_ours(name))
        }
        external = external_parts()
        if "Postgres" not in external:
            environment |= _start_postgres(closing, options, values)
        if "SeaweedFS" not in external:
            environment |= _start_spaces(closing, options, values)
        if "the simulator" not in external:
            environment |= _start_simulator(closing, options, values)
        os.environ.update(environment)
        if not external.keys() & {"Postgres", "the simulator"}:
            _price_the_simulator(environment["MIGRATE_DATABASE_URL"])
        _check_settings()
        port = options.port or values.port("functions", first=USUAL_PORT)
        functions = options.deploy(environment)
        url = closing.enter_context(host(functions, port=port, logs=_logs(options.folder), minute=options.minute))
        values.remember_port("functions", urlsplit(url).port or 0)
        yield Stack(url, environment)


def external_parts() -> dict[str, str]:
    """The parts that are not started, because the environment names others: each with the setting that does."""
    return {part: setting for part, names in PARTS.items() if (setting := next(filter(os.environ.get, names), None))}


def forget(folder: Path) -> None:
    """Guarantees that nothing of earlier runs is left in the folder; NotConfigured for a folder of something else."""
    if (folder / VALUES_FILE).exists():
        with _sole_use(folder):
            shutil.rmtree(folder)
    elif folder.is_dir() and any(folder.iterdir()):
        raise NotConfigured(f"--reset: {folder} holds no {VALUES_FILE}, so it is not of scripts/dev and stays as it is")


@contextmanager
def _sole_use(folder: Path) -> Generator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise NotConfigured(f"--folder: {folder} cannot be used: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotConfigured(
                f"another stack is running on {folder.name}; stop it or give another --folder"
            ) from None
        yield


class _StoredValues:
    """The values that stay the same between runs: secrets, the owner, and the ports."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / VALUES_FILE
        self._values: dict[str, str] = json.loads(self._path.read_text()) if self._path.exists() else {}

    @property
    def owner_id(self) -> str:
        return self._store_once("owner_id", str(uuid.uuid4()))

    def settings(self) -> dict[str, str]:
        return {
            "HISTORY_OWNER_ID": self.owner_id,
            "HEALTH_TOKEN": self.secret("health"),
            "OPENAI_WEBHOOK_SECRET": "whsec_" + base64.b64encode(self.secret("webhook").encode()).decode(),
        }

    def secret(self, name: str) -> str:
        return self._store_once(f"secret_{name}", secrets.token_hex(24))

    def port(self, service: str, *, first: int = 0) -> int:
        """The port of the last run, or the first one, if it is free; else another."""
        port = int(self._values.get(f"port_{service}", first))
        return port if port and ports.claim(port) else ports.free_port()

    def same_port(self, service: str) -> int | None:
        """The port of the last run."""
        return int(self._values.get(f"port_{service}", "0")) or None

    def remember_port(self, service: str, port: int) -> None:
        self._values[f"port_{service}"] = str(port)
        self._write()

    def _store_once(self, name: str, value: str) -> str:
        if name not in self._values:
            self._values[name] = value
            self._write()
        return self._values[name]

    def _write(self) -> None:
        new_path = self._path.with_suffix(".new")
        new_path.touch(mode=0o600)
        new_path.write_text(json.dumps(self._values, indent=1))
        new_path.replace(self._path)


def _logs(folder: Path) -> Path:
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    return logs


def _start_postgres(closing: ExitStack, options: Options, values: _StoredValues) -> dict[str, str]:
    port = options.postgres_port or values.port("postgres")
    server = closing.enter_context(Postgres(options.folder / "postgres", port=port, password=values.secret("postgres")))
    values.remember_port("postgres", server.port)
    with psycopg.connect(server.admin_url, autocommit=True) as connection:
        if not connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
            connection.execute(f"create database {DATABASE}")  # pyright: ignore[reportArgumentType, reportCallIssue]
    passwords = {login: values.secret(login) for login in LOGINS}
    create_logins(server.url(DATABASE, "postgres", values.secret("postgres")), passwords)
    urls = {login: server.url(DATABASE, login, password) for login, password in passwords.items()}
    migrate(urls["history_migrate"])
    return {
        "DATABASE_URL": urls["history_api"],
        "WORKER_DATABASE_URL": urls["history_worker"],
        "MIGRATE_DATABASE_URL": urls["history_migrate"],
    }


def _start_spaces(closing: ExitStack, options: Options, values: _StoredValues) -> dict[str, str]:
    access_key, secret_key = "local", values.secret("spaces")
    port = options.spaces_port or values.port("spaces")
    ports.require_free(port, user="SeaweedFS")
    seaweedfs = closing.enter_context(
        SeaweedFS(
            options.folder / "spaces",
            access_key=access_key,
            secret_key=secret_key,
            bucket=DEFAULTS["DO_SPACES_BUCKET"],
        )
    )
    server = closing.enter_context(StrictStore(seaweedfs.port, port=port))
    values.remember_port("spaces", server.port)
    return {
        "DO_SPACES_ENDPOINT": server.endpoint,
        "DO_SPACES_ACCESS_KEY": access_key,
        "DO_SPACES_SECRET_KEY": secret_key,
        "DO_SPACES_BUCKET": DEFAULTS["DO_SPACES_BUCKET"],
    }


def _start_simulator(closing: ExitStack, options: Options, values: _StoredValues) -> dict[str, str]:
    # Scenes name the server that knows their jobs, so it must be found again where it was.
    port = options.sora_port or values.same_port("sora") or ports.free_port()
    ports.require_free(port, user="The simulator")
    key = values.secret("sora")
    command = [sys.executable, "-m", "scripts.local.simulator", "--port", str(port), "--api-key", key]
    command += ["--data", str(options.folder / "sora"), "--render-seconds", str(options.render_seconds)]
    log = _logs(options.folder) / "simulator.log"
    child = process.start(command, log=log, cwd=ROOT)
    closing.callback(process.stop, child, timeout=3)
    process.wait_until(lambda: not ports.is_free(port), process=child, log=log, timeout=SIMULATOR_READY_S)
    values.remember_port("sora", port)
    return {"SORA_BASE_URL": f"http://{ports.LOOPBACK}:{port}/v1", "OPENAI_API_KEY": key}


def _price_the_simulator(migrate_url: str) -> None:
    """What sora-2 cost last, so that costs are seen to add up."""
    price = """
        insert into prices (provider, model, size, usd_per_second, valid_from, source)
        values (%s, 'sora-2', '*', 0.10, '2025-01-01', 'the simulator asks what sora-2 cost last')
        on conflict do nothing
    """
    with psycopg.connect(migrate_url) as connection:
        connection.execute(price, [ports.LOOPBACK])


def _is_ours(name: str) -> bool:
    return name.startswith(("HISTORY_", "DO_SPACES_", "SORA_", "WORKER_", "OPENAI_")) or name.endswith("DATABASE_URL")


def _check_settings() -> None:
    """Each part answers with these settings; HistoryError names the setting of the first one that does not."""
    for check in (settings.access, settings.owner_id, settings.worker, provider_settings.limits, settings.wake):
        check()
    # Each of a table that the other login may not read.
    _check_database(settings.database_url(), "DATABASE_URL", ("select from generation_metadata limit 0", {}))
    _check_database(settings.worker_database_url(), "WORKER_DATABASE_URL", ("select from deliveries limit 0", {}))
    ObjectStore(settings.spaces()).check()
    factory.sora_servers()[0].check()


def _check_database(url: str, setting: str, statement: Statement) -> None:
    database = Database(url, setting=setting)
    try:
        database.run(None, statement)
    finally:
        database.close()
