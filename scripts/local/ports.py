"""Ports of the loopback address, for the servers that the local stack and the tests start."""

import random
import socket
from collections.abc import Collection
from itertools import islice

LOOPBACK = "127.0.0.1"

# Linux gives outgoing connections ports from 32768 on: one of those could be gone between choosing and listening.
_RANGE = range(10_000, 32_768)
_CANDIDATES = 1_000


class PortTakenError(RuntimeError):
    """A port that was asked for by number cannot be had; the message is one line that names both sides."""


def free_port() -> int:
    """A port that nothing listens on; nothing keeps it so, listen soon."""
    return free_ports(1)[0]


def free_ports(count: int, *, avoid: Collection[int] = ()) -> list[int]:
    """Distinct ports that nothing listens on, none of them in `avoid`."""
    # The plain random module would deal two test runs with one seed the same ports.
    candidates = random.SystemRandom().sample(_RANGE, _CANDIDATES)
    return list(islice((port for port in candidates if port not in avoid and is_free(port)), count))


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    return _refusal(port) is None


def require_free(port: int, *, user: str) -> None:
    """Returns if a server could listen on the port now; raises PortTakenError, naming whom it is for, if not."""
    refusal = _refusal(port)
    if refusal is not None:
        raise PortTakenError(f"Port {port} of {LOOPBACK} is not free for {user}: {refusal}.")


def _refusal(port: int) -> str | None:
    with socket.socket() as probe:
        # As servers do: connections that linger after the last one's end do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error.strerror
    return None
