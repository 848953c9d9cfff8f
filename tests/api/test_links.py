"""Links to what is stored: signed, for a while, for the row's own objects only; and permanent ones that lead there."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import uuid4

import pytest
import requests

from generation_history.api.link_signing import SignedLinks
from generation_history.storage.object_store import SIGNED_URL_SECONDS, SIGNING_WINDOW_SECONDS

Get = Callable[[str], requests.Response]


@pytest.fixture
def get() -> Get:
    """Asks the object store, as a browser follows a link: with nothing but the link."""
    return lambda url: requests.get(url, timeout=10)


@pytest.fixture
def shown(call, open_to_one, stored, generation_factory) -> list[tuple[str, dict]]:
    """One stored scene's as each endpoint shows it."""
    made = stored(generation_factory(1))
    generation, variant = made["id"], made["variants"][0]["id"]
    return [
        ("generations", call("generations").json["generations"][0]["variants"][0]["scenes"][0]),
        ("generation", call("generations", f"/{generation}").json["generation"]["variants"][0]["scenes"][0]),
        ("variants", call("generations", f"/{generation}/variants").json["variants"][0]["scenes"][0]),
        ("scenes", call("variants", f"/{variant}/scenes").json["scenes"][0]),
        ("library", call("library").json["library"][0]["variants"][0]["scenes"][0]),
    ]


def test_every_endpoint_shows_links_that_download_what_is_stored(shown, get: Get):
    for endpoint, scene in shown:
        video, thumbnail = get(scene["video_url"]), get(scene["thumbnail_url"])
        assert (endpoint, video.status_code, video.text) == (endpoint, 200, f"video of {scene['id']}")
        assert (video.headers["Content-Type"], thumbnail.headers["Content-Type"]) == ("video/mp4", "image/jpeg")
        assert thumbnail.text == f"thumbnail of {scene['id']}"


@pytest.mark.parametrize("function", ["generations", "library"])
def test_a_lists_links_are_signed_where_the_database_wrote_them(
    call, open_to_one, stored, generation_factory, monkeypatch: pytest.MonkeyPatch, function: str
):
    """Reading and writing a page again for its links alone would take longer than its SQL."""
    monkeypatch.delattr(SignedLinks, "generation")
    stored(generation_factory(2))

    (item,) = call(function).json[function]

    assert all("X-Amz-Signature" in scene["video_url"] for scene in item["variants"][0]["scenes"])


def test_links_say_when_they_end_and_are_the_same_everywhere_for_a_while(shown):
    """The same link again lets a browser show what it has."""
    assert len({(scene["video_url"], scene["thumbnail_url"], scene["expires_at"]) for _, scene in shown}) in {1, 2}
    ends = datetime.fromisoformat(shown[0][1]["expires_at"]) - datetime.now(UTC)
    assert timedelta(seconds=SIGNED_URL_SECONDS / 2 - 10) < ends <= timedelta(seconds=SIGNED_URL_SECONDS)


def test_a_row_and_a_library_call_have_the_plain_url_that_opens_nothing(manager, shown, get: Get):
    scene = manager.get_scene(shown[0][1]["id"])

    assert "?" not in scene["video_url"] + scene["thumbnail_url"]
    assert shown[0][1]["video_url"].startswith(f"{scene['video_url']}?X-Amz-")
    assert get(scene["video_url"]).status_code == 403


@pytest.mark.parametrize(
    "alter",
    [
        lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"),
        lambda url: url.replace("scene_1.mp4", "scene_1_thumb.jpg"),
        lambda url: url.replace(f"Expires={SIGNED_URL_SECONDS}", "Expires=604800"),
        lambda url: url.replace("test-access", "another"),
        lambda url: url.partition("&X-Amz-Signature")[0],
    ],
    ids=["signature", "object", "end", "key", "no signature"],
)
def test_an_altered_link_opens_nothing(shown, get: Get, alter: Callable[[str], str]):
    url = shown[0][1]["video_url"]

    assert alter(url) != url
    assert get(alter(url)).status_code in {400, 403}


def test_a_link_opens_nothing_for_writing(shown):
    url = shown[0][1]["video_url"]

    assert requests.put(url, data=b"x", timeout=10).status_code == 403
    assert requests.delete(url, timeout=10).status_code == 403


def test_an_expired_link_opens_nothing(store, shown, get: Get):
    key = f"generations/{shown[0][1]['video_url'].split('/generations/')[1].partition('?')[0]}"
    now = datetime.now(UTC).timestamp()

    assert get(store.signed_url(key, now=now)[0]).status_code == 200
    assert get(store.signed_url(key, now=now - SIGNED_URL_SECONDS - SIGNING_WINDOW_SECONDS)[0]).status_code == 403


# ---------------------------------------------------------------- what is not signed


@pytest.mark.usefixtures("open_to_one", "spaces")
@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/video.mp4",
        "http://[",
        "not a url",
        "http://127.0.0.1/test-videos/generations/58899be0-a332-4c66-b233-92687e00efaa/soft/scene_1.mp4",
        "generations/../scene_1.mp4",
    ],
)
def test_a_url_that_a_caller_recorded_is_shown_as_it_is_and_never_signed(call, manager, generation_factory, url: str):
    """Least of all the object of somebody else's generation."""
    scene_id = generation_factory(1)["variants"][0]["scenes"][0]["id"]
    manager.update_scene(scene_id, video_url=url, thumbnail_url=url, status="completed")

    scene = call("generations").json["generations"][0]["variants"][0]["scenes"][0]

    assert (scene["video_url"], scene["thumbnail_url"], scene["expires_at"]) == (url, url, None)
    assert call("scenes", f"/{scene_id}/video").refused(404, "not_found")
    assert call("scenes", f"/{scene_id}/thumbnail").refused(404, "not_found")


@pytest.mark.usefixtures("open_to_one")
def test_without_anything_stored_the_store_need_not_be_configured(call, generation_factory):
    made = generation_factory(1)

    scene = call("generations", f"/{made['id']}").json["generation"]["variants"][0]["scenes"][0]

    assert (scene["video_url"], scene["thumbnail_url"], scene["expires_at"]) == (None, None, None)


@pytest.mark.usefixtures("open_to_one")
def test_links_that_cannot_be_signed_name_the_missing_setting(
    call, stored, generation_factory, monkeypatch: pytest.MonkeyPatch
):
    stored(generation_factory(1))
    monkeypatch.delenv("DO_SPACES_SECRET_KEY")

    assert call("library").refused(503, "not_configured").startswith("DO_SPACES_SECRET_KEY is not set")


@pytest.mark.usefixtures("open_to_one")
def test_when_the_providers_copy_ends_is_told_apart_from_when_the_link_ends(call, db, stored, generation_factory):
    made = stored(generation_factory(1))
    db.rows("update scenes set expires_at = '2026-11-01T12:00:00Z'")

    scene = call("generations", f"/{made['id']}").json["generation"]["variants"][0]["scenes"][0]

    assert scene["provider_expires_at"] == "2026-11-01T12:00:00+00:00"
    assert datetime.fromisoformat(scene["expires_at"]) > datetime.now(UTC)


# ---------------------------------------------------------------- permanent links


@pytest.mark.usefixtures("open_to_one")
def test_a_permanent_link_leads_to_a_signed_one(call, stored, generation_factory, get: Get):
    scene = stored(generation_factory(1))["variants"][0]["scenes"][0]

    for name, text in (("video", f"video of {scene['id']}"), ("thumbnail", f"thumbnail of {scene['id']}")):
        for method in ("GET", "HEAD"):
            answer = call("scenes", f"/{scene['id']}/{name}", method=method)
            assert (answer.status, answer.headers["cache-control"]) == (302, "no-store")
            assert get(answer.headers["location"]).text == text


@pytest.mark.usefixtures("open_to_one", "spaces")
def test_a_permanent_link_to_what_is_not_stored_is_not_found(call, manager, store, generation_factory):
    generation = generation_factory(1)
    scene_id = generation["variants"][0]["scenes"][0]["id"]
    assert call("scenes", f"/{scene_id}/video").refused(404, "not_found") == "this scene has no stored video"
    key = f"generations/{generation['id']}/soft/scene_1.mp4"
    manager.update_scene(scene_id, video_url=store.url(key), status="completed")

    assert call("scenes", f"/{scene_id}/video").status == 302
    assert call("scenes", f"/{scene_id}/thumbnail").refused(404, "not_found") == "this scene has no thumbnail"


@pytest.mark.usefixtures("open_to_one", "spaces")
def test_a_permanent_link_leads_nowhere_but_to_the_store(call, manager, store, generation_factory):
    """Or anyone could be led anywhere under our name."""
    generation = generation_factory(1)
    scene_id = generation["variants"][0]["scenes"][0]["id"]
    own = store.url(f"generations/{generation['id']}/soft/scene_1.mp4")
    manager.update_scene(scene_id, video_url=own, thumbnail_url="https://other.example/", status="completed")

    assert call("scenes", f"/{scene_id}/thumbnail").refused(404, "not_found")


# ---------------------------------------------------------------- to keep


@pytest.mark.usefixtures("open_to_one")
@pytest.mark.parametrize(
    ("source", "plain", "name"),
    [
        ("https://video.example/Summer%20ad.mp4?token=x", "video.example-Summer-ad_ultra_scene-2.mp4", None),
        ("script-only-mode", "script-only-mode_ultra_scene-2.mp4", None),
        ("/home/me/реклама 1.mp4", "1_ultra_scene-2.mp4", "реклама-1_ultra_scene-2.mp4"),
        ('"; filename="x.exe\r\nX-Y: z', "filename-x.exe-X-Y-z_ultra_scene-2.mp4", None),
    ],
)
def test_a_video_is_downloaded_under_a_readable_name(
    call, stored, generation_factory, get: Get, source: str, plain: str, name: str | None
):
    scene = stored(generation_factory(2, ["ultra"], source_video_url=source))["variants"][0]["scenes"][1]

    answer = call("scenes", f"/{scene['id']}/video", query="download=1")
    response = get(answer.headers["location"])

    assert (answer.status, response.status_code, response.text) == (302, 200, f"video of {scene['id']}")
    assert response.headers["Content-Disposition"] == (
        f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name or plain)}"
    )
    assert response.headers["Content-Type"] == "video/mp4"


@pytest.mark.usefixtures("open_to_one")
@pytest.mark.parametrize("query", ["", "download=0", "download=false"])
def test_a_video_is_shown_unless_it_is_to_be_kept(call, stored, generation_factory, get: Get, query: str):
    scene = stored(generation_factory(1))["variants"][0]["scenes"][0]

    response = get(call("scenes", f"/{scene['id']}/video", query=query).headers["location"])

    assert response.text == f"video of {scene['id']}"
    assert "Content-Disposition" not in response.headers


@pytest.mark.usefixtures("open_to_one")
def test_the_name_of_a_download_is_signed_with_it(call, stored, generation_factory, get: Get):
    """Nobody makes our link hand out another file than it says."""
    scene = stored(generation_factory(1))["variants"][0]["scenes"][0]
    link = call("scenes", f"/{scene['id']}/video", query="download=1").headers["location"]

    assert get(link).status_code == 200
    for altered in (link.replace("scene-1.mp4", "scene-1.exe"), link.replace("attachment", "inline")):
        assert altered != link
        assert get(altered).status_code == 403


@pytest.mark.usefixtures("open_to_one")
def test_whether_to_keep_it_is_yes_or_no(call, stored, generation_factory):
    scene = stored(generation_factory(1))["variants"][0]["scenes"][0]

    for query in ("download=maybe", "download=", "download=2"):
        assert (
            call("scenes", f"/{scene['id']}/video", query=query).refused(400, "invalid_value").startswith("download: ")
        )
    assert call("scenes", f"/{uuid4()}/video", query="download=1").refused(404, "not_found")
