"""What gateways say in other words and shapes is understood, and no other job is taken for the one asked about."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from generation_history.errors import JobGone, NotAllowed, NotSent, OutcomeUnknown, ProviderUnavailable, Rejected
from generation_history.providers import UnnamedAnswer, VideoRequest
from generation_history.providers.plain_values import MAX_ANSWER_LENGTH, moment
from generation_history.providers.sora import SoraProvider
from generation_history.providers.words import says_expired
from tests.support.scripted_server import answer, head, raw

KEY = 'sk-secret-0123456789/+"'
WANTED = VideoRequest("a cat", "sora-2", "720x1280", 8)
JOB = {"id": "video_1", "status": "queued"}
NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.fixture
def provider(scripted) -> SoraProvider:
    return SoraProvider(scripted.base_url, KEY)


@pytest.fixture
def submit(provider, scripted):
    def submit(body, status=200):
        scripted.script(answer(status, body))
        return provider.submit(WANTED)

    return submit


@pytest.fixture
def poll(provider, scripted):
    def poll(body, status=200, *, job_id="video_1"):
        scripted.script(answer(status, body))
        return provider.poll(job_id)

    return poll


# ---------------------------------------------------------------- words

OVER = {
    "completed": "succeeded success SUCCESS done complete COMPLETED finished FINISH ready Succeed JOB_STATE_SUCCEEDED"
    " TASK_STATUS_SUCCEED video_generation_completed",
    "failed": "failure FAILURE error ERROR FAILED rejected timeout timed_out TimedOut aborted generation-failed"
    " budget_exceeded incomplete moderated content_policy_violation",
    "cancelled": "cancelled canceled CANCELED terminated",
    "expired": "expired EXPIRED Expired",
}
WORDS = [(word, meaning) for meaning, words in OVER.items() for word in words.split()]


@pytest.mark.parametrize(("word", "meaning"), [*WORDS, (" completed ", "completed"), ("timed out", "failed")])
def test_a_word_for_what_is_over_ends_it(poll, word, meaning):
    assert poll({"id": "video_1", "status": word}).status == meaning


@pytest.mark.parametrize(
    "status", ["IN_QUEUE", "In Progress", "not-started", "völlig neu", "", None, 3, 0, 200, True, [], {}, {"x": 1}]
)
def test_any_other_status_means_still_running(poll, status):
    assert poll({"id": "video_1", "status": status}).status not in OVER


@pytest.mark.parametrize(
    "shape",
    [
        {"state": "SUCCESS"},
        {"task_status": "SUCCESS"},
        {"taskStatus": "SUCCESS", "status": 200},
        {"phase": "SUCCESS"},
        {"status": {"state": "SUCCESS"}},
        {"status": {"phase": "SUCCESS", "code": 0}},
        {"status": None, "state": "SUCCESS"},
        {"done": True},
        {"data": {"status": "SUCCESS"}},
    ],
    ids=json.dumps,
)
def test_the_status_may_have_another_name_or_shape(poll, shape):
    assert poll({"id": "video_1"} | shape).status == "completed"


@pytest.mark.parametrize(
    "shape",
    [
        {"status": "success", "data": {"id": "video_1", "status": "processing"}},
        {"status": "success", "data": {"id": "video_1"}},
        {"status": "error", "data": {"id": "video_1"}},
        {"id": "video_1", "status": "success", "task_status": "processing"},
        {"id": "video_1", "status": "success", "data": {"status": "processing"}},
        {"id": "video_1", "status": "success", "data": {"id": "video_1", "status": "running"}},
        {"code": "success", "message": "SUCCEED", "data": {"id": "video_1", "progress": 10}},
    ],
    ids=json.dumps,
)
def test_that_the_request_went_well_or_not_does_not_end_the_job(poll, shape):
    assert poll(shape).status not in OVER


REASONS = [
    {"error": "blocked by X"},
    {"error": {"message": "blocked by X"}},
    {"error": {"detail": "blocked by X"}},
    {"error": [{"message": "blocked by X"}]},
    {"error": {"code": 1301, "message": "blocked by X"}},
    {"error": {"code": 0, "message": ""}, "fail_reason": "blocked by X"},
    *({name: "blocked by X"} for name in ("fail_reason", "failure_reason", "failReason", "failure", "reason")),
    *({name: "blocked by X"} for name in ("status_message", "task_status_msg", "error_message", "errorMessage")),
    *({name: "blocked by X"} for name in ("message", "detail")),
    {"error": {"code": 5}, "detail": "blocked by X"},
    {"failure": {"reason": "blocked by X"}},
    {"status": {"state": "failed", "reason": "blocked by X"}},
]


@pytest.mark.parametrize("why", REASONS, ids=json.dumps)
def test_the_reason_is_read_wherever_it_is(poll, why):
    assert poll({"id": "video_1", "status": "FAILURE"} | why).error_message == "blocked by X"


def test_the_reason_may_stand_around_the_job_and_a_good_request_is_none(poll):
    task = {"task_id": "video_1", "task_status": "failed"}

    assert poll({"message": "SUCCEED", "data": task}).error_message is None
    assert poll({"message": "SUCCEED", "data": task | {"task_status_msg": "no GPU"}}).error_message == "no GPU"
    assert poll({"message": "no GPU", "data": task}).error_message == "no GPU"


@pytest.mark.parametrize(
    "code", ["content_policy_violation", "moderation", "SAFETY.INPUT.TEXT", "nsfw", "flagged", "ContentFilter"]
)
@pytest.mark.parametrize("shape", ["code", "type", "reason", "text"])
def test_moderation_has_many_names(poll, submit, code, shape):
    why = {
        "code": {"error": {"code": code, "message": "no"}},
        "type": {"error": {"type": code, "code": 400}},
        "reason": {"fail_reason": code},
        "text": {"error": code},
    }[shape]

    assert poll({"id": "video_1", "status": "failed"} | why).error_code == "moderation_blocked"
    with pytest.raises(Rejected) as raised:
        submit(why, 400)
    assert raised.value.failure_code == "moderation_blocked"


@pytest.mark.parametrize(
    "code", ["moderation_service_unavailable", "safety_check_timeout", "server_error", "ip_blocked"]
)
def test_a_check_that_broke_is_no_moderation(poll, code):
    assert poll({"id": "video_1", "status": "failed", "error": {"code": code}}).error_code == code


# ---------------------------------------------------------------- what a POST was answered with

IDS = ("_id", "ID", "task_id", "taskId", "job_id", "jobId", "video_id", "generation_id", "request_id", "uuid")
ACCEPTED = {
    **{name: {name: "video_1"} for name in IDS},
    "no status": {"id": "video_1"},
    "a status of null": {"id": "video_1", "status": None},
    "a status of another type": {"id": "video_1", "status": 1},
    "a list": [JOB],
    "an error beside it": {"id": "video_1", "error": {"message": "slow"}},
    **{name: {name: JOB} for name in ("data", "result", "response", "output", "video", "task", "job", "body", "Data")},
    "a list in an object": {"data": [JOB]},
    "twice wrapped": {"code": 0, "data": {"task": {"task_id": "video_1"}}},
    "an event's": {"id": "evt_9", "object": "event", "type": "video.created", "data": {"id": "video_1"}},
    "a request's": {"id": "req_9", "status": "success", "data": {"id": "video_1", "status": "queued"}},
    "a request's and a task's": {"request_id": "9", "output": {"task_id": "video_1", "task_status": "PENDING"}},
    "a chat's": {"id": "chatcmpl-9", "object": "chat.completion", "task_id": "video_1", "choices": []},
    "a chat's, which says no more": {"id": "chatcmpl-9", "video_id": "video_1", "status": "queued"},
    "a row's number": {
        "id": 17,
        "task_id": "video_1",
        "status": "SUBMITTED",
        "data": {"id": "up_9", "status": "queued"},
    },
    "a video's file": {
        "id": "video_1",
        "object": "video",
        "status": "queued",
        "output": {"id": "file_9", "status": "new"},
    },
    "a video with its task": {"id": "video_1", "object": "video", "status": "queued", "task_id": "up_9"},
    "alone": {"code": "success", "data": "video_1"},
}


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_an_accepted_id_is_found_wherever_it_is_and_the_answer_kept(submit, body):
    job = submit(body)

    assert job.id == "video_1"
    assert json.loads(job.answer) == body


@pytest.mark.parametrize(("number", "job_id"), [(7, "7"), (10**30, str(10**30)), (12345678.0, "12345678")])
def test_a_number_is_an_id_too(submit, poll, number, job_id):
    assert submit({"id": number, "status": "queued"}).id == job_id
    assert poll({"id": number, "status": "queued"}, job_id=job_id).id == job_id


def test_what_is_just_as_documented_is_not_kept_twice(submit, poll):
    for status in ("queued", "in_progress", "completed", "failed"):
        assert submit(JOB | {"status": status}).answer is poll(JOB | {"status": status}).answer is None
    assert json.loads(poll(JOB | {"status": "völlig neu"}).answer) == JOB | {"status": "völlig neu"}


NO_ID = {
    "nothing known": {"ok": True},
    "an error": {"code": 500, "message": "no balance", "data": None},
    "an error's request": {"error": {"message": "oops"}, "request_id": "r_1"},
    "a word": {"code": 1, "result": "success"},
    "a small number": {"code": 0, "result": 1},
    "a chat": {"id": "chatcmpl-1", "object": "chat.completion", "choices": []},
    "an event": {"id": "evt_1", "object": "event"},
    "two jobs": {"data": [{"id": "a"}, {"id": "b"}]},
    "a dot": {"id": "."},
    "two dots": {"id": ".."},
    "a space": {"id": " "},
    "too long an id": {"id": "x" * 1001},
    "an id of too many bytes": {"id": "\U0001f600" * 600},
    "true": {"id": True},
    "half a number": {"id": 1.5},
}


@pytest.mark.parametrize("body", NO_ID.values(), ids=NO_ID.keys())
def test_an_answer_without_an_id_leaves_the_outcome_unknown_and_is_kept(submit, body):
    with pytest.raises(OutcomeUnknown) as raised:
        submit(body)

    assert json.loads(raised.value.answer) == body


@pytest.mark.parametrize("page", [{"object": "list", "data": [JOB]}, {"data": [JOB], "has_more": False}], ids=repr)
def test_a_list_in_answer_to_a_post_is_anybodys(submit, page):
    """A POST that a redirect or a cache turned into a GET."""
    with pytest.raises(OutcomeUnknown) as raised:
        submit(page)

    assert raised.value.answer is None


KEPT = {
    "a page": (answer(502, b"<html>Bad gateway</html>"), "<html>Bad gateway</html>"),
    "half": (raw(head(200, {"Content-Length": 500}) + b'{"id": "video_1"'), '{"id": "video_1"'),
    "what no row takes": (answer(200, b"a\0b\xff"), "ab�"),
    "half a pair": (answer(200, {"x": "\ud800"}), '{"x": "?"}'),
    "too much": (answer(200, b"a" * 9000), "a" * MAX_ANSWER_LENGTH),
    "our key": (answer(500, {"x": f"key {KEY}."}), '{"x": "key ***."}'),
    "our key on a page": (answer(500, f"key {KEY}.".encode()), "key ***."),
    "our key in JSON that breaks off": (
        answer(500, b'{"x": ' + json.dumps(KEY).replace("/", "\\/").encode()),
        '{"x": "***"',
    ),
    "a place": (answer(202, b"", Location="/v1/videos/video_1"), "Location: /v1/videos/video_1\n"),
}


@pytest.mark.parametrize(("given", "kept"), KEPT.values(), ids=KEPT.keys())
def test_what_came_is_kept_bounded_storable_and_without_our_key(provider, scripted, given, kept):
    scripted.script(given)

    with pytest.raises(OutcomeUnknown) as raised:
        provider.submit(WANTED)

    assert raised.value.answer == kept
    assert KEY not in repr(raised.value)


@pytest.mark.parametrize("status", [400, 402, 403, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("body", [JOB, {"task_id": "video_1", "task_status": "SUBMITTED"}, {"data": JOB}], ids=repr)
def test_an_error_that_comes_with_a_running_job_has_made_it(submit, status, body):
    """It would be paid for twice."""
    assert submit(body, status).id == "video_1"


MAYBE = [{"id": "video_1", "error": "x"}, {"task_id": "video_1"}, {"error": {"message": "x", "video_id": "video_1"}}]


@pytest.mark.parametrize("status", [400, 402, 403, 409, 429, 500])
@pytest.mark.parametrize("body", MAYBE, ids=repr)
def test_an_error_with_an_id_that_may_be_a_jobs_leaves_the_outcome_unknown(submit, status, body):
    with pytest.raises(OutcomeUnknown) as raised:
        submit(body, status)

    assert "video_1" in raised.value.answer


def test_a_conflict_may_tell_of_somebody_elses_job(submit):
    with pytest.raises(OutcomeUnknown):
        submit(JOB, 409)


REFUSALS = [
    {"error": {"message": "no", "request_id": "r1"}},
    {"id": "req_1", "error": {"message": "no"}},
    {"request_id": "r1", "status": "error", "message": "no"},
    {"id": "task_1", "status": "failed", "error": {"message": "no"}},
    {"id": "err", "object": "error", "status": 400},
]


@pytest.mark.parametrize("body", REFUSALS, ids=repr)
@pytest.mark.parametrize(("status", "error"), [(400, Rejected), (402, NotAllowed), (429, NotSent)])
def test_an_error_without_a_job_or_with_one_that_failed_at_once_is_a_refusal(submit, status, error, body):
    with pytest.raises(error):
        submit(body, status)


# ---------------------------------------------------------------- whose answer it is

OTHERS = [
    {"id": "video_2", "status": "completed"},
    {"id": "VIDEO_1", "status": "completed"},
    {"id": "video_1 ", "status": "completed"},
    {"data": {"id": "video_2", "status": "completed"}},
    {"data": [{"id": "video_2", "status": "completed"}]},
    {"object": "list", "data": [{"id": "video_2", "status": "completed", "prompt": "secret"}]},
    {"id": 1, "status": "completed"},
]


@pytest.mark.parametrize("body", OTHERS, ids=repr)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_another_jobs_answer_is_not_taken_for_that_of_the_one_asked_about(poll, body, status):
    """A proxy merges slashes and drops dot segments, a database may not care for case."""
    with pytest.raises(ProviderUnavailable) as raised:
        poll(body, status)

    assert not isinstance(raised.value, UnnamedAnswer)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("status", ["completed", "failed", "processing"])
def test_an_answer_that_names_no_job_is_taken_only_for_an_id_that_the_provider_gave(poll, status):
    body = {"status": status, "error": {"message": "why"}}
    for said in (body, {"data": body}):
        with pytest.raises(UnnamedAnswer) as raised:
            poll(said)

        assert (raised.value.job.id, raised.value.job.status) == ("video_1", status)


@pytest.mark.parametrize("body", [{"status": "success"}, {"status": "error"}, {"message": "x"}, {"done": None}])
def test_an_answer_that_says_nothing_of_a_job_is_none(poll, body):
    with pytest.raises(ProviderUnavailable) as raised:
        poll(body)

    assert not isinstance(raised.value, UnnamedAnswer)


@pytest.mark.parametrize(
    "body",
    [
        {"code": "success", "data": {"id": 17, "task_id": "video_1", "status": "SUCCESS", "data": {"id": "up_9"}}},
        {"id": "x_9", "status": "processing", "data": {"id": "video_1", "status": "completed"}},
        {"id": "x_9", "task_id": "video_1", "status": "completed"},
        {"data": [{"id": "video_0", "status": "failed"}, {"id": "video_1", "status": "completed"}]},
    ],
    ids=repr,
)
def test_of_several_jobs_in_an_answer_it_is_the_one_asked_about(poll, body):
    assert (poll(body).id, poll(body).status) == ("video_1", "completed")


def test_the_other_ids_of_a_job_are_told_and_other_jobs_are_not_kept(poll):
    assert poll({"id": "x_9", "task_id": "video_1", "status": "done"}).other_ids == ("x_9",)
    assert poll(JOB).other_ids == ()
    assert "secret" not in poll({"data": [{"id": "video_0", "prompt": "secret"}, JOB]}).answer


@pytest.mark.parametrize("job_id", ["", ".", "..", " ", "a\0"])
def test_an_id_that_leads_elsewhere_is_not_asked_about(provider, scripted, job_id):
    with pytest.raises(JobGone):
        provider.poll(job_id)

    assert scripted.requests == []


@pytest.mark.parametrize("body", [{"id": "video_1", "error": "gone"}, {"id": "video_1", "status": "error"}], ids=repr)
def test_an_error_that_repeats_the_id_is_still_an_error(poll, body):
    with pytest.raises(JobGone):
        poll(body, 404)


# ---------------------------------------------------------------- lists


@pytest.mark.parametrize("wrap", [lambda jobs: {"items": jobs}, lambda jobs: {"data": {"items": jobs}}])
def test_a_list_may_be_wrapped_and_its_jobs_named_otherwise(provider, scripted, wrap):
    asked = {
        "prompt": "a cat",
        "model": "sora-2",
        "size": "720x1280",
        "seconds": 8,
        "createdAt": "2026-11-27T12:00:00Z",
    }
    scripted.script(answer(200, wrap([asked | {"task_id": "T", "status": "SUCCESS"}]) | {"has_more": False}))

    found = provider.find(WANTED, since=NOW - timedelta(minutes=1), until=NOW + timedelta(minutes=1))

    assert [(job.id, job.status) for job in found] == [("T", "completed")]


# ---------------------------------------------------------------- times

UNIX = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (UNIX, NOW),
        (str(UNIX), NOW),
        (UNIX * 1000, NOW),
        (UNIX * 1_000_000, NOW),
        ("2026-11-27T12:00:00Z", NOW),
        ("2026-11-27T13:00:00+01:00", NOW),
        ("2026-11-27T12:00:00", NOW),
        (3600, NOW + timedelta(hours=1)),
        ("3600", NOW + timedelta(hours=1)),
        *((odd, None) for odd in (0, "0", -1, True, None, "", "soon", 5e8, 1e30, float("inf"), float("nan"), [], {})),
    ],
    ids=repr,
)
def test_a_time_is_read_in_the_units_that_providers_use(value, meant):
    assert moment(value, since=NOW) == meant


def test_a_length_of_time_does_not_say_when_a_job_was_made(poll):
    assert poll(JOB | {"created_at": 3600}).created_at is None
    assert poll(JOB | {"expires_at": "3600"}).expires_at > datetime.now(UTC) + timedelta(minutes=59)


@pytest.mark.parametrize(
    "said", ["Your session has expired", "API key expired", "the signed url has expired", "expiry"]
)
def test_that_something_else_has_expired_is_not_said_of_the_video(said):
    assert not says_expired(said)
