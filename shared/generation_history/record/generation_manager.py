"""GenerationManager: with its reader and its other writers, the only SQL on the record's four tables."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from uuid import UUID

from generation_history.db.database import Statement
from generation_history.errors import DuplicateRequest, InvalidValue
from generation_history.ids import as_uuid, derived_id, uuid7
from generation_history.models import Generation, Variant
from generation_history.record.generation_reader import (
    READ_DELETED_TOO,
    READ_GENERATION,
    READ_VARIANT,
    row_id,
)
from generation_history.record.metadata_writer import MetadataWriter
from generation_history.record.scene_writer import SceneWriter, record_scenes
from generation_history.record.validation import validate

logger = logging.getLogger(__name__)

#: As migrations/011_pipelines.sql writes it.
COMPLETED_BY_CALLER: Final = "completed by its caller"
_NO_WORDS: Final[Mapping[str, str | None]] = {}


@dataclass(frozen=True)
class IdempotencyKey:
    """A key under which its owner records one generation only, and the request, as JSON holds it, that it came with."""

    key: str
    request: Any

    @property
    def request_sha256(self) -> str:
        """The request's fingerprint, whatever the order of its names."""
        return hashlib.sha256(json.dumps(self.request, sort_keys=True).encode()).hexdigest()


class GenerationManager(SceneWriter, MetadataWriter):
    """The record of one owner, to read and to write: the database shows and takes that owner's rows only.

    Records are plain dicts as models.py describes them. An id that names nothing of this owner's, or nothing any more,
    is None from get_generation and NotFound from a write. None for an argument of an update leaves that column alone.
    """

    def once(self, key: str, generation_id: str) -> "GenerationManager":
        """The same record: a write under this key, which is the generation's, is done once, then DuplicateRequest."""
        params = {"key": key, "request_sha256": "", "id": row_id(generation_id, "generation")}
        lock: Statement = ("select lock_live_generation(%(id)s, 'generation')", params)
        record: Statement = ("select record_idempotency_key(%(key)s, %(request_sha256)s, %(id)s)", params)
        return GenerationManager(self.owner_id, db=self._db.prefaced(lock, record))

    # ------------------------------------------------------------ generations

    def create_generation(
        self,
        source_video_url: str,
        source_video_type: str,
        variant_types: Sequence[str],
        cost_estimate: float | None,
        *,
        start: bool = False,
        metadata: Mapping[str, Any] | None = None,
        once: IdempotencyKey | None = None,
        generation_id: str | None = None,
        given_types: Mapping[str, str | None] | None = None,
    ) -> Generation:
        """The new generation, pending; with start it is processing and its variants exist.

        cost_estimate is in US dollars, None when unknown; metadata is by kind, as save_metadata takes it. What was
        recorded before under the key of once is returned as it is now, even if it was deleted, and nothing is
        recorded; with another request it is a Conflict. A generation_id that the caller made is recorded once, too, and
        its variants' ids are made of it. given_types has a caller's own words for levels, kept beside them.
        """
        own_id = None if generation_id is None else row_id(generation_id, "generation")
        ids = {variant_type: derived_id(own_id, variant_type) for variant_type in variant_types} if own_id else None
        new_id = own_id or uuid7()
        statements = self._create_statements(
            new_id,
            source_video_url,
            source_video_type,
            variant_types,
            cost_estimate,
            start=start,
            ids=ids,
            given_types=given_types or {},
        )
        return self._create(new_id, statements, metadata, once)

    def create_with_scenes(
        self,
        source_video_url: str,
        source_video_type: str,
        prompts: Mapping[str, Sequence[str]],
        *,
        cost_estimate: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        submit: bool = True,
        model: str | None = None,
        size: str | None = None,
        seconds: int | None = None,
        once: IdempotencyKey | None = None,
    ) -> Generation:
        """A generation with all its variants and scenes, recorded and queued for submission in one transaction.

        once is as create_generation takes it.
        """
        generation_id = uuid7()
        variants = {variant_type: uuid7() for variant_type in prompts}
        statements = self._create_statements(
            generation_id, source_video_url, source_video_type, list(prompts), cost_estimate, start=True, ids=variants
        )
        for variant_type, variant_id in variants.items():
            statements.append(
                record_scenes(variant_id, prompts[variant_type], submit=submit, model=model, size=size, seconds=seconds)
            )
        return self._create(generation_id, statements, metadata, once)

    def update_generation_status(
        self, generation_id: str, status: str, error_message: str | None = None, actual_cost: float | None = None
    ) -> Generation:
        """The generation with this status; a completed or failed set here stands whatever its scenes do.

        A pending or processing takes that back: as soon as a scene has begun, the scenes say what it is.
        For a failed one nothing more is paid: what was not submitted is cancelled, what was still comes home. A
        reported actual_cost (US dollars) is kept as reported. A completed one with open scenes, or without a video,
        says so in its error_message, and in the log.
        """
        update = """
            update generations
            set status = %(status)s::text, status_set_by_caller = %(status)s in ('completed', 'failed'),
                completed_at = case when %(status)s = 'completed' then coalesce(completed_at, now()) end,
                error_message = coalesce(%(error_message)s, case
                    when %(status)s = 'failed' and error_message not like %(note)s then error_message end),
                actual_cost = coalesce(%(actual_cost)s, actual_cost),
                actual_cost_reported = actual_cost_reported or %(actual_cost)s is not null
            where id = %(id)s and deleted_at is null
        """
        values = validate(status=status, error_message=error_message, actual_cost=actual_cost)
        generation_uuid = row_id(generation_id, "generation")
        params = {"id": generation_uuid, "note": f"{COMPLETED_BY_CALLER}%", **values}
        cancellation = _cancel_unsubmitted(generation_uuid, "its generation failed") if status == "failed" else []
        roll_up: Statement = ("select roll_up(%(id)s)", params)
        record = self._record_of("generation", *cancellation, (update, params), roll_up, (READ_GENERATION, params))
        if status == "completed" and (record["error_message"] or "").startswith(COMPLETED_BY_CALLER):
            logger.warning("generation %s: %s", generation_id, record["error_message"])
        return cast("Generation", record)

    def report_cost(self, generation_id: str, actual_cost: float | None) -> Generation:
        """The generation with this cost (US dollars), which stands whatever is rendered; its status is left alone."""
        update = """
            update generations
            set actual_cost = coalesce(%(actual_cost)s, actual_cost),
                actual_cost_reported = actual_cost_reported or %(actual_cost)s is not null
            where id = %(id)s and deleted_at is null
        """
        params = {"id": row_id(generation_id, "generation"), **validate(actual_cost=actual_cost)}
        return cast("Generation", self._record_of("generation", (update, params), (READ_GENERATION, params)))

    def delete_generation(self, generation_id: str, *, purge: bool = False) -> bool:
        """True when it was there and is hidden now: what was not submitted is cancelled, what is paid comes home.

        restore_generation undoes it for 30 days; with purge it is gone for good with the next purge, also if it was
        deleted before.
        """
        generation_uuid = as_uuid(generation_id)
        if generation_uuid is None:
            return False
        update = """
            update generations
            set deleted_at = coalesce(deleted_at, now()),
                purge_at = now() + case when %(purge)s then interval '0' else interval '30 days' end
            where id = %(id)s and (deleted_at is null or %(purge)s) and purging_since is null
            returning id
        """
        params = {"id": generation_uuid, "purge": purge}
        roll_up: Statement = ("select roll_up(%(id)s)", params)
        return bool(
            self._db.run(self.owner_id, *_cancel_unsubmitted(generation_uuid, "deleted"), roll_up, (update, params))
        )

    def restore_generation(self, generation_id: str) -> bool:
        """True when it was deleted and is back: what the deletion had cancelled is queued again."""
        generation_uuid = as_uuid(generation_id)
        if generation_uuid is None:
            return False
        restore = "select restore_generation(%(id)s) as restored"
        return bool(self._db.run(self.owner_id, (restore, {"id": generation_uuid}))[0]["restored"])

    # ------------------------------------------------------------ variants

    def create_variant(self, generation_id: str, variant_type: str, total_scenes: int = 4) -> Variant:
        """The new variant, pending; a second one of the same type is a Conflict."""
        insert = """
            insert into variants (id, generation_id, owner_id, variant_type, total_scenes)
            values (%(id)s, %(generation_id)s, %(owner_id)s, %(variant_type)s, %(total_scenes)s)
            on conflict (id) do nothing
        """
        row = {
            "id": uuid7(),
            "generation_id": row_id(generation_id, "generation"),
            "owner_id": self.owner_id,
            **validate(variant_type=variant_type, total_scenes=total_scenes),
        }
        lock: Statement = ("select lock_live_generation(%(generation_id)s, 'generation')", row)
        return cast("Variant", self._record_of("variant", lock, (insert, row), (READ_VARIANT, row)))

    def update_variant_status(
        self, variant_id: str, status: str, scenes_completed: int | None = None, error_message: str | None = None
    ) -> Variant:
        """The variant with this status; a completed or failed set here stands whatever its scenes do."""
        lock = "select lock_generation((select generation_id from variants where id = %(id)s))"
        update = """
            update variants
            set status = %(status)s::text, status_set_by_caller = %(status)s in ('completed', 'failed'),
                completed_at = case when %(status)s = 'completed' then coalesce(completed_at, now()) end,
                scenes_completed = coalesce(%(scenes_completed)s, scenes_completed),
                error_message = coalesce(%(error_message)s, case when %(status)s = 'failed' then error_message end)
            where id = %(id)s
        """
        roll_up = "select roll_up(generation_id) from variants where id = %(id)s"
        values = validate(status=status, scenes_completed=scenes_completed, error_message=error_message)
        params = {"id": row_id(variant_id, "variant"), **values}
        return cast(
            "Variant",
            self._record_of("variant", (lock, params), (update, params), (roll_up, params), (READ_VARIANT, params)),
        )

    # ------------------------------------------------------------ how

    def _create(
        self,
        generation_id: UUID,
        statements: Sequence[Statement],
        metadata: Mapping[str, Any] | None,
        once: IdempotencyKey | None,
    ) -> Generation:
        """The generation that the statements record, the first of them its row; or what was recorded before."""
        generation, *parts = statements
        if metadata:
            parts.append(self._metadata_statement(generation_id, metadata))
        if once:
            params = {"key": once.key, "request_sha256": once.request_sha256, "id": generation_id}
            parts.insert(0, ("select record_idempotency_key(%(key)s, %(request_sha256)s, %(id)s)", params))
        query: Statement = (READ_GENERATION, {"id": generation_id})
        try:
            return cast("Generation", self._record_of("generation", generation, *parts, query))
        except DuplicateRequest as duplicate:
            return cast("Generation", self._record_of("generation", (READ_DELETED_TOO, {"id": str(duplicate)})))

    def _create_statements(
        self,
        generation_id: UUID,
        source_video_url: str,
        source_video_type: str,
        variant_types: Sequence[str],
        cost_estimate: float | None,
        *,
        start: bool,
        ids: Mapping[str, UUID] | None = None,
        given_types: Mapping[str, str | None] = _NO_WORDS,
    ) -> list[Statement]:
        values = validate(
            source_video_url=source_video_url,
            source_video_type=source_video_type,
            variant_types=variant_types or [],
            cost_estimate=cost_estimate,
        )
        types: list[str] = values["variant_types"]
        if len(set(types)) != len(types):
            raise InvalidValue("variant_types names a type twice")
        insert = """
            insert into generations
                (id, owner_id, source_video_url, source_video_type, status, total_variants, variant_types,
                 cost_estimate)
            values (%(id)s, %(owner_id)s, %(source_video_url)s, %(source_video_type)s, %(status)s,
                cardinality(%(variant_types)s::text[]), %(variant_types)s, %(cost_estimate)s)
            on conflict (id) do nothing
        """
        insert_variants = """
            insert into variants (id, generation_id, owner_id, variant_type, given_type)
            select t.id, %(id)s, %(owner_id)s, t.variant_type, t.given_type
            from unnest(%(variant_ids)s::uuid[], %(variant_types)s::text[], %(given_types)s::text[])
                t (id, variant_type, given_type)
            on conflict (id) do nothing
        """
        row = {
            "id": generation_id,
            "owner_id": self.owner_id,
            "status": "processing" if start else "pending",
            "variant_ids": [ids[variant_type] if ids else uuid7() for variant_type in types],
            "given_types": [given_types.get(variant_type) for variant_type in types],
            **values,
        }
        return [(insert, row), (insert_variants, row)] if start else [(insert, row)]


def _cancel_unsubmitted(generation_id: UUID, reason: str) -> list[Statement]:
    """Fail what still waits to be submitted; whoever is about to post it loses its lease."""
    cancellation = """
        with cancelled as (
            delete from jobs j using scenes s, variants v
            where s.id = j.scene_id and v.id = s.variant_id and v.generation_id = %(id)s and j.step = 'submit'
            returning j.scene_id
        )
        update scenes set status = 'failed', error_code = 'cancelled', error_message = %(reason)s
        where id in (select scene_id from cancelled) and status not in ('completed', 'failed')
    """
    params = {"id": generation_id, "reason": f"{reason} before this was submitted"}
    return [("select lock_generation(%(id)s)", params), (cancellation, params)]
