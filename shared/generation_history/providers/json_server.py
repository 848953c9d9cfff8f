"""JsonServer: calls to a server that speaks JSON: bounded, the key shown to that server alone, its words read once."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, cast

import requests
from requests.auth import AuthBase

from generation_history.errors import JobGone, NotAllowed, ProviderError, ProviderUnavailable
from generation_history.kind_settings import ServerSettings
from generation_history.provider_kinds import Kind
from generation_history.providers import plain_values
from generation_history.providers.answers import parse
from generation_history.providers.http import (
    CONNECT_SECONDS,
    READ_SECONDS,
    Session,
    answering,
    post_once,
    read_answer,
)
from generation_history.providers.reasons import MAX_REASON_LENGTH, reason
from generation_history.urls import as_address, parse_url

REFUSED_KEY: Final = frozenset({401, 403})
#: How Google says it, with HTTP 400.
_REFUSED_KEY_WORDS: Final = ("api key not valid", "api key expired", "api_key_invalid")
GONE: Final = frozenset({404, 410})
MAX_RETRY_AFTER = 600.0


@dataclass(frozen=True)
class Post:
    """How a job is asked for: the URL, the body, and what the kind's POST has besides."""

    url: str
    body: Mapping[str, Any]
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Answer:
    """An answer: its JSON, None where it is none, and its body as it came."""

    status: int
    headers: Mapping[str, str]
    body: Any
    raw: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether its status says that all is well."""
        return 200 <= self.status < 300  # noqa: PLR2004

    @property
    def only_accepts(self) -> bool:
        """Whether it says that the job goes on, and nothing else: HTTP 202 without a word for how it stands."""
        return self.status == requests.codes.accepted and not isinstance(self.fields.get("status"), str)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The object that the body is, or the first of a list of them; empty for anything else."""
        body: object = self.body
        if isinstance(body, list) and body:
            body = cast("list[object]", body)[0]
        return cast("Mapping[str, Any]", body) if isinstance(body, dict) else {}

    @property
    def retry_after(self) -> float | None:
        """How many seconds to wait, as the header or the body says; None where neither does."""
        value = self.headers.get("Retry-After", "")
        if value.isascii() and value.isdecimal():
            return min(float(value), MAX_RETRY_AFTER)
        in_body = dollars(self.fields.get("retry_after"))
        return min(float(in_body), MAX_RETRY_AFTER) if in_body else None


class JsonServer:
    """One server of a kind, and the key to it; thread-safe."""

    def __init__(self, kind: Kind, settings: ServerSettings, auth: AuthBase) -> None:
        self.kind: Final = kind
        self.settings: Final = settings
        self.auth: Final = auth
        self.host: Final = parse_url(settings.base_url).host
        # What the operator named may be private; a name to download from must not become so by its owner's doing.
        literals = {host for host in settings.download_hosts if host == "localhost" or as_address(host)}
        hosts = {parse_url(url).host for url in (settings.base_url, *settings.other_urls.values())}
        self.trusted_hosts: Final = frozenset(hosts | literals)
        self._local = threading.local()

    @property
    def url_setting(self) -> str:
        """The setting that names the server."""
        return self.kind.url_setting

    @property
    def session(self) -> Session:
        """This thread's connections."""
        session: Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = Session()
        return session

    def post_once(self, post: Post) -> Answer:
        """The answer to a POST that is made once; NotSent where it never left, OutcomeUnknown where none came."""
        response = post_once(
            post.url,
            url_setting=self.url_setting,
            host=self.host,
            trusted_hosts=self.trusted_hosts,
            params=dict(post.query),
            data=json.dumps(post.body).encode(),
            headers={"Content-Type": "application/json", **post.headers},
            auth=self.auth,
        )
        raw = bytearray()
        try:
            body = parse(read_answer(response, raw))
        except (ProviderUnavailable, requests.RequestException):
            body = None
        return Answer(response.status_code, response.headers, body, bytes(raw))

    def get(self, url: str, query: Mapping[str, str] | None = None) -> Answer:
        """A good answer. JobGone, NotAllowed and ProviderUnavailable for others."""
        answer = self.call("GET", url, query)
        if answer.ok and (answer.body is not None or answer.only_accepts):
            return answer
        raise self.refusal(answer)

    def call(self, method: str, url: str, query: Mapping[str, str] | None = None) -> Answer:
        """Any answer; ProviderUnavailable where there is none. Nothing that this calls costs anything."""
        try:
            with answering(self.trusted_hosts):
                response = self.session.request(
                    method,
                    url,
                    params=dict(query or {}),
                    auth=self.auth,
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                    allow_redirects=False,
                    stream=True,
                )
                raw = read_answer(response)
        except requests.RequestException as error:
            raise ProviderUnavailable(
                f"{self.url_setting}: {self.host} cannot be asked: {type(error).__name__}"
            ) from None
        return Answer(response.status_code, response.headers, parse(raw), raw)

    def refusal(self, answer: Answer) -> ProviderError:
        """What an answer with an error status means to whoever asked about a job."""
        words = self.reason(answer)
        if answer.status in GONE:
            return JobGone(f"{self.host} knows no such job: {words}")
        if self.refuses_key(answer) or answer.status == requests.codes.payment_required:
            return NotAllowed(f"{self.kind.key_setting} was refused by {self.host}: {words}")
        return ProviderUnavailable(f"{self.host}: {words}", retry_after=answer.retry_after)

    def refuses_key(self, answer: Answer) -> bool:
        """Whether the answer says that the key may not do this."""
        if answer.status == requests.codes.bad_request:
            words = self.reason(answer).lower()
            return any(refusal in words for refusal in _REFUSED_KEY_WORDS)
        return answer.status in REFUSED_KEY

    def reason(self, answer: Answer) -> str:
        """What went wrong, in the provider's words, without our key."""
        words = reason(dict(answer.fields), key=self.settings.key)
        return words[:MAX_REASON_LENGTH] if words else f"HTTP {answer.status}"

    def kept(self, answer: Answer) -> str | None:
        """The answer as text that may be kept: bounded, storable and without our key; None for an empty one."""
        return plain_values.answer_text(answer.raw if answer.body is None else answer.body, self.settings.key) or None


def dollars(value: object, *, each: str = "1") -> Decimal | None:
    """The US dollars that a number of units costs; None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        amount = Decimal(str(value)) * Decimal(each)
    except ArithmeticError:
        return None
    return amount if amount.is_finite() and amount >= 0 else None
