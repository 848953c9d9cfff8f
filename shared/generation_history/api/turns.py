"""How many calls of one process are answered at once: each has a connection to the database and its answer in memory.

On a server with threads, fifty clients of the largest pages would otherwise have fifty connections and fifty pages in
memory, and writers that wait for one locked generation would have every connection. A function has one call at a time.
"""

import re
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Final

from generation_history.errors import Unavailable

READS_AT_ONCE: Final = 6
#: Of these: a page may have 10 MB of rows in memory before it is cut.
PAGES_AT_ONCE: Final = 3
WRITES_AT_ONCE: Final = 6
#: Of one generation, variant or scene: more would only wait for its lock.
WRITES_OF_ONE_AT_ONCE: Final = 2
#: As many connections as a process has for its calls at most.
MAX_CONNECTIONS: Final = READS_AT_ONCE + WRITES_AT_ONCE
#: Less than a web call may take, so that the caller is told why.
WAIT_SECONDS: Final = 25.0
#: As long as a write waits for a lock (lock_timeout of the login history_api).
LOCK_WAIT_SECONDS: Final = 3.0
_LIST: Final = re.compile("/history/(generations|library)/?$")
_ID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Turns:
    """Calls that wait for each other by their keys; Unavailable for one that has waited too long."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, key: str, *, at_once: int, seconds: float) -> Generator[None]:
        """No more than so many blocks of this key run at once."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._running[key] < at_once, seconds):
                raise Unavailable(f"{at_once} calls are busy with {key}, and none ended within {seconds:g} s")
            self._running[key] += 1
        try:
            yield
        finally:
            with self._changed:
                self._running[key] -= 1
                if not self._running[key]:
                    del self._running[key]
                self._changed.notify_all()


_turns = Turns()


@contextmanager
def turn_of(method: str, path: str) -> Generator[None]:
    """The turn of a call with this method and path; writes of one thing wait for each other, without a connection."""
    if method == "GET":
        with ExitStack() as turns:
            if _LIST.search(path):
                turns.enter_context(_turns.turn("pages", at_once=PAGES_AT_ONCE, seconds=WAIT_SECONDS))
            turns.enter_context(_turns.turn("reads", at_once=READS_AT_ONCE, seconds=WAIT_SECONDS))
            yield
        return
    match = _ID.search(path)
    # What is made anew has no id yet, and no lock.
    key, at_once = (match[0].lower(), WRITES_OF_ONE_AT_ONCE) if match else ("writes", WRITES_AT_ONCE)
    with (
        _turns.turn(f"the writes of {key}", at_once=at_once, seconds=LOCK_WAIT_SECONDS if match else WAIT_SECONDS),
        _turns.turn("writes", at_once=WRITES_AT_ONCE, seconds=WAIT_SECONDS),
    ):
        yield
