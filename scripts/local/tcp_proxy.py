"""A TCP proxy on loopback whose connections break off, are answered by somebody else, or not at all."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self

from scripts.local.ports import LOOPBACK

PIECE_BYTES = 65536
END_OF_HEAD = b"\r\n\r\n"

Direction = Literal["up", "down"]


@dataclass(frozen=True)
class Fate:
    """What becomes of one connection.

    It is handed on to the server, and cut off both ways once so many bytes went up to it, or came down from it; one
    that is mute gets nothing back, though the server does all it is asked. Or it never gets there: whoever connects
    gets this answer to the head of a request, and with an empty one waits for ever.
    """

    cut_after: int | None = None
    direction: Direction = "up"
    mute: bool = False
    answer: bytes | None = None
    request_start: bytes = b""


#: The connection lasts.
THROUGH: Final = Fate()


def answering(status: str, body: str = "", *, kind: str = "application/xml", etag: str | None = None) -> Fate:
    """The fate of being answered with this HTTP status, as 503 Slow Down."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body.encode())}\r\nConnection: close\r\n"
    if etag is not None:
        head += f'ETag: "{etag}"\r\n'
    return Fate(answer=f"{head}\r\n{body}".encode())


#: No answer, as long as anyone waits: the server was never asked, or did what it was asked.
SILENCE: Final = Fate(answer=b"")
MUTE: Final = Fate(mute=True)


class TcpProxy:
    """Hands connections on to `port` of loopback, which may be changed at any time; None refuses.

    `fate` is asked about each connection as it comes. `fault_count` counts the bad ones that came to pass.
    """

    def __init__(self, port: int | None, *, fate: Callable[[], Fate] = lambda: THROUGH) -> None:
        self.target = port
        self.fate = fate
        self.fault_count = 0
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((LOOPBACK, 0), backlog=50)
        self._acceptor = threading.Thread(target=self._accept, name="proxy")

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        with self._lock:
            for sock in self._sockets:
                _break_off(sock)
        for thread in list(self._threads):
            thread.join()

    def cut_all(self) -> None:
        """Every connection there is breaks off now, which is a fault of each."""
        with self._lock:
            for sock in self._sockets:
                self.fault_count += sock.getsockname()[1] == self.port
                _break_off(sock)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            fate = self.fate()
            if fate.answer is not None and not fate.request_start:
                self._track_sockets(client)
                self._start(self._answer, client, fate.answer)
            elif (server := self._connect()) is None:
                client.close()
            else:
                self._hand_on(client, server, fate)

    def _connect(self) -> socket.socket | None:
        try:
            return None if self.target is None else socket.create_connection((LOOPBACK, self.target))
        except OSError:
            return None

    def _answer(self, client: socket.socket, answer: bytes) -> None:
        self._send_answer(client, answer)
        self._close(client)

    def _send_answer(self, client: socket.socket, answer: bytes, *, received: bytes = b"") -> None:
        """Whatever else is sent is swallowed: a connection closed on unread bytes would lose the answer."""
        with suppress(OSError):
            while END_OF_HEAD not in received and (piece := client.recv(PIECE_BYTES)):
                received += piece
            client.sendall(answer)
            self.fault_count += 1
            while client.recv(PIECE_BYTES):
                continue

    def _hand_on(self, client: socket.socket, server: socket.socket, fate: Fate) -> None:
        self._track_sockets(client, server)
        directions: dict[Direction, tuple[socket.socket, socket.socket]] = {
            "up": (client, server),
            "down": (server, client),
        }
        pumps = [self._start(self._pump, direction, *ends, fate) for direction, ends in directions.items()]
        self._start(self._close_after, pumps, client, server)

    def _pump(self, direction: Direction, source: socket.socket, target: socket.socket, fate: Fate) -> None:
        """Everything from the one to the other; after so many bytes, both are cut off."""
        bytes_left = fate.cut_after if direction == fate.direction else None
        mute = fate.mute and direction == "down"
        self.fault_count += mute
        with suppress(OSError):
            while piece := source.recv(PIECE_BYTES if bytes_left is None else min(bytes_left, PIECE_BYTES)):
                # Clients send a request's head in one piece, once the answer before it was there.
                if fate.request_start and fate.answer and direction == "up" and piece.startswith(fate.request_start):
                    self._send_answer(source, fate.answer, received=piece)
                    break
                if not mute:
                    target.sendall(piece)
                if bytes_left is not None:
                    bytes_left -= len(piece)
                    if bytes_left == 0:
                        self.fault_count += 1
                        break
        _break_off(source)
        _break_off(target)

    def _close_after(self, pumps: list[threading.Thread], *sockets: socket.socket) -> None:
        for pump in pumps:
            pump.join()
        self._close(*sockets)

    def _track_sockets(self, *sockets: socket.socket) -> None:
        with self._lock:
            self._sockets += sockets

    def _close(self, *sockets: socket.socket) -> None:
        with self._lock:
            for sock in sockets:
                self._sockets.remove(sock)
                sock.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, name="proxy")
        with self._lock:
            self._threads = [*(other for other in self._threads if other.is_alive()), thread]
            thread.start()
        return thread


def _break_off(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
