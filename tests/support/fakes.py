"""Fakes of the seams, their state open to look at; the contract suites run on them and on the real thing."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from generation_history.errors import JobGone, Rejected
from generation_history.providers import VideoJob, VideoRequest

MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"


@dataclass
class FakeProvider:
    """A VideoProvider in memory: its jobs complete at once, unless a test changes them in `jobs`.

    before_submit, before_find and before_poll are called first with what was asked; what they raise is the answer.
    """

    base_url: str = "http://provider.test/v1"
    name: str = "sora"
    calls_back: bool = False
    lists_at_once: bool = True
    jobs: dict[str, VideoJob] = field(default_factory=dict)
    posts: list[VideoRequest] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    before_submit: Callable[[VideoRequest], None] = lambda _: None
    before_find: Callable[[VideoRequest], None] = lambda _: None
    before_poll: Callable[[str], None] = lambda _: None
    #: What happens to an answer on its way back, once the job has been taken.
    after_submit: Callable[[VideoJob], None] = lambda _: None
    #: Whether it answers as if it had no videos at all.
    gone: bool = False
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def submit(self, request: VideoRequest, *, attempt_token: str = "") -> VideoJob:
        self.posts.append(request)
        self.tokens.append(attempt_token)
        self.before_submit(request)
        if "[reject]" in request.prompt:
            raise Rejected("blocked by our moderation system", failure_code="moderation_blocked")
        job = self.add(request)
        self.after_submit(job)
        return replace(job, status="queued")

    def add(self, request: VideoRequest, **known: object) -> VideoJob:
        """A job that the provider has, whoever asked for it."""
        made = VideoJob(
            id=f"video_{next(self._numbers)}",
            status="completed",
            prompt=request.prompt,
            model=request.model,
            size=request.size,
            seconds=request.seconds,
            created_at=datetime.now(UTC),
        )
        job = replace(made, **known)
        self.jobs[job.id] = job
        return job

    def change(self, job_id: str, **known: object) -> None:
        self.jobs[job_id] = replace(self.jobs[job_id], **known)

    def find(self, request: VideoRequest, *, since: datetime, until: datetime) -> list[VideoJob]:
        self.before_find(request)
        return [
            job
            for job in self.jobs.values()
            if job.is_of(request) and job.created_at and since <= job.created_at <= until
        ]

    def poll(self, job_id: str) -> VideoJob:
        self.before_poll(job_id)
        if job_id not in self.jobs:
            raise JobGone("no such job")
        return self.jobs[job_id]

    def job_id_of(self, event_id: str, request: VideoRequest) -> str:  # noqa: ARG002
        return event_id

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)
        self.change(job_id, status="cancelled")

    def is_gone(self) -> bool:
        return self.gone

    def fetch_video(self, job_id: str, target: Path, *, seconds: float | None = None) -> int:  # noqa: ARG002
        if job_id not in self.jobs:
            raise JobGone("no such job")
        return target.write_bytes(MP4)


def as_asked(prompt: str = "a cat") -> VideoRequest:
    """What a worker asks for unless its settings or the scene say otherwise."""
    return VideoRequest(prompt, "sora-2", "720x1280", 8)


def fail_with(error: Exception) -> Callable[[object], None]:
    """For one of a fake's before_...: this error is the answer."""

    def fail(_: object) -> None:
        raise error

    return fail
