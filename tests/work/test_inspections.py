"""Stored videos whose rows lack something are looked at, behind all else, and no scene ever fails by it."""

from collections.abc import Callable

import pytest

from generation_history.errors import MachineFault, StorageError
from generation_history.storage.keys import scene_key
from generation_history.work import inspections as module
from generation_history.work.inspections import Inspections


@pytest.fixture
def inspections(worker_db, videos):
    made = Inspections(worker_db, videos)
    yield made
    made.close()


@pytest.fixture
def bare(manager, generation_factory, store, film, db, tmp_path) -> Callable[..., str]:
    """The id of a completed scene whose video is stored, and whose row says nothing else of it."""

    def make(content: bytes = film, **values: object) -> str:
        generation = generation_factory(1)
        scene_id = generation["variants"][0]["scenes"][0]["id"]
        file = tmp_path / "video"
        file.write_bytes(content)
        url = store.put(scene_key(generation["id"], "soft", 1), file, content_type="video/mp4")
        manager.update_scene(scene_id, status="completed", video_url=url, **values)
        db.rows("insert into inspections (scene_id, owner_id) values (%s, %s)", scene_id, manager.owner_id)
        return scene_id

    return make


@pytest.fixture
def left(db):
    return lambda: db.rows("select tries, last_error from inspections")


def test_what_a_row_lacks_is_filled_in_and_what_it_has_stays(inspections, bare, manager, left, film, right):
    scene_id = bare(duration=77)

    assert (inspections.run(), inspections.run()) == (1, 0)

    scene = manager.get_scene(scene_id)
    assert (scene["duration"], scene["resolution"], scene["file_size"]) == (77, "160x90", len(film))
    assert scene["thumbnail_url"].endswith("/soft/scene_1_thumb.jpg")
    assert (scene["status"], scene["error_message"], left()) == ("completed", None, [])
    right()


def test_the_stored_video_itself_is_not_written_again(inspections, bare, store, monkeypatch):
    bare()
    put: list[str] = []
    real = store.put
    monkeypatch.setattr(store, "put", lambda key, *rest, **how: (put.append(key), real(key, *rest, **how))[1])

    inspections.run()

    assert [key.rpartition("/")[2] for key in put] == ["scene_1_thumb.jpg"]


@pytest.mark.parametrize("fault", [MachineFault("no room"), StorageError("down"), RuntimeError("who knows")])
def test_what_goes_wrong_is_tried_again_later_and_fails_no_scene(
    inspections, bare, manager, left, db, videos, monkeypatch, fault
):
    scene_id = bare()
    with monkeypatch.context() as failing:
        failing.setattr(videos, "_inspect", lambda *_: (_ for _ in ()).throw(fault))
        assert (inspections.run(), inspections.run()) == (1, 0)
    assert left() == [(1, str(fault))]
    assert manager.get_scene(scene_id)["status"] == "completed"

    db.rows("update inspections set run_at = now()")
    inspections.run()

    assert manager.get_scene(scene_id)["thumbnail_url"]
    assert left() == []


def test_a_file_that_is_no_video_is_looked_at_once_and_the_scene_says_so(inspections, bare, manager, left):
    scene_id = bare(b"\0\0\0\x18ftypisom and nothing else")

    inspections.run()

    scene = manager.get_scene(scene_id)
    assert (scene["status"], scene["thumbnail_url"], left()) == ("completed", None, [])
    assert "ffmpeg finds no video" in scene["error_message"]


def test_what_is_in_the_way_for_ever_is_given_up(inspections, bare, manager, left, store, db):
    scene_id = bare()
    generation = manager.get_scene(scene_id)["generation_id"]
    store.delete(scene_key(generation, "soft", 1))
    db.rows("update inspections set tries = %s", module.MAX_TRIES - 1)

    inspections.run()

    assert left() == []
    assert (manager.get_scene(scene_id)["status"], "no object" in manager.get_scene(scene_id)["error_message"]) == (
        "completed",
        True,
    )


def test_a_poller_that_dies_of_a_video_leaves_it_to_another_one_later(inspections, bare, left, db, monkeypatch):
    bare()
    monkeypatch.setattr(inspections, "_inspect", lambda _due: None)

    assert (inspections.run(), inspections.run()) == (1, 0)

    assert left() == [(1, None)]
    assert db.rows("select run_at > now() + interval '5 minutes' from inspections") == [(True,)]


def test_a_scene_that_has_another_video_by_now_keeps_what_is_said_of_that(inspections, bare, manager, left, videos, db):
    scene_id = bare()
    inspect = videos.inspect_stored

    def meanwhile(key: str):
        db.rows("update scenes set video_url = 'https://cdn.example/other.mp4' where id = %s", scene_id)
        return inspect(key)

    videos.inspect_stored = meanwhile
    inspections.run()

    assert manager.get_scene(scene_id)["thumbnail_url"] is None
    assert left() == []


@pytest.mark.parametrize("change", ["video_url = null", "video_url = 'https://cdn.example/v.mp4'"])
def test_what_is_not_ours_to_look_at_is_forgotten(inspections, bare, left, db, change):
    scene_id = bare()
    db.rows(f"update scenes set {change} where id = %s", scene_id)

    inspections.run()

    assert left() == []


def test_nothing_is_looked_at_any_more_of_what_is_purged(inspections, bare, manager, left, db):
    """Its thumbnail would come after its objects had gone."""
    manager.delete_generation(manager.get_scene(bare())["generation_id"], purge=True)
    assert db.rows("select begin_purge(10)") == [(1,)]

    assert (inspections.run(), left()) == (0, [])
