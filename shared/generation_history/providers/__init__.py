"""Video providers: servers that make a video of a prompt. VideoProvider is the seam; sora.py speaks `/v1/videos`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class VideoRequest:
    """What is asked of a provider: size is WIDTHxHEIGHT, seconds the length of the video."""

    prompt: str
    model: str
    size: str
    seconds: int


@dataclass(frozen=True)
class VideoJob:
    """A provider's job as it described it; what it left out is None."""

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
    #: What the provider said, as it came and bounded, where that is not in the usual form.
    answer: str | None = None

    def is_of(self, request: VideoRequest) -> bool:
        """Whether this is a job of just this request; a job that hides its prompt is nobody's."""
        return self.prompt is not None and (self.prompt, self.model, self.size, self.seconds) == (
            request.prompt,
            request.model,
            request.size,
            request.seconds,
        )


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

    def submit(self, request: VideoRequest) -> VideoJob:
        """The new, paid job. NotSent, Rejected and NotAllowed mean there is none; OutcomeUnknown that nobody knows."""
        ...

    def find(self, request: VideoRequest, *, since: datetime, until: datetime) -> Sequence[VideoJob]:
        """The provider's jobs of just this request that were made within these times."""
        ...

    def poll(self, job_id: str) -> VideoJob:
        """How the job stands. JobGone where there is none."""
        ...

    def is_gone(self) -> bool:
        """Whether it answers as if it had no videos at all (404, 410): then its not knowing a job says nothing."""
        ...

    def content_url(self, job_id: str) -> str:
        """Where the finished job's video is fetched from."""
        ...

    def fetch(self, content_url: str, target: Path, *, seconds: float | None = None) -> int:
        """The number of bytes of the video, which is then at target; nothing is left there after an error.

        It takes at most so many seconds.
        """
        ...
