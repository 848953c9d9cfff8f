"""The main job from the uploaded zips: what a user of the deployed functions sees."""

import io
import json
import time
import uuid
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from standardwebhooks import Webhook

from tests.deploy.conftest import Deployed, failing_total

PATIENCE_SECONDS = 90


class Api:
    """The functions over HTTP."""

    def __init__(self, deployed: Deployed) -> None:
        self.url = f"{deployed.stack.url}/api"
        self.settings = deployed.stack.environment

    def __call__(self, method: str, path: str, status: int = 200, **options: Any) -> dict[str, Any]:
        answer = requests.request(method, self.url + path, timeout=40, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    def until(self, path: str, holds, *, statuses=(200,), **options: Any) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = requests.get(self.url + path, timeout=40, **options)
            assert answer.status_code in statuses, answer.text
            if holds(seen := answer.json()):
                return seen
            assert time.monotonic() < deadline, seen
            time.sleep(0.2)


@pytest.fixture(scope="module")
def api(deployed: Deployed) -> Api:
    return Api(deployed)


@pytest.fixture(scope="module")
def generation(api: Api) -> dict[str, Any]:
    """Recorded, submitted, rendered, stored: two variants of two scenes."""
    prompts = {kind: [f"{kind} {n} {uuid.uuid4()}" for n in (1, 2)] for kind in ("soft", "ultra")}
    body = {"source_video_url": "https://video.example/ad.mp4", "source_video_type": "url", "prompts": prompts}
    made = api("POST", "/history/generations", 202, json=body)["generation_id"]
    over = {"completed", "failed"}
    return api.until(f"/history/generations/{made}", lambda seen: seen["generation"]["status"] in over)["generation"]


def test_what_is_recorded_is_submitted_rendered_and_stored(generation):
    scenes = [scene for variant in generation["variants"] for scene in variant["scenes"]]

    assert [scene["status"] for scene in scenes] == ["completed"] * 4, scenes
    assert all(scene["thumbnail_url"] for scene in scenes)
    for scene in scenes:
        assert requests.get(scene["video_url"], timeout=10).content[4:8] == b"ftyp"


def test_every_read_answers(api: Api, generation):
    assert generation["id"] in [one["id"] for one in api("GET", "/history/generations")["generations"]]
    assert generation["id"] in [one["id"] for one in api("GET", "/history/library")["library"]]
    assert api("GET", "/history/stats")["stats"]["total_videos"] >= 4
    (variant, _) = generation["variants"]
    assert len(api("GET", f"/history/variants/{variant['id']}/scenes")["scenes"]) == 2
    permanent = f"{api.url}/history/scenes/{variant['scenes'][0]['id']}/video"
    assert requests.get(permanent, timeout=10).content[4:8] == b"ftyp"


def test_a_signed_delivery_is_taken_once_and_a_forged_one_not_at_all(api: Api, generation):
    video_id = generation["variants"][0]["scenes"][0]["sora_video_id"]
    body = json.dumps({"type": "video.completed", "data": {"id": video_id}})
    at, webhook_id = datetime.now(UTC), f"wh_{uuid.uuid4()}"
    signature = Webhook(api.settings["OPENAI_WEBHOOK_SECRET"]).sign(webhook_id, at, body)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }
    assert api("POST", "/sora/webhook", data=body, headers=headers)["new"] is True
    assert api("POST", "/sora/webhook", data=body, headers=headers)["new"] is False
    api("POST", "/sora/webhook", 401, data=body, headers=headers | {"webhook-signature": "v1,bm8="})


def test_a_generation_comes_as_a_zip(api: Api, generation):
    path = f"/history/generations/{generation['id']}/download"
    requests.post(api.url + path, timeout=30)

    ready = api.until(path, lambda seen: seen["status"] == "ready", statuses=(200, 202))

    with zipfile.ZipFile(io.BytesIO(requests.get(ready["url"], timeout=30).content)) as archive:
        assert sum(name.endswith(".mp4") for name in archive.namelist()) == 4


def test_what_is_deleted_is_gone_can_be_restored_and_purged(api: Api, deployed: Deployed):
    body = {"source_video_url": "https://video.example/gone.mp4", "source_video_type": "url", "variant_types": ["soft"]}
    made = api("POST", "/history/generations", 202, json=body)["generation_id"]
    api("DELETE", f"/history/generations/{made}")
    api("GET", f"/history/generations/{made}", 404)
    api("POST", f"/history/generations/{made}/restore")
    assert api("GET", f"/history/generations/{made}")["generation"]["id"] == made

    said = deployed.call("ops/purge", {})

    assert "error" not in said, said


def test_health_says_that_the_work_gets_done(api: Api):
    """Once the schedule has called the poller for the first time."""
    token = {"Authorization": f"Bearer {api.settings['HEALTH_TOKEN']}"}
    seen = api.until("/ops/health", lambda seen: seen["healthy"], statuses=(200, 503), headers=token)

    assert seen["problems"] == []
    api("GET", "/ops/health", 401)


# ---------------------------------------------------------------- what goes wrong


def get(path: str = "", query: str = "") -> dict[str, Any]:
    return {
        "http": {
            "method": "GET",
            "path": path,
            "headers": {},
            "queryString": query,
            "body": "",
            "isBase64Encoded": False,
        }
    }


@pytest.mark.parametrize(
    ("function", "setting"),
    [
        ("history/generations", "DATABASE_URL"),
        ("history/library", "HISTORY_ACCESS"),
        ("sora/webhook", "OPENAI_WEBHOOK_SECRET"),
        ("ops/health", "HEALTH_TOKEN"),
    ],
)
def test_a_missing_setting_is_503_and_named(deployed: Deployed, function: str, setting: str):
    event = get()
    if function == "sora/webhook":
        event["http"] |= {"method": "POST", "body": "{}", "headers": {"webhook-id": "x"}}

    answer = deployed.call(function, event, **{setting: None})

    assert answer["statusCode"] == 503
    assert setting in answer["body"]


@pytest.fixture
def failing(deployed: Deployed) -> Iterator[str]:
    with failing_total(deployed.stack.environment["MIGRATE_DATABASE_URL"]) as said:
        yield said


def test_what_nobody_thought_of_is_500_and_the_log_says_what(deployed: Deployed, failing: str):
    answer = deployed.call("history/generations", get())

    told = json.loads(answer["body"])
    assert (answer["statusCode"], told["code"]) == (500, "internal")
    assert failing not in answer["body"]
    logged = (deployed.logs / "one.log").read_text()
    assert failing in logged
    assert told["request_id"] in logged


@pytest.mark.parametrize("setting", ["OPENAI_API_KEY", "WORKER_DATABASE_URL", "SORA_BASE_URL"])
def test_a_scheduled_function_names_what_it_lacks(deployed: Deployed, setting: str):
    assert deployed.call("sora/poller", {}, **{setting: None})["error"].startswith(setting)


@pytest.mark.parametrize("event", [{}, {"http": None}, {"http": {"method": 5}}, {"http": {"method": "GET", "path": 7}}])
def test_an_event_that_is_none_is_answered_and_the_instance_lives(deployed: Deployed, event: dict[str, Any]):
    answer = deployed.call("history/generations", event)

    assert answer.get("statusCode", 0) >= 400, answer


def test_an_answer_stays_within_a_megabyte(api: Api, deployed: Deployed):
    body = {
        "source_video_url": "https://video.example/large",
        "source_video_type": "url",
        "variant_types": ["soft", "medium"],
    }
    made = api("POST", "/history/generations", 202, json=body)["generation_id"]
    for variant in api("GET", f"/history/generations/{made}/variants")["variants"]:
        api(
            "POST",
            f"/history/variants/{variant['id']}/scenes",
            201,
            json={"prompts": [f"{n}" + "x" * 17_000 for n in range(50)]},
        )

    answer = deployed.call("history/generations", get(f"/{made}"))

    assert answer["statusCode"] == 200
    assert len(json.dumps(answer)) < 1_000_000
    assert json.loads(answer["body"])["generation"]["prompts_omitted"] is True


def test_a_poller_whose_time_is_nearly_over_ends_in_time(deployed: Deployed):
    began = time.monotonic()

    answer = deployed.call("sora/poller", {}, timeout=8)

    assert "error" not in answer, answer
    assert time.monotonic() - began < 8
