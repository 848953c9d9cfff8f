"""register_history_api(app): /api/history on an existing Flask server, and nothing else of its routes."""

import base64
import logging
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler.api_gateway import Router

from generation_history import settings
from generation_history.api import page as page_files
from generation_history.api.app import answer, resolver
from generation_history.api.events import http_event
from generation_history.errors import NotConfigured
from generation_history.json_codec import MAX_BODY_BYTES

if TYPE_CHECKING:
    # An ad cloner that has a Flask server brings Flask; nobody else needs it.
    from flask import Flask, Response
    from werkzeug.wrappers import Response as AnyResponse

logger = logging.getLogger(__name__)

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class _Call:
    """What there is to say about a call that no platform made."""

    function_name = "history_api"

    def get_remaining_time_in_millis(self) -> int:
        """As long as a web call may take on the platforms."""
        return 30_000


def register_history_api(app: "Flask", *, page: bool = False) -> None:
    """Guarantees that the app answers /api/history/... as the deployed functions do; every other route stays its own.

    With page, the library page is at /history/. The settings are those of the functions (docs/operations.md),
    HISTORY_ACCESS among them: while one is missing, the log says so now, and everything is answered 503.
    """
    _log_missing_settings()
    _add_api(app)
    if page:
        _add_page(app)


def _log_missing_settings() -> None:
    problems: list[str] = []
    for read in (_check_access, settings.database_url):
        try:
            read()
        except NotConfigured as error:
            problems.append(str(error))
    if problems:
        logger.error("/api/history answers 503 until this is mended: %s", "; ".join(problems))


def _check_access() -> None:
    if settings.access().single_owner:
        settings.owner_id()


def _add_api(app: "Flask") -> None:
    from flask import request  # noqa: PLC0415

    history = resolver(*routers(_installed_or_checkout()))
    response_class = _without_cors_of_others(app.response_class)

    def call(rest: str = "") -> "Response":  # noqa: ARG001 - decoded; the event's path is as it came
        # Bounded; or else what a hook of the app has read already.
        body = request.stream.read(MAX_BODY_BYTES + 1) or request.get_data()
        event = http_event(
            method=request.method,
            path=request.path,
            query=request.query_string.decode(errors="replace"),
            headers=dict(request.headers),
            body=base64.b64encode(body).decode(),
            is_base64=bool(body),
        )
        result = answer(history, event, _Call())
        response_body = base64.b64decode(result["body"]) if result.get("isBase64Encoded") else result["body"]
        return response_class(response_body, result["statusCode"], result["headers"])

    for rule in ("/api/history", "/api/history/<path:rest>"):
        app.add_url_rule(
            rule,
            "generation_history",
            call,
            methods=METHODS,
            strict_slashes=False,
            provide_automatic_options=False,
        )


def _without_cors_of_others(base: "type[Response]") -> "type[Response]":
    """The app's class of responses, whose CORS headers are those that the response was made with.

    A CORS extension of the app adds its own to every response of the app, in a hook that may run after every other.
    """

    class HistoryResponse(base):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._own_cors = [header for header in self.headers if _is_cors(header[0])]

        def get_wsgi_headers(self, environ: Any) -> Any:
            headers = super().get_wsgi_headers(environ)
            for name in {name for name, _ in headers if _is_cors(name)}:
                headers.remove(name)
            headers.extend(self._own_cors)
            return headers

    return HistoryResponse


def _is_cors(name: str) -> bool:
    return name.lower().startswith("access-control-")


def _add_page(app: "Flask") -> None:
    web = page_files.folder()

    def file(name: str = "index.html") -> "AnyResponse":
        return page_files.file_response(web, name)

    for rule in ("/history/", "/history/<path:name>"):
        app.add_url_rule(rule, "generation_history_page", file)


def routers(package: str) -> list[Router]:
    """The routers of all endpoint modules in a package of functions/."""
    return [
        import_module(f"{package}.{path.parent.name}.{path.stem}").router
        for folder in import_module(package).__path__
        for path in sorted(Path(folder).glob("*/*.py"))
        if path.stem != "__main__"
    ]


def _installed_or_checkout() -> str:
    """Installed, functions/history is a package of this one (docs/decisions/0006-functions-in-the-package.md)."""
    installed = "generation_history.functions.history"
    try:
        import_module(installed)
    except ModuleNotFoundError:
        return "history"
    return installed
