"""What crash tests share: a database, a bucket and a provider of their own, so that the proof can be over all of it."""

import gc
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from generation_history.errors import Unavailable
from generation_history.record.generation_manager import GenerationManager
from generation_history.storage.object_store import ObjectStore
from generation_history.work.worker import Worker, from_settings
from scripts.chaos.proof import Proof, prove
from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator
from tests.conftest import PROVIDER_KEY
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
#: What the simulator's videos cost, so that every test's costs are recounted.
PRICE = """
    insert into prices (provider, model, size, usd_per_second, valid_from, source)
    values ('127.0.0.1', 'sora-2', '*', 0.125, '2025-01-01', 'a test')
"""
LEASE_SECONDS = 3
AT_ONCE = Timing(queue_seconds=0, render_seconds=0, expires_seconds=3600)


@dataclass
class Place:
    """Everything that one test's scenes live in, and the workers that work on them."""

    admin_url: str
    rows: Callable[..., list[tuple]]
    store: ObjectStore
    provider_url: str
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def record(self, *prompts: str) -> list[str]:
        """The ids of scenes with these prompts and something unique in each, queued for submission."""
        given = [f"{prompt} {uuid.uuid4()}" for prompt in prompts]
        made = GenerationManager().create_with_scenes("https://video.example/ad", "url", {"soft": given}, submit=True)
        whole = GenerationManager().get_generation(made["id"])
        assert whole is not None
        return [scene["id"] for scene in whole["variants"][0]["scenes"]]

    def scene(self) -> Mapping[str, Any]:
        """The only scene there is."""
        ((scene,),) = self.rows("select row_to_json(s) from scenes s")
        return scene

    def start_worker(
        self,
        step: str | None = None,
        *,
        clock: Path | None = None,
        impatient: int | None = None,
        forgetful: float | None = None,
        **environment: str,
    ) -> subprocess.Popen[bytes]:
        """A worker in a process of its own, which kills itself right after the step, if one is given.

        Its clock is off by what the file says; impatient, it waits only so many seconds for an answer; forgetful, it
        does not hear the answers to a share of its transactions.
        """
        options = {"--die-after": step, "--impatient": impatient, "--forgetful": forgetful}
        given = [str(word) for option in options.items() if option[1] is not None for word in option]
        under = ["scripts.local.shifted_clock", str(clock)] if clock else []
        log = (self.folder / "workers.log").open("ab")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", *under, "tests.crash.worker_process", *given],
                cwd=ROOT,
                env={**os.environ, **environment, "TMPDIR": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def end_workers(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(10)
        self.processes.clear()

    def is_idle(self) -> bool:
        return not self.rows("select 1 from jobs")

    def come_due(self) -> None:
        """As if the time had passed until the next thing is due; leases run out by themselves."""
        self.rows("update jobs set run_at = now() where lease_token is null")

    def wait_until_done(self, *, seconds: float = 60) -> None:
        """Worker processes do all there is to do, as if no time passed between one due time and the next."""

        def is_done() -> bool:
            self.come_due()
            return self.is_idle()

        eventually(is_done, seconds=seconds)

    def finish(self, worker: Worker) -> None:
        """The worker does all there is to do, run after run, whatever keeps one of them from working."""

        def is_done() -> bool:
            self.come_due()
            self.run(worker)
            return self.is_idle()

        eventually(is_done, seconds=60)

    @staticmethod
    def run(worker: Worker) -> None:
        try:
            worker.run(seconds=600)
        except Unavailable:
            return

    def wait_until_idle(self, *, seconds: float = 60) -> None:
        eventually(self.is_idle, seconds=seconds)

    def faults(self, **plan: object) -> None:
        """From now on the provider misbehaves so, and no other way."""
        requests.put(
            f"{self.provider_url.removesuffix('/v1')}/simulator/faults", json=plan, timeout=5
        ).raise_for_status()

    def faults_happened(self) -> dict[str, list[int]]:
        """How often each of the provider's faults did."""
        shown = requests.get(f"{self.provider_url.removesuffix('/v1')}/simulator/faults", timeout=5).json()
        return {place: [fault["happened"] for fault in faults] for place, faults in shown.items()}

    def proof(self) -> Proof:
        """The proof, which must hold."""
        proof = prove(self.admin_url, self.store, self.provider_url)
        assert proof.holds, "\n".join([*proof.problems, self.log()])
        return proof

    def log(self) -> str:
        log = self.folder / "workers.log"
        return log.read_text() if log.exists() else ""


@pytest.fixture
def bucket(spaces, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Settings of a bucket that holds nothing yet, in the environment too."""
    made = replace(spaces, bucket=f"crash-{uuid.uuid4().hex}")
    client = boto3.client(
        "s3",
        endpoint_url=made.endpoint,
        region_name="us-east-1",
        aws_access_key_id=made.access_key,
        aws_secret_access_key=made.secret_key,
    )
    client.create_bucket(Bucket=made.bucket)
    client.close()
    monkeypatch.setenv("DO_SPACES_BUCKET", made.bucket)
    return made


@pytest.fixture
def place(db, bucket, owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("OPENAI_API_KEY", PROVIDER_KEY)
    monkeypatch.setenv("SORA_SIZE", "160x288")
    monkeypatch.setenv("SORA_SECONDS", "1")
    monkeypatch.setenv("WORKER_LEASE_SECONDS", str(LEASE_SECONDS))
    monkeypatch.setenv("WORKER_FIND_SECONDS", "2")
    db.rows(PRICE)
    with simulator(tmp_path / "sora", api_key=PROVIDER_KEY, timing=AT_ONCE) as base_url:
        monkeypatch.setenv("SORA_BASE_URL", base_url)
        made = Place(db.admin, db.rows, ObjectStore(bucket), base_url, tmp_path)
        yield made
        made.end_workers()
    # A killed worker resets its connection, and then werkzeug does not close the file that it was sending.
    gc.collect()


@pytest.fixture
def worker(place: Place) -> Iterator[Worker]:
    """A worker in this process."""
    made = from_settings()
    yield made
    made.close()
