"""Posts: a POST's intent in the bucket before it is made, and its job in the row and in the bucket afterwards.

Nothing here decides whether to post: the worker does, and asks first whether it was done before.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from generation_history.errors import Conflict, HistoryError, LeaseLost, OutcomeUnknown, StorageError, Unavailable
from generation_history.providers import VideoJob, VideoProvider, VideoRequest
from generation_history.work.intents import Intent, Intents, fingerprint
from generation_history.work.job_queue import Job
from generation_history.work.retry_policy import IntentNotStored, PostMadeNoJob
from generation_history.work.submission import LateAnswer, Submissions, UnheardPost

logger = logging.getLogger(__name__)

#: The status of a job of which no more is known than that it was accepted.
ACCEPTED: Final = "queued"
#: How often the bucket is told of an accepted job while the database is away.
BUCKET_TRIES = 3
#: How long the database is asked whether an intent still stands.
INTENT_CHECK_SECONDS = 30


class Posts:
    """The POSTs of a worker's attempts, as the database and the bucket know them."""

    def __init__(self, submissions: Submissions, intents: Intents, *, seconds_left: Callable[[], float]) -> None:
        """Try as long as there are seconds left to keep what is paid for."""
        self._submissions = submissions
        self._intents = intents
        self._seconds_left = seconds_left

    def put_intent(
        self, job: Job, provider: VideoProvider, request: VideoRequest, *, intended_at: datetime
    ) -> Intent | None:
        """The intent that is in the bucket now, just now; None where nothing may be posted.

        IntentNotStored where it could not be put there; it may be there all the same then.
        The bucket is asked after the intent is committed: whoever else could post it writes to the bucket before. And
        the database is asked again once it is written: where that has failed over since, another may have seen neither.
        """
        intent = _intent_of(job, provider, request, intended_at)
        try:
            if self.resume_earlier_post(job):
                return None
            self._intents.write(intent)
        except StorageError as failure:
            raise IntentNotStored(str(failure)) from failure
        if not self._is_still_intended(job):
            # The intent is not withdrawn: by now another worker's may lie in its place, which was posted.
            logger.warning("scene %s: not posted: the database does not know its intent any more", job.scene_id)
            return None
        return intent

    def _is_still_intended(self, job: Job) -> bool:
        retry = Retrying(
            retry=retry_if_exception_type(Unavailable),
            stop=stop_after_delay(INTENT_CHECK_SECONDS),
            wait=wait_random_exponential(multiplier=0.2, max=2),
            reraise=True,
        )
        return retry(self._submissions.is_intended, job)

    def resume_earlier_post(self, job: Job) -> bool:
        """Whether the bucket knows a POST of this attempt that the database has forgotten; its job is accepted then.

        A StorageError where the bucket cannot be read; OutcomeUnknown where the intent there does not name the job.
        """
        earlier = self._intents.read(job.generation_id, job.scene_id, job.attempt)
        if earlier is None or earlier.outcome == "no_job" or earlier.token in job.unsent_posts:
            return False
        logger.warning("scene %s: it was posted before, and the database does not know it", job.scene_id)
        self._restore_intent(job, earlier)
        if earlier.job_id is None or not self.record_accepted(job, VideoJob(earlier.job_id, ACCEPTED), earlier):
            raise OutcomeUnknown("it was posted before, as its intent in the bucket says")
        return True

    def _restore_intent(self, job: Job, intent: Intent) -> None:
        self._submissions.record_submit_intent(
            job,
            provider=intent.provider,
            base_url=intent.base_url,
            request=VideoRequest(job.prompt, intent.model, intent.size, intent.seconds, job.sound, job.seed),
            intended_at=intent.intended_at,
        )

    def withdraw_intent(self, intent: Intent, reason: str) -> UUID | None:
        """None, once the bucket says that this POST made no job; else the token that the database must remember."""
        try:
            self._intents.write(replace(intent, outcome="no_job", reason=reason))
        except StorageError as failure:
            logger.warning("scene %s: its intent could not be taken back: %s", intent.scene_id, failure)
            return intent.token
        return None

    def record_accepted(self, job: Job, video: VideoJob, intent: Intent | None) -> bool:
        """Whether the paid job is its attempt's now. Where another attempt has its id, it stands in the answer only.

        As long as this run lasts the database or the bucket may be away: the database comes first, and the bucket at
        once where that is away.
        """
        logger.info("scene %s: accepted as %s", job.scene_id, video.id)
        accepted = intent and replace(intent, outcome="accepted", job_id=video.id)
        bucket_writes: list[bool] = []

        def record_in_bucket() -> None:
            if accepted is not None and not any(bucket_writes) and len(bucket_writes) < BUCKET_TRIES:
                bucket_writes.append(self._write_accepted(accepted))

        retry = Retrying(
            retry=retry_if_exception_type(Unavailable),
            stop=stop_after_delay(self._seconds_left()),
            wait=wait_random_exponential(multiplier=0.2, max=10),
            before_sleep=lambda _: record_in_bucket(),
            reraise=True,
        )
        try:
            try:
                retry(self._submissions.accept, job, video)
            except (Conflict, LeaseLost) as refusal:
                late_answer: LateAnswer = retry(self._submissions.accept_late, job, video)
                _log_late_answer(job, video, late_answer, refusal)
                return late_answer != "taken"
            return True
        except HistoryError as error:
            logger.error(  # noqa: TRY400 - a person must act on it: the traceback says nothing more
                "scene %s: the provider's job %s is paid for and could not be recorded: %s",
                job.scene_id,
                video.id,
                error,
            )
            raise
        finally:
            record_in_bucket()

    def recover_answer(self, job: Job) -> bool:
        """Whether the bucket knows the POST's job, which is accepted then: its worker could not tell the database.

        PostMadeNoJob where the POST made no job, OutcomeUnknown where it was made at another time.
        """
        try:
            intent = self._intents.read(job.generation_id, job.scene_id, job.attempt)
        except StorageError as failure:
            logger.warning("scene %s: its intent cannot be read: %s", job.scene_id, failure)
            return False
        if intent is None:
            return False
        is_other_post = (
            intent.token not in {job.post_token, *job.unsent_posts} and intent.intended_at != job.intended_at
        )
        if is_other_post and intent.outcome != "no_job":
            # The bucket's intent was posted: a worker that only intended the POST in the database made none.
            self._restore_intent(job, intent)
        if intent.job_id is not None and self.record_accepted(job, VideoJob(intent.job_id, ACCEPTED), None):
            return True
        # An earlier POST's outcome says nothing about the last one.
        if intent.outcome == "no_job" and intent.token == job.post_token:
            raise PostMadeNoJob(intent.reason or "the POST made no job")
        if is_other_post and intent.outcome == "posted":
            raise OutcomeUnknown("it was posted at another time, as its intent in the bucket says")
        return False

    def later_posts(self, job: Job) -> tuple[frozenset[str], list[UnheardPost]]:
        """The POSTs of later attempts at the scene, which the bucket knows and the database has forgotten.

        The ids of their jobs, and the POSTs whose job nobody heard of: any job of the provider's may be of one of
        those. A StorageError where the bucket cannot be asked.
        """
        intents = self._intents.read_later(job.generation_id, job.scene_id, job.attempt)
        posts = [intent for intent in intents if intent.outcome != "no_job"]
        unheard = [
            UnheardPost(intent.scene_id, intent.attempt, intent.intended_at, is_over=False)
            for intent in posts
            if not intent.job_id
        ]
        return frozenset(intent.job_id for intent in posts if intent.job_id), unheard

    def _write_accepted(self, accepted: Intent) -> bool:
        try:
            self._intents.write(accepted)
        except StorageError as failure:
            logger.warning("scene %s: the bucket does not know its job: %s", accepted.scene_id, failure)
            return False
        return True


def _log_late_answer(job: Job, video: VideoJob, late_answer: LateAnswer, refusal: Conflict | LeaseLost) -> None:
    if late_answer in {"known", "resumed"}:
        logger.info("scene %s: the provider's job %s came late: %s", job.scene_id, video.id, late_answer)
        return
    logger.error(
        "scene %s: the provider's job %s is paid for and is not the scene's: %s; attempt %d keeps it: %s",
        job.scene_id,
        video.id,
        refusal,
        job.attempt,
        late_answer,
    )


def _intent_of(job: Job, provider: VideoProvider, request: VideoRequest, intended_at: datetime) -> Intent:
    return Intent(
        scene_id=job.scene_id,
        attempt=job.attempt,
        owner_id=job.owner_id,
        generation_id=job.generation_id,
        token=job.lease_token,
        provider=provider.name,
        base_url=provider.base_url,
        model=request.model,
        size=request.size,
        seconds=request.seconds,
        request_sha256=fingerprint(request),
        intended_at=intended_at,
    )
