"""Whatever a server does, each call comes to its end: every test here would last for ever without its limit."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from generation_history import http_client
from generation_history.errors import HistoryError, NotSent, OutcomeUnknown, ProviderUnavailable, SceneFailure
from generation_history.providers import VideoRequest, http, sora
from generation_history.providers.sora import SoraProvider
from tests.support.fakes import MP4
from tests.support.scripted_server import LOOPBACK, answer, head, never, raw

KEY = "sk-secret-0123456789"
WANTED = VideoRequest("a", "m", "1x1", 1)
JOB = b'{"id": "a", "status": "queued"}'
#: What each call may take here; far less than a test waits, far more than an answer takes.
LIMIT = 0.5
PATIENCE = 10


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch):
    monkeypatch.setattr(sora, "CONNECT_SECONDS", LIMIT / 2)
    monkeypatch.setattr(http, "CONNECT_SECONDS", LIMIT / 2)
    monkeypatch.setattr(http, "SUBMIT_SECONDS", LIMIT / 2)
    monkeypatch.setattr(http, "ANSWER_SECONDS", LIMIT)
    monkeypatch.setattr(http_client, "RESOLVE_SECONDS", LIMIT)


def by_drops(start: bytes, drop: bytes = b"a"):
    """An answer that never falls silent long enough to be given up for that, and never ends."""

    def send(connection: socket.socket) -> None:
        connection.sendall(start)
        with suppress(OSError):
            while True:
                connection.sendall(drop)
                time.sleep(0.02)

    return send


def flood(start: bytes, drops: bytes):
    def send(connection: socket.socket) -> None:
        connection.sendall(start)
        with suppress(OSError):
            while True:
                connection.sendall(drops * 1000)

    return send


ENDLESS = {
    "a status line": by_drops(b"HTTP/1.1 200 "),
    "a header": by_drops(b"HTTP/1.1 200 OK\r\nX-A: "),
    "headers": by_drops(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "100 Continue": by_drops(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "100 Continue and headers": by_drops(b"HTTP/1.1 100 Continue\r\n", b"X: y\r\n"),
    "103 Early Hints": by_drops(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "a flood of 100 Continue": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a flood of headers": flood(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "a body": by_drops(head(200, {"Content-Type": "application/json"}), b" "),
    "a chunk's size": by_drops(head(200, {"Transfer-Encoding": "chunked"}), b"0"),
    "trailers": by_drops(head(200, {"Transfer-Encoding": "chunked"}) + b"1\r\n{\r\n0\r\n", b"X: y\r\n"),
}
CALLS: dict[str, tuple[Callable[[SoraProvider, object], object], type[HistoryError]]] = {
    "submit": (lambda provider, _: provider.submit(WANTED), OutcomeUnknown),
    "poll": (lambda provider, _: provider.poll("a"), ProviderUnavailable),
    "find": (
        lambda provider, _: provider.find(WANTED, since=datetime.now(UTC), until=datetime.now(UTC)),
        ProviderUnavailable,
    ),
    "check": (lambda provider, _: provider.check(), ProviderUnavailable),
    "is_gone": (lambda provider, _: provider.is_gone(), ProviderUnavailable),
    "fetch": (lambda provider, path: provider.fetch(provider.content_url("a"), path, seconds=LIMIT), SceneFailure),
}


def ends(call: Callable[[], object], expected: type[BaseException] | tuple[type[BaseException], ...]) -> BaseException:
    """How the call failed, in time."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - looked at below
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it goes on for ever"
    assert isinstance(raised[0], expected), raised
    return raised[0]


@pytest.mark.parametrize("given", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize(("call", "error"), CALLS.values(), ids=CALLS)
def test_an_answer_without_an_end_is_given_up(scripted, tmp_path, given, call, error):
    scripted.script(given)
    provider = SoraProvider(scripted.base_url, KEY)

    ends(
        lambda: call(provider, tmp_path / "video.mp4"), (error, ProviderUnavailable) if error is SceneFailure else error
    )

    assert len(scripted.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_comes_by_drops_is_given_up_and_nothing_of_it_goes_on(scripted, tmp_path):
    scripted.script(by_drops(head(200, {"Content-Type": "video/mp4", "Content-Length": 10_000_000}) + MP4))
    provider = SoraProvider(scripted.base_url, KEY)
    before = set(threading.enumerate())

    failed = ends(lambda: provider.fetch(provider.content_url("a"), tmp_path / "v.mp4", seconds=LIMIT), SceneFailure)

    assert "took more than" in str(failed)
    assert list(tmp_path.iterdir()) == []
    assert {thread for thread in set(threading.enumerate()) - before if thread.name != "scripted"} == set()


@pytest.mark.parametrize("given", [never, raw(b"HTTP/1.1 100 Continue\r\n\r\n")], ids=["at once", "after a word"])
def test_a_silence_is_waited_for_no_longer_than_the_call_has_left(scripted, tmp_path, given):
    """However long a single silence may last."""

    def send(connection: socket.socket) -> None:
        given(connection)
        never(connection)

    scripted.script(send)
    provider = SoraProvider(scripted.base_url, KEY)

    ends(lambda: provider.fetch(provider.content_url("a"), tmp_path / "video.mp4", seconds=LIMIT), SceneFailure)


def test_redirects_and_the_download_share_one_limit(scripted, tmp_path):
    """Each hop below the limit, all together beyond it."""

    def slowly(given):
        def send(connection):
            time.sleep(LIMIT * 0.6)
            given(connection)

        return send

    hop = slowly(answer(302, b"", Location="/v1/again"))
    scripted.script(hop, hop, slowly(answer(200, MP4, kind="video/mp4")))
    provider = SoraProvider(scripted.base_url, KEY)

    ends(lambda: provider.fetch(provider.content_url("a"), tmp_path / "video.mp4", seconds=LIMIT), SceneFailure)

    assert len(scripted.requests) == 2


def test_looking_through_all_pages_of_a_list_has_a_limit(scripted, monkeypatch):
    monkeypatch.setattr(sora, "FIND_SECONDS", LIMIT)
    made = iter(range(10_000))

    def page(connection):
        time.sleep(LIMIT * 0.4)
        job = {"id": f"v{next(made)}", "status": "queued", "created_at": 4_000_000_000}
        answer(200, {"data": [job], "has_more": True})(connection)

    scripted.script(page)
    provider = SoraProvider(scripted.base_url, KEY)

    ends(lambda: provider.find(WANTED, since=datetime.now(UTC), until=datetime.now(UTC)), ProviderUnavailable)

    assert len(scripted.requests) <= 3


def test_a_server_that_reads_our_post_by_drops_leaves_its_outcome_unknown(monkeypatch):
    """Much more is sent than the buffers between take."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        over = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                while not over.wait(0.05):
                    connection.recv(100)

        thread = threading.Thread(target=serve)
        thread.start()
        provider = SoraProvider(f"http://{LOOPBACK}:{listener.getsockname()[1]}/v1", KEY)
        try:
            ends(lambda: provider.submit(VideoRequest("a" * 20_000_000, "m", "1x1", 1)), OutcomeUnknown)
        finally:
            over.set()
            thread.join()


def test_a_handshake_without_an_end_is_given_up(scripted):
    """It takes the first bytes for a request, and answers by drops of a TLS record that never is whole."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        over = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(b"\x16\x03\x03\x3f\xff")
                while not over.wait(0.02):
                    connection.sendall(b"\0")

        thread = threading.Thread(target=serve)
        thread.start()
        provider = SoraProvider(f"https://{LOOPBACK}:{listener.getsockname()[1]}/v1", KEY)
        try:
            ends(lambda: provider.submit(WANTED), (OutcomeUnknown, NotSent))
        finally:
            over.set()
            thread.join()


def test_a_name_that_is_looked_up_for_ever_means_that_nothing_was_sent(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(PATIENCE * 2) and [])

    try:
        ends(lambda: SoraProvider("http://home.test/v1", KEY).submit(WANTED), NotSent)
    finally:
        over.set()


def test_a_connection_outside_of_any_limit_is_not_made(scripted):
    """So no call can be without one by an oversight."""
    with pytest.raises(LookupError), http.Session() as session:
        session.get(scripted.base_url, timeout=5)

    assert scripted.requests == []


# ---------------------------------------------------------------- what is bounded in size


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\n"
        + b"".join(b"X-%d: y\r\n" % number for number in range(200))
        + b"Content-Length: 31\r\n\r\n"
        + JOB,
        b"HTTP/1.1 200 OK\r\n" + (b"X: " + b"y" * 60_000 + b"\r\n") * 4 + b"Content-Length: 31\r\n\r\n" + JOB,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000 + b"HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n" + JOB,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20 + b"HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n" + JOB,
    ],
    ids=["many headers", "large headers", "100 Continue", "103 Early Hints"],
)
def test_a_head_of_unreasonable_size_is_refused(scripted, start):
    scripted.script(raw(start))

    ends(lambda: SoraProvider(scripted.base_url, KEY).poll("a"), ProviderUnavailable)


@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints\r\nLink: </x>"])
def test_an_interim_answer_is_not_taken_for_the_answer(scripted, interim):
    """A POST that was accepted after early hints is no POST whose outcome nobody knows."""
    body = b'{"id": "video_1", "status": "queued"}'
    scripted.script(raw(b"HTTP/1.1 %b\r\n\r\n" % interim + head(200, {"Content-Length": len(body)}) + body))

    assert SoraProvider(scripted.base_url, KEY).submit(WANTED).id == "video_1"
