"""Calls to a provider: bounded in time and size, to configured hosts only, the key shown to no other host."""

import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import requests
import urllib3.exceptions
from requests.auth import AuthBase

from generation_history.errors import NotAllowed, ProviderUnavailable

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
#: A whole answer that is not a video: no provider needs longer to say something.
ANSWER_SECONDS = 60.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_REDIRECTS = 3
CHUNK_BYTES = 256 * 1024


class Bearer(AuthBase):
    """Shows the key, or nothing at all: without an auth of its own requests would look a login up in ~/.netrc."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request, with the key on it if there is one."""
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class Session(requests.Session):
    """Knows of no redirects: requests reads a redirect's body, however long, even where it is not to follow it."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """None, for any response."""
        return None


def origin(url: str) -> tuple[str, str, int]:
    """The scheme, host and port of a URL, its port filled in."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").lower(), port


def never_left(error: requests.RequestException) -> bool:
    """Whether the request provably never reached the server: no connection was made, so nothing was sent."""
    cause: Any = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(reason, urllib3.exceptions.SSLError):
        # A refused certificate ends the handshake; any other SSL error may come after the request as well.
        return isinstance(reason.args[0], ssl.SSLCertVerificationError)
    return isinstance(reason, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError))


def read_answer(response: requests.Response) -> bytes:
    """The body of an answer, within the limits of bytes and time; ProviderUnavailable beyond them."""
    body = bytearray()
    deadline = time.monotonic() + ANSWER_SECONDS
    with closing(response):
        for chunk in chunks(response):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES or time.monotonic() > deadline:
                raise ProviderUnavailable("the provider's answer was too long or took too long")
    return bytes(body)


def chunks(response: requests.Response) -> Iterator[bytes]:
    """The body piece by piece, as it arrives: a slow server's bytes are handed on before a whole chunk is there."""
    try:
        while chunk := cast("bytes", response.raw.read1(CHUNK_BYTES, decode_content=True)):
            yield chunk
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from error


def get_across_redirects(session: Session, url: str, *, key: str, download_hosts: frozenset[str]) -> requests.Response:
    """The answer at the end of at most MAX_REDIRECTS redirects, its body not read yet.

    A redirect to another host is followed only to download_hosts, and never with the key.
    """
    home = origin(url)
    for _ in range(MAX_REDIRECTS + 1):
        at_home = origin(url) == home
        response = session.get(
            url,
            auth=Bearer(key if at_home else None),
            headers={"Accept-Encoding": "identity"},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            allow_redirects=False,
            stream=True,
        )
        if not response.is_redirect:
            return response
        response.close()
        # Header bytes come as Latin-1, whatever they are.
        url = urljoin(url, response.headers["Location"].encode("latin-1").decode("utf-8", "replace"))
        scheme, host, _port = origin(url)
        if origin(url) != home and (host not in download_hosts or (home[0], scheme) == ("https", "http")):
            raise NotAllowed(f"the provider redirects to {host}, which SORA_DOWNLOAD_HOSTS does not name")
    raise ProviderUnavailable("the provider redirects in circles")
