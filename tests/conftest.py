"""What tests share: real Postgres, real S3, a real provider, each started once; a fresh database per test."""

import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis
import psycopg
import pytest

from generation_history.db import database
from generation_history.db.database import Database
from generation_history.media.video_storage_manager import VideoStorageManager
from generation_history.models import Generation
from generation_history.record.generation_manager import GenerationManager
from generation_history.settings import SpacesSettings
from generation_history.storage.object_store import ObjectStore
from generation_history.work.worker import Worker, from_settings
from scripts.local.postgres import Postgres
from scripts.local.seaweedfs import SeaweedFS
from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator
from scripts.operate.create_logins import create_logins
from scripts.operate.migrate import migrate
from tests.support.databases import Databases
from tests.support.scripted_server import ScriptedServer

# How long an example takes says something of the machine.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

pytest_plugins = ["tests.fixtures.aws", "tests.fixtures.calls", "tests.fixtures.scenes"]

PASSWORDS = {login: f"{login}-password" for login in ("history_migrate", "history_api", "history_worker")}
PROVIDER_KEY = "test-provider-key"
BUCKET = "test-videos"
OURS = ("HISTORY_", "DO_SPACES_", "SORA_", "WORKER_", "OPENAI_", "POLLER_", "HEALTH_", "SPEND_")
#: Statistics count by day: a test that began yesterday would look for them under today.
LONGER_THAN_A_TEST_OF_DAYS = timedelta(seconds=15)


def pytest_runtest_setup() -> None:
    """A test does not begin just before midnight in UTC."""
    if (datetime.now(UTC) + LONGER_THAN_A_TEST_OF_DAYS).date() > datetime.now(UTC).date():
        time.sleep(LONGER_THAN_A_TEST_OF_DAYS.total_seconds())


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A test starts without any setting and with a temporary folder of its own."""
    for name in list(os.environ):
        if name.startswith(OURS) or name.endswith("DATABASE_URL"):
            monkeypatch.delenv(name)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    # Everything else of a home folder is as it is.
    monkeypatch.setenv("HISTORY_SPOOL_FILE", str(tmp_path / "state" / "spool.jsonl"))


@pytest.fixture(autouse=True)
def _no_logging_of_a_deployed_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that a test imports leaves the tests' own logging alone."""
    monkeypatch.setattr("generation_history.logs.configure", lambda: None)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    unsafe_but_quick = {
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        # Every test logs in anew, several times.
        "scram_iterations": "1",
    }
    with Postgres(tmp_path_factory.mktemp("pg") / "data", password="postgres", settings=unsafe_but_quick) as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """A database with the logins and every migration, which each test's database is a copy of."""
    with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
        connection.execute("create database template_history")
    create_logins(postgres.url("template_history", "postgres", "postgres"), PASSWORDS)
    migrate(postgres.url("template_history", "history_migrate", PASSWORDS["history_migrate"]))
    return "template_history"


@dataclass(frozen=True)
class TestDatabase:
    """One test's database: the URL of each login."""

    __test__ = False

    admin: str
    migrate: str
    api: str
    worker: str
    _connections: list[psycopg.Connection] = field(default_factory=list, init=False)

    def rows(self, query: str, *parameters: object) -> list[tuple]:
        """What a superuser sees: for looking behind row level security."""
        for connection in self._connections:
            try:
                return self._rows(connection, query, parameters)
            except psycopg.DatabaseError:
                if not connection.broken:
                    raise
                # A test had ended every session that there was.
                self.close()
        made = psycopg.connect(self.admin, autocommit=True)
        self._connections[:] = [made]
        return self._rows(made, query, parameters)

    @staticmethod
    def _rows(connection: psycopg.Connection, query: str, parameters: Sequence[object]) -> list[tuple]:
        cursor = connection.execute(query, parameters)
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def everything(self) -> list[tuple]:
        """Every row that has an owner, but for what outlives a generation, to compare with another time."""
        owned = """
            select relname from pg_class c join pg_attribute a on a.attrelid = c.oid and attname = 'owner_id'
            where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
                and relname not in ('posts', 'stat_deltas', 'owner_day_stats')
        """
        tables = [name for (name,) in self.rows(owned)]
        return self.rows(" union all ".join(f"select t::text from {table} t" for table in tables) + " order by 1")


@pytest.fixture(scope="session")
def databases(postgres: Postgres, template: str) -> Iterator[Databases]:
    made = Databases(postgres, template)
    yield made
    made.close()


@pytest.fixture
def db(postgres: Postgres, databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestDatabase]:
    with databases.one() as name:
        urls = {login: postgres.url(name, login, password) for login, password in PASSWORDS.items()}
        made = TestDatabase(postgres.url(name, "postgres", "postgres"), *urls.values())
        monkeypatch.setenv("DATABASE_URL", made.api)
        monkeypatch.setenv("WORKER_DATABASE_URL", made.worker)
        yield made
        made.close()
        for url, setting in ((made.api, "DATABASE_URL"), (made.worker, "WORKER_DATABASE_URL")):
            database.connect(url, setting=setting).close()


@pytest.fixture
def blank(postgres: Postgres, template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestDatabase]:
    """A database for migrations: it has no tables yet, and MIGRATE_DATABASE_URL names it."""
    name = f"blank_{uuid.uuid4().hex}"
    admin = postgres.url(name, "postgres", "postgres")
    with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("grant create on schema public to history_migrate")
        connection.execute(f"grant create on database {name} to history_migrate")
    urls = {login: postgres.url(name, login, password) for login, password in PASSWORDS.items()}
    monkeypatch.setenv("MIGRATE_DATABASE_URL", urls["history_migrate"])
    made = TestDatabase(admin, *urls.values())
    yield made
    made.close()
    with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def worker_db(db: TestDatabase) -> Database:
    return database.connect(db.worker, setting="WORKER_DATABASE_URL")


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch) -> str:
    """The owner that HISTORY_OWNER_ID names."""
    owner_id = str(uuid.uuid4())
    monkeypatch.setenv("HISTORY_OWNER_ID", owner_id)
    return owner_id


@pytest.fixture
def manager(db: TestDatabase, owner: str) -> GenerationManager:
    return GenerationManager()


@pytest.fixture
def stranger(db: TestDatabase) -> GenerationManager:
    return GenerationManager(uuid.uuid4())


@pytest.fixture
def generation_factory(manager: GenerationManager) -> Callable[..., Generation]:
    """Records a generation whose variants have this many scenes each, and reads it back whole."""

    def make(
        scenes: int = 2,
        variants: Sequence[str] = ("soft",),
        *,
        by: GenerationManager = manager,
        submit: bool = False,
        source_video_url: str = "https://video.example/ad",
    ) -> Generation:
        prompts = {kind: [f"{kind} scene {number}" for number in range(1, scenes + 1)] for kind in variants}
        made = by.create_with_scenes(source_video_url, "url", prompts, submit=submit)
        generation = by.get_generation(made["id"])
        assert generation is not None
        return generation

    return make


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    folder = tmp_path_factory.mktemp("s3") / "data"
    with SeaweedFS(folder, access_key="test-access", secret_key="test-secret", bucket=BUCKET) as server:
        yield server


@pytest.fixture
def spaces(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> SpacesSettings:
    """Settings of the real S3 server, in the environment too."""
    made = SpacesSettings(BUCKET, "nyc3", seaweedfs.endpoint, "test-access", "test-secret", path_style=True)
    monkeypatch.setenv("DO_SPACES_BUCKET", made.bucket)
    monkeypatch.setenv("DO_SPACES_ENDPOINT", made.endpoint)
    monkeypatch.setenv("DO_SPACES_ACCESS_KEY", made.access_key)
    monkeypatch.setenv("DO_SPACES_SECRET_KEY", made.secret_key)
    return made


@pytest.fixture
def store(spaces: SpacesSettings) -> ObjectStore:
    return ObjectStore(spaces)


@pytest.fixture
def videos(store: ObjectStore) -> VideoStorageManager:
    return VideoStorageManager(store=store)


@pytest.fixture(scope="session")
def _sora(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    timing = Timing(queue_seconds=0.0, render_seconds=0.1, expires_seconds=3600)
    with simulator(tmp_path_factory.mktemp("sora"), api_key=PROVIDER_KEY, timing=timing) as base_url:
        yield base_url


@pytest.fixture
def sora(_sora: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The base URL of the simulator, which is set as the provider; videos are small and short."""
    monkeypatch.setenv("SORA_BASE_URL", _sora)
    monkeypatch.setenv("OPENAI_API_KEY", PROVIDER_KEY)
    monkeypatch.setenv("SORA_SIZE", "160x288")
    monkeypatch.setenv("SORA_SECONDS", "1")
    return _sora


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    """A server on loopback that answers whatever a test scripts."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def worker(db: TestDatabase, spaces: SpacesSettings, sora: str) -> Iterator[Worker]:
    made = from_settings()
    yield made
    made.close()


@pytest.fixture
def work(worker: Worker, db: TestDatabase) -> Callable[[], None]:
    """Does all work there is, as if no time passed between one due time and the next."""

    def until_nothing_is_left() -> None:
        for _ in range(200):
            if not db.rows("select 1 from jobs"):
                return
            db.rows("update jobs set run_at = now() where lease_token is null")
            worker.run(seconds=600)
        raise AssertionError(db.rows("select step, failures, last_error from jobs"))

    return until_nothing_is_left
