"""Variants of an old generation: one of each known type, and its scenes, each with a number of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from generation_history.importing.report import Decisions
from generation_history.importing.source import OldGeneration, Row
from generation_history.importing.times import ENDED, created_at, status_of, times_of, updated_at
from generation_history.limits import MAX_SCENE_NUMBER
from generation_history.models import VARIANT_TYPES, Status, VariantType
from generation_history.record.levels import given_type

_TABLE: Final = "variants"
_SCENES: Final = "scenes"


@dataclass
class OldVariant:
    """A variant that comes, its type, and its scenes by their new numbers."""

    row: Row
    variant_type: VariantType
    scenes: dict[int, Row] = field(default_factory=dict[int, Row])


def known_type(written: object, mapped: Mapping[str, VariantType]) -> VariantType | None:
    """The type that is meant; None where it is none of ours, and none is mapped to it."""
    word = str(written or "").strip().lower()
    word = mapped.get(word, word)
    return word if word in VARIANT_TYPES else None


def settle_variants(old: OldGeneration, mapped: Mapping[str, VariantType], told: Decisions) -> list[OldVariant]:
    """The variants that come, with their scenes; whatever does not come is told."""
    scenes: dict[UUID, list[Row]] = {row["id"]: [] for row in old.variants}
    for scene in old.scenes:
        scenes[scene["variant_id"]].append(scene)
    by_type: dict[VariantType, list[Row]] = {}
    for row in old.variants:
        variant_type = known_type(row["variant_type"], mapped)
        if variant_type is None:
            told.refuse("variant_type_unknown", _TABLE, row, row["variant_type"])
            for scene in scenes[row["id"]]:
                told.refuse("parent_refused", _SCENES, scene, f"variant {row['id']}")
        else:
            by_type.setdefault(variant_type, []).append(row)
    return [_settle(kind, twins, scenes, told) for kind, twins in by_type.items()]


def _settle(kind: VariantType, twins: list[Row], scenes: Mapping[UUID, list[Row]], told: Decisions) -> OldVariant:
    """The variant with most videos, which gets the others' scenes where it has none of their number."""

    def worth(row: Row) -> tuple[int, int]:
        return (-sum(bool(scene["video_url"]) for scene in scenes[row["id"]]), -len(scenes[row["id"]]))

    kept, *others = sorted(twins, key=lambda row: (worth(row), created_at(row), row["id"]))
    for other in others:
        told.refuse("variant_twice", _TABLE, other, f"{kind}, as {kept['id']}")
    if kept["variant_type"] != kind:
        told.change("variant_type_written", _TABLE, kept, "variant_type", kind)
    made = OldVariant(kept, kind)
    candidates = [scene for row in (kept, *others) for scene in scenes[row["id"]]]
    _number(made, candidates, told)
    for number, scene in made.scenes.items():
        if scene["variant_id"] != kept["id"]:
            told.change("moved_to_twin", _SCENES, scene, "variant_id", kept["id"])
        if scene["scene_number"] != number:
            told.change("renumbered", _SCENES, scene, "scene_number", number)
    return made


def _number(variant: OldVariant, candidates: list[Row], told: Decisions) -> None:
    """Each scene has its number, or the next free one if it has a video of its own; else it does not come."""
    # With a video first, then those of the variant that stays, then the newest.
    candidates = sorted(candidates, key=updated_at, reverse=True)
    candidates.sort(key=lambda scene: (not scene["video_url"], scene["variant_id"] != variant.row["id"]))
    homeless: list[Row] = []
    for scene in candidates:
        number = scene["scene_number"]
        if number is not None and 1 <= number <= MAX_SCENE_NUMBER and number not in variant.scenes:
            variant.scenes[number] = scene
        else:
            homeless.append(scene)
    urls = {scene["video_url"] for scene in variant.scenes.values()}
    for scene in reversed(homeless):
        number, in_range = scene["scene_number"], 1 <= (scene["scene_number"] or 0) <= MAX_SCENE_NUMBER
        if in_range and (not scene["video_url"] or scene["video_url"] in urls):
            told.refuse("scene_twice", _SCENES, scene, f"number {number}, as {variant.scenes[number]['id']}")
        elif free := _free_number(variant.scenes):
            variant.scenes[free] = scene
            urls.add(scene["video_url"])
        else:
            told.refuse("no_number_left", _SCENES, scene, f"number {number}")


def _free_number(taken: Mapping[int, Row]) -> int | None:
    after = max(taken, default=0) + 1
    if after <= MAX_SCENE_NUMBER:
        return after
    return next((number for number in range(1, MAX_SCENE_NUMBER + 1) if number not in taken), None)


def map_variant(variant: OldVariant, scenes: list[Row], owner_id: UUID, told: Decisions, *, ended: bool) -> Row:
    """The variant's row, whose scenes are these; ended is whether its generation is over."""
    row = variant.row
    completed, failed = (sum(scene["status"] == status for scene in scenes) for status in ("completed", "failed"))
    said = status_of(_TABLE, row, told)
    status = said if said in ENDED else _derived(said, completed, failed, len(scenes), ended=ended)
    message = row["error_message"]
    if status != said:
        told.change("status_from_scenes", _TABLE, row, "status", status)
        # As roll_up() says it.
        message = f"{failed} of {len(scenes)} scenes failed" if failed else message
    counted = {"scenes_completed": completed, "total_scenes": len(scenes)}
    for column, number in counted.items():
        if row[column] != number:
            told.change("scenes_counted", _TABLE, row, column, number)
    return {
        "id": row["id"],
        "generation_id": row["generation_id"],
        "owner_id": owner_id,
        "variant_type": variant.variant_type,
        "given_type": _given_type(row["variant_type"]),
        "status": status,
        # What its caller said stands, whatever the scenes do.
        "status_set_by_caller": status == said and said in ENDED,
        **counted,
        "error_message": message,
        **times_of(_TABLE, row, status, told),
    }


def _given_type(written: object) -> str | None:
    """The word that was mapped to a type of ours, as a pipeline's own word is kept."""
    return None if known_type(written, {}) else given_type(written)


def _derived(said: Status, completed: int, failed: int, total: int, *, ended: bool) -> Status:
    """What the scenes say: that it is over, or nothing."""
    if completed + failed < total or (not total and not ended):
        return said
    return "failed" if failed or not total else "completed"
