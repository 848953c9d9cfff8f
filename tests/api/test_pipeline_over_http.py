"""A pipeline in any language: everything that PipelineIntegrator does, over HTTP events and the poller alone."""

import itertools
import time
from collections.abc import Callable
from uuid import uuid4

import pytest
import requests

from tests.conftest import PROVIDER_KEY

pytestmark = pytest.mark.usefixtures("open_to_one")


@pytest.fixture
def http(call) -> Callable[..., dict]:
    """One call by method and path, as a client has them; the answer's JSON, which says that it succeeded."""

    def run(method: str, path: str, body: object = "", *, status: int = 200, **headers: str) -> dict:
        _, function, *rest = path.strip("/").split("/")
        tail = "".join(f"/{part}" for part in rest)
        answer = call(function, tail, method=method, body=body, headers=headers)
        assert answer.status == status, answer.returned
        return answer.json

    return run


@pytest.fixture
def posts(sora: str) -> Callable[[str], int]:
    """How often the provider was asked for a prompt."""
    counted = f"{sora.removesuffix('/v1')}/simulator/posts"
    return lambda prompt: requests.get(counted, timeout=5).json()["posts"].get(prompt, 0)


@pytest.fixture
def submit(sora: str) -> Callable[[str], str]:
    """Submits a prompt as a pipeline does by itself."""
    headers = {"Authorization": f"Bearer {PROVIDER_KEY}"}

    def submit(prompt: str) -> str:
        body = {"prompt": prompt, "model": "sora-2", "size": "64x96", "seconds": "1"}
        return requests.post(f"{sora}/videos", json=body, headers=headers, timeout=5).json()["id"]

    return submit


def prompts(number: int) -> list[str]:
    unique = uuid4().hex
    return [f"scene {one} of {unique}" for one in range(1, number + 1)]


def start(http, *variant_types: str) -> tuple[str, dict[str, str]]:
    """The id of a new generation, and its variants' ids by type."""
    body = {"source_video_url": "https://video.example/ad", "variant_types": variant_types, "cost_estimate": 1.5}
    key = {"idempotency-key": uuid4().hex}
    generation_id = http("POST", "/history/generations", body, status=202, **key)["generation_id"]
    assert http("POST", "/history/generations", body, status=202, **key)["generation_id"] == generation_id
    variants = http("GET", f"/history/generations/{generation_id}/variants")["variants"]
    return generation_id, {variant["variant_type"]: variant["id"] for variant in variants}


def read(http, generation_id: str) -> dict:
    return http("GET", f"/history/generations/{generation_id}")["generation"]


def all_scenes(generation: dict) -> list[dict]:
    return list(itertools.chain.from_iterable(variant["scenes"] for variant in generation["variants"]))


def test_a_pipeline_that_has_its_scenes_submitted(http, work, posts):
    generation_id, variants = start(http, "soft", "ultra")
    path, wanted = f"/history/generations/{generation_id}", {kind: prompts(2) for kind in variants}
    http("PATCH", f"{path}/metadata", {"original_analysis": {"hook": "a cat"}})
    http("PATCH", f"{path}/metadata", {"transformation_data": ["calmer"], "prompts_data": wanted})
    for kind, variant_id in variants.items():
        for _ in range(2):
            body = {"prompts": wanted[kind], "submit": True}
            ids = http("POST", f"/history/variants/{variant_id}/scenes", body, status=202)["scene_ids"]
        scenes = http("GET", f"/history/variants/{variant_id}/scenes")["scenes"]
        assert [scene["id"] for scene in scenes] == ids
    work()
    http("PATCH", f"{path}/metadata", {"evaluation_data": {"score": 9}})
    http("PATCH", path, {"actual_cost": 0.8})

    generation = read(http, generation_id)
    assert (generation["status"], generation["actual_cost"], generation["cost_estimate"]) == ("completed", 0.8, 1.5)
    assert generation["metadata"] == {
        "original_analysis": {"hook": "a cat"},
        "transformation_data": ["calmer"],
        "prompts_data": wanted,
        "evaluation_data": {"score": 9},
    }
    assert {scene["status"] for scene in all_scenes(generation)} == {"completed"}
    assert [posts(scene["sora_prompt"]) for scene in all_scenes(generation)] == [1, 1, 1, 1]
    [item] = http("GET", "/history/library")["library"]
    assert (item["id"], item["total_videos"]) == (generation_id, 4)


def test_a_pipeline_that_submits_by_itself_in_the_old_order(http, work, posts, submit):
    """create_scene_records, its own POST, then what process_sora_video did: here the poller does it."""
    generation_id, variants = start(http, "medium")
    wanted = prompts(3)
    body = {"prompts": wanted}
    scene_ids = http("POST", f"/history/variants/{variants['medium']}/scenes", body, status=201)["scene_ids"]
    for scene_id, prompt in zip(scene_ids, wanted, strict=True):
        job = {"sora_video_id": submit(prompt)}
        for _ in range(2):
            scene = http("POST", f"/history/scenes/{scene_id}/video", job, status=202)["scene"]
            assert (scene["id"], scene["status"], scene["video_url"]) == (scene_id, "processing", None)
    work()

    generation = read(http, generation_id)
    assert (generation["status"], generation["actual_cost"]) == ("completed", None)
    for scene in all_scenes(generation):
        assert posts(scene["sora_prompt"]) == 1
        assert (scene["resolution"], scene["provider"]) == ("64x96", "sora")
        film = requests.get(scene["video_url"], timeout=5)
        assert (film.status_code, film.headers["content-type"]) == (200, "video/mp4")
        assert len(film.content) == scene["file_size"]
        again = {"sora_video_id": scene["sora_video_id"]}
        done = http("POST", f"/history/scenes/{scene['id']}/video", again, status=202)["scene"]
        assert done["status"] == "completed"
        assert requests.get(done["video_url"], timeout=5).content == film.content


def test_a_pipeline_that_dies_and_starts_over_pays_for_nothing_twice(http, work, posts):
    wanted = {"soft": prompts(2)}
    body = {"source_video_url": "https://video.example/ad", "prompts": wanted}
    key = {"idempotency-key": "run 7"}
    first = http("POST", "/history/generations", body, status=202, **key)["generation_id"]
    work()

    again = http("POST", "/history/generations", body, status=202, **key)["generation_id"]
    [variant] = http("GET", f"/history/generations/{again}/variants")["variants"]
    http("POST", f"/history/variants/{variant['id']}/scenes", {"prompts": wanted["soft"], "submit": True}, status=202)
    work()

    assert again == first
    assert [posts(prompt) for prompt in wanted["soft"]] == [1, 1]
    assert http("GET", "/history/generations")["count"] == 1


def test_a_pipeline_that_gives_up_says_so(http, work, posts, submit):
    """mark_generation_failed: what was not submitted is not, what was still comes home."""
    generation_id, variants = start(http, "soft")
    wanted = prompts(2)
    path = f"/history/variants/{variants['soft']}/scenes"
    mine, _ = http("POST", path, {"prompts": wanted, "submit": True}, status=202)["scene_ids"]
    http("POST", f"/history/scenes/{mine}/video", {"sora_video_id": submit(wanted[0])}, status=202)
    failed = {"status": "failed", "error_message": "the pipeline broke"}
    http("PATCH", f"/history/generations/{generation_id}", failed)
    work()

    generation = read(http, generation_id)
    assert (generation["status"], generation["error_message"]) == ("failed", "the pipeline broke")
    told = [(scene["status"], scene["error_code"]) for scene in all_scenes(generation)]
    assert told == [("completed", None), ("failed", "cancelled")]
    assert [posts(prompt) for prompt in wanted] == [1, 0]


def test_a_pipeline_that_retries_what_failed(http, work, posts, submit):
    generation_id, variants = start(http, "soft")
    [prompt] = prompts(1)
    path = f"/history/variants/{variants['soft']}/scenes"
    [scene_id] = http("POST", path, {"prompts": [prompt]}, status=201)["scene_ids"]
    http("POST", f"/history/scenes/{scene_id}/video", {"sora_video_id": submit("[fail] of a pipeline")}, status=202)
    work()
    [scene] = all_scenes(read(http, generation_id))
    assert (scene["status"], posts(prompt)) == ("failed", 0)

    http("POST", f"/history/scenes/{scene_id}/retry", status=202)
    work()

    [scene] = all_scenes(read(http, generation_id))
    assert (scene["status"], scene["attempt"], posts(prompt)) == ("completed", 2, 1)
    assert [attempt["outcome"] for attempt in scene["attempts"]] == ["failed", "stored"]


def test_no_call_of_a_pipeline_waits_for_the_provider(http, db, monkeypatch: pytest.MonkeyPatch):
    """They are web calls: what takes time is the poller's."""
    monkeypatch.setenv("SORA_BASE_URL", "http://203.0.113.1/v1")
    for name in ("DO_SPACES_ACCESS_KEY", "DO_SPACES_SECRET_KEY"):
        monkeypatch.setenv(name, "x")
    _, variants = start(http, "soft")
    body = {"prompts": ["a"], "submit": True}
    began = time.monotonic()
    [scene_id] = http("POST", f"/history/variants/{variants['soft']}/scenes", body, status=202)["scene_ids"]
    http("POST", f"/history/scenes/{scene_id}/video", {"sora_video_id": "video_1"}, status=202)

    assert time.monotonic() - began < 5
    assert db.rows("select step from jobs") == [("poll",)]
