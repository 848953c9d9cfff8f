"""One job, and what it looks like at a moment of its life."""

import json
import math
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

Status = Literal["queued", "in_progress", "completed", "failed"]


class VideoError(TypedDict):
    """Why a job failed."""

    code: str
    message: str


class Video(TypedDict):
    """A job as the API shows it; times are whole unix seconds."""

    id: str
    object: Literal["video"]
    model: str
    status: Status
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str
    size: str
    seconds: str
    remixed_from_video_id: None
    error: VideoError | None


@dataclass(frozen=True)
class Job:
    """A row of jobs: when its life is planned to turn, and what its rendering came to; times are unix seconds."""

    seq: int
    id: str
    prompt: str
    model: str
    seconds: str
    size: str
    created_at: float
    starts_at: float
    finishes_at: float
    expires_after: float
    error_code: str | None
    error_message: str | None
    rendered_at: float | None
    deleted: int
    kind: str
    #: The body of the POST, as it came, and what its kind needs to know of the request besides.
    body: str
    details: str

    def is_over(self, now: float) -> bool:
        """Whether the job is completed or failed."""
        return now >= self.finished_at()

    def detail(self, name: str) -> Any:
        """What its kind keeps of the request under this name; None if there is nothing."""
        return json.loads(self.details).get(name)

    def status(self, now: float) -> Status:
        """Where the job is by the clock; it is completed only once its video really exists."""
        if now < self.starts_at:
            return "queued"
        if now < self.finished_at():
            return "in_progress"
        return "completed" if self.error_code is None else "failed"

    def is_expired(self, now: float) -> bool:
        """Whether a completed job's content may no longer be downloaded."""
        return now >= self.finished_at() + self.expires_after

    def as_video(self, now: float) -> Video:
        """The job as the API shows it at this moment."""
        status = self.status(now)
        completed_at = int(self.finished_at()) if status == "completed" else None
        error = VideoError(code=self.error_code or "", message=self.error_message or "")
        return Video(
            id=self.id,
            object="video",
            model=self.model,
            status=status,
            progress=self.progress(now),
            created_at=int(self.created_at),
            completed_at=completed_at,
            expires_at=None if completed_at is None else int(self.finished_at() + self.expires_after),
            prompt=self.prompt,
            size=self.size,
            seconds=self.seconds,
            remixed_from_video_id=None,
            error=error if status == "failed" else None,
        )

    def finished_at(self) -> float:
        """The moment both the plan and, for a job that does not fail, the rendering are over; unknown is infinity."""
        if self.error_code is not None:
            return self.finishes_at
        return math.inf if self.rendered_at is None else max(self.finishes_at, self.rendered_at)

    def progress(self, now: float) -> int:
        """How much of the rendering is done, in per cent."""
        if self.status(now) == "completed":
            return 100
        duration = self.finishes_at - self.starts_at
        return max(0, min(99, int(100 * (now - self.starts_at) / duration))) if duration > 0 else 0
