"""JsonProvider: what kinds have in common that take a job as JSON and are asked about it by its id.

A kind says how its POST is written and how its answers are read. Whether a POST made a job is decided here, for all
kinds alike.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final, cast
from urllib.parse import unquote

import requests
from requests.auth import AuthBase

from generation_history.errors import (
    InvalidValue,
    JobGone,
    NoCredit,
    NotAllowed,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    Rejected,
)
from generation_history.kind_settings import ServerSettings
from generation_history.provider_kinds import Kind
from generation_history.providers import FirstFrame, VideoJob, VideoRequest, plain_values
from generation_history.providers.catalogue import Catalogue, Model
from generation_history.providers.content import Content
from generation_history.providers.json_server import GONE, Answer, JsonServer, Post
from generation_history.providers.words import is_moderation

#: The server gave up waiting, or was too busy to say: nobody knows what it did.
_UNCLEAR: Final = frozenset({408, 425, 499})
_RETIRED: Final = (
    "retired",
    "deprecated",
    "no longer",
    "not found",
    "does not exist",
    "unknown model",
    "not supported",
)


class JsonProvider(ABC):
    """One server of a kind, and the key to it; thread-safe."""

    KIND: ClassVar[Kind]
    lists_at_once = True

    def __init__(
        self, settings: ServerSettings, catalogue: Callable[[], Catalogue], *, webhook_url: str | None = None
    ) -> None:
        """Have events sent to webhook_url, where the kind does that."""
        self.name = self.KIND.name
        self.base_url = settings.base_url
        self.calls_back = self.KIND.calls_back and webhook_url is not None
        self._server = JsonServer(self.KIND, settings, self._auth(settings.key))
        self._content = Content(self._server, self.poll)
        self._catalogue = catalogue
        self._webhook_url = webhook_url

    # ------------------------------------------------------------ what a kind says

    @staticmethod
    @abstractmethod
    def _auth(key: str) -> AuthBase:
        """What shows the key."""

    @abstractmethod
    def _post_of(self, request: VideoRequest, model: Model, attempt_token: str) -> Post:
        """The POST of the request."""

    @abstractmethod
    def _posted(self, answer: Answer) -> VideoJob | None:
        """The job that a good answer to the POST tells of; None where it tells of none."""

    @abstractmethod
    def _poll(self, job_id: str) -> tuple[VideoJob, str | None]:
        """How the job of this id stands, and the URL of its video, where it has one; errors as poll() has them."""

    def _says_no_credit(self, answer: Answer, reason: str) -> bool:  # noqa: ARG002 - for kinds to override
        """Whether the answer says that nothing was started because nothing is left to pay it with."""
        return answer.status == requests.codes.payment_required

    def _says_moderated(self, answer: Answer, reason: str) -> bool:  # noqa: ARG002 - for kinds to override
        """Whether the answer says that the request is refused for what is in it."""
        return is_moderation(reason)

    # ------------------------------------------------------------ submit

    def submit(self, request: VideoRequest, *, attempt_token: str) -> VideoJob:
        """The new, paid job; posted once and never again here, whatever happens."""
        try:
            post = self._post_of(request, self._model(request), attempt_token)
        except InvalidValue as error:
            raise Rejected(str(error)) from None
        answer = self._server.post_once(post)
        job = self._posted(answer) if answer.ok else None
        if job is not None and plain_values.storable_id(job.id) is not None:
            return job
        raise self._refusal(answer, request)

    def _refusal(self, answer: Answer, request: VideoRequest) -> ProviderError:
        """What the answer to a POST means that tells of no job."""
        host, words, kept = self._server.host, self._server.reason(answer), self._server.kept(answer)
        if not 400 <= answer.status < 500 or answer.status in _UNCLEAR:  # noqa: PLR2004
            return OutcomeUnknown(f"{host} answered the POST with {words} and no job", answer=kept)
        if self._says_no_credit(answer, words):
            return NoCredit(f"{host} has no credit left for {self.KIND.key_setting}: {words}", answer=kept)
        if answer.status == requests.codes.too_many_requests:
            return NotSent(f"{host} is busy: {words}", retry_after=answer.retry_after, answer=kept)
        return self._refusal_for_good(answer, request, words, kept)

    def _refusal_for_good(
        self, answer: Answer, request: VideoRequest, words: str, kept: str | None
    ) -> NotSent | NotAllowed | Rejected:
        if self._server.refuses_key(answer):
            return NotAllowed(f"{self.KIND.key_setting} was refused by {self._server.host}: {words}", answer=kept)
        if self._says_moderated(answer, words):
            return Rejected(words, failure_code="moderation_blocked", answer=kept)
        if answer.status in GONE or ("model" in words.lower() and any(word in words.lower() for word in _RETIRED)):
            return Rejected(f"{request.model} is not there, or not any more: {words}", answer=kept)
        return Rejected(words, answer=kept)

    def _model(self, request: VideoRequest) -> Model:
        model = self._catalogue().find(request.model)
        if model is None:
            raise InvalidValue(f"model: {request.model} is not known here")
        return model

    def _callback(self, attempt_token: str) -> str | None:
        """Where the provider is to send events about this attempt's job."""
        return f"{self._webhook_url}/{self.name}?attempt={attempt_token}" if self.calls_back else None

    # ------------------------------------------------------------ find, poll, cancel, fetch

    def find(self, request: VideoRequest, *, since: datetime, until: datetime) -> Sequence[VideoJob]:  # noqa: ARG002 - for kinds to override
        """JobGone: this kind keeps no list."""
        raise JobGone(f"{self._server.host} has no list of jobs")

    def job_id_of(self, event_id: str, request: VideoRequest) -> str:  # noqa: ARG002 - for kinds to override
        """The id of an event is the job's, unless a kind says otherwise."""
        return event_id

    def poll(self, job_id: str) -> VideoJob:
        """How the job of just this id stands now; the URL of its video is remembered for fetch_video()."""
        if plain_values.storable_id(job_id) is None:
            raise JobGone("no provider job has such an id")
        job, url = self._poll(job_id)
        if url is not None:
            self._content.remember(job_id, url)
        return job

    def fetch_video(self, job_id: str, target: Path, *, seconds: float | None = None) -> int:
        """The size of the finished job's video, now at target, as Content.fetch() guarantees it."""
        return self._content.fetch(job_id, target, seconds=seconds)

    @abstractmethod
    def cancel(self, job_id: str) -> None:
        """Asks the provider to end the job; a poll tells what came of it. JobGone where it has no such job."""

    def _asked_to_cancel(self, answer: Answer) -> None:
        """Raises where the answer says neither that this is asked for nor that the job is over."""
        if not answer.ok and answer.status not in {400, 409}:
            raise self._server.refusal(answer)

    @abstractmethod
    def is_gone(self) -> bool:
        """Whether it answers as if it had no jobs at all (404, 410); an error where it does not say."""

    def _has_nothing_at(self, url: str, query: Mapping[str, str] | None = None) -> bool:
        answer = self._server.call("GET", url, query)
        if answer.ok or answer.status in GONE:
            return not answer.ok
        raise self._server.refusal(answer)

    def check(self) -> None:
        """Guarantees that the server is of this kind and takes the key; the error names the setting to look at."""
        if self.is_gone():
            setting = self._server.url_setting
            raise ProviderUnavailable(f"{setting}: {self.base_url} answers as no server of the kind {self.name} does")


def says_the_same(given: object, body: Mapping[str, Any], image: FirstFrame | None) -> bool:
    """Whether what a provider was given, as its list has it, is this body.

    A link to our image is signed anew each time, and a body that nobody is going to post has none: it is compared by
    the object's key.
    """
    return _comparable(given, image) == _comparable(body, image)


def _comparable(value: Any, image: FirstFrame | None) -> Any:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: _comparable(item, image) for name, item in items}
    if image is None or not isinstance(value, str):
        return value
    is_link = value.startswith(("https://", "http://")) and unquote(value.partition("?")[0]).endswith(f"/{image.key}")
    return image.key if is_link or value == image.url else value
