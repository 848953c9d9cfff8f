"""Every POST that comes, whatever comes of it: kept before anything is done about it."""

from collections.abc import Callable
from http import HTTPStatus

from flask import Flask, Response, g, request

from scripts.local.simulator.jobs import Answer, Jobs


def record_arrivals(app: Flask, jobs: Jobs, prompt: Callable[[], str]) -> None:
    """From now on each request to a kind's endpoint "create" is kept with its prompt, and with what became of it.

    Call it before anything else looks at requests: it is to be the first to see one, and the last to see its answer.
    The endpoint puts the id of the job it makes into g.job_id, a fault that spoils an answer sets g.spoiled.
    """

    @app.before_request
    def came() -> None:
        kind, _, name = (request.endpoint or "").rpartition(".")
        if name == "create":
            g.arrival = jobs.arrived(prompt(), kind=kind)

    @app.after_request
    def became(response: Response) -> Response:
        if "arrival" in g:
            job_id: str | None = g.get("job_id")
            jobs.answered(g.arrival, _answer(response.status_code, job_id), job_id=job_id)
        return response


def _answer(status: int, job_id: str | None) -> Answer:
    if job_id is not None:
        return "fault_after" if status >= HTTPStatus.BAD_REQUEST or "spoiled" in g else "accepted"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "busy"
    return "refused" if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR else "fault_before"
