"""The purge: what is due is fenced, then its objects go, then its rows; nothing else, and nothing left behind."""

import importlib
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from generation_history.archives.archive_builder import ArchiveBuilder
from generation_history.archives.archive_queue import RETENTION_DAYS, ArchiveQueue
from generation_history.archives.archives import Archives
from generation_history.errors import NotFound, StorageError
from generation_history.media.video_storage_manager import VideoStorageManager
from generation_history.storage.keys import scene_key, thumbnail_key
from generation_history.storage.object_store import ObjectStore
from generation_history.storage.quarantine import RETENTION, Quarantine
from generation_history.work.purge import FENCED_SECONDS, MAX_FAILURES, Purge


@pytest.fixture
def purge(worker_db, store) -> Purge:
    return Purge(worker_db, store)


@pytest.fixture
def stored(manager, store, generation_factory, tmp_path) -> Callable[..., str]:
    """The id of a new generation whose scenes' objects lie in the store."""

    def make(scenes: int = 1, *, by=manager) -> str:
        generation = generation_factory(scenes, by=by)
        file = tmp_path / "file"
        file.write_bytes(b"bytes")
        for scene in generation["variants"][0]["scenes"]:
            key = scene_key(generation["id"], "soft", scene["scene_number"])
            video_url = store.put(key, file, content_type="video/mp4")
            thumbnail_url = store.put(thumbnail_key(key), file, content_type="image/jpeg")
            by.update_scene(scene["id"], video_url=video_url, thumbnail_url=thumbnail_url, status="completed")
        return generation["id"]

    return make


@pytest.fixture
def left(db, store) -> Callable[[str], tuple[int, int]]:
    """How many objects and rows there are of a generation."""

    def count(generation_id: str) -> tuple[int, int]:
        rows = sum(generation_id in row for (row,) in db.everything())
        return len(list(store.keys(f"generations/{generation_id}/"))), rows

    return count


@pytest.fixture
def pass_fence(db) -> Callable[[], None]:
    """Whatever is fenced has been so long enough."""
    later = "update generations set purging_since = purging_since - make_interval(secs => %s)"
    return lambda: db.rows(later, FENCED_SECONDS + 1)


@pytest.fixture
def through(purge, pass_fence) -> Callable[[], int]:
    """The purge from its beginning to its end."""

    def run() -> int:
        assert purge.run(seconds=60) == 0
        pass_fence()
        return purge.run(seconds=60)

    return run


# ------------------------------------------------------------ what is due


def test_a_deleted_generation_is_gone_for_good_after_thirty_days(manager, db, stored, left, through):
    generation_id = stored(2)
    manager.delete_generation(generation_id)
    assert through() == 0

    db.rows("update generations set purge_at = purge_at - interval '30 days'")
    assert through() == 1

    assert left(generation_id) == (0, 0)
    assert db.everything() == []


def test_a_generation_just_short_of_thirty_days_is_kept(manager, db, stored, left, through):
    generation_id = stored()
    manager.delete_generation(generation_id)
    before = left(generation_id)
    db.rows("update generations set purge_at = purge_at - interval '30 days' + interval '1 minute'")

    assert through() == 0

    assert left(generation_id) == before
    assert manager.restore_generation(generation_id) is True


@pytest.mark.parametrize("deleted_before", [False, True])
def test_a_generation_is_due_at_once_where_its_owner_says_so(manager, stored, left, through, deleted_before):
    generation_id = stored()
    if deleted_before:
        manager.delete_generation(generation_id)

    assert manager.delete_generation(generation_id, purge=True) is True
    assert through() == 1

    assert left(generation_id) == (0, 0)
    assert manager.delete_generation(generation_id, purge=True) is False


def test_only_what_is_due_goes(manager, stranger, stored, left, through, db):
    shown, deleted, due = stored(), stored(), stored()
    by_stranger, deleted_by_stranger = stored(by=stranger), stored(by=stranger)
    manager.delete_generation(deleted)
    stranger.delete_generation(deleted_by_stranger)
    kept = [shown, deleted, by_stranger, deleted_by_stranger]
    before = [left(generation_id) for generation_id in kept]
    assert stranger.delete_generation(due, purge=True) is False
    manager.delete_generation(due, purge=True)

    assert through() == 1

    assert [left(generation_id) for generation_id in kept] == before
    assert manager.get_generation(shown)["variants"][0]["scenes"][0]["video_url"]


def test_a_purge_takes_everyones(manager, stranger, stored, left, through):
    mine, another = stored(), stored(by=stranger)
    manager.delete_generation(mine, purge=True)
    stranger.delete_generation(another, purge=True)

    assert through() == 2

    assert (left(mine), left(another)) == ((0, 0), (0, 0))


def test_what_a_retry_and_the_past_left_in_its_folder_goes_too(manager, store, stored, left, through, tmp_path):
    generation_id = stored()
    for name in ("soft/scene_1.2.mp4", "ultra/scene_9.mp4", "soft/unknown"):
        store.put(f"generations/{generation_id}/{name}", tmp_path / "file", content_type="video/mp4")
    manager.delete_generation(generation_id, purge=True)

    through()

    assert left(generation_id) == (0, 0)


def test_a_purge_that_has_begun_cannot_be_undone(manager, purge, stored, db, left):
    generation_id = stored()
    manager.delete_generation(generation_id, purge=True)
    assert manager.restore_generation(generation_id) is True
    manager.delete_generation(generation_id, purge=True)
    purge.run(seconds=60)
    before = left(generation_id)

    assert manager.restore_generation(generation_id) is False
    assert manager.delete_generation(generation_id) is False

    with pytest.raises(NotFound):
        manager.retry_scene(db.rows("select id from scenes")[0][0])
    assert left(generation_id) == before


# ------------------------------------------------------------ quarantine


@pytest.fixture
def quarantine(store, tmp_path, monkeypatch) -> Callable[..., str]:
    """Puts an object into quarantine that was moved so long ago: its key there."""
    for key, _ in list(store.keys("quarantine/")):
        store.delete(key)
    ages: dict[str, timedelta] = {}
    keys = ObjectStore.keys

    def aged_keys(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        yield from ((key, at - ages.get(key, timedelta())) for key, at in keys(self, prefix))

    monkeypatch.setattr(ObjectStore, "keys", aged_keys)
    (tmp_path / "object").write_bytes(b"bytes")

    def put(moved: timedelta, *, written: timedelta | None = None) -> str:
        original_key = scene_key(uuid.uuid4(), "soft", 1)
        store.put(original_key, tmp_path / "object", content_type="video/mp4")
        key = Quarantine(store).copy_in(original_key, datetime.now(UTC) - moved)
        ages[key] = moved if written is None else written
        return key

    return put


JUST_OVER, JUST_UNDER = RETENTION + timedelta(minutes=1), RETENTION - timedelta(minutes=1)


def test_what_has_been_in_quarantine_for_thirty_days_is_gone_and_nothing_else(purge, quarantine, store):
    quarantine(JUST_OVER)
    kept = [quarantine(JUST_UNDER), quarantine(timedelta())]
    store.put_bytes("quarantine/readme.txt", b"not ours", content_type="text/plain")

    purge.run(seconds=60)

    assert [key for key, _ in store.keys("quarantine/")] == [*kept, "quarantine/readme.txt"]


def test_no_wrong_clock_alone_removes_what_is_in_quarantine(purge, quarantine, store):
    kept = quarantine(JUST_OVER, written=JUST_UNDER), quarantine(JUST_UNDER, written=JUST_OVER)

    purge.run(seconds=60)

    assert [key for key, _ in store.keys("quarantine/")] == [*kept]


def test_a_run_removes_so_many_objects_of_the_quarantine_and_the_next_goes_on(purge, quarantine, store, monkeypatch):
    monkeypatch.setattr("generation_history.work.purge.QUARANTINE_BATCH", 2)
    for days in range(3):
        quarantine(JUST_OVER + timedelta(days=days))

    purge.run(seconds=60)
    assert len(list(store.keys("quarantine/"))) == 1
    purge.run(seconds=60)
    assert list(store.keys("quarantine/")) == []


def test_the_quarantine_is_emptied_also_while_a_generation_cannot_be_purged(
    manager, worker_db, purge, stored, pass_fence, quarantine, store
):
    generation_id = stored()
    manager.delete_generation(generation_id, purge=True)
    purge.run(seconds=60)
    pass_fence()
    quarantine(JUST_OVER)

    def delete(key: str) -> None:
        if generation_id in key:
            raise StorageError("the object is locked")
        store.delete(key)

    with pytest.raises(StorageError, match="locked"):
        Purge(worker_db, altered(store, delete=delete)).run(seconds=60)

    assert list(store.keys("quarantine/")) == []


def test_a_quarantine_that_cannot_be_emptied_is_an_error_and_generations_are_purged_all_the_same(
    manager, worker_db, purge, stored, left, pass_fence, quarantine, store
):
    generation_id = stored()
    manager.delete_generation(generation_id, purge=True)
    purge.run(seconds=60)
    pass_fence()
    quarantine(JUST_OVER)

    def delete(key: str) -> None:
        if key.startswith("quarantine/"):
            raise StorageError("the object is locked")
        store.delete(key)

    with pytest.raises(StorageError, match="locked"):
        Purge(worker_db, altered(store, delete=delete)).run(seconds=60)

    assert left(generation_id) == (0, 0)


# ------------------------------------------------------------ the fence


class SlowStore(ObjectStore):
    """A store that stops before or after it writes a video, until a test lets it go on."""

    def __init__(self, settings, *, stops: str):
        super().__init__(settings)
        self.stops = stops
        self.stopped, self.go_on = threading.Event(), threading.Event()

    def put(self, key, path, *, content_type):
        if self.stops == "before":
            self._stop()
        url = super().put(key, path, content_type=content_type)
        if self.stops == "after":
            self._stop()
        return url

    def _stop(self):
        self.stopped.set()
        assert self.go_on.wait(30)


@pytest.mark.parametrize("stops", ["before", "after"])
def test_a_worker_in_the_middle_of_a_store_leaves_nothing_behind(
    scenes, manager, spaces, purge, pass_fence, left, db, stops: str
):
    """It writes no row, because its lease is gone; its object goes with the others once it must have given up."""
    generation_id = manager.get_scene(scenes.accepted())["generation_id"]
    slow = SlowStore(spaces, stops=stops)
    worker = scenes.make_worker(videos=VideoStorageManager(store=slow))
    scenes.make_due()
    running = threading.Thread(target=worker.run, kwargs={"seconds": 600})
    running.start()
    assert slow.stopped.wait(30)

    manager.delete_generation(generation_id, purge=True)
    assert purge.run(seconds=60) == 0
    assert db.rows("select 1 from jobs") == []
    slow.go_on.set()
    running.join(30)

    assert not running.is_alive()
    assert db.rows("select status, video_url from scenes") == [("processing", None)]
    assert left(generation_id)[0] > 0
    assert purge.run(seconds=60) == 0
    pass_fence()
    assert purge.run(seconds=60) == 1
    assert left(generation_id) == (0, 0)
    assert db.everything() == []


def test_nothing_is_removed_before_the_fence_has_stood_long_enough(manager, purge, stored, left, db):
    generation_id = stored()
    before = left(generation_id)
    manager.delete_generation(generation_id, purge=True)
    purge.run(seconds=60)

    db.rows("update generations set purging_since = now() - make_interval(secs => %s)", FENCED_SECONDS - 5)
    assert purge.run(seconds=60) == 0
    assert left(generation_id) == before

    db.rows("update generations set purging_since = now() - make_interval(secs => %s)", FENCED_SECONDS + 1)
    assert purge.run(seconds=60) == 1


def test_a_fence_takes_the_jobs_of_what_is_due_alone(manager, purge, generation_factory, db):
    due, kept = (generation_factory(2, submit=True) for _ in range(2))
    db.rows("update jobs set step = 'poll'")
    manager.delete_generation(due["id"], purge=True)

    purge.run(seconds=60)

    assert {str(scene_id) for (scene_id,) in db.rows("select scene_id from jobs")} == {
        scene["id"] for scene in kept["variants"][0]["scenes"]
    }


def test_the_fence_stands_longer_than_a_worker_lives():
    """DigitalOcean's longest function lives 15 minutes."""
    assert FENCED_SECONDS >= 15 * 60


# ------------------------------------------------------------ whatever goes wrong


def altered(store: ObjectStore, **methods: Callable) -> SimpleNamespace:
    """The store with other methods of these names."""
    used = ("keys", "delete", "unfinished_uploads", "abort_upload")
    return SimpleNamespace(**{name: getattr(store, name) for name in used} | methods)


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("objects_removed", range(5))
def test_a_purge_that_dies_is_finished_by_the_next(
    manager, purge, worker_db, store, stored, left, pass_fence, monkeypatch, objects_removed: int
):
    """Of two scenes with four objects; with all of them removed it dies just before the rows go."""
    generation_id = stored(2)
    rows = left(generation_id)[1]
    manager.delete_generation(generation_id, purge=True)
    purge.run(seconds=60)
    pass_fence()
    removed = []

    def delete(key: str) -> None:
        if len(removed) == objects_removed:
            raise Killed
        store.delete(key)
        removed.append(key)

    def run(owner, *statements):
        if "purge_generation" in statements[0][0]:
            raise Killed
        return worker_db.run(owner, *statements)

    dying = Purge(SimpleNamespace(run=run), altered(store, delete=delete))
    with pytest.raises(Killed):
        dying.run(seconds=60)
    assert left(generation_id) == (4 - objects_removed, rows)

    assert purge.run(seconds=60) == 1
    assert left(generation_id) == (0, 0)


def test_a_store_that_is_down_leaves_the_rows_and_says_why(manager, purge, worker_db, spaces, stored, left, pass_fence):
    generation_id = stored()
    before = left(generation_id)
    manager.delete_generation(generation_id, purge=True)
    purge.run(seconds=60)
    pass_fence()

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        Purge(worker_db, ObjectStore(replace(spaces, endpoint="http://127.0.0.1:9"))).run(seconds=60)

    assert left(generation_id) == before
    assert purge.run(seconds=60) == 1


def test_one_object_that_cannot_be_removed_keeps_no_other_generation_waiting(
    manager, worker_db, store, stored, left, pass_fence, purge
):
    ids = [stored() for _ in range(3)]
    for generation_id in ids:
        manager.delete_generation(generation_id, purge=True)
    purge.run(seconds=60)
    pass_fence()

    def delete(key: str) -> None:
        if ids[0] in key:
            raise StorageError("the object is locked")
        store.delete(key)

    with pytest.raises(StorageError, match="locked"):
        Purge(worker_db, altered(store, delete=delete)).run(seconds=60)

    assert [left(generation_id) == (0, 0) for generation_id in ids] == [False, True, True]
    assert purge.run(seconds=60) == 1


def test_a_purge_stops_at_a_store_that_fails_again_and_again(
    manager, worker_db, store, stored, pass_fence, purge, caplog
):
    """Its time is the store's, and its log no longer than it needs to be."""
    ids = [stored() for _ in range(MAX_FAILURES + 2)]
    for generation_id in ids:
        manager.delete_generation(generation_id, purge=True)
    purge.run(seconds=60)
    pass_fence()
    tried = []

    def delete(key: str) -> None:
        tried.append(key)
        raise StorageError("the store is down")

    with pytest.raises(StorageError, match="down"):
        Purge(worker_db, altered(store, delete=delete)).run(seconds=60)

    assert len(tried) == MAX_FAILURES
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == MAX_FAILURES
    assert purge.run(seconds=60) == len(ids)


def test_rows_stay_where_the_store_only_says_that_the_objects_are_gone(
    manager, worker_db, store, stored, left, pass_fence, purge
):
    """Whatever stands before it may answer 204 to everything."""
    generation_id = stored()
    manager.delete_generation(generation_id, purge=True)
    purge.run(seconds=60)
    pass_fence()
    before = left(generation_id)

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        Purge(worker_db, altered(store, delete=lambda _: None)).run(seconds=60)

    assert left(generation_id) == before
    assert purge.run(seconds=60) == 1


@pytest.mark.parametrize("deleted", [False, True], ids=["kept", "deleted, yet not fenced"])
def test_the_database_purges_only_what_is_fenced(manager, worker_db, stored, left, deleted):
    """However the worker comes to ask for it: what is not fenced may have workers, and can be restored."""
    generation_id = stored()
    if deleted:
        manager.delete_generation(generation_id)
    before = left(generation_id)

    gone = worker_db.run(None, ("select purge_generation(%(id)s) as gone", {"id": generation_id}))[0]["gone"]

    assert not gone
    assert left(generation_id) == before


def test_batches_are_bounded_and_all_is_done_in_the_end(manager, worker_db, store, stored, pass_fence, monkeypatch, db):
    monkeypatch.setattr("generation_history.work.purge.BATCH", 2)
    for generation_id in [stored() for _ in range(5)]:
        manager.delete_generation(generation_id, purge=True)
    sizes = []

    def run(owner, *statements):
        rows = worker_db.run(owner, *statements)
        if "begin_purge" in statements[0][0]:
            sizes.append(rows[0]["fenced"])
        if "purgeable" in statements[0][0]:
            sizes.append(len(rows))
        return rows

    purge = Purge(SimpleNamespace(run=run), store)
    assert purge.run(seconds=60) == 0
    assert sizes == [2, 2, 1, 0, 0]
    pass_fence()
    sizes.clear()

    assert purge.run(seconds=60) == 5
    assert sizes == [0, 2, 2, 1, 0]


def test_a_purge_stops_at_its_deadline_and_the_next_goes_on(
    manager, worker_db, store, stored, left, pass_fence, monkeypatch
):
    """Also in the middle of a generation, whose rows then stay."""
    now = 0.0
    monkeypatch.setattr("generation_history.work.purge.time", SimpleNamespace(monotonic=lambda: now))
    generation_id = stored(3)
    rows = left(generation_id)[1]

    def delete(key: str) -> None:
        nonlocal now
        now += 10
        store.delete(key)

    purge = Purge(worker_db, altered(store, delete=delete))
    manager.delete_generation(generation_id, purge=True)
    purge.run(seconds=60)
    pass_fence()

    assert purge.run(seconds=35) == 0
    assert left(generation_id) == (2, rows)
    assert purge.run(seconds=35) == 1
    assert left(generation_id) == (0, 0)


@pytest.mark.parametrize("seconds", [0, -5])
def test_without_time_nothing_is_begun(manager, purge, stored, db, seconds: float):
    manager.delete_generation(stored(), purge=True)

    assert purge.run(seconds=seconds) == 0

    assert db.rows("select purging_since from generations") == [(None,)]


def test_two_purges_at_once_remove_each_generation_once(manager, worker_db, store, stored, pass_fence, purge, db):
    for generation_id in [stored() for _ in range(4)]:
        manager.delete_generation(generation_id, purge=True)
    purge.run(seconds=60)
    pass_fence()
    start, counts = threading.Barrier(2), []

    def run() -> None:
        start.wait()
        counts.append(Purge(worker_db, store).run(seconds=60))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sum(counts) == 4
    assert len(counts) == 2
    assert db.everything() == []


def test_deliveries_are_forgotten_after_a_week(purge, db):
    insert = "insert into deliveries values (%s, 'video.completed', 'video_1', now() - %s::interval)"
    db.rows(insert, "old", "7 days 1 minute")
    db.rows(insert, "new", "6 days 23 hours")

    purge.run(seconds=60)

    assert db.rows("select webhook_id from deliveries") == [("new",)]


# ------------------------------------------------------------ archives


@pytest.fixture
def archived(stored, manager, worker_db, store, db) -> Callable[[], tuple[str, str]]:
    """A generation whose archive is ready: its id, and the archive's key."""

    def make() -> tuple[str, str]:
        generation_id = stored()
        archive = Archives(manager.owner_id).ask(generation_id)
        builder = ArchiveBuilder(ArchiveQueue(worker_db, lease_seconds=60), store, lease_seconds=60)
        assert builder.run(seconds=600) == 1
        return generation_id, archive["key"]

    return make


def archive_states(db) -> list[str]:
    return [state for (state,) in db.rows("select state from archives order by created_at")]


def test_an_archive_goes_a_week_after_it_was_made_and_its_generation_stays(archived, purge, store, left, db):
    generation_id, key = archived()
    videos = left(generation_id)[0] - 1
    db.rows(
        "update archives set expires_at = expires_at - make_interval(days => %s) + interval '1 minute'", RETENTION_DAYS
    )
    assert purge.run(seconds=60) == 0
    assert (store.size(key) or 0) > 0

    db.rows("update archives set expires_at = expires_at - interval '1 minute'")
    assert purge.run(seconds=60) == 0

    assert store.size(key) is None
    assert archive_states(db) == []
    assert left(generation_id)[0] == videos


def test_of_an_archive_that_failed_or_was_superseded_nothing_is_left_either(
    stored, archived, manager, purge, store, db, worker_db
):
    queue = ArchiveQueue(worker_db, lease_seconds=60)
    failed = Archives(manager.owner_id).ask(stored())
    store.begin_upload(failed["key"], content_type="application/zip")
    queue.give_up(queue.claim(), "timed_out", "too late")
    db.rows("update archives set expires_at = now() where state = 'failed'")
    superseded = stored()
    Archives(manager.owner_id).ask(superseded)
    manager.save_metadata(superseded, prompts_data=1)
    Archives(manager.owner_id).ask(superseded)
    assert archive_states(db) == ["failed", "removing", "queued"]

    purge.run(seconds=60)

    assert archive_states(db) == ["queued"]
    assert list(store.unfinished_uploads(failed["key"])) == []


def test_what_is_asked_for_again_while_the_old_one_goes_is_kept(archived, manager, purge, store, db, worker_db):
    """Its key is another one."""
    generation_id, old = archived()
    db.rows("update archives set expires_at = now()")
    again = []

    def delete(key: str) -> None:
        store.delete(key)
        again.append(Archives(manager.owner_id).ask(generation_id))
        builder = ArchiveBuilder(ArchiveQueue(worker_db, lease_seconds=60), store, lease_seconds=60)
        assert builder.run(seconds=600) == 1

    Purge(worker_db, altered(store, delete=delete)).run(seconds=60)

    assert store.size(old) is None
    assert archive_states(db) == ["ready"]
    assert store.size(again[0]["key"])


@pytest.mark.parametrize("dies_at", ["the object", "the row"])
def test_a_purge_that_dies_at_an_archive_is_finished_by_the_next(archived, purge, worker_db, store, db, dies_at: str):
    _, key = archived()
    db.rows("update archives set expires_at = now()")

    def die(*_: object) -> None:
        raise Killed

    def run(owner, *statements):
        if "remove_archive" in statements[0][0]:
            raise Killed
        return worker_db.run(owner, *statements)

    methods = {"delete": die} if dies_at == "the object" else {}
    with pytest.raises(Killed):
        Purge(SimpleNamespace(run=run), altered(store, **methods)).run(seconds=60)
    assert archive_states(db) == ["removing"]

    purge.run(seconds=60)

    assert (archive_states(db), store.size(key)) == ([], None)


def test_a_purge_of_archives_stops_at_its_deadline_and_the_next_goes_on(archived, worker_db, store, monkeypatch, db):
    now = 0.0
    monkeypatch.setattr("generation_history.work.purge.time", SimpleNamespace(monotonic=lambda: now))
    for _ in range(3):
        archived()
    db.rows("update archives set expires_at = now()")

    def delete(key: str) -> None:
        nonlocal now
        now += 40
        store.delete(key)

    purge = Purge(worker_db, altered(store, delete=delete))
    purge.run(seconds=60)
    assert len(archive_states(db)) == 1

    purge.run(seconds=60)
    assert archive_states(db) == []


# ------------------------------------------------------------ the function


@pytest.fixture
def main() -> Callable[[], dict]:
    """The function ops/purge, as its schedule calls it."""
    function = importlib.import_module("ops.purge.__main__").main
    return lambda: function({}, SimpleNamespace(get_remaining_time_in_millis=lambda: 29_500))


def test_the_function_purges_what_is_due(main, db, spaces, manager, stored, left, pass_fence):
    generation_id = stored()
    manager.delete_generation(generation_id, purge=True)
    assert main() == {"purged": 0}
    pass_fence()

    assert main() == {"purged": 1}

    assert left(generation_id) == (0, 0)


@pytest.mark.parametrize("setting", ["WORKER_DATABASE_URL", "DO_SPACES_ACCESS_KEY", "DO_SPACES_SECRET_KEY"])
def test_the_function_names_the_setting_that_is_missing(main, db, spaces, monkeypatch, setting: str):
    for unset in ("none", None):
        monkeypatch.setenv(setting, unset) if unset else monkeypatch.delenv(setting)

        answer = main()

        assert set(answer) == {"error"}
        assert answer["error"].startswith(f"{setting} is not set")


def test_the_function_says_what_is_wrong_with_the_store(main, db, spaces, manager, stored, pass_fence, monkeypatch):
    manager.delete_generation(stored(), purge=True)
    main()
    pass_fence()
    monkeypatch.setenv("DO_SPACES_SECRET_KEY", "wrong")

    assert main()["error"].startswith("DO_SPACES_SECRET_KEY was refused")
    assert db.rows("select count(*) from generations") == [(1,)]
