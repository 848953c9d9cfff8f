"""This step, this error: this wait, this end. The policy as a table, without a database."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import pytest

from generation_history.errors import (
    Conflict,
    JobGone,
    LeaseLost,
    MachineFault,
    NoCredit,
    NotAllowed,
    NotConfigured,
    NotSent,
    OutcomeUnknown,
    ProviderUnavailable,
    Rejected,
    SceneFailure,
    StorageError,
    Throttled,
    Unavailable,
)
from generation_history.models import Step
from generation_history.providers import UnnamedAnswer, VideoJob
from generation_history.work import retry_policy
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
from generation_history.work.retry_policy import (
    GONE_SECONDS,
    MAX_CRASHES,
    MAX_REFUSALS,
    THROTTLE_PAUSE_SECONDS,
    IntentNotStored,
    JobTaken,
    PostMadeNoJob,
    ProviderGone,
    ProviderPaused,
    ServerNotNamed,
    after_poll,
    after_search,
    before_step,
    decide,
    step_of,
)
from generation_history.work.submission import THROTTLE_SECONDS

STEPS: tuple[Step, ...] = get_args(Step)
NOW = datetime(2026, 11, 28, tzinfo=UTC)
TOKEN = UUID(int=4)
JOB = Job(
    scene_id=UUID(int=1),
    owner_id=UUID(int=2),
    lease_token=TOKEN,
    step="poll",
    failures=0,
    last_error=None,
    crash_count=0,
    overdue=False,
    claimed_at=NOW,
    age_seconds=1.0,
    generation_id=UUID(int=3),
    variant_type="soft",
    scene_number=1,
    attempt=1,
    status="processing",
    prompt="a cat",
    sora_video_id="video_1",
    provider="sora",
    provider_base_url="http://provider.test/v1",
    bound_to="http://provider.test/v1",
    accepted=True,
    model=None,
    size=None,
    seconds=None,
    sound=None,
    seed=None,
    image_key=None,
    expired=False,
    intended_at=NOW,
    intended_seconds_ago=1.0,
    post_token=None,
    unsent_posts=(),
)
OVERDUE = replace(JOB, overdue=True)


#: What is to be done, without how it is logged.
GIST: dict[type, tuple[str, ...]] = {
    RetryLater: ("retry", "reason", "retry_after"),
    FailPermanently: ("fail", "code", "reason"),
    PostAgain: ("post again", "reason", "retry_after"),
    Throttle: ("throttle", "reason", "seconds", "pause_seconds", "pauses_provider"),
    Discard: ("discard",),
    LeaveAlone: ("leave",),
    type(None): ("",),
}


def gist(outcome: Outcome | None) -> tuple[Any, ...]:
    name, *fields = GIST[type(outcome)]
    return tuple(part for part in (name, *(getattr(outcome, field) for field in fields)) if part != "")


def gone(reason: str = "no such job") -> JobGone:
    return JobGone(reason)


def failure(code: str, reason: str = "no", **kinds: bool) -> SceneFailure:
    return SceneFailure(code, reason, **kinds)  # type: ignore[arg-type]


#: The step, the error, what becomes of a job before its deadline, what of one after it, and the provider's state.
ROWS: dict[str, tuple[Step, Exception, tuple[Any, ...], tuple[Any, ...], str | None]] = {
    "a limit of everyone's": (
        "submit",
        Throttled("SORA_MAX_RUNNING: 1 jobs are running"),
        ("throttle", "SORA_MAX_RUNNING: 1 jobs are running", THROTTLE_SECONDS, THROTTLE_PAUSE_SECONDS, False),
        ("throttle", "SORA_MAX_RUNNING: 1 jobs are running", THROTTLE_SECONDS, THROTTLE_PAUSE_SECONDS, False),
        None,
    ),
    "a limit of one owner's": (
        "submit",
        Throttled("SPEND_LIMIT_PER_OWNER_DAY: 5"),
        ("throttle", "SPEND_LIMIT_PER_OWNER_DAY: 5", THROTTLE_SECONDS, 0.0, False),
        ("throttle", "SPEND_LIMIT_PER_OWNER_DAY: 5", THROTTLE_SECONDS, 0.0, False),
        None,
    ),
    "a bucket without the intent": (
        "submit",
        IntentNotStored("away"),
        ("throttle", "away", THROTTLE_SECONDS, 0.0, False),
        ("throttle", "away", THROTTLE_SECONDS, 0.0, False),
        None,
    ),
    "a provider that is busy": (
        "submit",
        NotSent("busy", retry_after=7),
        ("post again", "busy", 7),
        ("post again", "busy", 7),
        None,
    ),
    "a POST that made no job, as the bucket knows": (
        "find",
        PostMadeNoJob("busy"),
        ("post again", "busy", None),
        ("post again", "busy", None),
        None,
    ),
    "a key that is refused at the POST": (
        "submit",
        NotAllowed("no balance"),
        ("post again", "no balance", None),
        ("post again", "no balance", None),
        "refused",
    ),
    "a provider that is gone at the POST": (
        "submit",
        ProviderGone("gone"),
        ("throttle", "gone", GONE_SECONDS, 0.0, True),
        ("throttle", "gone", GONE_SECONDS, 0.0, True),
        "gone",
    ),
    "a provider that has no credit left for us": (
        "submit",
        NoCredit("pay"),
        ("throttle", "pay", GONE_SECONDS, 0.0, True),
        ("throttle", "pay", GONE_SECONDS, 0.0, True),
        "refused",
    ),
    "a provider that takes no POSTs in this run": (
        "submit",
        ProviderPaused("pay"),
        ("throttle", "pay", GONE_SECONDS, 0.0, False),
        ("throttle", "pay", GONE_SECONDS, 0.0, False),
        None,
    ),
    "a request that is refused": (
        "submit",
        Rejected("bad size"),
        ("fail", "submit_rejected", "bad size"),
        ("fail", "submit_rejected", "bad size"),
        None,
    ),
    "a prompt that is refused": (
        "submit",
        Rejected("blocked", failure_code="moderation_blocked"),
        ("fail", "moderation_blocked", "blocked"),
        ("fail", "moderation_blocked", "blocked"),
        None,
    ),
    "a POST without an answer": (
        "submit",
        OutcomeUnknown("no answer"),
        ("retry", "no answer", None),
        ("retry", "no answer", None),
        None,
    ),
    "a POST at another time, as the bucket knows": (
        "find",
        OutcomeUnknown("at another time"),
        ("retry", "at another time", None),
        ("retry", "at another time", None),
        None,
    ),
    "a list that cannot be read": (
        "find",
        ProviderUnavailable("down", retry_after=9),
        ("retry", "down", 9),
        ("fail", "submit_unknown", "down"),
        None,
    ),
    "a key that is refused while a job is looked for": (
        "find",
        NotAllowed("no key"),
        ("retry", "no key", None),
        ("fail", "submit_unknown", "no key"),
        "refused",
    ),
    "a key that is refused while a job is polled": (
        "poll",
        NotAllowed("no key"),
        ("retry", "no key", None),
        ("fail", "timed_out", "no key"),
        "refused",
    ),
    "a key that is refused at the download": (
        "store",
        NotAllowed("no key"),
        ("retry", "no key", None),
        ("fail", "timed_out", "no key"),
        "refused",
    ),
    "a server that is not named while a job is looked for": (
        "find",
        ServerNotNamed("not named"),
        ("retry", "not named", None),
        ("fail", "submit_unknown", "not named"),
        None,
    ),
    "a server that is not named": (
        "poll",
        ServerNotNamed("not named"),
        ("retry", "not named", None),
        ("fail", "provider_gone", "not named"),
        None,
    ),
    "a job of another scene": (
        "poll",
        JobTaken("taken"),
        ("fail", "not_found", "taken"),
        ("fail", "not_found", "taken"),
        None,
    ),
    "a provider that is gone": (
        "poll",
        ProviderGone("gone"),
        ("retry", "gone", GONE_SECONDS),
        ("fail", "provider_gone", "gone"),
        "gone",
    ),
    "a provider that is gone at the download": (
        "store",
        ProviderGone("gone"),
        ("retry", "gone", GONE_SECONDS),
        ("fail", "provider_gone", "gone"),
        "gone",
    ),
    "a job that is not known": (
        "poll",
        gone(),
        ("retry", "not_found: no such job", None),
        ("fail", "not_found", "no such job"),
        None,
    ),
    "a provider that does not answer": (
        "poll",
        ProviderUnavailable("down", retry_after=9),
        ("retry", "down", 9),
        ("fail", "timed_out", "down"),
        "unreachable",
    ),
    "an answer that names no job": (
        "poll",
        UnnamedAnswer("whose?", VideoJob("video_1", "queued")),
        ("retry", "whose?", None),
        ("fail", "timed_out", "whose?"),
        "unreachable",
    ),
    "a provider that does not answer at the download": (
        "store",
        ProviderUnavailable("down", retry_after=9),
        ("retry", "down", None),
        ("fail", "download_failed", "down"),
        None,
    ),
    "a full disk": (
        "store",
        MachineFault("full"),
        ("retry", "full", None),
        ("retry", "full", None),
        None,
    ),
    "a setting that is missing at the download": (
        "store",
        NotConfigured("DO_SPACES_BUCKET"),
        ("retry", "DO_SPACES_BUCKET", None),
        ("retry", "DO_SPACES_BUCKET", None),
        None,
    ),
    "a store that cannot be written": (
        "store",
        failure("storage_failed"),
        ("retry", "no", None),
        ("fail", "storage_failed", "no"),
        None,
    ),
    "a download that breaks off": (
        "store",
        failure("download_failed"),
        ("retry", "no", None),
        ("fail", "download_failed", "no"),
        None,
    ),
    "what is no video": (
        "store",
        failure("invalid_video"),
        ("retry", "invalid_video: no", None),
        ("fail", "invalid_video", "no"),
        None,
    ),
    "what can be no video": (
        "store",
        failure("invalid_video", final=True),
        ("fail", "invalid_video", "no"),
        ("fail", "invalid_video", "no"),
        None,
    ),
    "a machine that fails while it polls": (
        "poll",
        MachineFault("full"),
        ("retry", "full", None),
        ("retry", "full", None),
        None,
    ),
    "a bucket that cannot be asked for a job": (
        "find",
        StorageError("DO_SPACES_ENDPOINT is away"),
        ("retry", "DO_SPACES_ENDPOINT is away", None),
        ("fail", "submit_unknown", "DO_SPACES_ENDPOINT is away"),
        None,
    ),
    "a bucket that cannot be asked for a video": (
        "poll",
        SceneFailure("storage_failed", "DO_SPACES_ENDPOINT is away"),
        ("retry", "DO_SPACES_ENDPOINT is away", None),
        ("fail", "storage_failed", "DO_SPACES_ENDPOINT is away"),
        None,
    ),
    "an adopted job that no row can name": (
        "find",
        Conflict("too long"),
        ("retry", "Conflict: too long", None),
        ("fail", "submit_unknown", "Conflict: too long"),
        None,
    ),
}


@pytest.mark.parametrize(("step", "error", "before", "after", "state"), ROWS.values(), ids=ROWS.keys())
def test_what_becomes_of_a_job_before_and_after_its_deadline(
    step: Step, error: Exception, before: tuple[Any, ...], after: tuple[Any, ...], state: str | None
):
    assert gist(decide(step, error, JOB)) == before
    assert gist(decide(step, error, OVERDUE)) == after
    assert decide(step, error, JOB).provider_state == decide(step, error, OVERDUE).provider_state == state


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_written_for_a_job_that_another_worker_took_over(step: Step):
    for job in (JOB, OVERDUE):
        assert gist(decide(step, LeaseLost("lost"), job)) == ("leave",)


@pytest.mark.parametrize(
    ("step", "code"),
    [("submit", "submit_rejected"), ("find", "submit_unknown"), ("poll", "timed_out"), ("store", "timed_out")],
)
@pytest.mark.parametrize("error", [ValueError("a bug"), MemoryError("a bug"), Unavailable("a bug")])
def test_what_nobody_expected_is_tried_again_until_the_deadline_and_logged_whole(
    step: Step, code: str, error: Exception
):
    reason = f"{type(error).__name__}: a bug"

    assert gist(decide(step, error, JOB)) == ("retry", reason, None)
    assert gist(decide(step, error, OVERDUE)) == ("fail", code, reason)
    assert decide(step, error, JOB).cause is error


def test_every_row_of_the_table_is_reached():
    """A row behind a wider one would say nothing."""
    for at, (steps, kind, _) in enumerate(retry_policy.TABLE):
        covered = {step for others, wider, _ in retry_policy.TABLE[:at] if issubclass(kind, wider) for step in others}
        assert steps - covered, kind


def test_an_intent_that_may_be_in_the_bucket_means_no_job():
    outcome = decide("submit", IntentNotStored("away"), JOB)

    assert isinstance(outcome, Throttle)
    assert outcome.unsent == TOKEN


@pytest.mark.parametrize("step", ["find", "poll", "store"])
@pytest.mark.parametrize("error", [NotSent("busy"), Rejected("no"), Throttled("no"), IntentNotStored("away")])
def test_after_the_intent_no_error_of_a_question_has_the_job_posted_again(step: Step, error: Exception):
    assert isinstance(decide(step, error, JOB), RetryLater)


def test_a_store_that_fails_after_the_post_does_not_have_the_job_posted_again():
    assert isinstance(decide("submit", failure("storage_failed"), JOB), RetryLater)


def test_the_answer_to_a_post_without_a_job_is_kept():
    outcome = decide("submit", OutcomeUnknown("what?", answer="<html>"), JOB)

    assert isinstance(outcome, RetryLater)
    assert outcome.answer == "<html>"


# ---------------------------------------------------------------- what is believed in the end


@pytest.mark.parametrize(
    ("step", "error", "code"),
    [
        ("poll", gone(), "not_found"),
        ("store", gone(), "not_found"),
        ("store", failure("invalid_video", "no such job"), "invalid_video"),
    ],
)
def test_a_provider_is_believed_once_it_said_so_often_enough_in_a_row(step: Step, error: Exception, code: str):
    job, outcomes = JOB, list[Outcome]()
    while not isinstance(job_outcome := decide(step, error, job), FailPermanently):
        assert isinstance(job_outcome, RetryLater)
        assert job_outcome.failures == job.failures + 1
        outcomes.append(job_outcome)
        job = replace(job, failures=job_outcome.failures, last_error=job_outcome.reason)

    assert len(outcomes) == MAX_REFUSALS - 1
    assert gist(job_outcome) == ("fail", code, "no such job")


def test_an_outage_before_a_refusal_counts_for_nothing():
    job = replace(JOB, failures=MAX_REFUSALS * 2, last_error="down")
    outcome = decide("poll", gone(), job)

    assert isinstance(outcome, RetryLater)
    assert outcome.failures == 1


def test_a_provider_that_is_gone_itself_counts_no_failure():
    """Its not knowing a job says nothing."""
    job = replace(JOB, failures=MAX_REFUSALS - 1, last_error="not_found: no such job")
    outcome = decide("poll", ProviderGone("gone"), job)

    assert isinstance(outcome, RetryLater)
    assert outcome.failures == job.failures


@pytest.mark.parametrize(
    ("error", "expired", "code"),
    [
        (gone(), True, "expired"),
        (gone(), False, "not_found"),
        (failure("download_failed", "the video has expired"), False, "expired"),
        (failure("invalid_video"), True, "invalid_video"),
        (failure("download_failed"), True, "download_failed"),
    ],
)
def test_expiry_is_a_hint_and_only_the_providers_word_ends_a_job(error: Exception, expired: bool, code: str):  # noqa: FBT001
    first = decide("store", error, replace(JOB, expired=expired))
    last = decide("store", error, replace(OVERDUE, expired=expired))

    assert isinstance(first, RetryLater)
    assert isinstance(last, FailPermanently)
    assert last.code == code


# ---------------------------------------------------------------- what is no error


def test_a_step_is_tried_though_its_deadline_is_over():
    """A video that is ready is stored all the same."""
    for step in ("find", "poll", "store"):
        assert before_step(step, OVERDUE) is None


@pytest.mark.parametrize(
    ("step", "code"),
    [("submit", "submit_rejected"), ("find", "submit_unknown"), ("poll", "timed_out"), ("store", "timed_out")],
)
def test_an_overdue_job_at_which_worker_after_worker_dies_fails(step: Step, code: str):
    crashed = replace(JOB, crash_count=MAX_CRASHES, last_error="down")
    said = f"{MAX_CRASHES} workers in a row died at it, the last error before: down"

    assert before_step(step, replace(crashed, status="pending")) is None
    assert gist(before_step(step, replace(crashed, overdue=True))) == ("fail", code, said)
    almost = replace(crashed, overdue=True, crash_count=MAX_CRASHES - 1)
    assert step == "submit" or before_step(step, almost) is None


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_scene_that_a_caller_ended_is_not_posted(status: Any):
    assert gist(before_step("submit", replace(OVERDUE, status=status))) == ("discard",)


@pytest.mark.parametrize(("last_error", "why"), [(None, "no worker came"), ("busy", "busy")])
def test_a_scene_is_not_posted_after_its_deadline(last_error: str | None, why: str):
    job = replace(OVERDUE, status="pending", last_error=last_error)

    assert gist(before_step("submit", job)) == ("fail", "submit_rejected", f"not submitted before its deadline: {why}")


@pytest.mark.parametrize("step", STEPS)
def test_what_a_caller_submitted_by_itself_is_polled(step: Step):
    assert step_of(replace(JOB, step=step, sora_video_id=None)) == step
    assert step_of(replace(JOB, step=step)) == ("store" if step == "store" else "poll")


def test_a_job_is_looked_for_as_long_as_the_list_may_lag_behind():
    for job in (JOB, OVERDUE):
        assert gist(after_search(job, "none", find_seconds=2)) == ("retry", "none", None)
        assert gist(after_search(job, "none", find_seconds=1)) == ("fail", "submit_unknown", "none")


@pytest.mark.parametrize(
    ("video", "before", "after"),
    [
        ({"status": "completed"}, (), ()),
        ({"status": "in_progress"}, (), ("fail", "timed_out", "still in_progress at its deadline")),
        ({"status": "failed"}, *[("fail", "provider_failed", "the provider gave no reason")] * 2),
        ({"status": "failed", "error_message": "oh"}, *[("fail", "provider_failed", "oh")] * 2),
        (
            {"status": "failed", "error_code": "moderation_blocked", "error_message": "oh"},
            *[("fail", "moderation_blocked", "oh")] * 2,
        ),
        ({"status": "cancelled"}, *[("fail", "provider_failed", "the provider cancelled it and gave no reason")] * 2),
        ({"status": "expired"}, *[("fail", "expired", "the provider says that it has expired")] * 2),
    ],
)
def test_how_a_job_stands_decides_what_becomes_of_it(
    video: dict[str, str], before: tuple[Any, ...], after: tuple[Any, ...]
):
    asked: Callable[[Job], Outcome | None] = lambda job: after_poll(job, VideoJob("video_1", **video))  # noqa: E731

    assert gist(asked(JOB)) == before
    assert gist(asked(OVERDUE)) == after
