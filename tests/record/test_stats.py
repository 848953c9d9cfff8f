"""Statistics: what counts, for which day and which variant type."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from generation_history.models import Generation

OLD = {
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
}


def scenes_of(generation: Generation) -> list[str]:
    return [scene["id"] for variant in generation["variants"] for scene in variant["scenes"]]


def old(stats) -> dict[str, Any]:
    """What statistics have always told."""
    return {name: stats[name] for name in OLD}


@pytest.fixture
def day_of(manager) -> Callable[..., dict[str, Any]]:
    """The statistics of the generations that were made so many days ago."""
    return lambda ago=0: manager.get_stats()["by_day"][29 - ago]


@pytest.fixture
def of_type(manager) -> Callable[..., dict[str, Any]]:
    return lambda kind="soft": {variant["variant_type"]: variant for variant in manager.get_stats()["by_variant"]}[kind]


# ---------------------------------------------------------------- what counts


def test_without_anything_every_total_is_nothing(manager):
    stats = manager.get_stats()

    assert set(old(stats).values()) == {0}
    assert (type(stats["total_cost"]), type(stats["estimated_cost"]), type(stats["total_videos"])) == (
        float,
        float,
        int,
    )
    assert stats["success_rate"] is None


def test_statistics_count_what_there_is(manager, generation_factory):
    made = [generation_factory(2, ["soft", "ultra"]) for _ in range(3)]
    manager.create_generation("x", "url", ["soft"], 2.5)
    scenes = scenes_of(made[0])
    for scene_id in scenes[:3]:
        manager.update_scene(scene_id, status="completed", duration=8, file_size=3 * 2**30)
    manager.update_scene(scenes[3], status="failed")
    manager.update_generation_status(made[0]["id"], "completed", None, 1.1)
    manager.update_generation_status(made[1]["id"], "failed", None, 2.2)

    stats = manager.get_stats()

    assert old(stats) == {
        "total_generations": 4,
        "pending": 1,
        "processing": 1,
        "completed": 1,
        "failed": 1,
        "total_cost": 3.3,
        "cost_unknown": 2,
        "estimated_cost": 2.5,
        "total_videos": 3,
        "total_bytes": 9 * 2**30,
        "total_seconds": 24,
    }
    assert (stats["estimate_unknown"], stats["scenes_failed"], stats["success_rate"]) == (3, 1, 0.75)


def test_statistics_by_variant_count_each_type_of_them(manager, generation_factory, of_type):
    made = generation_factory(2, ["soft", "ultra"])
    generation_factory(1, ["ultra"])
    for scene_id in scenes_of(made)[:2]:
        manager.update_scene(scene_id, status="completed", duration=8, file_size=100)
    manager.update_scene(scenes_of(made)[2], status="failed")

    assert [variant["variant_type"] for variant in manager.get_stats()["by_variant"]] == [
        "soft",
        "medium",
        "aggressive",
        "ultra",
    ]
    assert of_type("soft") == {
        "variant_type": "soft",
        "variants": 1,
        "pending": 0,
        "processing": 0,
        "completed": 1,
        "failed": 0,
        "rendered_cost": 0.0,
        "cost_unknown": 2,
        "videos": 2,
        "scenes_failed": 0,
        "bytes": 200,
        "seconds": 16,
        "success_rate": 1.0,
    }
    ultra = of_type("ultra")
    assert (ultra["variants"], ultra["scenes_failed"], ultra["success_rate"]) == (2, 1, 0.0)
    assert (of_type("medium")["variants"], of_type("medium")["success_rate"]) == (0, None)


def test_a_day_tells_of_the_generations_made_on_it_whatever_happens_later(manager, generation_factory, db, day_of):
    before = generation_factory(2)
    db.rows("update generations set created_at = created_at - interval '3 days'")
    generation_factory(1)
    manager.update_scene(scenes_of(before)[0], status="completed", duration=8, file_size=100)
    manager.update_generation_status(before["id"], "failed", None, 1.5)

    assert (day_of()["generations"], day_of()["processing"], day_of()["videos"]) == (1, 1, 0)
    assert day_of(3) == {
        "day": str(datetime.now(UTC).date() - timedelta(days=3)),
        "generations": 1,
        "pending": 0,
        "processing": 0,
        "completed": 0,
        "failed": 1,
        "cost": 1.5,
        "cost_unknown": 0,
        "estimated_cost": 0.0,
        "estimate_unknown": 1,
        "videos": 1,
        "scenes_failed": 0,
        "bytes": 100,
        "seconds": 8,
        "success_rate": 1.0,
    }


def test_days_are_the_last_thirty_of_utc_the_oldest_first_and_the_empty_ones_too(manager, generation_factory, db):
    generation_factory(1)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [str(midnight.date() - timedelta(days=ago)) for ago in range(29, -1, -1)]
    for moment, counted_on in (
        (midnight, days[29]),
        (midnight - timedelta(microseconds=1), days[28]),
        (midnight - timedelta(days=29), days[0]),
        (midnight - timedelta(days=29, microseconds=1), None),
    ):
        db.rows("update generations set created_at = %s", moment)
        stats = manager.get_stats()
        assert [day["day"] for day in stats["by_day"]] == days
        assert [day["day"] for day in stats["by_day"] if day["generations"]] == [counted_on] * (counted_on is not None)
        assert stats["total_generations"] == 1


@pytest.mark.parametrize("moment", ["-infinity", "infinity", "4713-01-01 BC", "294276-12-31"])
def test_a_time_out_of_this_world_spoils_nothing(manager, generation_factory, db, housekeeping, moment: str):
    generation_factory(1)
    db.rows("update generations set created_at = %s", moment)

    for _ in range(2):
        assert manager.get_stats()["total_generations"] == 1
        assert not any(day["generations"] for day in manager.get_stats()["by_day"])
        housekeeping.merge_stats_deltas(seconds=5)


def test_a_scene_that_was_cancelled_has_not_failed(manager, generation_factory):
    """It was never submitted: nothing was tried."""
    generation = generation_factory(2, submit=True)
    manager.update_scene(scenes_of(generation)[0], status="failed", error_code="provider_failed")

    manager.update_generation_status(generation["id"], "failed")

    assert manager.get_scene(scenes_of(generation)[1])["error_code"] == "cancelled"
    assert (manager.get_stats()["scenes_failed"], manager.get_stats()["success_rate"]) == (1, 0.0)


def test_a_scene_that_is_retried_has_not_failed_any_more(manager, generation_factory):
    scene_id = scenes_of(generation_factory(1))[0]
    manager.update_scene(scene_id, status="failed", error_code="provider_failed")
    assert manager.get_stats()["scenes_failed"] == 1

    manager.retry_scene(scene_id)
    assert manager.get_stats()["scenes_failed"] == 0

    manager.update_scene(scene_id, status="completed")
    assert (manager.get_stats()["total_videos"], manager.get_stats()["success_rate"]) == (1, 1.0)


def test_sizes_beyond_any_counter_are_still_added(manager, generation_factory, housekeeping):
    for scene_id in scenes_of(generation_factory(3)):
        manager.update_scene(scene_id, status="completed", file_size=2**63 - 1, duration=2**31 - 1)

    for _ in range(2):
        stats = manager.get_stats()
        assert (stats["total_bytes"], stats["total_seconds"]) == (3 * (2**63 - 1), 3 * (2**31 - 1))
        housekeeping.merge_stats_deltas(seconds=5)


# ---------------------------------------------------------------- cost of what was rendered


@pytest.fixture
def price(db) -> None:
    db.rows("insert into prices values ('127.0.0.1', 'sora-2', '*', 0.1, '-infinity', 'infinity', 'a test')")


@pytest.mark.usefixtures("price")
def test_what_was_rendered_is_counted_by_type_at_our_prices_whatever_was_reported(scenes, manager, of_type):
    scene_id = scenes.accepted()
    manager.update_generation_status(manager.get_scene(scene_id)["generation_id"], "processing", actual_cost=9)

    scenes.step()

    assert (of_type()["rendered_cost"], of_type()["cost_unknown"], of_type()["videos"]) == (0.8, 0, 1)
    assert manager.get_stats()["total_cost"] == 9


def test_what_was_rendered_without_a_price_is_unknown(scenes, of_type):
    scenes.accepted()

    scenes.step()

    assert (of_type()["rendered_cost"], of_type()["cost_unknown"]) == (0.0, 1)


@pytest.mark.parametrize("job", [None, "video_of_a_caller"])
def test_what_a_caller_rendered_is_unknown_once(manager, generation_factory, of_type, right, job: str | None):
    scene_id = scenes_of(generation_factory(1))[0]

    manager.update_scene(scene_id, status="completed")
    assert of_type()["cost_unknown"] == 1
    manager.update_scene(scene_id, sora_video_id=job, status="completed")

    assert of_type()["cost_unknown"] == 1
    right()
