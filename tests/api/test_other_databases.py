"""The same calls are answered the same through PostgreSQL 15 and 18, and through PgBouncer in transaction mode."""

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any, Literal

import psycopg
import pytest

from generation_history.db import database
from generation_history.db.database import Database
from generation_history.errors import HistoryError
from generation_history.providers import VideoJob, VideoRequest
from generation_history.record.generation_manager import GenerationManager
from generation_history.work.job_queue import Job, JobQueue
from generation_history.work.submission import Submissions
from scripts.local.postgres import Postgres
from scripts.operate.create_logins import create_logins
from scripts.operate.migrate import migrate
from tests.conftest import PASSWORDS
from tests.support.pgbouncer import pgbouncer, program

PACKAGES = "PostgreSQL 15 to 17 and PgBouncer are not here: install the packages postgresql-15 and pgbouncer"
QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
QUERIES = (
    *("", "limit=1", "limit=1&offset=1", "status=completed", "status=failed,processing", "status=lost", "odd=1"),
    *("variant_type=ultra", "variant_type=ultra&status=processing", "created_from=2026-01-01", "created_to=2026-01-01"),
    *("q=100%25_K%C3%84TZ", "q=100%25_&variant_type=medium", "q=elsewhere", "q=ad"),
)
CLIENTS = 6
ROUNDS = 10


@dataclass(frozen=True)
class Server:
    """A Postgres, and where clients reach it: itself or through a pooler."""

    postgres: Postgres
    port: int

    def url(self, name: str, login: str) -> str:
        return self.postgres.url(name, login, PASSWORDS[login]).replace(f":{self.postgres.port}/", f":{self.port}/")


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The oldest PostgreSQL there is from 15 to 17."""
    found = sorted(Path("/usr/lib/postgresql").glob("1[567]/bin"))
    if not found or program() is None:
        # scripts/test installs them where it may.
        may_install = os.geteuid() == 0 and shutil.which("apt-get")
        (pytest.fail if may_install else pytest.skip)(PACKAGES)
    folder = tmp_path_factory.mktemp("older") / "data"
    with Postgres(folder, password="postgres", settings=QUICK, binaries=found[0]) as server:
        yield server


@pytest.fixture(scope="module")
def servers(
    postgres: Postgres, older: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Server]]:
    folder = tmp_path_factory.mktemp("poolers")
    with (
        pgbouncer(folder / "new", server_port=postgres.port, passwords=PASSWORDS) as before_postgres,
        pgbouncer(folder / "old", server_port=older.port, passwords=PASSWORDS) as before_older,
    ):
        yield {
            "itself": Server(postgres, postgres.port),
            "older": Server(older, older.port),
            "pooled": Server(postgres, before_postgres),
            "older, pooled": Server(older, before_older),
        }


@dataclass(frozen=True)
class Place:
    """A database with every migration, and the URLs of its logins."""

    api: str
    worker: str
    applied: list[str]

    @contextmanager
    def database(self, login: Literal["api", "worker"]) -> Iterator[Database]:
        setting = {"api": "DATABASE_URL", "worker": "WORKER_DATABASE_URL"}[login]
        made = Database(getattr(self, login), setting=setting)
        try:
            yield made
        finally:
            made.close()
            # And what the functions kept, as on a warm instance.
            database.connect(getattr(self, login), setting=setting).close()


@pytest.fixture
def make_place(servers: dict[str, Server]) -> Iterator[Callable[[str], Place]]:
    """A new database, migrated the way that its clients go."""
    made: list[tuple[Server, str]] = []

    def make(which: str) -> Place:
        server, name = servers[which], f"other_{uuid.uuid4().hex}"
        with psycopg.connect(server.postgres.admin_url, autocommit=True) as connection:
            connection.execute(f"create database {name}")
        made.append((server, name))
        admin = server.postgres.url(name, "postgres", "postgres")
        create_logins(admin, PASSWORDS)
        applied = migrate(server.url(name, "history_migrate"))
        return Place(server.url(name, "history_api"), server.url(name, "history_worker"), applied)

    yield make
    for server, name in made:
        with psycopg.connect(server.postgres.admin_url, autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")


# ---------------------------------------------------------------- the same answers


@pytest.fixture
def play(call, by_token, monkeypatch: pytest.MonkeyPatch) -> Callable[[Place], list[tuple[str, int, str]]]:
    """What each call of a scenario is answered in a new database."""
    monkeypatch.setenv("DO_SPACES_ACCESS_KEY", "access")
    monkeypatch.setenv("DO_SPACES_SECRET_KEY", "secret")

    def run(place: Place) -> list[tuple[str, int, str]]:
        monkeypatch.setenv("DATABASE_URL", place.api)
        with place.database("worker") as worker, place.database("api"):
            scenario = Scenario(call, by_token(sub=str(uuid.uuid4())), by_token(sub=str(uuid.uuid4())))
            scenario.play(worker)
        return [("migrations", 0, " ".join(place.applied)), *scenario.answers]

    return run


class Scenario:
    """Calls of an owner and of a stranger, and what they were answered, but for what differs between any two runs."""

    def __init__(self, call: Callable[..., Any], owner: dict[str, str], stranger: dict[str, str]) -> None:
        self.answers: list[tuple[str, int, str]] = []
        self._call = call
        self._owner = owner
        self._stranger = stranger
        self._names: dict[str, str] = {}

    def play(self, worker: Database) -> None:
        """Records, submits, stores, fails, lists, reads, deletes, restores, and does what is refused."""
        prompts = {"soft": ["a cat", "ein Kätzchen 🐈"], "ultra": ["a dog"]}
        new = {"source_video_url": "https://video.example/100%_Kätzchen", "cost_estimate": 12.345}
        made = self.ask(
            "generations", method="POST", body={**new, "prompts": prompts, "metadata": {"prompts_data": [1]}}
        )
        generation_id = made["generation_id"]
        self.ask("generations", method="POST", body={**new, "variant_types": ["medium", "soft"]})
        self.ask("generations", method="POST", body={**new, "variant_types": ["soft", "soft"]})
        self.work(worker)
        self.ask("generations", f"/{generation_id}")
        self.ask("generations", f"/{generation_id}", headers=self._stranger)
        variants = self.ask("generations", f"/{generation_id}/variants")["variants"]
        self.ask("variants", f"/{variants[0]['id']}/scenes")
        self.ask("variants", f"/{uuid.UUID(int=1)}/scenes")
        for query in QUERIES:
            self.ask("generations", query=query)
        first = self.ask("generations", query="limit=1")
        self.ask("generations", query=f"limit=1&cursor={first['next_cursor']}")
        self.ask("generations", query="cursor=MTIz")
        self.ask("library")
        self.ask("generations", headers=self._stranger)
        self.ask("stats")
        self.ask("stats", headers=self._stranger)
        for variant in variants:
            for scene in variant["scenes"]:
                self.ask("scenes", f"/{scene['id']}/video")
                self.ask("scenes", f"/{scene['id']}/thumbnail", headers=self._stranger)
        self.ask("generations", f"/{generation_id}", method="DELETE", headers=self._stranger)
        for method, path in (("DELETE", ""), ("GET", ""), ("POST", "/restore"), ("GET", ""), ("POST", "/restore")):
            self.ask("generations", f"/{generation_id}{path}", method=method)

    def work(self, worker: Database) -> None:
        """As a worker does it: of three scenes one is stored, one failed, and one is being rendered."""
        queue, submissions = JobQueue(worker, lease_seconds=60), Submissions(worker)
        for job in _in_order(queue.claim(10)):
            wanted = VideoRequest(job.prompt, "sora-2", "720x1280", 8)
            submissions.record_submit_intent(
                job, provider="sora", base_url="https://provider.example/v1", request=wanted
            )
            submissions.accept(job, VideoJob(f"{job.variant_type}-{job.scene_number}", "queued"))
        worker.run(None, ("update jobs set run_at = now()", {}))
        stored, refused, _ = _in_order(queue.claim(10))
        video = f"https://spaces.example/generations/{stored.generation_id}/soft/scene_1"
        queue.complete(
            stored,
            video_url=f"{video}.mp4",
            thumbnail_url=f"{video}_thumb.jpg",
            metadata={"duration": 8, "resolution": "720x1280", "file_size": 5_000_000_000},
        )
        queue.fail_permanently(refused, "moderation_blocked", "the prompt was refused")

    def ask(self, function: str, path: str = "", **how: Any) -> dict[str, Any]:
        answer = self._call(function, path, **{"headers": self._owner, **how})
        told = f"{answer.returned['headers']} {answer.returned['body']}"
        label = f"{how.get('method', 'GET')} {function}{path} {how.get('query', '')}"
        self.answers.append((self._plain(label), answer.status, self._plain(told)))
        return answer.json

    def _plain(self, text: str) -> str:
        """The text with ids as numbers, and without times, cursors and signatures."""
        text = re.sub(r'"request_id":"[0-9a-f]{32}"', '"request_id"', text)
        text = re.sub(r'"short_id":"[0-9a-f]{8}"', '"short_id"', text)
        text = re.sub(r'cursor(":"|=)[\w-]{20,}', "cursor", text)
        text = re.sub(r"""("|')"[0-9a-f]{32}"("|')""", "tag", text)
        text = re.sub(r"X-Amz-Signature=\w+", "signed", re.sub(r"X-Amz-(Date|Credential)=[^&]+", r"\1", text))
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", "time", text)
        return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", lambda match: self._name(match[0]), text)

    def _name(self, found: str) -> str:
        return self._names.setdefault(found, f"id {len(self._names)}")


def _in_order(jobs: list[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: (job.variant_type, job.scene_number))


@pytest.mark.parametrize("which", ["older", "pooled", "older, pooled"])
def test_every_call_is_answered_the_same(play, make_place, which: str):
    expected, answered = play(make_place("itself")), play(make_place(which))

    assert answered == expected
    statuses = [status for _, status, _ in expected]
    assert {200, 202, 302, 400, 404} <= set(statuses)
    assert statuses.count(200) > 15


# ---------------------------------------------------------------- sharing one connection


def test_owners_who_share_one_connection_see_only_what_is_theirs(make_place):
    place = make_place("pooled")
    take_turns = Barrier(CLIENTS)

    def client(_: int) -> tuple[int, set[int]]:
        owner = uuid.uuid4()
        seen, servers = 0, set()
        with place.database("api") as own:
            manager = GenerationManager(owner, db=own)
            for _ in range(ROUNDS):
                take_turns.wait(60)
                made = manager.create_with_scenes("https://video.example/ad", "url", {"soft": ["a cat"]}, submit=False)
                with pytest.raises(HistoryError):
                    own.run(owner, ("select 1 / 0", {}))
                listed = manager.list_generations()
                assert listed[0]["id"] == made["id"]
                seen = len(listed)
                servers.add(own.run(None, ("select pg_backend_pid() as pid", {}))[0]["pid"])
        return seen, servers

    with ThreadPoolExecutor(CLIENTS) as clients:
        results = list(clients.map(client, range(CLIENTS)))

    assert [seen for seen, _ in results] == [ROUNDS] * CLIENTS
    assert len(set.union(*(servers for _, servers in results))) == 1


def test_a_connection_left_by_an_owner_shows_the_next_one_nothing(make_place):
    """Whoever comes next, and forgets to say who it is."""
    place = make_place("pooled")
    with place.database("api") as one:
        owner = uuid.uuid4()
        GenerationManager(owner, db=one).create_generation("https://video.example/ad", "url", ["soft"], None)
        left = one.run(owner, ("select pg_backend_pid() as pid", {}))[0]["pid"]

        with psycopg.connect(place.api, autocommit=True, prepare_threshold=None) as other:
            assert other.execute("select pg_backend_pid()").fetchone() == (left,)
            assert other.execute("select count(*) from generations").fetchone() == (0,)
            assert other.execute("select current_setting('app.owner_id', true)").fetchone() == ("",)


# ---------------------------------------------------------------- before transaction_timeout


def test_whoever_connects_ends_what_stood_still_where_the_server_does_not(make_place, monkeypatch: pytest.MonkeyPatch):
    place = make_place("older")
    monkeypatch.setattr(database, "STALLED_SECONDS", 0.05)
    with closing(psycopg.connect(place.worker, autocommit=True, prepare_threshold=None)) as frozen:
        frozen.pipeline().__enter__()
        frozen.execute("begin")
        frozen.execute("select pg_advisory_xact_lock(1), pg_sleep(0.1)")
        frozen.pgconn.send_flush_request()
        while frozen.pgconn.flush():
            pass
        with place.database("worker") as worker:
            worker.run(None, ("select pg_advisory_xact_lock(1)", {}))
