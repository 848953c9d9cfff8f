"""A TCP proxy on loopback whose connections break off after as many bytes as a test says, or lead elsewhere."""

import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

LOOPBACK = "127.0.0.1"
PIECE_BYTES = 65536

Direction = Literal["up", "down"]


class TcpProxy:
    """Hands every connection on to `port` of loopback, which may be changed at any time; None refuses.

    Each connection is cut off both ways once so many bytes went `up` to the server, or came `down` from it, as its
    turn in `cuts` says; when there are no cuts left, connections last.
    """

    def __init__(self, port: int | None, *, direction: Direction = "up", cuts: Iterable[int] = ()) -> None:
        self.target = port
        self.cut = 0
        self._direction = direction
        self._cuts = iter(cuts)
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((LOOPBACK, 0), backlog=50)

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        for thread in self._threads:
            thread.join()

    def cut_all(self) -> None:
        """Every connection there is breaks off now."""
        with self._lock:
            for one in self._sockets:
                _break_off(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = self._connect()
            if server is None:
                client.close()
                continue
            with self._lock:
                self._sockets += [client, server]
            limit = next(self._cuts, None)
            ways = {"up": (client, server), "down": (server, client)}
            pumps = [
                self._start(self._pump, *way, limit if direction == self._direction else None)
                for direction, way in ways.items()
            ]
            self._start(self._close, pumps, client, server)

    def _connect(self) -> socket.socket | None:
        try:
            return None if self.target is None else socket.create_connection((LOOPBACK, self.target))
        except OSError:
            return None

    def _pump(self, source: socket.socket, target: socket.socket, limit: int | None) -> None:
        """Everything from the one to the other; after so many bytes, both are cut off."""
        left = limit
        with suppress(OSError):
            while piece := source.recv(PIECE_BYTES if left is None else min(left, PIECE_BYTES)):
                target.sendall(piece)
                if left is not None:
                    left -= len(piece)
                    if left == 0:
                        self.cut += 1
                        break
        _break_off(source)
        _break_off(target)

    def _close(self, pumps: list[threading.Thread], *sockets: socket.socket) -> None:
        for pump in pumps:
            pump.join()
        with self._lock:
            for one in sockets:
                self._sockets.remove(one)
                one.close()

    def _start(self, target: object, *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, name="proxy")
        self._threads.append(thread)
        thread.start()
        return thread


def _break_off(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
