"""Writing besides creation: scenes, metadata, reports, retries; and every body that is refused, by what is wrong."""

import json
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.local.host.gateway import create_gateway

pytestmark = pytest.mark.usefixtures("db", "open_to_one")


@pytest.fixture
def generation(generation_factory) -> dict:
    """A generation with one variant of two scenes, which are not submitted."""
    return generation_factory(2)


@pytest.fixture
def scene_id(generation) -> str:
    return generation["variants"][0]["scenes"][0]["id"]


@pytest.fixture
def bare(manager) -> dict:
    """A generation whose variants have no scenes yet."""
    made = manager.create_generation("https://video.example/ad", "url", ["soft", "ultra"], None, start=True)
    return manager.get_generation(made["id"])


def refused_by_name(db, send, cases: list[tuple[Any, str]]) -> None:
    """Each body is refused with its name first, and nothing is changed by any."""
    before = db.everything()
    for body, named in cases:
        said = send(body).refused(400, "invalid_value")
        assert said.startswith(named), (body, said)
    assert db.everything() == before


# ---------------------------------------------------------------- scenes of a variant


@pytest.fixture
def add_scenes(call, bare):
    variant_id = bare["variants"][0]["id"]
    return lambda body, **more: call("variants", f"/{variant_id}/scenes", method="POST", body=body, **more)


def test_scenes_are_recorded_in_order_and_nothing_is_submitted(add_scenes, manager, bare, db):
    answer = add_scenes({"prompts": ["a", "b"]})

    assert (answer.status, set(answer.json)) == (201, {"success", "scene_ids"})
    scenes = manager.get_variant_scenes(bare["variants"][0]["id"])
    assert [(scene["id"], scene["sora_prompt"]) for scene in scenes] == [
        (answer.json["scene_ids"][0], "a"),
        (answer.json["scene_ids"][1], "b"),
    ]
    assert db.rows("select 1 from jobs") == []


def test_a_repeat_answers_alike_and_submits_each_scene_once(add_scenes, db):
    recorded = add_scenes({"prompts": ["a", "b"]})

    submitted = [add_scenes({"prompts": ["a", "b"], "submit": True}) for _ in range(3)]

    assert [answer.status for answer in submitted] == [202, 202, 202]
    assert {tuple(answer.json["scene_ids"]) for answer in submitted} == {tuple(recorded.json["scene_ids"])}
    assert db.rows("select step, count(*) from jobs group by step") == [("submit", 2)]


def test_other_prompts_are_a_conflict(add_scenes, db):
    add_scenes({"prompts": ["a", "b"]})
    before = db.everything()

    assert "other prompts" in add_scenes({"prompts": ["a"], "submit": True}).refused(409, "conflict")
    assert db.everything() == before


def test_what_is_asked_for_may_come_with_the_order_to_submit(add_scenes, manager, bare):
    """Recorded first and submitted later, a scene is made as the later call says."""
    add_scenes({"prompts": ["a", "b"], "model": "sora-2", "seconds": 4})
    add_scenes({"prompts": ["a", "b"], "submit": True, "model": "sora-2-pro", "size": "1280x720"})

    scenes = manager.get_variant_scenes(bare["variants"][0]["id"])
    assert {(scene["model"], scene["size"], scene["seconds"]) for scene in scenes} == {("sora-2-pro", "1280x720", 4)}


def test_what_was_asked_for_stands_once_it_is_submitted(add_scenes, manager, bare):
    mine, _ = add_scenes({"prompts": ["a", "b"], "model": "sora-2"}).json["scene_ids"]
    manager.update_scene(mine, sora_video_id="video_1")

    add_scenes({"prompts": ["a", "b"], "model": "sora-2-pro"})

    models = [scene["model"] for scene in manager.get_variant_scenes(bare["variants"][0]["id"])]
    assert models == ["sora-2", "sora-2-pro"]


def test_scenes_of_a_deleted_generation_or_of_none_are_not_found(add_scenes, call, manager, bare):
    manager.delete_generation(bare["id"])

    assert add_scenes({"prompts": ["a"]}).refused(404, "not_found") == "no such variant"


def test_scenes_that_cannot_be_recorded_are_refused_by_name(add_scenes, db):
    refused_by_name(
        db,
        add_scenes,
        [
            ({}, "prompts: "),
            ({"prompts": []}, "prompts: "),
            ({"prompts": "a"}, "prompts: "),
            ({"prompts": [""]}, "prompts: "),
            ({"prompts": [5]}, "prompts: "),
            ({"prompts": ["x" * 32_001]}, "prompts: "),
            ({"prompts": ["x"] * 101}, "prompts: "),
            ({"prompts": ["a\x00"]}, "prompts."),
            ({"prompts": ["a"], "submit": "yes"}, "submit: "),
            ({"prompts": ["a"], "submit": 1}, "submit: "),
            ({"prompts": ["a"], "seconds": 601}, "seconds: "),
            ({"prompts": ["a"], "size": "big"}, "size: "),
            ({"prompts": ["a"], "model": "x" * 201}, "model: "),
            ({"prompts": ["a"], "variant_type": "soft"}, "variant_type: "),
            ([{"prompts": ["a"]}], "the body is not a JSON object"),
        ],
    )


# ---------------------------------------------------------------- metadata


@pytest.fixture
def patch_metadata(call, generation):
    path = f"/{generation['id']}/metadata"
    return lambda body, **more: call("generations", path, method="PATCH", body=body, **more)


def test_metadata_is_merged_kind_by_kind(patch_metadata, manager, generation):
    for body in (
        {"original_analysis": {"hook": "a cat"}, "prompts_data": [1]},
        {"prompts_data": {"soft": ["a"]}, "evaluation_data": None},
        {"evaluation_data": 0},
        {"transformation_data": False},
    ):
        answer = patch_metadata(body)
        assert (answer.status, answer.json) == (200, {"success": True, "message": "Metadata saved"})

    assert manager.get_generation(generation["id"])["metadata"] == {
        "original_analysis": {"hook": "a cat"},
        "transformation_data": False,
        "prompts_data": {"soft": ["a"]},
        "evaluation_data": 0,
    }


def nested(depth: int) -> Any:
    value: Any = 1
    for number in range(depth - 1):
        value = [value] if number % 2 else {"a": value}
    return value


def test_metadata_is_nested_up_to_a_hundred_deep(patch_metadata, call, generation, db):
    assert patch_metadata({"prompts_data": nested(100)}).status == 200
    assert call("generations", f"/{generation['id']}").json["generation"]["metadata"]["prompts_data"] == nested(100)

    refused_by_name(
        db,
        patch_metadata,
        [({"prompts_data": nested(depth)}, "prompts_data: it is nested deeper") for depth in (101, 900)],
    )
    create = {"source_video_url": "x", "variant_types": ["soft"], "metadata": {"prompts_data": nested(101)}}
    said = call("generations", method="POST", body=create).refused(400, "invalid_value")
    assert said.startswith("metadata.prompts_data: ")


def test_metadata_that_cannot_be_kept_is_refused_by_name(patch_metadata, db):
    refused_by_name(
        db,
        patch_metadata,
        [
            ({}, "one or more of original_analysis"),
            ({"prompts_data": None}, "one or more of original_analysis"),
            ({"analysis": {}}, "analysis: "),
            ({"original_analysis": "\x00"}, "original_analysis "),
            ({"original_analysis": {"\x00": 1}}, "original_analysis "),
            ('{"original_analysis": NaN}', "original_analysis "),
            ('{"original_analysis": 1e999}', "original_analysis "),
            ('{"original_analysis": "\\ud800"}', "original_analysis "),
        ],
    )


def test_a_body_of_a_patch_has_the_limits_of_any(patch_metadata, db):
    before = db.everything()
    body = json.dumps({"prompts_data": "x" * 1_000_000})

    assert patch_metadata(body).refused(413, "too_large")
    assert patch_metadata("{}", headers={"content-type": "text/plain"}).refused(400, "invalid_value")
    assert patch_metadata("").refused(400, "invalid_value")
    assert db.everything() == before


# ---------------------------------------------------------------- reports


@pytest.fixture
def report(call, generation):
    path = f"/{generation['id']}"
    return lambda body, **more: call("generations", path, method="PATCH", body=body, **more)


def test_a_generation_that_its_pipeline_failed_stays_failed_and_costs_nothing_more(report, manager, generation, db):
    manager.create_scenes(generation["id"], "soft", ["soft scene 1", "soft scene 2"], submit=True)

    answer = report({"status": "failed", "error_message": "the pipeline broke"})

    assert answer.status == 200
    shown = answer.json["generation"]
    assert (shown["id"], shown["status"], shown["error_message"]) == (generation["id"], "failed", "the pipeline broke")
    assert db.rows("select 1 from jobs") == []
    scenes = manager.get_generation(generation["id"])["variants"][0]["scenes"]
    assert [scene["error_code"] for scene in scenes] == ["cancelled", "cancelled"]
    assert report({"status": "failed"}).json["generation"]["error_message"] == "the pipeline broke"


def test_a_reported_cost_may_come_alone_and_stands(report, manager, generation, scene_id, db):
    answer = report({"actual_cost": 3.25})

    assert (answer.json["generation"]["actual_cost"], answer.json["generation"]["status"]) == (3.25, "processing")
    manager.update_scene(scene_id, status="completed")
    assert manager.get_generation(generation["id"])["actual_cost"] == 3.25
    assert db.rows("select status_set_by_caller from generations") == [(False,)]


def test_a_reported_cost_of_nothing_is_a_cost(report):
    assert report({"actual_cost": 0}).json["generation"]["actual_cost"] == 0.0


def test_status_and_cost_may_come_together(report):
    shown = report({"status": "completed", "actual_cost": 1.5}).json["generation"]

    assert (shown["status"], shown["actual_cost"]) == ("completed", 1.5)
    assert shown["error_message"] == "completed by its caller without a video: 2 of 2 scenes are open"
    assert shown["completed_at"]


def test_a_report_that_cannot_be_kept_is_refused_by_name(report, db):
    refused_by_name(
        db,
        report,
        [
            ({}, "the body: status or actual_cost"),
            ({"error_message": "x"}, "the body: status or actual_cost"),
            ({"error_message": "x", "actual_cost": 1}, "the body: error_message"),
            ({"status": None}, "the body: status or actual_cost"),
            ({"status": "done"}, "status: "),
            ({"status": ""}, "status: "),
            ({"status": "failed", "error_message": ""}, "error_message: "),
            ({"status": "failed", "error_message": "x" * 10_001}, "error_message: "),
            ({"status": "failed", "error_message": "a\x00"}, "error_message: "),
            ({"actual_cost": -0.01}, "actual_cost: "),
            ({"actual_cost": 1e8}, "actual_cost: "),
            ({"actual_cost": "1"}, "actual_cost: "),
            ({"actual_cost": True}, "actual_cost: "),
            ('{"actual_cost": NaN}', "actual_cost: "),
            ({"status": "failed", "owner_id": "x"}, "owner_id: "),
            ({"status": "failed", "source_video_url": "x"}, "source_video_url: "),
        ],
    )


def test_a_deleted_generation_takes_no_report(report, manager, generation, db):
    manager.delete_generation(generation["id"])
    before = db.everything()

    assert report({"status": "completed"}).refused(404, "not_found")
    assert report({"actual_cost": 1}).refused(404, "not_found")
    assert db.everything() == before


# ---------------------------------------------------------------- retry


@pytest.fixture
def retry(call, scene_id):
    return lambda body="", **more: call("scenes", f"/{scene_id}/retry", method="POST", body=body, **more)


@pytest.mark.parametrize("body", ["", "{}", "null", {"confirmed": False}, {"confirmed": True}])
@pytest.mark.usefixtures("spaces")
def test_a_failed_scene_is_queued_again_whether_or_not_a_body_comes(retry, manager, scene_id, db, body):
    manager.update_scene(scene_id, sora_video_id="video_1", status="failed", error_code="provider_failed")

    answer = retry(body)

    assert (answer.status, answer.json["scene"]["id"], answer.json["scene"]["status"]) == (202, scene_id, "pending")
    assert answer.json["scene"]["attempt"] == 2
    assert db.rows("select step from jobs") == [("submit",)]
    assert "this one is pending" in retry(body).refused(409, "conflict")


@pytest.mark.usefixtures("spaces")
def test_an_unknown_submit_is_paid_again_on_a_persons_word_only(retry, manager, scene_id, db):
    manager.update_scene(scene_id, status="failed", error_code="submit_unknown")

    for body in ("", {"confirmed": False}):
        assert retry(body).refused(409, "conflict")
    assert db.rows("select 1 from jobs") == []
    assert retry({"confirmed": True}).status == 202


def test_a_retry_that_says_something_else_is_refused_by_name(retry, manager, scene_id, db):
    manager.update_scene(scene_id, status="failed", error_code="submit_unknown")

    refused_by_name(
        db,
        retry,
        [
            ({"confirmed": "yes"}, "confirmed: "),
            ({"confirmed": 1}, "confirmed: "),
            ({"confirm": True}, "confirm: "),
            ("[]", "the body is not a JSON object"),
            ("true", "the body: "),
            ("{", "the body is not JSON"),
        ],
    )


# ---------------------------------------------------------------- through the local gateway


def test_the_local_gateway_knows_creation_by_its_other_name(tmp_path):
    called = []

    def answered(event: dict) -> Future:
        called.append((event["http"]["method"], event["http"]["path"]))
        done = Future()
        done.set_result({"statusCode": 202, "headers": {}, "body": "{}"})
        return done

    pool = SimpleNamespace(function=SimpleNamespace(web=True), call=answered)
    gateway = create_gateway({("history", "generations"): pool}, tmp_path).test_client()

    assert gateway.post("/api/clone", json={}).status_code == 202
    assert gateway.get("/api/history/generations").status_code == 202
    assert called == [("POST", ""), ("GET", "")]
