"""A generation as one zip: asked for, looked after while it is made, and downloaded by a signed link."""

import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import pytest
import requests

from generation_history.archives.archive_builder import ArchiveBuilder
from generation_history.archives.archive_queue import RETENTION_DAYS, ArchiveQueue
from generation_history.db.database import Database
from generation_history.work import wakeup
from tests.support.scripted_server import answer

WAKE_KEY = "dof_v1_0123456789:secret"


@pytest.fixture
def ask(call, open_to_one) -> Callable:
    """POST: asks for the archive of a generation."""
    return lambda generation_id, **how: call("generations", f"/{generation_id}/download", method="POST", **how)


@pytest.fixture
def look(call, open_to_one) -> Callable:
    """GET: how the archive stands."""
    return lambda generation_id, **how: call("generations", f"/{generation_id}/download", **how)


@pytest.fixture
def build(worker_db, store) -> Callable[[], int]:
    """The poller builds what is due: how many archives are ready."""
    builder = ArchiveBuilder(ArchiveQueue(worker_db, lease_seconds=60), store, lease_seconds=60)
    return lambda: builder.run(seconds=600)


@pytest.fixture
def made(stored, generation_factory) -> dict:
    """A generation of two variants with two stored videos each, and one kind of metadata."""
    generation = generation_factory(2, ("soft", "ultra"), source_video_url="https://video.example/Summer%20ad.mp4?t=1")
    return stored(generation)


def download(link: str) -> zipfile.ZipFile:
    response = requests.get(link, timeout=10)
    response.raise_for_status()
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    assert archive.testzip() is None
    return archive


def test_a_generation_is_asked_for_made_and_downloaded_whole(ask, look, build, made):
    asked = ask(made["id"])
    assert asked.status == 202
    assert asked.json == {
        "success": True,
        "status": "queued",
        "videos": 4,
        "videos_done": 0,
        "bytes": sum(scene["file_size"] for variant in made["variants"] for scene in variant["scenes"]),
        "bytes_done": 0,
        "outdated": False,
        "status_url": f"/api/history/generations/{made['id']}/download",
    }
    assert look(made["id"]).json == asked.json
    assert look(made["id"]).headers["retry-after"] == "2"

    assert build() == 1

    ready = look(made["id"])
    assert (ready.status, ready.json["status"]) == (200, "ready")
    archive = download(ready.json["url"])
    videos = {
        f"video.example-Summer-ad_{variant['variant_type']}_scene-{scene['scene_number']}.mp4": scene["id"]
        for variant in made["variants"]
        for scene in variant["scenes"]
    }
    assert archive.namelist() == [*videos, "manifest.json"]
    assert all(archive.read(name).decode() == f"video of {scene_id}" for name, scene_id in videos.items())


def test_the_link_downloads_under_a_readable_name_and_is_as_long_as_said(ask, look, build, made):
    ask(made["id"])
    build()

    ready = look(made["id"]).json
    response = requests.get(ready["url"], timeout=10)

    assert response.headers["Content-Disposition"] == (
        "attachment; filename=\"video.example-Summer-ad.zip\"; filename*=UTF-8''video.example-Summer-ad.zip"
    )
    assert response.headers["Content-Type"] == "application/zip"
    assert len(response.content) == ready["size"]
    assert timedelta(minutes=29) < datetime.fromisoformat(ready["expires_at"]) - datetime.now(UTC) <= timedelta(hours=1)


def test_the_manifest_tells_the_record_and_every_file(ask, look, build, made, manager):
    for kind in ("original_analysis", "transformation_data", "prompts_data", "evaluation_data"):
        manager.save_metadata(made["id"], **{kind: {"said": f"{kind} ü 😀", "kept": None}})
    ask(made["id"])
    build()

    archive = download(look(made["id"]).json["url"])
    text = archive.read("manifest.json").decode()
    manifest = json.loads(text)

    assert "X-Amz-" not in text
    record = manifest["generation"]
    assert (record["id"], record["source_video_url"]) == (made["id"], made["source_video_url"])
    assert record["metadata"]["evaluation_data"] == {"said": "evaluation_data ü 😀", "kept": None}
    assert set(record["metadata"]) == {"original_analysis", "transformation_data", "prompts_data", "evaluation_data"}
    scenes = [scene for variant in record["variants"] for scene in variant["scenes"]]
    assert [scene["sora_prompt"] for scene in scenes] == [
        f"{kind} scene {n}" for kind in ("soft", "ultra") for n in (1, 2)
    ]
    assert [scene["file"] for scene in scenes] == archive.namelist()[:-1]
    for file, scene in zip(manifest["files"], scenes, strict=True):
        content = archive.read(file["name"])
        assert (file["size"], file["sha256"]) == (len(content), sha256(content).hexdigest())
        assert (file["scene_id"], file["scene_number"], file["duration"]) == (scene["id"], scene["scene_number"], 8)


# ---------------------------------------------------------------- again, and after a change


def test_asking_again_changes_nothing(ask, look, build, made, db):
    for _ in range(3):
        assert ask(made["id"]).json["status"] == "queued"
    assert build() == 1
    ready = look(made["id"])

    for _ in range(3):
        again = ask(made["id"])
        assert (again.status, again.json) == (200, ready.json)

    assert build() == 0
    assert db.rows("select count(*) from archives") == [(1,)]


def test_a_generation_that_changed_gets_a_new_archive_and_the_old_one_is_said_to_be_old(
    ask, look, build, made, manager, db
):
    ask(made["id"])
    build()
    old = look(made["id"]).json
    manager.save_metadata(made["id"], evaluation_data={"score": 0.9})
    assert look(made["id"]).json == {**old, "outdated": True}

    asked = ask(made["id"])
    assert (asked.status, asked.json["status"], asked.json["outdated"]) == (202, "queued", False)
    build()

    new = look(made["id"]).json
    assert new["outdated"] is False
    assert new["url"].partition("?")[0] != old["url"].partition("?")[0]
    assert json.loads(download(new["url"]).read("manifest.json"))["generation"]["metadata"]["evaluation_data"]
    # Whoever is downloading it goes on.
    download(old["url"])
    assert db.rows("select count(*) from archives where state = 'ready'") == [(2,)]


def test_an_archive_that_still_waits_gives_way_to_one_of_more_videos(ask, look, build, stored, generation_factory, db):
    generation = generation_factory(2)
    first, second = generation["variants"][0]["scenes"]
    stored({"id": generation["id"], "variants": [{"variant_type": "soft", "scenes": [first]}]})
    assert ask(generation["id"]).json["videos"] == 1
    stored({"id": generation["id"], "variants": [{"variant_type": "soft", "scenes": [second]}]})
    assert look(generation["id"]).json["outdated"] is True

    assert ask(generation["id"]).json["videos"] == 2
    assert build() == 1

    assert look(generation["id"]).json["videos"] == 2
    assert db.rows("select state from archives order by created_at") == [("removing",), ("ready",)]


def test_what_is_stored_by_now_can_be_had_before_all_of_it_is(ask, look, build, stored, generation_factory, manager):
    generation = generation_factory(3)
    scenes = generation["variants"][0]["scenes"]
    stored({"id": generation["id"], "variants": [{"variant_type": "soft", "scenes": scenes[:1]}]})
    manager.update_scene(scenes[1]["id"], status="failed", error_message="blocked", error_code="moderation_blocked")
    ask(generation["id"])
    build()

    archive = download(look(generation["id"]).json["url"])
    record = json.loads(archive.read("manifest.json"))["generation"]

    assert archive.namelist() == ["video.example-ad_soft_scene-1.mp4", "manifest.json"]
    assert record["status"] == "processing"
    told = [(scene["status"], scene["error_code"], scene["file"]) for scene in record["variants"][0]["scenes"]]
    assert told == [
        ("completed", None, "video.example-ad_soft_scene-1.mp4"),
        ("failed", "moderation_blocked", None),
        ("pending", None, None),
    ]


def test_a_video_that_lies_elsewhere_is_told_of_and_never_fetched(
    ask, look, build, stored, generation_factory, manager
):
    generation = generation_factory(2)
    first, second = generation["variants"][0]["scenes"]
    stored({"id": generation["id"], "variants": [{"variant_type": "soft", "scenes": [first]}]})
    theirs = f"http://127.0.0.1:9/generations/{uuid4()}/soft/scene_1.mp4"
    manager.update_scene(second["id"], video_url=theirs, status="completed")
    ask(generation["id"])
    assert build() == 1

    archive = download(look(generation["id"]).json["url"])
    manifest = json.loads(archive.read("manifest.json"))

    assert archive.namelist() == ["video.example-ad_soft_scene-1.mp4", "manifest.json"]
    assert [scene["file"] for scene in manifest["generation"]["variants"][0]["scenes"]] == [archive.namelist()[0], None]


# ---------------------------------------------------------------- what there is not


def test_an_archive_that_nobody_asked_for_is_not_found(look, made):
    assert look(made["id"]).refused(404, "not_found").startswith("no archive of this generation was asked for")


def test_a_generation_that_is_not_there_has_none(ask, look, db):
    for answered in (ask(uuid4()), look(uuid4())):
        assert answered.refused(404, "not_found") == "no such generation"


def test_nothing_can_be_archived_before_anything_is_stored(ask, look, generation_factory, db):
    generation_id = generation_factory(1)["id"]

    assert ask(generation_id).refused(409, "conflict") == "this generation has no stored video yet"
    assert look(generation_id).refused(404, "not_found")
    assert db.rows("select 1 from archives") == []


def test_anothers_generation_can_be_neither_asked_for_nor_looked_at(call, by_token, build, made, manager, db):
    path = f"/{made['id']}/download"
    mine, theirs = by_token(sub=str(manager.owner_id)), by_token()
    assert call("generations", path, method="POST", headers=theirs).refused(404, "not_found") == "no such generation"
    assert db.rows("select 1 from archives") == []
    assert call("generations", path, method="POST", headers=mine).status == 202
    build()

    for method in ("GET", "POST"):
        assert call("generations", path, method=method, headers=theirs).refused(404, "not_found")
    assert call("generations", path, headers=mine).status == 200


def test_a_deleted_generations_archive_is_hidden_and_comes_back_with_it(ask, look, build, made, manager):
    ask(made["id"])
    build()
    ready = look(made["id"]).json
    manager.delete_generation(made["id"])

    for answered in (ask(made["id"]), look(made["id"])):
        assert answered.refused(404, "not_found") == "no such generation"

    manager.restore_generation(made["id"])
    assert look(made["id"]).json == ready


# ---------------------------------------------------------------- how it ends


def test_a_build_that_failed_says_why_and_is_tried_again_when_asked_for_again(ask, look, build, made, store, tmp_path):
    key = f"generations/{made['id']}/ultra/scene_2.mp4"
    content = tmp_path / "content"
    assert store.get(key, content)
    store.delete(key)
    ask(made["id"])
    assert build() == 0

    for method in ("GET", "HEAD"):
        assert look(made["id"], method=method).status == 409
    assert look(made["id"]).refused(409, "archive_failed") == (
        "video_missing: the archive could not be made: the video of ultra scene 2 is not in the store"
    )
    store.put(key, content, content_type="video/mp4")
    assert build() == 0
    assert ask(made["id"]).json["status"] == "queued"
    assert build() == 1
    assert len(download(look(made["id"]).json["url"]).namelist()) == 5


def test_an_archive_is_kept_for_a_week_and_can_be_asked_for_again_then(ask, look, build, made, db):
    ask(made["id"])
    build()
    first = look(made["id"]).json["url"].partition("?")[0]
    assert db.rows("select expires_at = ready_at + make_interval(days => %s) from archives", RETENTION_DAYS) == [
        (True,)
    ]
    db.rows("update archives set expires_at = now() - interval '1 second'")

    assert look(made["id"]).refused(404, "not_found")
    assert ask(made["id"]).json["status"] == "queued"
    assert build() == 1

    # Another object, so that the purge of the first one is in nobody's way.
    assert look(made["id"]).json["url"].partition("?")[0] != first


def test_a_link_does_not_say_that_it_outlives_its_archive(ask, look, build, made, db):
    ask(made["id"])
    build()
    db.rows("update archives set expires_at = now() + interval '5 minutes'")

    ends = datetime.fromisoformat(look(made["id"]).json["expires_at"])

    assert timedelta(minutes=4) < ends - datetime.now(UTC) <= timedelta(minutes=5)


def test_head_answers_as_get_does(ask, look, made):
    ask(made["id"])

    head = look(made["id"], method="HEAD")

    assert (head.status, head.returned["body"], head.headers["retry-after"]) == (202, "", "2")


def test_a_look_costs_one_round_trip(ask, look, made, monkeypatch):
    ask(made["id"])
    transaction, trips = Database._transaction, []
    monkeypatch.setattr(Database, "_transaction", lambda *given: trips.append(1) or transaction(*given))

    assert look(made["id"]).status == 202

    assert len(trips) == 1


# ---------------------------------------------------------------- waking the poller


@pytest.fixture
def wakes(scripted, monkeypatch):
    """A server that is called to wake the poller."""
    monkeypatch.setenv("POLLER_WAKE_URL", f"{scripted.base_url}/namespaces/fn-1/actions/sora/poller")
    monkeypatch.setenv("POLLER_WAKE_KEY", WAKE_KEY)
    monkeypatch.setattr(wakeup, "TIMEOUT_SECONDS", 0.5)
    scripted.script(answer(202, {"activationId": "1"}))
    return scripted


def test_who_asks_wakes_the_poller_once(ask, look, build, made, wakes):
    for _ in range(3):
        ask(made["id"])
    look(made["id"])
    build()
    ask(made["id"])

    (request,) = wakes.requests
    assert (request.method, request.target) == ("POST", "/v1/namespaces/fn-1/actions/sora/poller?blocking=false")


def test_a_poller_that_cannot_be_woken_builds_by_its_schedule(ask, look, build, made, wakes, caplog):
    wakes.script(answer(500))

    assert ask(made["id"]).status == 202
    assert build() == 1
    assert look(made["id"]).status == 200
    assert WAKE_KEY not in caplog.text
