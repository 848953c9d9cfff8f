"""POST /history/scenes/{id}/video: what it takes and refuses; nothing that a caller names is fetched."""

import pytest

pytestmark = pytest.mark.usefixtures("open_to_one", "spaces")

JOB = {"sora_video_id": "video_1"}


@pytest.fixture
def scene_id(generation_factory) -> str:
    return generation_factory(1)["variants"][0]["scenes"][0]["id"]


@pytest.fixture
def record(call, scene_id):
    return lambda body, **more: call("scenes", f"/{scene_id}/video", method="POST", body=body, **more)


def test_it_answers_with_the_scene_and_queues_it_to_be_polled(record, scene_id, db):
    answer = record(JOB)

    assert (answer.status, answer.json["scene"]["id"], answer.json["scene"]["sora_video_id"]) == (
        202,
        scene_id,
        "video_1",
    )
    assert db.rows("select scene_id::text, step from jobs") == [(scene_id, "poll")]


@pytest.mark.parametrize(
    "video_id", ["video_68d7512d07848190b3e45da0ecbebcde", "dmlkZW8=+/==", "operations/a:b.c", "1", "x" * 1000]
)
def test_ids_of_any_provider_are_taken(record, video_id: str):
    assert record({"sora_video_id": video_id}).json["scene"]["sora_video_id"] == video_id


def test_what_names_no_job_is_refused_by_name(record, db):
    before = db.everything()
    for body, named in (
        ({}, "sora_video_id: "),
        ({"sora_video_id": None}, "sora_video_id: "),
        ({"sora_video_id": ""}, "sora_video_id: "),
        ({"sora_video_id": 5}, "sora_video_id: "),
        ({"sora_video_id": "x" * 1001}, "sora_video_id: "),
        ({"sora_video_id": "a b"}, "sora_video_id: "),
        ({"sora_video_id": "a\x00"}, "sora_video_id: "),
        ({"sora_video_id": "a\n"}, "sora_video_id: "),
        ({"sora_video_id": "ü"}, "sora_video_id: "),
        ({"sora_video_id": "."}, "sora_video_id: "),
        ({"sora_video_id": ".."}, "sora_video_id: "),
        ({"sora_video_id": "a/../b"}, "sora_video_id: "),
        ({"sora_video_id": "video_1?"}, "sora_video_id: "),
        ("", "the body: "),
        ("[]", "the body is not a JSON object"),
    ):
        assert record(body).refused(400, "invalid_value").startswith(named), body
    assert db.everything() == before


@pytest.mark.parametrize(
    "more",
    [
        {"sora_content_url": "https://evil.example/v.mp4"},
        {"content_url": "http://169.254.169.254/latest/meta-data"},
        {"video_url": "file:///etc/passwd"},
        {"provider_base_url": "http://evil.example/v1"},
        {"provider": "sora"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_no_address_is_taken(record, db, more: dict):
    before = db.everything()

    assert record(JOB | more).refused(400, "invalid_value").startswith(next(iter(more)))
    assert db.everything() == before


def test_another_job_for_a_completed_scene_is_a_conflict_and_the_same_one_is_not(record, manager, scene_id):
    record(JOB)
    manager.update_scene(scene_id, status="completed")

    assert record({"sora_video_id": "video_2"}).refused(409, "conflict")
    assert record(JOB).status == 202


def test_the_refusal_of_a_strangers_job_tells_nothing_of_it(record, generation_factory, stranger):
    theirs = generation_factory(1, by=stranger)["variants"][0]["scenes"][0]["id"]
    stranger.record_provider_job(theirs, "video_9")

    assert record({"sora_video_id": "video_9"}).refused(409, "conflict") == (
        "another scene has this provider job already"
    )
