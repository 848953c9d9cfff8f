"""Calls to other servers: each bounded in time as a whole, each connection made to an address that was checked.

With the standard library alone, for functions that carry no more than that; providers/http.py gives requests the same
sockets. No proxy is used, whatever the environment names: it would be shown what is meant for the server.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, TypeVar

from generation_history.addresses import may_be_reached
from generation_history.time_limit import within
from generation_history.urls import as_address, parse_url

T = TypeVar("T")

#: Looking a name up: what the system's resolver takes when a first name server is down, and a second answers.
RESOLVE_SECONDS = 10.0
#: All that may come before a body: headers, and interim answers (100 Continue) before them.
MAX_HEAD_BYTES = 128 * 1024
MAX_INTERIM_ANSWERS = 10
USER_AGENT = "generation-history"


# ---------------------------------------------------------------- bounds


@dataclass(frozen=True)
class _Bounds:
    ends_at: float
    trusted_hosts: frozenset[str]


_bounds: ContextVar[_Bounds] = ContextVar("bounds of the call that is under way")


@contextmanager
def bounded(seconds: float, *, trusted_hosts: Collection[str] = ()) -> Generator[None, None, None]:
    """Whatever is done within with a socket of ours raises TimeoutError once it all takes longer than that.

    Looking up the name, connecting, TLS, sending, each drop of head and body: together. trusted_hosts are
    those that the operator named (addresses.py). A block within another ends at the earlier end, and trusts the hosts
    of both.
    """
    outer_bounds = _bounds.get(None)
    ends_at = time.monotonic() + seconds
    hosts = frozenset(trusted_hosts)
    token = _bounds.set(
        _Bounds(min(ends_at, outer_bounds.ends_at), hosts | outer_bounds.trusted_hosts)
        if outer_bounds
        else _Bounds(ends_at, hosts)
    )
    try:
        yield
    finally:
        _bounds.reset(token)


def seconds_left() -> float:
    """The seconds left of the bounds; TimeoutError once none is left, LookupError where there are no bounds."""
    seconds = _bounds.get().ends_at - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the call took too long as a whole")
    return seconds


def is_out_of_time() -> bool:
    """Whether the bounds have come to their end."""
    return time.monotonic() >= _bounds.get().ends_at


# ---------------------------------------------------------------- sockets


class AddressRefused(OSError):
    """None of the host's addresses may be connected to."""


class HeadTooLong(http.client.HTTPException):
    """More came before an answer's body than any honest server sends."""


class _Timed(socket.socket):
    """Waits no longer than its own timeout, and never beyond the bounds of the call."""

    #: How much more may come before the body; None once that has come.
    head_bytes_left: int | None = None

    @contextmanager
    def _in_time(self) -> Generator[None, None, None]:
        own_timeout = self.gettimeout()
        seconds = seconds_left()
        self.settimeout(seconds if own_timeout is None else min(own_timeout, seconds))
        try:
            yield
        finally:
            if self.fileno() >= 0:
                self.settimeout(own_timeout)

    def connect(self, address: Any, /) -> None:
        with self._in_time():
            super().connect(address)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        # One timeout for all of it: Python counts from the beginning.
        with self._in_time():
            super().sendall(data, flags)

    def send(self, data: Any, flags: int = 0, /) -> int:
        with self._in_time():
            return super().send(data, flags)

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        # What http.client's buffered reader calls for everything that it reads.
        with self._in_time():
            count = super().recv_into(buffer, len(buffer) if nbytes is None else nbytes, flags)
        if self.head_bytes_left is not None:
            self.head_bytes_left -= count
            if self.head_bytes_left < 0:
                raise HeadTooLong(f"more than {MAX_HEAD_BYTES} bytes came before the answer")
        return count


class _TimedTLS(_Timed, ssl.SSLSocket):  # pyright: ignore[reportIncompatibleMethodOverride] - theirs take keywords
    """The same with encryption."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as SSLSocket has it
        # Python counts from its beginning here as well.
        with self._in_time():
            super().do_handshake(block)


def tls(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same context, whose sockets are bounded."""
    context.sslsocket_class = _TimedTLS
    return context


def connect(host: str, port: int, *, timeout: float | None) -> socket.socket:
    """A connection to the first address of this host that may be reached and answers.

    The name is looked up once, here, and what is connected to is what was checked. gaierror without any address,
    AddressRefused where none may be reached, TimeoutError, or another OSError.
    """
    host = host.lower().removeprefix("[").removesuffix("]")
    trusted_hosts = _bounds.get().trusted_hosts
    addresses = [
        ip for ip in _addresses(host, port) if may_be_reached(ip_address(ip[1][0]), host, trusted_hosts=trusted_hosts)
    ]
    if not addresses:
        raise AddressRefused(f"{host} has no address that may be connected to")
    failure: OSError | None = None
    for family, address in addresses:
        connection = _Timed(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure or AddressRefused(host)


def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    def look_up() -> list[tuple[int, Any]]:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in infos]

    return look_up() if as_address(host) else within(min(RESOLVE_SECONDS, seconds_left()), look_up)


# ---------------------------------------------------------------- connections


class Answer(http.client.HTTPResponse):
    """Skips interim answers, a few of them: http.client takes any but 100 Continue for the answer itself."""

    def begin(self) -> None:
        """Reads the head of the answer."""
        for _ in range(MAX_INTERIM_ANSWERS):
            super().begin()
            if self.status >= http.client.OK or self.status == http.client.SWITCHING_PROTOCOLS:
                return
            self.headers: Any = None
        raise HeadTooLong(f"more than {MAX_INTERIM_ANSWERS} interim answers came")


class BoundedHead(http.client.HTTPConnection):
    """A connection whose answers' heads are bounded in size."""

    response_class = Answer

    def getresponse(self) -> Any:
        """The answer, its head read."""
        connection: Any = self.sock
        if not isinstance(connection, _Timed):
            raise TypeError("only connect() makes connections")
        connection.head_bytes_left = MAX_HEAD_BYTES
        try:
            return super().getresponse()
        finally:
            connection.head_bytes_left = None


class _Plain(BoundedHead):
    def connect(self) -> None:
        self.sock = connect(self.host, self.port, timeout=self.timeout)


class _Encrypted(_Plain):
    def connect(self) -> None:
        super().connect()
        self.sock = tls(ssl.create_default_context()).wrap_socket(self.sock, server_hostname=self.host)


_CONNECTIONS: Final = {"http": _Plain, "https": _Encrypted}


def call(
    url: str,
    *,
    seconds: float,
    most_bytes: int,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> bytes:
    """The body of a setting's URL's answer, an error unless it is a success of at most that many bytes in that time.

    No redirect is followed: what is shown to one host is not shown to another, and what it says is not another's word.
    """
    target = parse_url(url)
    request_headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Connection": "close", **(headers or {})}
    with bounded(seconds, trusted_hosts={target.host}):
        connection = _CONNECTIONS[target.scheme](target.host, target.port, timeout=seconds)
        try:
            connection.request(method, target.target, body=body, headers=request_headers)
            with connection.getresponse() as response:
                if response.status // 100 != 2:  # noqa: PLR2004
                    raise http.client.HTTPException(f"HTTP {response.status}")
                content: bytes = response.read(most_bytes + 1)
                if len(content) > most_bytes:
                    raise ValueError(f"more than {most_bytes} bytes came")
                if response.length:
                    raise http.client.IncompleteRead(b"", response.length)
                return content
        finally:
            connection.close()
