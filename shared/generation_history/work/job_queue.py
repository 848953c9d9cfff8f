"""JobQueue: claim, lease, retry later, fail permanently, complete: a job from its claim to its end.

Every write of a step is one transaction that first locks the scene's generation and then checks the job's lease, so
that it is the leaseholder's or nobody's; LeaseLost means that nothing was written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from generation_history.backoff import backoff, poll_interval
from generation_history.db.database import Database, Row, Statement
from generation_history.ids import uuid7
from generation_history.models import FailureCode, Status, Step, VideoMetadata
from generation_history.providers import VideoJob
from generation_history.recordable import recordable, recordable_answer

CHECK_LEASE: Final[LiteralString] = "select check_lease(%(scene_id)s, %(lease_token)s)"
#: What the provider said is kept as it came, where that was not understood.
RECORD_ANSWER: Final[LiteralString] = """
    update attempts set answer = %(answer)s
    where scene_id = %(scene_id)s and attempt = %(attempt)s and %(answer)s::text is not null
"""
#: What came late is fetched once the scene itself is over.
_GO_ON: Final[LiteralString] = "select resume_late_attempt(%(scene_id)s)"


@dataclass(frozen=True)
class Job:
    """A claimed job: what is to be done next for one scene, until when it is ours, and all the step needs to know."""

    scene_id: UUID
    owner_id: UUID
    lease_token: UUID
    step: Step
    failures: int
    last_error: str | None
    crash_count: int
    overdue: bool
    claimed_at: datetime
    age_seconds: float
    generation_id: UUID
    variant_type: str
    scene_number: int
    attempt: int
    status: Status
    prompt: str
    sora_video_id: str | None
    provider: str | None
    provider_base_url: str | None
    bound_to: str | None
    #: Whether the provider itself gave the id, as its answer to our POST.
    accepted: bool
    model: str | None
    size: str | None
    seconds: int | None
    sound: bool | None
    seed: int | None
    image_key: str | None
    expired: bool
    intended_at: datetime | None
    intended_seconds_ago: float
    post_token: UUID | None
    unsent_posts: Sequence[UUID]


class JobQueue:
    """The jobs of all owners, as the login history_worker sees them."""

    def __init__(self, db: Database, *, lease_seconds: int) -> None:
        self._db = db
        self._lease_seconds = lease_seconds

    def claim(self, limit: int, *, submit: bool = True) -> list[Job]:
        """At most limit due jobs, each leased to us for lease_seconds under a new token.

        What a provider has accepted comes first, because it expires; each kind the longest due first.
        """
        claim = """
            with accepted as (
                select scene_id from jobs where run_at <= now() and step <> 'submit'
                order by run_at limit %(limit)s for update skip locked
            ), submit as (
                select scene_id from jobs where run_at <= now() and step = 'submit' and %(submit)s
                order by run_at limit %(limit)s - (select count(*) from accepted) for update skip locked
            )
            update jobs
            set run_at = now() + make_interval(secs => %(lease_seconds)s), lease_token = gen_random_uuid(),
                -- Whoever is done with a job gives its lease back.
                deaths = case when lease_token is null then 0 else deaths + 1 end
            where scene_id = any (array(select scene_id from accepted union all select scene_id from submit))
            returning scene_id, owner_id, lease_token, step, failures, last_error, deaths as crash_count,
                deadline < now() as overdue, now() as claimed_at
        """
        params = {"limit": limit, "submit": submit, "lease_seconds": self._lease_seconds}
        leases = self._db.run(None, (claim, params))
        leases.sort(key=lambda lease: lease["step"] == "submit")
        scenes: dict[UUID, dict[str, Any]] = {}
        for owner_id in {lease["owner_id"] for lease in leases}:
            scenes |= self._read_scenes(owner_id, [lease["scene_id"] for lease in leases])
        return [Job(**lease, **scenes[lease["scene_id"]]) for lease in leases if lease["scene_id"] in scenes]

    def _read_scenes(self, owner_id: UUID, scene_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
        """What a job has of its scene and attempt, by the scene's id: of those scenes that are the owner's."""
        query = """
            select s.id, v.generation_id, v.variant_type, s.scene_number, w.attempt, s.status, s.sora_prompt as prompt,
                w.sora_video_id, w.provider, w.provider_base_url, s.model, s.size, s.seconds, s.sound, s.seed,
                s.image_key,
                case when a.sora_video_id = w.sora_video_id then a.provider_base_url end as bound_to,
                coalesce(a.sora_video_id = w.sora_video_id and a.outcome in ('accepted', 'late')
                    and a.intended_at is not null, false) as accepted,
                coalesce(s.expires_at < now(), false) as expired,
                coalesce(extract(epoch from now() - a.accepted_at)::float, 0) as age_seconds,
                a.intended_at, coalesce(extract(epoch from now() - a.intended_at)::float, 0) as intended_seconds_ago,
                a.post_token, coalesce(a.unsent_posts, '{}') as unsent_posts
            from scenes s
            join variants v on v.id = s.variant_id
            join jobs j on j.scene_id = s.id
            left join attempts a on a.scene_id = s.id and a.attempt = coalesce(j.attempt, s.attempt)
            cross join lateral (
                select s.attempt, s.sora_video_id, s.provider, s.provider_base_url
                where coalesce(j.attempt, s.attempt) = s.attempt
                union all
                select a.attempt, a.sora_video_id, a.provider, a.provider_base_url where j.attempt <> s.attempt
            ) w
            where s.id = any (%(scene_ids)s)
        """
        rows = self._db.run(owner_id, (query, {"scene_ids": scene_ids}))
        return {row.pop("id"): row for row in rows}

    def extend_leases(self, jobs: Sequence[Job]) -> None:
        """The leases still held are lease_seconds long again: the worker is alive."""
        update = """
            update jobs set run_at = now() + make_interval(secs => %(lease_seconds)s)
            from unnest(%(scene_ids)s::uuid[], %(lease_tokens)s::uuid[]) held (scene_id, lease_token)
            where jobs.scene_id = held.scene_id and jobs.lease_token = held.lease_token
        """
        params = {
            "scene_ids": [job.scene_id for job in jobs],
            "lease_tokens": [job.lease_token for job in jobs],
            "lease_seconds": self._lease_seconds,
        }
        self._db.run(None, (update, params))

    def bind(self, job: Job, *, provider: str, base_url: str) -> None:
        """The provider job that the scene names is at this server, and the scene's alone: else a Conflict."""
        write_under_lease(
            self._db,
            job,
            """
            insert into attempts
                (id, scene_id, owner_id, attempt, outcome, provider, provider_base_url, sora_video_id, accepted_at)
            values (%(id)s, %(scene_id)s, %(owner_id)s, %(attempt)s, 'accepted', %(provider)s, %(base_url)s,
                %(video_id)s, now())
            on conflict on constraint attempts_scene_id_attempt_key
                do update set sora_video_id = excluded.sora_video_id, provider = excluded.provider,
                    provider_base_url = excluded.provider_base_url
            """,
            """
            update scenes set provider = %(provider)s, provider_base_url = %(base_url)s
            where id = %(scene_id)s and attempt = %(attempt)s
            """,
            id=uuid7(),
            attempt=job.attempt,
            provider=provider,
            base_url=base_url,
            video_id=job.sora_video_id,
        )

    def record_observation(self, job: Job, video: VideoJob, *, step: Step) -> None:
        """What the provider said is kept; a finished job goes on to "store" under the same lease, others wait."""
        observation = """
            update scenes set sora_status = %(sora_status)s, expires_at = coalesce(%(expires_at)s, expires_at),
                status = case status when 'pending' then 'processing' else status end
            where id = %(scene_id)s and attempt = %(attempt)s
        """
        storing = """
            update jobs set step = 'store', failures = 0, last_error = null,
                expires_at = coalesce(%(expires_at)s, expires_at)
            where scene_id = %(scene_id)s
        """
        rendering = """
            update attempts set rendered_at = coalesce(rendered_at, now()), cost = coalesce(%(cost)s, cost)
            where scene_id = %(scene_id)s and attempt = %(attempt)s
        """
        waiting = """
            update jobs set failures = 0, last_error = null, lease_token = null,
                -- A webhook that came while this was asked may know more.
                run_at = case when exists (
                        select from deliveries where sora_video_id = %(video_id)s and received_at >= %(claimed_at)s)
                    then now() else now() + make_interval(secs => %(wait)s) end
            where scene_id = %(scene_id)s
        """
        cost = """
            select roll_up_cost(v.generation_id) from scenes s join variants v on v.id = s.variant_id
            where s.id = %(scene_id)s
        """
        next_statements: tuple[LiteralString, ...] = (storing, rendering, cost) if step == "store" else (waiting,)
        write_under_lease(
            self._db,
            job,
            observation,
            *next_statements,
            RECORD_ANSWER,
            roll_up=True,
            attempt=job.attempt,
            answer=recordable_answer(video.answer),
            video_id=video.id,
            claimed_at=job.claimed_at,
            sora_status=video.status[:50],
            expires_at=video.expires_at,
            cost=video.cost,
            wait=poll_interval(job.age_seconds),
        )

    def retry_later(
        self,
        job: Job,
        reason: str,
        *,
        failures: int | None = None,
        retry_after: float | None = None,
        answer: str | None = None,
    ) -> None:
        """The same step is due again later, after a wait that grows with each failure in a row.

        What is about to expire is tried again in a quarter of the time it still has. An answer that was not understood
        is kept with the attempt.
        """
        failures = job.failures + 1 if failures is None else failures
        write_under_lease(
            self._db,
            job,
            """
            update jobs set failures = %(failures)s, last_error = %(reason)s, lease_token = null,
                run_at = now() + least(make_interval(secs => %(wait)s), case when expires_at > now()
                    then greatest(interval '2 seconds', (expires_at - now()) / 4) end)
            where scene_id = %(scene_id)s
            """,
            RECORD_ANSWER,
            failures=failures,
            attempt=job.attempt,
            answer=recordable_answer(answer),
            reason=recordable(reason),
            wait=backoff(failures, retry_after),
        )

    def complete(self, job: Job, *, video_url: str, thumbnail_url: str | None, metadata: VideoMetadata) -> None:
        """The scene is completed with its stored video, and its variant and generation rolled up; the job is done."""
        write_under_lease(
            self._db,
            job,
            """
            update scenes set status = 'completed', video_url = %(video_url)s, thumbnail_url = %(thumbnail_url)s,
                duration = %(duration)s, resolution = %(resolution)s, file_size = %(file_size)s,
                error_code = null, error_message = %(thumbnail_error)s, completed_at = coalesce(completed_at, now())
            where id = %(scene_id)s and attempt = %(attempt)s
            """,
            """
            update attempts set outcome = 'stored', finished_at = now(), error_code = null, error_message = null,
                video_url = %(video_url)s, thumbnail_url = %(thumbnail_url)s, duration = %(duration)s,
                resolution = %(resolution)s, file_size = %(file_size)s
            where scene_id = %(scene_id)s and attempt = %(attempt)s
            """,
            "delete from jobs where scene_id = %(scene_id)s",
            _GO_ON,
            roll_up=True,
            attempt=job.attempt,
            video_url=video_url,
            thumbnail_url=thumbnail_url,
            duration=metadata["duration"],
            resolution=metadata["resolution"],
            file_size=metadata["file_size"],
            thumbnail_error=metadata.get("thumbnail_error"),
        )

    def fail_permanently(self, job: Job, code: FailureCode, reason: str, *, answer: str | None = None) -> None:
        """The scene is failed for this reason, and its variant and generation rolled up; the job is done.

        A job that came late is what the scene goes on with, and it is pending then.
        """
        write_under_lease(
            self._db,
            job,
            """
            update scenes set status = 'failed', error_code = %(code)s, error_message = %(reason)s
            where id = %(scene_id)s and status <> 'completed' and attempt = %(attempt)s
            """,
            """
            update attempts set outcome = 'failed', finished_at = now(), error_code = %(code)s,
                error_message = %(reason)s
            where scene_id = %(scene_id)s and attempt = %(attempt)s
            """,
            "delete from jobs where scene_id = %(scene_id)s",
            # Refused at once, it never cost anything.
            """
            update posts p set cost = 0 from attempts a
            where p.scene_id = %(scene_id)s and p.attempt = %(attempt)s and a.scene_id = p.scene_id
                and a.attempt = p.attempt and a.sora_video_id is null and %(code)s <> 'submit_unknown'
            """,
            RECORD_ANSWER,
            _GO_ON,
            roll_up=True,
            attempt=job.attempt,
            answer=recordable_answer(answer),
            code=code,
            reason=recordable(reason),
        )

    def discard(self, job: Job) -> None:
        """The job is done, and nothing is said of its scene."""
        write_under_lease(self._db, job, "delete from jobs where scene_id = %(scene_id)s")

    def close(self) -> None:
        """Guarantees that no connection is left open."""
        self._db.close()


def write_under_lease(
    db: Database,
    job: Job,
    *statements: LiteralString,
    guard: LiteralString = CHECK_LEASE,
    roll_up: bool = False,
    **values: Any,
) -> list[list[Row]]:
    """The rows of each of the statements, which are written together or not at all: LeaseLost by another's lease."""
    parameters = values | {"scene_id": job.scene_id, "lease_token": job.lease_token, "owner_id": job.owner_id}
    transaction: list[Statement] = [
        ("select lock_generation_of_scene(%(scene_id)s)", parameters),
        (guard, parameters),
        *((statement, parameters) for statement in statements),
    ]
    if roll_up:
        transaction.append(("select roll_up_scene(%(scene_id)s)", parameters))
    return db.run_each(job.owner_id, *transaction)[2:]
