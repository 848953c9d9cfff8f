"""The functions' URLs on loopback: requests become the platform's raw events, within the platform's limits."""

import base64
import json
import sys
import uuid
from collections.abc import Collection, Mapping
from concurrent.futures import TimeoutError as TookTooLong
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from werkzeug.routing import PathConverter
from werkzeug.wrappers import Response as AnyResponse

from generation_history.api.page import file_response
from scripts.local.host.carried import MAX_BYTES, MAX_HEAD_BYTES, MAX_LINE_BYTES, NotCarried, carried, is_text
from scripts.local.host.instances import Pool

#: Past this the platform answers 202, and the function runs on.
WEB_SECONDS = 30.0
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
#: Of a function that does not answer OPTIONS itself: with its own CORS headers they come twice.
_PLATFORM_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH",
    "Access-Control-Allow-Headers": "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent",
}


class _Rest(PathConverter):
    """What follows a function's name: anything, line breaks too."""

    regex = "(?s:.+)"
    part_isolating = False


def create_gateway(
    pools: Mapping[tuple[str, str], Pool], web: Path, *, with_platforms_cors: Collection[tuple[str, str]] = ()
) -> Flask:
    """A WSGI application: /api/<package>/<function>[/rest] and the same without /api, and the files of web.

    /api/clone is routed to where generations are created, as a gateway may do. Functions that do not answer OPTIONS
    themselves (web-custom-options) have the platform's CORS.
    """
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False
    app.url_map.converters["rest"] = _Rest

    def call(package: str, function: str, rest: str = "") -> Response:  # noqa: ARG001 - decoded; the platform's is raw
        pool = pools.get((package, function))
        if pool is None or not pool.function.web:
            return _says(404, "The requested resource does not exist.")
        raw_path = str(request.environ["REQUEST_URI"]).partition("?")[0]
        if refusal := _refusal(raw_path):
            return refusal
        path = raw_path.partition(f"/{package}/{function}")[2]
        if (package, function) not in with_platforms_cors:
            return _respond(pool, path)
        answer = Response() if request.method == "OPTIONS" else _respond(pool, path)
        for name, value in _PLATFORM_CORS.items():
            answer.headers.add(name, value)
        return answer

    for prefix in ("/api", ""):
        for suffix in ("", "/", "/<rest:rest>"):
            rule = f"{prefix}/<any(history,sora,ops):package>/<function>{suffix}"
            app.add_url_rule(rule, view_func=call, methods=METHODS, strict_slashes=False)

    creates = {"package": "history", "function": "generations"}
    app.add_url_rule("/api/clone", "clone", call, methods=["POST", "OPTIONS"], defaults=creates)

    def file(name: str = "index.html") -> AnyResponse:
        return file_response(web, name)

    app.add_url_rule("/", view_func=file)
    app.add_url_rule("/<path:name>", view_func=file)
    return app


def _refusal(raw_path: str) -> Response | None:
    """What the platform says to a request that reaches no function; None for one that does."""
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    if len(raw_path) + len(request.query_string) > MAX_LINE_BYTES:
        return _says(414, "The URI is too long.")
    if max(map(len, lines), default=0) > MAX_LINE_BYTES or sum(map(len, lines)) > MAX_HEAD_BYTES:
        return _says(431, "The request's headers are too large.")
    if request.headers.get("Transfer-Encoding"):
        return _says(400, "Content type is not supported.")
    # A binary body travels as base64; nothing is read of one that says that it is too long.
    length = request.content_length or 0
    event_length = length if is_text(request.content_type or "") else 4 * -(-length // 3)
    return _says(413, "The body is larger than what is allowed.") if event_length > MAX_BYTES else None


def _respond(pool: Pool, path: str) -> Response:
    try:
        answer = carried(pool.call(_raw_event(path)).result(WEB_SECONDS))
    except TookTooLong:
        return _says(202, "Response not yet ready.")
    except NotCarried as error:
        # The platform's caller is not told why, and nobody else is: a web call leaves no log there.
        print(f"{pool.function.package}/{pool.function.name}: {error}", file=sys.stderr, flush=True)
        return _says(400, "There was an error processing your request.")
    response = Response(answer.body, answer.status, answer.headers)
    if not answer.body:
        response.headers.remove("Content-Type")
    return response


def _raw_event(path: str) -> dict[str, Any]:
    """The event of `web: raw`: nothing parsed; path holds only what follows the function's name."""
    data = request.get_data()
    is_plain = not data or is_text(request.content_type or "")
    return {
        "http": {
            "method": request.method,
            "path": path,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "queryString": request.query_string.decode("latin-1"),
            "body": data.decode(errors="replace") if is_plain else base64.b64encode(data).decode(),
            "isBase64Encoded": not is_plain,
        }
    }


def _says(status: int, text: str) -> Response:
    """An answer of the platform's own; what it is called there nobody here can look up."""
    body = json.dumps({"code": uuid.uuid4().hex, "error": text})
    return Response(body, status, content_type="application/json")
