"""The contract of the seam, on all five kinds: each against the simulator's dialect of it, over HTTP."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from generation_history.errors import (
    JobGone,
    NoCredit,
    NotAllowed,
    NotSent,
    OutcomeUnknown,
    ProviderUnavailable,
    Rejected,
    SceneFailure,
)
from generation_history.provider_kinds import KINDS
from generation_history.providers import VideoJob
from tests.support.kind_providers import KEY, NO_SUCH_SERVER, TOKEN, KindUnderTest

ALL = tuple(KINDS)
#: Those that `/v1/videos` is not one of.
OTHERS = tuple(name for name in ALL if name != "sora")
LISTED = ("sora", "fal", "replicate")
RUNNING = {
    "sora": ["queued", "in_progress"],
    "fal": ["IN_QUEUE", "IN_PROGRESS"],
    "replicate": ["starting", "processing"],
    "runway": ["PENDING", "RUNNING"],
    "gemini": ["queued", "in_progress"],
}
OVER = {"completed", "failed", "cancelled", "expired"}


@pytest.fixture
def kind(request: pytest.FixtureRequest, make_kind) -> KindUnderTest:
    return make_kind(request.param)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "video.mp4"


def of(*names: str):
    """The test, for each of these kinds."""
    return pytest.mark.parametrize("kind", names, indirect=True)


# ---------------------------------------------------------------- a job's life


@of(*ALL)
def test_a_job_is_queued_then_rendered_then_fetched_whole(kind, target, film):
    provider, request = kind.provider, kind.request()
    posted = provider.submit(request, attempt_token=TOKEN)
    seen = []
    for _ in range(2):
        seen.append(provider.poll(posted.id).status)
        kind.clock.move(10)
    job = provider.poll(posted.id)

    assert posted.status not in OVER
    assert seen == RUNNING[kind.name]
    assert (job.id, job.status, job.error_code, job.error_message) == (posted.id, "completed", None, None)
    assert provider.fetch_video(posted.id, target) == len(film)
    assert target.read_bytes() == film
    assert kind.answers(request) == ["accepted"]
    assert kind.leaks() == []


@of(*ALL)
def test_a_provider_that_was_made_anew_knows_the_job_by_its_id_alone(kind, target, film):
    job_id = kind.finished()

    assert kind.provider.fetch_video(job_id, target) == len(film)


@of(*ALL)
def test_an_id_that_nobody_has_is_gone(kind):
    job_id = kind.submit()
    unknown = job_id[:-1] + ("a" if job_id[-1] != "a" else "b")

    with pytest.raises(JobGone):
        kind.provider.poll(unknown)


@of(*ALL)
@pytest.mark.parametrize("job_id", ["", ".", "..", "../jobs", "a/b", "a?b=c", "a#b", "%2e%2e", "é", "\0", "x" * 5000])
def test_an_odd_id_is_gone_and_no_other_path(kind, job_id):
    with pytest.raises(JobGone):
        kind.provider.poll(job_id)


@of("fal")
@pytest.mark.parametrize("job_id", ["../x/requests/1", "a/../requests/1", "a/./requests/1", "requests/1"])
def test_a_composite_id_does_not_climb(kind, job_id):
    with pytest.raises(JobGone):
        kind.provider.poll(job_id)


@of("fal")
def test_a_job_of_an_endpoint_that_is_an_alias_is_polled_where_the_answer_said(kind, target, film):
    job_id = kind.finished(model="fal:google/gemini-omni-flash", size="1280x720", seconds=3)

    assert job_id.startswith("fal-ai/gemini-omni-flash/requests/")
    assert kind.provider.fetch_video(job_id, target) == len(film)


@of(*ALL)
def test_a_status_that_nobody_knows_means_still_running(kind):
    job_id = kind.submit()
    kind.break_at("retrieve", kind="vague", word="dreaming")

    assert kind.provider.poll(job_id).status == "dreaming"


# ---------------------------------------------------------------- how a job ends without a video


@of(*ALL)
def test_a_failure_is_told_with_its_reason(kind):
    job = kind.provider.poll(kind.finished("[fail]"))

    assert job.status == "failed"
    assert job.error_code != "moderation_blocked"
    assert job.error_message


@of(*ALL)
def test_moderation_after_the_post_is_told_as_such(kind):
    job = kind.provider.poll(kind.finished("[moderate]"))

    assert (job.status, job.error_code) == ("failed", "moderation_blocked")


@of("sora", "replicate", "runway", "gemini")
def test_moderation_at_the_post_is_a_refusal_for_good(kind):
    request = kind.request("[reject]")

    with pytest.raises(Rejected) as raised:
        kind.provider.submit(request, attempt_token=TOKEN)

    assert raised.value.failure_code == "moderation_blocked"
    assert kind.answers(request) == ["refused"]


@of("fal")
def test_fal_accepts_what_it_will_not_make_and_says_so_in_the_result(kind):
    job = kind.provider.poll(kind.finished("[reject]"))

    assert (job.status, job.error_code) == ("failed", "moderation_blocked")


@of(*OTHERS)
def test_a_job_that_is_cancelled_ends_without_a_video(kind):
    job_id = kind.submit()
    kind.provider.cancel(job_id)

    if kind.name == "runway":
        # Cancelled and deleted are one there.
        with pytest.raises(JobGone):
            kind.provider.poll(job_id)
    else:
        assert kind.provider.poll(job_id).status == "cancelled"


@of(*OTHERS)
def test_cancelling_a_job_that_is_over_says_nothing_and_loses_nothing(kind, target, film):
    job_id = kind.finished()
    kind.provider.cancel(job_id)

    assert kind.provider.poll(job_id).status == "completed"
    assert kind.provider.fetch_video(job_id, target) == len(film)


@of(*OTHERS)
def test_cancelling_an_unstoppable_job_changes_nothing(kind):
    job_id = kind.submit("[unstoppable]")
    kind.provider.cancel(job_id)
    kind.clock.move(20)

    assert kind.provider.poll(job_id).status == "completed"


@of("sora")
def test_a_server_that_has_no_way_to_end_a_job_says_so(kind):
    with pytest.raises(Rejected):
        kind.provider.cancel(kind.submit())


@of(*OTHERS)
def test_a_job_that_is_over_without_a_video_has_failed(kind):
    job = kind.provider.poll(kind.finished("[missing]"))

    assert job.status == "failed"
    assert (job.error_code == "moderation_blocked") == (kind.name == "gemini")


@of("sora", "fal", "gemini")
def test_a_video_that_is_not_kept_any_more_is_gone(kind, target):
    job_id = kind.finished("[expire=5]")
    kind.clock.move(3 * 24 * 3600)

    with pytest.raises(JobGone):
        kind.provider.fetch_video(job_id, target)
    assert not target.exists()


@of("replicate")
def test_a_prediction_whose_hour_is_over_has_expired(kind):
    job_id = kind.finished()
    completed = kind.provider.poll(job_id)
    kind.clock.move(3600)

    assert completed.expires_at is not None
    assert kind.provider.poll(job_id).status == "expired"


@of("runway")
def test_a_task_has_a_fresh_url_after_its_day(kind, target, film):
    job_id = kind.finished()
    kind.clock.move(30 * 3600)

    assert kind.provider.fetch_video(job_id, target) == len(film)


@of("replicate")
def test_a_prediction_that_was_aborted_has_failed(kind):
    job = kind.provider.poll(kind.finished("[ends=aborted]"))

    assert job.status == "failed"
    assert job.error_message


@of("gemini")
@pytest.mark.parametrize("word", ["incomplete", "requires_action", "budget_exceeded"])
def test_an_interaction_that_nobody_goes_on_with_has_failed(kind, word):
    job = kind.provider.poll(kind.finished(f"[ends={word}]"))

    assert job.status == "failed"
    assert word in (job.error_message or "")


# ---------------------------------------------------------------- one POST, whatever comes of it


@of(*ALL)
def test_a_wrong_key_is_refused_by_the_name_of_its_setting(kind):
    provider, job_id = kind.provider_with(key="wrong-key-0123456789"), kind.submit()
    setting = KINDS[kind.name].key_setting

    with pytest.raises(NotAllowed, match=setting) as at_the_post:
        provider.submit(kind.request(), attempt_token=TOKEN)
    with pytest.raises(NotAllowed, match=setting) as at_a_poll:
        provider.poll(job_id)

    assert "wrong-key" not in f"{at_the_post.value}{at_the_post.value.answer}{at_a_poll.value}"
    assert not isinstance(at_the_post.value, NoCredit)


@of(*ALL)
def test_an_answer_that_was_lost_leaves_the_outcome_unknown_and_was_one_post(kind):
    request = kind.request()
    kind.break_at("create", kind="close", after_accepting=True)

    with pytest.raises(OutcomeUnknown):
        kind.provider.submit(request, attempt_token=TOKEN)

    assert kind.answers(request) == ["fault_after"]


@of(*ALL)
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 502, "kind": "html"},
        {"status": 503, "retry_after": 7},
        {"status": 504, "after_accepting": True},
        {"kind": "html"},
        {"kind": "json"},
        {"kind": "truncate"},
        {"status": 408},
    ],
)
def test_an_answer_that_tells_of_no_job_leaves_the_outcome_unknown_and_was_one_post(kind, fault):
    if kind.name == "sora" and fault.get("status") == 408:
        pytest.skip("a gateway's 408 is a refusal there")
    request = kind.request()
    kind.break_at("create", **fault)

    with pytest.raises(OutcomeUnknown):
        kind.provider.submit(request, attempt_token=TOKEN)

    assert len(kind.answers(request)) == 1


@of(*ALL)
def test_without_a_connection_nothing_was_sent(kind):
    provider = kind.provider_with(root=NO_SUCH_SERVER)

    with pytest.raises(NotSent, match=KINDS[kind.name].url_setting):
        provider.submit(kind.request(), attempt_token=TOKEN)


@of(*ALL)
def test_a_busy_provider_has_no_job_and_says_when_to_come_again(kind):
    """Replicate says it in the body."""
    request = kind.request()
    kind.break_at("create", status=429, retry_after=17)

    with pytest.raises(NotSent) as raised:
        kind.provider.submit(request, attempt_token=TOKEN)

    assert raised.value.retry_after == 17
    assert kind.answers(request) == ["busy"]


@of(*OTHERS)
def test_an_empty_account_starts_nothing(kind):
    """HTTP 402, 403, 400 and 429, each kind in its own words."""
    kind.break_at("create", kind="no_balance")

    with pytest.raises(NoCredit, match=KINDS[kind.name].key_setting):
        kind.provider.submit(kind.request(), attempt_token=TOKEN)


@of(*ALL)
def test_a_model_that_is_retired_is_not_a_server_that_is_gone(kind):
    kind.break_at("create", kind="retired")

    with pytest.raises(Rejected) as raised:
        kind.provider.submit(kind.request(), attempt_token=TOKEN)

    assert raised.value.failure_code == "submit_rejected"
    assert not kind.provider.is_gone()


@of(*ALL)
def test_a_server_that_has_nothing_at_all_is_gone(kind):
    kind.break_at("everything", status=404)
    assert kind.provider.is_gone()

    kind.break_at("everything", status=503)
    with pytest.raises(ProviderUnavailable):
        kind.provider.is_gone()


@of(*OTHERS)
def test_what_the_model_cannot_do_is_refused_before_anything_is_posted(kind):
    request = kind.request(seconds=19)

    with pytest.raises(Rejected, match="the nearest is"):
        kind.provider.submit(request, attempt_token=TOKEN)

    assert kind.answers(request) == []


# ---------------------------------------------------------------- found again


@of(*LISTED)
def test_a_job_is_found_by_just_what_was_asked(kind):
    request = kind.request()
    job_id = kind.provider.submit(request, attempt_token=TOKEN).id
    other = kind.request()
    kind.provider.submit(other, attempt_token=TOKEN)
    kind.clock.move(10)

    jobs = kind.provider.find(request, **kind.window())

    assert [job.id for job in jobs] == [job_id]
    assert kind.provider.poll(jobs[0].id).status not in OVER


@of("fal", "replicate")
def test_the_same_prompt_with_another_seed_is_another_job(kind):
    request = kind.request(seed=1)
    job_id = kind.provider.submit(request, attempt_token=TOKEN).id
    for seed in (2, None):
        kind.provider.submit(kind.request(seed=seed), attempt_token=TOKEN)
    kind.clock.move(10)

    assert [job.id for job in kind.provider.find(request, **kind.window())] == [job_id]


@of(*LISTED)
def test_a_job_of_another_time_is_not_found(kind):
    request = kind.request()
    kind.provider.submit(request, attempt_token=TOKEN)
    kind.clock.move(600)
    window = kind.window(300)

    assert list(kind.provider.find(request, **window)) == []
    assert len(kind.provider.find(request, since=window["since"] - timedelta(seconds=900), until=window["until"])) == 1


@of("fal")
def test_a_list_may_lack_the_job_that_is_queued(kind):
    request = kind.request()
    kind.provider.submit(request, attempt_token=TOKEN)

    assert not kind.provider.lists_at_once
    assert list(kind.provider.find(request, **kind.window())) == []
    kind.clock.move(10)
    assert len(kind.provider.find(request, **kind.window())) == 1


@of("fal")
def test_a_job_of_an_alias_is_found_where_it_can_be_polled(kind):
    """The list has the request's id alone, and not the path under which it is polled."""
    request = kind.request(model="fal:google/gemini-omni-flash", size="1280x720", seconds=3)
    job_id = kind.provider.submit(request, attempt_token=TOKEN).id
    request_id = job_id.rpartition("/")[2]
    kind.clock.move(10)

    assert [job.id for job in kind.provider.find(request, **kind.window())] == [job_id]
    assert kind.provider.job_id_of(request_id, request) == job_id


@of("replicate")
def test_a_prediction_that_has_lost_its_input_is_nobodys(kind):
    request = kind.request()
    kind.provider.submit(request, attempt_token=TOKEN)
    kind.clock.move(2 * 3600)

    assert list(kind.provider.find(request, **kind.window(3 * 3600))) == []


@of("runway", "gemini")
def test_a_kind_without_a_list_says_so(kind):
    with pytest.raises(JobGone):
        kind.provider.find(kind.request(), **kind.window())


@of(*LISTED)
def test_a_list_that_cannot_be_read_proves_nothing(kind):
    kind.break_at("list", kind="json")

    with pytest.raises(ProviderUnavailable):
        kind.provider.find(kind.request(), **kind.window())


# ---------------------------------------------------------------- the video


@of("fal", "replicate", "runway", "gemini")
@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_content_url_that_has_run_out_is_asked_for_again_once(kind, target, film, status):
    job_id = kind.finished()
    # A host that is refused once is asked with the key as well, where the kind does that.
    times = 2 if kind.name == "replicate" and status == 403 else 1
    kind.break_at("content", status=status, times=times)

    assert kind.provider.fetch_video(job_id, target) == len(film)


@of(*OTHERS)
def test_a_content_url_that_is_refused_again_is_an_error_and_leaves_nothing(kind, target):
    job_id = kind.finished()
    kind.break_at("content", status=404)

    with pytest.raises(JobGone):
        kind.provider.fetch_video(job_id, target)
    assert not target.exists()


@of(*ALL)
@pytest.mark.parametrize("fault", [{"status": 503}, {"kind": "truncate"}, {"kind": "close"}, {"kind": "html"}])
def test_a_download_that_does_not_come_leaves_nothing(kind, target, fault):
    job_id = kind.finished()
    kind.break_at("content", **fault)

    with pytest.raises(SceneFailure):
        kind.provider.fetch_video(job_id, target)
    assert not target.exists()


@of("fal", "replicate", "runway")
def test_a_host_that_the_setting_does_not_name_is_not_asked(kind, target):
    job_id = kind.finished()

    with pytest.raises(NotAllowed, match=KINDS[kind.name].hosts_setting):
        kind.provider_with(download_hosts=frozenset()).fetch_video(job_id, target)


@of("gemini")
def test_a_file_that_lags_behind_its_job_is_tried_again_later(kind, target, film):
    job_id = kind.finished("[lag=5]")
    with pytest.raises(JobGone):
        kind.provider.fetch_video(job_id, target)
    kind.clock.move(5)

    assert kind.provider.fetch_video(job_id, target) == len(film)


@of("replicate")
def test_files_that_are_open_see_no_key(kind, target, film):
    kind.client.switch(replicate_content_key=False)

    assert kind.provider.fetch_video(kind.finished(), target) == len(film)
    assert kind.leaks() == []


# ---------------------------------------------------------------- progress and costs


@of("runway")
def test_a_task_tells_how_far_it_is_and_what_it_cost(kind):
    job_id = kind.submit()
    kind.clock.move(15)
    running = kind.provider.poll(job_id)
    kind.clock.move(5)
    completed = kind.provider.poll(job_id)

    assert running.progress == 50
    assert str(completed.cost) == "0.24"


@of("fal")
def test_fal_tells_in_a_header_what_is_billed(kind):
    job = kind.provider.poll(kind.finished())
    assert job.cost == Decimal("0.25")

    kind.client.switch(fal_billing_header=False)
    assert kind.provider.poll(kind.finished()).cost is None


@of(*OTHERS)
def test_our_key_is_in_nothing_that_is_kept(kind):
    """Some repeat what they were shown."""
    kind.break_at("create", status=400, message=f"Your key {KEY} is odd")
    with pytest.raises(Rejected) as raised:
        kind.provider.submit(kind.request(), attempt_token=TOKEN)

    assert KEY not in f"{raised.value}{raised.value.answer}"


@of(*OTHERS)
def test_a_job_says_nothing_that_the_provider_did_not(kind):
    job = kind.provider.poll(kind.submit())

    assert (job.prompt, job.model, job.size, job.seconds, job.other_ids) == (None, None, None, None, ())
    assert isinstance(job, VideoJob)
