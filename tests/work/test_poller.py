"""One run of the poller does the scenes' steps and builds archives beside them; neither waits for the other."""

import importlib
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from generation_history.archives.archive_builder import ArchiveBuilder
from generation_history.archives.archive_queue import ArchiveQueue
from generation_history.archives.archives import Archives
from generation_history.errors import Unavailable
from generation_history.storage.object_store import ObjectStore
from generation_history.work import poller as poller_module
from generation_history.work.inspections import Inspections
from generation_history.work.poller import Poller, from_settings

WAIT_SECONDS = 20


class SlowStore(ObjectStore):
    """A store whose uploads in parts wait until a test lets them go on."""

    def __init__(self, settings) -> None:
        super().__init__(settings)
        self.begun, self.go_on = threading.Event(), threading.Event()

    def begin_upload(self, key: str, *, content_type: str) -> str:
        self.begun.set()
        assert self.go_on.wait(WAIT_SECONDS)
        return super().begin_upload(key, content_type=content_type)


@pytest.fixture
def slow(spaces) -> SlowStore:
    return SlowStore(spaces)


@pytest.fixture
def make_poller(make_worker, worker_db, store, videos) -> Callable[..., Poller]:
    """A poller of the tests' provider, whose archives come from and go to this store."""

    def make(archives_in: ObjectStore = store) -> Poller:
        builder = ArchiveBuilder(ArchiveQueue(worker_db, lease_seconds=60), archives_in, lease_seconds=60)
        return Poller(make_worker(), builder, Inspections(worker_db, videos))

    return make


@pytest.fixture
def asked(scenes, manager) -> Callable[[], str]:
    """The id of a scene that is stored, and whose generation's archive was asked for."""

    def make() -> str:
        scene_id = scenes.accepted()
        scenes.step()
        Archives(manager.owner_id).ask(scenes.read(scene_id)["generation_id"])
        return scene_id

    return make


def test_scenes_and_archives_are_done_in_one_run(make_poller, asked, scenes, db):
    asked()
    scenes.add("another")

    assert make_poller().run(seconds=600) == (1, 1)

    assert db.rows("select state from archives") == [("ready",)]


def test_a_long_archive_keeps_no_scene_waiting(make_poller, asked, scenes, slow, monkeypatch):
    """Neither those that are due when it begins, nor those that become due meanwhile."""
    monkeypatch.setattr(poller_module, "RERUN_SECONDS", 0.01)
    asked()
    scenes.add("due at the beginning")
    poller = make_poller(slow)

    def become_due_and_be_done() -> None:
        assert slow.begun.wait(WAIT_SECONDS)
        late.append(scenes.add("due later"))
        while scenes.job(late[0])[0] != "poll":
            assert running.is_alive()
        slow.go_on.set()

    late: list[str] = []
    done: list[tuple[int, int]] = []
    running = threading.Thread(target=lambda: done.append(poller.run(seconds=600)))
    running.start()
    become_due_and_be_done()
    running.join(WAIT_SECONDS)

    assert done == [(2, 1)]


def test_one_poller_builds_one_archive_at_a_time(make_poller, asked, slow, db):
    for _ in range(3):
        asked()
    poller = make_poller(slow)
    running = threading.Thread(target=poller.run, kwargs={"seconds": 600})
    running.start()
    assert slow.begun.wait(WAIT_SECONDS)

    assert sorted(db.rows("select state, count(*) from archives group by state")) == [("building", 1), ("queued", 2)]

    slow.go_on.set()
    running.join(WAIT_SECONDS)
    assert db.rows("select state, count(*) from archives group by state") == [("ready", 3)]


def test_a_run_that_fails_leaves_no_archive_running_behind_it(make_poller, asked, slow, queue, db, monkeypatch):
    """An instance that has answered is frozen, or ends."""
    asked()
    poller = make_poller(slow)

    def unavailable(*_: object, **__: object) -> None:
        assert slow.begun.wait(WAIT_SECONDS)
        slow.go_on.set()
        raise Unavailable("the database is gone")

    monkeypatch.setattr(queue, "claim", unavailable)

    with pytest.raises(Unavailable):
        poller.run(seconds=600)

    assert db.rows("select state from archives") == [("ready",)]


def test_archives_that_cannot_be_built_now_keep_no_scene_waiting(make_poller, scenes, monkeypatch, caplog):
    def unavailable(_: object) -> None:
        raise Unavailable("the database is gone")

    monkeypatch.setattr(ArchiveQueue, "claim", unavailable)
    scenes.add()

    assert make_poller().run(seconds=600) == (1, 0)
    assert "no archive can be built now" in caplog.text


def test_stored_videos_are_looked_at_once_nothing_else_is_due(make_poller, scenes, db, monkeypatch):
    scene_id = scenes.accepted()
    scenes.step()
    db.rows("update scenes set duration = null where id = %s", scene_id)
    db.rows("insert into inspections (scene_id, owner_id) select id, owner_id from scenes")
    scenes.add("another")

    assert make_poller().run(seconds=600) == (2, 0)

    assert scenes.read(scene_id)["duration"] == 2
    assert db.rows("select 1 from inspections") == []


def test_no_stored_video_is_looked_at_when_the_time_is_nearly_up(make_poller, scenes, db):
    scene_id = scenes.add("one", submit=False)
    db.rows("insert into inspections (scene_id, owner_id) select id, owner_id from scenes where id = %s", scene_id)

    assert make_poller().run(seconds=100) == (0, 0)

    assert db.rows("select tries from inspections") == [(0,)]


def test_a_closed_poller_leaves_no_thread(db, spaces, sora):
    before = set(threading.enumerate())
    poller = from_settings()
    poller.run(seconds=600)

    poller.close()

    assert set(threading.enumerate()) - before == set()


def test_the_function_says_what_it_did(db, spaces, sora, monkeypatch):
    function = importlib.import_module("sora.poller.__main__")
    made = from_settings()
    monkeypatch.setattr(function, "_poller", lambda: made)

    answer = function.main({}, SimpleNamespace(get_remaining_time_in_millis=lambda: 100_000, activation_id="1"))

    assert answer == {"steps": 0, "archives": 0}
    made.close()
