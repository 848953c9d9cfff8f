"""An accepted job is asked about until it is over, and a scene fails only for a reason that stands."""

import logging
from datetime import UTC, datetime

import pytest

from generation_history import backoff
from generation_history.errors import JobGone, NotAllowed, ProviderUnavailable
from generation_history.providers.factory import Providers
from generation_history.work import retry_policy
from tests.support.fakes import fail_with
from tests.support.scripted_server import answer


@pytest.mark.parametrize("status", ["queued", "in_progress", "processing", "völlig neu", "x" * 300, ""])
def test_any_other_status_means_still_running_until_the_deadline(scenes, status):
    scene_id = scenes.accepted(status=status)
    scenes.step(20)
    assert scenes.job(scene_id) == ("poll", 0, None)
    assert scenes.read(scene_id)["sora_status"] == status[:50]
    scenes.pass_deadline()

    scenes.step()

    assert scenes.ended(scene_id) == ("failed", "timed_out")


def test_a_job_that_finished_while_no_worker_was_there_comes_home_after_its_deadline(scenes):
    """The provider still has it, and it is paid for."""
    scene_id = scenes.accepted()
    scenes.pass_deadline()

    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)


@pytest.mark.parametrize(
    ("error_code", "code"),
    [("moderation_blocked", "moderation_blocked"), ("provider_error", "provider_failed"), (None, "provider_failed")],
)
def test_a_failed_job_fails_its_scene_and_says_why(scenes, error_code, code):
    scene_id = scenes.accepted(status="failed", error_code=error_code, error_message="not this one")

    scenes.step()

    assert scenes.ended(scene_id) == ("failed", code)
    assert scenes.read(scene_id)["error_message"] == "not this one"


def test_a_failed_job_without_a_reason_says_so(scenes):
    scene_id = scenes.accepted(status="failed")

    scenes.step()

    assert scenes.read(scene_id)["error_message"] == "the provider gave no reason"


def test_what_the_provider_says_of_expiry_is_kept(scenes):
    expires_at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    scene_id = scenes.accepted(status="in_progress", expires_at=expires_at)

    scenes.step()

    assert datetime.fromisoformat(scenes.read(scene_id)["expires_at"]) == expires_at


def test_a_job_the_provider_does_not_know_is_not_found_after_several_times(scenes, provider):
    scene_id = scenes.accepted()
    provider.jobs.clear()

    scenes.step(retry_policy.MAX_REFUSALS - 1)
    assert scenes.job(scene_id) == ("poll", retry_policy.MAX_REFUSALS - 1, "not_found: no such job")
    scenes.step()

    assert scenes.ended(scene_id) == ("failed", "not_found")


def test_a_job_that_is_known_again_is_not_lost(scenes, provider):
    scene_id = scenes.accepted()
    provider.before_poll = fail_with(JobGone("restarting"))
    scenes.step(retry_policy.MAX_REFUSALS - 1)

    provider.before_poll = lambda _: None
    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)


def test_an_outage_does_not_fail_a_scene_even_if_it_ends_in_not_found(scenes, provider):
    scene_id = scenes.accepted()
    provider.before_poll = fail_with(ProviderUnavailable("down"))
    scenes.step(30)
    assert scenes.job(scene_id) == ("poll", 30, "down")

    provider.before_poll = fail_with(JobGone("restarting"))
    scenes.step(retry_policy.MAX_REFUSALS - 1)

    assert scenes.read(scene_id)["status"] == "processing"


@pytest.mark.parametrize("given", [answer(500), answer(200, b"<html>", kind="text/html")])
def test_an_outage_before_does_not_count_against_the_download(scenes, provider, scripted, given):
    scene_id = scenes.accepted()
    provider.before_poll = fail_with(ProviderUnavailable("down"))
    scenes.step(30)
    provider.before_poll = lambda _: None
    scripted.script(given)

    scenes.step()

    assert scenes.job(scene_id)[:2] == ("store", 1)


def test_a_busy_provider_is_left_alone_as_long_as_it_says(scenes, provider, db):
    scenes.accepted()
    provider.before_poll = fail_with(ProviderUnavailable("busy", retry_after=500))

    scenes.step()

    assert db.rows("select run_at > now() + interval '490 s' from jobs") == [(True,)]


def test_a_refused_key_keeps_the_job_and_raises_the_alarm_once(scenes, provider, caplog):
    scene_id = scenes.accepted()
    provider.before_poll = fail_with(NotAllowed("OPENAI_API_KEY was refused"))

    scenes.step(20)

    assert scenes.job(scene_id) == ("poll", 20, "OPENAI_API_KEY was refused")
    alarms = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert alarms == ["the provider is refused: OPENAI_API_KEY was refused"]


@pytest.mark.parametrize(
    "error", [ProviderUnavailable("down"), NotAllowed("key"), JobGone("gone"), ValueError("a bug")]
)
def test_every_trouble_ends_at_the_deadline_with_its_reason(scenes, provider, error):
    scene_id = scenes.accepted()
    provider.before_poll = fail_with(error)
    scenes.pass_deadline()

    scenes.step()

    assert scenes.ended(scene_id)[0] == "failed"
    assert str(error) in scenes.read(scene_id)["error_message"]


def test_a_server_that_is_not_configured_any_more_is_waited_for(scenes, provider, caplog):
    """A slip in SORA_BASE_URL must not fail everything that is on its way."""
    scene_id = scenes.accepted()
    other = type(provider)("http://other.test/v1")
    scenes.step(20, providers=Providers([other]))
    assert f"SORA_BASE_URL does not name {provider.base_url}" in caplog.text

    scenes.step(providers=Providers([other, provider]))

    assert scenes.ended(scene_id) == ("completed", None)


def test_a_server_that_is_not_configured_at_the_deadline_is_gone(scenes, provider):
    scene_id = scenes.accepted()
    scenes.pass_deadline()

    scenes.step(providers=Providers([type(provider)("http://other.test/v1")]))

    assert scenes.ended(scene_id) == ("failed", "provider_gone")


def test_a_job_is_asked_about_where_it_was_submitted(scenes, provider):
    """Not where new jobs go today."""
    scene_id = scenes.accepted()
    other = type(provider)("http://other.test/v1", jobs={"video_0": provider.jobs["video_0"]})
    other.change("video_0", status="failed")

    scenes.step(providers=Providers([other, provider]))

    assert scenes.ended(scene_id) == ("completed", None)


def test_a_wait_grows_with_each_failure_up_to_the_longest(scenes, provider, db):
    scenes.accepted()
    provider.before_poll = fail_with(ProviderUnavailable("down"))
    waits = []
    for _ in range(12):
        scenes.step()
        waits += db.rows("select extract(epoch from run_at - now())::float from jobs")[0]

    for number, waited in enumerate(waits, start=1):
        least = min(2**number, backoff.MAX_BACKOFF_SECONDS)
        assert least - 5 < waited < least * 1.25
