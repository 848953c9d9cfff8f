"""Submissions: the intent to POST, the budget that it is held to, and what becomes of its job: SQL on posts.

The intent is committed before the POST is made. An answer is recorded whoever holds the lease by then; every other
write is the leaseholder's (job_queue.write_under_lease).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, LiteralString
from uuid import UUID

from generation_history import limits
from generation_history.backoff import backoff, jittered, poll_interval
from generation_history.db.database import Database, Statement
from generation_history.errors import Conflict
from generation_history.ids import uuid7
from generation_history.provider_settings import Limits
from generation_history.providers import VideoJob, VideoRequest
from generation_history.providers.catalogue import Model
from generation_history.recordable import recordable, recordable_answer
from generation_history.work.costs import COST, NO_LIMITS, RESERVE_BUDGET, budget_params, cost_params
from generation_history.work.intents import fingerprint
from generation_history.work.job_queue import CHECK_LEASE, RECORD_ANSWER, Job, write_under_lease

#: A POST that a limit holds back looks again after this long.
THROTTLE_SECONDS = 15.0

#: What became of an accepted job that its scene does not wait for (Submissions.accept_late).
LateAnswer = Literal["known", "resumed", "late", "taken", "gone"]

#: After a POST that made no job: it cost nothing.
_UNPAID: Final[LiteralString] = """
    update posts set cost = 0 where scene_id = %(scene_id)s and attempt = %(attempt)s
"""
#: The intent in the bucket under this token means no job, whatever it says.
_UNSENT: Final[LiteralString] = """
    update attempts set unsent_posts = unsent_posts || %(unsent)s::uuid
    where scene_id = %(scene_id)s and attempt = %(attempt)s and %(unsent)s::uuid is not null
"""
#: After a POST that made no job: no other one follows if its generation was deleted or failed meanwhile. A person who
#: retried a scene of a failed generation wanted just that.
_CANCEL_IF_OVER: Final[LiteralString] = """
    with cancelled as (
        delete from jobs j using scenes s, variants v, generations g
        where j.scene_id = %(scene_id)s and s.id = j.scene_id and v.id = s.variant_id
            and g.id = v.generation_id and s.status not in ('completed', 'failed') and (g.deleted_at is not null
                or g.status_set_by_caller and g.status = 'failed' and s.attempt = 1)
        returning j.scene_id
    )
    update scenes set status = 'failed', error_code = 'cancelled',
        error_message = 'deleted or failed before this was submitted'
    where id in (select scene_id from cancelled)
"""


@dataclass(frozen=True)
class UnheardPost:
    """A POST whose job nobody knows, and whether anybody still looks for that."""

    scene_id: UUID
    attempt: int
    intended_at: datetime
    is_over: bool


class Submissions:
    """The POSTs of all owners, as the login history_worker sees them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def record_submit_intent(
        self,
        job: Job,
        *,
        provider: str,
        base_url: str,
        request: VideoRequest,
        model: Model | None = None,
        intended_at: datetime | None = None,
        limits: Limits = NO_LIMITS,
    ) -> datetime:
        """The intent to POST is committed: should we die now, the job comes back as "find" and is not posted again.

        Returns when that was, by the database's clock. What was posted before and is not known here any more is
        intended_at then, not now. model is the catalogue's entry, which knows a price where the table has none.

        Throttled where the limits hold it back, LeaseLost where a caller has ended the scene or recorded a job for it
        since; nothing was written then.
        """
        attempt = f"""
            insert into attempts
                (id, scene_id, owner_id, attempt, outcome, provider, provider_base_url, model, size, seconds, sound,
                 seed, image_key, intended_at, cost, post_token, request_sha256)
            values (%(id)s, %(scene_id)s, %(owner_id)s, %(attempt)s, 'intended', %(provider)s, %(base_url)s, %(model)s,
                %(size)s, %(seconds)s, %(sound)s, %(seed)s, %(image_key)s, coalesce(%(intended_at)s, now()),
                {COST}, %(lease_token)s, %(request_sha256)s)
            on conflict on constraint attempts_scene_id_attempt_key
                do update set outcome = 'intended', intended_at = excluded.intended_at, error_message = null,
                    provider = excluded.provider, provider_base_url = excluded.provider_base_url,
                    model = excluded.model, size = excluded.size, seconds = excluded.seconds, cost = excluded.cost,
                    sound = excluded.sound, seed = excluded.seed, image_key = excluded.image_key,
                    post_token = excluded.post_token, request_sha256 = excluded.request_sha256
            returning intended_at
        """
        post = f"""
            insert into posts (lease_token, scene_id, attempt, owner_id, cost)
            values (%(lease_token)s, %(scene_id)s, %(attempt)s, %(owner_id)s, {COST})
            on conflict do nothing
        """
        scene = """
            update scenes set provider = %(provider)s, provider_base_url = %(base_url)s, model = %(model)s,
                size = %(size)s, seconds = %(seconds)s
            where id = %(scene_id)s and attempt = %(attempt)s
        """
        _, _, attempt_rows, *_ = write_under_lease(
            self._db,
            job,
            "select check_may_submit(%(scene_id)s)",
            RESERVE_BUDGET,
            attempt,
            post,
            scene,
            "update jobs set step = 'find' where scene_id = %(scene_id)s",
            id=uuid7(),
            attempt=job.attempt,
            provider=provider,
            base_url=base_url,
            intended_at=intended_at,
            request_sha256=fingerprint(request),
            sound=request.sound,
            seed=request.seed,
            image_key=request.image and request.image.key,
            **cost_params(base_url, request, model),
            **budget_params(limits),
        )
        return attempt_rows[0]["intended_at"]

    def is_intended(self, job: Job) -> bool:
        """Whether the intent of this POST still stands in the database, which may have failed over since."""
        query = """
            select 1 from attempts
            where scene_id = %(scene_id)s and attempt = %(attempt)s and post_token = %(lease_token)s
                and outcome = 'intended'
        """
        params = {"scene_id": job.scene_id, "attempt": job.attempt, "lease_token": job.lease_token}
        return bool(self._db.run(job.owner_id, (query, params)))

    def throttle(self, job: Job, reason: str, *, seconds: float = THROTTLE_SECONDS, unsent: UUID | None = None) -> None:
        """The POST, which provably made no job, waits as long as there is this reason: waiting costs nothing.

        unsent is the token of an intent in the bucket that could not be taken back: it means no job, too.
        """
        write_under_lease(
            self._db,
            job,
            """
            update attempts set outcome = 'not_sent', error_message = %(reason)s
            where scene_id = %(scene_id)s and attempt = %(attempt)s
            """,
            """
            update jobs set step = 'submit', last_error = %(reason)s, lease_token = null,
                deadline = now() + interval '24 hours', run_at = now() + make_interval(secs => %(wait)s)
            where scene_id = %(scene_id)s
            """,
            _UNPAID,
            _UNSENT,
            _CANCEL_IF_OVER,
            roll_up=True,
            attempt=job.attempt,
            reason=recordable(reason),
            unsent=unsent,
            wait=jittered(seconds),
        )

    def throttle_due(self, reason: str) -> None:
        """What is due to be submitted and cannot be now says why, and has no deadline meanwhile; its turn stays."""
        update = """
            update jobs set last_error = %(reason)s, deadline = now() + interval '24 hours'
            where scene_id = any (array(
                select scene_id from jobs
                where step = 'submit' and lease_token is null and run_at <= now()
                    and (last_error is distinct from %(reason)s or deadline < now() + interval '23 hours')
                for update skip locked))
        """
        self._db.run(None, (update, {"reason": reason}))

    def retry_unsent(self, job: Job, reason: str, *, retry_after: float | None, unsent: UUID | None = None) -> None:
        """The POST provably made no job: it is due again later, unless its generation was deleted or failed since.

        unsent is the token of an intent in the bucket that could not be taken back: it means no job, too.
        """
        write_under_lease(
            self._db,
            job,
            """
            update attempts set outcome = 'not_sent', error_message = %(reason)s
            where scene_id = %(scene_id)s and attempt = %(attempt)s
            """,
            """
            update jobs set step = 'submit', failures = failures + 1, last_error = %(reason)s, lease_token = null,
                run_at = now() + make_interval(secs => %(wait)s)
            where scene_id = %(scene_id)s
            """,
            _UNPAID,
            _UNSENT,
            _CANCEL_IF_OVER,
            roll_up=True,
            attempt=job.attempt,
            reason=recordable(reason),
            unsent=unsent,
            wait=backoff(job.failures + 1, retry_after),
        )

    def accept(self, job: Job, video: VideoJob, *, adopted: bool = False) -> None:
        """The provider's job is known: it is polled from now on, and retrieved whatever happens to us.

        The answer to a POST is recorded whoever holds the lease: there was one POST of this attempt. LeaseLost if it
        is not waited for any more, another Conflict where no row can name it. An adopted job is a guess, which only the
        holder of the lease may make.
        """
        if len(video.id.encode()) > limits.MAX_JOB_ID_BYTES:
            raise Conflict(f"an id of {len(video.id.encode())} bytes is too long to be a job's")
        write_under_lease(
            self._db,
            job,
            """
            update scenes set sora_video_id = %(video_id)s, sora_status = %(sora_status)s, expires_at = %(expires_at)s,
                status = case status when 'pending' then 'processing' else status end
            where id = %(scene_id)s and attempt = %(attempt)s
            """,
            """
            update attempts set outcome = %(outcome)s, sora_video_id = %(video_id)s, accepted_at = now()
            where scene_id = %(scene_id)s and attempt = %(attempt)s
            """,
            """
            update jobs set step = 'poll', failures = 0, last_error = null, lease_token = null,
                expires_at = %(expires_at)s, deadline = now() + interval '24 hours',
                -- Its webhook may have come before its id did.
                run_at = case when exists (select from deliveries where sora_video_id = %(video_id)s) then now()
                    else now() + make_interval(secs => %(wait)s) end
            where scene_id = %(scene_id)s and step = 'find'
            """,
            RECORD_ANSWER,
            guard=CHECK_LEASE if adopted else "select check_submit_intent(%(scene_id)s, %(attempt)s, %(video_id)s)",
            roll_up=True,
            attempt=job.attempt,
            outcome="adopted" if adopted else "accepted",
            video_id=video.id,
            sora_status=video.status[:50],
            expires_at=video.expires_at,
            answer=recordable_answer(video.answer),
            wait=poll_interval(0),
        )

    def read_event_ids(self, job: Job) -> list[str]:
        """The provider's ids that verified events of this attempt's POSTs name, the oldest first."""
        query = """
            select sora_video_id from deliveries
            where attempt_token = any (array(
                select lease_token from posts where scene_id = %(scene_id)s and attempt = %(attempt)s))
            order by received_at
        """
        rows = self._db.run(None, (query, {"scene_id": job.scene_id, "attempt": job.attempt}))
        return list(dict.fromkeys(row["sora_video_id"] for row in rows))

    def accept_late(self, job: Job, video: VideoJob) -> LateAnswer:
        """What became of an accepted job that is not, or not any more, what its scene waits for.

        "known": its attempt has it already. "resumed": the scene goes on with it. "late": its attempt keeps it, and it
        is fetched once the scene is over. "taken": another attempt has a job of this id; it stands in its attempt's
        answer. "gone": its generation was purged, and there is no row to keep it in.
        """
        query = """
            select record_late_answer(%(scene_id)s, %(attempt)s, %(video_id)s, %(answer)s, %(id)s) as late_answer
        """
        params: dict[str, Any] = {
            "scene_id": job.scene_id,
            "attempt": job.attempt,
            "video_id": video.id,
            "answer": recordable_answer(video.answer),
            "id": uuid7(),
        }
        lock: Statement = ("select lock_generation_of_scene(%(scene_id)s)", params)
        roll_up: Statement = ("select roll_up_scene(%(scene_id)s)", params)
        _, rows, _ = self._db.run_each(job.owner_id, lock, (query, params), roll_up)
        return rows[0]["late_answer"]

    def select_unclaimed(self, base_url: str, videos: Sequence[VideoJob]) -> list[VideoJob]:
        """Those of a server's jobs that no scene of any owner has, by whichever of their ids."""
        query = """
            select sora_video_id from attempts
            where sora_video_id = any (%(ids)s)
                and (provider_base_url = %(base_url)s or provider_base_url is null)
        """
        ids = [video_id for video in videos for video_id in (video.id, *video.other_ids)]
        rows = self._db.run(None, (query, {"ids": ids, "base_url": base_url}))
        claimed_ids = {row["sora_video_id"] for row in rows}
        return [video for video in videos if claimed_ids.isdisjoint((video.id, *video.other_ids))]

    def read_unheard_posts(
        self, job: Job, base_url: str, request: VideoRequest, *, since: datetime, until: datetime
    ) -> list[UnheardPost]:
        """This POST, and the others of its owner that asked this server for just the same and know no job."""
        query = """
            select scene_id, attempt, intended_at, outcome = 'failed' as is_over from attempts
            where provider_base_url = %(base_url)s and sora_video_id is null and owner_id = %(owner_id)s
                and (outcome = 'intended' or outcome = 'failed' and error_code = 'submit_unknown')
                and intended_at between %(since)s and %(until)s
                and (request_sha256 = %(request_sha256)s or (scene_id, attempt) = (%(scene_id)s, %(attempt)s))
        """
        params: dict[str, Any] = {
            "base_url": base_url,
            "owner_id": job.owner_id,
            "scene_id": job.scene_id,
            "attempt": job.attempt,
            "since": since,
            "until": until,
            "request_sha256": fingerprint(request),
        }
        return [UnheardPost(**row) for row in self._db.run(job.owner_id, (query, params))]

    def count_rivals(self, job: Job, base_url: str, request: VideoRequest, *, since: datetime, until: datetime) -> int:
        """How many POSTs for other owners asked this server for the same within these times, and know no job.

        A job that nobody has may be one of theirs, its answer still on its way.
        """
        query = """
            select count(*) as rivals from attempts
            where provider_base_url = %(base_url)s and sora_video_id is null and outcome in ('intended', 'failed')
                and (outcome = 'intended' or error_code = 'submit_unknown') and owner_id <> %(owner_id)s
                and intended_at between %(since)s and %(until)s
                and (request_sha256 = %(request_sha256)s or request_sha256 is null
                    and (model, size, seconds) = (%(model)s, %(size)s, %(seconds)s))
        """
        params: dict[str, Any] = {
            "base_url": base_url,
            "owner_id": job.owner_id,
            "since": since,
            "until": until,
            "request_sha256": fingerprint(request),
            "model": request.model,
            "size": request.size,
            "seconds": request.seconds,
        }
        return self._db.run(None, (query, params))[0]["rivals"]
