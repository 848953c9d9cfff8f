"""Fetching a video: whole, or an error that says why and leaves nothing; the key goes to its own server only."""

import io
import logging

import pytest
import requests

from generation_history.errors import HistoryError, InvalidValue, JobGone, NotAllowed, ProviderUnavailable, SceneFailure
from generation_history.providers import download, http
from generation_history.providers.sora import SoraProvider
from tests.support.fakes import MP4
from tests.support.scripted_server import LOOPBACK, ScriptedServer, answer, endless, hang_up, head, never, raw

KEY = "sk-secret-0123456789"
VIDEO = answer(200, MP4, kind="video/mp4")


@pytest.fixture
def provider(scripted) -> SoraProvider:
    return SoraProvider(scripted.base_url, KEY)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "video.mp4"


@pytest.fixture
def other():
    """Another host's server, as far as HTTP knows: it has another port."""
    with ScriptedServer() as server:
        server.script(VIDEO)
        yield server


def url(server):
    return f"{server.base_url}/videos/video_1/content"


def failure(provider, server, target):
    """How the fetch fails; nothing is left of it."""
    with pytest.raises(HistoryError) as raised:
        provider.fetch(url(server), target)
    assert not target.exists()
    assert KEY not in repr(raised.value)
    return raised.value


def test_a_video_is_fetched_whole_with_the_key(provider, scripted, target):
    scripted.script(VIDEO)

    assert provider.fetch(url(scripted), target) == len(MP4)

    assert target.read_bytes() == MP4
    assert scripted.requests[0].headers["authorization"] == f"Bearer {KEY}"


KINDS = [
    *(
        "video/mp4",
        "Video/MP4; codecs=avc1",
        "application/octet-stream",
        "application/octet-stream;charset=UTF-8",
        None,
    ),
    *("binary/octet-stream", "application/mp4", "application/force-download", "application/x-download", "audio/mp4"),
    *("text/plain; charset=utf-8", "text/html", "application/json", "image/jpeg", "mp4", "*/*", "\xff"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_may_be_called_anything(provider, scripted, target, kind):
    scripted.script(raw(head(200, {"Content-Type": kind, "Content-Length": len(MP4)}) + MP4))

    assert provider.fetch(url(scripted), target) == len(MP4)


def test_a_video_may_come_in_chunks_or_without_a_length(provider, scripted, target):
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(MP4), MP4)
    scripted.script(
        raw(head(200, {"Content-Type": "video/mp4", "Transfer-Encoding": "chunked"}) + chunked),
        raw(head(200, {"Content-Type": "video/mp4"}) + MP4),
    )

    for name in ("chunked.mp4", "until_close.mp4"):
        assert provider.fetch(url(scripted), target.with_name(name)) == len(MP4)


BROKEN = {
    "truncated": raw(head(200, {"Content-Type": "video/mp4", "Content-Length": 500}) + MP4),
    "a truncated chunk": raw(
        head(200, {"Content-Type": "video/mp4", "Transfer-Encoding": "chunked"}) + b"40\r\n" + MP4
    ),
    "a broken chunk": raw(head(200, {"Content-Type": "video/mp4", "Transfer-Encoding": "chunked"}) + b"zz\r\n"),
    "broken gzip": raw(head(200, {"Content-Type": "video/mp4", "Content-Encoding": "gzip"}) + MP4),
    "an unreadable length": raw(head(200, {"Content-Type": "video/mp4", "Content-Length": "9" * 5000}) + MP4),
    "no answer": hang_up,
    "no HTTP": raw(b"hello\r\n"),
    "500": answer(500, {"error": {"message": "oops"}}),
    "429": answer(429),
    "a redirect to nowhere": answer(302, b"", Location="http://[nowhere"),
    "a redirect to a port that is none": answer(302, b"", Location=f"http://{LOOPBACK}:99999/x"),
}


@pytest.mark.parametrize("given", BROKEN.values(), ids=BROKEN.keys())
def test_what_does_not_come_whole_is_a_failed_download_that_may_be_tried_again(provider, scripted, target, given):
    scripted.script(given)

    error = failure(provider, scripted, target)

    assert isinstance(error, SceneFailure)
    assert (error.failure_code, error.final) == ("download_failed", False)


def test_a_truncated_video_says_how_much_of_it_came(provider, scripted, target):
    scripted.script(BROKEN["truncated"])

    assert f"{len(MP4)} of 500 bytes" in str(failure(provider, scripted, target))


#: An mp4 whose last box is cut off.
CUT = MP4 + (1000).to_bytes(4) + b"mdat" + bytes(500)
CHUNKED = head(200, {"Content-Type": "video/mp4", "Transfer-Encoding": "chunked"})


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (raw(head(200, {"Content-Type": "video/mp4"}) + CUT), "download_failed"),
        (raw(CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(CUT), CUT)), "download_failed"),
        (answer(200, CUT, kind="video/mp4"), "invalid_video"),
    ],
    ids=["until the end", "in chunks", "as long as announced"],
)
def test_a_video_cut_off_within_a_box_is_not_taken_for_whole(provider, scripted, target, given, code):
    scripted.script(given)

    error = failure(provider, scripted, target)

    assert isinstance(error, SceneFailure)
    assert (error.failure_code, error.final) == (code, False)


@pytest.mark.parametrize(
    "rest",
    [
        (1008).to_bytes(4) + b"mdat" + bytes(1000),
        (1).to_bytes(4) + b"mdat" + (1016).to_bytes(8) + bytes(1000),
        bytes(4) + b"mdat" + bytes(1000),
        bytes(64),
    ],
    ids=["a box", "a large box", "a box to the end", "zeros"],
)
def test_a_video_that_ends_where_its_boxes_do_is_whole(provider, scripted, target, rest):
    scripted.script(answer(200, MP4 + rest, kind="video/mp4"))

    assert provider.fetch(url(scripted), target) == len(MP4 + rest)


NO_VIDEO = {
    "empty": answer(200, b"", kind="video/mp4"),
    "an empty 204": answer(204, kind="video/mp4"),
    "a page": answer(200, b"<html>Please log in</html>", kind="text/html; charset=utf-8"),
    "a page called a video": answer(200, b"<html>Please log in</html>", kind="video/mp4"),
    "JSON": answer(200, {"error": {"message": "not ready"}}),
    "JSON called bytes": answer(200, {"error": "not ready"}, kind="application/octet-stream"),
    "garbage": answer(200, bytes(range(256)), kind="video/mp4"),
    "seven bytes": answer(200, MP4[:7], kind="video/mp4"),
    "a picture": answer(200, b"\xff\xd8\xff\xe0", kind="image/jpeg"),
}


@pytest.mark.parametrize("given", NO_VIDEO.values(), ids=NO_VIDEO.keys())
def test_what_is_no_video_is_refused_as_invalid(provider, scripted, target, given):
    scripted.script(given)

    error = failure(provider, scripted, target)

    assert isinstance(error, SceneFailure)
    assert (error.failure_code, error.final) == ("invalid_video", False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("page", [b"<html>not yet</html>", b'{"error": {"message": "not ready"}}', b"", b"no"])
def test_a_page_is_no_video_whatever_it_is_called(provider, scripted, target, kind, page):
    scripted.script(raw(head(200, {"Content-Type": kind, "Content-Length": len(page)}) + page))

    error = failure(provider, scripted, target)

    assert isinstance(error, SceneFailure)
    assert (error.failure_code, error.final) == ("invalid_video", False)


def test_a_video_under_another_name_may_come_a_byte_at_a_time(provider, scripted, target):
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in MP4)
    given = head(200, {"Content-Type": "text/plain", "Transfer-Encoding": "chunked"}) + chunks + b"0\r\n\r\n"
    scripted.script(raw(given))

    assert provider.fetch(url(scripted), target) == len(MP4)
    assert target.read_bytes() == MP4


def test_pictures_that_broke_off_before_their_moov_box_are_fetched_again(provider, scripted, target):
    """Without a length the end of the connection is the end of the file."""
    scripted.script(raw(head(200, {"Content-Type": "video/mp4"}) + MP4 + (16).to_bytes(4) + b"mdat" + bytes(8)))

    assert failure(provider, scripted, target).code == "download_failed"


def test_what_came_instead_of_a_video_is_said(provider, scripted, target):
    scripted.script(answer(200, {"error": {"message": f"quota of {KEY} used up"}}))

    assert "application/json, not a video: quota of *** used up" in str(failure(provider, scripted, target))


@pytest.mark.parametrize("announced", [True, False])
def test_a_video_that_is_too_large_is_refused_for_good(provider, scripted, target, monkeypatch, announced):
    monkeypatch.setattr(download, "MAX_VIDEO_BYTES", len(MP4) - 1)
    length = len(MP4) if announced else None
    scripted.script(raw(head(200, {"Content-Type": "video/mp4", "Content-Length": length}) + MP4))

    error = failure(provider, scripted, target)

    assert isinstance(error, SceneFailure)
    assert (error.failure_code, error.final) == ("invalid_video", True)


def test_a_video_of_just_the_largest_size_is_taken(provider, scripted, target, monkeypatch):
    monkeypatch.setattr(download, "MAX_VIDEO_BYTES", len(MP4))
    scripted.script(VIDEO)

    assert provider.fetch(url(scripted), target) == len(MP4)


def test_a_video_that_drips_for_ever_is_given_up(provider, scripted, target, monkeypatch):
    monkeypatch.setattr(download, "DOWNLOAD_SECONDS", 0.2)
    scripted.script(endless(b"x", kind="video/mp4"))

    assert "took more than" in str(failure(provider, scripted, target))


def test_a_server_that_falls_silent_is_given_up(provider, scripted, target, monkeypatch):
    monkeypatch.setattr(http, "READ_SECONDS", 0.1)
    begun = raw(head(200, {"Content-Type": "video/mp4", "Content-Length": 500}) + MP4)

    def then_silent(connection):
        begun(connection)
        never(connection)

    for given in (never, then_silent):
        scripted.script(given)
        assert failure(provider, scripted, target).code == "download_failed"


def test_a_page_without_an_end_is_given_up(provider, scripted, target):
    scripted.script(endless(b"<p>" * 10_000, kind="text/html"))

    assert isinstance(failure(provider, scripted, target), ProviderUnavailable)


@pytest.mark.parametrize("status", [404, 410])
def test_a_video_that_is_not_there_is_gone(provider, scripted, target, status):
    scripted.script(answer(status, {"error": {"message": "no longer available"}}))

    error = failure(provider, scripted, target)

    assert isinstance(error, JobGone)
    assert "no longer available" in str(error)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_key_is_for_a_person_to_see_to(provider, scripted, target, status):
    scripted.script(answer(status, {"error": {"message": f"bad key {KEY}"}}))

    assert isinstance(failure(provider, scripted, target), NotAllowed)


# ---------------------------------------------------------------- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_server_is_followed_with_the_key(provider, scripted, target, status):
    scripted.script(answer(status, b"", Location="/files/1.mp4"), VIDEO)

    assert provider.fetch(url(scripted), target) == len(MP4)

    assert scripted.requests[1].target == "/files/1.mp4"
    assert scripted.requests[1].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(("location", "path"), [(b"/f\xc3\xa9", "/f%C3%A9"), (b"/f\xff", "/f%EF%BF%BD")])
def test_a_redirect_in_any_letters_is_followed(provider, scripted, target, location, path):
    scripted.script(raw(b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"), VIDEO)

    provider.fetch(url(scripted), target)

    assert scripted.requests[1].target == path


@pytest.mark.parametrize("location", ["http://{}:{}/x", "//{}:{}/x", "http://user:pass@{}:{}/x"])
def test_a_redirect_to_another_server_is_not_followed(provider, scripted, other, target, location):
    scripted.script(answer(302, b"", Location=location.format(LOOPBACK, other.port)))

    error = failure(provider, scripted, target)

    assert isinstance(error, NotAllowed)
    assert "SORA_DOWNLOAD_HOSTS" in str(error)
    assert other.requests == []


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://provider.test/x", "https:///x", "data:,x"])
def test_a_redirect_to_something_else_than_a_server_is_not_followed(provider, scripted, target, location):
    scripted.script(answer(302, b"", Location=location))

    failure(provider, scripted, target)


@pytest.mark.parametrize("user", ["", "user:pass@"])
def test_a_redirect_to_a_named_download_host_is_followed_without_any_login(
    scripted, other, target, monkeypatch, tmp_path, user
):
    """Not even the one that ~/.netrc has for that host."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {LOOPBACK} login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    scripted.script(answer(302, b"", Location=f"http://{user}{LOOPBACK}:{other.port}/signed"))

    SoraProvider(scripted.base_url, KEY, download_hosts=frozenset({LOOPBACK})).fetch(url(scripted), target)

    assert "authorization" not in other.requests[0].headers
    assert KEY not in repr(other.requests)


def test_a_redirect_without_encryption_is_not_followed_from_a_server_with_it(monkeypatch, target):
    plain = requests.Response()
    plain.status_code, plain.headers["Location"], plain.raw = 302, "http://cdn.test/x", io.BytesIO()
    asked = []
    monkeypatch.setattr(http.Session, "get", lambda _, url, **_how: asked.append(url) or plain)
    provider = SoraProvider("https://provider.test/v1", KEY, download_hosts=frozenset({"cdn.test"}))

    with pytest.raises(NotAllowed):
        provider.fetch("https://provider.test/v1/x", target)

    assert asked == ["https://provider.test/v1/x"]


def test_a_redirect_is_followed_without_reading_its_body(provider, scripted, target):
    scripted.script(endless(b"a" * 65536, kind="text/html", status=302, Location="/files/1.mp4"), VIDEO)

    assert provider.fetch(url(scripted), target) == len(MP4)


def test_redirects_in_a_circle_are_given_up(provider, scripted, target):
    scripted.script(answer(302, b"", Location="/v1/again"))

    assert isinstance(failure(provider, scripted, target), ProviderUnavailable)
    assert len(scripted.requests) == http.MAX_REDIRECTS + 1


# ---------------------------------------------------------------- which URLs at all


@pytest.mark.parametrize(
    "spoiled",
    [
        "http://evil.test/v1/videos/1/content",
        "http://{host}@evil.test/v1/videos/1/content",
        "http://{host}:80@evil.test/v1",
        "{base}@evil.test/videos/1",
        "{base}.evil.test/videos/1",
        "{base}evil/videos/1",
        "{base}",
        "{base}/../admin",
        "{base}/videos/../../admin",
        "{base}/%2e%2E/admin",
        "{base}/videos/..%2f..%2fadmin",
        "{base}/videos/..",
        "https://{host}/v1/videos/1",
        "file:///etc/passwd",
        "http://[broken",
        "",
    ],
)
def test_a_url_that_is_not_of_the_server_is_refused_before_any_request(provider, scripted, target, spoiled):
    host = scripted.base_url.removeprefix("http://").removesuffix("/v1")

    with pytest.raises(InvalidValue, match="SORA_BASE_URL"):
        provider.fetch(spoiled.format(base=scripted.base_url, host=host), target)

    assert scripted.requests == []


def test_the_key_is_in_no_log_of_a_download(provider, scripted, target, caplog):
    caplog.set_level(logging.DEBUG)
    scripted.script(answer(302, b"", Location="/files/1.mp4"), VIDEO)

    provider.fetch(url(scripted), target)

    assert KEY not in caplog.text
