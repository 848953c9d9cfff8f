"""What every kind works with: the jobs, their files, the switches, and what is told of each request."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from flask import Response, g, has_request_context, request, send_file

from scripts.local.simulator.create_request import PROMPT_LENGTH, CreateRequest
from scripts.local.simulator.directives import Directives, read_directives
from scripts.local.simulator.job import Job
from scripts.local.simulator.jobs import Jobs, Origin
from scripts.local.simulator.leaks import Leaks
from scripts.local.simulator.render_queue import Studio
from scripts.local.simulator.switches import Switches
from scripts.local.simulator.throttle import Pace
from scripts.local.simulator.webhook_keys import WebhookKeys

_KEY_HEADERS = ("Authorization", "X-Goog-Api-Key")
#: Of a POST, what tests want to know of its headers; never a key.
_TOLD_HEADERS = ("X-Fal-No-Retry", "X-App-Fal-Disable-Fallback", "X-Fal-Store-IO", "X-Runway-Version", "Prefer")


@dataclass
class Service:
    """One simulator's parts, and what every kind does with them in the same way."""

    jobs: Jobs
    studio: Studio
    leaks: Leaks
    keys: WebhookKeys
    #: None lets everyone in.
    api_key: str | None
    pace: Pace
    end_event: threading.Event
    #: Where the files of fal, Replicate and Runway lie: another host than the API's, where the machine has one.
    files_url: str = ""
    api_url: str = ""
    switches: Switches = field(default_factory=Switches)
    #: Called with each new job that has a webhook, before its POST is answered.
    announce: Callable[[Job], None] = lambda _: None

    def create(
        self,
        origin: Origin,
        job_id: str,
        create_request: CreateRequest,
        *,
        failure: tuple[str, str] | None = None,
    ) -> Job:
        """The new job, whose video is under way; it fails if `failure` or its prompt says so."""
        directives = read_directives(create_request.prompt)
        if failure is not None:
            directives = Directives(failure=failure)
        job = self.jobs.add(job_id, create_request, directives, origin)
        g.job_id = job.id
        self.studio.start(job)
        if job.detail("webhook"):
            self.announce(job)
        return job

    def origin(self, kind: str, *, lives: float, **details: Any) -> Origin:
        """Where this POST's job comes from."""
        headers = {name: request.headers[name] for name in _TOLD_HEADERS if name in request.headers}
        body = request.get_data(as_text=True)
        return Origin(kind, body, {**details, "headers": headers}, lives)

    @property
    def base_url(self) -> str:
        """Where whoever asks found the API; in a webhook, where it is."""
        return request.host_url.rstrip("/") if has_request_context() else self.api_url

    def is_astray(self) -> bool:
        """Whether the request came to the host of files and asks for no file."""
        is_there = request.host_url.rstrip("/") == self.files_url != self.api_url
        return is_there and not request.path.startswith("/cdn/")

    def cancel(self, job: Job) -> bool:
        """Whether the job was running, so that it is cancelled now; one that is unstoppable only says so."""
        if read_directives(job.prompt).unstoppable:
            return not job.is_over(self.jobs.clock())
        return self.jobs.cancel(job.id)

    def send(self, job: Job) -> Response:
        """The job's video, at the simulator's pace."""
        return self.pace.set(send_file(self.studio.file(job, "video"), mimetype="video/mp4"), self.end_event)

    def omitted_seconds(self) -> float:
        """Of how many last seconds the jobs are missing in this list, because a fault says so."""
        fault = g.get("fault")
        return fault.fault.seconds if fault is not None and fault.fault.kind == "omit" else 0.0

    def record_leak(self, kind: str) -> str | None:
        """The header of a key that this request shows where none may be, and that is kept; None if it shows none."""
        header = next((name for name in _KEY_HEADERS if name in request.headers), None)
        if header is not None:
            self.leaks.add({"kind": kind, "header": header, "path": request.path})
        return header


def short_prompt(fields: object, name: str) -> str:
    """The prompt in this field of what may be anything."""
    prompt = cast("Mapping[str, object]", fields).get(name) if isinstance(fields, Mapping) else None
    return prompt[:PROMPT_LENGTH].encode(errors="replace").decode() if isinstance(prompt, str) else ""
