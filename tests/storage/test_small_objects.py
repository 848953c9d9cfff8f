"""Small objects, written and read before something is paid for: there or not, provably, and within a known time."""

import gc
import hashlib
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from generation_history.errors import StorageError
from generation_history.settings import SpacesSettings
from generation_history.storage import object_store
from generation_history.storage.object_store import ObjectStore
from tests.support.scripted_server import Answer, ScriptedServer, answer, hang_up, head

KEY = "generations/g/intents/1.json"
BODY = b'{"prompt": "a cat"}'
NO_SUCH_KEY = b"<Error><Code>NoSuchKey</Code><Message>no</Message><Key>%s</Key></Error>"


@pytest.fixture
def scripted_store(scripted: ScriptedServer, spaces: SpacesSettings) -> ObjectStore:
    return ObjectStore(replace(spaces, endpoint=scripted.base_url.removesuffix("/v1")))


DOUBTS: dict[str, Answer] = {
    "a page that is not found": answer(404, b"<html>404</html>", kind="text/html"),
    "a 404 of nobody": answer(404, b""),
    "a 404 in JSON": answer(404, {"error": "not found"}),
    "no such bucket": answer(404, b"<Error><Code>NoSuchBucket</Code></Error>", kind="application/xml"),
    "no such object, but another": answer(404, NO_SUCH_KEY % b"generations/other", kind="application/xml"),
    "no such object, with 200": answer(200, NO_SUCH_KEY % KEY.encode(), kind="application/xml"),
    "not allowed": answer(403, b"<Error><Code>AccessDenied</Code></Error>", kind="application/xml"),
    "a page": answer(200, b"<html>Sign in</html>", kind="text/html", ETag='"t"'),
    "nothing": answer(204),
    "bytes of nobody": answer(200, BODY),
    "no answer": hang_up,
    "half of the bytes": lambda to: to.sendall(head(200, {"ETag": '"t"', "Content-Length": 100}) + BODY),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_what_may_be_there_is_not_told_to_be_missing(scripted: ScriptedServer, scripted_store: ObjectStore, doubt: str):
    scripted.script(DOUBTS[doubt])

    with pytest.raises(StorageError, match="DO_SPACES_"):
        scripted_store.get_bytes(KEY, most_bytes=1000)
    # A connection that is left open is a warning here, and that fails.
    gc.collect()


def test_no_cache_is_asked_in_the_stores_place(scripted: ScriptedServer, scripted_store: ObjectStore):
    """What it remembers is from before an intent was put."""
    scripted.script(answer(404, NO_SUCH_KEY % KEY.encode(), kind="application/xml"))

    assert scripted_store.get_bytes(KEY, most_bytes=1000) is None
    assert scripted.requests[0].headers["cache-control"] == "no-cache"


def test_one_request_puts_bytes_and_proves_it(scripted: ScriptedServer, scripted_store: ObjectStore):
    scripted.script(answer(200, b"", ETag=f'"{hashlib.md5(BODY, usedforsecurity=False).hexdigest()}"'))

    scripted_store.put_bytes(KEY, BODY, content_type="application/json")

    assert [request.method for request in scripted.requests] == ["PUT"]


def drip(connection: socket.socket) -> None:
    """A byte now and then, for ever."""
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nETag: ")
        connection.settimeout(0.05)
        while True:
            connection.sendall(b"x")
            with suppress(TimeoutError):
                if not connection.recv(1):
                    return


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.get_bytes(KEY, most_bytes=1000),
        lambda store: store.put_bytes(KEY, BODY, content_type="application/json"),
    ],
    ids=["get", "put"],
)
def test_an_answer_that_comes_byte_by_byte_is_given_up(
    scripted: ScriptedServer,
    scripted_store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[[ObjectStore], object],
):
    monkeypatch.setattr(object_store, "SMALL_SECONDS", 0.3)
    scripted.script(drip)
    began = time.monotonic()

    with pytest.raises(StorageError, match=r"DO_SPACES_ENDPOINT.* took longer than"):
        call(scripted_store)

    assert time.monotonic() - began < 3


def test_a_file_that_is_at_the_path_already_is_left_alone(store: ObjectStore, tmp_path: Path):
    store.put_bytes(f"{KEY}.file", BODY, content_type="application/json")
    there = tmp_path / "there"
    there.write_text("another's")

    with pytest.raises(FileExistsError):
        store.get(f"{KEY}.file", there)

    assert there.read_text() == "another's"
