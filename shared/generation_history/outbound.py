"""Calls to other servers with the standard library alone, for functions that carry no more than that."""

import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


def get(url: str, *, seconds: float, most_bytes: int) -> bytes:
    """The body of a URL's answer, an error unless it is a success, has at most that many bytes and took no longer."""

    def read() -> bytes:
        request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - a setting's
        try:
            with urllib.request.build_opener(NoRedirects).open(request, timeout=seconds) as response:
                return response.read(most_bytes + 1)
        except urllib.error.HTTPError as error:
            # It holds the connection.
            error.close()
            raise

    body = within(seconds, read)
    if len(body) > most_bytes:
        raise ValueError(f"more than {most_bytes} bytes came")
    return body


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows none: what is shown to one host is not shown to another, and what it says is not another's word."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Nothing: a redirect is an error."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """What the call returns or raises; TimeoutError once it takes longer than that, while it runs on by itself.

    In a thread, because no library's time limits hold for looking a name up, or for an answer that comes by drops.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            outcome.set_exception(error)

    Thread(target=copy_context().run, args=(run,), daemon=True).start()
    return outcome.result(seconds)
