"""The simulator as a command: it forgets nothing when it is killed, and ends when it is told to."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import openai
import pytest
import requests
from openai import OpenAI

from tests.support.waiting import eventually

KEY = "sk-simulated"
SMALL = {"seconds": "1", "size": "64x96"}
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")


@pytest.fixture
def start(tmp_path):
    """A simulator process on the test's data, with its client; killed when the block ends."""

    @contextmanager
    def start(*options):
        command = [sys.executable, "-m", "scripts.local.simulator", "--port", "0", "--data", str(tmp_path / "data")]
        quick = ["--api-key", KEY, "--queue-seconds", "0.05", "--render-seconds", "0.05"]
        process = subprocess.Popen(
            [*command, *quick, *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with process:
            try:
                words, base_url = process.stdout.readline().strip().rsplit(" ", 1)
                assert words == "simulator ready on"
                with OpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client:
                    yield process, client
            finally:
                process.kill()

    return start


def over(job):
    return job if job.status in {"completed", "failed"} else None


def posts(client):
    return requests.get(str(client.base_url).removesuffix("/v1/") + "/simulator/posts", timeout=10).json()


def test_a_killed_simulator_remembers_jobs_files_and_posts(start):
    with start() as (process, client):
        jobs = [client.videos.create(prompt=prompt, **SMALL) for prompt in ("a cat", "a cat", "a dog [fail]")]
        with pytest.raises(openai.BadRequestError):
            client.videos.create(prompt="a cow [reject]")
        finished = [eventually(lambda job=job: over(client.videos.retrieve(job.id))) for job in jobs]
        content = client.videos.download_content(jobs[0].id).content
        counted = posts(client)
        process.kill()
        process.wait()

    with start("--expires-seconds", "1") as (_, client):
        assert list(client.videos.list(order="asc")) == finished
        assert client.videos.download_content(jobs[0].id).content == content
        assert posts(client) == counted
        assert counted == {"posts": {"a cat": 2, "a dog [fail]": 1}, "total": 3, "rejected": {"a cow [reject]": 1}}


def test_a_killed_simulator_renders_what_it_had_accepted(start):
    with start() as (process, client):
        jobs = [client.videos.create(prompt=f"cat {number}", seconds="2", size="720x1280") for number in range(4)]
        process.kill()
        process.wait()

    with start() as (_, client):
        finished = [eventually(lambda job=job: over(client.videos.retrieve(job.id))) for job in jobs]

        assert [job.status for job in finished] == ["completed"] * 4
        assert all(client.videos.download_content(job.id).content[4:8] == b"ftyp" for job in finished)
        assert posts(client)["total"] == 4


def test_a_kill_in_the_middle_of_many_posts_loses_no_answered_job_and_no_count(start):
    """A job and its POST are remembered together or not at all, and always if the answer was sent."""
    answered = []

    def create_until_killed(client):
        with suppress(openai.APIConnectionError):
            while True:
                answered.append(client.videos.create(prompt="a cat [fail]", **SMALL).id)

    with start() as (process, client), ThreadPoolExecutor(4) as pool:
        creating = [pool.submit(create_until_killed, client) for _ in range(4)]
        eventually(lambda: len(answered) > 40)
        process.kill()
        for thread in creating:
            thread.result()

    with start() as (_, client):
        remembered = [job.id for job in client.videos.list(limit=100)]
        assert set(answered) <= set(remembered)
        assert posts(client)["total"] == len(remembered)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_simulator_told_to_end_ends_at_once_with_0_and_was_quiet(start, number):
    with start() as (process, client):
        client.videos.create(prompt="a cat", seconds="20", size="1080x1920")
        process.send_signal(number)

        assert process.wait(timeout=5) == 0
        assert process.communicate() == ("", "")


def test_what_was_rendering_when_a_simulator_ended_is_completed_by_the_next(start):
    with start() as (process, client):
        job = client.videos.create(prompt="a cat", seconds="4", size="720x1280")
        process.terminate()
        process.wait()

    with start() as (_, client):
        assert eventually(lambda: over(client.videos.retrieve(job.id))).status == "completed"


def test_a_command_may_answer_in_another_manner_with_a_given_file_at_a_given_pace(start, tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(bytes(500_000))
    with start("--manner", "sglang", "--content", str(film), "--bytes-per-second", "1e6") as (_, client):
        job = client.videos.create(prompt="a cat", extra_body={"seconds": "4"})
        finished = eventually(lambda: over(client.videos.retrieve(job.id)))
        before = time.monotonic()

        assert client.videos.download_content(job.id).content == film.read_bytes()
        assert time.monotonic() - before >= 0.5
        assert (finished.status, finished.seconds, finished.prompt) == ("completed", 4, None)


SENSELESS = (
    ["--port", "70000"],
    ["--render-seconds", "-1"],
    ["--queue-seconds", "nan"],
    ["--manner", "azure"],
    ["--content", "/no/such/film.mp4"],
    ["--bytes-per-second", "0"],
    ["--latency-seconds", "inf"],
)


@pytest.mark.parametrize("option", SENSELESS)
def test_a_senseless_option_is_refused_by_name(tmp_path, option):
    command = [sys.executable, "-m", "scripts.local.simulator", "--port", "0", "--data", str(tmp_path), *option]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=10)

    assert process.returncode == 2
    assert option[0] in process.stderr
