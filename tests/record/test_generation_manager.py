"""GenerationManager as its callers know it: positional calls, plain dicts, what is merged and what is left alone."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from generation_history.errors import Conflict, InvalidValue, NotConfigured, NotFound
from generation_history.record.generation_manager import GenerationManager

IDS = ("id", "generation_id", "variant_id")
TIMES = ("created_at", "updated_at", "completed_at", "expires_at")
COSTS = ("cost_estimate", "actual_cost")


def check_types(record: dict[str, Any]) -> None:
    """The record is plain JSON; ids and times are strings, times with their zone; costs are floats or None."""
    assert type(record) is dict
    assert json.loads(json.dumps(record)) == record
    for name in IDS:
        assert name not in record or str(UUID(record[name])) == record[name]
    for name in TIMES:
        assert record.get(name) is None or datetime.fromisoformat(record[name]).utcoffset() == timedelta(0)
    for name in COSTS:
        assert record.get(name) is None or type(record[name]) is float


# ---------------------------------------------------------------- as existing callers call


def test_the_calls_of_an_existing_pipeline_work_by_position(manager):
    """The whole old way, step by step, with what each step returns."""
    generation = manager.create_generation("https://youtube.com/watch?v=1", "url", ["soft", "medium"], 15.35)
    check_types(generation)
    assert (generation["status"], generation["total_variants"], generation["variant_types"]) == (
        "pending",
        2,
        ["soft", "medium"],
    )
    assert (generation["cost_estimate"], generation["actual_cost"], generation["completed_at"]) == (15.35, None, None)

    generation = manager.update_generation_status(generation["id"], "processing", None, None)
    assert generation["status"] == "processing"

    variant = manager.create_variant(generation["id"], "soft", 1)
    check_types(variant)
    assert (
        variant["generation_id"],
        variant["variant_type"],
        variant["total_scenes"],
        variant["scenes_completed"],
    ) == (
        generation["id"],
        "soft",
        1,
        0,
    )
    assert manager.create_variant(generation["id"], "medium")["total_scenes"] == 4

    scene = manager.create_scene(variant["id"], 1, "a sunny kitchen")
    check_types(scene)
    assert (scene["variant_id"], scene["scene_number"], scene["sora_prompt"], scene["status"]) == (
        variant["id"],
        1,
        "a sunny kitchen",
        "pending",
    )

    scene = manager.update_scene(
        scene["id"], "video_1", "in_progress", None, None, None, None, None, "processing", None
    )
    assert (scene["sora_video_id"], scene["sora_status"], scene["status"]) == ("video_1", "in_progress", "processing")
    scene = manager.update_scene(
        scene["id"], None, "completed", "https://v/1.mp4", "https://v/1.jpg", 8, "720x1280", 123456, "completed", None
    )
    check_types(scene)
    stored = ("video_url", "thumbnail_url", "duration", "resolution", "file_size", "status", "error_message")
    assert [scene[name] for name in stored] == [
        "https://v/1.mp4",
        "https://v/1.jpg",
        8,
        "720x1280",
        123456,
        "completed",
        None,
    ]
    assert scene["completed_at"]

    metadata = manager.save_metadata(generation["id"], {"hook": "fast"}, {"tone": 1}, ["p"], {"score": 0.5})
    check_types(metadata)
    variant = manager.update_variant_status(variant["id"], "completed", 1, None)
    assert (variant["status"], variant["scenes_completed"]) == ("completed", 1)
    generation = manager.update_generation_status(generation["id"], "completed", None, 14.2)
    assert (generation["status"], generation["actual_cost"]) == ("completed", 14.2)
    assert generation["completed_at"]
    assert [found["id"] for found in manager.list_generations(20, 0, "completed")] == [generation["id"]]
    assert [found["id"] for found in manager.get_variant_scenes(variant["id"])] == [scene["id"]]
    assert manager.delete_generation(generation["id"]) is True


def test_a_generation_is_read_whole(manager, generation_factory):
    made = generation_factory(2, ["ultra", "soft"])
    manager.save_metadata(made["id"], {"hook": "fast"})

    generation = manager.get_generation(made["id"])

    check_types(generation)
    assert [variant["variant_type"] for variant in generation["variants"]] == ["soft", "ultra"]
    for variant in generation["variants"]:
        check_types(variant)
        assert [scene["scene_number"] for scene in variant["scenes"]] == [1, 2]
        assert [scene["sora_prompt"] for scene in variant["scenes"]] == [
            f"{variant['variant_type']} scene {number}" for number in (1, 2)
        ]
        for scene in variant["scenes"]:
            check_types(scene)
    kinds = {"original_analysis": {"hook": "fast"}, "transformation_data": None, "prompts_data": None}
    assert generation["metadata"] == {**kinds, "evaluation_data": None}
    [row] = generation["generation_metadata"]
    check_types(row)
    assert row["generation_id"] == made["id"]
    assert row["original_analysis"] == {"hook": "fast"}


def test_a_generation_without_anything_yet_has_empty_lists(manager):
    generation = manager.get_generation(manager.create_generation("x", "url", ["soft"], None)["id"])

    assert (generation["variants"], generation["generation_metadata"]) == ([], [])
    assert set(generation["metadata"].values()) == {None}


def test_old_sources_are_kept_as_they_are(manager):
    for source in ("script-only-mode", "image-to-video:https://x/y.png", "/ads/a.mp4", "ü" * 4096):
        assert manager.create_generation(source, "file", ["soft"], 1)["source_video_url"] == source


def test_a_cost_is_a_float_or_unknown(manager):
    for cost, kept in ((15, 15.0), (0, 0.0), (Decimal("15.35"), 15.35), (1.239, 1.24), (None, None)):
        generation = manager.create_generation("x", "url", ["soft"], cost)
        check_types(generation)
        assert generation["cost_estimate"] == kept


def test_an_id_may_be_a_uuid_too(manager, generation_factory):
    generation = generation_factory()

    assert manager.get_generation(UUID(generation["id"])) == generation
    assert GenerationManager(UUID(str(manager.owner_id))).get_generation(generation["id"]) == generation


# ---------------------------------------------------------------- who it acts for


def test_the_owner_is_the_one_of_the_settings_unless_one_is_given(db, owner):
    assert (str(GenerationManager().owner_id), str(GenerationManager(None).owner_id)) == (owner, owner)
    another = str(uuid4())
    assert str(GenerationManager(another).owner_id) == str(GenerationManager(owner_id=another).owner_id) == another


def test_without_an_owner_the_missing_setting_is_named(db):
    with pytest.raises(NotConfigured, match=r"^HISTORY_OWNER_ID "):
        GenerationManager()


def test_an_owner_that_is_no_uuid_is_refused():
    for owner_id in ("", "me", 5, "00000000-0000-0000-0000-00000000000"):
        with pytest.raises(InvalidValue, match="owner_id"):
            GenerationManager(owner_id)


# ---------------------------------------------------------------- what is merged, and what is left alone


def test_metadata_is_merged_and_never_wipes_a_sibling(manager, generation_factory):
    generation_id = generation_factory()["id"]
    manager.save_metadata(generation_id, original_analysis={"hook": "fast"}, prompts_data=["a"])
    manager.save_metadata(generation_id, evaluation_data={"score": 1})
    manager.save_metadata(generation_id, original_analysis={"tone": "dry"})

    assert manager.get_generation(generation_id)["metadata"] == {
        "original_analysis": {"tone": "dry"},
        "transformation_data": None,
        "prompts_data": ["a"],
        "evaluation_data": {"score": 1},
    }


def test_metadata_comes_back_as_it_was_given(manager, generation_factory):
    generation_id = generation_factory()["id"]
    texts = {"ä": ["\\u0000", "\U0001f600", None]}
    for value in ({}, [], 0, False, "", "text", 0.1, 10**30, texts, "back\\slash \\\\u0000"):
        manager.save_metadata(generation_id, original_analysis=value)
        assert manager.get_generation(generation_id)["metadata"]["original_analysis"] == value


def test_none_leaves_a_column_alone(manager, generation_factory):
    generation = generation_factory()
    scene_id = generation["variants"][0]["scenes"][0]["id"]
    full = manager.update_scene(
        scene_id, "v", "queued", "https://v", "https://t", 8, "1x1", 5, "failed", "why", error_code="expired"
    )
    costly = manager.update_generation_status(generation["id"], "failed", "why", 2.5)
    variant = manager.update_variant_status(generation["variants"][0]["id"], "failed", None, "why")

    same = manager.update_scene(scene_id)
    again = manager.update_generation_status(generation["id"], "failed")

    moving = ("updated_at",)
    assert {k: v for k, v in same.items() if k not in moving} == {k: v for k, v in full.items() if k not in moving}
    assert (again["error_message"], again["actual_cost"]) == (costly["error_message"], 2.5)
    assert manager.update_variant_status(variant["id"], "failed")["error_message"] == "why"


# ---------------------------------------------------------------- what is not there


def writes(manager: GenerationManager, generation_id: str, variant_id: str, scene_id: str) -> list[Any]:
    return [
        lambda: manager.update_generation_status(generation_id, "failed", "x", 1.0),
        lambda: manager.create_variant(generation_id, "ultra"),
        lambda: manager.update_variant_status(variant_id, "failed", 1, "x"),
        lambda: manager.create_scene(variant_id, 9, "x"),
        lambda: manager.create_scenes(generation_id, "soft", ["x"], submit=True),
        lambda: manager.update_scene(scene_id, "v", status="failed"),
        lambda: manager.retry_scene(scene_id),
        lambda: manager.save_metadata(generation_id, {"x": 1}),
        lambda: manager.get_scene(scene_id),
        lambda: manager.get_variant(variant_id),
    ]


def test_what_is_not_there_is_none_or_empty_to_read_and_not_found_to_write(manager):
    for missing in (str(uuid4()), "no-uuid", "", "' or true --", "\x00", None, 5):
        assert manager.get_generation(missing) is None
        assert manager.get_variant_scenes(missing) == []
        assert manager.delete_generation(missing) is False
        for write in writes(manager, missing, missing, missing):
            with pytest.raises(NotFound) as refused:
                write()
            assert isinstance(refused.value, LookupError)


def test_what_is_anothers_is_not_there_and_stays_as_it_was(db, stranger, generation_factory):
    generation = generation_factory(submit=True)
    variant = generation["variants"][0]
    db.rows("update scenes set status = 'failed', error_code = 'expired'")
    before = db.everything()

    assert stranger.get_generation(generation["id"]) is None
    assert stranger.get_variant_scenes(variant["id"]) == []
    assert stranger.list_generations() == []
    assert stranger.delete_generation(generation["id"]) is False
    for write in writes(stranger, generation["id"], variant["id"], variant["scenes"][0]["id"]):
        with pytest.raises(NotFound):
            write()

    assert db.everything() == before


def test_a_second_variant_of_a_type_or_scene_of_a_number_is_a_conflict(manager, generation_factory):
    generation = generation_factory()

    with pytest.raises(Conflict, match="variant of this type"):
        manager.create_variant(generation["id"], "soft")
    with pytest.raises(Conflict, match="scene of this number"):
        manager.create_scene(generation["variants"][0]["id"], 2, "x")
