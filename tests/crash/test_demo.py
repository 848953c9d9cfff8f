"""`scripts/dev --demo` is broken off at several moments, and the same command again finishes the job."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests

from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator
from tests.conftest import PROVIDER_KEY
from tests.support.demo import PATIENCE_SECONDS, ROOT, Demo, has_made, has_posted, says

pytestmark = pytest.mark.slow

MOMENTS = {
    "making the database": has_made(".postgres.new-*/cluster/base"),
    "starting the store": has_made("spaces/*"),
    "making the ad": says("ready after"),
    "recording": says("generation "),
    "the first POST": has_posted(1),
    "the middle of the POSTs": has_posted(7),
    "storing": says("storing"),
    "the last videos": lambda demo: demo.output().count(" stored ") >= 4,
    "evaluating": says("in the library:"),
    "stopping": says("to try next"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_the_same_command_finishes_the_same_generation(moment: str, tmp_path: Path):
    with Demo(tmp_path / "state", "--once") as demo:
        demo.wait_until(MOMENTS[moment])
        demo.kill_everything()
        begun = demo.generations()

    posted: dict[str, int] = {}
    with Demo(tmp_path / "state", "--once") as again:
        again.wait_until(lambda demo: posted.update(demo.posts()) or says("to try next")(demo))
        assert again.process.wait(PATIENCE_SECONDS) == 0, again.output()

    assert begun in ([], again.generations())
    assert again.output().count("  completed  ") == 12
    assert sorted(posted.values()) == [1] * 12
    assert "videos 12" in again.output()


def test_a_demo_that_came_to_its_end_is_followed_by_a_new_one(tmp_path: Path):
    finished = []
    for _ in range(2):
        with Demo(tmp_path / "state", "--once") as demo:
            assert demo.process.wait(PATIENCE_SECONDS) == 0, demo.output()
            finished += demo.generations()

    assert len(set(finished)) == 2
    assert "generations 2, videos 24" in demo.output()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_was_interrupted_does_not_end_as_if_all_were_stored(tmp_path: Path, ending: signal.Signals):
    with Demo(tmp_path / "state", "--once") as demo:
        demo.wait_until(says("generation "))
        demo.process.send_signal(ending)
        assert demo.process.wait(PATIENCE_SECONDS) == 130, demo.output()

    assert demo.output().endswith("\nstopped\n")
    assert "Traceback" not in demo.output()


def test_a_demo_whose_scene_failed_ends_with_the_reason(tmp_path: Path):
    quick = Timing(queue_seconds=0, render_seconds=0, expires_seconds=3600)
    with simulator(tmp_path / "sora", api_key=PROVIDER_KEY, timing=quick) as base_url:
        faults = {"create": {"status": 400, "times": 1}}
        requests.put(f"{base_url.removesuffix('/v1')}/simulator/faults", json=faults, timeout=5).raise_for_status()
        with Demo(tmp_path / "state", "--once", SORA_BASE_URL=base_url, OPENAI_API_KEY=PROVIDER_KEY) as demo:
            assert demo.process.wait(PATIENCE_SECONDS) == 1, demo.output()

    assert demo.output().count("  completed  ") == 11
    assert demo.output().splitlines()[-1].startswith("scripts/dev: 1 of 12 scenes have no video: submit_rejected: ")


def test_ctrl_c_stops_all_of_it_and_a_sigkill_leaves_nothing_running(tmp_path: Path):
    for ending in (signal.SIGINT, signal.SIGKILL):
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.local.dev", "--folder", str(tmp_path / "state")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
        )
        with process:
            for line in process.stdout:
                if b"Ctrl-C" in line:
                    break
            everyone = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
            assert len(everyone) > 3
            process.send_signal(ending)
            assert process.wait(15) == (0 if ending is signal.SIGINT else -signal.SIGKILL)
            _gone, alive = psutil.wait_procs(everyone, timeout=15)
            assert alive == []
