"""Whoever watches is told whether the work gets done, by a token of their own, and nothing of anyone's record."""

import json
from datetime import datetime

import pytest

from generation_history.providers import VideoJob
from generation_history.work.job_queue import JobQueue
from generation_history.work.monitoring import Monitoring
from generation_history.work.submission import Submissions
from ops.health.get_health import _monitoring
from tests.support.fakes import as_asked

TOKEN = "a-token-for-the-monitor"
PROVIDER = "http://provider.test/v1"
NOT_POLLED = "the poller has not run for five minutes"
LATE = "work is due for more than a quarter of an hour"


@pytest.fixture(autouse=True)
def _fresh_instance(monkeypatch):
    """Each test has a database of its own."""
    _monitoring.cache_clear()
    monkeypatch.setenv("HEALTH_TOKEN", TOKEN)
    yield
    _monitoring.cache_clear()


@pytest.fixture
def monitoring(worker_db) -> Monitoring:
    return Monitoring(worker_db)


@pytest.fixture
def polled(monitoring) -> Monitoring:
    """The poller has just run."""
    monitoring.heartbeat("poller")
    return monitoring


@pytest.fixture
def look(call):
    """The health with the right token, or with other headers."""

    def ask(**headers: str):
        return call("ops/health", headers=headers or {"authorization": f"Bearer {TOKEN}"})

    return ask


@pytest.fixture
def problems(look):
    """The sentences of a 503, or none of a 200."""

    def found() -> list[str]:
        seen = look()
        assert seen.json["healthy"] == (not seen.json["problems"])
        assert seen.status == (503 if seen.json["problems"] else 200)
        return seen.json["problems"]

    return found


# ---------------------------------------------------------------- who may look


@pytest.mark.parametrize(
    "headers",
    [
        {"x-none": ""},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Bearer {TOKEN} {TOKEN}"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"authorization": "Bearer schön-\ud800"},
        {"x-token": TOKEN},
    ],
    ids=repr,
)
def test_it_opens_to_its_token_alone(look, polled, headers):
    look(**headers).refused(401, "not_authenticated")


def test_a_path_that_is_not_there_needs_the_token_as_well(call):
    call("ops/health", "/no/such").refused(401, "not_authenticated")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_scheme_may_be_written_any_way(look, polled, scheme):
    assert look(authorization=f"{scheme} {TOKEN}").status == 200


@pytest.mark.parametrize(("value", "said"), [(None, "is not set"), ("none", "is not set"), ("short", "16 characters")])
def test_without_a_token_nobody_may_look(look, polled, monkeypatch, value, said):
    if value is None:
        monkeypatch.delenv("HEALTH_TOKEN")
    else:
        monkeypatch.setenv("HEALTH_TOKEN", value)
    sentence = look(authorization=f"Bearer {value}").refused(503, "not_configured")
    assert sentence.startswith("HEALTH_TOKEN")
    assert said in sentence


def test_a_database_that_is_not_named_is_told(look, monkeypatch):
    monkeypatch.delenv("WORKER_DATABASE_URL", raising=False)
    assert "WORKER_DATABASE_URL" in look().refused(503, "not_configured")


# ---------------------------------------------------------------- problems


def test_all_is_well_where_nothing_is_to_do(look, polled):
    seen = look()

    assert seen.status == 200
    assert seen.json | {"seconds_since_poll": 0} == {
        "success": True,
        "healthy": True,
        "problems": [],
        "seconds_since_poll": 0,
        "backlog": 0,
        "backlog_to_submit": 0,
        "oldest_due_seconds": 0,
        "seconds_since_purge": None,
        "stuck": 0,
        "stuck_reason": None,
        "soonest_expiry_seconds": None,
        "failures_by_code": {},
        "providers": [],
    }
    assert 0 <= seen.json["seconds_since_poll"] < 60


def test_a_poller_that_never_ran_is_a_problem(problems, db):
    assert problems() == [NOT_POLLED]


@pytest.mark.parametrize(("seconds", "said"), [(290, []), (301, [NOT_POLLED])])
def test_a_poller_that_ran_too_long_ago_is_a_problem(problems, polled, db, seconds, said):
    db.rows("update pulses set at = now() - make_interval(secs => %s)", seconds)
    assert problems() == said


def test_another_functions_pulse_is_not_the_pollers(problems, monitoring):
    monitoring.heartbeat("purge")
    assert problems() == [NOT_POLLED]


@pytest.mark.parametrize(("seconds", "said"), [(890, []), (901, [LATE])])
def test_work_that_nobody_does_is_a_problem(problems, polled, generation_factory, db, seconds, said):
    generation_factory(2, submit=True)
    db.rows("update jobs set run_at = now() - make_interval(secs => %s)", seconds)
    assert problems() == said


def test_work_that_waits_for_a_limit_is_none(problems, polled, generation_factory, db):
    generation_factory(2, submit=True)
    db.rows("update jobs set run_at = now() - interval '1 day'")

    Submissions(polled._db).throttle_due("SORA_SUBMITTING is off")

    assert problems() == []


@pytest.mark.parametrize(("state", "bad"), [("refused", True), ("gone", True), ("unreachable", False), ("ok", False)])
def test_a_provider_that_needs_a_person_is_a_problem(problems, polled, state, bad):
    polled.record_provider_state(PROVIDER, state, "because")
    assert problems() == ([f"the provider {PROVIDER} is {state}: because"] if bad else [])


@pytest.mark.parametrize(("minutes", "said"), [(14, []), (16, [f"the provider {PROVIDER} is unreachable: down"])])
def test_a_provider_that_cannot_be_reached_for_long_is_a_problem(problems, polled, db, minutes, said):
    polled.record_provider_state(PROVIDER, "unreachable", "down")
    db.rows("update provider_states set since = now() - make_interval(mins => %s)", minutes)
    assert problems() == said


@pytest.mark.parametrize(("step", "failures", "bad"), [("store", 8, True), ("store", 7, False), ("submit", 8, False)])
def test_paid_work_that_fails_again_and_again_is_a_problem(
    problems, polled, generation_factory, db, step, failures, bad
):
    """The store may be down, and each scene wait for its next try: then nothing is ever due for long."""
    generation_factory(2, submit=True)
    db.rows("update jobs set step = %s, failures = %s, last_error = 'the bucket is full'", step, failures)
    db.rows("update jobs set run_at = now() + interval '5 minutes'")

    assert problems() == (["2 scenes fail again and again, last: the bucket is full"] if bad else [])


def test_paid_work_that_is_late_is_a_problem_though_it_failed_before(problems, polled, generation_factory, db):
    generation_factory(1, submit=True)
    db.rows("update jobs set step = 'poll', last_error = 'down', run_at = now() - interval '1 hour'")
    assert problems() == [LATE]


@pytest.mark.parametrize(("hours", "said"), [(3, []), (5, ["the purge has not run for four hours"])])
def test_a_purge_that_does_not_run_any_more_is_a_problem(problems, polled, db, hours, said):
    polled.heartbeat("purge")
    db.rows("update pulses set at = now() - make_interval(hours => %s) where name = 'purge'", hours)
    assert problems() == said


def test_a_provider_that_is_back_is_no_problem_any_more(problems, polled):
    assert polled.record_provider_state(PROVIDER, "gone", "because")
    assert not polled.record_provider_state(PROVIDER, "gone", "because")
    assert polled.record_provider_state(PROVIDER, "ok", None)
    assert problems() == []


def test_every_problem_is_told(problems, monitoring, generation_factory, db):
    generation_factory(1, submit=True)
    db.rows("update jobs set run_at = now() - interval '1 hour'")
    monitoring.record_provider_state(PROVIDER, "gone", "because")
    monitoring.record_provider_state("http://another.test/v1", "refused", "no balance")

    assert problems() == [
        NOT_POLLED,
        LATE,
        "the provider http://another.test/v1 is refused: no balance",
        f"the provider {PROVIDER} is gone: because",
    ]


# ---------------------------------------------------------------- figures


def test_figures_are_of_all_owners_work(look, polled, generation_factory, stranger, db):
    generation_factory(2, submit=True)
    generation_factory(1, submit=True, by=stranger)
    generation_factory(4)
    db.rows("update jobs set run_at = now() - interval '5 minutes'")
    (first, *_) = JobQueue(polled._db, lease_seconds=60).claim(1)
    Submissions(polled._db).record_submit_intent(first, provider="fake", base_url=PROVIDER, request=as_asked())
    expires_at = datetime.fromisoformat(db.rows("select (now() + interval '2 hours')::text")[0][0])
    Submissions(polled._db).accept(first, VideoJob(id="video_1", status="queued", expires_at=expires_at))

    seen = look().json

    assert (seen["backlog"], seen["backlog_to_submit"]) == (3, 2)
    assert 300 <= seen["oldest_due_seconds"] < 360
    assert 7100 < seen["soonest_expiry_seconds"] <= 7200


def test_failures_of_the_last_day_are_counted_by_their_code(look, polled, generation_factory, db):
    generation_factory(5, submit=True)
    codes = ["expired", "expired", "provider_failed", "timed_out", "moderation_blocked"]
    for job, code in zip(JobQueue(polled._db, lease_seconds=60).claim(5), codes, strict=True):
        Submissions(polled._db).record_submit_intent(job, provider="fake", base_url=PROVIDER, request=as_asked())
        JobQueue(polled._db, lease_seconds=60).fail_permanently(job, code, "a reason")
    db.rows("update attempts set finished_at = now() - interval '25 hours' where error_code = 'timed_out'")
    db.rows("update attempts set finished_at = now() - interval '23 hours' where error_code = 'moderation_blocked'")

    assert look().json["failures_by_code"] == {"expired": 2, "provider_failed": 1, "moderation_blocked": 1}


def test_a_provider_is_told_with_its_state_and_since_when(look, polled):
    polled.record_provider_state(PROVIDER, "unreachable", "down")

    (provider,) = look().json["providers"]

    assert set(provider) == {"base_url", "state", "reason", "since", "seconds"}
    assert datetime.fromisoformat(provider["since"]).tzinfo


def test_nothing_of_an_owners_record_is_in_it(look, polled, generation_factory, manager, owner):
    made = generation_factory(2, submit=True, source_video_url="https://video.example/a-secret-ad")
    (job, _) = JobQueue(polled._db, lease_seconds=60).claim(2)
    Submissions(polled._db).record_submit_intent(job, provider="fake", base_url=PROVIDER, request=as_asked())
    JobQueue(polled._db, lease_seconds=60).fail_permanently(
        job, "moderation_blocked", "a prompt that nobody else may read"
    )

    shown = json.dumps(look().json)

    scene = made["variants"][0]["scenes"][0]
    for private in (made["id"], owner, scene["id"], "a-secret-ad", "soft scene", "nobody else may read"):
        assert private not in shown
