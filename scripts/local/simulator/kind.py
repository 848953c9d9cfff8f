"""What each kind of provider has: its paths, how its errors look, who is let in, and how its webhooks are signed."""

import hmac
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ClassVar, Literal, Protocol, cast

from flask import Blueprint, Response, request

from scripts.local.simulator.errors import ApiError
from scripts.local.simulator.job import Job
from scripts.local.simulator.service import Service


class Speaker(Protocol):
    """Whoever answers a request: a manner of /v1/videos, or a kind beside it."""

    #: sora, fal, replicate, runway or gemini.
    name: ClassVar[str]
    #: Whether a 429 says in its body, and not in its header, when to come again.
    retry_after_in_body: ClassVar[bool]

    def envelope(self, error: ApiError) -> Mapping[str, Any] | Sequence[Any]:
        """The body of an error."""
        ...

    def retired(self) -> ApiError:
        """The answer to a POST for a model that is gone."""
        ...

    def no_balance(self) -> ApiError:
        """The answer to a POST of an account that is empty."""
        ...


#: What a webhook may tell: a job has started, or it is over.
Occasion = Literal["start", "completed"]


@dataclass(frozen=True)
class Event:
    """One webhook to send: its body as bytes, and the headers that sign it."""

    body: bytes
    headers: Mapping[str, str]


class Kind(ABC):
    """One kind, on one service. Its blueprint has its name; endpoints are named for the place of their faults."""

    name: ClassVar[str]
    #: The first parts of its paths.
    prefixes: ClassVar[tuple[str, ...]]
    retry_after_in_body: ClassVar[bool] = False
    #: Where no key is asked for.
    open_endpoints: ClassVar[frozenset[str]] = frozenset({"content", "keys"})
    #: How long a completed job's content can be downloaded.
    content_seconds: ClassVar[float]
    #: The waits between the tries of a webhook.
    webhook_waits: ClassVar[Sequence[float]] = ()

    def __init__(self, service: Service) -> None:
        self.service = service

    @abstractmethod
    def routes(self) -> Blueprint:
        """Every route of the kind."""

    @abstractmethod
    def check_key(self, api_key: str) -> None:
        """Guarantees that the request has the key where this kind wants it; else it is refused as this kind does."""

    @abstractmethod
    def prompt(self, body: Mapping[str, Any]) -> str:
        """The prompt in the body of a POST."""

    @abstractmethod
    def envelope(self, error: ApiError) -> Mapping[str, Any] | Sequence[Any]:
        """The body of an error."""

    @abstractmethod
    def retired(self) -> ApiError:
        """The answer to a POST for a model that is gone."""

    @abstractmethod
    def no_balance(self) -> ApiError:
        """The answer to a POST of an account that is empty."""

    @abstractmethod
    def not_found(self) -> ApiError:
        """The answer about a job that there is not."""

    def occasions(self, job: Job) -> Sequence[Occasion]:  # noqa: ARG002
        """When something is sent to the job's webhook."""
        return ()

    def event(self, job: Job, occasion: Occasion, url: str) -> Event:
        """What is sent to this URL, which the job's POST named."""
        raise NotImplementedError(self.name, occasion, url, job)

    def find(self, job_id: str) -> Job:
        """The kind's job of this id."""
        job = self.service.jobs.get(job_id, kind=self.name)
        if job is None:
            raise self.not_found()
        return job

    def content_url(self, job: Job) -> str:
        """Where the job's video lies on the host of files, which is another one than the API's."""
        return f"{self.service.files_url}/cdn/{self.name}/{job.id}/video.mp4"

    def send_content(self, job: Job) -> Response:
        """The job's video; 404 if it has none, or has it no longer."""
        now = self.service.jobs.clock()
        if job.status(now) != "completed" or job.is_expired(now):
            raise self.not_found()
        return self.service.send(job)

    def refuse_keys(self) -> None:
        """Guarantees that the request shows no key; one that does is recorded, and refused."""
        header = self.service.record_leak(self.name)
        if header is not None:
            raise ApiError(400, f"{header} is not accepted here.")


def read_body() -> dict[str, Any]:
    """The JSON object that a POST brings; {} for anything else."""
    body: object = request.get_json(force=True, silent=True)
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}


def same_key(given: str | None, api_key: str) -> bool:
    """Whether this is the key, in constant time."""
    return given is not None and hmac.compare_digest(given.encode(), api_key.encode())


def bearer_key() -> str | None:
    """The key of an Authorization: Bearer header."""
    match = re.fullmatch("Bearer (.+)", request.headers.get("Authorization", ""))
    return match[1] if match else None


def iso(moment: float) -> str:
    """The moment as text: 2026-11-26T12:00:00.000000Z."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def as_json(value: object) -> bytes:
    """The value as bytes of JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def title(status: int) -> str:
    """What a status is called."""
    return HTTPStatus(status).phrase
