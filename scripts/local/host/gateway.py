"""The functions' URLs on loopback: requests become the platform's raw events, within the platform's limits."""

import base64
from collections.abc import Mapping
from concurrent.futures import TimeoutError as TookTooLong
from pathlib import Path
from typing import Any

from flask import Flask, Response, request, send_from_directory
from werkzeug.routing import PathConverter
from werkzeug.wrappers import Response as AnyResponse

from scripts.local.host.instances import Pool

#: What the platform takes and gives back in one web call.
MAX_BYTES = 1_000_000
#: Past this the platform answers 202, and the function runs on.
WEB_SECONDS = 30.0
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
#: Of the page's files, beside the policy that the page itself has: what a page cannot say of itself.
_FILE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
_TEXT = ("application/json", "application/x-www-form-urlencoded", "text/")


class _Rest(PathConverter):
    """What follows a function's name: anything, line breaks too."""

    regex = "(?s:.+)"
    part_isolating = False


def create_gateway(pools: Mapping[tuple[str, str], Pool], web: Path) -> Flask:
    """A WSGI application: /api/<package>/<function>[/rest] and the same without /api, and the files of web.

    /api/clone is routed to where generations are created, as a gateway may do.
    """
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False
    app.url_map.converters["rest"] = _Rest

    def call(package: str, function: str, rest: str = "") -> Response:  # noqa: ARG001 - decoded; the platform's is raw
        pool = pools.get((package, function))
        if pool is None or not pool.function.web:
            return _says(404, "no such function")
        if len(request.get_data()) > MAX_BYTES:
            return _says(413, "the platform takes bodies up to 1 MB")
        raw_path = str(request.environ["REQUEST_URI"]).partition("?")[0]
        return _respond(pool, raw_path.partition(f"/{package}/{function}")[2])

    for prefix in ("/api", ""):
        for tail in ("", "/", "/<rest:rest>"):
            rule = f"{prefix}/<any(history,sora,ops):package>/<function>{tail}"
            app.add_url_rule(rule, view_func=call, methods=METHODS, strict_slashes=False)

    creates = {"package": "history", "function": "generations"}
    app.add_url_rule("/api/clone", "clone", call, methods=["POST", "OPTIONS"], defaults=creates)

    def file(name: str = "index.html") -> AnyResponse:
        return _file(web, name)

    app.add_url_rule("/", view_func=file)
    app.add_url_rule("/<path:name>", view_func=file)
    return app


def _file(web: Path, name: str) -> AnyResponse:
    answer = send_from_directory(web, name, max_age=None)
    answer.headers |= _FILE_HEADERS
    return answer


def _respond(pool: Pool, path: str) -> Response:
    try:
        answer = pool.call(_raw_event(path)).result(WEB_SECONDS)
    except TookTooLong:
        return _says(202, "the function takes longer than 30 s and runs on")
    # The platform answers 400 for an uncaught exception, and for a top-level "error".
    if "error" in answer:
        return _says(400, str(answer["error"]))
    body = answer.get("body") or ""
    raw = body.encode() if isinstance(body, str) else body
    if len(raw) > MAX_BYTES:
        return _says(502, "the platform carries answers up to 1 MB")
    status = answer.get("statusCode") or (200 if raw else 204)
    return Response(raw, status, _headers(answer.get("headers") or {}))


def _raw_event(path: str) -> dict[str, Any]:
    """The event of `web: raw`: nothing parsed; path holds only what follows the function's name."""
    data = request.get_data()
    kind = request.content_type or ""
    is_text = not data or kind.startswith(_TEXT)
    return {
        "http": {
            "method": request.method,
            "path": path,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "queryString": request.query_string.decode("latin-1"),
            "body": data.decode(errors="replace") if is_text else base64.b64encode(data).decode(),
            "isBase64Encoded": not is_text,
        }
    }


def _headers(headers: Mapping[str, str | list[str]]) -> list[tuple[str, str]]:
    return [
        (name, str(value))
        for name, given in headers.items()
        for value in (given if isinstance(given, list) else [given])
    ]


def _says(status: int, text: str) -> Response:
    return Response(f"{text}\n", status, content_type="text/plain; charset=utf-8")
