"""within: a call that is over after so long, whatever another server does."""

from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """What the call returns or raises; TimeoutError once it takes longer than that, while it runs on by itself.

    In a thread, because no limit of time holds for looking a name up, nor for boto3's whole call. Whatever has a socket
    of ours is bounded instead (http_client.bounded), and then nothing runs on.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            outcome.set_exception(error)

    # A daemon, so that it keeps no process alive.
    Thread(target=copy_context().run, args=(run,), daemon=True).start()
    return outcome.result(seconds)
