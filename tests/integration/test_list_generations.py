"""Lists and statistics: newest first, one page after the other, and sums that know what they do not know."""

from collections.abc import Callable
from uuid import UUID

import pytest

from generation_history.errors import InvalidValue


@pytest.fixture
def seven(db, generation_factory) -> list[str]:
    """The ids of seven generations, newest first; two of them were made at the same moment."""
    made = [generation_factory(1)["id"] for _ in range(7)]
    age = "update generations set created_at = '2026-11-01T12:00:00.123456Z'::timestamptz - %s * interval '1 hour'"
    for hours, generation_id in enumerate(made):
        db.rows(f"{age} where id = %s", min(hours, 5), generation_id)
    return made[:5] + sorted(made[5:], reverse=True)


@pytest.fixture
def listed(manager) -> Callable[..., list[str]]:
    """Lists ids."""
    return lambda *page, **more: [generation["id"] for generation in manager.list_generations(*page, **more)]


def test_generations_are_listed_newest_first(listed, seven: list[str]):
    assert listed() == seven


@pytest.mark.parametrize(("limit", "offset"), [(1, 0), (3, 0), (3, 2), (3, 6), (3, 7), (0, 0), (100, 0), (50, 10**12)])
def test_a_page_is_that_part_of_the_list(listed, seven: list[str], limit: int, offset: int):
    assert listed(limit, offset) == seven[offset : offset + limit]


def test_pages_after_one_another_are_the_whole_list(manager, seven: list[str]):
    pages, after = [], None
    while page := manager.list_generations(2, after=after):
        pages.append([generation["id"] for generation in page])
        after = (page[-1]["created_at"], page[-1]["id"])

    assert pages == [seven[0:2], seven[2:4], seven[4:6], seven[6:7]]


def test_a_page_goes_on_after_its_position_when_newer_ones_come(manager, listed, seven: list[str], generation_factory):
    last = manager.list_generations(3)[-1]
    generation_factory(1)

    assert listed(2, after=(last["created_at"], last["id"])) == seven[3:5]


@pytest.mark.parametrize("status", ["pending", "processing", "completed", "failed"])
def test_a_list_of_a_status_has_those_only(manager, listed, seven: list[str], status: str):
    for generation_id in (seven[1], seven[4]):
        manager.update_generation_status(generation_id, status)
    of_this_status = [seven[1], seven[4]] if status != "processing" else seven

    assert listed(50, 0, status) == of_this_status
    assert listed(1, 1, status) == of_this_status[1:2]


def test_a_list_has_scenes_without_prompts(manager, seven: list[str]):
    [generation] = manager.list_generations(1)

    assert generation["id"] == seven[0]
    [scene] = generation["variants"][0]["scenes"]
    assert scene["status"] == "pending"
    assert "sora_prompt" not in scene
    assert "metadata" not in generation


def test_an_owner_lists_its_own_only(stranger, seven: list[str]):
    assert stranger.list_generations() == []
    assert stranger.list_generations(after=("2027-01-01T00:00:00Z", seven[0])) == []


@pytest.mark.parametrize(
    ("page", "named"),
    [
        ({"limit": -1}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 10**30}, "offset"),
        ({"status": 5}, "status"),
    ],
)
def test_a_page_that_cannot_be_is_refused_by_name(manager, page: dict, named: str):
    with pytest.raises(InvalidValue, match=rf"^{named}: "):
        manager.list_generations(**page)


# ---------------------------------------------------------------- statistics


def test_without_anything_every_total_is_nothing(manager):
    stats = manager.get_stats()

    assert set(stats.values()) == {0}
    assert (type(stats["total_cost"]), type(stats["estimated_cost"]), type(stats["total_videos"])) == (
        float,
        float,
        int,
    )


def test_statistics_count_what_there_is(manager, generation_factory):
    made = [generation_factory(2, ["soft", "ultra"]) for _ in range(3)]
    manager.create_generation("x", "url", ["soft"], 2.5)
    scenes = [scene["id"] for variant in made[0]["variants"] for scene in variant["scenes"]]
    for scene_id in scenes[:3]:
        manager.update_scene(scene_id, status="completed", duration=8, file_size=3 * 2**30)
    manager.update_scene(scenes[3], status="failed")
    manager.update_generation_status(made[0]["id"], "completed", None, 1.1)
    manager.update_generation_status(made[1]["id"], "failed", None, 2.2)

    assert manager.get_stats() == {
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


def test_statistics_are_the_owners_own(stranger, seven: list[str]):
    assert stranger.get_stats()["total_generations"] == 0


def test_ids_sort_by_the_time_they_were_made(generation_factory):
    made = [generation_factory(0 + 1)["id"] for _ in range(3)]

    assert {UUID(generation_id).version for generation_id in made} == {7}
    assert [generation_id[:13] for generation_id in made] == sorted(generation_id[:13] for generation_id in made)
