"""A finished video comes home: every call of the old system, on a real store, with nothing left behind."""

import hashlib
import io
import os
import socket
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from botocore.exceptions import IncompleteReadError

from generation_history.errors import (
    HistoryError,
    InvalidValue,
    JobGone,
    NotConfigured,
    SceneFailure,
    StorageError,
    StoreRefused,
)
from generation_history.ids import uuid7
from generation_history.media.video_storage_manager import VideoStorageManager
from generation_history.storage.object_store import ObjectStore
from tests.support import films
from tests.support.fakes import MP4
from tests.support.scripted_server import ScriptedServer, answer, hang_up, head, raw

KEY = "sk-secret-0123456789"


@pytest.fixture
def content_url(scripted, film, monkeypatch) -> str:
    """Where a provider has that video."""
    monkeypatch.setenv("SORA_BASE_URL", scripted.base_url)
    scripted.script(answer(200, film, kind="video/mp4"))
    return f"{scripted.base_url}/videos/video_1/content"


@pytest.fixture
def generation_id() -> str:
    return str(uuid7())


@pytest.fixture
def film_path(tmp_path, film) -> str:
    path = tmp_path / "film.mp4"
    path.write_bytes(film)
    return str(path)


def left_in_temp() -> list[Path]:
    """Every file of ours in the temporary folder, which is this test's own."""
    return [path for path in Path(tempfile.gettempdir(), "generation-history").rglob("*") if path.is_file()]


def fetched(store, spaces, url):
    """The object that a plain URL of ours names, as whoever has a signed link gets it."""
    return requests.get(store.signed_url(url.removeprefix(f"{spaces.base_url}/"))[0], timeout=5)


# ---------------------------------------------------------------- the calls, as old callers make them


def test_a_videos_whole_way_ends_with_its_links_and_what_it_is(videos, store, spaces, content_url, generation_id, film):
    video_url, thumbnail_url, metadata = videos.process_and_store_video(content_url, KEY, generation_id, "medium", 3)

    folder = f"{spaces.base_url}/generations/{generation_id}/medium"
    assert (video_url, thumbnail_url) == (f"{folder}/scene_3.mp4", f"{folder}/scene_3_thumb.jpg")
    assert metadata == {"duration": 2, "resolution": "160x90", "file_size": len(film)}
    assert fetched(store, spaces, video_url).content == film
    assert fetched(store, spaces, thumbnail_url).content.startswith(b"\xff\xd8")
    assert left_in_temp() == []


def test_the_same_call_again_gives_the_same_links_and_bytes(videos, store, spaces, content_url, generation_id, film):
    asked = (content_url, KEY, generation_id, "soft", 1)

    assert videos.process_and_store_video(*asked) == videos.process_and_store_video(*asked)

    assert fetched(store, spaces, videos.process_and_store_video(*asked)[0]).content == film


def test_a_retried_scenes_video_lies_beside_the_old_one(videos, spaces, content_url, generation_id):
    asked = (content_url, KEY, generation_id, "soft", 1)

    video_url, thumbnail_url, _ = videos.process_and_store_video(*asked, attempt=2)

    folder = f"{spaces.base_url}/generations/{generation_id}/soft"
    assert (video_url, thumbnail_url) == (f"{folder}/scene_1.2.mp4", f"{folder}/scene_1.2_thumb.jpg")


def test_each_step_can_be_called_by_itself(videos, store, spaces, content_url, generation_id, film):
    path = videos.download_sora_video(content_url, KEY)
    picture = videos.generate_thumbnail(path)

    assert Path(path).read_bytes() == film
    assert films.colour(Path(picture)) == "blue"
    assert videos.get_video_metadata(path) == {"duration": 2, "resolution": "160x90", "file_size": len(film)}
    video_url = videos.upload_video_to_spaces(path, generation_id, "ultra", 4)
    thumbnail_url = videos.upload_thumbnail_to_spaces(picture, generation_id, "ultra", 4)
    assert fetched(store, spaces, video_url).content == film
    assert fetched(store, spaces, thumbnail_url).content == Path(picture).read_bytes()
    assert thumbnail_url == video_url.removesuffix(".mp4") + "_thumb.jpg"
    assert {str(left) for left in left_in_temp()} == {path, picture}


def test_a_manager_made_without_arguments_takes_the_settings(spaces, content_url, generation_id):
    video_url, _, _ = VideoStorageManager().process_and_store_video(content_url, KEY, generation_id, "soft", 1)

    assert video_url.startswith(spaces.base_url)


def test_stored_objects_carry_their_type_and_open_to_nobody(videos, store, spaces, content_url, generation_id):
    video_url, thumbnail_url, _ = videos.process_and_store_video(content_url, KEY, generation_id, "soft", 1)

    for url, kind in ((video_url, "video/mp4"), (thumbnail_url, "image/jpeg")):
        assert requests.get(url, timeout=5).status_code == 403
        assert fetched(store, spaces, url).headers["Content-Type"] == kind


def test_objects_are_put_without_an_acl(scripted, spaces, film_path, generation_id):
    """AWS refuses any since 2023, other stores know none; a bucket is private by default."""
    store = ObjectStore(replace(spaces, endpoint=scripted.base_url.removesuffix("/v1")))
    md5 = hashlib.md5(Path(film_path).read_bytes(), usedforsecurity=False).hexdigest()
    scripted.script(answer(200, b"", kind="application/xml", ETag=f'"{md5}"'))

    VideoStorageManager(store=store).upload_video_to_spaces(film_path, generation_id, "soft", 1)

    assert [name for name in scripted.requests[0].headers if "acl" in name or "grant" in name] == []


# ---------------------------------------------------------------- what goes wrong


def test_a_video_whose_picture_cannot_be_made_is_stored_and_says_why(videos, scripted, content_url, generation_id):
    """Its sound is whole, its pictures are gone."""
    video = Path(videos.download_sora_video(content_url, KEY))
    films.run("-i", video, "-c", "copy", "-bsf:v", "noise=amount=1", "-y", video.with_name("noisy.mp4"))
    scripted.script(answer(200, video.with_name("noisy.mp4").read_bytes(), kind="video/mp4"))

    video_url, thumbnail_url, metadata = videos.process_and_store_video(content_url, KEY, generation_id, "soft", 1)

    assert video_url.endswith("/scene_1.mp4")
    assert thumbnail_url is None
    assert metadata["thumbnail_error"].startswith("ffmpeg made no thumbnail: ")


@pytest.fixture
def putting_pictures_fails_as(store, monkeypatch):
    def arrange(failure: StorageError) -> None:
        put = store.put

        def put_no_pictures(key, path, *, content_type):
            if content_type == "image/jpeg":
                raise failure
            return put(key, path, content_type=content_type)

        monkeypatch.setattr(store, "put", put_no_pictures)

    return arrange


def test_a_picture_that_the_store_may_have_taken_is_tried_again(
    store, content_url, generation_id, putting_pictures_fails_as
):
    """A scene that said it has none would leave an object that no row names."""
    putting_pictures_fails_as(StorageError("no answer"))

    with pytest.raises(SceneFailure, match="no answer"):
        VideoStorageManager(store=store).process_and_store_video(content_url, KEY, generation_id, "soft", 1)

    assert left_in_temp() == []


def test_a_video_whose_picture_the_store_refuses_is_stored_and_says_why(
    store, spaces, content_url, generation_id, putting_pictures_fails_as
):
    putting_pictures_fails_as(StoreRefused("the disk is full"))
    videos = VideoStorageManager(store=store)

    video_url, thumbnail_url, metadata = videos.process_and_store_video(content_url, KEY, generation_id, "soft", 1)

    assert fetched(store, spaces, video_url).ok
    assert thumbnail_url is None
    assert metadata["thumbnail_error"] == "the thumbnail could not be stored: the disk is full"
    assert left_in_temp() == []


GIVEN_INSTEAD = {
    "gone": (answer(404), JobGone),
    "truncated": (raw(head(200, {"Content-Type": "video/mp4", "Content-Length": 500}) + MP4), SceneFailure),
    "no answer": (hang_up, SceneFailure),
    "a page": (answer(200, b"<html>", kind="text/html"), SceneFailure),
    "a page called a video": (answer(200, b"<html>", kind="video/mp4"), SceneFailure),
    "no pictures in it": (answer(200, MP4, kind="video/mp4"), SceneFailure),
}


@pytest.mark.parametrize(("given", "error"), GIVEN_INSTEAD.values(), ids=GIVEN_INSTEAD.keys())
def test_a_failure_leaves_nothing_behind(videos, store, scripted, content_url, generation_id, given, error):
    scripted.script(given)

    with pytest.raises(error):
        videos.process_and_store_video(content_url, KEY, generation_id, "soft", 1)

    assert left_in_temp() == []
    key = f"generations/{generation_id}/soft/scene_1.mp4"
    assert requests.get(store.signed_url(key)[0], timeout=5).status_code == 404


def test_a_video_that_comes_back_from_the_store_in_half_is_a_failure_of_the_store(
    videos, store, content_url, generation_id, monkeypatch, tmp_path, scripted
):
    videos.process_and_store_video(content_url, KEY, generation_id, "soft", 1)
    call = store._call

    class Half(io.BytesIO):
        def read(self, _size=-1):
            raise IncompleteReadError(actual_bytes=1, expected_bytes=2)

    def cut(operation, **arguments):
        return (
            {"Body": Half(b"half"), "ContentLength": 8} if operation == "get_object" else call(operation, **arguments)
        )

    monkeypatch.setattr(store, "_call", cut)
    scripted.script(answer(404))

    with pytest.raises(SceneFailure, match="broke off") as raised:
        videos.process_and_store_video(content_url, KEY, generation_id, "soft", 1)

    assert raised.value.failure_code == "storage_failed"
    assert [path for path in tmp_path.rglob("*.mp4") if path.parent.name == "generation-history"] == []


WRONG = {
    "DO_SPACES_BUCKET": {"bucket": "no-such-bucket"},
    "DO_SPACES_ACCESS_KEY": {"access_key": "nobody"},
    "DO_SPACES_SECRET_KEY": {"secret_key": "wrong-secret"},
    "DO_SPACES_ENDPOINT": {"endpoint": "http://127.0.0.1:1"},
}


@pytest.mark.parametrize(("status", "may_have_it"), [(403, False), (411, False), (500, True), (503, True)])
def test_a_store_that_refuses_is_told_from_one_that_may_have_the_object(
    scripted, spaces, film_path, status, may_have_it
):
    scripted.script(*[answer(status, b"<Error><Code>Any</Code></Error>", kind="text/xml")] * 3)

    with pytest.raises(StorageError) as failure:
        ObjectStore(replace(spaces, endpoint=scripted.base_url.removesuffix("/v1"))).put(
            "key", Path(film_path), content_type="video/mp4"
        )

    assert isinstance(failure.value, StoreRefused) is not may_have_it


@pytest.mark.parametrize(("setting", "wrong"), WRONG.items(), ids=WRONG.keys())
def test_a_wrong_setting_of_the_store_is_named_in_one_line(
    spaces, content_url, generation_id, monkeypatch, setting, wrong
):
    monkeypatch.setattr("generation_history.storage.object_store.ATTEMPTS", 1)
    videos = VideoStorageManager(store=ObjectStore(replace(spaces, **wrong)))

    with pytest.raises(SceneFailure, match=setting) as raised:
        videos.process_and_store_video(content_url, KEY, generation_id, "soft", 1)

    assert raised.value.failure_code == "storage_failed"
    assert "\n" not in str(raised.value)
    assert "wrong-secret" not in str(raised.value)
    assert left_in_temp() == []


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (("not-a-uuid", "soft", 1), "generation_id"),
        (("../../x", "soft", 1), "generation_id"),
        ((None, "hard", 1), "variant_type"),
        ((None, "soft/../x", 1), "variant_type"),
        ((None, "soft", 0), "scene_number"),
        ((None, "soft", 1001), "scene_number"),
    ],
)
def test_a_scene_that_cannot_be_is_refused_before_anything_is_fetched(
    videos, scripted, content_url, film_path, generation_id, asked, named
):
    scene = (asked[0] or generation_id, *asked[1:])
    for call in (
        lambda: videos.process_and_store_video(content_url, KEY, *scene),
        lambda: videos.upload_video_to_spaces(film_path, *scene),
        lambda: videos.upload_thumbnail_to_spaces(film_path, *scene),
    ):
        with pytest.raises(InvalidValue, match=named):
            call()
    assert scripted.requests == []


def test_the_key_is_shown_to_configured_servers_only(videos, content_url, monkeypatch):
    with ScriptedServer() as evil:
        with pytest.raises(InvalidValue, match="SORA_BASE_URL"):
            videos.download_sora_video(f"{evil.base_url}/videos/1/content", KEY)
        assert evil.requests == []
    assert left_in_temp() == []


def test_every_configured_server_may_be_fetched_from(videos, scripted, content_url, monkeypatch, film):
    with ScriptedServer() as first:
        monkeypatch.setenv("SORA_BASE_URL", f"{first.base_url} {scripted.base_url}")

        assert Path(videos.download_sora_video(content_url, KEY)).read_bytes() == film
        assert first.requests == []


def test_waiting_for_a_turn_to_download_is_part_of_the_time_it_has(content_url, scripted):
    """Else a step that was given the rest of a run would begin a whole download after it."""
    videos = VideoStorageManager(downloads=1)
    begun, over = threading.Event(), threading.Event()

    def held(connection: socket.socket) -> None:
        begun.set()
        over.wait(10)

    def download() -> None:
        with suppress(SceneFailure):
            videos.download_sora_video(content_url, KEY)

    scripted.script(held)
    first = threading.Thread(target=download)
    first.start()
    begun.wait(10)
    try:
        with pytest.raises(SceneFailure, match="no other download ended") as failed:
            videos.download_sora_video(content_url, KEY, seconds=0.1)
    finally:
        over.set()
        first.join()

    assert failed.value.failure_code == "download_failed"
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("missing", ["SORA_BASE_URL", "DO_SPACES_ACCESS_KEY", "DO_SPACES_SECRET_KEY"])
def test_a_missing_setting_is_named(spaces, content_url, generation_id, monkeypatch, missing):
    monkeypatch.delenv(missing)

    with pytest.raises(NotConfigured, match=missing):
        VideoStorageManager().process_and_store_video(content_url, KEY, generation_id, "soft", 1)

    assert left_in_temp() == []


@pytest.mark.parametrize("content", [b"", b"<html>", MP4])
def test_a_local_file_that_is_no_video_is_refused_as_such(videos, tmp_path, content, generation_id):
    path = tmp_path / "video.mp4"
    path.write_bytes(content)

    for call in (videos.generate_thumbnail, videos.get_video_metadata):
        with pytest.raises(SceneFailure) as raised:
            call(str(path))
        assert raised.value.failure_code == "invalid_video"
    assert left_in_temp() == []


def test_a_missing_local_file_is_named_without_its_folder(videos, tmp_path, generation_id):
    path = str(tmp_path / "missing.mp4")
    for call in (
        lambda: videos.generate_thumbnail(path),
        lambda: videos.get_video_metadata(path),
        lambda: videos.upload_video_to_spaces(path, generation_id, "soft", 1),
        lambda: videos.upload_thumbnail_to_spaces(path, generation_id, "soft", 1),
    ):
        with pytest.raises(HistoryError, match=r"missing\.mp4") as raised:
            call()
        assert str(tmp_path) not in str(raised.value)


def test_only_a_video_is_uploaded_as_one(videos, tmp_path, generation_id):
    page = tmp_path / "video.mp4"
    page.write_text("<html>")

    with pytest.raises(SceneFailure):
        videos.upload_video_to_spaces(str(page), generation_id, "soft", 1)


# ---------------------------------------------------------------- cleaning up


def test_old_files_of_ours_are_removed_from_temp_and_no_others(videos, content_url, tmp_path):
    old, young = (Path(videos.download_sora_video(content_url, KEY)) for _ in range(2))
    strange = tmp_path / "strange.mp4"
    strange.touch()
    for path, hours in ((old, 25), (young, 23), (strange, 100)):
        at = time.time() - hours * 3600
        os.utime(path, (at, at))

    assert videos.cleanup_temp_directory() == 1

    assert (old.exists(), young.exists(), strange.exists()) == (False, True, True)
    assert videos.cleanup_temp_directory(22) == 1
    assert videos.cleanup_temp_directory(0) == 0
