"""Waiting for something that another process does: each pause is longer than the one before, until time is over."""

import time
from collections.abc import Iterator

FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 30.0
GROWTH = 1.5


def pause(seconds: float) -> None:
    """Does nothing for so long."""
    time.sleep(seconds)


class Rounds:
    """Rounds of looking, with growing pauses between them; the last round is when the time is over."""

    def __init__(self, seconds: float, *, longest: float = LONGEST_PAUSE_SECONDS) -> None:
        self._seconds = seconds
        self._longest = longest
        self._pause = FIRST_PAUSE_SECONDS

    def __iter__(self) -> Iterator[int]:
        number, began = 0, time.monotonic()
        while True:
            number += 1
            yield number
            left = self._seconds - (time.monotonic() - began)
            if left <= 0:
                return
            pause(min(self._pause, left))
            self._pause = min(self._longest, self._pause * GROWTH)

    def look_soon(self) -> None:
        """Guarantees that the next pause is a short one: something has changed."""
        self._pause = FIRST_PAUSE_SECONDS
