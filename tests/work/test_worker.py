"""The loop: several scenes at once, until nothing is due; it keeps its leases, and leaves nothing open."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from generation_history.errors import LeaseLost, ProviderUnavailable, SceneFailure, Unavailable
from generation_history.work import retry_policy, store_step
from generation_history.work import worker as worker_module
from generation_history.work.worker import Worker, from_settings

WAIT_SECONDS = 20


def eventually(look):
    """What `look` returns, as soon as it is true."""
    given_up = threading.Event()
    timer = threading.Timer(WAIT_SECONDS, given_up.set)
    timer.start()
    try:
        while not (seen := look()):
            assert not given_up.is_set(), "it never happened"
        return seen
    finally:
        timer.cancel()
        timer.join()


def test_several_scenes_are_worked_on_at_once(scenes, provider):
    """Each waits for the others."""
    ids = [scenes.add() for _ in range(4)]
    together = threading.Barrier(4, timeout=WAIT_SECONDS)
    provider.before_submit = lambda _: together.wait()

    scenes.step(concurrency=4)

    assert all(scenes.read(scene_id)["status"] == "processing" for scene_id in ids)


def test_no_more_scenes_are_worked_on_at_once_than_configured(scenes, provider):
    for _ in range(7):
        scenes.add()
    lock, active, most = threading.Lock(), [0], [0]

    def enter(_):
        with lock:
            active[0] += 1
            most[0] = max(most[0], active[0])

    def leave(_):
        with lock:
            active[0] -= 1

    provider.before_submit, provider.after_submit = enter, leave

    scenes.step(concurrency=3)

    assert len(provider.posts) == 7
    assert most[0] <= 3


def test_work_that_becomes_due_while_others_run_is_done_by_free_hands(scenes, provider, monkeypatch):
    """The first scene waits until the second, which comes later, is submitted."""
    monkeypatch.setattr(worker_module, "CLAIM_INTERVAL_SECONDS", 0.01)
    second = threading.Event()

    def submit(request):
        if request.prompt == "first":
            scenes.add("second")
            assert second.wait(WAIT_SECONDS)
        else:
            second.set()

    provider.before_submit = submit
    scenes.add("first")

    scenes.step(concurrency=2)

    assert [post.prompt for post in provider.posts] == ["first", "second"]


def test_a_run_ends_when_nothing_is_due_and_says_how_much_it_did(scenes, make_worker, db):
    worker = make_worker()
    assert worker.run(seconds=600) == 0
    for _ in range(5):
        scenes.add()

    assert worker.run(seconds=600) == 5

    assert db.rows("select count(*) from jobs where step = 'poll' and lease_token is null") == [(5,)]


def test_nothing_is_begun_when_the_time_is_nearly_up(scenes, make_worker, provider, db):
    scenes.add()

    assert make_worker().run(seconds=worker_module.MIN_STEP_SECONDS - 0.5) == 0

    assert provider.posts == []
    assert db.rows("select lease_token from jobs") == [(None,)]


def test_a_long_step_keeps_its_lease(scenes, provider, db, monkeypatch):
    monkeypatch.setattr(worker_module, "CLAIM_INTERVAL_SECONDS", 0.01)
    scene_id = scenes.add()
    leases = []

    def slow(_):
        for _ in range(3):
            leases.append(eventually(lambda: set(db.rows("select lease_token, run_at from jobs")) - set(leases)).pop())

    provider.before_submit = slow

    scenes.step(lease_seconds=0.01)

    assert len({token for token, _ in leases}) == 1
    assert [run_at for _, run_at in leases] == sorted(run_at for _, run_at in leases)
    assert scenes.job(scene_id) == ("poll", 0, None)


def test_the_id_of_a_paid_job_is_recorded_though_the_lease_was_lost_while_it_was_posted(scenes, provider, queue):
    """Whoever took the job over knows that there may have been a POST, and is fenced."""
    scene_id = scenes.add()
    taken = []

    def take_over(_):
        scenes.expire_leases()
        taken.extend(queue.claim(1))

    provider.after_submit = take_over

    scenes.step()

    assert [job.step for job in taken] == ["find"]
    assert scenes.attempt(scene_id) == ("accepted", "video_0")
    with pytest.raises(LeaseLost):
        queue.retry_later(taken[0], "0 of the provider's jobs could be of it")


def test_the_id_of_a_paid_job_outlives_a_database_that_is_away_for_a_while(scenes, provider, submissions, monkeypatch):
    """Where the provider's list hides prompts, it could not be found again."""
    scene_id = scenes.add()
    accept, times = submissions.accept, iter([Unavailable("restarting")] * 3)

    def away(job, video, **how):
        for error in times:
            raise error
        accept(job, video, **how)

    monkeypatch.setattr(submissions, "accept", away)
    provider.find = lambda *_, **__: []

    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


def test_the_id_of_a_paid_job_that_cannot_be_recorded_is_in_the_log(scenes, provider, submissions, monkeypatch, caplog):
    """A person can hand it over."""
    scenes.add()

    def lost(*_, **__):
        raise LeaseLost("the answer came too late")

    monkeypatch.setattr(submissions, "accept", lost)

    scenes.step()

    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "video_0 is paid for" in said


def test_a_job_at_which_every_worker_dies_comes_to_an_end(scenes, queue):
    """Else it would be tried for ever, and take its neighbours with it each time."""
    scene_id = scenes.accepted()
    scenes.make_due()
    for _ in range(retry_policy.MAX_CRASHES + 1):
        queue.claim(1)
        scenes.expire_leases()

    scenes.db.rows("update jobs set deadline = now() + interval '1 hour'")
    (job,) = queue.claim(1)
    assert not job.overdue
    scenes.expire_leases()
    scenes.pass_deadline()
    scenes.step()

    assert scenes.ended(scene_id) == ("failed", "timed_out")
    assert "workers in a row died at it" in scenes.read(scene_id)["error_message"]


def test_a_download_takes_no_longer_than_its_worker_has(scenes, scripted, provider, monkeypatch):
    scene_id = scenes.accepted()
    asked = []

    class Videos:
        object_store = None

        def cleanup_temp_directory(self):
            """There is none."""

        def store(self, *_, seconds, **__):
            asked.append(seconds)
            raise SceneFailure("download_failed", "too slow")

    worker = scenes.make_worker(videos=Videos())
    scenes.make_due()
    worker.run(seconds=worker_module.MIN_STEP_SECONDS + 20)

    (seconds,) = asked
    assert 0 < seconds <= worker_module.MIN_STEP_SECONDS + 20 - store_step.STORE_SECONDS
    assert scenes.job(scene_id)[:2] == ("store", 1)


def test_two_workers_post_each_scene_once(scenes, provider, make_worker):
    ids = [scenes.add(f"scene {number}") for number in range(12)]
    workers = [make_worker(concurrency=3) for _ in range(2)]

    for _ in range(2):
        scenes.make_due()
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda worker: worker.run(seconds=600), workers))

    assert sorted(post.prompt for post in provider.posts) == sorted(f"scene {number}" for number in range(12))
    assert {scenes.ended(scene_id) for scene_id in ids} == {("completed", None)}


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("key"), MemoryError(), ValueError("a\0b \ud800")])
def test_a_step_that_breaks_unexpectedly_is_put_off_with_its_reason_and_stops_no_other(scenes, provider, error):
    def poll(job_id):
        if job_id == broken:
            raise error

    broken_id = scenes.accepted()
    broken = scenes.read(broken_id)["sora_video_id"]
    good_id = scenes.add("another")
    provider.before_poll = poll
    scenes.step(2)

    assert scenes.ended(good_id) == ("completed", None)
    step, failures, reason = scenes.job(broken_id)
    assert (step, failures) == ("poll", 2)
    assert reason.startswith(type(error).__name__)


def test_a_step_that_can_not_even_be_put_off_comes_back_when_its_lease_runs_out(scenes, provider, queue, monkeypatch):
    scene_id = scenes.accepted()

    def unavailable(*_, **__):
        raise Unavailable("the database is gone")

    with monkeypatch.context() as patch:
        patch.setattr(queue, "record_observation", unavailable)
        patch.setattr(queue, "retry_later", unavailable)
        scenes.step()
    scenes.expire_leases()

    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)


def test_a_store_that_breaks_unexpectedly_ends_at_the_deadline(scenes, videos, monkeypatch):
    """Not even a bug of ours keeps a scene waiting for ever."""

    def broken(*_, **__):
        raise RuntimeError("a bug")

    scene_id = scenes.accepted()
    monkeypatch.setattr(videos, "store", broken)
    scenes.step(3)
    assert scenes.job(scene_id) == ("store", 3, "RuntimeError: a bug")
    scenes.pass_deadline()

    scenes.step()

    assert scenes.ended(scene_id) == ("failed", "timed_out")


def test_a_database_that_is_gone_ends_the_run_with_that(make_worker, queue, monkeypatch):
    def unavailable(_limit, **_):
        raise Unavailable("the database is gone")

    monkeypatch.setattr(queue, "claim", unavailable)

    with pytest.raises(Unavailable):
        make_worker().run(seconds=600)


def test_a_database_that_is_gone_for_a_moment_does_not_leave_running_steps_alone(
    scenes, provider, queue, make_worker, monkeypatch
):
    """A step whose lease nobody extends would be done by another worker as well."""
    monkeypatch.setattr(worker_module, "CLAIM_INTERVAL_SECONDS", 0.01)
    scene_id = scenes.add()
    claim, refused = queue.claim, threading.Event()

    def claim_once(limit, **kinds):
        if not provider.posts:
            return claim(limit, **kinds)
        refused.set()
        raise Unavailable("the database is gone")

    monkeypatch.setattr(queue, "claim", claim_once)
    provider.after_submit = lambda _: refused.wait(WAIT_SECONDS)

    with pytest.raises(Unavailable):
        make_worker().run(seconds=600)

    assert scenes.job(scene_id) == ("poll", 0, None)


def test_a_failing_sign_of_life_does_not_end_the_run(scenes, provider, queue, monkeypatch):
    monkeypatch.setattr(worker_module, "CLAIM_INTERVAL_SECONDS", 0.01)
    tried = threading.Event()

    def unavailable(_limit, **_):
        tried.set()
        raise Unavailable("the database is gone")

    monkeypatch.setattr(queue, "extend_leases", unavailable)
    provider.after_submit = lambda _: tried.wait(WAIT_SECONDS)
    scene_id = scenes.add()

    scenes.step(lease_seconds=0.01)

    assert tried.is_set()
    assert scenes.job(scene_id) == ("poll", 0, None)


# ---------------------------------------------------------------- what is left open


def connections(db) -> int:
    query = "select count(*) from pg_stat_activity where usename = 'history_worker' and datname = current_database()"
    return db.rows(query)[0][0]


def test_a_closed_worker_leaves_no_thread_and_no_connection(manager, db, spaces, sora):
    """To the database, and to the provider."""
    provider_port = int(sora.removesuffix("/v1").rpartition(":")[2])

    def to_provider():
        gc.collect()
        open_now = psutil.Process().net_connections("tcp4")
        return [
            one for one in open_now if one.raddr and one.raddr.port == provider_port and one.status == "ESTABLISHED"
        ]

    before = set(threading.enumerate())
    manager.create_with_scenes("https://video.example/ad", "url", {"soft": ["one", "two"], "ultra": ["three"]})
    worker: Worker = from_settings()
    for _ in range(2):
        db.rows("update jobs set run_at = now() where lease_token is null")
        worker.run(seconds=600)
    assert connections(db)

    worker.close()

    assert {thread for thread in set(threading.enumerate()) - before if thread.name.startswith("worker")} == set()
    assert eventually(lambda: not connections(db))
    assert eventually(lambda: not to_provider())


def test_steps_of_many_runs_share_the_same_few_connections(scenes, db, make_worker):
    worker = make_worker(concurrency=2)
    for _ in range(4):
        scenes.add()
        scenes.make_due()
        worker.run(seconds=600)

    # One a thread, and one to claim with.
    assert connections(db) <= 3


def test_a_failed_step_leaves_no_lease_behind(scenes, provider, db):
    scenes.accepted()

    def down(_):
        raise ProviderUnavailable("down")

    provider.before_poll = down

    scenes.step()

    assert db.rows("select lease_token from jobs") == [(None,)]
