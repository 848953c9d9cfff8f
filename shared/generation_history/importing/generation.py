"""A generation of the older installation as this one records it: every oddity decided, and told."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from generation_history.importing.metadata import map_metadata
from generation_history.importing.objects import GenerationObjects
from generation_history.importing.report import TABLES, Decisions, Line
from generation_history.importing.scenes import map_scene, needs_inspection, place_video
from generation_history.importing.sessions import SessionVideo
from generation_history.importing.source import OldGeneration, Row
from generation_history.importing.times import ENDED, cut, status_of, times_of
from generation_history.importing.variants import OldVariant, known_type, map_variant, settle_variants
from generation_history.limits import MAX_SOURCE_URL
from generation_history.models import Status, VariantType

_TABLE: Final = "generations"
_MAX_COST: Final = 100_000_000
_UNKNOWN_SOURCE: Final = "(unknown)"
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class NewGeneration:
    """The rows of one generation by table, as they are inserted, and what is to be done besides."""

    id: UUID
    rows: Mapping[str, list[Row]]
    inspections: list[Row]
    objects: GenerationObjects
    source_rows: int
    source_changed_at: datetime
    lines: list[Line]


class Mapper:
    """Maps generations to one owner."""

    def __init__(self, owner_id: UUID, mapped: Mapping[str, VariantType]) -> None:
        """Take the old words of the mapping for types of ours."""
        self._owner_id = owner_id
        self._mapped = mapped

    def map(
        self, old: OldGeneration, objects: GenerationObjects, videos: Sequence[SessionVideo]
    ) -> NewGeneration | list[Line]:
        """The generation; or only lines, where it cannot come."""
        told = Decisions(old.id)
        variants = settle_variants(old, self._mapped, told)
        types = self._types(old, variants)
        if not types:
            return refuse_all(old, "no_known_variant_type", old.row["variant_types"])
        status = status_of(_TABLE, old.row, told)
        objects.name(url for row in old.scenes for url in (row["video_url"], row["thumbnail_url"]))
        sessions = dict(_sessions(variants, videos, told))
        rows: dict[str, list[Row]] = {table: [] for table in TABLES}
        inspections: list[Row] = []
        for variant in variants:
            scenes = list(self._scenes(variant, sessions, objects, inspections, told, ended=status in ENDED))
            rows["variants"].append(map_variant(variant, scenes, self._owner_id, told, ended=status in ENDED))
            rows["scenes"] += scenes
        rows["generations"].append(self._generation(old.row, status, types, told))
        rows["generation_metadata"] = map_metadata(old, self._owner_id, told)
        for key in objects.unnamed:
            told.note("object_unnamed", "objects", key)
        return NewGeneration(
            old.id, rows, inspections, objects, sum(old.counted().values()), changed_at(old), told.lines
        )

    def _types(self, old: OldGeneration, variants: Sequence[OldVariant]) -> list[VariantType]:
        """The types that the generation names, and those of its variants, each once."""
        named: list[VariantType | None] = [known_type(word, self._mapped) for word in old.row["variant_types"] or ()]
        kinds: list[VariantType | None] = [*named, *(one.variant_type for one in variants)]
        types: dict[VariantType, None] = dict.fromkeys(kind for kind in kinds if kind is not None)
        return list(types)

    def _scenes(
        self,
        variant: OldVariant,
        sessions: Mapping[UUID, SessionVideo],
        objects: GenerationObjects,
        inspections: list[Row],
        told: Decisions,
        *,
        ended: bool,
    ) -> Iterator[Row]:
        for number, row in sorted(variant.scenes.items()):
            video = place_video(row, number, variant, sessions.get(row["id"]), objects, told)
            scene = map_scene(row, number, variant, video, self._owner_id, told, ended=ended)
            if needs_inspection(scene, video):
                inspections.append({"scene_id": scene["id"], "owner_id": self._owner_id})
            yield scene

    def _generation(self, row: Row, status: Status, types: list[VariantType], told: Decisions) -> Row:
        if types != row["variant_types"]:
            told.change("variant_types_settled", _TABLE, row, "variant_types", types)
        if len(types) != row["total_variants"]:
            told.change("total_variants_counted", _TABLE, row, "total_variants", len(types))
        cost = _cost(row, "actual_cost", told)
        return {
            "id": row["id"],
            "owner_id": self._owner_id,
            "source_video_url": _source_url(row, told),
            "source_video_type": _source_type(row, told),
            "status": status,
            # What its caller said stands, whatever the scenes do, and so does the cost.
            "status_set_by_caller": status in ENDED,
            "total_variants": len(types),
            "variant_types": types,
            "cost_estimate": _cost(row, "cost_estimate", told),
            "actual_cost": cost,
            "actual_cost_reported": cost is not None,
            "error_message": row["error_message"],
            **times_of(_TABLE, row, status, told),
        }


def refuse_all(old: OldGeneration, reason: str, value: Any) -> list[Line]:
    """A line for each row of a generation that does not come."""
    told = Decisions(old.id)
    told.refuse(reason, _TABLE, old.row, value)
    children = zip(TABLES[1:], (old.variants, old.scenes, old.metadata), strict=True)
    for table, rows in children:
        for row in rows:
            told.refuse("parent_refused", table, row, f"generation {old.id}")
    return told.lines


def changed_at(old: OldGeneration) -> datetime:
    """When the older installation changed any row of it last; long ago, where no row says so."""
    rows = (old.row, *old.variants, *old.scenes, *old.metadata)
    return max(row["updated_at"] or row["created_at"] or _LONG_AGO for row in rows)


def _sessions(
    variants: Sequence[OldVariant], videos: Sequence[SessionVideo], told: Decisions
) -> Iterator[tuple[UUID, SessionVideo]]:
    """By scene, its video under sessions/: the newest; what can be no scene's, or several scenes', is told."""
    taken: set[UUID] = set()
    for video in videos:
        scenes = [
            variant.scenes[video.number]["id"]
            for variant in variants
            if video.number in variant.scenes and video.variant_type in {None, variant.variant_type}
        ]
        if len(scenes) != 1:
            told.note("session_scene_missing", "objects", video.object.key)
        elif scenes[0] in taken:
            told.note("session_video_unused", "objects", video.object.key, scenes[0])
        else:
            taken.add(scenes[0])
            yield scenes[0], video


def _cost(row: Row, column: Literal["cost_estimate", "actual_cost"], told: Decisions) -> Decimal | None:
    cost: Decimal | None = row[column]
    if cost is not None and (cost.is_nan() or not 0 <= cost < _MAX_COST):
        told.change("cost_impossible", _TABLE, row, column, None)
        return None
    return cost


def _source_url(row: Row, told: Decisions) -> str:
    url: str = row["source_video_url"] or ""
    if not url:
        told.change("source_url_missing", _TABLE, row, "source_video_url", _UNKNOWN_SOURCE)
        return _UNKNOWN_SOURCE
    if len(url) > MAX_SOURCE_URL:
        told.change("source_url_cut", _TABLE, row, "source_video_url", url[:MAX_SOURCE_URL])
    return url[:MAX_SOURCE_URL]


def _source_type(row: Row, told: Decisions) -> str:
    if not row["source_video_type"]:
        told.change("source_type_missing", _TABLE, row, "source_video_type", "file")
    return cut(_TABLE, row, "source_video_type", 50, told) or "file"
