"""A simulator that listens: in this process for a test or the local stack, or as the command's whole life."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from wsgiref.types import WSGIEnvironment

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from scripts.local.simulator.app import create_app
from scripts.local.simulator.dialects import MANNERS, MannerName
from scripts.local.simulator.faults import Faults
from scripts.local.simulator.jobs import Jobs, Timing
from scripts.local.simulator.kinds import all_kinds
from scripts.local.simulator.leaks import Leaks
from scripts.local.simulator.render_queue import Studio
from scripts.local.simulator.service import Service
from scripts.local.simulator.throttle import Pace
from scripts.local.simulator.webhook_keys import WebhookKeys
from scripts.local.simulator.webhooks import Webhooks

HOST = "127.0.0.1"
FILES_HOST = "127.0.0.2"
USUAL_TIMING = Timing()
USUAL_PACE = Pace()

_STOP_POLL_SECONDS = 0.05


@contextmanager
def simulator(
    data: Path,
    *,
    port: int = 0,
    api_key: str | None = None,
    timing: Timing = USUAL_TIMING,
    clock: Callable[[], float] = time.time,
    manner: MannerName = "openai",
    pace: Pace = USUAL_PACE,
    content: Path | None = None,
) -> Generator[str]:
    """A simulator listens on loopback until the block ends; yields the base URL of its /v1/videos, which ends in /v1.

    The other kinds are on the same port, at the paths that their modules name.

    Port 0 is a free one. `data` is made if it does not exist, and belongs to one simulator at a time. It answers in
    the manner of one server of the dialect; content comes at this pace, and is this file if one is given.
    """
    videos = data.resolve() / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    with ExitStack() as closing:
        jobs = Jobs(data / "jobs.sqlite3", timing=timing, clock=clock)
        closing.callback(jobs.close)
        forgotten_jobs = [] if MANNERS[manner].remembers else jobs.forget()
        studio = Studio(videos, jobs, content=None if content is None else content.resolve(strict=True))
        closing.callback(studio.close)
        for job in forgotten_jobs:
            studio.forget(job)
        end_event = threading.Event()
        faults = Faults()
        service = Service(jobs, studio, Leaks(jobs), WebhookKeys(jobs), api_key, pace, end_event)
        kinds = all_kinds(service)
        webhooks = Webhooks(service, kinds, faults)
        service.announce = webhooks.announce
        closing.callback(webhooks.close)
        app = create_app(service, MANNERS[manner], faults, kinds, webhooks)
        closing.callback(end_event.set)
        port = _serve(closing, app, HOST, port)
        service.api_url = f"http://{HOST}:{port}"
        service.files_url = f"http://{_files_host(closing, app, port)}:{port}"
        webhooks.start()
        yield f"http://{HOST}:{port}/v1"


def _files_host(closing: ExitStack, app: Flask, port: int) -> str:
    """The host that the kinds' files are on: another than the API's, where the machine has more loopback addresses."""
    try:
        _serve(closing, app, FILES_HOST, port)
    except (OSError, SystemExit):
        return HOST
    return FILES_HOST


def _serve(closing: ExitStack, app: Flask, host: str, port: int) -> int:
    """The port that the app listens on until the stack is closed."""
    server = make_server(host, port, app, threaded=True, request_handler=QuietHandler)
    closing.callback(server.server_close)
    thread = threading.Thread(target=server.serve_forever, args=[_STOP_POLL_SECONDS], name=f"simulator on {host}")
    thread.start()
    closing.callback(thread.join)
    closing.callback(server.shutdown)
    return server.server_port


class QuietHandler(WSGIRequestHandler):
    """HTTP/1.1, and not a line per request."""

    protocol_version = "HTTP/1.1"

    def connection_dropped(self, error: BaseException, environ: WSGIEnvironment | None = None) -> None:  # noqa: ARG002
        """The connection ends: nothing more is read from it."""
        self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing is logged."""
