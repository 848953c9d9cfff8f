"""GenerationReader: what is recorded, as dicts; the reading half of GenerationManager's SQL."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, LiteralString, cast
from uuid import UUID

from generation_history import bootstrap, json_codec, settings
from generation_history.db.database import Database, Statement
from generation_history.errors import InvalidValue, NotFound
from generation_history.ids import as_uuid
from generation_history.models import (
    METADATA_KINDS,
    Generation,
    Metadata,
    MetadataKind,
    MetadataPart,
    MetadataRow,
    Scene,
    Stats,
    Variant,
)
from generation_history.record.columns import GENERATION, SCENE, VARIANT, variants_json
from generation_history.record.list_query import page_statement
from generation_history.record.stats import READ_STATS, first_day, stats_of
from generation_history.record.validation import validate

READ_GENERATION: Final = (
    "select row_to_json(r) as record from (select "
    + GENERATION
    + " from generations g where g.id = %(id)s and g.deleted_at is null) r"
)
READ_DELETED_TOO: Final = (
    "select row_to_json(r) as record from (select " + GENERATION + " from generations g where g.id = %(id)s) r"
)
_ATTEMPTS: Final = """, (
    select coalesce(json_agg(row_to_json(t)), '[]') from (
        select a.attempt, a.outcome, a.provider, a.model, a.size, a.seconds, a.sora_video_id, a.cost, a.intended_at,
               a.accepted_at, a.rendered_at, a.finished_at, a.error_code, a.error_message, a.answer, a.video_url,
               a.thumbnail_url, a.duration, a.resolution, a.file_size
        from attempts a where a.scene_id = s.id order by a.attempt) t
    ) as attempts
"""
READ_FULL_GENERATION: Final = (
    "select row_to_json(r) as record from (select "
    + GENERATION
    + ", "
    + variants_json(SCENE + _ATTEMPTS)
    + " as variants,"
    """ (select coalesce(json_agg(row_to_json(t)), '[]') from (
            select m.id, m.generation_id, m.original_analysis, m.transformation_data, m.prompts_data, m.evaluation_data,
                   m.created_at, m.updated_at
            from generation_metadata m where m.generation_id = g.id) t) as generation_metadata
        from generations g where g.id = %(id)s and g.deleted_at is null) r"""
)
_READ_VARIANTS: Final = (
    "select row_to_json(r) as record from (select "
    + variants_json(SCENE + _ATTEMPTS)
    + " as variants from generations g where g.id = %(id)s and g.deleted_at is null) r"
)
_READ_METADATA_PART: Final = """
    select row_to_json(r) as record from (
        select substr(t.json, %(offset)s + 1, %(length)s) as json,
               case when length(t.json) > %(offset)s + %(length)s then %(offset)s + %(length)s end as next_offset
        from (
            select case %(kind)s when 'original_analysis' then m.original_analysis
                                 when 'transformation_data' then m.transformation_data
                                 when 'prompts_data' then m.prompts_data
                                 when 'evaluation_data' then m.evaluation_data end::text as json
            from generation_metadata m join generations g on g.id = m.generation_id
            where g.id = %(id)s and g.deleted_at is null
        ) t
        where t.json is not null
    ) r
"""
READ_VARIANT: Final = (
    "select row_to_json(r) as record from (select "
    + VARIANT
    + """ from variants v join generations g on g.id = v.generation_id
    where v.id = %(id)s and g.deleted_at is null) r"""
)
READ_SCENE: Final = (
    "select row_to_json(r) as record from (select "
    + SCENE
    + """, v.generation_id, v.variant_type
    from scenes s join variants v on v.id = s.variant_id join generations g on g.id = v.generation_id
    where s.id = %(id)s and g.deleted_at is null) r"""
)
_READ_SCENE_AND_SOURCE: Final = (
    "select row_to_json(r) as record from (select "
    + SCENE
    + """, v.generation_id, v.variant_type, g.source_video_url
    from scenes s join variants v on v.id = s.variant_id join generations g on g.id = v.generation_id
    where s.id = %(id)s and g.deleted_at is null) r"""
)
LIST_SCENES: Final = (
    "select row_to_json(r) as record from (select "
    + SCENE
    + """ from scenes s join variants v on v.id = s.variant_id join generations g on g.id = v.generation_id
    where s.variant_id = %(id)s and g.deleted_at is null order by s.scene_number) r"""
)
#: No JSON text of so many characters grows beyond what the platform carries, whatever is escaped in it.
METADATA_PART_CHARACTERS: Final = 200_000

#: A generation's id and its record as JSON text.
Record = tuple[str, str]


class GenerationReader:
    """The record of one owner: every call sees that owner's rows only, which the database enforces.

    Records are plain dicts as models.py describes them; each read is one statement in one round trip. What is deleted
    is not there.
    """

    def __init__(self, owner_id: str | UUID | None = None, *, db: Database | None = None) -> None:
        """Act for owner_id, by default the setting HISTORY_OWNER_ID, which must then be set."""
        owner = settings.owner_id() if owner_id is None else as_uuid(owner_id)
        if owner is None:
            raise InvalidValue("owner_id must be a UUID")
        self.owner_id: Final = owner
        self._db = db or bootstrap.record_database()

    def get_generation(self, generation_id: str) -> Generation | None:
        """The generation with its variants, their scenes with prompts, and its metadata; None where there is none."""
        generation_uuid = as_uuid(generation_id)
        rows = self._db.run(self.owner_id, (READ_FULL_GENERATION, {"id": generation_uuid})) if generation_uuid else []
        if not rows:
            return None
        generation = cast("Generation", rows[0]["record"])
        metadata_rows: list[MetadataRow] = generation.get("generation_metadata", [])
        generation["metadata"] = cast(
            "Metadata", {kind: metadata_rows[0][kind] if metadata_rows else None for kind in METADATA_KINDS}
        )
        return generation

    def list_generations(
        self,
        limit: int = 50,
        offset: int = 0,
        status: str | None = None,
        *,
        statuses: Sequence[str] | None = None,
        variant_type: str | None = None,
        created_from: datetime | date | str | None = None,
        created_to: datetime | date | str | None = None,
        q: str | None = None,
        after: tuple[str, str] | None = None,
    ) -> list[Generation]:
        """Generations, newest first, each with its variants and their scenes without prompts.

        status, or several as statuses; variant_type is one that the generation has; created_from and created_to are
        times with their zone, both included, or days (UTC); q is three or more characters that source_video_url has
        somewhere, in capitals or not, or eight or more digits that the id begins or ends with. after is (created_at,
        id) of the last one seen: going on from there costs the same at any depth.
        """
        page = page_statement(
            GENERATION,
            **validate(
                limit=limit,
                offset=offset,
                status=status,
                statuses=statuses,
                variant_type=variant_type,
                created_from=created_from,
                created_to=created_to,
                q=q,
                after=after,
            ),
        )
        return [cast("Generation", json_codec.from_json(row["record"])) for row in self._db.run(self.owner_id, page)]

    def list_records(
        self,
        item: LiteralString,
        limit: int,
        offset: int = 0,
        *,
        statuses: Sequence[str] | None = None,
        after: tuple[str, str] | None = None,
        **narrower_filters: Any,
    ) -> tuple[list[Record], int | None]:
        """What list_generations returns as the database makes it, and how many there are in all.

        item is the columns shown of a generation (columns.py). With a narrower filter nobody counts: None.
        """
        filters = {"variant_type": None, "created_from": None, "created_to": None, "q": None} | narrower_filters
        values = validate(limit=limit, offset=offset, status=None, statuses=statuses, after=after, **filters)
        page = page_statement(item, **values)
        if any(value is not None for value in filters.values()):
            return [(row["id"], row["record"]) for row in self._db.run(self.owner_id, page)], None
        total: Statement = ("select count_generations(%(statuses)s::text[]) as total", {"statuses": values["statuses"]})
        totals, rows = self._db.run_each(self.owner_id, total, page)
        return [(row["id"], row["record"]) for row in rows], totals[0]["total"]

    def get_stats(self) -> Stats:
        """Totals over everything that is not deleted; a cost nobody knows is counted apart, never as 0."""
        today = datetime.now(UTC).date()
        days = {"first_day": first_day(today), "today": today}
        return stats_of(self._db.run(self.owner_id, (READ_STATS, days)), today)

    def get_variants(self, generation_id: str) -> list[Variant]:
        """The generation's variants in order, with their scenes; NotFound where there is no such generation."""
        params = {"id": row_id(generation_id, "generation")}
        return cast("list[Variant]", self._record_of("generation", (_READ_VARIANTS, params))["variants"])

    def get_variant(self, variant_id: str, *, after: int = 0, limit: int | None = None) -> tuple[Variant, list[Scene]]:
        """One variant, and its scenes in order, with prompts; NotFound where there is no such variant.

        after and limit ask for so many of the scenes with higher numbers than that.
        """
        params = {"id": row_id(variant_id, "variant"), "after": after, "limit": limit}
        query = (
            "select row_to_json(r) as record from (select "
            + VARIANT
            + ", (select coalesce(json_agg(row_to_json(x)), '[]') from (select "
            + SCENE
            + """ from scenes s where s.variant_id = v.id and s.scene_number > %(after)s
                order by s.scene_number limit %(limit)s) x) as scenes
            from variants v join generations g on g.id = v.generation_id
            where v.id = %(id)s and g.deleted_at is null) r"""
        )
        variant = cast("Variant", self._record_of("variant", (query, params)))
        return variant, variant.pop("scenes", [])

    def get_variant_scenes(self, variant_id: str) -> list[Scene]:
        """The variant's scenes in order, with prompts; an empty list where there is no such variant."""
        variant_uuid = as_uuid(variant_id)
        rows = self._db.run(self.owner_id, (LIST_SCENES, {"id": variant_uuid})) if variant_uuid else []
        return [cast("Scene", row["record"]) for row in rows]

    def get_metadata_part(self, generation_id: str, kind: MetadataKind, *, offset: int = 0) -> MetadataPart:
        """A part of one kind's JSON text from the character offset on; NotFound where there is none of that kind."""
        params = {
            "id": row_id(generation_id, "generation"),
            "kind": kind,
            "offset": offset,
            "length": METADATA_PART_CHARACTERS,
        }
        return cast("MetadataPart", self._record_of("metadata", (_READ_METADATA_PART, params)))

    def get_scene(self, scene_id: str, *, with_source: bool = False) -> Scene:
        """One scene, with its prompt and what it was submitted with; with_source, also its generation's source."""
        query = _READ_SCENE_AND_SOURCE if with_source else READ_SCENE
        return cast("Scene", self._record_of("scene", (query, {"id": row_id(scene_id, "scene")})))

    def _record_of(self, kind: str, *statements: Statement) -> dict[str, Any]:
        rows = self._db.run(self.owner_id, *statements)
        if not rows:
            raise NotFound(f"no such {kind}")
        return rows[0]["record"]


def row_id(value: str, kind: str) -> UUID:
    """The UUID of a row; NotFound for anything that cannot be one."""
    uuid = as_uuid(value)
    if uuid is None:
        raise NotFound(f"no such {kind}")
    return uuid
