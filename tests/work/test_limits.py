"""Nothing is posted beyond a limit, whatever the number of pollers; what is held waits as long as it must."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from generation_history import provider_settings
from generation_history.errors import JobGone, NotAllowed, NotConfigured, NotSent, OutcomeUnknown, Rejected, Throttled
from generation_history.provider_settings import Limits
from generation_history.work.purge import Purge
from generation_history.work.retry_policy import MAX_REFUSALS
from tests.support.fakes import as_asked, fail_with
from tests.support.scripted_server import answer

WAIT_SECONDS = 20
#: What a video of the usual size and length costs here.
DOLLARS = 4


@pytest.fixture
def price(db, provider):
    """Half a dollar a second at this provider."""
    db.rows("""
        insert into prices (provider, model, size, usd_per_second, valid_from, source)
        values ('127.0.0.1', 'sora-2', '*', 0.5, now() - interval '10 days', 'a test')
    """)


@pytest.fixture
def alarms(caplog):
    """What the log said that somebody should act on."""
    return lambda: [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def steps(db) -> list[str]:
    return [step for (step,) in db.rows("select step from jobs order by step")]


# ---------------------------------------------------------------- the switch


def test_while_submitting_is_off_nothing_is_posted_and_everything_else_goes_on(scenes, provider, db):
    running = scenes.accepted()
    waiting = [scenes.add() for _ in range(3)]
    posted = len(provider.posts)

    scenes.step(3, limits=Limits(submitting=False))

    assert scenes.ended(running) == ("completed", None)
    assert len(provider.posts) == posted
    assert [scenes.job(scene_id) for scene_id in waiting] == [("submit", 0, "SORA_SUBMITTING is off")] * 3
    assert db.rows("select count(*) from jobs where lease_token is not null") == [(0,)]

    scenes.step(2)

    assert [scenes.ended(scene_id) for scene_id in waiting] == [("completed", None)] * 3


def test_a_scene_outlives_any_time_that_submitting_was_off(scenes, provider, db):
    scene_id = scenes.add()
    for _ in range(3):
        scenes.step(limits=Limits(submitting=False))
        db.rows("update jobs set deadline = deadline - interval '23 hours 30 minutes'")

    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)


# ---------------------------------------------------------------- how many


def test_no_more_run_than_may(scenes, provider, stranger):
    """Over all owners."""
    ids = [scenes.add(), scenes.add(by=stranger), scenes.add()]
    limits = Limits(most_running=2)

    provider.before_poll = fail_with(JobGone("restarting"))
    scenes.step(3, limits=limits)
    assert len(provider.posts) == 2
    held = [job for job in map(scenes.job, ids) if job[0] == "submit"]
    assert held == [("submit", 0, "SORA_MAX_RUNNING: 2 jobs are running")]

    provider.before_poll = lambda _: None
    for _ in range(4):
        # A new worker each time: one that was just held back looks at the limit again after a second only.
        scenes.step(limits=limits)
    assert len(provider.posts) == 3
    assert [scenes.job(scene_id) for scene_id in ids] == [None] * 3


def test_a_finished_job_that_is_still_to_be_stored_is_not_running(scenes, scripted, provider):
    scene_id = scenes.accepted()
    provider.fetch = fail_with(RuntimeError)
    scripted.script(lambda connection: connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
    scenes.step()
    assert scenes.job(scene_id)[0] == "store"
    scenes.add()

    scenes.step(limits=Limits(most_running=1))

    assert len(provider.posts) == 2


def test_no_more_are_posted_in_a_minute_than_may(scenes, provider, stranger, db):
    """However quickly they finish."""
    for by in (None, stranger, None):
        scenes.add(by=by)
    limits = Limits(most_per_minute=2)

    scenes.step(5, limits=limits)
    assert len(provider.posts) == 2
    assert db.rows("select last_error from jobs") == [("SORA_MAX_PER_MINUTE: 2 were posted within a minute",)]

    db.rows("update posts set at = at - interval '61 seconds'")
    scenes.step(2, limits=limits)
    assert len(provider.posts) == 3
    assert steps(db) == []


@pytest.mark.parametrize("limits", [Limits(most_running=1), Limits(most_per_minute=1), Limits(usd_per_owner_and_day=4)])
def test_of_two_pollers_at_the_last_place_exactly_one_posts(scenes, make_worker, provider, db, price, limits):
    for _ in range(2):
        scenes.add()
    together = threading.Barrier(2, timeout=WAIT_SECONDS)
    workers = [make_worker(limits=limits, concurrency=1) for _ in range(2)]
    provider.poll = lambda _: pytest.fail("nothing is due to be polled")

    def run(worker) -> None:
        together.wait()
        worker.run(seconds=600)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, workers))

    assert len(provider.posts) == 1
    assert steps(db) == ["poll", "submit"]


@pytest.mark.parametrize(
    "limits", [Limits(most_running=3), Limits(most_per_minute=3), Limits(usd_per_owner_and_day=12)]
)
def test_many_admissions_at_once_stay_within_the_limit(
    queue, submissions, generation_factory, price, provider, db, limits
):
    """Many scenes of one generation take turns anyway; these are of a generation each."""
    for _ in range(8):
        generation_factory(1, submit=True)
    jobs = queue.claim(8)
    together = threading.Barrier(8, timeout=WAIT_SECONDS)

    def admitted(job) -> bool:
        together.wait()
        try:
            submissions.record_submit_intent(
                job, provider="fake", base_url=provider.base_url, request=as_asked(), limits=limits
            )
        except Throttled:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(admitted, jobs)) == 3

    assert db.rows("select count(*) from attempts") == [(3,)]


# ---------------------------------------------------------------- how much


def test_an_owner_spends_no_more_a_day_than_may_be(scenes, provider, stranger, price, db):
    """Each owner for themselves."""
    for by in (None, None, None, stranger):
        scenes.add(by=by)
    limits = Limits(usd_per_owner_and_day=2 * DOLLARS)

    scenes.step(3, limits=limits)

    assert len(provider.posts) == 3
    assert db.rows("select step, failures, last_error from jobs") == [
        ("submit", 0, "SPEND_LIMIT_PER_OWNER_DAY: 8.00 of 8 US dollars are spent today")
    ]
    assert db.rows("select owner_id from jobs") == [(scenes.manager.owner_id,)]


def test_an_owner_at_their_limit_does_not_keep_others_waiting(scenes, provider, stranger, price, db):
    for _ in range(20):
        scenes.add()
    scenes.add("a dog", by=stranger)

    scenes.make_worker(limits=Limits(usd_per_owner_and_day=DOLLARS), concurrency=1).run(seconds=600)

    assert sorted(post.prompt for post in provider.posts) == ["a cat", "a dog"]


def test_a_day_ends_at_midnight_utc(scenes, provider, price, db):
    scenes.add()
    scenes.add()
    limits = Limits(usd_per_owner_and_day=DOLLARS)
    scenes.step(2, limits=limits)
    assert len(provider.posts) == 1

    db.rows("update posts set at = date_trunc('day', now(), 'UTC')")
    scenes.step(limits=limits)
    assert len(provider.posts) == 1

    db.rows("update posts set at = date_trunc('day', now(), 'UTC') - interval '1 ms'")
    scenes.step(limits=limits)
    assert len(provider.posts) == 2


def test_a_post_that_is_made_again_counts_again(scenes, provider):
    """A provider that is busy answers 429 to each."""
    for number in range(4):
        scenes.add(f"scene {number}")
    provider.before_submit = fail_with(NotSent("busy"))

    scenes.step(6, limits=Limits(most_per_minute=5))

    assert len(provider.posts) == 5


def test_what_is_purged_was_spent_all_the_same(scenes, provider, manager, worker_db, store, price, db):
    limits = Limits(usd_per_owner_and_day=DOLLARS)
    first = scenes.add()
    scenes.step(2, limits=limits)
    manager.delete_generation(manager.get_scene(first)["generation_id"], purge=True)
    purge = Purge(worker_db, store, fenced_seconds=-1)
    assert purge.run(seconds=60) == 1

    scenes.add()
    scenes.step(2, limits=limits)

    assert len(provider.posts) == 1


@pytest.mark.parametrize("code", ["submit_rejected", "moderation_blocked"])
def test_what_was_refused_costs_nothing_whatever_the_reason(scenes, provider, price, code):
    scenes.add()
    provider.before_submit = fail_with(Rejected("not this", failure_code=code))
    limits = Limits(usd_per_owner_and_day=DOLLARS)
    scenes.step(limits=limits)
    provider.before_submit = lambda _: None
    scenes.add()

    scenes.step(2, limits=limits)

    assert len(provider.posts) == 2


@pytest.mark.parametrize("error", [NotSent("busy"), NotAllowed("key")], ids=repr)
def test_a_post_that_was_not_taken_is_not_spent(scenes, provider, price, error):
    scene_id = scenes.add()
    limits = Limits(usd_per_owner_and_day=DOLLARS)
    provider.before_submit = fail_with(error)
    scenes.step(2, limits=limits)
    provider.before_submit = lambda _: None

    scenes.step(2, limits=limits)

    assert scenes.ended(scene_id) == ("completed", None)


@pytest.mark.parametrize("limits", [Limits(most_per_minute=1), Limits(usd_per_owner_and_day=DOLLARS)], ids=repr)
def test_an_intent_whose_commit_went_unheard_counts_once(scenes, provider, submissions, price, claimed, limits):
    """The same transaction is done again."""
    job = claimed(scenes.add())
    for _ in range(2):
        submissions.record_submit_intent(
            job, provider="fake", base_url=provider.base_url, request=as_asked(), limits=limits
        )


def test_what_may_have_been_accepted_is_spent(scenes, provider, price):
    """Nobody knows, so it counts."""
    scenes.add()
    provider.before_submit = fail_with(OutcomeUnknown("no answer"))
    limits = Limits(usd_per_owner_and_day=DOLLARS)
    scenes.step(3, limits=limits, find_seconds=0)
    provider.before_submit = lambda _: None
    scenes.add()

    scenes.step(2, limits=limits)

    assert len(provider.posts) == 1


def test_what_was_refused_costs_nothing(scenes, provider, price):
    scenes.add()
    provider.before_submit = fail_with(Rejected("not this"))
    limits = Limits(usd_per_owner_and_day=DOLLARS)
    scenes.step(limits=limits)
    provider.before_submit = lambda _: None
    second = scenes.add()

    scenes.step(2, limits=limits)

    assert scenes.ended(second) == ("completed", None)


def test_without_a_price_nothing_is_posted_under_a_spend_limit(scenes, provider, db):
    scene_id = scenes.add()

    scenes.step(3, limits=Limits(usd_per_owner_and_day=1_000_000))

    reason = "SPEND_LIMIT_PER_OWNER_DAY: there is no price for this video, so the limit cannot be kept"
    assert scenes.job(scene_id) == ("submit", 0, reason)
    assert provider.posts == []

    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)


def test_a_limit_of_no_dollars_stops_even_the_cheapest(scenes, provider, price):
    scenes.add()
    scenes.step(limits=Limits(usd_per_owner_and_day=0))
    assert provider.posts == []


# ---------------------------------------------------------------- being held


def test_what_is_held_has_no_deadline_counts_no_failures_and_is_not_failed(scenes, provider, db):
    running, waiting = scenes.accepted(status="in_progress"), [scenes.add() for _ in range(6)]
    limits = Limits(most_running=1)
    for _ in range(30):
        scenes.step(limits=limits)
        db.rows("update jobs set deadline = deadline - interval '23 hours 30 minutes' where step = 'submit'")

    assert len(provider.posts) == 1
    held = ("submit", 0, "SORA_MAX_RUNNING: 1 jobs are running")
    assert [scenes.job(scene_id) for scene_id in waiting] == [held] * 6
    assert {scenes.read(scene_id)["status"] for scene_id in waiting} == {"pending"}
    assert db.rows("select count(*) from attempts") == [(1,)]

    scenes.step()
    provider.change(scenes.read(running)["sora_video_id"], status="completed")
    scenes.step(2)

    assert [scenes.ended(scene_id) for scene_id in [running, *waiting]] == [("completed", None)] * 7


def test_a_poller_that_is_held_back_does_not_spin(scenes, provider, submissions, monkeypatch):
    """One look at the limit is enough for all that is due."""
    scenes.accepted(status="in_progress")
    for _ in range(20):
        scenes.add()
    looked = []
    throttle = submissions.throttle
    monkeypatch.setattr(
        submissions, "throttle", lambda job, reason, **kinds: (looked.append(job), throttle(job, reason, **kinds))
    )

    scenes.make_worker(limits=Limits(most_running=1)).run(seconds=600)

    assert 1 <= len(looked) <= 4


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SORA_SUBMITTING", "yes"),
        ("SORA_SUBMITTING", "OFF"),
        ("SORA_MAX_RUNNING", "0"),
        ("SORA_MAX_RUNNING", "-1"),
        ("SORA_MAX_RUNNING", "many"),
        ("SORA_MAX_RUNNING", "100001"),
        ("SORA_MAX_PER_MINUTE", "0"),
        ("SORA_MAX_PER_MINUTE", "1.5"),
        ("SORA_MAX_PER_MINUTE", "٣"),
        ("SPEND_LIMIT_PER_OWNER_DAY", "-1"),
        ("SPEND_LIMIT_PER_OWNER_DAY", "$5"),
        ("SPEND_LIMIT_PER_OWNER_DAY", "0.50"),
        ("SPEND_LIMIT_PER_OWNER_DAY", "1000001"),
    ],
)
def test_a_limit_that_cannot_be_right_is_refused_by_name(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(NotConfigured, match=f"^{name} must be"):
        provider_settings.limits()


def test_limits_are_what_is_set_and_none_otherwise(monkeypatch):
    assert provider_settings.limits() == Limits(submitting=True)

    values = {"SORA_SUBMITTING": "off", "SORA_MAX_RUNNING": "3", "SORA_MAX_PER_MINUTE": "20"}
    for name, value in {**values, "SPEND_LIMIT_PER_OWNER_DAY": "0"}.items():
        monkeypatch.setenv(name, value)

    assert provider_settings.limits() == Limits(False, 3, 20, 0)


# ---------------------------------------------------------------- a provider that is gone


def gone(provider) -> None:
    """It answers everything as if it had never had any videos."""
    provider.gone = True
    provider.before_submit = fail_with(Rejected("404 Not Found"))
    provider.before_poll = fail_with(JobGone("404 Not Found"))


def back(provider) -> None:
    provider.gone = False
    provider.before_submit = provider.before_poll = lambda _: None


def test_while_the_provider_is_gone_nothing_fails_and_afterwards_everything_goes_on(
    scenes, provider, db, monitoring, alarms
):
    running, waiting = scenes.accepted(), scenes.add()
    gone(provider)

    scenes.step(30)

    said = f"SORA_BASE_URL: {provider.base_url} answers as if it had no videos at all"
    assert scenes.job(running) == ("poll", 0, said)
    assert scenes.job(waiting) == ("submit", 0, said)
    assert scenes.attempt(waiting) == ("not_sent", None)
    assert db.rows("select bool_and(run_at > now() + interval '9 minutes') from jobs") == [(True,)]
    assert alarms() == [f"the provider is gone: {said}"]
    (state,) = monitoring.health()["providers"]
    assert (state["state"], state["reason"]) == ("gone", said)

    back(provider)
    scenes.step(3)

    assert [scenes.ended(scene_id) for scene_id in (running, waiting)] == [("completed", None)] * 2
    assert [state["state"] for state in monitoring.health()["providers"]] == ["ok"]


def test_a_scene_that_is_not_posted_yet_outlives_any_time_its_provider_was_gone(scenes, provider, db):
    scene_id = scenes.add()
    gone(provider)
    for _ in range(5):
        scenes.step()
        db.rows("update jobs set deadline = deadline - interval '23 hours 30 minutes'")

    back(provider)
    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)


def test_a_finished_job_whose_provider_is_gone_waits_for_it(scenes, provider, scripted, monitoring):
    """It is not refused: nothing is known of it."""
    scene_id = scenes.accepted()
    scripted.script(answer(500))
    scenes.step()
    scripted.script(answer(404))
    gone(provider)

    scenes.step(MAX_REFUSALS + 2)

    assert scenes.job(scene_id)[:2] == ("store", 1)
    assert [state["state"] for state in monitoring.health()["providers"]] == ["gone"]


def test_while_the_provider_is_gone_a_run_posts_once(scenes, provider):
    for number in range(5):
        scenes.add(f"scene {number}")
    gone(provider)

    scenes.step(3, concurrency=1)

    assert len(provider.posts) == 3


def test_a_scene_deleted_while_the_provider_is_gone_is_not_posted_when_it_is_back(scenes, provider, manager):
    scene_id = scenes.add()
    generation_id = manager.get_scene(scene_id)["generation_id"]
    gone(provider)
    refuse = provider.before_submit

    def delete(request):
        manager.delete_generation(generation_id)
        refuse(request)

    provider.before_submit = delete
    scenes.step()
    back(provider)
    scenes.step()

    assert len(provider.posts) == 1
    assert scenes.job(scene_id) is None


def test_a_server_that_is_not_configured_any_more_is_not_told_of(scenes, monitoring):
    monitoring.record_provider_state("http://old.example/v1", "gone", "because")

    scenes.step()

    assert monitoring.health()["providers"] == []


def test_an_accepted_job_whose_provider_is_gone_for_a_day_says_so_and_may_be_retried(scenes, provider, manager):
    scene_id = scenes.accepted()
    gone(provider)
    scenes.step()
    scenes.pass_deadline()

    scenes.step()

    assert scenes.ended(scene_id) == ("failed", "provider_gone")
    assert manager.retry_scene(scene_id)["status"] == "pending"


def test_a_poller_that_stays_warm_notices_what_another_has_noted(scenes, provider, make_worker, monitoring):
    """Else health would call a provider gone for ever that this one has found well all the time."""
    scene_id = scenes.accepted(status="in_progress")
    worker = make_worker()
    scenes.make_due()
    worker.run(seconds=600)
    monitoring.record_provider_state(provider.base_url, "gone", "seen by another poller")

    scenes.make_due()
    worker.run(seconds=600)

    assert [state["state"] for state in monitoring.health()["providers"]] == ["ok"]
    assert scenes.job(scene_id) == ("poll", 0, None)


def test_an_empty_balance_is_one_alarm_however_many_running_jobs_are_polled_meanwhile(
    scenes, provider, monitoring, alarms
):
    scenes.accepted(status="in_progress")
    scenes.add()
    provider.before_submit = fail_with(NotAllowed("402: no balance"))

    for _ in range(5):
        scenes.step()
        assert [state["state"] for state in monitoring.health()["providers"]] == ["refused"]
    assert alarms() == ["the provider is refused: 402: no balance"]

    provider.before_submit = lambda _: None
    scenes.step()

    assert [state["state"] for state in monitoring.health()["providers"]] == ["ok"]


def test_a_refused_key_that_is_mended_is_seen_by_polling_too_where_nothing_is_to_be_posted(
    scenes, provider, monitoring
):
    scenes.accepted(status="in_progress")
    provider.before_poll = fail_with(NotAllowed("401"))
    scenes.step()
    provider.before_poll = lambda _: None

    scenes.step()

    assert [state["state"] for state in monitoring.health()["providers"]] == ["ok"]
