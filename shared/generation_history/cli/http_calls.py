"""Calls of the command line: bounded, the token shown to the API's own server alone, no redirect followed with it.

requests does the talking, over the sockets of http_client.py, as with a provider.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import requests
import urllib3.exceptions

from generation_history import http_client
from generation_history.addresses import is_no_servers
from generation_history.errors import HistoryError, Unavailable
from generation_history.http_client import bounded
from generation_history.providers.http import CONNECT_SECONDS, READ_SECONDS, Bearer, Session, chunks
from generation_history.urls import Url, as_address

#: A whole answer of the API: the platforms give a call 30 seconds.
CALL_SECONDS: Final = 60.0
#: Nobody waits longer for one file; a server that sends nothing is given up after READ_SECONDS.
FILE_SECONDS: Final = 24 * 3600.0
#: An answer of the API has 1 MB at most, on every platform.
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024


class Interrupted(Unavailable):
    """A call came to no end: no connection, or it broke; the same call may work later."""


@dataclass(frozen=True)
class Reply:
    """A whole answer: its status, its body, and where a redirect leads."""

    status: int
    body: bytes
    location: str

    @property
    def json(self) -> dict[str, Any]:
        """The object that the body is; empty where it is none."""
        try:
            told = json.loads(self.body)
        except ValueError:
            return {}
        return cast("dict[str, Any]", told) if isinstance(told, dict) else {}


def call(session: Session, method: str, url: Url, *, token: str | None, params: Any = None, body: Any = None) -> Reply:
    """The whole answer, whatever its status; Interrupted where none came."""
    with _interruptions(url, CALL_SECONDS):
        response = session.request(
            method,
            url.text,
            params=params,
            json=body,
            auth=Bearer(token),
            headers={"User-Agent": http_client.USER_AGENT, "Accept": "application/json"},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            allow_redirects=False,
            stream=True,
        )
        content = bytearray()
        with closing(response):
            for chunk in chunks(response):
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise HistoryError(f"{url.host} answers with more than {MAX_ANSWER_BYTES} bytes")
        return Reply(response.status_code, bytes(content), response.headers.get("Location", ""))


@contextmanager
def opened(session: Session, url: Url, headers: Mapping[str, str]) -> Generator[requests.Response]:
    """The answer to a GET of a signed link, its body not read yet; the token is not shown to the store."""
    with _interruptions(url, FILE_SECONDS):
        response = session.get(
            url.text,
            auth=Bearer(None),
            headers={"User-Agent": http_client.USER_AGENT, "Accept-Encoding": "identity", **headers},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            allow_redirects=False,
            stream=True,
        )
        with closing(response):
            yield response


@contextmanager
def _interruptions(url: Url, seconds: float) -> Generator[None]:
    try:
        with bounded(seconds, trusted_hosts=_reachable(url.host)):
            yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, TimeoutError) as error:
        raise Interrupted(f"{url.origin} cannot be reached: {_reason(error)}") from None


def _reachable(host: str) -> frozenset[str]:
    """The host, which may be in a private network; no address that no server is meant to have."""
    address = as_address(host)
    return frozenset() if address and is_no_servers(address) else frozenset({host})


def _reason(error: BaseException) -> str:
    """Why, without the URL that requests repeats: a signed link is as good as what it opens."""
    cause: Any = error.args[0] if error.args else error
    reason = getattr(cause, "reason", cause)
    kinds: dict[type[BaseException], str] = {
        urllib3.exceptions.NameResolutionError: "its name is not known",
        urllib3.exceptions.NewConnectionError: "no connection",
        urllib3.exceptions.ConnectTimeoutError: "no connection in time",
        urllib3.exceptions.SSLError: "its certificate or TLS does not hold",
        urllib3.exceptions.ReadTimeoutError: "no answer in time",
        TimeoutError: "no answer in time",
    }
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return next((said for kind, said in kinds.items() if isinstance(reason, kind)), "the connection broke")
