"""What nobody touches for a day is ended with what there is: what is stored is shown, and nothing is waited for."""

from collections.abc import Callable, Sequence

import psycopg
import pytest

from generation_history.models import Generation
from generation_history.record.generation_manager import GenerationManager

ABANDONED = "abandoned: nobody touched it for a day"


@pytest.fixture
def a_day_later(db, housekeeping) -> Callable[[], int]:
    """Ends what is abandoned once a day has passed; returns how many generations."""

    def run() -> int:
        with psycopg.connect(db.admin, autocommit=True) as connection:
            connection.execute("set session_replication_role = replica")  # or the triggers would touch updated_at
            for table in ("generations", "variants", "scenes"):
                connection.execute(f"update {table} set updated_at = updated_at - interval '25 hours'")
        return housekeeping.fail_stale_generations()

    return run


def record(manager: GenerationManager, generation: Generation, variant_type: str, *statuses: str | None) -> None:
    """Records scenes of a variant one by one, as the old pipeline does: four are announced, however many come."""
    made = {variant["variant_type"]: variant for variant in manager.get_generation(generation["id"])["variants"]}
    variant = made.get(variant_type) or manager.create_variant(generation["id"], variant_type)
    for number, status in enumerate(statuses, 1):
        scene = manager.create_scene(variant["id"], number, f"scene {number}")
        if status:
            manager.update_scene(scene["id"], status=status, video_url="https://store.example/scene.mp4")


def variants(generation: Generation) -> Sequence[tuple[str, str, int, int, str | None]]:
    return [
        (v["variant_type"], v["status"], v["scenes_completed"], v["total_scenes"], v["error_message"])
        for v in generation["variants"]
    ]


def test_videos_that_are_stored_are_shown_though_fewer_came_than_announced(manager, a_day_later):
    generation = manager.create_generation("x", "url", ["soft", "ultra"], None, start=True)
    for variant_type in ("soft", "ultra"):
        record(manager, generation, variant_type, "completed", "completed", "completed")
    assert manager.get_generation(generation["id"])["status"] == "processing"

    assert a_day_later() == 1

    [shown] = manager.list_generations(status="completed")
    assert (shown["id"], shown["error_message"]) == (generation["id"], None)
    assert variants(shown) == [("soft", "completed", 3, 3, None), ("ultra", "completed", 3, 3, None)]
    assert a_day_later() == 0


def test_one_stored_video_is_enough_and_the_scenes_that_never_came_are_counted_as_failed(manager, a_day_later):
    generation = manager.create_generation("x", "url", ["soft", "ultra"], None, start=True)
    record(manager, generation, "soft", "completed", "processing", None)

    a_day_later()

    found = manager.get_generation(generation["id"])
    assert (found["status"], found["error_message"]) == ("completed", "2 of 3 scenes failed")
    assert variants(found) == [
        ("soft", "failed", 1, 3, "2 of 3 scenes failed"),
        ("ultra", "failed", 0, 0, ABANDONED),
    ]


def test_a_variant_that_was_announced_and_never_made_is_not_waited_for(manager, a_day_later):
    generation = manager.create_generation("x", "url", ["soft", "ultra"], None)
    record(manager, generation, "soft", "completed")

    a_day_later()

    found = manager.get_generation(generation["id"])
    assert found["status"] == "completed"
    assert variants(found) == [("soft", "completed", 1, 1, None), ("ultra", "failed", 0, 0, ABANDONED)]
    # Whatever counts its scenes again comes to the same.
    assert manager.delete_generation(generation["id"])
    assert manager.restore_generation(generation["id"])
    again = manager.get_generation(generation["id"])
    assert (again["status"], again["completed_at"]) == ("completed", found["completed_at"])


@pytest.mark.parametrize("start", [True, False])
def test_a_generation_of_which_nothing_was_recorded_fails_as_abandoned(manager, a_day_later, start):
    generation = manager.create_generation("x", "url", ["soft"], None, start=start)

    a_day_later()

    found = manager.get_generation(generation["id"])
    assert (found["status"], found["error_message"]) == ("failed", ABANDONED)
    assert variants(found) == [("soft", "failed", 0, 0, ABANDONED)]


def test_what_a_caller_said_of_a_variant_stands(manager, a_day_later):
    generation = manager.create_generation("x", "url", ["soft", "ultra"], None, start=True)
    record(manager, generation, "soft", "completed")
    soft, ultra = manager.get_generation(generation["id"])["variants"]
    manager.update_variant_status(soft["id"], "failed", None, "enough")
    manager.update_variant_status(ultra["id"], "processing", 2)

    a_day_later()

    found = manager.get_generation(generation["id"])
    assert found["status"] == "completed"
    assert variants(found) == [("soft", "failed", 1, 4, "enough"), ("ultra", "failed", 0, 0, ABANDONED)]


def test_who_comes_back_after_all_records_what_was_announced(manager, a_day_later):
    generation = manager.create_generation("x", "url", ["soft"], None)
    a_day_later()
    [variant] = manager.get_generation(generation["id"])["variants"]

    scene = manager.create_scene(variant["id"], 1, "late")
    manager.update_scene(scene["id"], status="completed")

    found = manager.get_generation(generation["id"])
    assert (found["status"], variants(found)) == ("completed", [("soft", "completed", 1, 1, None)])


# ---------------------------------------------------------------- completed by its caller


def test_a_pipeline_that_hands_over_no_video_is_visible_as_such_and_its_scenes_end(manager, a_day_later, caplog):
    """The unchanged pipeline of old: it looks for keys that its own client does not return."""
    generation = manager.create_generation("x", "url", ["soft"], 0.77, start=True)
    manager.create_scenes(generation["id"], "soft", ["a cat"])

    shown = manager.update_generation_status(generation["id"], "completed", actual_cost=0.96)

    open_note = "completed by its caller without a video: 1 of 1 scenes are open"
    assert (shown["status"], shown["actual_cost"], shown["error_message"]) == ("completed", 0.96, open_note)
    assert f"generation {generation['id']}: {open_note}" in caplog.text
    assert manager.list_generations()[0]["error_message"] == open_note

    assert a_day_later() == 1
    found = manager.get_generation(generation["id"])
    (scene,) = found["variants"][0]["scenes"]
    assert (scene["status"], scene["error_code"]) == ("failed", "abandoned")
    assert (found["status"], found["actual_cost"]) == ("completed", 0.96)
    assert found["error_message"] == "completed by its caller without a video: 1 of 1 scenes failed"
    assert variants(found) == [("soft", "failed", 0, 1, "1 of 1 scenes failed")]
    assert a_day_later() == 0


def test_what_is_said_of_open_scenes_follows_them_until_all_are_home(manager):
    generation = manager.create_generation("x", "url", ["soft"], None, start=True)
    assert manager.update_generation_status(generation["id"], "completed")["error_message"] == (
        "completed by its caller without a video: no scene was recorded"
    )
    scenes = manager.create_scenes(generation["id"], "soft", ["a", "b", "c"])
    said = [manager.get_generation(generation["id"])["error_message"]]
    for scene, status in zip(scenes, ("completed", "failed", "completed"), strict=True):
        manager.update_scene(scene["id"], status=status)
        said.append(manager.get_generation(generation["id"])["error_message"])

    assert said == [
        "completed by its caller without a video: 3 of 3 scenes are open",
        "completed by its caller: 2 of 3 scenes are open",
        "completed by its caller: 1 of 3 scenes are open",
        None,
    ]


def test_what_a_caller_says_itself_stands_and_a_failure_says_nothing_of_completion(manager):
    generation = manager.create_generation("x", "url", ["soft"], None, start=True)
    scenes = manager.create_scenes(generation["id"], "soft", ["a", "b"])
    manager.update_generation_status(generation["id"], "completed", "good enough")
    manager.update_scene(scenes[0]["id"], status="completed")
    assert manager.get_generation(generation["id"])["error_message"] == "good enough"

    other = manager.create_generation("x", "url", ["soft"], None, start=True)
    manager.update_generation_status(other["id"], "completed")
    assert manager.update_generation_status(other["id"], "failed")["error_message"] is None


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_an_open_scene_of_what_its_caller_ended_is_left_while_it_has_a_job_or_is_young(
    manager, a_day_later, housekeeping, status, db
):
    generation = manager.create_generation("x", "url", ["soft", "ultra"], None, start=True)
    (scene,) = manager.create_scenes(generation["id"], "soft", ["a"])
    manager.record_provider_job(scene["id"], "video_1")
    manager.create_scenes(generation["id"], "ultra", ["a"])
    manager.update_generation_status(generation["id"], status)
    assert housekeeping.fail_stale_generations() == 0
    assert a_day_later() == 0

    db.rows("delete from jobs")

    assert a_day_later() == 1
    assert manager.get_generation(generation["id"])["status"] == status
    assert db.rows("select distinct status, error_code from scenes") == [("failed", "abandoned")]
