"""A scene is posted at most once an attempt, with its intent committed before."""

import logging

import pytest

from generation_history.errors import NotAllowed, NotSent, Rejected, Unavailable
from generation_history.providers import VideoRequest
from generation_history.work import submit_step
from tests.support.fakes import as_asked, fail_with


def test_the_intent_is_committed_before_the_provider_sees_the_request(scenes, provider, db):
    query = """
        select j.step, a.outcome, a.model, s.provider_base_url, s.sora_video_id, s.size, s.seconds
        from jobs j join attempts a using (scene_id) join scenes s on s.id = j.scene_id
    """
    seen = []
    provider.before_submit = lambda _: seen.extend(db.rows(query))
    scenes.add()
    scenes.step()

    assert seen == [("find", "intended", "sora-2", provider.base_url, None, "720x1280", 8)]


def test_an_accepted_job_is_kept_with_where_and_what_was_asked(scenes, provider):
    scene_id = scenes.add()

    scenes.step()

    scene = scenes.read(scene_id)
    assert (scene["status"], scene["sora_video_id"], scene["sora_status"]) == ("processing", "video_0", "queued")
    assert (scene["provider"], scene["provider_base_url"], scene["model"]) == ("sora", provider.base_url, "sora-2")
    assert scenes.job(scene_id) == ("poll", 0, None)
    assert scenes.attempt(scene_id) == ("accepted", "video_0")


def test_an_accepted_job_comes_home(scenes, provider):
    scene_id = scenes.add()

    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert scenes.attempt(scene_id) == ("stored", "video_0")
    assert provider.posts == [as_asked()]


def test_what_a_scene_was_recorded_with_is_asked_for(manager, scenes, provider):
    manager.create_with_scenes(
        "https://video.example/ad", "url", {"soft": ["a dog"]}, model="veo-3", size="1280x720", seconds=4
    )

    scenes.step()

    assert provider.posts == [VideoRequest("a dog", "veo-3", "1280x720", 4)]


def test_what_was_not_sent_is_posted_again(scenes, provider):
    scene_id = scenes.add()
    provider.before_submit = fail_with(NotSent("busy"))
    scenes.step()
    assert scenes.job(scene_id) == ("submit", 1, "busy")
    assert scenes.attempt(scene_id) == ("not_sent", None)
    assert scenes.read(scene_id)["status"] == "pending"

    provider.before_submit = lambda _: None
    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)


def test_a_busy_provider_is_left_alone_as_long_as_it_says(scenes, provider, db):
    scenes.add()
    provider.before_submit = fail_with(NotSent("busy", retry_after=500))

    scenes.step()

    assert db.rows("select run_at > now() + interval '490 s', run_at < now() + interval '700 s' from jobs") == [
        (True, True)
    ]


def test_a_refused_key_keeps_the_job_and_raises_the_alarm_once(scenes, provider, caplog):
    scene_id = scenes.add()
    provider.before_submit = fail_with(NotAllowed("OPENAI_API_KEY was refused"))

    scenes.step(20)

    assert scenes.job(scene_id) == ("submit", 20, "OPENAI_API_KEY was refused")
    assert scenes.read(scene_id)["status"] == "pending"
    alarms = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert alarms == ["the provider is refused: OPENAI_API_KEY was refused"]


@pytest.mark.parametrize("code", ["submit_rejected", "moderation_blocked"])
def test_a_rejected_request_fails_the_scene_and_says_why(scenes, provider, code):
    scene_id = scenes.add()
    provider.before_submit = fail_with(Rejected("not this", failure_code=code))

    scenes.step()

    assert scenes.ended(scene_id) == ("failed", code)
    assert scenes.read(scene_id)["error_message"] == "not this"
    assert scenes.attempt(scene_id)[0] == "failed"


# ---------------------------------------------------------------- what a caller does meanwhile


def test_a_scene_that_a_caller_submitted_itself_is_not_posted(scenes, provider, manager):
    scene_id = scenes.add()
    manager.update_scene(scene_id, sora_video_id=provider.add(as_asked()).id, status="processing")

    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)
    assert provider.posts == []


@pytest.mark.parametrize("status", ["failed", "completed"])
def test_a_scene_that_a_caller_ended_is_not_posted_and_stays_as_it_was_left(scenes, provider, manager, status):
    scene_id = scenes.add()
    manager.update_scene(scene_id, status=status, error_message="by hand")

    scenes.step()

    assert scenes.ended(scene_id)[0] == status
    assert scenes.read(scene_id)["error_message"] == "by hand"
    assert provider.posts == []


def test_a_scene_that_a_caller_fails_while_it_is_posted_comes_home_all_the_same(scenes, provider, manager):
    """It is paid for."""
    scene_id = scenes.add()
    provider.before_submit = lambda _: manager.update_scene(scene_id, status="failed", error_message="by hand")

    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


def test_a_scene_not_submitted_before_its_deadline_is_not_posted_then_and_may_be_retried(scenes, provider, manager):
    scene_id = scenes.add()
    provider.before_submit = fail_with(NotSent("busy"))
    scenes.step()
    scenes.pass_deadline()

    scenes.step()

    assert scenes.ended(scene_id) == ("failed", "submit_rejected")
    assert "busy" in scenes.read(scene_id)["error_message"]
    assert len(provider.posts) == 1
    assert manager.retry_scene(scene_id)["status"] == "pending"


def test_an_answer_that_comes_after_the_scene_was_given_up_is_waited_for_all_the_same(
    scenes, provider, make_worker, db
):
    """Its worker stood still in the middle of the POST, longer than anybody looks for the job: it is paid for."""
    scene_id = scenes.add()

    def stand_still(_: object) -> None:
        db.rows("update attempts set intended_at = now() - interval '1 hour'")
        scenes.expire_leases()
        scenes.make_due()
        make_worker().run(seconds=600)
        assert scenes.ended(scene_id) == ("failed", "submit_unknown")

    provider.before_submit = stand_still

    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)
    assert scenes.attempt(scene_id) == ("stored", "video_0")
    assert len(provider.posts) == 1


def test_a_worker_that_stood_still_after_its_intent_does_not_post(scenes, provider, monkeypatch):
    """Somebody may be looking for its job by now, and give the scene up."""
    monkeypatch.setattr(submit_step, "MAX_DATABASE_SECONDS", -1)
    scene_id = scenes.add()

    scenes.step()

    assert provider.posts == []
    assert scenes.job(scene_id) == ("submit", 1, "the worker stood still before its POST")


def test_an_intent_of_which_nobody_knows_whether_it_stands_is_not_posted(scenes, provider, submissions, monkeypatch):
    """Its commit went unheard: where it does not stand, somebody else may post."""
    scene_id = scenes.add()
    intend = submissions.record_submit_intent

    def unheard(*args: object, **kinds: object) -> None:
        intend(*args, **kinds)
        raise Unavailable("the connection broke off")

    with monkeypatch.context() as once:
        once.setattr(submissions, "record_submit_intent", unheard)
        scenes.step()
    assert provider.posts == []

    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


def test_an_id_of_any_length_is_kept(scenes, provider):
    """Gateways put a whole path into theirs; a job whose id cannot be kept is paid for and lost."""
    scene_id = scenes.add()
    long_id = "video_" + "aGk/" * 200
    provider.submit = lambda request, **_: provider.add(request, id=long_id)

    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert scenes.read(scene_id)["sora_video_id"] == long_id


def test_the_id_of_a_paid_job_is_kept_before_anything_else_can_fail(scenes, monitoring, make_worker, monkeypatch):
    """Where the provider's list hides prompts, a job without its id in the row could not be found again."""
    scene_id = scenes.add()

    def fail(*_args: object, **_kinds: object) -> bool:
        raise Unavailable("the database is gone")

    monkeypatch.setattr(monitoring, "record_provider_state", fail)
    make_worker().run(seconds=600)

    assert scenes.read(scene_id)["sora_video_id"]
