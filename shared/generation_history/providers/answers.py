"""What a `/v1/videos` server or a relative of it says, read into VideoJob: pure functions of an answer's JSON.

OpenAI's own shape is one object with a text `id` and a text `status`. Gateways wrap it, name things otherwise and use
other words. What is read here with some doubt is handed on whole as well, in VideoJob.answer.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from generation_history.providers import VideoJob
from generation_history.providers.answer_parts import (
    ENVELOPE_KINDS,
    ERRORS,
    JOB_KINDS,
    NAMED_IDS,
    WEAK_IDS,
    Part,
    bare_id,
    best_of,
    by_plain_name,
    id_of,
    ids_of,
    is_envelope_id,
    is_page,
    items_of,
    kind_of,
    meaning_of_part,
    named_ids,
    parts_of,
    word_of,
)
from generation_history.providers.plain_values import answer_text, integer, moment, storable, text
from generation_history.providers.reasons import REASONS, code_of, reason_of
from generation_history.providers.words import (
    COMPLETED,
    ENVELOPE_WORDS,
    EXPIRED,
    FAILED,
    RUNNING,
    is_known,
    is_moderation,
    meaning_of,
    plain,
)


def parse(body: bytes) -> Any:
    """The JSON value that the body is; None where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def posted_job(answer: Any, *, key: str, now: datetime) -> VideoJob | None:
    """The job that the answer to a POST tells of; None where there is no id, or where nobody can say which it is."""
    if is_page(answer):
        # The jobs of a list are anybody's.
        return None
    parts = [part for part in parts_of(answer) if id_of(part) is not None]
    if len({id_of(part) for part in parts if part.siblings > 1}) > 1:
        return None
    job_part = best_of(parts)
    if job_part is not None:
        return _job(job_part, cast("str", id_of(job_part)), answer, key=key, now=now)
    bare = bare_id(answer)
    return None if bare is None else VideoJob(bare, "", answer=answer_text(answer, key))


def polled_job(answer: Any, job_id: str, *, key: str, now: datetime) -> VideoJob | None:
    """The job of just this id; None where the answer is of another one, or says of none which it is.

    An id that merely stands beside the job's own counts as well, as servers name one job in two ways; the others are
    then in other_ids, for whoever knows whose they are.
    """
    parts = list(parts_of(answer))
    matches = [part for part in parts if id_of(part) == job_id] or [
        part for part in parts if job_id in ids_of(part.names)
    ]
    match = best_of(matches)
    return None if match is None else _job(match, job_id, answer, key=key, now=now)


def unnamed_job(answer: Any, job_id: str, *, key: str, now: datetime) -> VideoJob | None:
    """The job that an answer without any id tells of, if it tells of one: for whoever is sure of what was asked."""
    if is_page(answer):
        return None
    parts = list(parts_of(answer))
    if any(ids_of(part.names) for part in parts):
        return None
    # Without an id, such a word may be about the question.
    with_status = [part for part in parts if (word := word_of(part)) is not None and plain(word) not in ENVELOPE_WORDS]
    return None if not with_status else _job(with_status[-1], job_id, answer, key=key, now=now)


def listed_jobs(page: Any, *, key: str, now: datetime) -> list[VideoJob] | None:
    """The jobs of one page of the list, in its order; None where the answer is no list."""
    items = items_of(page)
    if items is None:
        return None
    jobs = [posted_job(item, key=key, now=now) for item in items if isinstance(item, dict)]
    return [job for job in jobs if job is not None]


def tells_of_a_job(answer: Any, job: VideoJob) -> bool:
    """Whether an answer with an error status is about this job all the same, and not only about the request."""
    match = best_of([part for part in parts_of(answer) if job.id in ids_of(part.names)])
    if match is None:
        return False
    word = word_of(match)
    return kind_of(match.names) in JOB_KINDS or (
        word is not None and plain(word) not in ENVELOPE_WORDS and is_known(word)
    )


def may_name_a_job(answer: Any) -> bool:
    """Whether there is an id in a refusal that may be of a job made all the same, not only of the request refused."""
    parts = parts_of(answer)
    errors = [
        by_plain_name(part.names[name]) for part in parts for name in REASONS if isinstance(part.names.get(name), dict)
    ]
    errors_name_a_job = any(name in NAMED_IDS for names in errors for name, _ in named_ids(names))
    return errors_name_a_job or any(
        name not in WEAK_IDS and not (name == "id" and (kind_of(part.names) in ENVELOPE_KINDS or is_envelope_id(value)))
        for part in parts
        for name, value in named_ids(part.names)
    )


def _job(part: Part, job_id: str, answer: Any, *, key: str, now: datetime) -> VideoJob:
    names = part.names
    word, code = word_of(part), code_of(names)
    meaning = meaning_of_part(part)
    if is_moderation(word or "") or (word is None and code == "moderation_blocked"):
        meaning, code = FAILED, "moderation_blocked"
    if meaning == FAILED and code is not None and meaning_of(code) == EXPIRED:
        meaning = EXPIRED
    is_over = meaning is not None and meaning != RUNNING
    objects = [names, *part.wrappers] if part.siblings == 1 else [names]
    return VideoJob(
        id=job_id,
        status=meaning if is_over and meaning is not None else storable(word or ""),
        progress=integer(names.get("progress")),
        prompt=text(names.get("prompt")),
        model=text(names.get("model")),
        size=text(names.get("size")),
        seconds=integer(names.get("seconds")),
        created_at=moment(_first(names, "createdat", "created", "createtime", "submittime")),
        expires_at=moment(names.get("expiresat"), since=now),
        error_code=code,
        error_message=reason_of(objects, REASONS if is_over and meaning != COMPLETED else ERRORS, key),
        other_ids=tuple(other_id for other_id in ids_of(names) if other_id != job_id),
        answer=None if _is_plain(answer, job_id) else answer_text(answer if part.siblings == 1 else names, key),
    )


def _is_plain(answer: Any, job_id: str) -> bool:
    """Whether the answer is just what OpenAI's own would be, with one id: then the columns say all there is."""
    if not isinstance(answer, dict):
        return False
    body = cast("Mapping[str, Any]", answer)
    if len({part_id for part in parts_of(answer) for part_id in ids_of(part.names)}) > 1:
        return False
    status = body.get("status")
    return body.get("id") == job_id and isinstance(status, str) and meaning_of(status) in {status, RUNNING}


def _first(names: Mapping[str, Any], *candidates: str) -> object:
    return next((names[name] for name in candidates if names.get(name) is not None), None)
