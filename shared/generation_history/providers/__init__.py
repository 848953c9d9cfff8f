"""Video providers: servers that make a video of a prompt. VideoProvider is the seam; each kind has a module."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from generation_history.errors import ProviderUnavailable


@dataclass(frozen=True)
class FirstFrame:
    """The image that a video begins with: an object of ours, by its key.

    url is a signed link to it, and content its bytes: both are there when a request is posted, and only then.
    """

    key: str
    media_type: str
    url: str = field(default="", compare=False, repr=False)
    content: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True)
class VideoRequest:
    """What is asked of a provider: model is its full name, size WIDTHxHEIGHT, seconds the length of the video.

    None of the others says that nothing is asked of the kind.
    """

    prompt: str
    model: str
    size: str
    seconds: int
    sound: bool | None = None
    seed: int | None = None
    image: FirstFrame | None = None


@dataclass(frozen=True)
class VideoJob:
    """A provider's job as it described it; what it left out is None.

    A status of "completed", "failed", "cancelled" or "expired" means that it is over, whatever the provider's own word
    was; any other one is the provider's, and means that it is still running. error_code is "moderation_blocked" for
    each of the names that this has. other_ids are further ones by which the provider may know the same job. answer is
    the provider's whole answer (bounded, storable, without our key) where it was not just what OpenAI's would be.
    cost is what the provider says that the job costs, in US dollars.
    """

    id: str
    status: str
    progress: int | None = None
    prompt: str | None = None
    model: str | None = None
    size: str | None = None
    seconds: int | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    other_ids: tuple[str, ...] = ()
    answer: str | None = None
    cost: Decimal | None = None

    def is_of(self, request: VideoRequest) -> bool:
        """Whether this is a job of just this request; a job that hides its prompt is nobody's."""
        return self.prompt is not None and (self.prompt, self.model, self.size, self.seconds) == (
            request.prompt,
            request.model,
            request.size,
            request.seconds,
        )


class UnnamedAnswer(ProviderUnavailable):
    """An answer that tells of a job, and not of which: for an id that the provider itself gave it is the right one.

    Whatever else names a job may be read by a server as another one's id.
    """

    def __init__(self, message: str, job: VideoJob) -> None:
        super().__init__(message)
        self.job = job


class VideoProvider(Protocol):
    """A server that renders videos; its errors are ProviderError's children, and SceneFailure of fetch."""

    @property
    def name(self) -> str:
        """What kind of server it is, kept with a scene."""
        ...

    @property
    def base_url(self) -> str:
        """Which server it is, kept with a scene: only this one knows the job."""
        ...

    @property
    def calls_back(self) -> bool:
        """Whether a POST tells this provider where to call back, so that an event names the job of a lost answer."""
        ...

    @property
    def lists_at_once(self) -> bool:
        """Whether a job is in the provider's list as soon as there is one: then an empty list proves something."""
        ...

    def submit(self, request: VideoRequest, *, attempt_token: str) -> VideoJob:
        """The new, paid job. NotSent, Rejected and NotAllowed mean there is none; OutcomeUnknown that nobody knows.

        An event about the job names the token, where the provider calls back.
        """
        ...

    def find(self, request: VideoRequest, *, since: datetime, until: datetime) -> Sequence[VideoJob]:
        """The provider's jobs of just this request that were made within these times; JobGone where it has no list."""
        ...

    def job_id_of(self, event_id: str, request: VideoRequest) -> str:
        """The job's id, by which it is polled, of the id that an event about a job of this request names."""
        ...

    def poll(self, job_id: str) -> VideoJob:
        """How the job of just this id stands. JobGone where there is none, ProviderUnavailable for another's.

        UnnamedAnswer where the answer does not say which job it is of.
        """
        ...

    def cancel(self, job_id: str) -> None:
        """Asks the provider to end the job; a poll tells what came of it. JobGone where it has no such job."""
        ...

    def is_gone(self) -> bool:
        """Whether it answers as if it had no videos at all (404, 410): then its not knowing a job says nothing."""
        ...

    def fetch_video(self, job_id: str, target: Path, *, seconds: float | None = None) -> int:
        """The number of bytes of the finished job's video, which is then at target; nothing is left after an error.

        It takes at most so many seconds.
        """
        ...
