"""A caller's own submission: it comes home once, to one scene, nothing is posted for it, and it is nobody else's."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest

from generation_history.db.database import Database
from generation_history.errors import Conflict, InvalidValue, LeaseLost, NotFound, NotSent
from generation_history.providers import VideoRequest
from generation_history.record.generation_manager import GenerationManager
from tests.support.fakes import as_asked, fail_with

WANTED = VideoRequest("a cat", "sora-2", "720x1280", 8)


@pytest.fixture
def submitted(provider):
    """Submits as a caller does by itself: the id of a job that the provider has."""
    return lambda **known: provider.add(as_asked(), **known).id


@pytest.fixture
def home(scenes):
    """Does all there is to do for a scene."""

    def home(scene_id: str):
        for _ in range(5):
            if scenes.job(scene_id) is None:
                break
            scenes.step()
        return scenes.ended(scene_id)

    return home


def test_a_job_that_its_caller_submitted_comes_home_and_nothing_is_posted(scenes, provider, submitted, home, manager):
    scene_id, video_id = scenes.add(submit=False), submitted()

    recorded = manager.record_provider_job(scene_id, video_id)

    assert (recorded["status"], recorded["sora_video_id"], recorded["attempt"]) == ("processing", video_id, 1)
    assert scenes.job(scene_id) == ("poll", 0, None)
    assert home(scene_id) == ("completed", None)
    assert provider.posts == []
    assert (scenes.read(scene_id)["provider"], scenes.read(scene_id)["provider_base_url"]) == (
        provider.name,
        provider.base_url,
    )
    assert scenes.attempt(scene_id) == ("stored", video_id)


def test_a_job_that_is_still_running_is_asked_about_until_it_is_over(scenes, provider, submitted, home, manager):
    scene_id, video_id = scenes.add(submit=False), submitted(status="in_progress")
    manager.record_provider_job(scene_id, video_id)
    scenes.step(3)
    assert scenes.job(scene_id) == ("poll", 0, None)

    provider.change(video_id, status="completed")

    assert home(scene_id) == ("completed", None)


def test_a_repeat_changes_nothing_whenever_it_comes(scenes, submitted, home, manager, db, claimed):
    scene_id, video_id = scenes.add(submit=False), submitted()
    first = manager.record_provider_job(scene_id, video_id)
    before = db.everything()
    assert manager.record_provider_job(scene_id, video_id) == first
    assert db.everything() == before

    job = claimed(scene_id)
    before = db.everything()
    manager.record_provider_job(scene_id, video_id)
    assert db.everything() == before
    assert db.rows("select lease_token from jobs") == [(job.lease_token,)]

    scenes.expire_leases()
    home(scene_id)
    before = db.everything()
    assert manager.record_provider_job(scene_id, video_id)["status"] == "completed"
    assert db.everything() == before


def test_another_job_for_a_scene_that_has_one_is_a_conflict(scenes, submitted, home, manager, db):
    """It is paid for; only when it is over, and has failed, another may take its place."""
    scene_id = scenes.add(submit=False)
    manager.record_provider_job(scene_id, submitted())
    for _ in range(2):
        before = db.everything()
        with pytest.raises(Conflict, match="with another provider job"):
            manager.record_provider_job(scene_id, submitted())
        assert db.everything() == before
        home(scene_id)


# ---------------------------------------------------------------- with a submission of ours


def test_a_post_of_ours_that_waits_is_given_up(scenes, provider, submitted, home, manager):
    scene_id, video_id = scenes.add(), submitted()

    manager.record_provider_job(scene_id, video_id)

    assert home(scene_id) == ("completed", None)
    assert (provider.posts, scenes.attempt(scene_id)) == ([], ("stored", video_id))


def test_a_worker_that_is_about_to_post_it_loses_its_lease(scenes, submissions, submitted, manager, claimed):
    scene_id = scenes.add()
    job = claimed(scene_id)

    manager.record_provider_job(scene_id, submitted())

    with pytest.raises(LeaseLost):
        submissions.record_submit_intent(job, provider="fake", base_url="http://p.test/v1", request=WANTED)


def test_a_scene_that_is_being_posted_takes_no_other_job(scenes, submissions, submitted, manager, claimed, db):
    scene_id = scenes.add()
    submissions.record_submit_intent(claimed(scene_id), provider="fake", base_url="http://p.test/v1", request=WANTED)
    before = db.everything()

    with pytest.raises(Conflict, match="being submitted"):
        manager.record_provider_job(scene_id, submitted())
    assert db.everything() == before


def test_a_post_that_was_not_taken_stays_in_the_story_and_counts_for_nothing(
    scenes, provider, submitted, home, manager, db
):
    scene_id = scenes.add()
    provider.before_submit = fail_with(NotSent("busy"))
    scenes.step()

    scene = manager.record_provider_job(scene_id, submitted())

    assert (scene["attempt"], scene["provider_base_url"]) == (2, None)
    assert home(scene_id) == ("completed", None)
    assert len(provider.posts) == 1
    told = db.rows("select attempt, outcome, intended_at is null, cost from attempts order by 1")
    assert told == [(1, "not_sent", False, None), (2, "stored", True, None)]


def test_whoever_finds_the_job_of_an_unknown_submit_brings_it_home(scenes, provider, submitted, home, manager, db):
    scene_id = scenes.add()
    scenes.step()
    db.rows("alter table attempts disable trigger attempts_keep_their_job")
    db.rows("update attempts set sora_video_id = null, outcome = 'failed'")
    db.rows("alter table attempts enable trigger attempts_keep_their_job")
    db.rows("delete from jobs")
    db.rows("update scenes set sora_video_id = null, status = 'failed', error_code = 'submit_unknown'")
    [video_id] = provider.jobs

    scene = manager.record_provider_job(scene_id, video_id)

    assert (scene["status"], scene["attempt"], scene["error_code"]) == ("pending", 1, None)
    assert scene["provider_base_url"] == provider.base_url
    assert scenes.attempt(scene_id) == ("adopted", video_id)
    assert home(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


# ---------------------------------------------------------------- after a failure


def test_a_failed_scene_takes_another_job_as_another_attempt(scenes, provider, submitted, home, manager, spaces):
    scene_id, first = scenes.add(submit=False), submitted(status="failed")
    manager.record_provider_job(scene_id, first)
    assert home(scene_id) == ("failed", "provider_failed")
    second = submitted()

    scene = manager.record_provider_job(scene_id, second)

    assert (scene["status"], scene["attempt"], scene["error_message"]) == ("pending", 2, None)
    assert home(scene_id) == ("completed", None)
    assert scenes.read(scene_id)["video_url"].endswith("/soft/scene_1.2.mp4")
    assert provider.posts == []


def test_a_failed_scene_goes_on_with_the_job_it_had(scenes, provider, submitted, home, manager):
    scene_id, video_id = scenes.add(submit=False), submitted(status="failed")
    manager.record_provider_job(scene_id, video_id)
    home(scene_id)
    provider.change(video_id, status="completed")

    scene = manager.record_provider_job(scene_id, video_id)

    assert (scene["status"], scene["attempt"]) == ("pending", 1)
    assert home(scene_id) == ("completed", None)


def test_a_job_of_an_earlier_attempt_is_refused(scenes, submitted, home, manager, db):
    scene_id, first = scenes.add(submit=False), submitted(status="failed")
    for video_id in (first, submitted(status="failed")):
        manager.record_provider_job(scene_id, video_id)
        home(scene_id)
    before = db.everything()

    with pytest.raises(Conflict, match="an earlier attempt"):
        manager.record_provider_job(scene_id, first)
    assert db.everything() == before


def test_a_generation_that_failed_still_gets_its_video_and_a_deleted_one_is_not_there(scenes, submitted, home, manager):
    failed, deleted = scenes.add(), scenes.add()
    manager.update_generation_status(scenes.read(failed)["generation_id"], "failed")
    manager.delete_generation(scenes.read(deleted)["generation_id"])

    manager.record_provider_job(failed, submitted())
    with pytest.raises(NotFound, match="no such scene"):
        manager.record_provider_job(deleted, submitted())

    assert home(failed) == ("completed", None)


# ---------------------------------------------------------------- one job, one scene


def test_a_job_that_any_other_scene_has_or_had_is_refused(scenes, provider, submitted, home, manager, stranger, db):
    """By whatever way it came to have it, whether it is over or not, and whether or not one may see that scene."""
    adopted = scenes.accepted()
    recorded, retried = scenes.add(submit=False), scenes.add(submit=False)
    manager.update_scene(recorded, sora_video_id=submitted())
    first = submitted(status="failed")
    manager.record_provider_job(retried, first)
    home(retried)
    manager.record_provider_job(retried, submitted())
    theirs = scenes.add(by=stranger, submit=False)
    stranger.record_provider_job(theirs, submitted())
    stranger.delete_generation(stranger.get_scene(theirs)["generation_id"])
    taken = [first, *[video_id for (video_id,) in db.rows("select sora_video_id from scenes") if video_id]]
    assert len(taken) == 5
    mine = {manager: scenes.add(submit=False), stranger: scenes.add(by=stranger, submit=False)}
    assert scenes.read(adopted)["sora_video_id"] in taken
    before = db.everything()

    for video_id in taken:
        for who, scene_id in mine.items():
            with pytest.raises(Conflict) as refused:
                who.record_provider_job(scene_id, video_id)
            assert str(refused.value) == "another scene has this provider job already"
    assert db.everything() == before


def test_of_two_who_name_one_job_at_once_one_gets_it(db, scenes, submitted):
    for _ in range(5):
        video_id, together = submitted(), Barrier(4)
        owners = [GenerationManager(uuid4(), db=Database(db.api, setting="X")) for _ in range(4)]
        named = [(owner, scenes.add(by=owner, submit=False)) for owner in owners]

        def name(one: tuple, video_id: str = video_id, together: Barrier = together) -> str:
            owner, scene_id = one
            together.wait()
            try:
                return owner.record_provider_job(scene_id, video_id)["status"]
            except Conflict as refused:
                return str(refused)

        with ThreadPoolExecutor(4) as threads:
            told = sorted(threads.map(name, named))
        for owner in owners:
            owner._db.close()

        assert told == [*["another scene has this provider job already"] * 3, "processing"]


@pytest.mark.parametrize("step", ["poll", "store"])
def test_a_job_that_two_rows_name_all_the_same_is_fetched_for_one_scene_only(
    scenes, stranger, provider, home, manager, db, step
):
    """Past record_provider_job: by the library, or by hand."""
    mine, theirs = scenes.accepted(), scenes.add(by=stranger, submit=False)
    video_id = scenes.read(mine)["sora_video_id"]
    stranger.update_scene(theirs, sora_video_id=video_id, status="processing")
    db.rows("insert into jobs (scene_id, owner_id, step) values (%s, %s, %s)", theirs, stranger.owner_id, step)

    assert home(mine) == ("completed", None)
    while scenes.job(theirs):
        scenes.step()

    told = stranger.get_scene(theirs)
    assert (told["status"], told["error_code"], told["video_url"]) == ("failed", "not_found", None)
    assert told["error_message"] == "another scene has this provider job already"


def test_a_row_that_names_the_server_too_gains_nothing_by_it(scenes, stranger, provider, home, db):
    mine, theirs = scenes.accepted(), scenes.add(by=stranger, submit=False)
    stranger.update_scene(theirs, sora_video_id=scenes.read(mine)["sora_video_id"], status="processing")
    db.rows("update scenes set provider_base_url = %s where id = %s", provider.base_url, theirs)
    db.rows("delete from attempts where scene_id = %s", theirs)
    db.rows("insert into jobs (scene_id, owner_id, step) values (%s, %s, 'store')", theirs, stranger.owner_id)

    scenes.step()

    assert stranger.get_scene(theirs)["error_code"] == "not_found"
    assert scenes.ended(mine) == ("completed", None)


# ---------------------------------------------------------------- what may be named


def test_an_id_that_names_no_job_is_refused(scenes, manager, db):
    """In a URL a dot is where one is, and two are one above it."""
    scene_id = scenes.add(submit=False)
    before = db.everything()

    for video_id in ("", ".", "..", "x" * 1001, "a\x00", "\ud800", 5):
        with pytest.raises(InvalidValue, match=r"^sora_video_id"):
            manager.record_provider_job(scene_id, video_id)
    assert db.everything() == before


def test_it_is_due_at_once(scenes, submitted, manager):
    scene_id = scenes.add(submit=False)
    manager.record_provider_job(scene_id, submitted())

    assert [str(job.scene_id) for job in scenes.make_worker()._queue.claim(5)] == [scene_id]
