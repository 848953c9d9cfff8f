"""What comes of a fault: the bad answer a request gets, instead of its own or after it was carried out."""

import json
import threading
from collections.abc import Callable, Iterator

from flask import Response, g, jsonify, request

from scripts.local.simulator.errors import ApiError
from scripts.local.simulator.faults import ArmedFault, Fault, Faults
from scripts.local.simulator.kind import Speaker
from scripts.local.simulator.throttle import Pace

PAGE = "<!doctype html><title>Please sign in</title><p>Please sign in to go on.</p>"


class Misbehaviour:
    """The faults of a Flask app: one is chosen before a request is carried out, and may wait until its answer is made.

    Nothing hangs or drips any longer once `end_event` is set.
    """

    def __init__(self, faults: Faults, speakers: Callable[[], Speaker], end_event: threading.Event) -> None:
        self._faults = faults
        self._speaker = speakers
        self._end_event = end_event

    def answer_instead(self, name: str) -> Response | None:
        """The answer to this request if it is not to be carried out; a late fault waits for `spoil_answer`."""
        if "fault" in g:
            return None
        armed = self._faults.strike(self._speaker().name, name)
        if armed is None:
            return None
        if armed.fault.is_late:
            g.fault = armed
            return None
        # Read whole all the same: the server would wait for what is left of it before it drops the connection.
        request.get_data(cache=False)
        return self._answer(armed.fault)

    def spoil_answer(self, response: Response) -> Response:
        """The answer with the late fault in it. An error stays as it is: it accepted nothing, and has no video."""
        armed: ArmedFault | None = g.pop("fault", None)
        if armed is None:
            return response
        if response.status_code >= 400:  # noqa: PLR2004
            self._faults.uncount(armed)
            return response
        if armed.fault.kind == "omit":
            return response
        g.spoiled = True
        return self._spoiled(response, armed.fault)

    def _spoiled(self, response: Response, fault: Fault) -> Response:
        match fault.kind:
            case "slow":
                return Pace(fault.bytes_per_second).set(response, self._end_event)
            case "truncate":
                return _halved(response)
            case "vague":
                return _vague(response, fault.word)
            case _:
                return self._answer(fault)

    def _answer(self, fault: Fault) -> Response:
        speaker = self._speaker()
        error = ApiError(fault.status or 200, fault.message, retry_after=fault.retry_after)
        match fault.kind:
            case "html":
                response = Response(PAGE, error.status, mimetype="text/html")
            case "hang":
                response = Response(self._hang_up(seconds=fault.seconds))
            case "close":
                response = Response(self._hang_up(seconds=0))
            case "retired" | "no_balance":
                error = speaker.retired() if fault.kind == "retired" else speaker.no_balance()
                response = _error(speaker, error)
            case _:
                response = _error(speaker, error)
        if fault.retry_after is not None and not speaker.retry_after_in_body:
            response.headers["Retry-After"] = str(fault.retry_after)
        return response

    def _hang_up(self, *, seconds: float) -> Iterator[bytes]:
        """A body that is never sent, nor its headers: the server drops the connection, as if its client had."""
        self._end_event.wait(seconds)
        raise ConnectionAbortedError
        yield b""


def _error(speaker: Speaker, error: ApiError) -> Response:
    response = jsonify(speaker.envelope(error))
    response.status_code = error.status
    return response


def _vague(response: Response, word: str) -> Response:
    """The same answer, but for the status of every job in it."""
    answer = response.get_json()
    for job in [answer, *answer.get("data", []), *answer.get("results", [])]:
        if "status" in job:
            job["status"] = word
    response.set_data(json.dumps(answer))
    return response


def _halved(response: Response) -> Response:
    """Half of the body under the headers of all of it."""
    response.direct_passthrough = False
    body = response.get_data()
    response.content_length = len(body)
    response.response = [body[: len(body) // 2]]
    return response
