"""A job is one worker's at a time, and only whoever holds its lease writes anything."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest

from generation_history.backoff import backoff, poll_interval
from generation_history.errors import Conflict, InvalidValue, LeaseLost
from generation_history.providers import VideoJob, VideoRequest
from generation_history.work.job_queue import JobQueue
from generation_history.work.webhooks import Deliveries, Delivery

WANTED = VideoRequest("a cat", "sora-2", "720x1280", 8)
VIDEO = VideoJob("video_1", "queued")
STORED = {"video_url": "https://spaces.test/v.mp4", "thumbnail_url": "https://spaces.test/t.jpg"}
METADATA = {"duration": 2, "resolution": "160x90", "file_size": 7}

WRITES = {
    "record_submit_intent": lambda _, s, job: s.record_submit_intent(
        job, provider="fake", base_url="http://p.test/v1", request=WANTED
    ),
    "retry_unsent": lambda _, s, job: s.retry_unsent(job, "busy", retry_after=None),
    "adopt": lambda _, s, job: s.accept(job, VIDEO, adopted=True),
    "bind": lambda q, _, job: q.bind(job, provider="fake", base_url="http://p.test/v1"),
    "record_observation": lambda q, _, job: q.record_observation(job, VIDEO, step="poll"),
    "observed completed": lambda q, _, job: q.record_observation(job, VIDEO, step="store"),
    "retry_later": lambda q, _, job: q.retry_later(job, "down"),
    "complete": lambda q, _, job: q.complete(job, **STORED, metadata=METADATA),
    "fail_permanently": lambda q, _, job: q.fail_permanently(job, "timed_out", "too late"),
    "discard": lambda q, _, job: q.discard(job),
}


@pytest.fixture
def everything(db):
    """All that is recorded, as text."""

    def everything() -> list[str]:
        tables = ("generations", "variants", "scenes", "jobs", "attempts")
        return [row for table in tables for (row,) in db.rows(f"select t::text from {table} t order by 1")]

    return everything


# ---------------------------------------------------------------- claiming


def test_a_claimed_job_is_told_all_its_step_needs(scenes, queue):
    scene_id = scenes.add("a dog")
    scene = scenes.read(scene_id)

    (job,) = queue.claim(10)

    assert (str(job.scene_id), str(job.generation_id)) == (scene_id, scene["generation_id"])
    assert (job.step, job.status, job.prompt, job.attempt) == ("submit", "pending", "a dog", 1)
    assert (job.variant_type, job.scene_number) == ("soft", 1)
    assert (job.failures, job.last_error, job.overdue, job.expired) == (0, None, False, False)
    assert job.owner_id == scenes.manager.owner_id


def test_a_claimed_job_is_claimed_by_nobody_else(scenes, queue, worker_db):
    scenes.add()

    assert len(queue.claim(10)) == 1

    assert queue.claim(10) == []
    assert JobQueue(worker_db, lease_seconds=60).claim(10) == []


def test_jobs_of_all_owners_are_claimed_the_longest_due_first(scenes, queue, stranger, db):
    ids = [scenes.add(), scenes.add(by=stranger), scenes.add()]
    for scene_id, minutes in zip(ids, (1, 3, 2), strict=True):
        db.rows("update jobs set run_at = now() - make_interval(mins => %s) where scene_id = %s", minutes, scene_id)

    assert [str(queue.claim(1)[0].scene_id) for _ in ids] == [ids[1], ids[2], ids[0]]


def test_what_a_provider_has_accepted_is_claimed_before_what_waits_to_be_submitted(scenes, queue, db):
    """It expires; however long the other has been due."""
    accepted = scenes.accepted(status="in_progress")
    waiting = scenes.add()
    db.rows("update jobs set run_at = now() - interval '1 minute' where step = 'poll'")
    db.rows("update jobs set run_at = now() - interval '1 hour' where step = 'submit'")

    claims = [str(job.scene_id) for _ in range(2) for job in queue.claim(1)]

    assert claims == [accepted, waiting]


def test_a_job_that_is_not_due_is_not_claimed(scenes, queue, db):
    scenes.add()
    db.rows("update jobs set run_at = now() + interval '1 minute'")

    assert queue.claim(10) == []


def test_no_more_jobs_are_claimed_than_asked_for(scenes, queue):
    for _ in range(3):
        scenes.add()

    assert [len(queue.claim(2)) for _ in range(3)] == [2, 1, 0]


def test_an_abandoned_job_comes_back_under_another_lease(scenes, queue):
    scenes.add()
    (first,) = queue.claim(1)
    scenes.expire_leases()

    (second,) = queue.claim(1)

    assert second.scene_id == first.scene_id
    assert second.lease_token != first.lease_token


def test_a_job_past_its_deadline_is_claimed_as_overdue(scenes, queue):
    scenes.add()
    scenes.pass_deadline()

    assert queue.claim(1)[0].overdue


def together(number, do):
    """What each of so many threads comes to, when all begin at once."""
    barrier = threading.Barrier(number)

    def begin(_):
        barrier.wait()
        return do()

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(begin, range(number)))


def test_of_many_workers_that_claim_one_job_exactly_one_has_it(scenes, queue):
    for _ in range(5):
        scenes.add()
        assert sorted(len(jobs) for jobs in together(8, lambda: queue.claim(1))) == [0] * 7 + [1]


def test_many_workers_that_claim_many_jobs_have_each_job_once(scenes, queue):
    ids = {scenes.add() for _ in range(24)}

    claims = [job for jobs in together(8, lambda: queue.claim(4)) for job in jobs]

    assert len(claims) == len({job.scene_id for job in claims})
    assert {str(job.scene_id) for job in claims} <= ids
    rest = queue.claim(100)
    assert {str(job.scene_id) for job in claims + rest} == ids


# ---------------------------------------------------------------- who died


def test_a_worker_that_dies_with_a_lease_is_counted_until_one_gives_it_back(scenes, queue):
    scenes.add()
    for crashes in range(3):
        (job,) = queue.claim(1)
        assert job.crash_count == crashes
        scenes.expire_leases()
    (job,) = queue.claim(1)
    queue.retry_later(job, "down")
    scenes.make_due()

    assert queue.claim(1)[0].crash_count == 0


# ---------------------------------------------------------------- the lease


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_worker_whose_lease_was_taken_over_writes_nothing(scenes, queue, submissions, everything, write):
    scenes.add()
    (slow,) = queue.claim(1)
    scenes.expire_leases()
    queue.claim(1)
    before = everything()

    with pytest.raises(LeaseLost):
        write(queue, submissions, slow)

    assert everything() == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_worker_whose_job_is_finished_writes_nothing(scenes, queue, submissions, everything, write):
    scenes.add()
    (job,) = queue.claim(1)
    queue.complete(job, **STORED, metadata=METADATA)
    before = everything()

    with pytest.raises(LeaseLost):
        write(queue, submissions, job)

    assert everything() == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_stranger_cannot_write_with_a_token_that_was_never_given(scenes, queue, submissions, everything, write):
    scenes.add()
    (job,) = queue.claim(1)
    before = everything()

    with pytest.raises(LeaseLost):
        write(queue, submissions, replace(job, lease_token=uuid4()))

    assert everything() == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_lease_that_ran_out_but_was_not_taken_over_still_holds(scenes, queue, submissions, everything, write):
    scenes.add()
    (job,) = queue.claim(1)
    scenes.expire_leases()
    before = everything()

    write(queue, submissions, job)

    assert everything() != before


def intended(scenes, queue, submissions):
    """A job whose POST is under way."""
    scenes.add()
    (job,) = queue.claim(1)
    submissions.record_submit_intent(job, provider="fake", base_url="http://p.test/v1", request=WANTED)
    return job


def test_the_answer_to_a_post_is_recorded_whoever_has_the_lease(scenes, queue, submissions):
    """There was one POST, so it is right; whoever looks for its job meanwhile writes nothing more."""
    slow = intended(scenes, queue, submissions)
    scenes.expire_leases()
    (finder,) = queue.claim(1)

    submissions.accept(slow, VIDEO)

    assert scenes.attempt(slow.scene_id) == ("accepted", "video_1")
    with pytest.raises(LeaseLost):
        queue.fail_permanently(finder, "submit_unknown", "none could be of it")


def test_an_answer_is_recorded_once_however_often_its_commit_goes_unheard(scenes, queue, submissions):
    job = intended(scenes, queue, submissions)
    submissions.accept(job, VIDEO)
    (polling,) = [scenes.make_due(), queue.claim(1)][1]
    queue.record_observation(polling, VIDEO, step="store")

    submissions.accept(job, VIDEO)

    assert scenes.job(job.scene_id)[0] == "store"


@pytest.mark.parametrize("other", ["never asked", "not sent", "adopted another", "gave up"])
def test_an_answer_that_is_not_waited_for_writes_nothing(scenes, queue, submissions, everything, other):
    if other == "never asked":
        scenes.add()
        (job,) = queue.claim(1)
    elif other == "not sent":
        job = intended(scenes, queue, submissions)
        submissions.retry_unsent(job, "busy", retry_after=None)
    else:
        job = intended(scenes, queue, submissions)
        if other == "adopted another":
            submissions.accept(job, VideoJob("video_2", "queued"), adopted=True)
        else:
            queue.fail_permanently(job, "submit_unknown", "none could be of it")
    before = everything()

    with pytest.raises(LeaseLost):
        submissions.accept(job, VIDEO)

    assert everything() == before


def test_a_job_that_a_worker_knows_keeps_its_id_whoever_names_another(scenes, queue, submissions, manager):
    job = intended(scenes, queue, submissions)
    scene_id = str(job.scene_id)
    with pytest.raises(Conflict):
        manager.update_scene(scene_id, sora_video_id="video_of_a_caller")

    submissions.accept(job, VIDEO)
    with pytest.raises(Conflict):
        manager.update_scene(scene_id, sora_video_id="video_of_a_caller")
    manager.update_scene(scene_id, sora_video_id=VIDEO.id)

    assert scenes.read(scene_id)["sora_video_id"] == VIDEO.id


@pytest.mark.parametrize("how", [{"sora_video_id": "video_of_a_caller"}, {"status": "failed"}], ids=repr)
def test_what_a_caller_ended_or_submitted_after_the_claim_is_not_posted(scenes, queue, submissions, manager, how):
    scene_id = scenes.add()
    (job,) = queue.claim(1)
    manager.update_scene(scene_id, **how)

    with pytest.raises(LeaseLost):
        submissions.record_submit_intent(job, provider="fake", base_url="http://p.test/v1", request=WANTED)

    assert scenes.job(scene_id)[0] == "submit"


def test_a_webhook_that_comes_while_its_job_is_asked_about_makes_it_due_again(scenes, queue, worker_db, claimed, db):
    scene_id = scenes.accepted(status="in_progress")
    db.rows("update attempts set accepted_at = now() - interval '10 minutes'")
    job = claimed(scene_id)

    Deliveries(worker_db).record(Delivery("webhook_1", "video.completed", job.sora_video_id))
    queue.record_observation(job, VideoJob(job.sora_video_id, "in_progress"), step="poll")

    assert [str(again.scene_id) for again in queue.claim(1)] == [scene_id]


@pytest.mark.parametrize(("expires_in", "longest"), [(None, 400), (100, 25), (4, 2), (-10, 400)])
def test_what_is_about_to_expire_is_tried_again_sooner(scenes, queue, claimed, db, expires_in, longest):
    job = claimed(scenes.accepted())
    db.rows("update jobs set expires_at = now() + make_interval(secs => %s)", expires_in)

    queue.retry_later(job, "down", failures=20)

    ((wait,),) = db.rows("select extract(epoch from run_at - now())::float from jobs")
    assert longest * 0.7 < wait <= longest


def test_a_sign_of_life_makes_the_lease_long_again(scenes, queue, db):
    scenes.add()
    jobs = queue.claim(1)
    scenes.expire_leases()

    queue.extend_leases(jobs)

    assert queue.claim(1) == []
    assert db.rows("select run_at > now() + interval '50 s' from jobs") == [(True,)]


def test_a_sign_of_life_revives_no_lease_that_was_taken_over(scenes, queue):
    scenes.add()
    slow = queue.claim(1)
    scenes.expire_leases()
    (quick,) = queue.claim(1)
    scenes.expire_leases()

    queue.extend_leases(slow)

    assert queue.claim(1)[0].lease_token != quick.lease_token


def test_a_sign_of_life_does_not_put_off_what_is_waiting(scenes, queue, db):
    scenes.add()
    jobs = queue.claim(1)
    queue.retry_later(jobs[0], "down")
    before = db.rows("select run_at from jobs")

    queue.extend_leases(jobs)

    assert db.rows("select run_at from jobs") == before


# ---------------------------------------------------------------- what is written


def test_a_finished_scene_finishes_its_variant_and_generation_at_once(scenes, queue, manager):
    scene_id = scenes.add()
    (job,) = queue.claim(1)

    queue.complete(job, **STORED, metadata=METADATA)

    generation = manager.get_generation(scenes.read(scene_id)["generation_id"])
    assert (generation["status"], generation["variants"][0]["status"]) == ("completed", "completed")
    assert generation["variants"][0]["scenes_completed"] == 1
    assert scenes.job(scene_id) is None


def test_a_failed_scene_fails_its_variant_and_generation_at_once(scenes, queue, manager):
    scene_id = scenes.add()
    (job,) = queue.claim(1)

    queue.fail_permanently(job, "timed_out", "too late")

    generation = manager.get_generation(scenes.read(scene_id)["generation_id"])
    assert (generation["status"], generation["variants"][0]["status"]) == ("failed", "failed")
    assert generation["error_message"] == "1 of 1 scenes failed"


def test_giving_up_leaves_a_completed_scene_as_it_is(scenes, queue, manager):
    """Its caller brought it home meanwhile."""
    scene_id = scenes.add()
    (job,) = queue.claim(1)
    manager.update_scene(scene_id, status="completed", video_url="https://spaces.test/v.mp4")

    queue.fail_permanently(job, "timed_out", "too late")

    assert scenes.ended(scene_id) == ("completed", None)


def test_a_write_that_cannot_be_made_whole_is_not_made_at_all(scenes, queue, everything):
    scenes.add()
    (job,) = queue.claim(1)
    before = everything()

    with pytest.raises(InvalidValue):
        queue.complete(job, **STORED, metadata=METADATA | {"duration": -1})

    assert everything() == before


def test_a_reason_may_be_anything(scenes, queue, submissions, claimed):
    scene_id = scenes.add()
    for reason in ("a\0b", "half of a pair: \ud800", "x" * 100_000, ""):
        queue.retry_later(claimed(scene_id), reason)
        submissions.retry_unsent(claimed(scene_id), reason, retry_after=None)
    queue.fail_permanently(claimed(scene_id), "timed_out", "a\0b \ud800" + "x" * 100_000)

    assert scenes.read(scene_id)["error_message"].startswith("ab ?xxx")


def test_a_provider_job_is_one_scenes_only(scenes, submissions, claimed):
    first, second = scenes.add(), scenes.add()
    for scene_id in (first, second):
        submissions.record_submit_intent(
            claimed(scene_id), provider="fake", base_url="http://p.test/v1", request=WANTED
        )
    submissions.accept(claimed(first), VIDEO)

    with pytest.raises(Conflict):
        submissions.accept(claimed(second), VIDEO, adopted=True)

    assert scenes.read(second)["sora_video_id"] is None


def test_a_job_that_somebody_has_by_another_of_its_ids_is_claimed(scenes, submissions, claimed):
    scene_id = scenes.add()
    submissions.record_submit_intent(claimed(scene_id), provider="fake", base_url="http://p.test/v1", request=WANTED)
    submissions.accept(claimed(scene_id), VIDEO)

    assert (
        submissions.select_unclaimed("http://p.test/v1", [VideoJob("video_2", "queued", other_ids=(VIDEO.id,))]) == []
    )


def test_what_nobody_has_is_unclaimed(scenes, submissions, claimed):
    scene_id = scenes.add()
    submissions.record_submit_intent(claimed(scene_id), provider="fake", base_url="http://p.test/v1", request=WANTED)
    submissions.accept(claimed(scene_id), VIDEO)
    other = replace(VIDEO, id="video_2")

    assert submissions.select_unclaimed("http://p.test/v1", [VIDEO, other]) == [other]
    assert submissions.select_unclaimed("http://other.test/v1", [VIDEO, other]) == [VIDEO, other]
    assert submissions.select_unclaimed("http://p.test/v1", []) == []


@pytest.mark.parametrize(("age", "least"), [(0, 1), (4, 1), (50, 10), (150, 30), (1e9, 30)])
def test_a_running_job_is_asked_about_less_often_the_older_it_is(age, least):
    assert least <= poll_interval(age) <= least * 1.25


@pytest.mark.parametrize("wait", [lambda: poll_interval(50), lambda: backoff(3)])
def test_what_waits_together_does_not_come_back_together(wait):
    assert len({wait() for _ in range(10)}) > 1


def test_each_job_has_a_lease_of_its_own(scenes, queue):
    for _ in range(3):
        scenes.add()

    assert len({job.lease_token for job in queue.claim(3)}) == 3
