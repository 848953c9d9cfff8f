"""Lists: newest first, one page after the other."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
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


def test_a_list_may_be_of_several_statuses(manager, listed, seven: list[str]):
    manager.update_generation_status(seven[1], "completed")
    manager.update_generation_status(seven[4], "failed")

    assert listed(statuses=["failed", "completed", "failed"]) == [seven[1], seven[4]]
    assert listed(1, 1, statuses=["failed", "completed"]) == [seven[4]]
    assert listed(50, 0, "failed", statuses=["completed"]) == [seven[4]]
    assert listed(statuses=[]) == seven


def test_a_list_may_be_of_a_variant_type_a_time_and_a_part_of_the_source(manager, listed, db, seven: list[str]):
    """At eleven, ten, nine and so on of the first of November, the last two at the same time."""
    made = manager.create_generation("https://Summer.example/x", "url", ["ultra", "soft"], None)["id"]
    db.rows("update generations set created_at = '2026-11-02T00:00:00Z' where id = %s", made)
    ten, eleven = (datetime(2026, 11, 1, hour, 0, 0, 123456, UTC) for hour in (10, 11))

    assert listed(variant_type="ultra") == listed(q="SUMMER") == listed(created_from=date(2026, 11, 2)) == [made]
    assert listed(created_to=date(2026, 11, 1)) == listed(created_to="2026-11-01") == seven
    assert listed(created_from=ten, created_to=eleven) == seven[1:3]
    assert (
        listed(created_from=ten.astimezone(timezone(timedelta(hours=5))), created_to=eleven.isoformat()) == seven[1:3]
    )
    assert listed(q="summer", variant_type="medium") == []


def test_a_position_beyond_the_end_of_a_range_is_not_gone_back_to(listed, seven: list[str]):
    beyond = ("2027-01-01T00:00:00Z", seven[0])

    assert listed(after=beyond, created_to="2026-11-01T10:30:00Z") == seven[2:]


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
        ({"statuses": "completed"}, "statuses"),
        ({"statuses": [5]}, "statuses.0"),
        ({"q": "ab"}, "q"),
        ({"q": "a\0b"}, "q"),
        ({"created_from": datetime(2026, 11, 1, 12)}, "created_from"),  # noqa: DTZ001
        ({"created_from": "soon"}, "created_from"),
        ({"created_to": 1795377600}, "created_to"),
        ({"created_to": ""}, "created_to"),
        ({"after": ("soon", "018f0000-0000-7000-8000-000000000000")}, "after.0"),
        ({"after": ("2026-11-01T12:00:00Z", "x")}, "after.1"),
    ],
)
def test_a_page_that_cannot_be_is_refused_by_name(manager, page: dict, named: str):
    with pytest.raises(InvalidValue, match=rf"^{named}: "):
        manager.list_generations(**page)


def test_ids_sort_by_the_time_they_were_made(generation_factory):
    made = [generation_factory(0 + 1)["id"] for _ in range(3)]

    assert {UUID(generation_id).version for generation_id in made} == {7}
    assert [generation_id[:13] for generation_id in made] == sorted(generation_id[:13] for generation_id in made)
