"""What the bucket must know of each POST, held against what the provider and the database say of it."""

from collections.abc import Collection, Iterator

import psycopg

from generation_history.providers import VideoRequest
from generation_history.storage.object_store import ObjectStore
from generation_history.work.intents import Intent, Intents, fingerprint
from scripts.chaos.payments import FORGOTTEN, Finding, Payments, Row
from scripts.operate.forgotten_posts import Unreadable, find_forgotten

#: A scene's id and an attempt's number.
Place = tuple[str, int]


def read_unknown(admin_url: str, store: ObjectStore) -> dict[Place, str]:
    """The attempts that scripts/reconcile tells of because they have no row, each with its generation."""
    with psycopg.connect(admin_url) as connection:
        findings = [
            finding for finding in find_forgotten(connection, Intents(store)) if not isinstance(finding, Unreadable)
        ]
    unknown_intents = [finding.intent for finding in findings if finding.kind == "unknown"]
    return {(str(intent.scene_id), intent.attempt): str(intent.generation_id) for intent in unknown_intents}


def check_intents(payments: Payments, reported: Collection[Place]) -> Iterator[Finding]:
    """Each POST that may have made a job has its intent, which denies neither it nor its job; each paid job is known.

    A job that no attempt has must be reported by scripts/reconcile as one whose attempt has no row. A purged job may be
    known to nobody any more.
    """
    intents = payments.intents
    yield from (("wrong_intents", problem) for problem in intents.problems)
    for _, attempts, posts in payments.posts_by_prompt():
        for attempt in attempts:
            intent = intents.by_attempt.get(_place(attempt))
            yield from _check_attempt(attempt, intent, is_posted=bool(posts[attempt["attempt"]]))
    known_jobs = {(row["scene_id"], row["video_id"]) for row in payments.attempts if row["outcome"] != FORGOTTEN}
    for place, intent in intents.by_attempt.items():
        if intent.job_id is None:
            continue
        yield from _check_job(intent, payments.jobs.get(intent.job_id))
        if (place[0], intent.job_id) not in known_jobs and not intent.purged and place not in reported:
            yield "unrecorded_jobs", f"{intent.key} names {intent.job_id}, which no attempt has, and nobody tells of it"


def _check_attempt(attempt: Row, intent: Intent | None, *, is_posted: bool) -> Iterator[Finding]:
    name = f"attempt {attempt['attempt']} of {attempt['prompt']!r}"
    if intent is None:
        if is_posted:
            yield "unintended_posts", f"{name} was posted, and no intent of it is in the bucket"
    elif intent.outcome == "no_job" and (is_posted or attempt["video_id"] is not None):
        yield "wrong_intents", f"{name} was posted, and {intent.key} says that this made no job"


def _check_job(intent: Intent, job: Row | None) -> Iterator[Finding]:
    """The provider made the job that the intent names, of what the intent asked for."""
    if job is None:
        yield "wrong_intents", f"{intent.key} names {intent.job_id}, and the provider has made no such job"
        return
    request = VideoRequest(job["prompt"], job["model"], job["size"], int(job["seconds"]))
    if fingerprint(request) != intent.request_sha256:
        yield "wrong_intents", f"{intent.key} names {intent.job_id}, which was made of another request"


def count_unheard(payments: Payments) -> int:
    """The number of attempts with a job that the bucket only knows to be posted: nobody heard, or could tell it."""
    intents = [(row, payments.intents.by_attempt.get(_place(row))) for row in payments.attempts if row["video_id"]]
    return sum(intent is not None and intent.job_id is None for _, intent in intents)


def _place(attempt: Row) -> Place:
    return attempt["scene_id"], attempt["attempt"]
