"""Worker: the loop that runs several jobs' steps at once until a deadline, and carries out what becomes of them."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import cached_property

from generation_history import bootstrap, logs, provider_settings, settings
from generation_history.errors import HistoryError, Unavailable
from generation_history.ids import short_id
from generation_history.media.video_storage_manager import VideoStorageManager
from generation_history.models import Step
from generation_history.provider_settings import Limits
from generation_history.providers import VideoProvider, factory
from generation_history.providers.factory import Providers
from generation_history.record.video_models import VideoModels
from generation_history.work import requests as work_requests
from generation_history.work.costs import NO_LIMITS
from generation_history.work.find_step import FindStep
from generation_history.work.housekeeping import Housekeeping
from generation_history.work.intents import Intents
from generation_history.work.job_queue import Job, JobQueue
from generation_history.work.monitoring import Monitoring
from generation_history.work.outcomes import Discard, FailPermanently, Outcome, PostAgain, RetryLater, Throttle
from generation_history.work.poll_step import PollStep
from generation_history.work.posts import Posts
from generation_history.work.provider_watch import ProviderWatch
from generation_history.work.requests import Requests
from generation_history.work.retry_policy import before_step, decide, step_of
from generation_history.work.store_step import StoreStep
from generation_history.work.submission import Submissions
from generation_history.work.submit_step import SubmitStep

logger = logging.getLogger(__name__)

#: How often a poller with hands free looks for work that became due meanwhile.
CLAIM_INTERVAL_SECONDS = 1.0
#: Nothing is posted when less time than this is left: an instance that ends in a POST leaves its outcome unknown.
SUBMIT_STEP_SECONDS = 150.0
#: No new job is claimed when less time than this is left: it would be a download of seconds.
MIN_STEP_SECONDS = 150.0
#: What a run gives to the statistics before it works.
MERGE_SECONDS = 5.0


class Worker:
    """Does due work: each step leaves its job finished, to be tried later, or to whoever holds the lease now."""

    def __init__(
        self,
        queue: JobQueue,
        submissions: Submissions,
        monitoring: Monitoring,
        housekeeping: Housekeeping,
        videos: VideoStorageManager,
        providers: Providers,
        requests: Requests,
        *,
        concurrency: int,
        lease_seconds: int,
        find_seconds: int,
        limits: Limits = NO_LIMITS,
        intents: Intents | None = None,
    ) -> None:
        self._queue = queue
        self._submissions = submissions
        self._monitoring = monitoring
        self._watch = ProviderWatch(providers, queue, monitoring)
        self._housekeeping = housekeeping
        self._videos = videos
        self._requests = requests
        self._concurrency = concurrency
        self._lease_seconds = lease_seconds
        self._find_seconds = find_seconds
        self._limits = limits
        self._intents = intents
        self._throttled_until = 0.0
        self._deadline = 0.0
        self._stopping = False
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
        self._throttled_until = 0.0
        self._monitoring.heartbeat("poller")
        self._videos.cleanup_temp_directory()
        self._watch.begin_run()
        if not self._limits.submitting:
            self._submissions.throttle_due("SORA_SUBMITTING is off")
        if stale_count := self._housekeeping.fail_stale_generations():
            logger.warning(
                "%d generations had not changed for a day: their open scenes failed as abandoned", stale_count
            )
        self._merge_stats()
        extended_at = time.monotonic()
        finished_count = 0
        while self._claim(deadline) or self._running:
            finished, _ = wait(self._running, timeout=CLAIM_INTERVAL_SECONDS, return_when=FIRST_COMPLETED)
            for future in finished:
                del self._running[future]
            finished_count += len(finished)
            if time.monotonic() - extended_at > self._lease_seconds / 3:
                extended_at = time.monotonic()
                self._extend_leases()
        return finished_count

    def stop(self) -> None:
        """Guarantees that nothing more is begun; what is running is finished. A signal's handler may call this."""
        self._stopping = True

    def _merge_stats(self) -> None:
        """What is not merged now is summed by every read, and merged by a later run: no work is lost over it."""
        try:
            self._housekeeping.merge_stats_deltas(seconds=MERGE_SECONDS)
        except HistoryError:
            logger.exception("the statistics could not be merged")

    def _claim(self, deadline: float) -> bool:
        free_slots = self._concurrency - len(self._running)
        seconds_left = deadline - time.monotonic()
        if self._stopping or free_slots <= 0 or seconds_left < MIN_STEP_SECONDS:
            return False
        throttled = not self._limits.submitting or time.monotonic() < self._throttled_until
        try:
            jobs = self._queue.claim(free_slots, submit=not throttled and seconds_left > SUBMIT_STEP_SECONDS)
        except Unavailable:
            if not self._running:
                raise
            # What is running is not left alone: its leases need us.
            logger.exception("no work can be claimed now")
            return False
        self._running |= {self._pool.submit(copy_context().run, self._work_on, job): job for job in jobs}
        return bool(jobs)

    def _extend_leases(self) -> None:
        try:
            self._queue.extend_leases(list(self._running.values()))
        except HistoryError:
            logger.exception("the leases of %d jobs could not be extended", len(self._running))

    @cached_property
    def _steps(self) -> Mapping[Step, Callable[[Job], Outcome | Job | None]]:
        # Late: without a job nothing is asked of the bucket's settings.
        intents = self._intents or Intents(self._videos.object_store)
        posts = Posts(self._submissions, intents, seconds_left=self._seconds_left)
        return {
            "submit": SubmitStep(self._submissions, posts, self._watch, self._requests, limits=self._limits),
            "find": FindStep(self._submissions, posts, self._watch, self._requests, find_seconds=self._find_seconds),
            "poll": PollStep(self._queue, self._submissions, self._videos, self._watch),
            "store": StoreStep(self._queue, self._videos, self._watch, seconds_left=self._seconds_left),
        }

    def _seconds_left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def close(self) -> None:
        """Guarantees that none of its threads is left, nor a connection to the database."""
        self._pool.shutdown()
        self._queue.close()

    # ------------------------------------------------------------ a job

    def _work_on(self, job: Job) -> None:
        """The job's step is done, and what is ready to be stored is stored at once, under the same lease."""
        generation = {"generation_id": job.generation_id, "short_id": short_id(job.generation_id)}
        with logs.about(**generation, scene_id=job.scene_id, attempt=job.attempt):
            next_job: Job | None = job
            while next_job is not None:
                next_job = self._take_step(next_job)

    def _take_step(self, job: Job) -> Job | None:
        step = step_of(job)
        try:
            result = before_step(step, job) or self._steps[step](job)
            if isinstance(result, Job):
                return result
            if result is not None:
                self._carry_out(job, step, result)
        except Exception as error:  # noqa: BLE001 - the policy's last row is of it
            self._settle(job, step, error)
        return None

    def _settle(self, job: Job, step: Step, error: Exception) -> None:
        """What the policy says of the error is carried out, and then of an error in that."""
        for _ in range(3):
            try:
                self._carry_out(job, step, decide(step, error, job))
            except HistoryError as next_error:
                error = next_error
            else:
                return
        logger.error("scene %s: its lease will run out by itself", job.scene_id, exc_info=error)

    def _carry_out(self, job: Job, step: Step, outcome: Outcome) -> None:
        """The only place where a job is put off, failed or discarded."""
        if outcome.log_level is not None:
            logger.log(
                outcome.log_level, "scene %s: %s: %s", job.scene_id, step, outcome.reason, exc_info=outcome.cause
            )
        match outcome:
            case RetryLater(reason=reason, failures=failures, retry_after=retry_after, answer=answer):
                self._queue.retry_later(job, reason, failures=failures, retry_after=retry_after, answer=answer)
            case FailPermanently(code=code, reason=reason, answer=answer):
                self._queue.fail_permanently(job, code, reason, answer=answer)
            case PostAgain(reason=reason, retry_after=retry_after, unsent=unsent):
                self._submissions.retry_unsent(job, reason, retry_after=retry_after, unsent=unsent)
            case Throttle(reason=reason, seconds=seconds, unsent=unsent):
                self._submissions.throttle(job, reason, seconds=seconds, unsent=unsent)
                is_paused = outcome.pauses_provider and self._watch.pause(self._provider_of(job, step), reason)
                self._pause_submitting(math.inf if is_paused else outcome.pause_seconds, reason)
            case Discard():
                self._queue.discard(job)
            case _:
                """Another worker has it."""
        if outcome.provider_state is not None:
            self._watch.record_state(self._provider_of(job, step), outcome.provider_state, outcome.reason)

    def _provider_of(self, job: Job, step: Step) -> VideoProvider:
        if step == "submit":
            return self._watch.provider_of_model(self._requests.model_name(job))
        return self._watch.provider_of(job)

    def _pause_submitting(self, seconds: float, reason: str) -> None:
        """Nothing is claimed to submit for so long: that would be throttled as well."""
        if seconds:
            self._throttled_until = time.monotonic() + seconds
            self._submissions.throttle_due(reason)


def from_settings() -> Worker:
    """A worker as the environment describes it; NotConfigured names what is missing."""
    worker_settings = settings.worker()
    db = bootstrap.work_database()
    models = VideoModels(db)
    providers, requests = factory.from_settings(models.catalogue), work_requests.from_settings(models.catalogue)
    settings.spaces()
    return Worker(
        JobQueue(db, lease_seconds=worker_settings.lease_seconds),
        Submissions(db),
        Monitoring(db),
        Housekeeping(db),
        VideoStorageManager(downloads=worker_settings.downloads),
        providers,
        requests,
        concurrency=worker_settings.concurrency,
        lease_seconds=worker_settings.lease_seconds,
        find_seconds=worker_settings.find_seconds,
        limits=provider_settings.limits(),
    )
