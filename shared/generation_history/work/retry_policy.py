"""The retry policy: what becomes of a job whose step did not get on, as one table and without a side effect.

decide() is the word on errors, before_step(), after_search() and after_poll() on what is no error.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from generation_history.errors import (
    HistoryError,
    InternalError,
    JobGone,
    LeaseLost,
    MachineFault,
    NoCredit,
    NotAllowed,
    NotConfigured,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    Rejected,
    SceneFailure,
    StorageError,
    Throttled,
)
from generation_history.models import FailureCode, ProviderState, Step
from generation_history.providers import VideoJob
from generation_history.providers.words import says_expired
from generation_history.work.job_queue import Job
from generation_history.work.outcomes import (
    Discard,
    FailPermanently,
    LeaveAlone,
    Outcome,
    PostAgain,
    RetryLater,
    Throttle,
)

#: How often in a row a provider may say that there is no such job, or send what is no video, before it is believed:
#: a quarter of an hour, longer than a gateway takes to restart. Everything else is tried until the deadline, because
#: failing the scene would lose what is paid for.
MAX_REFUSALS = 10
#: A job past its deadline at which so many workers died in a row fails without another try.
MAX_CRASHES = 5
#: How long a job waits whose provider is gone: somebody has to notice first.
GONE_SECONDS = 600.0
#: How long nothing is claimed to submit after a limit throttled a POST: the others would be throttled as well.
THROTTLE_PAUSE_SECONDS = 1.0
#: The limit that throttles one owner's POSTs alone; every other one throttles everyone's.
OWNERS_LIMIT: Final = "SPEND_LIMIT_PER_OWNER_DAY"
#: What a scene is failed as whose step was in the way of its deadline.
OVERDUE_CODES: Final[Mapping[Step, FailureCode]] = {
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


class ServerNotNamed(InternalError):
    """No setting names the server that knows the job, or its key: the job waits until somebody sets that."""


class ProviderPaused(InternalError):
    """The provider that the job is for takes no POSTs in this run, as an earlier one has shown."""


class ProviderGone(ProviderError):
    """The provider answers as if it had no videos at all: its not knowing a job, or its refusal, says nothing."""


class JobTaken(InternalError):
    """The provider's job is another scene's."""


class IntentNotStored(InternalError):
    """The bucket could not be told of the POST that was about to be made: so it was not made."""


class PostMadeNoJob(InternalError):
    """The bucket knows that the POST whose job is looked for made none."""


def step_of(job: Job) -> Step:
    """The step that is to be done: a caller may have submitted the job by itself meanwhile, and recorded that."""
    return "poll" if job.sora_video_id is not None and job.step in {"submit", "find"} else job.step


def before_step(step: Step, job: Job) -> Outcome | None:
    """What becomes of a job whose step is not even tried; None for all others."""
    if job.overdue and job.crash_count >= MAX_CRASHES:
        last_error = f", the last error before: {job.last_error}" if job.last_error else ""
        reason = f"{job.crash_count} workers in a row died at it{last_error}"
        return FailPermanently(code=OVERDUE_CODES[step], reason=reason)
    if step != "submit":
        return None
    if job.status in {"completed", "failed"}:
        # A caller ended the scene while it waited here.
        return Discard()
    if job.overdue:
        last_error = job.last_error or "no worker came"
        return FailPermanently(code="submit_rejected", reason=f"not submitted before its deadline: {last_error}")
    return None


def after_search(job: Job, reason: str, *, find_seconds: float, until_seconds: float = 0.0) -> Outcome:
    """What becomes of a POST without an answer whose job was not found in the provider's list for this reason.

    It is looked for until_seconds, where the list alone proves nothing, but not beyond the scene's deadline.
    """
    if job.intended_seconds_ago < find_seconds or (job.intended_seconds_ago < until_seconds and not job.overdue):
        return RetryLater(reason=reason)
    return FailPermanently(code="submit_unknown", reason=reason)


def after_poll(job: Job, video: VideoJob) -> Outcome | None:
    """What becomes of a job that ended without a video, or is not finished at its deadline; None for all others."""
    if video.status in _NO_VIDEO:
        code, reason = _NO_VIDEO[video.status]
        if video.error_code == "moderation_blocked":
            code = "moderation_blocked"
        return FailPermanently(code=code, reason=video.error_message or reason, answer=video.answer)
    if video.status != "completed" and job.overdue:
        return FailPermanently(code="timed_out", reason=f"still {video.status} at its deadline")
    return None


def decide(step: Step, error: Exception, job: Job) -> Outcome:
    """What becomes of a job whose step ended in this error: the first row of the table that is of both."""
    rule = next(rule for steps, kind, rule in TABLE if step in steps and isinstance(error, kind))
    return rule(step, error, job)


# ---------------------------------------------------------------- rules


def _until_deadline(
    job: Job,
    code: FailureCode,
    reason: str,
    *,
    retry_after: float | None = None,
    log_level: int | None = None,
    cause: Exception | None = None,
    provider_state: ProviderState | None = None,
) -> Outcome:
    """The same step again later; after the scene's deadline it is failed instead."""
    if job.overdue:
        return FailPermanently(
            code=code, reason=reason, log_level=log_level, cause=cause, provider_state=provider_state
        )
    return RetryLater(
        reason=reason, retry_after=retry_after, log_level=log_level, cause=cause, provider_state=provider_state
    )


def _believe_in_the_end(job: Job, code: FailureCode, reason: str, *, end: FailureCode) -> Outcome:
    """What the provider said is believed once it said so often enough in a row; the scene is failed as end then."""
    # An outage before it counts for nothing: it ends, and often in such answers.
    times = 1 + (job.failures if (job.last_error or "").startswith(f"{code}: ") else 0)
    if job.overdue or times >= MAX_REFUSALS:
        return FailPermanently(code=end, reason=reason)
    return RetryLater(reason=f"{code}: {reason}", failures=times)


def _not_fetched(job: Job, code: FailureCode, reason: str) -> Outcome:
    """When a copy expires is a hint, and clocks differ: only what the provider says often enough ends its job."""
    if code == "download_failed" and not says_expired(reason):
        return _until_deadline(job, code, reason)
    has_expired = says_expired(reason) or (code == "not_found" and job.expired)
    return _believe_in_the_end(job, code, reason, end="expired" if has_expired else code)


def _taken_over(step: Step, _error: LeaseLost, _job: Job) -> Outcome:
    return LeaveAlone(reason=f"another worker has taken over {step}", log_level=logging.WARNING)


def _throttled(_step: Step, error: Throttled, _job: Job) -> Outcome:
    pause = 0.0 if str(error).startswith(OWNERS_LIMIT) else THROTTLE_PAUSE_SECONDS
    return Throttle(reason=str(error), pause_seconds=pause, log_level=logging.INFO)


def _no_intent(_step: Step, error: IntentNotStored, job: Job) -> Outcome:
    # It may be in the bucket all the same, and means nothing then.
    return Throttle(reason=str(error), unsent=job.lease_token, log_level=logging.ERROR)


def _not_sent(_step: Step, error: NotSent, _job: Job) -> Outcome:
    return PostAgain(reason=str(error), retry_after=error.retry_after, log_level=logging.WARNING)


def _made_no_job(_step: Step, error: PostMadeNoJob, _job: Job) -> Outcome:
    return PostAgain(reason=str(error))


def _refused_at_the_post(_step: Step, error: NotAllowed, _job: Job) -> Outcome:
    return PostAgain(reason=str(error), retry_after=error.retry_after, provider_state="refused")


def _refused(step: Step, error: NotAllowed, job: Job) -> Outcome:
    return _until_deadline(job, OVERDUE_CODES[step], str(error), provider_state="refused")


def _gone_at_the_post(_step: Step, error: ProviderGone, _job: Job) -> Outcome:
    # The others would be answered alike: one POST in a run is enough to know.
    return Throttle(reason=str(error), seconds=GONE_SECONDS, pauses_provider=True, provider_state="gone")


def _no_credit(_step: Step, error: NoCredit, _job: Job) -> Outcome:
    return Throttle(
        reason=str(error),
        seconds=GONE_SECONDS,
        pauses_provider=True,
        provider_state="refused",
        log_level=logging.ERROR,
    )


def _paused(_step: Step, error: ProviderPaused, _job: Job) -> Outcome:
    return Throttle(reason=str(error), seconds=GONE_SECONDS)


def _gone(_step: Step, error: ProviderGone, job: Job) -> Outcome:
    if job.overdue:
        return FailPermanently(code="provider_gone", reason=str(error), provider_state="gone")
    return RetryLater(reason=str(error), failures=job.failures, retry_after=GONE_SECONDS, provider_state="gone")


def _rejected(_step: Step, error: Rejected, _job: Job) -> Outcome:
    return FailPermanently(code=error.failure_code, reason=str(error))


def _outcome_unknown(_step: Step, error: OutcomeUnknown, _job: Job) -> Outcome:
    return RetryLater(reason=str(error), answer=error.answer, log_level=logging.WARNING)


def _operator_must_act(step: Step, error: HistoryError, job: Job) -> Outcome:
    code: FailureCode = "submit_unknown" if step == "find" else "provider_gone"
    return _until_deadline(job, code, str(error), log_level=logging.ERROR)


def _cannot_list(_step: Step, error: ProviderUnavailable, job: Job) -> Outcome:
    return _until_deadline(job, "submit_unknown", str(error), retry_after=error.retry_after)


def _unreachable(_step: Step, error: ProviderUnavailable, job: Job) -> Outcome:
    return _until_deadline(job, "timed_out", str(error), retry_after=error.retry_after, provider_state="unreachable")


def _taken(_step: Step, error: JobTaken, _job: Job) -> Outcome:
    return FailPermanently(code="not_found", reason=str(error))


def _not_known(_step: Step, error: JobGone, job: Job) -> Outcome:
    return _not_fetched(job, "not_found", str(error))


def _machine_fault(_step: Step, error: HistoryError, _job: Job) -> Outcome:
    # It says nothing of the video, so it never ends the job: the provider's own no does, or a good inspection.
    return RetryLater(reason=str(error), log_level=logging.ERROR)


def _cannot_download(_step: Step, error: ProviderUnavailable, job: Job) -> Outcome:
    return _not_fetched(job, "download_failed", str(error))


def _no_video(_step: Step, failure: SceneFailure, job: Job) -> Outcome:
    if failure.final:
        return FailPermanently(code=failure.failure_code, reason=str(failure))
    if failure.failure_code == "storage_failed":
        return _until_deadline(job, "storage_failed", str(failure), log_level=logging.ERROR)
    return _not_fetched(job, failure.failure_code, str(failure))


def _unexpected(step: Step, error: Exception, job: Job) -> Outcome:
    reason = f"{type(error).__name__}: {error}"
    return _until_deadline(job, OVERDUE_CODES[step], reason, log_level=logging.ERROR, cause=error)


_SUBMIT: Final[frozenset[Step]] = frozenset({"submit"})
_FIND: Final[frozenset[Step]] = frozenset({"find"})
_POLL: Final[frozenset[Step]] = frozenset({"poll"})
_STORE: Final[frozenset[Step]] = frozenset({"store"})
_ANY: Final = _SUBMIT | _FIND | _POLL | _STORE

#: This step, this error: this wait, this end. The first row that is of both counts.
#: Only what is raised before a POST was made, or proves that it made no job, may lead to PostAgain or Throttle.
TABLE: Final[Sequence[tuple[frozenset[Step], type[Exception], Callable[[Step, Any, Job], Outcome]]]] = (
    (_ANY, LeaseLost, _taken_over),
    (_SUBMIT, Throttled, _throttled),
    (_SUBMIT, IntentNotStored, _no_intent),
    (_SUBMIT, NotSent, _not_sent),
    (_FIND, PostMadeNoJob, _made_no_job),
    (_SUBMIT | _FIND, OutcomeUnknown, _outcome_unknown),
    (_SUBMIT, NoCredit, _no_credit),
    (_SUBMIT, NotAllowed, _refused_at_the_post),
    (_SUBMIT, ProviderPaused, _paused),
    (_SUBMIT, ProviderGone, _gone_at_the_post),
    (_SUBMIT, Rejected, _rejected),
    (_ANY, NotAllowed, _refused),
    (_ANY, ServerNotNamed, _operator_must_act),
    (_FIND, ProviderUnavailable, _cannot_list),
    (_FIND, StorageError, _operator_must_act),
    (_POLL | _STORE, JobTaken, _taken),
    (_POLL | _STORE, ProviderGone, _gone),
    (_POLL | _STORE, JobGone, _not_known),
    (_POLL, ProviderUnavailable, _unreachable),
    (_STORE, ProviderUnavailable, _cannot_download),
    (_POLL | _STORE, MachineFault, _machine_fault),
    (_STORE, NotConfigured, _machine_fault),
    (_POLL | _STORE, SceneFailure, _no_video),
    (_ANY, Exception, _unexpected),
)
