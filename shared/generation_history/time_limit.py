"""within: a call that is over after so long, whatever another server does."""

import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


def within(seconds: float, call: Callable[[], _Result]) -> _Result:
    """What the call returns or raises; TimeoutError where it takes longer, and it may go on unseen then.

    A server that sends a byte now and then keeps to every limit on a single read.
    """
    returned: list[_Result] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(call())
        except BaseException as error:  # noqa: BLE001 - raised below
            raised.append(error)

    # A daemon, so that it keeps no process alive.
    thread = threading.Thread(target=run, name="within", daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not returned:
        raise TimeoutError
    return returned[0]
