"""Every error answer of the simulator, in the envelope of its manner or kind."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Flask, jsonify
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.response import Response


class ApiError(Exception):
    """A request that is answered with an error: its status, and what the envelope says."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        problems: Sequence[Mapping[str, Any]] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        #: Of an input that is refused: what is wrong with each field, as pydantic tells it.
        self.problems, self.retry_after = problems, retry_after


Envelope = Callable[[ApiError], Mapping[str, Any] | Sequence[Any]]


def answer_errors(app: Flask, envelope: Envelope) -> None:
    """Every error of `app`, its own and Flask's (404, 405, 413, 500), leaves with the body that `envelope` gives it."""

    def api_error(error: ApiError) -> tuple[Response, int]:
        return jsonify(envelope(error)), error.status

    def http_error(error: HTTPException) -> Response:
        # Flask's own error with its headers (a 405 keeps Allow) and our body.
        response = error.get_response()
        response.set_data(json.dumps(envelope(ApiError(error.code or 500, error.description or error.name))))
        response.content_type = "application/json"
        return response

    app.register_error_handler(ApiError, api_error)
    app.register_error_handler(HTTPException, http_error)
