"""What the bucket knows of POSTs and the database does not: it failed over, or was restored from a backup.

A scene that still has work to do finds its job by itself. For one that the database takes for over, the job is recorded
here, and fetched like any that came late; where nobody heard the POST's answer, it is looked for. A job whose scene has
no row at all is told: a person decides.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Literal
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from generation_history.errors import StorageError
from generation_history.ids import as_uuid, uuid7
from generation_history.work.intents import PREFIX, Intent, Intents, key_of_intent

#: No backup that is restored is older: after that, what a purge left is forgotten for good.
INTENT_RETENTION = timedelta(days=400)

_ATTEMPTS = """
    select s.id as scene_id, g.purging_since is not null as purging, a.attempt, a.sora_video_id is not null as has_job,
        j.scene_id is not null as at_work,
        a.intended_at, a.post_token || a.unsent_posts as tokens
    from generations g
    join variants v on v.generation_id = g.id
    join scenes s on s.variant_id = v.id
    left join attempts a on a.scene_id = s.id
    left join jobs j on j.scene_id = s.id
    where g.id = %s
"""
_HAS_JOB = """
    select 1 from attempts
    where sora_video_id = %s and (provider_base_url = %s or provider_base_url is null)
"""
_LOCK = "select lock_generation(%(generation_id)s)"
_INSERT_ATTEMPT = """
    insert into attempts (id, scene_id, owner_id, attempt, outcome, provider, provider_base_url, model, size, seconds,
        intended_at, post_token, request_sha256, cost)
    select %(id)s, s.id, s.owner_id, %(attempt)s, 'intended', %(provider)s, %(base_url)s, %(model)s, %(size)s,
        %(seconds)s, %(intended_at)s, %(token)s, %(request_sha256)s,
        cost_of(split_part(split_part(%(base_url)s, '/', 3), ':', 1), %(model)s, %(size)s, %(seconds)s)
    from scenes s where s.id = %(scene_id)s
    on conflict on constraint attempts_scene_id_attempt_key do update
        set outcome = 'intended', intended_at = excluded.intended_at, post_token = excluded.post_token,
            finished_at = null, error_code = null, error_message = null
        where attempts.sora_video_id is null
"""
_RECORD_JOB = "select record_late_answer(%(scene_id)s, %(attempt)s, %(job_id)s, null, %(id)s)"
#: The scene waits for the answer to the POST, as it did.
_RESUME_SEARCH = """
    with scene as (
        update scenes
        set status = 'pending', error_code = null, error_message = null, attempt = %(attempt)s, sora_video_id = null,
            sora_status = null, expires_at = null, provider = %(provider)s, provider_base_url = %(base_url)s,
            model = %(model)s, size = %(size)s, seconds = %(seconds)s
        where id = %(scene_id)s and status = 'failed' and attempt <= %(attempt)s
            and not exists (select from generations where id = %(generation_id)s and purging_since is not null)
        returning id, owner_id
    )
    insert into jobs (scene_id, owner_id, step) select id, owner_id, 'find' from scene on conflict (scene_id) do nothing
"""
_ROLL_UP = "select roll_up(%(generation_id)s)"


@dataclass(frozen=True)
class Forgotten:
    """A POST that no attempt knows, or not its job: of a scene that is there and over, or without a row (unknown)."""

    kind: Literal["forgotten", "unknown"]
    intent: Intent
    written_at: datetime


@dataclass(frozen=True)
class Unreadable:
    """An object that lies where an intent should, and is none: nothing is posted for that attempt."""

    key: str
    reason: str
    written_at: datetime


def find_forgotten(connection: psycopg.Connection[Any], intents: Intents) -> Iterator[Forgotten | Unreadable]:
    """What was accepted and no attempt has, or may have been and no attempt knows.

    Not what a purge has ended, or a worker will find by itself.
    """
    cursor = connection.cursor(row_factory=dict_row)
    written_at = dict(intents.list_keys())
    for generation, keys in groupby(sorted(written_at), key=generation_of_intent):
        rows = cursor.execute(_ATTEMPTS, [generation]).fetchall() if generation else []
        if any(row["purging"] for row in rows):
            # Its purge has begun: nobody may begin to work for it, and nothing is wanted of it.
            continue
        scenes = {row["scene_id"] for row in rows}
        attempts = {key_of_intent(generation, row["scene_id"], row["attempt"]): row for row in rows if generation}
        working_scenes = {row["scene_id"] for row in rows if row["at_work"]}
        for key in keys:
            attempt = attempts.get(key)
            try:
                intent = None if attempt and attempt["has_job"] else intents.read_key(key)
            except StorageError as failure:
                yield Unreadable(key, str(failure), written_at[key])
                continue
            if intent is None or intent.purged or intent.scene_id in working_scenes or not _is_owed(intent, attempt):
                continue
            if intent.job_id and cursor.execute(_HAS_JOB, [intent.job_id, intent.base_url]).fetchone():
                # Another attempt's, by a guess or a person's word, or because a provider gave the id twice.
                continue
            yield Forgotten("forgotten" if intent.scene_id in scenes else "unknown", intent, written_at[key])


def _is_owed(intent: Intent, attempt: Mapping[str, Any] | None) -> bool:
    """Whether its POST made a job, or may have made one and is not what the attempt, which has no job, knows of."""
    if intent.job_id is not None or intent.outcome == "no_job" or attempt is None:
        return intent.outcome != "no_job"
    # The row may be of an earlier try: of the last one, whoever waited for its answer has done what can be done.
    return intent.token not in attempt["tokens"] and intent.intended_at != attempt["intended_at"]


def recover(connection: psycopg.Connection, intent: Intent) -> None:
    """Guarantees that the attempt has its job; it is fetched, and its scene goes on with it where it has no video.

    What may have been accepted is looked for.
    """
    params = {**vars(intent), "id": uuid7()}
    with connection.transaction():
        for statement in (_LOCK, _INSERT_ATTEMPT, _RESUME_SEARCH if intent.job_id is None else _RECORD_JOB, _ROLL_UP):
            connection.execute(statement, params)


def ended_long_ago(intents: Intents) -> Iterator[str]:
    """The keys of intents that a purge has ended so long ago that no backup can know their scenes."""
    for key, written_at in intents.list_keys():
        if written_at < datetime.now(UTC) - INTENT_RETENTION:
            intent = intents.read_key(key)
            if intent is not None and intent.purged:
                yield key


def generation_of_intent(key: str) -> UUID | None:
    """The generation of the intent at this key, None where an intent lies at no such key."""
    return as_uuid(key.removeprefix(PREFIX).partition("/")[0])
