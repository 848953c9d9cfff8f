"""GenerationReader: what is recorded, as dicts; the reading half of GenerationManager's SQL."""

from typing import Any, Final, LiteralString, cast
from uuid import UUID

from generation_history import database, settings
from generation_history.database import Database, Statement
from generation_history.errors import InvalidValue, NotFound
from generation_history.ids import as_uuid
from generation_history.models import Generation, Metadata, MetadataRow, Scene, Stats, Variant
from generation_history.values import checked

_GENERATION: Final = """
    g.id, g.source_video_url, g.source_video_type, g.status, g.total_variants, g.variant_types, g.cost_estimate,
    g.actual_cost, g.error_message, g.created_at, g.updated_at, g.completed_at
"""
_VARIANT: Final = """
    v.id, v.generation_id, v.variant_type, v.status, v.scenes_completed, v.total_scenes, v.error_message,
    v.created_at, v.updated_at, v.completed_at
"""
_SLIM_SCENE: Final = """
    s.id, s.variant_id, s.scene_number, s.sora_video_id, s.sora_status, s.video_url, s.thumbnail_url, s.duration,
    s.resolution, s.file_size, s.status, s.error_message, s.error_code, s.attempt, s.created_at, s.updated_at,
    s.completed_at
"""
_SCENE: Final = (
    _SLIM_SCENE + ", s.sora_prompt, s.provider, s.provider_base_url, s.model, s.size, s.seconds, s.expires_at"
)
_VARIANT_ORDER: Final = "array_position(array['soft', 'medium', 'aggressive', 'ultra'], v.variant_type::text)"


def _variants_json(scene_columns: LiteralString) -> LiteralString:
    """A subquery: the variants of generation g in order, each with its scenes, as one JSON array."""
    return (
        "(select coalesce(json_agg(row_to_json(t)), '[]') from (select " + _VARIANT + ", (select"
        " coalesce(json_agg(row_to_json(x)), '[]') from (select " + scene_columns + " from scenes s"
        " where s.variant_id = v.id order by s.scene_number) x) as scenes"
        " from variants v where v.generation_id = g.id order by " + _VARIANT_ORDER + ") t)"
    )


READ_GENERATION: Final = (
    "select row_to_json(r) as record from (select "
    + _GENERATION
    + " from generations g where g.id = %(id)s and g.deleted_at is null) r"
)
_ATTEMPTS: Final = """, (
    select coalesce(json_agg(row_to_json(t)), '[]') from (
        select a.attempt, a.outcome, a.provider, a.model, a.size, a.seconds, a.sora_video_id, a.cost, a.intended_at,
               a.accepted_at, a.rendered_at, a.finished_at, a.error_code, a.error_message
        from attempts a where a.scene_id = s.id order by a.attempt) t
    ) as attempts
"""
_READ_FULL_GENERATION: Final = (
    "select row_to_json(r) as record from (select "
    + _GENERATION
    + ", "
    + _variants_json(_SCENE + _ATTEMPTS)
    + " as variants,"
    """ (select coalesce(json_agg(row_to_json(t)), '[]') from (
            select m.id, m.generation_id, m.original_analysis, m.transformation_data, m.prompts_data, m.evaluation_data,
                   m.created_at, m.updated_at
            from generation_metadata m where m.generation_id = g.id) t) as generation_metadata
        from generations g where g.id = %(id)s and g.deleted_at is null) r"""
)
_LIST_GENERATIONS: Final = (
    "select row_to_json(r) as record from (select "
    + _GENERATION
    + ", "
    + _variants_json(_SLIM_SCENE)
    + """ as variants
    from generations g
    where g.deleted_at is null
        and (%(status)s::text is null or g.status = %(status)s)
        and (%(after_time)s::timestamptz is null or (g.created_at, g.id) < (%(after_time)s, %(after_id)s::uuid))
    order by g.created_at desc, g.id desc limit %(limit)s offset %(offset)s) r"""
)
READ_VARIANT: Final = (
    "select row_to_json(r) as record from (select "
    + _VARIANT
    + """ from variants v join generations g on g.id = v.generation_id
    where v.id = %(id)s and g.deleted_at is null) r"""
)
READ_SCENE: Final = (
    "select row_to_json(r) as record from (select "
    + _SCENE
    + """, v.generation_id, v.variant_type
    from scenes s join variants v on v.id = s.variant_id join generations g on g.id = v.generation_id
    where s.id = %(id)s and g.deleted_at is null) r"""
)
LIST_SCENES: Final = (
    "select row_to_json(r) as record from (select "
    + _SCENE
    + """ from scenes s join variants v on v.id = s.variant_id join generations g on g.id = v.generation_id
    where s.variant_id = %(id)s and g.deleted_at is null order by s.scene_number) r"""
)
METADATA_KINDS: Final = ("original_analysis", "transformation_data", "prompts_data", "evaluation_data")


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
        self._db = db or database.connect(settings.database_url(), setting="DATABASE_URL")

    def get_generation(self, generation_id: str) -> Generation | None:
        """The generation with its variants, their scenes with prompts, and its metadata; None where there is none."""
        found = as_uuid(generation_id)
        rows = self._db.run(self.owner_id, (_READ_FULL_GENERATION, {"id": found})) if found else []
        if not rows:
            return None
        generation = cast("Generation", rows[0]["record"])
        kept: list[MetadataRow] = generation.get("generation_metadata", [])
        generation["metadata"] = cast("Metadata", {kind: kept[0][kind] if kept else None for kind in METADATA_KINDS})
        return generation

    def list_generations(
        self,
        limit: int = 50,
        offset: int = 0,
        status: str | None = None,
        *,
        after: tuple[str, str] | None = None,
    ) -> list[Generation]:
        """Generations, newest first, each with its variants and their scenes without prompts.

        after is (created_at, id) of the last one seen: going on from there costs the same at any depth.
        """
        after_time, after_id = after or (None, None)
        page = {**checked(limit=limit, offset=offset, status=status), "after_time": after_time, "after_id": after_id}
        return [cast("Generation", row["record"]) for row in self._db.run(self.owner_id, (_LIST_GENERATIONS, page))]

    def get_stats(self) -> Stats:
        """Totals over everything that is not deleted; a cost nobody knows is counted apart, never as 0."""
        query = """
            select row_to_json(r) as record from (
                select count(*) as total_generations,
                       count(*) filter (where g.status = 'pending') as pending,
                       count(*) filter (where g.status = 'processing') as processing,
                       count(*) filter (where g.status = 'completed') as completed,
                       count(*) filter (where g.status = 'failed') as failed,
                       coalesce(sum(g.actual_cost), 0.00) as total_cost,
                       count(*) filter (where g.actual_cost is null) as cost_unknown,
                       coalesce(sum(g.cost_estimate), 0.00) as estimated_cost,
                       coalesce(sum(t.videos), 0) as total_videos,
                       coalesce(sum(t.bytes), 0) as total_bytes,
                       coalesce(sum(t.seconds), 0) as total_seconds
                from generations g
                cross join lateral (
                    select count(*) as videos, sum(s.file_size) as bytes, sum(s.duration) as seconds
                    from variants v join scenes s on s.variant_id = v.id
                    where v.generation_id = g.id and s.status = 'completed'
                ) t
                where g.deleted_at is null
            ) r
        """
        return cast("Stats", self._record_of("statistics", (query, {})))

    def get_variant(self, variant_id: str) -> tuple[Variant, list[Scene]]:
        """One variant and its scenes in order, with prompts; NotFound where there is no such variant."""
        found = row_id(variant_id, "variant")
        query = (
            "select row_to_json(r) as record from (select "
            + _VARIANT
            + ", (select coalesce(json_agg(row_to_json(x)), '[]') from (select "
            + _SCENE
            + """ from scenes s where s.variant_id = v.id order by s.scene_number) x) as scenes
            from variants v join generations g on g.id = v.generation_id
            where v.id = %(id)s and g.deleted_at is null) r"""
        )
        variant = cast("Variant", self._record_of("variant", (query, {"id": found})))
        return variant, variant.pop("scenes", [])

    def get_variant_scenes(self, variant_id: str) -> list[Scene]:
        """The variant's scenes in order, with prompts; an empty list where there is no such variant."""
        found = as_uuid(variant_id)
        rows = self._db.run(self.owner_id, (LIST_SCENES, {"id": found})) if found else []
        return [cast("Scene", row["record"]) for row in rows]

    def get_scene(self, scene_id: str) -> Scene:
        """One scene, with its prompt and what it was submitted with."""
        return cast("Scene", self._record_of("scene", (READ_SCENE, {"id": row_id(scene_id, "scene")})))

    def _record_of(self, what: str, *statements: Statement) -> dict[str, Any]:
        rows = self._db.run(self.owner_id, *statements)
        if not rows:
            raise NotFound(f"no such {what}")
        return rows[0]["record"]


def row_id(value: str, what: str) -> UUID:
    """The UUID of a row; NotFound for anything that cannot be one."""
    found = as_uuid(value)
    if found is None:
        raise NotFound(f"no such {what}")
    return found
