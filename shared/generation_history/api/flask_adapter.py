"""register_history_api(app): /api/history on an existing Flask server, and nothing else of its routes."""

import base64
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from aws_lambda_powertools.event_handler.api_gateway import Router

from generation_history.api.app import answer, resolver
from generation_history.api.events import http_event
from generation_history.json_codec import MAX_BODY_BYTES

if TYPE_CHECKING:
    # An ad cloner that has a Flask server brings Flask; nobody else needs it.
    from flask import Flask, Response

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class _Call:
    """What there is to say about a call that no platform made."""

    function_name = "history_api"

    def get_remaining_time_in_millis(self) -> int:
        """As long as a web call may take on the platforms."""
        return 30_000


def register_history_api(app: "Flask") -> None:
    """Guarantees that the app answers /api/history/... as the deployed functions do; every other route stays its own.

    The settings are those of the functions (docs/operations.md), HISTORY_ACCESS among them: unset, everything is 503.
    """
    from flask import Response, request  # noqa: PLC0415

    history = resolver(*routers(_installed_or_checkout()))

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
        return Response(response_body, result["statusCode"], result["headers"])

    for rule in ("/api/history", "/api/history/<path:rest>"):
        app.add_url_rule(
            rule,
            "generation_history",
            call,
            methods=METHODS,
            strict_slashes=False,
            provide_automatic_options=False,
        )


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
