"""SceneWriter: how scenes are recorded, changed and retried; a part of GenerationManager's SQL."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString, cast
from uuid import UUID

from generation_history.db.database import Statement
from generation_history.errors import NotFound
from generation_history.ids import uuid7
from generation_history.models import RETRY_SUBMITS, Scene, VideoMetadata
from generation_history.record.generation_reader import LIST_SCENES, READ_SCENE, GenerationReader, row_id
from generation_history.record.validation import validate

_ROLL_UP_COST: Final[LiteralString] = """
    select roll_up_cost(v.generation_id) from scenes s join variants v on v.id = s.variant_id where s.id = %(id)s
"""
#: Of the columns that a caller may change.
_NO_CHANGES: Final[Mapping[str, Any]] = dict.fromkeys(
    (
        "sora_video_id",
        "sora_status",
        "video_url",
        "thumbnail_url",
        "duration",
        "resolution",
        "file_size",
        "status",
        "error_message",
        "error_code",
    )
)


class SceneWriter(GenerationReader):
    """The scenes of one owner, to write; GenerationManager says how."""

    def create_scene(self, variant_id: str, scene_number: int, sora_prompt: str) -> Scene:
        """The new scene, pending, recorded and never submitted; a second one of the same number is a Conflict."""
        insert = """
            insert into scenes (id, variant_id, owner_id, scene_number, sora_prompt)
            values (%(id)s, %(variant_id)s, %(owner_id)s, %(scene_number)s, %(sora_prompt)s)
            on conflict (id) do nothing
        """
        row = {
            "id": uuid7(),
            "variant_id": row_id(variant_id, "variant"),
            "owner_id": self.owner_id,
            **validate(scene_number=scene_number, sora_prompt=sora_prompt),
        }
        lock: Statement = (
            "select lock_live_generation((select generation_id from variants where id = %(variant_id)s), 'variant')",
            row,
        )
        roll_up: Statement = ("select roll_up_scene(%(id)s)", row)
        return cast("Scene", self._record_of("scene", lock, (insert, row), roll_up, (READ_SCENE, row)))

    def create_scenes(
        self,
        generation_id: str,
        variant_type: str,
        prompts: Sequence[str],
        *,
        submit: bool = False,
        model: str | None = None,
        size: str | None = None,
        seconds: int | None = None,
    ) -> list[Scene]:
        """The variant's scenes, one a prompt, in order; with submit those never submitted are queued.

        The same call again returns the same scenes and submits nothing twice; other prompts are a Conflict.
        """
        variant_id = self.variant_id(generation_id, variant_type)
        return self.create_variant_scenes(
            str(variant_id), prompts, submit=submit, model=model, size=size, seconds=seconds
        )

    def create_variant_scenes(
        self,
        variant_id: str,
        prompts: Sequence[str],
        *,
        submit: bool = False,
        model: str | None = None,
        size: str | None = None,
        seconds: int | None = None,
        ids: Sequence[UUID] | None = None,
    ) -> list[Scene]:
        """The same by the variant's id; new scenes have these ids, where the caller made them."""
        variant_uuid = row_id(variant_id, "variant")
        record = record_scenes(variant_uuid, prompts, submit=submit, model=model, size=size, seconds=seconds, ids=ids)
        params = {"id": variant_uuid}
        roll_up: Statement = ("select roll_up(generation_id) from variants where id = %(id)s", params)
        rows = self._db.run(self.owner_id, record, roll_up, (LIST_SCENES, params))
        return [cast("Scene", row["record"]) for row in rows]

    def update_scene(
        self,
        scene_id: str,
        sora_video_id: str | None = None,
        sora_status: str | None = None,
        video_url: str | None = None,
        thumbnail_url: str | None = None,
        duration: int | None = None,
        resolution: str | None = None,
        file_size: int | None = None,
        status: str | None = None,
        error_message: str | None = None,
        *,
        error_code: str | None = None,
    ) -> Scene:
        """The scene with what was given changed, and its variant and generation rolled up.

        Status moves forward only (models.SCENE_TRANSITIONS), anything else is a Conflict.
        """
        changes: dict[str, Any] = {
            "sora_video_id": sora_video_id,
            "sora_status": sora_status,
            "video_url": video_url,
            "thumbnail_url": thumbnail_url,
            "duration": duration,
            "resolution": resolution,
            "file_size": file_size,
            "status": status,
            "error_message": error_message,
            "error_code": error_code,
        }
        return self._update_scene(scene_id, changes)

    def _update_scene(self, scene_id: str, changes: Mapping[str, Any], *more_statements: LiteralString) -> Scene:
        update = """
            update scenes
            set sora_video_id = coalesce(%(sora_video_id)s, sora_video_id),
                sora_status = coalesce(%(sora_status)s, sora_status),
                video_url = coalesce(%(video_url)s, video_url),
                thumbnail_url = coalesce(%(thumbnail_url)s, thumbnail_url),
                duration = coalesce(%(duration)s, duration),
                resolution = coalesce(%(resolution)s, resolution),
                file_size = coalesce(%(file_size)s, file_size),
                status = coalesce(%(status)s, status),
                completed_at = case
                    when coalesce(%(status)s, status) = 'completed' then coalesce(completed_at, now()) end,
                error_message = coalesce(
                    %(error_message)s, case when %(status)s is distinct from 'completed' then error_message end),
                error_code = case
                    when coalesce(%(status)s, status) = 'failed' then coalesce(%(error_code)s, error_code) end
            where id = %(id)s
        """
        attempt = """
            insert into attempts (id, scene_id, owner_id, attempt, outcome, sora_video_id, accepted_at)
            select %(attempt_id)s, s.id, s.owner_id, s.attempt, 'accepted', s.sora_video_id, now()
            from scenes s where s.id = %(id)s and %(sora_video_id)s::text is not null
            on conflict on constraint attempts_scene_id_attempt_key do update set sora_video_id = excluded.sora_video_id
        """
        values = validate(**{**_NO_CHANGES, **changes})
        params = {"id": row_id(scene_id, "scene"), "attempt_id": uuid7(), **values}
        completion = """
            update attempts a
            set outcome = case s.status when 'completed' then 'stored' else 'failed' end, finished_at = now(),
                rendered_at = case s.status when 'completed' then coalesce(a.rendered_at, now()) else a.rendered_at end,
                error_code = s.error_code, error_message = case s.status when 'failed' then s.error_message end
            from scenes s
            where s.id = %(id)s and a.scene_id = s.id and a.attempt = s.attempt
        """
        statements: list[Statement] = [("select lock_generation_of_scene(%(id)s)", params), (update, params)]
        if values["sora_video_id"] is not None:
            statements.append((attempt, params))
        if values["status"] in {"completed", "failed"}:
            statements.append((completion, params))
            statements.append((_ROLL_UP_COST, params))
        statements.extend((statement, params) for statement in more_statements)
        statements.append(("select roll_up_scene(%(id)s)", params))
        return cast("Scene", self._record_of("scene", *statements, (READ_SCENE, params)))

    def retry_scene(self, scene_id: str, *, confirmed: bool = False) -> Scene:
        """The failed scene, pending again: its provider job is fetched while it may still be had, else a new one made.

        A new, paid attempt is made only after a failure that leaves nothing to fetch (models.RETRY_SUBMITS), or after
        submit_unknown where a person has confirmed that the provider has no such job. Anything else is a Conflict, and
        so is everything while a POST is under way: what comes of it is not known yet.
        """
        params = {
            "id": row_id(scene_id, "scene"),
            "submits": [*sorted(RETRY_SUBMITS), *(["submit_unknown"] if confirmed else [])],
        }
        retry: Statement = ("select retry_scene(%(id)s, %(submits)s::text[])", params)
        roll_up: Statement = ("select roll_up_scene(%(id)s)", params)
        return cast("Scene", self._record_of("scene", retry, roll_up, (READ_SCENE, params)))

    def record_provider_job(
        self, scene_id: str, sora_video_id: str, *, base_url: str | None = None, hold_seconds: float = 0
    ) -> Scene:
        """The scene, which its caller has submitted by itself as this provider job: it is polled, fetched and stored.

        Nothing is posted for it; a POST of ours that still waits is given up. A repeat changes nothing. A Conflict when
        it is completed, or not over yet, with another job, while it is being submitted, or when any other scene has
        this job. base_url is the server that has the job, where the caller knows which of ours. For hold_seconds the
        caller may fetch the video by itself; then a poller does.
        """
        server = """
            update scenes set provider_base_url = coalesce(provider_base_url, %(base_url)s)
            where id = %(id)s and status in ('pending', 'processing') and sora_video_id = %(sora_video_id)s
        """
        hold = """
            update jobs set run_at = greatest(run_at, now() + make_interval(secs => %(hold_seconds)s))
            where scene_id = %(id)s and step = 'poll' and lease_token is null
        """
        values = validate(sora_video_id=sora_video_id)
        params = {
            "id": row_id(scene_id, "scene"),
            "attempt_id": uuid7(),
            "base_url": base_url,
            "hold_seconds": hold_seconds,
            **values,
        }
        record: Statement = ("select record_provider_job(%(id)s, %(attempt_id)s, %(sora_video_id)s)", params)
        statements: list[Statement] = [record]
        if base_url is not None:
            statements.append((server, params))
        if hold_seconds:
            statements.append((hold, params))
        roll_up: Statement = ("select roll_up_scene(%(id)s)", params)
        return cast("Scene", self._record_of("scene", *statements, roll_up, (READ_SCENE, params)))

    def release_provider_job(self, scene_id: str, reason: str) -> Scene:
        """The scene, whose video the caller could not fetch for this reason: the poller does, from now on."""
        release = "update jobs set run_at = now() where scene_id = %(id)s and step = 'poll' and lease_token is null"
        note = """
            update scenes set error_message = %(error_message)s
            where id = %(id)s and status in ('pending', 'processing')
        """
        params = {"id": row_id(scene_id, "scene"), **validate(error_message=reason)}
        lock: Statement = ("select lock_generation_of_scene(%(id)s)", params)
        return cast("Scene", self._record_of("scene", lock, (release, params), (note, params), (READ_SCENE, params)))

    def complete_provider_job(
        self, scene_id: str, video_url: str, thumbnail_url: str | None, metadata: VideoMetadata
    ) -> Scene:
        """The scene, completed with the stored video that its caller fetched; the poller has nothing to do for it."""
        done = """
            delete from jobs j using scenes s
            where j.scene_id = %(id)s and s.id = j.scene_id and coalesce(j.attempt, s.attempt) = s.attempt
        """
        return self._update_scene(
            scene_id,
            {
                "sora_status": "completed",
                "video_url": video_url,
                "thumbnail_url": thumbnail_url,
                "duration": metadata["duration"],
                "resolution": metadata["resolution"],
                "file_size": metadata["file_size"],
                "status": "completed",
                "error_message": metadata.get("thumbnail_error"),
            },
            done,
        )

    def use_attempt(self, scene_id: str, attempt: int) -> Scene:
        """The scene with the video of another of its attempts, where that is stored; what it had stays with its own.

        Where it is not stored yet, it is fetched: a failed scene is pending again and goes on with it, a completed one
        keeps its video, and the same call uses the other one once that is stored. Nothing is ever posted for it. A
        Conflict while the scene is worked on, and for an attempt without a provider job.
        """
        params = {"id": row_id(scene_id, "scene"), **validate(attempt=attempt)}
        statement: Statement = ("select use_attempt(%(id)s, %(attempt)s)", params)
        roll_up: Statement = ("select roll_up_scene(%(id)s)", params)
        return cast("Scene", self._record_of("scene", statement, roll_up, (READ_SCENE, params)))

    def variant_id(self, generation_id: str, variant_type: str) -> UUID:
        """The id of the generation's variant of this type, or of the pipeline's own word for one."""
        query = """
            select v.id from variants v join generations g on g.id = v.generation_id
            where g.id = %(id)s and g.deleted_at is null and %(variant_type)s in (v.variant_type, v.given_type)
            order by v.variant_type = %(variant_type)s desc limit 1
        """
        params = {"id": row_id(generation_id, "generation"), **validate(variant_type=variant_type)}
        rows = self._db.run(self.owner_id, (query, params))
        if not rows:
            raise NotFound(f"no such generation, or it has no variant {variant_type!r}")
        return rows[0]["id"]


def record_scenes(
    variant_id: UUID,
    prompts: Sequence[str],
    *,
    submit: bool,
    model: str | None,
    size: str | None,
    seconds: int | None,
    ids: Sequence[UUID] | None = None,
) -> Statement:
    """The statement that records a variant's scenes, one a prompt, and with submit queues those never submitted."""
    values = validate(prompts=prompts or [], submit=submit, model=model, size=size, seconds=seconds)
    record = """
        select record_scenes(%(variant_id)s, %(ids)s::uuid[], %(prompts)s::text[], %(submit)s, %(model)s, %(size)s,
            %(seconds)s)
    """
    return record, {
        "variant_id": variant_id,
        "ids": [uuid7() for _ in values["prompts"]] if ids is None else list(ids),
        **values,
    }
