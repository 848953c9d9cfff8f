"""The step "submit": post a scene's job, once."""

import time
from dataclasses import replace
from datetime import datetime
from typing import Final

from generation_history.errors import (
    InvalidValue,
    NotAllowed,
    NotSent,
    OutcomeUnknown,
    Rejected,
    StorageError,
    Throttled,
    Unavailable,
)
from generation_history.provider_settings import Limits
from generation_history.providers import VideoProvider, VideoRequest
from generation_history.providers.catalogue import Model
from generation_history.work.intents import Intent
from generation_history.work.job_queue import Job
from generation_history.work.outcomes import Outcome, PostAgain, Throttle
from generation_history.work.posts import Posts
from generation_history.work.provider_watch import ProviderWatch
from generation_history.work.requests import Requests
from generation_history.work.retry_policy import ProviderGone, ProviderPaused, decide
from generation_history.work.submission import Submissions

#: An intent that took longer to commit, or to put into the bucket, is not posted: somebody may look for its job
#: already, and fail the scene.
MAX_DATABASE_SECONDS = 30
MAX_BUCKET_SECONDS = 30
STOOD_STILL: Final = "the worker stood still before its POST"


class SubmitStep:
    """From the moment the intent is committed, nobody posts this attempt again."""

    def __init__(
        self,
        submissions: Submissions,
        posts: Posts,
        watch: ProviderWatch,
        requests: Requests,
        *,
        limits: Limits,
    ) -> None:
        self._submissions = submissions
        self._posts = posts
        self._watch = watch
        self._requests = requests
        self._limits = limits

    def __call__(self, job: Job) -> Outcome | None:
        """What becomes of a POST that made no job; None where the job is accepted, or another's to go on with."""
        try:
            provider = self._watch.provider_to_ask(self._requests.model_name(job))
            request, model = self._checked_request(job)
        except (ProviderPaused, NotSent, Rejected):
            # What keeps a POST from being made does not keep the job of an earlier one from coming home.
            if self._resume_earlier_post(job):
                return None
            raise
        intended_at = self._record_intent(job, provider, request, model)
        if intended_at is None:
            return None
        start = time.monotonic()
        intent = self._posts.put_intent(job, provider, request, intended_at=intended_at)
        if intent is None:
            return None
        if time.monotonic() - start > MAX_BUCKET_SECONDS:
            return self._withdraw_post(job, provider, NotSent(STOOD_STILL), intent)
        return self._post(job, provider, request, intent)

    def _checked_request(self, job: Job) -> tuple[VideoRequest, Model | None]:
        """What is asked for, and the model that can do it; Rejected, before anything is paid, where none can."""
        try:
            request = self._requests.of(job)
            return request, self._requests.model_of(request)
        except InvalidValue as error:
            raise Rejected(str(error)) from None

    def _record_intent(
        self, job: Job, provider: VideoProvider, request: VideoRequest, model: Model | None
    ) -> datetime | None:
        """Since when the intent stands in the database, and just now: only then may the job be posted.

        None where it was posted before, as the bucket knows.
        """
        start = time.monotonic()
        try:
            intended_at = self._submissions.record_submit_intent(
                job,
                provider=provider.name,
                base_url=provider.base_url,
                request=request,
                model=model,
                limits=self._limits,
            )
        except Throttled:
            # A limit throttles what is to be paid, not what was.
            if self._resume_earlier_post(job):
                return None
            raise
        except Unavailable as error:
            # The intent may stand all the same, and would keep the scene from ever being posted.
            raise NotSent(str(error)) from error
        if time.monotonic() - start > MAX_DATABASE_SECONDS:
            raise NotSent(STOOD_STILL)
        return intended_at

    def _resume_earlier_post(self, job: Job) -> bool:
        try:
            return self._posts.resume_earlier_post(job)
        except StorageError:
            return False

    def _post(self, job: Job, provider: VideoProvider, request: VideoRequest, intent: Intent) -> Outcome | None:
        try:
            video = provider.submit(request, attempt_token=str(intent.token))
        except (NotSent, NotAllowed, Rejected) as error:
            return self._withdraw_post(job, provider, error, intent)
        # First of all: nothing may come between a paid job and its id in the row.
        is_recorded = self._posts.record_accepted(job, video, intent)
        self._watch.record_state(provider, "ok")
        if not is_recorded:
            raise OutcomeUnknown(f"the provider answered with the job {video.id}, which another attempt has")
        return None

    def _withdraw_post(
        self, job: Job, provider: VideoProvider, error: NotSent | NotAllowed | Rejected, intent: Intent
    ) -> Outcome:
        """What becomes of a POST that provably made no job, once the bucket knows that, or the database is to."""
        unsent = self._posts.withdraw_intent(intent, str(error))
        outcome = decide("submit", self._explain(provider, error), job)
        return replace(outcome, unsent=unsent) if isinstance(outcome, (PostAgain, Throttle)) else outcome

    def _explain(self, provider: VideoProvider, error: NotSent | NotAllowed | Rejected) -> Exception:
        """The refusal of this request, unless the provider refuses everything because it is gone."""
        if isinstance(error, Rejected) and error.failure_code == "submit_rejected":
            try:
                self._watch.raise_if_gone(provider)
            except ProviderGone as provider_gone:
                return provider_gone
        return error
