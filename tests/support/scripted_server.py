"""An HTTP server on loopback that answers just as a test says, well or badly, and remembers what it was asked."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

from werkzeug.wrappers import Request as WsgiRequest

LOOPBACK = "127.0.0.1"
#: Longer than any test waits: what hangs this long hangs for ever.
FOR_EVER_SECONDS = 60


@dataclass(frozen=True)
class Request:
    """One request as it came: header names in small letters."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    def form(self) -> dict[str, str]:
        """The fields of a multipart or urlencoded body."""
        kind = self.headers["content-type"]
        with WsgiRequest.from_values(method=self.method, data=self.body, content_type=kind) as request:
            return request.form.to_dict()


Answer = Callable[[socket.socket], None]


def answer(status: int = 200, body: object = b"", *, kind: str = "application/json", **headers: object) -> Answer:
    """A whole answer; a body that is no bytes is sent as JSON, a header's name is written with underscores."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return raw(head(status, {"Content-Type": kind, "Content-Length": len(content), **headers}) + content)


def raw(content: bytes) -> Answer:
    """Just these bytes, and then the connection is closed."""
    return lambda connection: connection.sendall(content)


def head(status: int, headers: Mapping[str, object]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def hang_up(_connection: socket.socket) -> None:
    """The request was read whole, and no answer is given."""


def never(connection: socket.socket) -> None:
    """No answer, until the asker goes away."""
    with suppress(TimeoutError):
        connection.recv(1)


def endless(piece: bytes, *, kind: str, status: int = 200, **headers: object) -> Answer:
    """A body that has no end: this piece again and again, until the asker goes away."""

    def send(connection: socket.socket) -> None:
        connection.sendall(head(status, {"Content-Type": kind, **headers}))
        while True:
            connection.sendall(piece)

    return send


class ScriptedServer:
    """Gives its answers one after the other, the last of them again and again; one that is a mapping goes by path."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self._answers: list[Answer | Mapping[str, Answer]] = [answer(404, {"error": {"message": "nothing scripted"}})]
        self._answering: Callable[[Request], Answer] | None = None
        self._tls = tls
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server((LOOPBACK, 0), backlog=50)

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @property
    def base_url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}/v1"

    def script(self, *answers: Answer | Mapping[str, Answer]) -> None:
        with self._lock:
            self._answers = list(answers)

    def answer_by(self, answering: Callable[[Request], Answer]) -> None:
        """From now on each request is answered as this says."""
        self._answering = answering

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="scripted")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(FOR_EVER_SECONDS)
            self._connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain:
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            with connection:
                request = _read(connection)
                if request is not None:
                    self._answer(request)(connection)

    def _answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            if self._answering is not None:
                return self._answering(request)
            given = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        path = request.target.partition("?")[0]
        return given if callable(given) else given[path]


def _read(connection: socket.socket) -> Request | None:
    """The whole request; None where none came."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return None
        received += piece
    start, _, body = received.partition(b"\r\n\r\n")
    first, *lines = start.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        piece = connection.recv(65536)
        if not piece:
            return None
        body += piece
    method, target, _version = first.split(" ")
    return Request(method, target, headers, body)
