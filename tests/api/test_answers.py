"""What each endpoint answers: envelopes, statuses, and what is in a list and what in a detail."""

import json
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

SCENE = {
    "id",
    "variant_id",
    "scene_number",
    "sora_video_id",
    "sora_status",
    "video_url",
    "thumbnail_url",
    "duration",
    "resolution",
    "file_size",
    "status",
    "error_message",
    "error_code",
    "attempt",
    "created_at",
    "updated_at",
    "completed_at",
    "expires_at",
}
FULL_SCENE = SCENE | {"sora_prompt", "provider", "provider_base_url", "model", "size", "seconds", "provider_expires_at"}
VARIANT = {
    "id",
    "generation_id",
    "variant_type",
    "status",
    "scenes_completed",
    "total_scenes",
    "error_message",
    "created_at",
    "updated_at",
    "completed_at",
    "given_type",
    "scenes",
}
GENERATION = {
    "id",
    "short_id",
    "source_video_url",
    "source_video_type",
    "status",
    "total_variants",
    "variant_types",
    "cost_estimate",
    "actual_cost",
    "error_message",
    "created_at",
    "updated_at",
    "completed_at",
    "variants",
}
LIBRARY = {
    "id",
    "short_id",
    "source_video_url",
    "created_at",
    "completed_at",
    "total_variants",
    "variant_types",
    "total_videos",
    "variants",
}
STATS = {
    "total_generations",
    "pending",
    "processing",
    "completed",
    "failed",
    "total_cost",
    "cost_unknown",
    "estimated_cost",
    "total_videos",
    "total_bytes",
    "total_seconds",
    "estimate_unknown",
    "scenes_failed",
    "success_rate",
    "by_variant",
    "by_day",
}

pytestmark = pytest.mark.usefixtures("db", "open_to_one")


def scene_of(variants: list[dict]) -> dict:
    return variants[0]["scenes"][0]


def test_the_list_of_generations(call, generation_factory):
    made = generation_factory(2, ["soft", "ultra"])

    answer = call("generations")

    assert answer.status == 200
    assert set(answer.json) == {"success", "generations", "count", "total", "next_cursor", "next_offset"}
    assert (answer.json["success"], answer.json["count"]) == (True, 1)
    assert (answer.json["next_cursor"], answer.json["next_offset"]) == (None, None)
    [generation] = answer.json["generations"]
    assert set(generation) == GENERATION
    assert [set(variant) for variant in generation["variants"]] == [VARIANT, VARIANT]
    assert set(scene_of(generation["variants"])) == SCENE
    assert generation["id"] == made["id"]


def test_one_generation(call, manager, generation_factory):
    made = generation_factory(1)
    manager.save_metadata(made["id"], {"hook": "fast"})

    answer = call("generations", f"/{made['id']}")

    assert (answer.status, set(answer.json)) == (200, {"success", "generation"})
    generation = answer.json["generation"]
    assert set(generation) == GENERATION | {"metadata", "generation_metadata"}
    assert set(scene_of(generation["variants"])) == FULL_SCENE | {"attempts"}
    assert generation["metadata"]["original_analysis"] == {"hook": "fast"}


def test_the_variants_of_a_generation(call, generation_factory):
    made = generation_factory(1, ["ultra", "soft"])

    answer = call("generations", f"/{made['id']}/variants")

    assert (answer.status, set(answer.json)) == (200, {"success", "variants"})
    assert [variant["variant_type"] for variant in answer.json["variants"]] == ["soft", "ultra"]
    assert [set(variant) for variant in answer.json["variants"]] == [VARIANT, VARIANT]


def test_the_scenes_of_a_variant(call, generation_factory):
    made = generation_factory(3)

    answer = call("variants", f"/{made['variants'][0]['id']}/scenes")

    assert (answer.status, set(answer.json)) == (200, {"success", "scenes", "next_after"})
    assert [scene["scene_number"] for scene in answer.json["scenes"]] == [1, 2, 3]
    assert [scene["sora_prompt"] for scene in answer.json["scenes"]] == [f"soft scene {n}" for n in (1, 2, 3)]
    assert {frozenset(scene) for scene in answer.json["scenes"]} == {frozenset(FULL_SCENE)}
    assert answer.json["next_after"] is None


def test_the_library_has_what_is_completed_only(call, manager, generation_factory):
    done, _ = generation_factory(2), generation_factory(1)
    manager.update_scene(scene_of(done["variants"])["id"], status="completed")
    manager.update_scene(done["variants"][0]["scenes"][1]["id"], status="failed")

    answer = call("library")

    assert (answer.status, answer.json["count"]) == (200, 1)
    assert set(answer.json) == {"success", "library", "count", "total", "next_cursor", "next_offset"}
    [item] = answer.json["library"]
    assert set(item) == LIBRARY
    assert (item["id"], item["total_variants"], item["total_videos"]) == (done["id"], 1, 1)
    assert set(scene_of(item["variants"])) == SCENE


def test_the_statistics(call, manager, generation_factory):
    manager.update_generation_status(generation_factory()["id"], "completed", None, 2.5)

    answer = call("stats")

    assert (answer.status, set(answer.json), set(answer.json["stats"])) == (200, {"success", "stats"}, STATS)
    assert (answer.json["stats"]["total_cost"], answer.json["stats"]["completed"]) == (2.5, 1)
    assert answer.json["stats"] == manager.get_stats()


def test_deleting_hides_at_once(call, generation_factory):
    made = generation_factory(1)

    answer = call("generations", f"/{made['id']}", method="DELETE")

    assert (answer.status, set(answer.json)) == (200, {"success", "message"})
    assert call("generations").json["generations"] == []
    assert call("generations", f"/{made['id']}").refused(404, "not_found")
    assert call("generations", f"/{made['id']}", method="DELETE").refused(404, "not_found")
    assert call("variants", f"/{made['variants'][0]['id']}/scenes").refused(404, "not_found")


def test_nothing_recorded_is_empty_and_no_error(call):
    assert call("generations").json["generations"] == []
    assert call("library").json == {
        "success": True,
        "library": [],
        "count": 0,
        "total": 0,
        "next_cursor": None,
        "next_offset": None,
    }
    assert call("stats").json["stats"]["total_generations"] == 0


def test_times_have_a_zone_and_costs_are_numbers(call, manager, generation_factory):
    made = generation_factory(1)
    manager.update_generation_status(made["id"], "completed", None, 2)

    generation = call("generations", f"/{made['id']}").json["generation"]

    for name in ("created_at", "updated_at", "completed_at"):
        assert datetime.fromisoformat(generation[name]).utcoffset() == timedelta(0)
    assert (generation["actual_cost"], generation["cost_estimate"]) == (2.0, None)


def test_text_comes_through_as_it_is(call, generation_factory):
    source = "https://video.example/ünï?a=1&b=<script>\U0001f600\u2028"
    generation_factory(1, source_video_url=source)

    answer = call("generations")

    assert answer.json["generations"][0]["source_video_url"] == source
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("function", "path"), [("generations", ""), ("library", ""), ("stats", ""), ("generations", "/x")]
)
def test_no_answer_may_be_kept_by_a_shared_cache(call, function: str, path: str):
    """It is one owner's, and its links expire."""
    assert call(function, path).headers["cache-control"] in {"private, no-cache", "no-store"}


# ---------------------------------------------------------------- someone else's


@pytest.mark.parametrize(
    ("method", "function", "path"),
    [
        ("GET", "generations", "/{generation}"),
        ("GET", "generations", "/{generation}/variants"),
        ("DELETE", "generations", "/{generation}"),
        ("GET", "variants", "/{variant}/scenes"),
        ("GET", "scenes", "/{scene}/video"),
        ("GET", "scenes", "/{scene}/thumbnail"),
    ],
)
def test_someone_elses_id_is_answered_as_one_that_does_not_exist(
    call, stranger, generation_factory, method: str, function: str, path: str
):
    theirs = generation_factory(1, by=stranger)
    ids = {
        "generation": theirs["id"],
        "variant": theirs["variants"][0]["id"],
        "scene": scene_of(theirs["variants"])["id"],
    }

    answers = [call(function, path.format(**named), method=method) for named in (ids, dict.fromkeys(ids, str(uuid4())))]

    assert answers[0].refused(404, "not_found") == answers[1].refused(404, "not_found")
    assert stranger.get_generation(theirs["id"]) == theirs


def test_someone_elses_records_are_in_no_list_and_no_sum(call, stranger, generation_factory):
    nothing = call("stats").json["stats"]
    stranger.update_generation_status(generation_factory(1, by=stranger)["id"], "completed", None, 9)

    for function in ("generations", "library"):
        assert call(function).json["count"] == 0
    assert call("stats").json["stats"] == nothing


def test_an_answer_is_json_that_any_client_reads(call, generation_factory):
    generation_factory(1)

    returned = call("generations").returned

    assert json.loads(returned["body"]) == call("generations").json
    assert all(isinstance(value, str) for value in returned["headers"].values())
