"""What a provider accepted belongs to its own attempt for ever, however late it is told; and it comes home."""

import pytest

from generation_history.errors import Conflict, LeaseLost, NotFound, OutcomeUnknown, Unavailable
from generation_history.providers import VideoJob
from generation_history.storage.keys import owned_key
from generation_history.work.intents import Intents
from tests.support.fakes import as_asked, fail_with


@pytest.fixture
def attempts(db):
    """Number, outcome and job of every attempt at a scene."""
    query = "select attempt, outcome, sora_video_id from attempts where scene_id = %s order by attempt"
    return lambda scene_id: db.rows(query, scene_id)


@pytest.fixture
def post(submissions, claimed, provider):
    """Intends the scene's POST, and makes it: the job as claimed, and the provider's, whose answer is on its way."""

    def make(scene_id):
        job = claimed(scene_id)
        submissions.record_submit_intent(
            job, provider=provider.name, base_url=provider.base_url, request=as_asked(job.prompt)
        )
        return job, provider.submit(as_asked(job.prompt))

    return make


@pytest.fixture
def retried(scenes, queue, manager, post):
    """A scene whose first POST had no answer, was given up, and is posted a second time."""

    def make(*, posted=True):
        scene_id = scenes.add()
        first, late = post(scene_id)
        queue.fail_permanently(first, "submit_unknown", "none could be of it")
        manager.retry_scene(scene_id, confirmed=True)
        second, video = post(scene_id) if posted else (None, None)
        return scene_id, (first, late), (second, video)

    return make


@pytest.mark.parametrize("second_is_known", [True, False])
def test_the_answer_to_an_earlier_attempt_takes_nobodys_place(
    retried, submissions, attempts, scenes, *, second_is_known
):
    scene_id, (first, late), (second, video) = retried()
    if second_is_known:
        submissions.accept(second, video)

    with pytest.raises(LeaseLost):
        submissions.accept(first, late)
    assert submissions.accept_late(first, late) == "late"
    if not second_is_known:
        submissions.accept(second, video)

    assert attempts(scene_id) == [(1, "late", late.id), (2, "accepted", video.id)]
    assert (scenes.read(scene_id)["attempt"], scenes.read(scene_id)["sora_video_id"]) == (2, video.id)


def test_a_repeat_of_an_earlier_attempts_answer_changes_nothing(scenes, submissions, manager, post, attempts):
    """Its commit was done, only the reply was lost; the scene has gone on meanwhile."""
    scene_id = scenes.add()
    first, video = post(scene_id)
    submissions.accept(first, video)
    manager.update_scene(scene_id, status="failed", error_code="provider_failed")
    scenes.db.rows("delete from jobs")
    manager.retry_scene(scene_id)
    second, other = post(scene_id)

    with pytest.raises(LeaseLost):
        submissions.accept(first, video)
    assert submissions.accept_late(first, video) == "known"
    submissions.accept(second, other)

    assert [(number, job) for number, _, job in attempts(scene_id)] == [(1, video.id), (2, other.id)]
    assert scenes.read(scene_id)["sora_video_id"] == other.id


def test_a_late_answer_spares_the_post_that_was_to_take_its_place(retried, submissions, scenes, provider):
    scene_id, (first, late), _ = retried(posted=False)

    assert submissions.accept_late(first, late) == "resumed"
    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert (scenes.read(scene_id)["attempt"], len(provider.posts)) == (1, 1)


def test_whoever_is_about_to_post_when_a_late_answer_comes_posts_nothing(retried, submissions, claimed, provider):
    scene_id, (first, late), _ = retried(posted=False)
    about_to_post = claimed(scene_id)

    submissions.accept_late(first, late)

    with pytest.raises(LeaseLost):
        submissions.record_submit_intent(about_to_post, provider="fake", base_url=provider.base_url, request=as_asked())


def test_what_came_late_is_fetched_beside_the_scenes_own_video(retried, submissions, scenes, manager, store):
    """It is paid for."""
    scene_id, (first, late), (second, video) = retried()
    submissions.accept(second, video)
    submissions.accept_late(first, late)

    scenes.step(4)

    assert scenes.ended(scene_id) == ("completed", None)
    [scene] = manager.get_generation(str(first.generation_id))["variants"][0]["scenes"]
    [earlier, own] = scene["attempts"]
    assert (scene["attempt"], scene["video_url"]) == (2, own["video_url"])
    assert {own["outcome"], earlier["outcome"]} == {"stored"}
    assert store.size(owned_key(earlier["video_url"], str(first.generation_id))) == earlier["file_size"]


def test_a_scene_that_fails_goes_on_with_what_came_late(retried, submissions, scenes, provider):
    scene_id, (first, late), (second, video) = retried()
    submissions.accept(second, video)
    submissions.accept_late(first, late)
    provider.change(video.id, status="failed", error_message="no")

    scenes.step(4)

    assert scenes.ended(scene_id) == ("completed", None)
    assert scenes.read(scene_id)["attempt"] == 1
    assert len(provider.posts) == 2


def test_no_number_of_an_attempt_is_used_twice(retried, submissions, scenes, provider, manager):
    """The scene has gone back to an earlier one meanwhile."""
    scene_id, (first, late), (second, video) = retried()
    submissions.accept(second, video)
    submissions.accept_late(first, late)
    for job in (late, video):
        provider.change(job.id, status="failed", error_message="no")
    scenes.step(4)
    assert (scenes.ended(scene_id), scenes.read(scene_id)["attempt"]) == (("failed", "provider_failed"), 1)

    assert manager.retry_scene(scene_id)["attempt"] == 3


def test_a_late_job_that_is_over_as_well_leaves_the_scene_as_it_is(retried, submissions, scenes, provider):
    scene_id, (first, late), (second, video) = retried()
    submissions.accept(second, video)
    submissions.accept_late(first, late)
    provider.change(late.id, status="failed", error_message="no")

    scenes.step(5)

    assert scenes.ended(scene_id) == ("completed", None)
    assert scenes.read(scene_id)["attempt"] == 2


def test_an_answer_whose_place_was_given_to_another_job_has_an_attempt_of_its_own(
    scenes, submissions, post, provider, manager, attempts
):
    """A guess was wrong. No number of an attempt is used twice."""
    scene_id = scenes.add()
    job, video = post(scene_id)
    guess = provider.add(as_asked(), status="failed")
    submissions.accept(job, guess, adopted=True)

    assert submissions.accept_late(job, video) == "late"

    assert attempts(scene_id) == [(1, "adopted", guess.id), (2, "late", video.id)]
    scenes.step(3)
    assert scenes.ended(scene_id) == ("completed", None)
    assert (scenes.read(scene_id)["attempt"], len(provider.posts)) == (2, 1)


def test_an_answer_that_comes_while_its_generation_is_deleted_is_fetched_once_it_is_back(
    scenes, queue, submissions, post, manager, provider, attempts
):
    scene_id = scenes.add()
    job, video = post(scene_id)
    queue.fail_permanently(job, "submit_unknown", "none could be of it")
    manager.delete_generation(str(job.generation_id))

    assert submissions.accept_late(job, video) == "late"
    assert attempts(scene_id) == [(1, "late", video.id)]
    manager.restore_generation(str(job.generation_id))
    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


def test_an_id_that_a_provider_gives_twice_is_kept_with_the_second_attempt_too(scenes, provider, db):
    """Which of the two has it is for a person to decide; neither POST is made again."""
    first = scenes.accepted("a cat")
    second = scenes.add("a dog")
    given = scenes.read(first)["sora_video_id"]
    provider.submit = lambda request, **_: (provider.posts.append(request), VideoJob(given, "queued"))[1]

    scenes.step(2)
    scenes.step(find_seconds=0)

    assert scenes.ended(first) == ("completed", None)
    assert scenes.ended(second) == ("failed", "submit_unknown")
    assert given in db.rows("select answer from attempts where scene_id = %s", second)[0][0]
    assert len(provider.posts) == 2


def test_an_id_too_long_for_any_row_is_kept_in_the_answer(scenes, provider, db):
    scene_id = scenes.add()
    endless = "é" * 1500
    provider.submit = lambda _, **__: VideoJob(endless, "queued")

    scenes.step()

    assert scenes.job(scene_id)[0] == "find"
    assert endless in db.rows("select answer from attempts where scene_id = %s", scene_id)[0][0]


def test_an_answer_after_a_purge_is_kept_by_the_bucket(scenes, provider, manager, store, db):
    """No row is left that could keep it."""
    scene_id = scenes.add()
    generation_id = scenes.read(scene_id)["generation_id"]

    def purge(_: object) -> None:
        manager.delete_generation(generation_id)
        db.rows("delete from generations")

    provider.after_submit = purge

    scenes.step()

    [(key, _)] = Intents(store).list_keys(generation_id)
    assert Intents(store).read_key(key).job_id == "video_0"


def test_an_answer_that_was_not_understood_is_kept_with_its_attempt(scenes, provider, db):
    scene_id = scenes.add()
    provider.after_submit = fail_with(OutcomeUnknown("no job", answer='{"took": "it\0", "as": "\ud800"}'))

    scenes.step()

    assert db.rows("select answer from attempts where scene_id = %s", scene_id) == [('{"took": "it", "as": "?"}',)]


# ---------------------------------------------------------------- retries


def test_a_scene_is_not_retried_while_it_is_posted(scenes, provider, manager):
    """A caller may say that it failed; what comes of the POST is not known yet, and two would be paid for."""
    scene_id = scenes.add()
    refused = []

    def retry(_: object) -> None:
        manager.update_scene(scene_id, status="failed", error_code="provider_failed")
        with pytest.raises(Conflict, match="being submitted") as caught:
            manager.retry_scene(scene_id)
        refused.append(caught)

    provider.before_submit = retry

    scenes.step(2)

    assert len(refused) == 1
    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


@pytest.mark.parametrize("code", ["provider_failed", "expired"])
def test_a_scene_whose_job_is_still_asked_about_is_not_posted_again_whatever_a_caller_says(
    scenes, provider, manager, code
):
    scene_id = scenes.accepted(status="in_progress")
    manager.update_scene(scene_id, status="failed", error_code=code)

    assert manager.retry_scene(scene_id)["attempt"] == 1
    provider.change("video_0", status="completed")
    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


def test_an_answer_of_the_provider_is_with_the_bucket_before_it_is_tried_to_record_it_again(
    scenes, provider, submissions, monkeypatch, store
):
    """Whoever holds it may die while the database is away."""
    scene_id = scenes.add()
    accept, told = submissions.accept, []

    def away_at_first(job, video, **how):
        [(key, _)] = Intents(store).list_keys(job.generation_id)
        told.append(Intents(store).read_key(key).job_id)
        if len(told) == 1:
            raise Unavailable("away")
        accept(job, video, **how)

    monkeypatch.setattr(submissions, "accept", away_at_first)

    scenes.step(2)

    assert told == [None, "video_0"]
    assert scenes.ended(scene_id) == ("completed", None)


@pytest.mark.parametrize("whose", ["open", "given up"])
def test_a_job_that_may_be_anothers_is_not_adopted(scenes, provider, stranger, queue, submissions, post, whose):
    """Its answer is on its way to another owner's scene, which asked for the same."""
    theirs = scenes.add(by=stranger)
    job, video = post(theirs)
    if whose == "given up":
        queue.fail_permanently(job, "submit_unknown", "none could be of it")
    scene_id = scenes.add()
    provider.before_submit = fail_with(OutcomeUnknown("no answer"))

    scenes.step(2)
    assert scenes.job(scene_id)[0] == "find"
    if whose == "open":
        submissions.accept(job, video)
    scenes.step(find_seconds=0)

    assert scenes.ended(scene_id) == ("failed", "submit_unknown")
    assert (scenes.attempt(theirs)[1] == video.id) == (whose == "open")


# ---------------------------------------------------------------- another attempt's video


@pytest.fixture
def two_videos(retried, submissions, scenes):
    """A completed scene whose earlier attempt is stored as well."""
    scene_id, (first, late), (second, video) = retried()
    submissions.accept(second, video)
    submissions.accept_late(first, late)
    scenes.step(4)
    return scene_id


def test_a_scene_takes_another_attempts_video_and_gives_it_back(two_videos, manager, scenes):
    before = scenes.read(two_videos)

    taken = manager.use_attempt(two_videos, 1)
    assert (taken["status"], taken["attempt"], taken["sora_video_id"]) == ("completed", 1, "video_0")
    assert taken["video_url"].endswith("scene_1.mp4")
    assert manager.use_attempt(two_videos, 1) == taken
    given_back = manager.use_attempt(two_videos, 2)

    names = ("attempt", "video_url", "thumbnail_url", "sora_video_id", "duration", "resolution", "file_size")
    assert {name: given_back[name] for name in names} == {name: before[name] for name in names}


def test_an_attempt_that_is_not_stored_is_fetched_before_it_is_used(scenes, provider, manager, queue, claimed):
    scene_id = scenes.accepted()
    queue.fail_permanently(claimed(scene_id), "provider_failed", "said so, and made it all the same")
    manager.retry_scene(scene_id)
    scenes.step(2)
    assert scenes.ended(scene_id) == ("completed", None)

    assert manager.use_attempt(scene_id, 1)["attempt"] == 2
    scenes.step()
    assert scenes.job(scene_id) is None

    assert manager.use_attempt(scene_id, 1)["attempt"] == 1
    assert len(provider.posts) == 2


def test_a_failed_scene_goes_on_with_the_attempt_that_is_to_be_used(scenes, provider, manager, queue, claimed):
    scene_id = scenes.accepted()
    queue.fail_permanently(claimed(scene_id), "provider_failed", "said so, and made it all the same")

    assert manager.use_attempt(scene_id, 1)["status"] == "pending"
    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


def test_only_an_attempt_with_a_job_is_used_and_only_while_nothing_is_done_for_its_scene(
    scenes, provider, manager, stranger
):
    scene_id = scenes.add()
    provider.before_submit = fail_with(OutcomeUnknown("no answer"))
    with pytest.raises(NotFound):
        manager.use_attempt(scene_id, 1)
    scenes.step(2, find_seconds=0)
    with pytest.raises(Conflict, match="no provider job"):
        manager.use_attempt(scene_id, 1)
    provider.before_submit = lambda _: None
    running = scenes.accepted(status="in_progress")
    with pytest.raises(Conflict, match="being worked on"):
        manager.use_attempt(running, 1)
    with pytest.raises(NotFound):
        stranger.use_attempt(running, 1)
