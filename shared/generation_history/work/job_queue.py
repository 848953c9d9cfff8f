"""WorkQueue: claim, finish, retry, give up: the only SQL on jobs and attempts, and on a scene while it is worked on.

Every write of a step is one transaction that first locks the scene's generation and then holds the job's lease, so
that it is the leaseholder's or nobody's; LeaseLost means that nothing was written.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal, LiteralString, cast
from urllib.parse import urlsplit
from uuid import UUID

from generation_history.db.database import Database, Row, Statement
from generation_history.errors import Conflict
from generation_history.ids import uuid7
from generation_history.models import FailureCode, Health, ProviderState, Status, Step, VideoMetadata
from generation_history.providers import VideoJob, VideoRequest
from generation_history.settings import Limits
from generation_history.work.intents import fingerprint
from generation_history.work.webhooks import Delivery

#: A step that failed n times in a row waits 2^n seconds, with jitter, up to this many.
LONGEST_BACKOFF_SECONDS = 300.0
#: A scene whose step failed so often in a row, for some ten minutes, needs somebody to look.
STUCK_FAILURES = 8
#: What is kept of the reason of a failure, and of an answer that was not understood.
MAX_REASON_CHARACTERS = 2_000
MAX_ANSWER_CHARACTERS = 4_000
#: A longer id may not fit into an index (record_late_answer has the same limit).
MAX_ID_BYTES = 2_000
#: A POST that a limit holds back looks again after this long.
HOLD_SECONDS = 15.0
NO_LIMITS: Final = Limits()

#: What became of an accepted job that its scene does not wait for (WorkQueue.accept_late).
LateAnswer = Literal["known", "resumed", "late", "taken", "gone"]

_HOLD_LEASE: Final[LiteralString] = "select check_lease(%(scene_id)s, %(lease_token)s)"
#: After a POST that made no job: it cost nothing.
_UNPAID: Final[LiteralString] = """
    update posts set cost = 0 where scene_id = %(scene_id)s and attempt = %(attempt)s
"""
#: The intent in the bucket under this token means no job, whatever it says.
_UNSENT: Final[LiteralString] = """
    update attempts set unsent_posts = unsent_posts || %(unsent)s::uuid
    where scene_id = %(scene_id)s and attempt = %(attempt)s and %(unsent)s::uuid is not null
"""
#: What the provider said is kept as it came, where that was not understood.
_KEEP_ANSWER: Final[LiteralString] = """
    update attempts set answer = %(answer)s
    where scene_id = %(scene_id)s and attempt = %(attempt)s and %(answer)s::text is not null
"""
#: What came late is fetched once the scene itself is over.
_GO_ON: Final[LiteralString] = "select resume_late_attempt(%(scene_id)s)"
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
class Job:
    """A claimed job: what is to be done next for one scene, until when it is ours, and all the step needs to know."""

    scene_id: UUID
    owner_id: UUID
    lease_token: UUID
    step: Step
    failures: int
    last_error: str | None
    deaths: int
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
    provider_base_url: str | None
    bound_to: str | None
    #: Whether the provider itself gave the id, as its answer to our POST.
    accepted: bool
    model: str | None
    size: str | None
    seconds: int | None
    expired: bool
    intended_at: datetime | None
    intended_seconds_ago: float
    post_token: UUID | None
    unsent_posts: Sequence[UUID]


class WorkQueue:
    """The jobs of all owners, as the login history_worker sees them."""

    def __init__(self, db: Database, *, lease_seconds: int) -> None:
        self._db = db
        self._lease_seconds = lease_seconds

    # ------------------------------------------------------------ claiming

    def claim(self, limit: int, *, submit: bool = True) -> list[Job]:
        """At most limit due jobs, each leased to us for lease_seconds under a new token.

        What a provider has accepted comes first, because it expires; each kind the longest due first.
        """
        claim_accepted = """
            update jobs
            set run_at = now() + make_interval(secs => %(lease_seconds)s), lease_token = gen_random_uuid(),
                -- Whoever is done with a job gives its lease back.
                deaths = case when lease_token is null then 0 else deaths + 1 end
            where scene_id = any (array(
                select scene_id from jobs where run_at <= now() and step <> 'submit'
                order by run_at limit %(limit)s for update skip locked))
            returning scene_id, owner_id, lease_token, step, failures, last_error, deaths, deadline < now() as overdue,
                now() as claimed_at
        """
        claim_submit = """
            update jobs
            set run_at = now() + make_interval(secs => %(lease_seconds)s), lease_token = gen_random_uuid(),
                -- Whoever is done with a job gives its lease back.
                deaths = case when lease_token is null then 0 else deaths + 1 end
            where scene_id = any (array(
                select scene_id from jobs where run_at <= now() and step = 'submit'
                order by run_at limit %(limit)s for update skip locked))
            returning scene_id, owner_id, lease_token, step, failures, last_error, deaths, deadline < now() as overdue,
                now() as claimed_at
        """
        leases = self._lease(claim_accepted, limit)
        if submit and len(leases) < limit:
            leases += self._lease(claim_submit, limit - len(leases))
        return [job for lease in leases if (job := self._load(lease))]

    def _lease(self, claim: LiteralString, limit: int) -> list[Row]:
        return self._db.run(None, (claim, {"limit": limit, "lease_seconds": self._lease_seconds}))

    def _load(self, lease: dict[str, Any]) -> Job | None:
        """The job with its scene, which is read under the owner that the claim returned."""
        query = """
            select v.generation_id, v.variant_type, s.scene_number, w.attempt, s.status, s.sora_prompt as prompt,
                w.sora_video_id, w.provider_base_url, s.model, s.size, s.seconds,
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
                select s.attempt, s.sora_video_id, s.provider_base_url where coalesce(j.attempt, s.attempt) = s.attempt
                union all
                select a.attempt, a.sora_video_id, a.provider_base_url where j.attempt <> s.attempt
            ) w
            where s.id = %(scene_id)s
        """
        rows = self._db.run(lease["owner_id"], (query, lease))
        return Job(**lease, **rows[0]) if rows else None

    def extend(self, jobs: Sequence[Job]) -> None:
        """The leases still held are lease_seconds long again: the worker is alive."""
        extend = """
            update jobs set run_at = now() + make_interval(secs => %(lease_seconds)s)
            from unnest(%(scene_ids)s::uuid[], %(lease_tokens)s::uuid[]) held (scene_id, lease_token)
            where jobs.scene_id = held.scene_id and jobs.lease_token = held.lease_token
        """
        held = {
            "scene_ids": [job.scene_id for job in jobs],
            "lease_tokens": [job.lease_token for job in jobs],
            "lease_seconds": self._lease_seconds,
        }
        self._db.run(None, (extend, held))

    def abandon_untouched(self, limit: int = 100) -> int:
        """The number of generations failed now because nobody touched them for a day and nothing is due for them."""
        return self._db.run(None, ("select fail_stale_generations(%(limit)s) as found", {"limit": limit}))[0]["found"]

    def fold_stats(self, *, seconds: float, batch: int = 10_000) -> int:
        """The number of changes that are folded into the statistics now.

        Stops when none is left, when somebody else is folding, or when the time is up.
        """
        until = time.monotonic() + seconds
        folded = 0
        while time.monotonic() < until:
            done = self._db.run(None, ("select merge_stats_deltas(%(limit)s) as folded", {"limit": batch}))[0]["folded"]
            folded += done
            if done < batch:
                break
        return folded

    # ------------------------------------------------------------ submitting

    def intend(
        self,
        job: Job,
        *,
        provider: str,
        base_url: str,
        request: VideoRequest,
        intended_at: datetime | None = None,
        limits: Limits = NO_LIMITS,
    ) -> datetime:
        """The intent to POST is committed: should we die now, the job comes back as "find" and is not posted again.

        Returns when that was, by the database's clock. What was posted before and is not known here any more is
        intended_at then, not now.

        Held where the limits hold it back, LeaseLost where a caller has ended the scene or recorded a job for it since;
        nothing was written then.
        """
        admit = """
            select reserve_budget(%(owner_id)s, cost_of(%(host)s, %(model)s, %(size)s, %(seconds)s),
                %(most_running)s::integer, %(most_per_minute)s::integer, %(usd_per_owner_and_day)s::numeric,
                %(scene_id)s, %(lease_token)s)
        """
        attempt = """
            insert into attempts
                (id, scene_id, owner_id, attempt, outcome, provider, provider_base_url, model, size, seconds,
                 intended_at, cost, post_token, request_sha256)
            values (%(id)s, %(scene_id)s, %(owner_id)s, %(attempt)s, 'intended', %(provider)s, %(base_url)s, %(model)s,
                %(size)s, %(seconds)s, coalesce(%(intended_at)s, now()),
                cost_of(%(host)s, %(model)s, %(size)s, %(seconds)s), %(lease_token)s, %(request_sha256)s)
            on conflict on constraint attempts_scene_id_attempt_key
                do update set outcome = 'intended', intended_at = excluded.intended_at, error_message = null,
                    provider = excluded.provider, provider_base_url = excluded.provider_base_url,
                    model = excluded.model, size = excluded.size, seconds = excluded.seconds, cost = excluded.cost,
                    post_token = excluded.post_token, request_sha256 = excluded.request_sha256
            returning intended_at
        """
        post = """
            insert into posts (lease_token, scene_id, attempt, owner_id, cost)
            values (%(lease_token)s, %(scene_id)s, %(attempt)s, %(owner_id)s,
                cost_of(%(host)s, %(model)s, %(size)s, %(seconds)s))
            on conflict do nothing
        """
        scene = """
            update scenes set provider = %(provider)s, provider_base_url = %(base_url)s, model = %(model)s,
                size = %(size)s, seconds = %(seconds)s
            where id = %(scene_id)s and attempt = %(attempt)s
        """
        _, _, intended, *_ = self._write(
            job,
            "select check_may_submit(%(scene_id)s)",
            admit,
            attempt,
            post,
            scene,
            "update jobs set step = 'find' where scene_id = %(scene_id)s",
            id=uuid7(),
            attempt=job.attempt,
            provider=provider,
            base_url=base_url,
            host=urlsplit(base_url).hostname,
            model=request.model,
            size=request.size,
            seconds=request.seconds,
            intended_at=intended_at,
            request_sha256=fingerprint(request),
            most_running=limits.most_running,
            most_per_minute=limits.most_per_minute,
            usd_per_owner_and_day=limits.usd_per_owner_and_day,
        )
        return intended[0]["intended_at"]

    def is_intended(self, job: Job) -> bool:
        """Whether the intent of this POST still stands in the database, which may have failed over since."""
        query = """
            select 1 from attempts
            where scene_id = %(scene_id)s and attempt = %(attempt)s and post_token = %(lease_token)s
                and outcome = 'intended'
        """
        asked = {"scene_id": job.scene_id, "attempt": job.attempt, "lease_token": job.lease_token}
        return bool(self._db.run(job.owner_id, (query, asked)))

    def hold(self, job: Job, reason: str, *, seconds: float = HOLD_SECONDS, unsent: UUID | None = None) -> None:
        """The POST, which provably made no job, waits as long as there is this reason: waiting costs nothing.

        unsent is the token of an intent in the bucket that could not be taken back: it means no job, too.
        """
        self._write(
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
            wait=_jittered(seconds),
        )

    def hold_due(self, reason: str) -> None:
        """What is due to be submitted and cannot be now says why, and has no deadline meanwhile; its turn stays."""
        held = """
            update jobs set last_error = %(reason)s, deadline = now() + interval '24 hours'
            where scene_id = any (array(
                select scene_id from jobs
                where step = 'submit' and lease_token is null and run_at <= now()
                    and (last_error is distinct from %(reason)s or deadline < now() + interval '23 hours')
                for update skip locked))
        """
        self._db.run(None, (held, {"reason": reason}))

    def not_sent(self, job: Job, reason: str, *, retry_after: float | None, unsent: UUID | None = None) -> None:
        """The POST provably made no job: it is due again later, unless its generation was deleted or failed since.

        unsent is the token of an intent in the bucket that could not be taken back: it means no job, too.
        """
        self._write(
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
        if len(video.id.encode()) > MAX_ID_BYTES:
            raise Conflict(f"an id of {len(video.id.encode())} bytes is too long to be a job's")
        self._write(
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
            _KEEP_ANSWER,
            guard=_HOLD_LEASE if adopted else "select check_submit_intent(%(scene_id)s, %(attempt)s, %(video_id)s)",
            roll_up=True,
            attempt=job.attempt,
            outcome="adopted" if adopted else "accepted",
            video_id=video.id,
            sora_status=video.status[:50],
            expires_at=video.expires_at,
            answer=_kept(video.answer),
            wait=poll_interval(0),
        )

    def accept_late(self, job: Job, video: VideoJob) -> LateAnswer:
        """What became of an accepted job that is not, or not any more, what its scene waits for.

        "known": its attempt has it already. "resumed": the scene goes on with it. "late": its attempt keeps it, and it
        is fetched once the scene is over. "taken": another attempt has a job of this id; it stands in its attempt's
        answer. "gone": its generation was purged, and there is no row to keep it in.
        """
        keep = """
            select record_late_answer(%(scene_id)s, %(attempt)s, %(video_id)s, %(answer)s, %(id)s) as became
        """
        said: dict[str, Any] = {
            "scene_id": job.scene_id,
            "attempt": job.attempt,
            "video_id": video.id,
            "answer": _kept(video.answer),
            "id": uuid7(),
        }
        lock: Statement = ("select lock_generation_of_scene(%(scene_id)s)", said)
        roll_up: Statement = ("select roll_up_scene(%(scene_id)s)", said)
        _, kept, _ = self._db.run_each(job.owner_id, lock, (keep, said), roll_up)
        return kept[0]["became"]

    def unclaimed(self, base_url: str, videos: Sequence[VideoJob]) -> list[VideoJob]:
        """Those of a server's jobs that no scene of any owner has, by whichever of their ids."""
        query = """
            select sora_video_id from attempts
            where sora_video_id = any (%(ids)s)
                and (provider_base_url = %(base_url)s or provider_base_url is null)
        """
        ids = [each for video in videos for each in (video.id, *video.other_ids)]
        rows = self._db.run(None, (query, {"ids": ids, "base_url": base_url}))
        taken = {row["sora_video_id"] for row in rows}
        return [video for video in videos if taken.isdisjoint((video.id, *video.other_ids))]

    def rivals(self, job: Job, base_url: str, request: VideoRequest, *, since: datetime, until: datetime) -> int:
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
        asked: dict[str, Any] = {
            "base_url": base_url,
            "owner_id": job.owner_id,
            "since": since,
            "until": until,
            "request_sha256": fingerprint(request),
            "model": request.model,
            "size": request.size,
            "seconds": request.seconds,
        }
        return self._db.run(None, (query, asked))[0]["rivals"]

    # ------------------------------------------------------------ observing

    def bind(self, job: Job, *, provider: str, base_url: str) -> None:
        """The provider job that the scene names is at this server, and the scene's alone: else a Conflict."""
        self._write(
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

    def observed(self, job: Job, video: VideoJob, *, step: Step) -> None:
        """What the provider said is kept; a finished job goes on to "store" under the same lease, others wait."""
        keep = """
            update scenes set sora_status = %(sora_status)s, expires_at = coalesce(%(expires_at)s, expires_at),
                status = case status when 'pending' then 'processing' else status end
            where id = %(scene_id)s and attempt = %(attempt)s
        """
        store = """
            update jobs set step = 'store', failures = 0, last_error = null,
                expires_at = coalesce(%(expires_at)s, expires_at)
            where scene_id = %(scene_id)s
        """
        rendered = """
            update attempts set rendered_at = coalesce(rendered_at, now())
            where scene_id = %(scene_id)s and attempt = %(attempt)s
        """
        wait = """
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
        after: tuple[LiteralString, ...] = (store, rendered, cost) if step == "store" else (wait,)
        self._write(
            job,
            keep,
            *after,
            _KEEP_ANSWER,
            roll_up=True,
            attempt=job.attempt,
            answer=_kept(video.answer),
            video_id=video.id,
            claimed_at=job.claimed_at,
            sora_status=video.status[:50],
            expires_at=video.expires_at,
            wait=poll_interval(job.age_seconds),
        )

    def postpone(
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
        self._write(
            job,
            """
            update jobs set failures = %(failures)s, last_error = %(reason)s, lease_token = null,
                run_at = now() + least(make_interval(secs => %(wait)s), case when expires_at > now()
                    then greatest(interval '2 seconds', (expires_at - now()) / 4) end)
            where scene_id = %(scene_id)s
            """,
            _KEEP_ANSWER,
            failures=failures,
            attempt=job.attempt,
            answer=_kept(answer),
            reason=recordable(reason),
            wait=backoff(failures, retry_after),
        )

    def deliver(self, delivery: Delivery) -> bool:
        """Whether the delivery is new; then its job, if it is known and waits to be polled, is due now."""
        remember = """
            with new as (
                insert into deliveries (webhook_id, type, sora_video_id)
                values (%(webhook_id)s, %(type)s, %(sora_video_id)s)
                on conflict (webhook_id) do nothing returning sora_video_id
            ), due as (
                update jobs set run_at = now()
                where step = 'poll' and lease_token is null and run_at > now() and scene_id in (
                    select a.scene_id from attempts a join new on new.sora_video_id = a.sora_video_id)
            )
            select 1 from new
        """
        return bool(self._db.run(None, (remember, asdict(delivery))))

    # ------------------------------------------------------------ what operators watch

    def pulse(self, name: str) -> None:
        """What runs on a schedule has just begun to run."""
        beat = "insert into pulses (name) values (%(name)s) on conflict (name) do update set at = now()"
        self._db.run(None, (beat, {"name": name}))

    def note_provider(
        self, base_url: str, state: ProviderState, reason: str | None, *, took_a_post: bool = True
    ) -> bool:
        """Whether that is news: the provider was in another state before.

        One that refused us, perhaps for want of balance, may answer everything but POSTs: while something waits to be
        posted, only a POST that it takes ends that.
        """
        note = """
            insert into provider_states (base_url, state, reason) values (%(base_url)s, %(state)s, %(reason)s)
            on conflict (base_url) do update set state = excluded.state, reason = excluded.reason, since = now()
                where provider_states.state <> excluded.state
                    and (%(took_a_post)s or provider_states.state <> 'refused'
                        or not exists (select from jobs where step in ('submit', 'find')))
            returning 1
        """
        said = {"base_url": base_url, "state": state, "reason": None if reason is None else recordable(reason)}
        return bool(self._db.run(None, (note, said | {"took_a_post": took_a_post})))

    def forget_providers(self, *, but: Sequence[str]) -> None:
        """Nothing is said any more of servers that are not asked any more."""
        self._db.run(None, ("delete from provider_states where base_url <> all (%(but)s)", {"but": list(but)}))

    def health(self) -> Health:
        """What there is to do and how it goes, over all owners, as GET /ops/health shows it."""
        query = """
            select
                (select extract(epoch from now() - at)::float from pulses where name = 'poller') as seconds_since_poll,
                (select extract(epoch from now() - at)::float from pulses where name = 'purge') as seconds_since_purge,
                (select count(*) from jobs) as backlog,
                (select count(*) from jobs where step = 'submit') as backlog_to_submit,
                -- What a limit holds back stays due, and says so.
                (select coalesce(extract(epoch from now() - min(run_at))::float, 0) from jobs
                    where run_at < now() and (step <> 'submit' or last_error is null)) as oldest_due_seconds,
                -- A busy provider refuses POSTs for as long as it is busy.
                (select count(*) from jobs where step <> 'submit' and failures >= %(stuck)s) as stuck,
                (select last_error from jobs where step <> 'submit' and failures >= %(stuck)s
                    order by failures desc limit 1) as stuck_reason,
                (select extract(epoch from min(expires_at) - now())::float from jobs) as soonest_expiry_seconds,
                (select coalesce(json_object_agg(error_code, number), '{}') from (
                    select error_code, count(*) as number from attempts
                    where error_code is not null and finished_at > now() - interval '1 day'
                    group by error_code) f) as failures_by_code,
                (select coalesce(json_agg(json_build_object('base_url', base_url, 'state', state, 'reason', reason,
                    'since', since, 'seconds', extract(epoch from now() - since)::float) order by base_url), '[]')
                    from provider_states) as providers
        """
        return cast("Health", self._db.run(None, (query, {"stuck": STUCK_FAILURES}))[0])

    # ------------------------------------------------------------ finishing

    def complete(self, job: Job, *, video_url: str, thumbnail_url: str | None, metadata: VideoMetadata) -> None:
        """The scene is completed with its stored video, and its variant and generation rolled up; the job is done."""
        self._write(
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

    def give_up(self, job: Job, code: FailureCode, reason: str, *, answer: str | None = None) -> None:
        """The scene is failed for this reason, and its variant and generation rolled up; the job is done.

        A job that came late is what the scene goes on with, and it is pending then.
        """
        self._write(
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
            _KEEP_ANSWER,
            _GO_ON,
            roll_up=True,
            attempt=job.attempt,
            answer=_kept(answer),
            code=code,
            reason=recordable(reason),
        )

    def drop(self, job: Job) -> None:
        """The job is done, and nothing is said of its scene."""
        self._write(job, "delete from jobs where scene_id = %(scene_id)s")

    def close(self) -> None:
        """Guarantees that no connection is left open."""
        self._db.close()

    def _write(
        self,
        job: Job,
        *statements: LiteralString,
        guard: LiteralString = _HOLD_LEASE,
        roll_up: bool = False,
        **values: Any,
    ) -> list[list[Row]]:
        """The rows of each of the statements."""
        parameters = values | {"scene_id": job.scene_id, "lease_token": job.lease_token, "owner_id": job.owner_id}
        guarded: list[Statement] = [
            ("select lock_generation_of_scene(%(scene_id)s)", parameters),
            (guard, parameters),
            *((statement, parameters) for statement in statements),
        ]
        if roll_up:
            guarded.append(("select roll_up_scene(%(scene_id)s)", parameters))
        return self._db.run_each(job.owner_id, *guarded)[2:]


def poll_interval(age_seconds: float) -> float:
    """Seconds until a running job is asked about again: a fifth of its age, from 1 to 30, with jitter."""
    return _jittered(min(30.0, max(1.0, age_seconds / 5)))


def backoff(failures: int, retry_after: float | None = None) -> float:
    """Seconds until a step is tried again after so many failures in a row."""
    return _jittered(max(min(LONGEST_BACKOFF_SECONDS, 2.0 ** min(failures, 20)), retry_after or 0))


def _jittered(seconds: float) -> float:
    """Somewhat more, by chance: what failed together should not come back together."""
    return seconds * random.uniform(1, 1.25)  # noqa: S311 - no secret


def recordable(text: str, most: int = MAX_REASON_CHARACTERS) -> str:
    """The text as the database takes it, and not too long: an unexpected error may say anything."""
    return text[:most].replace("\0", "").encode(errors="replace").decode()


def _kept(answer: str | None) -> str | None:
    return None if answer is None else recordable(answer, MAX_ANSWER_CHARACTERS)
