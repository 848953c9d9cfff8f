"""StrictStore: a store's server made to answer as the strictest real ones do, where it cannot be told to itself.

No ACLs: AWS makes buckets so since April 2023, R2 has no others. No CORS header and no Vary where no Origin asked,
as AWS and Spaces answer: browsers then keep answers that no page may read. No single PUT of more than 5 GB.
"""

import http.client
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

from scripts.local import ports

MAX_BYTES: Final = 5 * 1024**3
PIECE_BYTES: Final = 256 * 1024
TIMEOUT_S: Final = 60
_OWN_ACL: Final = "bucket-owner-full-control"
#: Of one connection, not of what goes over it.
_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "date", "server"}
_VARY: Final = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


class StrictStore:
    """Stands before the server at a port of loopback, as long as the with block."""

    def __init__(self, target_port: int, *, port: int | None = None) -> None:
        self._target_port = target_port
        self._port = port
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        if self._port is not None:
            ports.require_free(self._port, user="SeaweedFS")

        class Handler(_Handler):
            target_port = self._target_port

        self._server = _Server((ports.LOOPBACK, self._port or 0), Handler)
        threading.Thread(target=self._server.serve_forever, name="strict-store", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    @property
    def port(self) -> int:
        """The port, while it stands there."""
        return self._server.server_address[1] if self._server is not None else 0

    @property
    def endpoint(self) -> str:
        """The URL to give an S3 client."""
        return f"http://{ports.LOOPBACK}:{self.port}"


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: whoever asked is gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT_S
    # An answer's head is sent before its body.
    disable_nagle_algorithm = True
    target_port = 0

    def __getattr__(self, name: str) -> object:
        # Whatever the method is, the server behind answers it.
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: the server behind has a log."""

    def handle_expect_100(self) -> bool:
        """A refusal comes in the place of "go on"."""
        return self._may_go_on() and super().handle_expect_100()

    def _may_go_on(self) -> bool:
        code = _refusal(self.headers.items(), int(self.headers.get("Content-Length", 0)))
        if code is None:
            return True
        body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
        self.close_connection = True
        self.send_response(http.client.BAD_REQUEST)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body.encode())
        return False

    def _answer(self) -> None:
        # Whoever asked may be gone: a browser that has seen enough of a video.
        with suppress(OSError, http.client.HTTPException):
            if not self._may_go_on():
                return
            connection = http.client.HTTPConnection(ports.LOOPBACK, self.target_port, timeout=TIMEOUT_S)
            try:
                self._forward(connection)
                self._send_back(connection.getresponse())
            except BaseException:
                self.close_connection = True
                raise
            finally:
                connection.close()

    def _forward(self, connection: http.client.HTTPConnection) -> None:
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP:
                connection.putheader(name, value)
        bytes_left = int(self.headers.get("Content-Length", 0))
        if bytes_left or self.command in {"PUT", "POST"}:
            connection.putheader("Content-Length", str(bytes_left))
        connection.endheaders()
        while bytes_left and (piece := self.rfile.read(min(bytes_left, PIECE_BYTES))):
            connection.send(piece)
            bytes_left -= len(piece)

    def _send_back(self, answer: http.client.HTTPResponse) -> None:
        length = answer.getheader("Content-Length")
        has_body = self.command != "HEAD" and answer.status not in {http.client.NO_CONTENT, http.client.NOT_MODIFIED}
        self.send_response(answer.status)
        for name, value in _as_strict(answer.getheaders(), asked_by_page="Origin" in self.headers):
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", length)
        elif has_body:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while has_body and (piece := answer.read(PIECE_BYTES)):
            self.wfile.write(piece if length is not None else b"%x\r\n%s\r\n" % (len(piece), piece))
        if has_body and length is None:
            self.wfile.write(b"0\r\n\r\n")


def _refusal(headers: Iterable[tuple[str, str]], length: int) -> str | None:
    """The code that S3 refuses such a request with, if it does."""
    if length > MAX_BYTES:
        return "EntityTooLarge"
    values = {name.lower(): value for name, value in headers}
    grants = any(name.startswith("x-amz-grant-") for name in values)
    return "AccessControlListNotSupported" if grants or values.get("x-amz-acl", _OWN_ACL) != _OWN_ACL else None


def _as_strict(headers: Iterable[tuple[str, str]], *, asked_by_page: bool) -> Iterator[tuple[str, str]]:
    """The headers of an answer, without what real stores do not say."""
    for name, value in headers:
        lower = name.lower()
        if lower in _HOP or lower.startswith("seaweed-"):
            continue
        if lower == "vary" or lower.startswith("access-control-"):
            if asked_by_page:
                yield name, _VARY if lower == "vary" else value
        else:
            yield name, value
