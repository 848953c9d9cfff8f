"""A finished job's video is fetched and stored until it is home, or fails with the reason why it is not."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from generation_history.errors import StorageError
from generation_history.media.video_storage_manager import VideoStorageManager
from generation_history.storage.keys import scene_key
from generation_history.storage.object_store import ObjectStore
from generation_history.work import retry_policy
from tests.support.bucket import page
from tests.support.fakes import MP4
from tests.support.scripted_server import ScriptedServer, answer, hang_up


class Store(ObjectStore):
    """A store that cannot be written, as long as `broken` says why."""

    def __init__(self, settings):
        super().__init__(settings)
        self.broken = "DO_SPACES_SECRET_KEY was refused"

    def put(self, key, path, *, content_type):
        if self.broken:
            raise StorageError(self.broken)
        return super().put(key, path, content_type=content_type)


def test_a_stored_video_is_described_in_its_row(scenes, film, spaces):
    scene_id = scenes.accepted()

    scenes.step()

    scene = scenes.read(scene_id)
    assert (scene["duration"], scene["resolution"], scene["file_size"]) == (2, "160x90", len(film))
    assert scene["video_url"].startswith(spaces.base_url)
    assert scene["thumbnail_url"].endswith("_thumb.jpg")
    assert scene["error_message"] is None
    assert scene["completed_at"]


def test_a_scene_whose_picture_fails_is_completed_and_says_why(scenes, monkeypatch):
    monkeypatch.setattr(VideoStorageManager, "_try_thumbnail", lambda *_: (None, "the thumbnail could not be stored"))
    scene_id = scenes.accepted()

    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)
    scene = scenes.read(scene_id)
    assert (scene["thumbnail_url"], scene["error_message"]) == (None, "the thumbnail could not be stored")


DOWN = {"500": answer(500), "hang up": hang_up, "429": answer(429)}


@pytest.mark.parametrize("given", DOWN.values(), ids=DOWN.keys())
def test_a_download_that_breaks_is_tried_again_and_again(scenes, scripted, film, given):
    """The provider still has the video, and it is paid for."""
    scene_id = scenes.accepted()
    scripted.script(given)
    scenes.step(20)
    assert scenes.job(scene_id)[:2] == ("store", 20)

    scripted.script(answer(200, film, kind="video/mp4"))
    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)


@pytest.mark.parametrize("given", DOWN.values(), ids=DOWN.keys())
def test_a_download_that_breaks_at_the_deadline_has_failed(scenes, scripted, given):
    scene_id = scenes.accepted()
    scripted.script(given)
    scenes.pass_deadline()

    scenes.step()

    assert scenes.ended(scene_id) == ("failed", "download_failed")


def test_a_page_instead_of_a_video_is_believed_after_several_times(scenes, scripted):
    scene_id = scenes.accepted()
    scripted.script(answer(200, b"<html>Please wait</html>", kind="text/html"))

    scenes.step(retry_policy.MAX_REFUSALS - 1)
    assert scenes.job(scene_id)[0] == "store"
    scenes.step()

    assert scenes.ended(scene_id) == ("failed", "invalid_video")


def test_a_video_that_is_none_fails_the_scene_at_once(scenes, scripted):
    scene_id = scenes.accepted()
    scripted.script(answer(200, MP4, kind="video/mp4"))

    scenes.step()

    assert scenes.ended(scene_id) == ("failed", "invalid_video")


def test_a_video_that_is_not_there_yet_is_asked_for_again(scenes, scripted, film):
    scene_id = scenes.accepted()
    scripted.script(answer(404), answer(200, film, kind="video/mp4"))

    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)


def test_a_video_that_never_is_there_is_not_found(scenes, scripted):
    scene_id = scenes.accepted()
    scripted.script(answer(404))

    scenes.step(retry_policy.MAX_REFUSALS)

    assert scenes.ended(scene_id) == ("failed", "not_found")


@pytest.fixture
def quick_to_believe(monkeypatch):
    """What a provider says is believed the third time in a row."""
    monkeypatch.setattr(retry_policy, "MAX_REFUSALS", 3)


NOT_NOW = [answer(404), answer(410), answer(500), answer(429), hang_up, answer(200, b"<html>", kind="text/html")]


@pytest.mark.usefixtures("quick_to_believe")
@pytest.mark.parametrize("given", NOT_NOW)
def test_a_download_that_fails_after_the_expiry_is_tried_again_as_any_other(scenes, scripted, film, given):
    """The provider may count in another unit, or by another clock: it still has the video, and it is paid for."""
    scene_id = scenes.accepted(expires_at=datetime.now(UTC) - timedelta(days=1))
    scripted.script(given)
    scenes.step(retry_policy.MAX_REFUSALS - 1)
    assert scenes.job(scene_id)[:2] == ("store", retry_policy.MAX_REFUSALS - 1)

    scripted.script(answer(200, film, kind="video/mp4"))
    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)


@pytest.mark.usefixtures("quick_to_believe")
@pytest.mark.parametrize("status", [404, 410])
def test_what_the_provider_does_not_know_after_its_expiry_has_expired(scenes, scripted, status):
    scene_id = scenes.accepted(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    scripted.script(answer(status))

    scenes.step(retry_policy.MAX_REFUSALS)

    assert scenes.ended(scene_id) == ("failed", "expired")


GONE_BY_ITS_WORDS = [
    (200, "video_expired"),
    (400, "This video has expired."),
    (404, "expired"),
    (500, "The video is no longer available"),
]


@pytest.mark.usefixtures("quick_to_believe")
@pytest.mark.parametrize(("status", "said"), GONE_BY_ITS_WORDS)
def test_what_the_provider_says_it_has_no_more_has_expired(scenes, scripted, status, said):
    """Whatever it said of expiry before: nothing is asked for a day."""
    scene_id = scenes.accepted()
    scripted.script(answer(status, {"error": {"message": said}}))

    scenes.step(retry_policy.MAX_REFUSALS - 1)
    assert scenes.job(scene_id)[0] == "store"
    scenes.step()

    assert scenes.ended(scene_id) == ("failed", "expired")


@pytest.mark.usefixtures("quick_to_believe")
@pytest.mark.parametrize("said", ["token has expired", "The download link has expired", "not ready", "oops"])
def test_another_refusal_of_a_download_is_not_taken_for_expiry(scenes, scripted, said):
    scene_id = scenes.accepted()
    scripted.script(answer(400, {"error": {"message": said}}))

    scenes.step(4)

    assert scenes.job(scene_id)[:2] == ("store", 4)


@pytest.mark.parametrize(
    "given",
    [
        answer(400, {"error": {"message": "The video is no longer available"}}),
        answer(500),
        answer(403),
        answer(200, {}),
    ],
)
def test_a_video_that_is_home_is_kept_however_the_provider_says_that_it_has_it_no_more(
    scenes, scripted, store, film, tmp_path, given
):
    """Who brought it home died before that was recorded."""
    scene_id = scenes.accepted(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    video = tmp_path / "video.mp4"
    video.write_bytes(film)
    store.put(scene_key(scenes.read(scene_id)["generation_id"], "soft", 1), video, content_type="video/mp4")
    scripted.script(given)

    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)


def test_an_expired_job_whose_video_is_there_all_the_same_comes_home(scenes):
    scene_id = scenes.accepted(expires_at=datetime.now(UTC) - timedelta(days=1))

    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)


def test_a_scene_whose_video_only_a_page_took_is_not_completed(scenes, spaces):
    """A proxy or a portal answers every request 200 with a page."""
    scene_id = scenes.accepted()
    with ScriptedServer() as portal:
        portal.script(page())
        elsewhere = ObjectStore(replace(spaces, endpoint=portal.base_url.removesuffix("/v1")))
        scenes.step(2, videos=VideoStorageManager(store=elsewhere))

    assert scenes.read(scene_id)["status"] == "processing"
    assert scenes.job(scene_id)[:2] == ("store", 2)

    scenes.step()
    assert scenes.ended(scene_id) == ("completed", None)


def test_a_store_that_cannot_be_written_is_tried_again_and_again_and_raises_the_alarm(scenes, spaces, caplog):
    store = Store(spaces)
    videos = VideoStorageManager(store=store)
    scene_id = scenes.accepted()
    scenes.step(20, videos=videos)
    assert scenes.job(scene_id) == ("store", 20, store.broken)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 20

    store.broken = ""
    scenes.step(videos=videos)

    assert scenes.ended(scene_id) == ("completed", None)


def test_a_store_that_cannot_be_written_at_the_deadline_has_failed(scenes, spaces):
    scene_id = scenes.accepted()
    scenes.pass_deadline()

    scenes.step(videos=VideoStorageManager(store=Store(spaces)))

    assert scenes.ended(scene_id) == ("failed", "storage_failed")


# ---------------------------------------------------------------- whatever a caller does


def test_a_deleted_generations_accepted_job_still_comes_home(scenes, manager, db):
    scene_id = scenes.accepted()
    manager.delete_generation(scenes.read(scene_id)["generation_id"])

    scenes.step()

    assert db.rows("select status, video_url is not null from scenes where id = %s", scene_id) == [("completed", True)]


def test_a_generation_that_a_caller_failed_still_stores_its_videos(scenes, manager):
    scene_id = scenes.accepted()
    generation_id = scenes.read(scene_id)["generation_id"]
    manager.update_generation_status(generation_id, "failed", "the pipeline broke")

    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)
    generation = manager.get_generation(generation_id)
    assert (generation["status"], generation["error_message"]) == ("failed", "the pipeline broke")


def test_a_scene_that_a_caller_failed_is_completed_when_its_video_comes(scenes, manager):
    scene_id = scenes.accepted()
    manager.update_scene(scene_id, status="failed", error_message="gave up", error_code="timed_out")

    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)
    assert scenes.read(scene_id)["error_message"] is None
