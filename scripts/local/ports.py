"""Ports of the loopback address, for the servers that the local stack and the tests start."""

import os
import random
import socket
from collections import OrderedDict
from collections.abc import Collection
from itertools import islice

LOOPBACK = "127.0.0.1"

# Linux gives outgoing connections ports from 32768 on: one of those could be gone between choosing and listening.
_RANGE = range(10_000, 32_768)
_CANDIDATES = 1_000
#: More than one stack has; an older claim's server listens by now.
_CLAIMS = 64
#: Each port's open file: the claim ends with this process, or when the file is closed.
_claims: OrderedDict[int, int] = OrderedDict()


class PortTakenError(RuntimeError):
    """A port that was asked for by number cannot be had; the message is one line that names both sides."""


def free_port() -> int:
    """A port that nothing listens on, and that no other process is given meanwhile."""
    return free_ports(1)[0]


def free_ports(count: int, *, avoid: Collection[int] = ()) -> list[int]:
    """Distinct ports that nothing listens on, none of them in `avoid`; no other process is given them meanwhile."""
    # The plain random module would deal two test runs with one seed the same ports.
    candidates = random.SystemRandom().sample(_RANGE, _CANDIDATES)
    return list(islice((port for port in candidates if port not in avoid and claim(port)), count))


def claim(port: int) -> bool:
    """Whether this process could listen on the port now; if so, no other process is given the port meanwhile.

    A claim is a name that one process can have, in the abstract namespace of Unix sockets (unix(7)), and ends with
    the process.
    """
    if not is_free(port):
        return False
    if port not in _claims:
        with socket.socket(socket.AF_UNIX) as name:
            try:
                name.bind(f"\0generation-history-port-{port}")
            except OSError:
                return False
            _claims[port] = name.detach()
        if len(_claims) > _CLAIMS:
            os.close(_claims.popitem(last=False)[1])
    return True


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
