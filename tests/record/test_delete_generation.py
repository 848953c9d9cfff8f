"""A deleted generation is hidden at once, what is not paid for is cancelled, and what is paid for still comes home."""

from collections.abc import Callable

import pytest

from generation_history.errors import NotFound


@pytest.fixture
def deleted(manager, generation_factory) -> dict:
    """A generation as it was before it was deleted: one scene queued, one accepted by the provider."""
    generation = generation_factory(2, submit=True)
    accepted = generation["variants"][0]["scenes"][1]["id"]
    manager._db.run(manager.owner_id, ("update jobs set step = 'poll' where scene_id = %(id)s", {"id": accepted}))
    manager.update_scene(accepted, sora_video_id="video_1", status="processing")
    manager.save_metadata(generation["id"], {"hook": "fast"})
    before = manager.get_generation(generation["id"])
    assert manager.delete_generation(generation["id"]) is True
    return before


def test_a_deleted_generation_is_hidden_from_every_read_at_once(manager, deleted):
    variant = deleted["variants"][0]

    assert manager.get_generation(deleted["id"]) is None
    assert manager.list_generations() == []
    assert manager.list_generations(status="processing") == []
    assert manager.get_variant_scenes(variant["id"]) == []
    assert manager.get_stats()["total_generations"] == 0
    for read in (
        lambda: manager.get_variant(variant["id"]),
        lambda: manager.get_scene(variant["scenes"][0]["id"]),
    ):
        with pytest.raises(NotFound):
            read()


@pytest.mark.parametrize(
    "end",
    [
        lambda manager, generation_id: manager.delete_generation(generation_id),
        lambda manager, generation_id: manager.update_generation_status(generation_id, "failed"),
    ],
    ids=["deleted", "failed"],
)
@pytest.mark.parametrize(("status", "code"), [("completed", None), ("failed", "provider_failed")])
def test_a_scene_that_a_caller_ended_while_it_was_queued_stays_as_it_is(
    manager, generation_factory, db, end, status: str, code: str | None
):
    generation = generation_factory(1, submit=True)
    manager.update_scene(generation["variants"][0]["scenes"][0]["id"], status=status, error_code=code)

    end(manager, generation["id"])

    assert db.rows("select status, error_code from scenes") == [(status, code)]
    assert db.rows("select 1 from jobs") == []


def test_deleting_again_finds_nothing(manager, deleted):
    assert manager.delete_generation(deleted["id"]) is False


def test_what_was_not_submitted_is_cancelled_and_what_is_paid_for_goes_on(db, deleted):
    cancelled, accepted = (scene["id"] for scene in deleted["variants"][0]["scenes"])

    assert [(str(scene_id), step) for scene_id, step in db.rows("select scene_id, step from jobs")] == [
        (accepted, "poll")
    ]
    assert db.rows("select id::text, status, error_code from scenes order by scene_number") == [
        (cancelled, "failed", "cancelled"),
        (accepted, "processing", None),
    ]


@pytest.mark.parametrize("step", ["find", "poll", "store"])
def test_a_post_that_may_have_happened_is_not_cancelled(db, manager, generation_factory, step: str):
    generation = generation_factory(1, submit=True)
    db.rows("update jobs set step = %s", step)

    manager.delete_generation(generation["id"])

    assert db.rows("select step from jobs") == [(step,)]
    assert db.rows("select status from scenes") == [("pending",)]


def test_deleting_one_generation_leaves_the_others(manager, db, generation_factory):
    gone, kept = generation_factory(1, submit=True), generation_factory(1, submit=True)

    manager.delete_generation(gone["id"])

    assert [generation["id"] for generation in manager.list_generations()] == [kept["id"]]
    assert [str(scene_id) for (scene_id,) in db.rows("select scene_id from jobs")] == [
        kept["variants"][0]["scenes"][0]["id"]
    ]


@pytest.mark.parametrize(
    "add",
    [
        lambda manager, it: manager.create_variant(it["id"], "ultra"),
        lambda manager, it: manager.create_scene(it["variants"][0]["id"], 9, "x"),
        lambda manager, it: manager.create_scenes(it["id"], "soft", ["soft scene 1", "soft scene 2"], submit=True),
        lambda manager, it: manager.save_metadata(it["id"], prompts_data=[1]),
        lambda manager, it: manager.retry_scene(it["variants"][0]["scenes"][0]["id"]),
        lambda manager, it: manager.retry_scene(it["variants"][0]["scenes"][1]["id"], confirmed=True),
        lambda manager, it: manager.update_generation_status(it["id"], "completed", None, 5.0),
    ],
    ids=["variant", "scene", "scenes", "metadata", "retry cancelled", "retry failed", "status"],
)
def test_nothing_is_added_to_a_deleted_generation_and_nothing_submitted_for_it(db, manager, deleted, add: Callable):
    db.rows("update scenes set status = 'failed', error_code = 'provider_failed' where status = 'processing'")
    db.rows("delete from jobs")
    db.rows("select roll_up(id) from generations")
    before = db.everything()

    with pytest.raises(NotFound):
        add(manager, deleted)

    assert db.everything() == before


def test_the_statistics_forget_what_is_deleted(manager, deleted, generation_factory):
    generation_factory(1)

    assert manager.get_stats()["total_generations"] == 1
