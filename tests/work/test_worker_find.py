"""A POST whose outcome nobody knows is looked for in the provider's list, and never made again."""

from datetime import UTC, datetime, timedelta

import pytest

from generation_history.errors import JobGone, NotAllowed, OutcomeUnknown, ProviderUnavailable
from generation_history.providers.factory import Providers
from tests.support.fakes import as_asked, fail_with

UNKNOWN = [OutcomeUnknown("no answer"), ValueError("a bug"), MemoryError()]


@pytest.mark.parametrize("error", UNKNOWN, ids=[type(error).__name__ for error in UNKNOWN])
def test_a_post_without_an_answer_is_looked_for_and_never_made_again(scenes, provider, error):
    scene_id = scenes.add()
    provider.before_submit = fail_with(error)

    scenes.step(5)

    assert scenes.job(scene_id)[0] == "find"
    assert scenes.read(scene_id)["status"] == "pending"
    assert len(provider.posts) == 1


def test_the_one_job_that_can_be_the_lost_posts_is_adopted_and_comes_home(scenes, provider):
    scene_id = scenes.add()
    provider.after_submit = fail_with(OutcomeUnknown("the connection broke"))
    scenes.step(2)
    assert scenes.attempt(scene_id) == ("adopted", "video_0")
    assert scenes.read(scene_id)["status"] == "processing"

    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


def test_a_job_that_shows_up_late_is_adopted_too(scenes, provider):
    scene_id = scenes.add()
    provider.before_submit = fail_with(OutcomeUnknown("no answer"))
    scenes.step(3)
    provider.add(as_asked())

    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)


def test_no_job_after_the_window_is_for_a_person_to_decide(scenes, provider):
    scene_id = scenes.add()
    provider.before_submit = fail_with(OutcomeUnknown("no answer"))

    scenes.step(2, find_seconds=0)

    assert scenes.ended(scene_id) == ("failed", "submit_unknown")
    assert "0 of the provider's jobs" in scenes.read(scene_id)["error_message"]
    assert len(provider.posts) == 1


def test_two_jobs_that_could_be_it_are_for_a_person_to_decide(scenes, provider):
    scene_id = scenes.add()
    provider.after_submit = fail_with(OutcomeUnknown("no answer"))
    provider.add(as_asked())
    scenes.step(2)
    assert scenes.job(scene_id)[0] == "find"

    scenes.step(find_seconds=0)

    assert scenes.ended(scene_id) == ("failed", "submit_unknown")
    assert len(provider.posts) == 1


def test_two_posts_for_the_same_have_two_jobs_each_the_one_of_its_turn(scenes, provider):
    """Whoever retried the first one had it confirmed that it made no job; the provider's list was late."""
    scene_id = scenes.add()
    provider.before_submit = fail_with(OutcomeUnknown("no answer"))
    scenes.step(2, find_seconds=0)
    scenes.manager.retry_scene(scene_id, confirmed=True)
    scenes.step()
    first, second = (provider.add(as_asked(), created_at=datetime.now(UTC) + timedelta(seconds=n)) for n in range(2))

    scenes.step(4)

    assert scenes.ended(scene_id) == ("completed", None)
    tried = scenes.db.rows("select attempt, outcome, sora_video_id from attempts order by attempt")
    assert tried == [(1, "stored", first.id), (2, "stored", second.id)]


def test_two_scenes_of_one_owner_have_two_jobs(scenes, provider):
    both = [scenes.add(), scenes.add()]
    provider.after_submit = fail_with(OutcomeUnknown("no answer"))

    scenes.step(6)

    assert [scenes.ended(scene_id) for scene_id in both] == [("completed", None)] * 2
    assert len(provider.posts) == 2


def test_a_job_from_before_a_post_is_not_of_its_turn(scenes, provider):
    """As many jobs as POSTs, and one of them made before either of these."""
    both = [scenes.add(), scenes.add()]
    provider.before_submit = fail_with(OutcomeUnknown("no answer"))
    scenes.step()
    provider.add(as_asked(), created_at=datetime.now(UTC) - timedelta(seconds=119))
    provider.add(as_asked(), created_at=datetime.now(UTC) - timedelta(seconds=118))
    scenes.db.rows("update attempts set intended_at = intended_at + interval '5 seconds' where scene_id = %s", both[1])

    scenes.step(3)

    assert [scenes.job(scene_id)[0] for scene_id in both] == ["find"] * 2


@pytest.mark.parametrize(
    "unlike",
    [
        {"prompt": None},
        {"prompt": "a dog"},
        {"model": "veo-3"},
        {"size": "1x1"},
        {"seconds": 4},
        {"created_at": None},
        {"created_at": datetime.now(UTC) - timedelta(hours=1)},
        {"created_at": datetime.now(UTC) + timedelta(hours=1)},
    ],
)
def test_a_job_that_is_not_just_what_was_asked_is_not_adopted(scenes, provider, unlike):
    scene_id = scenes.add()
    provider.before_submit = fail_with(OutcomeUnknown("no answer"))
    provider.add(as_asked(), **unlike)

    scenes.step(2)

    assert scenes.job(scene_id)[0] == "find"


def test_a_job_that_another_scene_has_is_not_adopted_whoever_owns_it(scenes, provider, stranger):
    scenes.add(by=stranger)
    scenes.step()
    scene_id = scenes.add()
    provider.before_submit = fail_with(OutcomeUnknown("no answer"))

    scenes.step(2)

    assert scenes.job(scene_id)[0] == "find"
    assert list(provider.jobs) == ["video_0"]


def test_a_job_that_a_caller_has_recorded_is_not_adopted(scenes, provider, manager):
    """It names no server, so it may be of this one."""
    by_hand = scenes.add(submit=False)
    manager.update_scene(by_hand, sora_video_id=provider.add(as_asked()).id)
    scene_id = scenes.add()
    provider.before_submit = fail_with(OutcomeUnknown("no answer"))

    scenes.step(2)

    assert scenes.job(scene_id)[0] == "find"


def test_two_scenes_never_adopt_the_same_job(scenes, provider):
    both = [scenes.add(), scenes.add()]
    provider.before_submit = fail_with(OutcomeUnknown("no answer"))
    scenes.step()
    provider.add(as_asked())

    scenes.step(3)

    assert sorted(scenes.attempt(scene_id)[0] for scene_id in both) == ["intended", "stored"]


def test_a_provider_that_cannot_be_asked_is_asked_again_until_the_deadline(scenes, provider):
    """It might have the job: the window is over only when it has said that there is none."""
    scene_id = scenes.add()
    provider.after_submit = fail_with(OutcomeUnknown("no answer"))
    provider.before_find = fail_with(ProviderUnavailable("down"))
    scenes.step(20, find_seconds=0)
    assert scenes.job(scene_id) == ("find", 20, "down")

    provider.before_find = lambda _: None
    scenes.step(2, find_seconds=0)

    assert scenes.ended(scene_id) == ("completed", None)


def test_a_provider_that_keeps_no_list_has_no_job_to_adopt(scenes, provider):
    scene_id = scenes.add()
    provider.after_submit = fail_with(OutcomeUnknown("no answer"))
    provider.before_find = fail_with(JobGone("no such path"))
    scenes.step(2)
    assert scenes.job(scene_id)[0] == "find"

    scenes.step(find_seconds=0)

    assert scenes.ended(scene_id) == ("failed", "submit_unknown")


@pytest.mark.parametrize("error", [ProviderUnavailable("down"), NotAllowed("key"), ValueError("a bug")])
def test_a_job_looked_for_until_its_deadline_is_for_a_person_to_decide(scenes, provider, manager, error):
    """Not timed_out: nobody may retry that without looking at the provider."""
    scene_id = scenes.add()
    provider.before_submit = fail_with(OutcomeUnknown("no answer"))
    provider.before_find = fail_with(error)
    scenes.step()
    scenes.pass_deadline()

    scenes.step()

    assert scenes.ended(scene_id) == ("failed", "submit_unknown")
    assert manager.retry_scene(scene_id, confirmed=True)["attempt"] == 2


def test_a_crash_after_the_intent_is_looked_for_and_not_posted(scenes, provider, submissions, claimed):
    scene_id = scenes.add()
    submissions.record_submit_intent(claimed(scene_id), provider="fake", base_url=provider.base_url, request=as_asked())
    scenes.expire_leases()

    scenes.step(2)

    assert scenes.job(scene_id)[0] == "find"
    assert provider.posts == []


def test_a_crash_after_the_post_is_adopted(scenes, provider, submissions, claimed):
    scene_id = scenes.add()
    submissions.record_submit_intent(claimed(scene_id), provider="fake", base_url=provider.base_url, request=as_asked())
    provider.submit(as_asked())
    scenes.expire_leases()

    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


def test_a_server_that_is_not_configured_any_more_is_asked_once_it_is_again(scenes, provider, caplog):
    scene_id = scenes.add()
    provider.after_submit = fail_with(OutcomeUnknown("no answer"))
    scenes.step()
    other = type(provider)("http://other.test/v1")
    scenes.step(providers=Providers([other]), find_seconds=0)
    assert scenes.job(scene_id)[0] == "find"
    assert f"SORA_BASE_URL does not name {provider.base_url}" in caplog.text

    scenes.step(2, providers=Providers([other, provider]), find_seconds=0)

    assert scenes.ended(scene_id) == ("completed", None)
    assert other.posts == []
