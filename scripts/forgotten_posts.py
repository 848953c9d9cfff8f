"""What the bucket knows of POSTs and the database does not: it failed over, or was restored from a backup.

A scene that still has work to do finds its job by itself. For one that the database takes for over, the job is recorded
here, and fetched like any that came late; where nobody heard the POST's answer, it is looked for. A job whose scene has
no row at all is told: a person decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Literal
from uuid import UUID

import psycopg

from generation_history.errors import SceneFailure
from generation_history.ids import as_uuid, uuid7
from generation_history.intents import PREFIX, Intent, Intents, key_of_intent

#: No backup that is restored is older: after that, what a purge left is forgotten for good.
KEPT = timedelta(days=400)

_ATTEMPTS = """
    select s.id as scene_id, a.attempt, a.sora_video_id is not null as has_job, j.scene_id is not null as at_work
    from variants v
    join scenes s on s.variant_id = v.id
    left join attempts a on a.scene_id = s.id
    left join jobs j on j.scene_id = s.id
    where v.generation_id = %s
"""
_LOCK = "select lock_generation(%(generation_id)s)"
_REMEMBER = """
    insert into attempts (id, scene_id, owner_id, attempt, outcome, provider, provider_base_url, model, size, seconds,
        intended_at, post_token, request_sha256, cost)
    select %(id)s, s.id, s.owner_id, %(attempt)s, 'intended', %(provider)s, %(base_url)s, %(model)s, %(size)s,
        %(seconds)s, %(intended_at)s, %(token)s, %(request_sha256)s,
        cost_of(split_part(split_part(%(base_url)s, '/', 3), ':', 1), %(model)s, %(size)s, %(seconds)s)
    from scenes s where s.id = %(scene_id)s
    on conflict on constraint attempts_scene_id_attempt_key do nothing
"""
_KEEP = "select keep_late_answer(%(scene_id)s, %(attempt)s, %(job_id)s, null, %(id)s)"
#: The scene waits for the answer to the POST, as it did.
_LOOK = """
    with scene as (
        update scenes
        set status = 'pending', error_code = null, error_message = null, attempt = %(attempt)s, sora_video_id = null,
            sora_status = null, expires_at = null, provider = %(provider)s, provider_base_url = %(base_url)s,
            model = %(model)s, size = %(size)s, seconds = %(seconds)s
        where id = %(scene_id)s and status = 'failed' and attempt <= %(attempt)s
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


def find_forgotten(connection: psycopg.Connection, intents: Intents) -> Iterator[Forgotten | Unreadable]:
    """What was accepted and no attempt has, or may have been and no attempt knows.

    Not what a purge has ended, or a worker will find by itself.
    """
    written = dict(intents.list_keys())
    for generation, keys in groupby(sorted(written), key=_generation_of):
        rows = connection.execute(_ATTEMPTS, [generation]).fetchall() if generation else []
        scenes = {scene_id for scene_id, *_ in rows}
        # Of an attempt that is known, whoever waits for the answer knows what to do.
        known = {key_of_intent(generation, row[0], row[1]): row[2] for row in rows if generation and row[1]}
        settled = {key for key, has_job in known.items() if has_job}
        at_work = {scene_id for scene_id, _, _, is_at_work in rows if is_at_work}
        for key in keys:
            try:
                intent = None if key in settled else intents.read_key(key)
            except SceneFailure as failure:
                yield Unreadable(key, str(failure), written[key])
                continue
            if intent is None or intent.purged or intent.scene_id in at_work:
                continue
            if intent.job_id is None and (intent.outcome == "no_job" or key in known):
                continue
            yield Forgotten("forgotten" if intent.scene_id in scenes else "unknown", intent, written[key])


def recover(connection: psycopg.Connection, intent: Intent) -> None:
    """Guarantees that the attempt has its job; it is fetched, and its scene goes on with it where it has no video.

    What may have been accepted is looked for.
    """
    known = {**vars(intent), "id": uuid7()}
    with connection.transaction():
        for statement in (_LOCK, _REMEMBER, _LOOK if intent.job_id is None else _KEEP, _ROLL_UP):
            connection.execute(statement, known)


def ended_long_ago(intents: Intents) -> Iterator[str]:
    """The keys of intents that a purge has ended so long ago that no backup can know their scenes."""
    for key, written_at in intents.list_keys():
        if written_at < datetime.now(UTC) - KEPT:
            intent = intents.read_key(key)
            if intent is not None and intent.purged:
                yield key


def _generation_of(key: str) -> UUID | None:
    return as_uuid(key.removeprefix(PREFIX).partition("/")[0])
