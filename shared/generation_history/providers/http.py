"""Calls to a provider: bounded in time and size, to configured hosts only, the key shown to no other host.

requests does the talking, over the sockets of http_client.py.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from typing import Any, cast

import requests
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util.ssl_ import create_urllib3_context

from generation_history import http_client
from generation_history.errors import NotAllowed, NotSent, OutcomeUnknown, ProviderUnavailable
from generation_history.http_client import BoundedHead, bounded, is_out_of_time
from generation_history.urls import Url, resolve

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
#: Making a job may take long; giving up early would leave its outcome unknown.
SUBMIT_SECONDS = 60.0
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


class KeyHeader(AuthBase):
    """Shows the key in a header of this name, or nothing at all where the value is empty."""

    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request, with the key on it."""
        if self._value:
            request.headers[self._name] = self._value
        return request


class _Plain(BoundedHead, urllib3.connection.HTTPConnection):
    def _new_conn(self) -> socket.socket:
        try:
            return http_client.connect(self.host, self.port, timeout=self.timeout)
        except socket.gaierror as error:
            raise urllib3.exceptions.NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise urllib3.exceptions.ConnectTimeoutError(self, f"no connection to {self.host} in time") from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(self, str(error)) from error


class _Encrypted(_Plain, urllib3.connection.HTTPSConnection):
    pass


class _PlainPool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls: Any = _Plain


class _EncryptedPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls: Any = _Encrypted


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:  # noqa: FBT001, FBT002 - as HTTPAdapter has it
        context = http_client.tls(create_urllib3_context())
        super().init_poolmanager(connections, maxsize, block, ssl_context=context, **options)
        classes: dict[str, Any] = {"http": _PlainPool, "https": _EncryptedPool}
        self.poolmanager.pool_classes_by_scheme = classes


class Session(requests.Session):
    """Every connection of it is one of http_client, which there is only within bounded().

    It knows of no redirects: requests reads a redirect's body, however long, even where it is not to follow it. Nor of
    proxies: whoever the environment names as one would be shown the key.
    """

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def merge_environment_settings(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What requests is to do besides, a certificate authority of the environment's among it."""
        return {**super().merge_environment_settings(*args, **kwargs), "proxies": {}}

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """None, for any response."""
        return None


class TookTooLong(requests.Timeout):
    """The call's bounds are over, and its body has not come to its end."""


def never_left(error: requests.RequestException) -> bool:
    """Whether the request provably never reached the server: no connection was made, so nothing was sent."""
    cause: Any = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(reason, urllib3.exceptions.SSLError):
        # A refused certificate ends the handshake; any other SSL error may come after the request as well.
        return isinstance(reason.args[0], ssl.SSLCertVerificationError)
    return isinstance(reason, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError))


def post_once(
    url: str, *, url_setting: str, host: str, trusted_hosts: frozenset[str], **what: Any
) -> requests.Response:
    """The answer to a paid POST, its body not read yet; the POST is made once, whatever comes of it.

    NotSent, which names the setting, where no connection was made; OutcomeUnknown where no answer came.
    """
    try:
        # A connection of its own: one kept from before may be dead, and then nobody knows whether this was read.
        with Session() as session, bounded(CONNECT_SECONDS + SUBMIT_SECONDS, trusted_hosts=trusted_hosts):
            return session.post(
                url, timeout=(CONNECT_SECONDS, SUBMIT_SECONDS), allow_redirects=False, stream=True, **what
            )
    except requests.RequestException as error:
        if never_left(error):
            raise NotSent(f"{url_setting}: no connection to {host}") from None
        raise OutcomeUnknown(f"{host} did not answer the POST: {type(error).__name__}") from None


def answering(trusted_hosts: frozenset[str]) -> AbstractContextManager[None]:
    """Bounds a question and its whole answer."""
    return bounded(ANSWER_SECONDS, trusted_hosts=trusted_hosts)


def read_answer(response: requests.Response, body: bytearray | None = None) -> bytes:
    """The body of an answer, within the limits of bytes and time; ProviderUnavailable beyond them.

    What comes is put into body, where it also is after an error.
    """
    body = bytearray() if body is None else body
    with bounded(ANSWER_SECONDS), closing(response):
        try:
            for chunk in chunks(response):
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise ProviderUnavailable(f"the provider's answer has more than {MAX_ANSWER_BYTES} bytes")
        except TookTooLong:
            raise ProviderUnavailable("the provider's answer took too long") from None
    return bytes(body)


def chunks(response: requests.Response) -> Iterator[bytes]:
    """The body piece by piece, as it arrives: a slow server's bytes are handed on before a whole chunk is there.

    TookTooLong when the bounds of the call are over, ConnectionError for all else that is in the way.
    """
    try:
        while chunk := cast("bytes", response.raw.read1(CHUNK_BYTES, decode_content=True)):
            yield chunk
            if is_out_of_time():
                raise TookTooLong("the body took too long")
    except urllib3.exceptions.HTTPError as error:
        if is_out_of_time():
            raise TookTooLong("the body took too long") from error
        raise requests.ConnectionError(error) from error


def get_across_redirects(
    session: Session, url: Url, *, auth: AuthBase, may_be_at: Callable[[str], bool], setting: str
) -> requests.Response:
    """The answer at the end of at most MAX_REDIRECTS redirects, its body not read yet.

    auth shows the key to the first URL's origin. A redirect to another one is followed only where a video may be at
    that host, as the setting says, and never with the key. UnclearUrl for a redirect to what parsers could read
    differently.
    """
    key_origin = url.origin
    for _ in range(MAX_REDIRECTS + 1):
        response = session.get(
            url.text,
            auth=auth if url.origin == key_origin else Bearer(None),
            headers={"Accept-Encoding": "identity"},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            allow_redirects=False,
            stream=True,
        )
        if not response.is_redirect:
            return response
        response.close()
        url, origin_url = resolve(response.headers["Location"], url), url
        if (origin_url.scheme, url.scheme) == ("https", "http"):
            raise NotAllowed(f"the provider redirects to {url.host} without encryption")
        if url.origin != key_origin and not may_be_at(url.host):
            raise NotAllowed(f"the provider redirects to {url.host}, which {setting} does not name")
    raise ProviderUnavailable("the provider redirects in circles")
