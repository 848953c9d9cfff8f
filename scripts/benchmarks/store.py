"""Storing sixteen finished videos: one poller against the old way, in the same run; and what the worker needs.

The provider gives 5 MB/s a connection after 100 ms. The floor is the slower of two resources: the bytes through as many
connections as the worker has, and ffmpeg's processor time.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import psutil
import psycopg
import requests
from boto3.session import Session

from generation_history import settings
from generation_history.archives.archives import Archives
from generation_history.db import database
from generation_history.media import ffmpeg
from generation_history.providers import VideoRequest
from generation_history.providers.sora import SoraProvider
from generation_history.record.generation_manager import GenerationManager
from generation_history.storage.keys import scene_key
from generation_history.storage.object_store import ObjectStore
from generation_history.work.job_queue import JobQueue
from generation_history.work.submission import Submissions
from generation_history.work.worker import from_settings
from scripts.local import ports, process
from scripts.local.host.project import ROOT
from scripts.local.postgres import Postgres
from scripts.local.seaweedfs import SeaweedFS
from scripts.operate.create_logins import LOGINS, create_logins
from scripts.operate.migrate import migrate

SCENES = 16
MEGABYTES = 10
BYTES_PER_SECOND = 5_000_000
LATENCY_SECONDS = 0.1
DOWNLOADS = 4
ROUNDS = 3
#: Videos at once when memory is measured.
AT_ONCE = 4
#: What is promised.
FASTER = 4
FLOOR_RATIO = 1.3
MEGABYTES_IN_MEMORY = 256
OLD_CHUNK_BYTES = 8192
READY_S = 20
KINDS = ("soft", "medium", "aggressive", "ultra")
KEY = "bench-key"
BUCKET = "bench"


@dataclass(frozen=True)
class Stage:
    """The servers, and where a finished job's video is."""

    manager: GenerationManager
    queue: JobQueue
    submissions: Submissions
    provider: SoraProvider
    video: Path


def run(_: argparse.Namespace) -> int:
    """Prints seconds, ratios and peak memory; 1 if one of them breaks its limit."""
    with _stage(MEGABYTES) as stage:
        old_s = _old_way(stage)
        poller_s = statistics.median(_ours(stage) for _ in range(ROUNDS))
        network = SCENES / DOWNLOADS * (LATENCY_SECONDS + stage.video.stat().st_size / BYTES_PER_SECOND)
        processor = SCENES * _ffmpeg_seconds(stage.video) / (os.cpu_count() or 1)
        floor = max(network, processor)
        print(f"{SCENES} videos of {stage.video.stat().st_size / 1e6:.1f} MB, 720p, {DOWNLOADS} connections")
        print(f"old way, one after the other   {old_s:6.1f} s")
        print(f"one poller, median of {ROUNDS}        {poller_s:6.1f} s   {old_s / poller_s:.1f} x faster")
        print(f"floor: network {network:.1f} s, ffmpeg {processor:.1f} s         {poller_s / floor:.2f} x the floor")
    with _stage(30) as stage:
        megabytes, megabytes_with_archive = (_peak_megabytes(stage, archive=archive) for archive in (False, True))
        print(f"peak memory of the worker and its ffmpegs, {AT_ONCE} videos of 30 MB at once: {megabytes:.0f} MB")
        print(f"the same while an archive of {AT_ONCE} such videos is built: {megabytes_with_archive:.0f} MB")
    with _stage(1) as stage:
        _queue_rates(stage)
    limits = {
        f"at least {FASTER} x faster": old_s / poller_s >= FASTER,
        f"at most {FLOOR_RATIO} x the floor": poller_s / floor <= FLOOR_RATIO,
        f"at most {MEGABYTES_IN_MEMORY} MB": max(megabytes, megabytes_with_archive) <= MEGABYTES_IN_MEMORY,
    }
    for limit in (limit for limit, holds in limits.items() if not holds):
        print(f"BROKEN  {limit}")
    return 0 if all(limits.values()) else 1


# ---------------------------------------------------------------- the two ways


def _ours(stage: Stage) -> float:
    _finished_jobs(stage)
    worker = from_settings()
    try:
        return _seconds(lambda: worker.run(seconds=600))
    finally:
        worker.close()
        _check(stage)


def _old_way(stage: Stage) -> float:
    """One after the other, 8 kB at a time, a run of ffmpeg for the picture and one for the length, a query a row."""
    generation_id = _finished_jobs(stage)
    with psycopg.connect(settings.migrate_database_url(), autocommit=True) as connection:
        jobs = connection.execute("select scene_id, sora_video_id from attempts where outcome = 'accepted'").fetchall()
        return _seconds(lambda: [_store_old(stage, connection, generation_id, *job) for job in jobs])


def _store_old(
    stage: Stage, connection: psycopg.Connection, generation_id: str, scene_id: uuid.UUID, video_id: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        video, picture = Path(folder) / "video.mp4", Path(folder) / "thumb.jpg"
        url, headers = stage.provider.content_url(video_id), {"Authorization": f"Bearer {KEY}"}
        with requests.get(url, headers=headers, stream=True, timeout=60) as response, video.open("wb") as file:
            for chunk in response.iter_content(OLD_CHUNK_BYTES):
                file.write(chunk)
        run = [ffmpeg.executable(), "-hide_banner", "-nostdin", "-i", str(video)]
        streams: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        picture_options = ("-ss", "1", "-frames:v", "1", "-vf", "scale=640:-2")
        subprocess.run([*run, *picture_options, "-y", str(picture)], check=True, **streams)
        subprocess.run([*run, "-f", "null", "-t", "0", "-"], check=True, **streams)
        spaces = settings.spaces()
        client = cast("Any", Session()).client(
            "s3",
            endpoint_url=spaces.endpoint,
            region_name=spaces.region,
            aws_access_key_id=spaces.access_key,
            aws_secret_access_key=spaces.secret_key,
        )
        for path in (video, picture):
            client.upload_file(str(path), BUCKET, f"old/{scene_id}/{path.name}")
        for query in (
            "update scenes set status = 'completed', completed_at = now(), video_url = 'x' where id = %(scene_id)s",
            "delete from jobs where scene_id = %(scene_id)s",
            "update attempts set outcome = 'stored' where scene_id = %(scene_id)s",
            "select count(*) from scenes s join variants v on v.id = s.variant_id where generation_id = %(id)s",
        ):
            connection.execute(query, {"scene_id": scene_id, "id": generation_id})


def _finished_jobs(stage: Stage) -> str:
    """Sixteen scenes whose jobs the provider has finished, all due to be polled; what was before is out of the way."""
    with psycopg.connect(settings.migrate_database_url(), autocommit=True) as connection:
        connection.execute("delete from generations")
    prompts = {kind: [f"{kind} {n} {uuid.uuid4()}" for n in range(SCENES // len(KINDS))] for kind in KINDS}
    generation = stage.manager.create_with_scenes("bench", "file", prompts)
    for job in stage.queue.claim(SCENES):
        request = VideoRequest(job.prompt, "sora-2", "720x1280", 8)
        stage.submissions.record_submit_intent(job, provider="sora", base_url=stage.provider.base_url, request=request)
        stage.submissions.accept(job, stage.provider.submit(request))
    with psycopg.connect(settings.migrate_database_url(), autocommit=True) as connection:
        connection.execute("update jobs set run_at = now()")
    return generation["id"]


def _check(stage: Stage, scenes: int = SCENES) -> None:
    """A fast way that loses a video is none."""
    total = stage.manager.get_stats()["total_videos"]
    if total != scenes:
        raise AssertionError(f"{total} of {scenes} videos are stored")


# ---------------------------------------------------------------- what it needs


def _ffmpeg_seconds(video: Path) -> float:
    """The processor time of one inspection."""
    start_usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        ffmpeg.inspect(video, Path(folder) / "thumb.jpg")
    end_usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end_usage.ru_utime + end_usage.ru_stime - start_usage.ru_utime - start_usage.ru_stime


def _peak_megabytes(stage: Stage, *, archive: bool) -> float:
    """The most that a poller in a process of its own and its children had in memory at any moment looked at."""
    _finished_jobs(stage)
    if archive:
        _ask_for_archive(stage)
    program = (
        "from generation_history.work.poller import from_settings; p = from_settings(); p.run(seconds=600); p.close()"
    )
    child = subprocess.Popen([sys.executable, "-c", program], env=os.environ | {"WORKER_CONCURRENCY": str(AT_ONCE)})
    peak = 0
    while child.poll() is None:
        peak = max(peak, sum(_memory(member, poller_pid=child.pid) for member in _family(child.pid)))
        time.sleep(0.005)
    _check(stage, SCENES + (AT_ONCE if archive else 0))
    return peak / 1e6


def _ask_for_archive(stage: Stage) -> None:
    store, size = ObjectStore(settings.spaces()), stage.video.stat().st_size
    generation_id = stage.manager.create_generation("bench", "file", ["soft"], None, start=True)["id"]
    for scene in stage.manager.create_scenes(generation_id, "soft", ["a video"] * AT_ONCE):
        key = scene_key(generation_id, "soft", scene["scene_number"])
        url = store.put(key, stage.video, content_type="video/mp4")
        stage.manager.update_scene(scene["id"], video_url=url, file_size=size, status="completed")
    Archives(stage.manager.owner_id).ask(generation_id)


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory(member: psutil.Process, *, poller_pid: int) -> int:
    """In bytes; 0 for a child that is still between fork and exec: it runs in its parent's memory."""
    try:
        is_forked = member.pid != poller_pid and Path(member.exe()).name.startswith("python")
        return 0 if is_forked else member.memory_info().rss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _queue_rates(stage: Stage) -> None:
    """Prints claims and completions a second of the queue alone, with several pollers at once."""
    print("pollers  claims and completions a second")
    rates: dict[int, float] = {}
    for pollers in (1, 4, 8):
        _jobs_to_complete(stage, 400)
        threads = [threading.Thread(target=_claim_and_complete, args=(stage.queue,)) for _ in range(pollers)]
        rates[pollers] = 400 / _seconds(partial(_run_all, threads))
        print(f"{pollers:7}  {rates[pollers]:8.0f}   {rates[pollers] / rates[1]:.2f} x one poller")


def _run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _jobs_to_complete(stage: Stage, count: int) -> None:
    with psycopg.connect(settings.migrate_database_url(), autocommit=True) as connection:
        connection.execute("delete from generations")
    for number in range(count // SCENES):
        prompts = {
            kind: [f"{kind} {n} {number}" for n in range(4)] for kind in ("soft", "medium", "aggressive", "ultra")
        }
        stage.manager.create_with_scenes("bench", "file", prompts)


def _claim_and_complete(queue: JobQueue) -> None:
    while jobs := queue.claim(4):
        for job in jobs:
            queue.complete(
                job,
                video_url="https://bench.example/video.mp4",
                thumbnail_url=None,
                metadata={"duration": 8, "resolution": "720x1280", "file_size": 1},
            )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# ---------------------------------------------------------------- the stage


@contextmanager
def _stage(megabytes: int) -> Generator[Stage]:
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        video = _video(folder / "video.mp4", megabytes)
        postgres = closing.enter_context(Postgres(folder / "postgres", password="bench"))  # noqa: S106
        spaces = closing.enter_context(
            SeaweedFS(folder / "spaces", access_key="bench", secret_key="bench-secret", bucket=BUCKET)  # noqa: S106
        )
        base_url = _start_simulator(closing, folder, video)
        create_logins(postgres.admin_url, dict.fromkeys(LOGINS, "bench"))
        urls = {login: postgres.url("postgres", login, "bench") for login in LOGINS}
        migrate(urls["history_migrate"])
        os.environ |= {
            "MIGRATE_DATABASE_URL": urls["history_migrate"],
            "DATABASE_URL": urls["history_api"],
            "WORKER_DATABASE_URL": urls["history_worker"],
            "WORKER_DOWNLOADS": str(DOWNLOADS),
            "SORA_BASE_URL": base_url,
            "OPENAI_API_KEY": KEY,
            "DO_SPACES_ENDPOINT": spaces.endpoint,
            "DO_SPACES_BUCKET": BUCKET,
            "DO_SPACES_ACCESS_KEY": "bench",
            "DO_SPACES_SECRET_KEY": "bench-secret",
        }
        api = database.connect(urls["history_api"], setting="DATABASE_URL")
        worker = database.connect(urls["history_worker"], setting="WORKER_DATABASE_URL")
        closing.callback(api.close)
        closing.callback(worker.close)
        yield Stage(
            GenerationManager(uuid.uuid4(), db=api),
            JobQueue(worker, lease_seconds=60),
            Submissions(worker),
            SoraProvider(base_url, KEY),
            video,
        )


def _start_simulator(closing: ExitStack, folder: Path, video: Path) -> str:
    port = ports.free_port()
    command = [sys.executable, "-m", "scripts.local.simulator", "--port", str(port), "--data", str(folder / "sora")]
    command += ["--api-key", KEY, "--content", str(video), "--queue-seconds", "0", "--render-seconds", "0"]
    command += ["--bytes-per-second", str(BYTES_PER_SECOND), "--latency-seconds", str(LATENCY_SECONDS)]
    log = folder / "simulator.log"
    child = process.start(command, log=log, cwd=ROOT)
    closing.callback(process.stop, child, timeout=3)
    process.wait_until(lambda: not ports.is_free(port), process=child, log=log, timeout=READY_S)
    return f"http://{ports.LOOPBACK}:{port}/v1"


def _video(path: Path, megabytes: int) -> Path:
    """Eight seconds of 720p with sound, of about this size."""
    rate = f"{megabytes * 8 / 8 * 0.97:.2f}M"
    subprocess.run(
        [
            *(ffmpeg.executable(), "-hide_banner", "-nostdin", "-loglevel", "error"),
            *("-f", "lavfi", "-i", "testsrc2=s=720x1280:r=24:d=8,noise=alls=60:allf=t"),
            *("-f", "lavfi", "-i", "sine=d=8", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
            *("-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", "1M", "-nal-hrd", "cbr"),
            *("-c:a", "aac", "-movflags", "+faststart", "-y", str(path)),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path
