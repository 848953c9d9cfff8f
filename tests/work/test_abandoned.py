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
