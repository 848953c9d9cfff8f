"""The four providers' own clients drive the simulator, and get what they expect."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import requests

from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator

KEY = "key-of-the-simulator"
ROOT = Path(__file__).parents[2]
#: They have an environment of their own: one of them wants an older library than the layers carry.
UV = (str(ROOT / ".venv/bin/uv"), "run", "--quiet", "--no-project", "--isolated", "--python", str(ROOT / ".venv"))
DRIVERS = {
    "fal": "drive_fal.py",  # fal_client
    "replicate": "drive_replicate.py",
    "runway": "drive_runway.py",  # runwayml
    "gemini": "drive_gemini.py",  # google.genai
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base_url(tmp_path_factory):
    content = tmp_path_factory.mktemp("film") / "film.mp4"
    content.write_bytes(b"\0" * 4000)
    timing = Timing(queue_seconds=0.1, render_seconds=0.1, expires_seconds=3600)
    with simulator(tmp_path_factory.mktemp("kinds"), api_key=KEY, timing=timing, content=content) as url:
        yield url.removesuffix("/v1")


@pytest.fixture(scope="module")
def drive(base_url):
    """What the driver of this kind printed."""

    def drive(kind):
        command = [*UV, "--with-requirements", str(ROOT / "requirements-sdks.txt"), "python", "-W", "ignore"]
        done = subprocess.run(
            [*command, str(ROOT / "tests/support/sdks" / DRIVERS[kind]), base_url, KEY],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env=os.environ | {"PYTHONPATH": ""},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return drive


def control(base_url, what, method="GET", **how):
    return requests.request(method, f"{base_url}/simulator/{what}", timeout=10, **how).json()


def test_fal_client_gets_a_video_and_every_failure(drive):
    got = drive("fal")

    assert got["statuses"][-1] == "Completed"
    assert set(got["statuses"]) <= {"Queued", "InProgress", "Completed"}
    assert got["result"] == got["by_id"]
    assert got["result"]["video"]["url"].startswith("http://127.0.0.2:")
    assert got["result"]["video"]["file_size"] == 4000
    assert (got["bad_input"][0], got["bad_input"][1][0]["loc"]) == (422, ["body", "duration"])
    assert (got["moderated"][0], got["moderated"][1][0]["type"]) == (422, "content_policy_violation")
    assert got["cancelled"][0] == 499
    assert got["failed"] == ["The provider could not render this video.", "internal_server_error"]
    assert "/fal/fal-ai/gemini-omni-flash/requests/" in got["alias"]


def test_fal_client_posts_again_by_itself_after_an_answer_is_lost(drive, base_url):
    """Why the product speaks fal without it: two jobs are paid for."""
    before = len(control(base_url, "arrivals")["arrivals"])
    control(base_url, "faults", "PUT", json={"fal.create": {"kind": "close", "after_accepting": True, "times": 1}})
    drive("fal")
    posts = control(base_url, "arrivals")["arrivals"][before:]

    assert [(post["kind"], post["answer"]) for post in posts][:2] == [("fal", "fault_after"), ("fal", "accepted")]
    assert posts[0]["prompt"] == posts[1]["prompt"]


def test_replicate_gets_a_video_and_every_failure(drive):
    got = drive("replicate")
    prediction = got["prediction"]

    assert got["first"] == "starting"
    assert prediction["status"] == "succeeded"
    assert re.fullmatch("http://127.0.0.2:[0-9]+/cdn/replicate/[a-z2-7]{26}/video.mp4", prediction["output"])
    assert prediction["input"] == {"prompt": "a cat", "duration": 4, "resolution": "480p"}
    assert got["listed"][:4] == got["ids"]
    assert got["moderated"][0] == "failed"
    assert "(E005)" in got["moderated"][1]
    assert got["cancelled"] == "canceled"
    assert got["refused"][:2] == [422, "Input validation failed"]
    assert got["secret"].startswith("whsec_")


def test_runwayml_gets_a_video_and_every_failure(drive):
    got = drive("runway")

    assert got["created"]["estimatedCost"] == {"credits": 24}
    assert got["task"]["status"] == "SUCCEEDED"
    assert got["task"]["cost"] == {"credits": 24}
    assert "?_jwt=" in got["task"]["output"][0]
    assert got["running"][0] == "RUNNING"
    assert 0 <= got["running"][1] < 1
    assert got["gone"] == 404
    assert (got["moderated"]["status"], got["moderated"]["failureCode"]) == ("FAILED", "SAFETY.INPUT.TEXT")
    assert got["too_long"][:2] == ["BadRequestError", 400]
    assert got["too_long"][2]["issues"][0]["path"] == ["duration"]
    assert got["unknown_field"][2]["issues"][0]["code"] == "unrecognized_keys"


def test_google_genai_gets_a_video_and_every_failure(drive):
    got = drive("gemini")

    assert got["created"][0].startswith("v1_")
    assert len(got["created"][0]) > 100
    assert got["video"]["status"] == "completed"
    assert got["bytes"] == 4000
    assert got["moderated"]["status"] == "completed"
    assert not got["moderated"]["steps"][0].get("content")
    assert got["cancelled"] == "cancelled"
    assert got["too_long"][:2] == ["BadRequestError", 400]
    assert got["unknown"][:2] == ["BadRequestError", 400]
    assert "Invalid interaction name" in got["unknown"][2]
