"""A restored generation is as it was before it was deleted: shown by every read, and what waited is waiting again."""

from collections.abc import Callable

import pytest

from generation_history.errors import NotFound, NotSent
from tests.support.fakes import fail_with


@pytest.fixture
def generation(manager, generation_factory, db) -> dict:
    """One scene queued, one accepted by the provider, one failed, one never submitted."""
    made = generation_factory(4, submit=True)
    _, accepted, failed, never = (scene["id"] for scene in made["variants"][0]["scenes"])
    db.rows("update jobs set step = 'poll' where scene_id = %s", accepted)
    manager.update_scene(accepted, sora_video_id="video_1", status="processing")
    db.rows("delete from jobs where scene_id in (%s, %s)", failed, never)
    manager.update_scene(failed, status="failed", error_code="provider_failed", error_message="why")
    manager.save_metadata(made["id"], {"hook": "fast"})
    return manager.get_generation(made["id"])


def without_times(value):
    """A record without when it was changed."""
    if isinstance(value, list):
        return [without_times(item) for item in value]
    if isinstance(value, dict):
        return {name: without_times(item) for name, item in value.items() if name != "updated_at"}
    return value


@pytest.fixture
def reads(manager) -> Callable[[dict], list]:
    """What every read says of a generation."""

    def look(generation: dict) -> list:
        variant = generation["variants"][0]
        found = [
            manager.get_generation(generation["id"]),
            manager.list_generations(),
            manager.list_generations(status="processing"),
            manager.get_variant(variant["id"]),
            manager.get_variant_scenes(variant["id"]),
            [manager.get_scene(scene["id"]) for scene in variant["scenes"]],
            manager.get_stats(),
        ]
        return [without_times(list(read) if isinstance(read, tuple) else read) for read in found]

    return look


def test_every_read_shows_a_restored_generation_as_it_was(manager, generation, reads):
    before = reads(generation)
    manager.delete_generation(generation["id"])

    assert manager.restore_generation(generation["id"]) is True

    assert reads(generation) == before


def test_only_what_the_deletion_cancelled_is_queued_again(manager, generation, db):
    query = "select scene_id::text, step, run_at <= now(), lease_token from jobs order by step"
    queued, accepted = (scene["id"] for scene in generation["variants"][0]["scenes"][:2])

    manager.delete_generation(generation["id"])
    manager.restore_generation(generation["id"])

    assert db.rows(query) == [(accepted, "poll", True, None), (queued, "submit", True, None)]


def test_what_a_caller_cancelled_before_the_deletion_is_not_submitted(manager, generation_factory, db):
    """Recording never submits, and neither does deleting and restoring."""
    generation = generation_factory(1)
    scene_id = generation["variants"][0]["scenes"][0]["id"]
    manager.update_scene(scene_id, status="failed", error_code="cancelled")

    manager.delete_generation(generation["id"])
    manager.restore_generation(generation["id"])

    assert db.rows("select step from jobs") == []
    assert manager.get_scene(scene_id)["error_code"] == "cancelled"


def test_a_job_that_went_on_while_it_was_deleted_goes_on(manager, scenes):
    """What came home meanwhile is there; what was queued is submitted once."""
    accepted, queued = scenes.accepted(), scenes.add()
    for scene_id in (accepted, queued):
        generation_id = manager.get_scene(scene_id)["generation_id"]
        manager.delete_generation(generation_id)
        scenes.step()
        manager.restore_generation(generation_id)
    assert scenes.ended(accepted) == ("completed", None)
    assert manager.get_generation(manager.get_scene(accepted)["generation_id"])["status"] == "completed"

    scenes.step(2)

    assert scenes.ended(queued) == ("completed", None)
    assert len(scenes.provider.posts) == 2


def test_a_generation_can_be_deleted_and_restored_again_and_again(manager, generation, reads):
    before = reads(generation)
    for _ in range(3):
        assert manager.delete_generation(generation["id"]) is True
        assert manager.restore_generation(generation["id"]) is True

    assert reads(generation) == before


def test_what_a_caller_completed_is_restored_with_what_was_still_queued(manager, generation, db):
    manager.update_generation_status(generation["id"], "completed")

    manager.delete_generation(generation["id"])
    manager.restore_generation(generation["id"])

    assert manager.get_generation(generation["id"])["status"] == "completed"
    assert db.rows("select step from jobs order by step") == [("poll",), ("submit",)]


def test_what_a_caller_failed_stays_failed_and_submits_nothing(manager, generation_factory, db):
    generation = generation_factory(2, submit=True)
    manager.update_generation_status(generation["id"], "failed", "the pipeline broke")

    manager.delete_generation(generation["id"])
    assert manager.restore_generation(generation["id"]) is True

    restored = manager.get_generation(generation["id"])
    assert (restored["status"], restored["error_message"]) == ("failed", "the pipeline broke")
    assert {scene["error_code"] for scene in restored["variants"][0]["scenes"]} == {"cancelled"}
    assert db.rows("select 1 from jobs") == []


def test_what_was_retried_in_a_failed_generation_is_not_submitted_after_a_restore(manager, generation_factory, db):
    generation = generation_factory(1)
    scene_id = generation["variants"][0]["scenes"][0]["id"]
    manager.update_scene(scene_id, status="failed", error_code="provider_failed")
    manager.update_generation_status(generation["id"], "failed", "the pipeline broke")
    manager.retry_scene(scene_id)

    manager.delete_generation(generation["id"])
    manager.restore_generation(generation["id"])

    assert db.rows("select 1 from jobs") == []


def test_what_is_not_deleted_cannot_be_restored(manager, stranger, generation, db):
    before = db.everything()

    assert manager.restore_generation(generation["id"]) is False
    assert manager.restore_generation("no id") is False
    assert manager.restore_generation("01234567-89ab-7def-8123-456789abcdef") is False

    assert db.everything() == before
    manager.delete_generation(generation["id"])
    assert stranger.restore_generation(generation["id"]) is False
    with pytest.raises(NotFound):
        manager.get_scene(generation["variants"][0]["scenes"][0]["id"])
    assert manager.restore_generation(generation["id"]) is True
    assert manager.restore_generation(generation["id"]) is False


@pytest.mark.parametrize(
    "end",
    [
        lambda manager, generation_id: manager.delete_generation(generation_id),
        lambda manager, generation_id: manager.update_generation_status(generation_id, "failed", "why"),
    ],
    ids=["deleted", "failed"],
)
def test_a_post_that_was_turned_away_meanwhile_is_not_sent_again(scenes, manager, end: Callable):
    """The provider was busy, and nobody wants the video any more."""
    scene_id = scenes.add()
    generation_id = manager.get_scene(scene_id)["generation_id"]

    def turn_away(_) -> None:
        end(manager, generation_id)
        raise NotSent("429")

    scenes.provider.before_submit = turn_away
    scenes.step(2)

    assert len(scenes.provider.posts) == 1
    manager.restore_generation(generation_id)
    generation = manager.get_generation(generation_id)
    failed = generation["status"] == "failed"
    assert generation["variants"][0]["scenes"][0]["error_code"] == ("cancelled" if failed else None)
    assert (scenes.job(scene_id) is None) == failed


def test_a_scene_that_a_person_retried_in_a_failed_generation_waits_for_a_busy_provider(scenes, manager):
    scene_id = scenes.accepted(status="failed")
    scenes.step()
    manager.update_generation_status(manager.get_scene(scene_id)["generation_id"], "failed", "why")
    manager.retry_scene(scene_id)
    scenes.provider.before_submit = fail_with(NotSent("429"))

    scenes.step()

    assert scenes.job(scene_id)[0] == "submit"
