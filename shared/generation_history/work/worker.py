"""Worker: one job's step (submit, find, poll, store) and the loop that runs several at once until a deadline."""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final
from uuid import UUID

from generation_history import logs, settings
from generation_history.db import database
from generation_history.errors import (
    Conflict,
    HistoryError,
    JobGone,
    LeaseLost,
    MachineFault,
    NotAllowed,
    NotConfigured,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    Rejected,
    SceneFailure,
    Throttled,
    Unavailable,
)
from generation_history.media.video_storage_manager import VideoStorageManager
from generation_history.models import FailureCode, ProviderState, Step
from generation_history.providers import UnnamedAnswer, VideoJob, VideoProvider, VideoRequest, factory
from generation_history.providers.factory import Providers
from generation_history.providers.words import says_expired
from generation_history.settings import Limits, ProviderSettings
from generation_history.work.housekeeping import Housekeeping
from generation_history.work.intents import Intent, Intents
from generation_history.work.job_queue import Job, JobQueue
from generation_history.work.monitoring import Monitoring
from generation_history.work.posts import Posts
from generation_history.work.submission import NO_LIMITS, Submissions

logger = logging.getLogger(__name__)

#: A provider's clock and ours may differ by this much when a job is looked for by its time.
CLOCK_SKEW = timedelta(seconds=120)
#: How often in a row a provider may say that there is no such job, or send what is no video, before it is believed:
#: a quarter of an hour, longer than a gateway takes to restart. Everything else is tried until the deadline, because
#: giving up would lose what is paid for.
MAX_REFUSALS = 10
#: What a scene is failed as whose step was in the way of its deadline.
_LATE: Final[Mapping[Step, FailureCode]] = {
    "submit": "submit_rejected",
    "find": "submit_unknown",
    "poll": "timed_out",
    "store": "timed_out",
}
#: What a scene is failed as whose job ended so at its provider, and why where that does not say. A provider's
#: cancelling is none of ours ("cancelled" means never submitted): like a failure, it leaves nothing to fetch.
_NO_VIDEO: Final[Mapping[str, tuple[FailureCode, str]]] = {
    "failed": ("provider_failed", "the provider gave no reason"),
    "cancelled": ("provider_failed", "the provider cancelled it and gave no reason"),
    "expired": ("expired", "the provider says that it has expired"),
}
#: How often a poller with hands free looks for work that became due meanwhile.
CLAIM_INTERVAL_SECONDS = 1.0
#: How long a job waits whose provider is gone: somebody has to notice first.
GONE_SECONDS = 600.0
#: Nothing is posted when less time than this is left: an instance that ends in a POST leaves its outcome unknown.
SUBMIT_STEP_SECONDS = 150.0
#: What a store step may take beside its download: an inspection and two uploads.
STORE_SECONDS = 120.0
#: No new job is claimed when less time than this is left: it would be a download of seconds.
MIN_STEP_SECONDS = 150.0
#: An intent that took longer to commit is not posted: somebody may look for its job already, and give it up.
INTENT_SECONDS = 30
#: A job past its deadline at which so many workers died in a row is given up without another try.
MAX_CRASHES = 5
#: What a run gives to the statistics before it works.
MERGE_SECONDS = 5.0


class Worker:
    """Does due work: every method of a step leaves its job finished, postponed, or to whoever holds the lease now."""

    def __init__(
        self,
        queue: JobQueue,
        submissions: Submissions,
        monitoring: Monitoring,
        housekeeping: Housekeeping,
        videos: VideoStorageManager,
        providers: Providers,
        *,
        defaults: ProviderSettings,
        concurrency: int,
        lease_seconds: int,
        find_seconds: int,
        limits: Limits = NO_LIMITS,
        intents: Intents | None = None,
    ) -> None:
        self._queue = queue
        self._submissions = submissions
        self._monitoring = monitoring
        self._housekeeping = housekeeping
        self._videos = videos
        self._providers = providers
        self._defaults = defaults
        self._concurrency = concurrency
        self._lease_seconds = lease_seconds
        self._find_seconds = find_seconds
        self._limits = limits
        self._intents = intents
        self._held_until = 0.0
        self._deadline = 0.0
        self._states: dict[tuple[str, bool], ProviderState] = {}
        self._running: dict[Future[None], Job] = {}
        # Kept between runs: each of its threads keeps its connection to the database.
        self._pool = ThreadPoolExecutor(concurrency, "worker")

    # ------------------------------------------------------------ the loop

    def run(self, *, seconds: float) -> int:
        """The number of steps done; returns when nothing is due and nothing is running.

        Nothing is begun when the time is nearly up. What is running is waited for, and keeps its lease as long as this
        process lives: a long download is not an abandoned one.
        """
        deadline = self._deadline = time.monotonic() + seconds
        # Another poller may have seen more of them since our last run.
        self._states.clear()
        self._held_until = 0.0
        self._monitoring.heartbeat("poller")
        self._videos.cleanup_temp_directory()
        self._monitoring.forget_providers(but=self._providers.base_urls)
        if not self._limits.submitting:
            self._submissions.throttle_due("SORA_SUBMITTING is off")
        if abandoned := self._housekeeping.fail_stale_generations():
            logger.warning("%d generations failed as abandoned", abandoned)
        self._merge_stats()
        extended_at = time.monotonic()
        done = 0
        while self._claim(deadline) or self._running:
            finished, _ = wait(self._running, timeout=CLAIM_INTERVAL_SECONDS, return_when=FIRST_COMPLETED)
            for future in finished:
                del self._running[future]
            done += len(finished)
            if time.monotonic() - extended_at > self._lease_seconds / 3:
                extended_at = time.monotonic()
                self._extend_leases()
        return done

    def _merge_stats(self) -> None:
        """What is not merged now is summed by every read, and merged by a later run: no work is lost over it."""
        try:
            self._housekeeping.merge_stats_deltas(seconds=MERGE_SECONDS)
        except HistoryError:
            logger.exception("the statistics could not be merged")

    def _claim(self, deadline: float) -> bool:
        free = self._concurrency - len(self._running)
        left = deadline - time.monotonic()
        if free <= 0 or left < MIN_STEP_SECONDS:
            return False
        held = not self._limits.submitting or time.monotonic() < self._held_until
        try:
            jobs = self._queue.claim(free, submit=not held and left > SUBMIT_STEP_SECONDS)
        except Unavailable:
            if not self._running:
                raise
            # What is running is not left alone: its leases need us.
            logger.exception("no work can be claimed now")
            return False
        self._running |= {self._pool.submit(copy_context().run, self._step, job): job for job in jobs}
        return bool(jobs)

    def _extend_leases(self) -> None:
        try:
            self._queue.extend_leases(list(self._running.values()))
        except HistoryError:
            logger.exception("the leases of %d jobs could not be extended", len(self._running))

    @cached_property
    def _posts(self) -> Posts:
        # Late: without a POST nothing is asked of the bucket's settings.
        return Posts(
            self._queue,
            self._submissions,
            self._intents or Intents(self._videos.object_store),
            seconds_left=self._seconds_left,
        )

    def _seconds_left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def close(self) -> None:
        """Guarantees that none of its threads is left, nor a connection to the database."""
        self._pool.shutdown()
        self._queue.close()

    def _step(self, job: Job) -> None:
        with logs.about(generation_id=job.generation_id, scene_id=job.scene_id, attempt=job.attempt):
            try:
                self._do(job)
            except LeaseLost:
                logger.warning("scene %s: another worker has taken over %s", job.scene_id, job.step)
            except Exception as error:
                logger.exception("scene %s: %s failed", job.scene_id, job.step)
                self._after(job, error)

    def _after(self, job: Job, error: Exception) -> None:
        try:
            self._later(job, _LATE[job.step], f"{type(error).__name__}: {error}")
        except HistoryError:
            logger.exception("scene %s: its lease will run out by itself", job.scene_id)

    def _do(self, job: Job) -> None:
        # A caller may have submitted it by itself meanwhile, and recorded that.
        submitted = job.sora_video_id is not None and job.step in {"submit", "find"}
        step: Step = "poll" if submitted else job.step
        if job.overdue and job.crash_count >= MAX_CRASHES:
            said = f", the last error before: {job.last_error}" if job.last_error else ""
            self._queue.fail_permanently(job, _LATE[step], f"{job.crash_count} workers in a row died at it{said}")
            return
        if step in {"poll", "store"} and not self._is_its_own(job):
            return
        try:
            {"submit": self._submit, "find": self._find, "poll": self._poll, "store": self._store}[step](job)
        except NotAllowed as error:
            # A person must see to the key or the balance; the job waits for that.
            if provider := self._provider(job):
                self._note(provider, "refused", str(error))
            self._later(job, _LATE[job.step], str(error))

    def _is_its_own(self, job: Job) -> bool:
        """Whether the provider job is this scene's alone: what a caller names is settled before it is asked about."""
        provider = self._provider(job)
        if provider is None or job.sora_video_id is None or job.bound_to == provider.base_url:
            return True
        try:
            self._queue.bind(job, provider=provider.name, base_url=provider.base_url)
        except LeaseLost:
            raise
        except Conflict as taken:
            self._queue.fail_permanently(job, "not_found", str(taken))
            return False
        return True

    def _wait_for_a_person(self, job: Job, code: FailureCode, reason: str) -> None:
        """The step waits for someone to see to the key, the balance or a setting."""
        logger.error("scene %s: %s", job.scene_id, reason)
        self._later(job, code, reason)

    def _later(self, job: Job, code: FailureCode, reason: str, *, retry_after: float | None = None) -> None:
        """The same step again later; after the scene's deadline it is failed instead."""
        if job.overdue:
            self._queue.fail_permanently(job, code, reason)
        else:
            self._queue.retry_later(job, reason, retry_after=retry_after)

    def _refused(self, job: Job, code: FailureCode, reason: str, *, end: FailureCode | None = None) -> None:
        """What the provider said is believed once it said so often enough in a row; the scene is failed as end then."""
        # An outage before it counts for nothing: it ends, and often in such answers.
        times = 1 + (job.failures if (job.last_error or "").startswith(f"{code}: ") else 0)
        if job.overdue or times >= MAX_REFUSALS:
            self._queue.fail_permanently(job, end or code, reason)
        else:
            self._queue.retry_later(job, f"{code}: {reason}", failures=times)

    # ------------------------------------------------------------ submit

    def _submit(self, job: Job) -> None:
        """Post the job, once: from the moment the intent is committed, nobody posts this attempt again."""
        if job.status in {"completed", "failed"}:
            # A caller ended the scene while it waited here.
            self._queue.discard(job)
            return
        if job.overdue:
            why = job.last_error or "no worker came"
            self._queue.fail_permanently(job, "submit_rejected", f"not submitted before its deadline: {why}")
            return
        provider, request = self._providers.first, self._request(job)
        intended_at = self._intend(job, provider, request)
        if intended_at and (intent := self._posts.put_intent(job, provider, request, intended_at=intended_at)):
            self._post(job, provider, request, intent)

    def _intend(self, job: Job, provider: VideoProvider, request: VideoRequest) -> datetime | None:
        """Since when the intent stands in the database, and just now: only then may the job be posted; else None."""
        began = time.monotonic()
        try:
            intended_at = self._submissions.record_submit_intent(
                job, provider=provider.name, base_url=provider.base_url, request=request, limits=self._limits
            )
        except Throttled as held:
            # A limit holds back what is to be paid, not what was.
            try:
                made_before = self._posts.was_made_before(job)
            except SceneFailure:
                made_before = False
            if not made_before:
                self._hold(job, str(held))
            return None
        except Unavailable as error:
            # The intent may stand all the same, and would keep the scene from ever being posted.
            self._submissions.retry_unsent(job, str(error), retry_after=None)
            return None
        if time.monotonic() - began > INTENT_SECONDS:
            self._submissions.retry_unsent(job, "the worker stood still before its POST", retry_after=None)
            return None
        return intended_at

    def _post(self, job: Job, provider: VideoProvider, request: VideoRequest, intent: Intent) -> None:
        try:
            video = provider.submit(request)
        except NotSent as error:
            logger.warning("scene %s: not submitted: %s", job.scene_id, error)
            unsent = self._posts.take_back(intent, str(error))
            self._submissions.retry_unsent(job, str(error), retry_after=error.retry_after, unsent=unsent)
        except NotAllowed as error:
            unsent = self._posts.take_back(intent, str(error))
            self._submissions.retry_unsent(job, str(error), retry_after=error.retry_after, unsent=unsent)
            self._note(provider, "refused", str(error))
        except Rejected as error:
            self._rejected(job, provider, error, self._posts.take_back(intent, str(error)))
        except OutcomeUnknown as error:
            logger.warning("scene %s: %s", job.scene_id, error)
            self._queue.retry_later(job, str(error), answer=error.answer)
        else:
            # First of all: nothing may come between a paid job and its id in the row.
            if not self._posts.keep(job, video, intent):
                self._queue.retry_later(
                    job, f"the provider answered with the job {video.id}, which another attempt has"
                )
            self._note(provider, "ok")

    def _hold(self, job: Job, reason: str) -> None:
        """Wait for the limit; where it is everyone's, claim nothing to submit meanwhile: that would be held as well."""
        logger.info("scene %s: held: %s", job.scene_id, reason)
        self._submissions.throttle(job, reason)
        if not reason.startswith("SPEND_LIMIT_PER_OWNER_DAY"):
            self._held_until = time.monotonic() + CLAIM_INTERVAL_SECONDS
            self._submissions.throttle_due(reason)

    def _rejected(self, job: Job, provider: VideoProvider, error: Rejected, unsent: UUID | None) -> None:
        """A refusal of this request, unless the provider refuses everything because it is gone."""
        if error.failure_code == "submit_rejected" and self._is_gone(provider):
            self._submissions.throttle(job, _gone(provider), seconds=GONE_SECONDS, unsent=unsent)
            # The others would be answered alike: one POST in a run is enough to know.
            self._held_until = self._deadline
            self._submissions.throttle_due(_gone(provider))
        else:
            self._queue.fail_permanently(job, error.failure_code, str(error))

    def _is_gone(self, provider: VideoProvider) -> bool:
        try:
            gone = provider.is_gone()
        except ProviderError:
            return False
        if gone:
            self._note(provider, "gone", _gone(provider))
        return gone

    def _note(
        self, provider: VideoProvider, state: ProviderState, reason: str | None = None, *, took_a_post: bool = True
    ) -> None:
        """Tell whoever watches, once, when a provider gets into another state."""
        if self._states.get((provider.base_url, took_a_post)) == state:
            return
        self._states[provider.base_url, took_a_post] = state
        if self._monitoring.record_provider_state(provider.base_url, state, reason, took_a_post=took_a_post):
            logger.log(logging.INFO if state == "ok" else logging.ERROR, "the provider is %s: %s", state, reason)

    def _request(self, job: Job) -> VideoRequest:
        return VideoRequest(
            prompt=job.prompt,
            model=job.model or self._defaults.model,
            size=job.size or self._defaults.size,
            seconds=job.seconds or self._defaults.seconds,
        )

    def _find(self, job: Job) -> None:
        """Adopt the provider's job of a POST whose outcome nobody knows, if exactly one can be it."""
        provider = self._provider(job)
        if provider is None or job.intended_at is None:
            self._wait_for_a_person(job, "submit_unknown", _unnamed(job))
            return
        if self._posts.is_told(job):
            return
        request, window = self._request(job), timedelta(seconds=self._find_seconds) + CLOCK_SKEW
        try:
            found = provider.find(request, since=job.intended_at - CLOCK_SKEW, until=job.intended_at + window)
        except JobGone:
            # It keeps no list to look in.
            found = list[VideoJob]()
        except ProviderUnavailable as error:
            self._later(job, "submit_unknown", str(error), retry_after=error.retry_after)
            return
        candidates = self._submissions.unclaimed(provider.base_url, found)
        reason = f"the POST had no answer, and {len(candidates)} of the provider's jobs could be of it"
        since, until = job.intended_at - window - CLOCK_SKEW, job.intended_at + window + CLOCK_SKEW
        rivals = (
            self._submissions.rivals(job, provider.base_url, request, since=since, until=until) if candidates else 0
        )
        if rivals:
            reason += f", or of {rivals} other POSTs that asked for the same"
        if len(candidates) == 1 and not rivals:
            self._submissions.accept(job, candidates[0], adopted=True)
        elif job.intended_seconds_ago < self._find_seconds:
            self._queue.retry_later(job, reason)
        else:
            self._queue.fail_permanently(job, "submit_unknown", reason)

    # ------------------------------------------------------------ poll and store

    def _poll(self, job: Job) -> None:
        provider, video_id = self._provider(job), job.sora_video_id
        if provider is None or video_id is None:
            self._wait_for_a_person(job, "provider_gone", _unnamed(job))
            return
        try:
            video = self._ask(provider, video_id, job)
        except JobGone as error:
            self._not_known(job, provider, SceneFailure("not_found", str(error)))
        except ProviderUnavailable as error:
            self._note(provider, "unreachable", str(error))
            self._later(job, "timed_out", str(error), retry_after=error.retry_after)
        else:
            self._note(provider, "ok", took_a_post=False)
            if self._is_nobody_elses(job, provider, video):
                self._observe(job, video)

    def _ask(self, provider: VideoProvider, video_id: str, job: Job) -> VideoJob:
        try:
            return provider.poll(video_id)
        except UnnamedAnswer as answer:
            if not job.accepted:
                raise
            return answer.job

    def _is_nobody_elses(self, job: Job, provider: VideoProvider, video: VideoJob) -> bool:
        """Whether no other scene has the job by another of its ids: naming that must not bring another's video home."""
        others = [] if job.accepted else [replace(video, id=other) for other in video.other_ids]
        if not others or len(self._submissions.unclaimed(provider.base_url, others)) == len(others):
            return True
        self._queue.fail_permanently(job, "not_found", "another scene has this provider job already")
        return False

    def _not_known(self, job: Job, provider: VideoProvider, failure: SceneFailure) -> None:
        """The provider does not know the job: believed once it said so often enough, unless it is gone itself."""
        if not self._is_gone(provider):
            self._not_fetched(job, failure)
        elif job.overdue:
            self._queue.fail_permanently(job, "provider_gone", _gone(provider))
        else:
            self._queue.retry_later(job, _gone(provider), failures=job.failures, retry_after=GONE_SECONDS)

    def _observe(self, job: Job, video: VideoJob) -> None:
        if video.status in _NO_VIDEO:
            code, reason = _NO_VIDEO[video.status]
            if video.error_code == "moderation_blocked":
                code = "moderation_blocked"
            self._queue.fail_permanently(job, code, video.error_message or reason, answer=video.answer)
        elif video.status == "completed":
            self._queue.record_observation(job, video, step="store")
            self._store(replace(job, step="store", failures=0, last_error=None))
        elif job.overdue:
            self._queue.fail_permanently(job, "timed_out", f"still {video.status} at its deadline")
        else:
            self._queue.record_observation(job, video, step="poll")

    def _store(self, job: Job) -> None:
        provider, video_id = self._provider(job), job.sora_video_id
        if provider is None or video_id is None:
            self._wait_for_a_person(job, "provider_gone", _unnamed(job))
            return
        try:
            video_url, thumbnail_url, metadata = self._videos.store(
                provider,
                video_id,
                str(job.generation_id),
                job.variant_type,
                job.scene_number,
                attempt=job.attempt,
                seconds=max(1.0, self._deadline - time.monotonic() - STORE_SECONDS),
                reuse_stored=True,
            )
        except (MachineFault, NotConfigured) as fault:
            # It says nothing of the video, so it never ends the job: the provider's own no does, or a good inspection.
            logger.error("scene %s: %s", job.scene_id, fault)  # noqa: TRY400 - a person must act on it
            self._queue.retry_later(job, str(fault))
        except JobGone as error:
            self._not_known(job, provider, SceneFailure("not_found", str(error)))
        except ProviderUnavailable as error:
            self._not_fetched(job, SceneFailure("download_failed", str(error)))
        except SceneFailure as failure:
            if failure.failure_code == "storage_failed":
                self._wait_for_a_person(job, "storage_failed", str(failure))
            else:
                self._not_fetched(job, failure)
        else:
            self._queue.complete(job, video_url=video_url, thumbnail_url=thumbnail_url, metadata=metadata)

    def _not_fetched(self, job: Job, failure: SceneFailure) -> None:
        """When a copy expires is a hint, and clocks differ: only what the provider says often enough ends its job."""
        code, reason = failure.failure_code, str(failure)
        if failure.final:
            self._queue.fail_permanently(job, code, reason)
        elif code == "download_failed" and not says_expired(reason):
            self._later(job, code, reason)
        else:
            is_gone_by_now = says_expired(reason) or (code == "not_found" and job.expired)
            self._refused(job, code, reason, end="expired" if is_gone_by_now else code)

    def _provider(self, job: Job) -> VideoProvider | None:
        """The client of the server that knows this job; today's first server may be another one."""
        return self._providers.find(job.provider_base_url)


def _gone(provider: VideoProvider) -> str:
    return f"SORA_BASE_URL: {provider.base_url} answers as if it had no videos at all"


def _unnamed(job: Job) -> str:
    return f"SORA_BASE_URL does not name {job.provider_base_url} any more"


def from_settings() -> Worker:
    """A worker as the environment describes it; NotConfigured names what is missing."""
    configured = settings.worker()
    providers = factory.from_settings()
    db = database.connect(settings.worker_database_url(), setting="WORKER_DATABASE_URL")
    settings.spaces()
    return Worker(
        JobQueue(db, lease_seconds=configured.lease_seconds),
        Submissions(db),
        Monitoring(db),
        Housekeeping(db),
        VideoStorageManager(downloads=configured.downloads),
        providers,
        defaults=settings.provider(),
        concurrency=configured.concurrency,
        lease_seconds=configured.lease_seconds,
        find_seconds=configured.find_seconds,
        limits=settings.limits(),
    )
