"""Round trips to a database, counted on the wire between client and server."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from scripts.local import ports

_PIECE_BYTES = 65536
#: What asks a server to answer now (frontend messages Query, Sync, Flush, FunctionCall): a client that waits for an
#: answer has sent one of them. https://www.postgresql.org/docs/current/protocol-message-formats.html
_ASKS = frozenset(b"QSHF")
#: A client may ask for encryption first, and names its database in a longer message.
_ENCRYPTION_REQUEST_BYTES = 8


class Counter:
    """A TCP proxy before a Postgres: how often its clients asked the server to answer, after its last answer.

    Requests that are sent together, as in pipeline mode, ask once. What connecting takes is not counted.
    """

    def __init__(self, port: int) -> None:
        self.trips = 0
        self._server_port = port
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((ports.LOOPBACK, 0))

    @property
    def port(self) -> int:
        """Where clients connect to, instead of to the server."""
        return self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sock in (self._listener, *self._sockets):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in (self._listener, *self._sockets):
            sock.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((ports.LOOPBACK, self._server_port))
                self._sockets += [client, server]
                conversation = _Conversation(self)
                self._start(lambda c=client, s=server, t=conversation: _pump(c, s, t.sent))
                self._start(lambda c=client, s=server, t=conversation: _pump(s, c, t.answered))

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="round trips")
        self._threads.append(thread)
        thread.start()


class _Conversation:
    """One connection: whether it waits for an answer."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._messages = _Messages()
        self._is_waiting = False

    def sent(self, piece: bytes) -> None:
        asks = not _ASKS.isdisjoint(self._messages.read(piece))
        if asks and not self._is_waiting:
            self._is_waiting = True
            self._counter.trips += 1

    def answered(self, _piece: bytes) -> None:
        self._is_waiting = False


class _Messages:
    """A client's messages in a stream of bytes."""

    def __init__(self) -> None:
        self._left = b""
        self._has_begun = False

    def read(self, piece: bytes) -> list[int]:
        """The kinds of the messages that this piece completes; those before a session begins have none."""
        self._left += piece
        kinds: list[int] = []
        while len(self._left) >= (head := 5 if self._has_begun else 4):
            end = head - 4 + int.from_bytes(self._left[head - 4 : head])
            if len(self._left) < end:
                break
            if self._has_begun:
                kinds.append(self._left[0])
            self._has_begun = self._has_begun or end > _ENCRYPTION_REQUEST_BYTES
            self._left = self._left[end:]
        return kinds


def _pump(source: socket.socket, target: socket.socket, note_piece: Callable[[bytes], None]) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            note_piece(piece)
            target.sendall(piece)
    for sock in (source, target):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
