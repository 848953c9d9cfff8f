"""A redirect is judged by where it leads: never to another host, never with the key, never to what is only ours."""

import io
import socket

import pytest
import requests

from generation_history.errors import NotAllowed, NotSent, SceneFailure
from generation_history.providers import VideoRequest, http
from generation_history.providers.sora import SoraProvider
from tests.support.fakes import MP4
from tests.support.scripted_server import LOOPBACK, ScriptedServer, answer, raw

KEY = "sk-secret-0123456789"
VIDEO = answer(200, MP4, kind="video/mp4")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "video.mp4"


@pytest.fixture
def evil():
    """A server that nobody named."""
    with ScriptedServer() as server:
        server.script(answer(200, {"error": {"message": "what an internal server says"}}))
        yield server


@pytest.fixture
def names(monkeypatch):
    """What names resolve to here: each time the next of its addresses, the last of them again and again."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host, port, *more, **how):
        addresses = known.get(host, [host])
        return real(addresses.pop(0) if len(addresses) > 1 else addresses[0], port, *more, **how)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


def at(name: str, server: ScriptedServer, path: str = "/v1") -> str:
    return f"http://{name}:{server.port}{path}"


@pytest.mark.parametrize(
    "spelled",
    [
        "http://{evil}\\@{home}/x",
        "http:\\\\{evil}/x",
        "/\\{evil}/x",
        "\\\\{evil}/x",
        "///{evil}/x",
        "http:///{evil}/x",
        "http:{evil}/x",
        "http:/{evil}/x",
        "http://{evil}%5c@{home}/x",
        "http://{evil}#@{home}/x",
        "http://{evil}?@{home}/x",
        "http://{evil};@{home}/x",
        "http://{home}@{evil}/x",
        "http://{home}:80@{evil}/x",
        "http://{evil}%00.{home}/x",
        "http://{evil}\t@{home}/x",
        "http://{evil} @{home}/x",
        "//{evil}/x",
        "http://{evil}, http://{home}/x",
    ],
)
def test_a_redirect_is_judged_by_where_it_leads(scripted, evil, target, spelled):
    """With a backslash before the @, urlsplit reads one host and urllib3 goes to the other, and takes the key along."""
    location = spelled.format(evil=f"{LOOPBACK}:{evil.port}", home=f"{LOOPBACK}:{scripted.port}")
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location.encode("latin-1") + b"\r\n\r\n"
    scripted.script(raw(head), answer(404))

    with pytest.raises((NotAllowed, SceneFailure)) as failed:
        SoraProvider(scripted.base_url, KEY).fetch(f"{scripted.base_url}/videos/1/content", target)

    assert evil.requests == []
    assert "internal server" not in str(failed.value)


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "address",
    [LOOPBACK, "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"],  # noqa: S104
)
def test_a_download_hosts_name_that_leads_to_what_is_only_ours_is_not_connected_to(
    scripted, evil, target, names, address
):
    """Its owner decides what it resolves to, and that is not the operator."""
    names["cdn.test"] = [address]
    scripted.script(answer(302, b"", Location=at("cdn.test", evil)))
    provider = SoraProvider(scripted.base_url, KEY, download_hosts=frozenset({"cdn.test"}))

    with pytest.raises(SceneFailure) as failed:
        provider.fetch(f"{scripted.base_url}/videos/1/content", target)

    assert failed.value.failure_code == "download_failed"
    assert evil.requests == []


@pytest.mark.parametrize("host", [LOOPBACK, "localhost"])
def test_an_address_of_ones_own_may_be_named_to_download_from(scripted, evil, target, host):
    evil.script(VIDEO)
    scripted.script(answer(302, b"", Location=at(host, evil)))

    SoraProvider(scripted.base_url, KEY, download_hosts=frozenset({host})).fetch(
        at(LOOPBACK, scripted, "/v1/x"), target
    )

    assert "authorization" not in evil.requests[0].headers


def test_a_name_is_looked_up_once_and_connected_to_at_the_address_that_was_checked(scripted, names):
    """Who answers for a name may say something else the next time; the host is still called by its name."""
    names["home.test"] = [LOOPBACK, "169.254.169.254"]
    scripted.script(answer(200, {"id": "video_1", "status": "queued"}))

    SoraProvider(at("home.test", scripted), KEY).submit(VideoRequest("a", "m", "1x1", 1))

    assert scripted.requests[0].headers["host"] == f"home.test:{scripted.port}"
    assert names["home.test"] == ["169.254.169.254"]


def test_an_address_that_may_not_be_reached_is_passed_over_for_one_that_may(scripted, names, monkeypatch):
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda _host, port, **how: [*real("169.254.169.254", port, **how), *real(LOOPBACK, port, **how)],
    )
    scripted.script(answer(200, {"id": "video_1", "status": "queued"}))

    assert SoraProvider(at("home.test", scripted), KEY).submit(VideoRequest("a", "m", "1x1", 1)).id == "video_1"


def test_a_server_that_leads_to_metadata_means_that_nothing_was_sent(scripted, names):
    names["home.test"] = ["169.254.169.254"]

    with pytest.raises(NotSent, match="SORA_BASE_URL"):
        SoraProvider(at("home.test", scripted), KEY).submit(VideoRequest("a", "m", "1x1", 1))


# ---------------------------------------------------------------- whom the environment names


def test_no_proxy_of_the_environment_is_shown_the_key(scripted, evil, target, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://{LOOPBACK}:{evil.port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    scripted.script(answer(302, b"", Location="/files/1.mp4"), VIDEO, answer(200, {"id": "a", "status": "queued"}))
    provider = SoraProvider(scripted.base_url, KEY)

    provider.fetch(f"{scripted.base_url}/videos/1/content", target)
    provider.poll("a")
    provider.submit(VideoRequest("a", "m", "1x1", 1))

    assert evil.requests == []
    assert len(scripted.requests) == 4


def test_encryption_is_not_given_up_on_the_way(scripted, target, monkeypatch):
    """Neither at home nor from one download host to the next."""
    asked = []

    def get(_session, url, **_how):
        asked.append(url)
        response = requests.Response()
        response.status_code, response.raw = 302, io.BytesIO()
        response.headers["Location"] = {"http://home.test/v1/x": "https://cdn.test/x"}.get(
            url, url.replace("https", "http")
        )
        return response

    monkeypatch.setattr(http.Session, "get", get)
    for home, hops in (("https://home.test/v1/x", 1), ("http://home.test/v1/x", 2)):
        asked.clear()
        provider = SoraProvider(home.removesuffix("/x"), KEY, download_hosts=frozenset({"home.test", "cdn.test"}))
        with pytest.raises(NotAllowed):
            provider.fetch(home, target)
        assert len(asked) == hops
