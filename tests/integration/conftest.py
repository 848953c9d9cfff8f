"""What tests of the worker share: a provider in memory whose videos a real server hands out, and scenes to watch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from generation_history.generation_manager import GenerationManager
from generation_history.models import Scene
from generation_history.settings import ProviderSettings
from generation_history.video_storage_manager import VideoStorageManager
from generation_history.work_queue import Job, WorkQueue
from generation_history.worker import Worker
from tests import films
from tests.contract.scripted_server import ScriptedServer, answer
from tests.fakes import FakeProvider
from tests.recount import recount

KEY = "sk-secret-0123456789"


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A video of two seconds, 160x90, red and then blue."""
    return films.film(tmp_path_factory.mktemp("films") / "film.mp4", ("red", 1), ("blue", 1)).read_bytes()


@pytest.fixture
def provider(scripted: ScriptedServer, film: bytes, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    """A provider in memory; every job's video is the film, unless the scripted server is told otherwise."""
    monkeypatch.setenv("SORA_BASE_URL", scripted.base_url)
    scripted.script(answer(200, film, kind="video/mp4"))
    return FakeProvider(scripted.base_url)


@pytest.fixture
def queue(worker_db) -> WorkQueue:
    return WorkQueue(worker_db, lease_seconds=60)


@pytest.fixture
def make_worker(
    queue: WorkQueue, videos: VideoStorageManager, provider: FakeProvider
) -> Iterator[Callable[..., Worker]]:
    """A worker of that provider; what a test says differs from the usual."""
    made: list[Worker] = []

    def make(**otherwise: object) -> Worker:
        usual = {"queue": queue, "videos": videos, "clients": [provider], "key": KEY, "concurrency": 4}
        defaults = ProviderSettings((provider.base_url,), frozenset(), "sora-2", "720x1280", 8)
        usual |= {"defaults": defaults, "lease_seconds": 60, "find_seconds": 120}
        made.append(Worker(**(usual | otherwise)))
        return made[-1]

    yield make
    for worker in made:
        worker.close()


@dataclass
class Scenes:
    """The scenes that a test queued, and the steps that are done for them."""

    manager: GenerationManager
    db: Any
    provider: FakeProvider
    make_worker: Callable[..., Worker]

    def add(self, prompt: str = "a cat", *, by: GenerationManager | None = None, submit: bool = True) -> str:
        """The id of a new scene of a generation of its own."""
        manager = by or self.manager
        generation = manager.create_with_scenes("https://video.example/ad", "url", {"soft": [prompt]}, submit=submit)
        return manager.get_generation(generation["id"])["variants"][0]["scenes"][0]["id"]

    def read(self, scene_id: str) -> Scene:
        return self.manager.get_scene(scene_id)

    def ended(self, scene_id: str) -> tuple[str, str | None]:
        """How the scene ended, once no work is left for it."""
        assert self.job(scene_id) is None
        scene = self.read(scene_id)
        return scene["status"], scene["error_code"]

    def job(self, scene_id: str) -> tuple[str, int, str | None] | None:
        """The scene's job: its step, failures in a row and last error."""
        rows = self.db.rows("select step, failures, last_error from jobs where scene_id = %s", scene_id)
        return rows[0] if rows else None

    def attempt(self, scene_id: str) -> tuple[str, str | None]:
        """The outcome and job id of the scene's last attempt."""
        query = "select outcome, sora_video_id from attempts where scene_id = %s order by attempt desc"
        return self.db.rows(query, scene_id)[0]

    def make_due(self) -> None:
        self.db.rows("update jobs set run_at = now() where lease_token is null")

    def expire_leases(self) -> None:
        self.db.rows("update jobs set run_at = now() - interval '1 second' where lease_token is not null")

    def pass_deadline(self) -> None:
        self.db.rows("update jobs set deadline = now() - interval '1 second'")

    def step(self, times: int = 1, **otherwise: object) -> None:
        """Each scene's next step is done, however long it would have waited."""
        worker = self.make_worker(**otherwise)
        for _ in range(times):
            self.make_due()
            worker.run(seconds=600)

    def accepted(self, prompt: str = "a cat", **known: object) -> str:
        """The id of a new scene whose job the provider has taken; what is known of that job may be changed."""
        scene_id = self.add(prompt)
        self.step()
        self.provider.change(self.read(scene_id)["sora_video_id"], **known)
        return scene_id


@pytest.fixture
def scenes(manager: GenerationManager, db: Any, provider: FakeProvider, make_worker: Callable[..., Worker]) -> Scenes:
    return Scenes(manager, db, provider, make_worker)


@pytest.fixture
def claimed(scenes: Scenes, queue: WorkQueue) -> Callable[[str], Job]:
    """Claims the job of this scene, whoever had it and whenever it would be due."""

    def claim(scene_id: str) -> Job:
        scenes.db.rows("update jobs set run_at = now() - interval '1 day' where scene_id = %s", scene_id)
        (job,) = queue.claim(1)
        return job

    return claim


@pytest.fixture
def right(manager, stranger, db) -> Callable[[], None]:
    """The statistics of both owners are what a recount gives."""

    def check() -> None:
        for one in (manager, stranger):
            assert one.get_stats() == recount(db.rows, one.owner_id)

    return check
