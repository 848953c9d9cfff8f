"""The one way a test waits for something that another thread or process does: bounded, and no longer than it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def eventually(look: Callable[[], Seen], *, seconds: float = 30) -> Seen:
    """What `look` returns, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
    return seen
