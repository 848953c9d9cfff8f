"""HTTP in and out: DigitalOcean and Lambda events in, responses out; token to owner; errors to status.

One Powertools resolver serves every platform: a DigitalOcean raw event becomes an API Gateway v2 event first. What the
resolver does differently from this API (docs/api.md) is settled here: validation errors are 400 and name the
parameter, a known path with another method is 405, HEAD answers as GET, a trailing slash is tolerated, an unknown
parameter is refused, and every exception becomes an answer.
"""

import base64
import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl
from uuid import UUID, uuid4

from aws_lambda_powertools.event_handler.api_gateway import APIGatewayHttpResolver, Response, Router
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from generation_history import logs
from generation_history.access import owner_of
from generation_history.errors import (
    HistoryError,
    InvalidValue,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    TooLarge,
    Unavailable,
)
from generation_history.generation_manager import GenerationManager

logger = logging.getLogger(__name__)

#: What the platform takes and gives back in one call.
MAX_BODY_BYTES = 1_000_000
JSON = "application/json"

_owner: ContextVar[UUID | None] = ContextVar("owner")
#: Powertools keeps the event of the current call on a class, for all resolvers and threads. The platforms make one call
#: at a time anyway; a server with threads must not mix two.
_one_at_a_time = threading.Lock()


class Context(Protocol):
    """What both platforms tell a function about a call, as far as it is used."""

    function_name: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the platform ends the call."""
        ...


def history() -> GenerationManager:
    """The record of whoever makes the current call."""
    owner = _owner.get()
    if owner is None:
        raise NotAuthenticated("this call is nobody's")
    return GenerationManager(owner)


def ok(status: int = 200, **body: Any) -> Response[str]:
    """An answer: {"success": true} and what is given."""
    return Response(status, JSON, to_json({"success": True, **body}), {"Cache-Control": "private, no-cache"})


def redirect(url: str) -> Response[str]:
    """302 to a signed link, which browsers must ask for anew: it expires."""
    return Response(302, JSON, to_json({"success": True}), {"Location": url, "Cache-Control": "no-store"})


def to_json(value: object) -> str:
    """The value as compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidValue("the body is not JSON") from None


def resolver(*routers: Router) -> APIGatewayHttpResolver:
    """One resolver of these routes; it answers nothing else."""
    app = APIGatewayHttpResolver(enable_validation=True, strip_prefixes=["/api"], json_body_deserializer=_from_json)
    for router in routers:
        app.include_router(router)

    def failed(error: Exception) -> Response[str]:
        return _failed(app, error)

    untyped = cast("Any", app)
    untyped.use([_refuse_unknown_parameters])
    untyped.not_found(failed)
    untyped.exception_handler(Exception)(failed)
    return app


def answer(
    app: APIGatewayHttpResolver,
    event: Mapping[str, Any],
    context: Context,
    *,
    admit: Callable[[Mapping[str, str]], UUID | None] = owner_of,
) -> dict[str, Any]:
    """The answer to one call, whatever happens: {"statusCode", "headers", "body"} as both platforms take it.

    admit tells by the headers whose call it is, or raises; None is nobody's, for what belongs to no owner.
    """
    call_id = request_id(context)
    with logs.about(request_id=call_id):
        return _answer(app, event, context, call_id, admit)


def _answer(
    app: APIGatewayHttpResolver,
    event: Mapping[str, Any],
    context: Context,
    call_id: str,
    admit: Callable[[Mapping[str, str]], UUID | None],
) -> dict[str, Any]:
    head = False
    try:
        request = _http_api_event(event, context, call_id)
        http = request["requestContext"]["http"]
        head = http["method"] == "HEAD"
        if head:
            http["method"] = "GET"
        owner = admit(request["headers"])
        with _one_at_a_time:
            token = _owner.set(owner)
            try:
                # The resolver and its types know Lambda's context only; it reads nothing from it.
                answered = app.resolve(request, cast("Any", context))
            finally:
                _owner.reset(token)
    except Exception as error:  # noqa: BLE001
        response = _error(error, call_id)
        answered = {"statusCode": response.status_code, "headers": response.headers, "body": response.body}
    body = "" if head else answered.get("body") or ""
    return {"statusCode": answered["statusCode"], "headers": answered.get("headers", {}), "body": body}


def request_id(context: object) -> str:
    """What the platform calls this call in its own log, too."""
    for name in ("activation_id", "aws_request_id", "request_id"):
        value = getattr(context, name, None)
        if isinstance(value, str) and value:
            return value
    return str(uuid4())


def _http_api_event(event: Mapping[str, Any], context: Context, request_id: str) -> dict[str, Any]:
    """The event as an API Gateway v2 one, which a Lambda's already is."""
    http: Mapping[str, Any] | None = event.get("http")
    if http is None and "requestContext" not in event:
        raise InvalidValue("this function answers HTTP only")
    if http is None:
        request: dict[str, Any] = dict(event)
        request["requestContext"] = {**event["requestContext"], "http": dict(event["requestContext"]["http"])}
        request["rawPath"] = _tidy(event["rawPath"])
    else:
        # DigitalOcean's path holds only what follows the function's name ("/namespace/package/function").
        path = _tidy("/" + "/".join(context.function_name.split("/")[-2:]) + (http.get("path") or ""))
        query = http.get("queryString") or ""
        request: dict[str, Any] = {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": query,
            "queryStringParameters": _parameters(query),
            "headers": dict(http.get("headers") or {}),
            "body": http.get("body") or "",
            "isBase64Encoded": bool(http.get("isBase64Encoded")),
            "requestContext": {
                "stage": "$default",
                "http": {"method": str(http.get("method", "GET")).upper(), "path": path},
            },
        }
    request["requestContext"]["requestId"] = request_id
    headers: Mapping[str, Any] = request.get("headers") or {}
    request["headers"] = {name.lower(): value for name, value in headers.items() if isinstance(value, str)}
    _check_body(request)
    return request


def _tidy(path: str) -> str:
    return path.rstrip("/") or "/"


def _parameters(query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    return parameters


def _check_body(request: Mapping[str, Any]) -> None:
    kind = request["headers"].get("content-type", "").partition(";")[0].strip().lower()
    # The resolver would read forms, too, which a browser sends across sites without asking first.
    if request["requestContext"]["http"]["method"] == "POST" and kind not in {"", JSON}:
        raise InvalidValue(f"the body must be JSON, Content-Type {JSON}")
    try:
        body = (request.get("body") or "").encode()
        if request.get("isBase64Encoded"):
            body = base64.b64decode(body, validate=True)
        body.decode()
    except ValueError:
        raise InvalidValue("the body is not UTF-8 text") from None
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(f"the body is longer than {MAX_BODY_BYTES} bytes")


def _refuse_unknown_parameters(app: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[str]:
    """A misspelt filter would otherwise answer with everything. Names that start with _ are a caller's own."""
    route = cast("Any", app).context["_route"]
    known: set[str] = {parameter.alias for parameter in route.dependant.query_params}
    for name in app.current_event.query_string_parameters or {}:
        if name not in known and not name.startswith("_"):
            listed = f"known are {', '.join(sorted(known))}" if known else "there are none here"
            raise InvalidValue(f"unknown parameter {name!r}: {listed}")
    return cast("Response[str]", next_middleware(app))


def _no_such_route(app: APIGatewayHttpResolver) -> Response[str]:
    event = app.current_event
    # The resolver keeps its routes to itself, and answers a wrong method as a wrong path.
    routes: list[Any] = [*cast("Any", app)._static_routes, *cast("Any", app)._dynamic_routes]  # noqa: SLF001
    path = event.path.removeprefix("/api")
    methods = sorted({str(route.method) for route in routes if route.rule.match(path)})
    if not methods:
        return _failed(app, NotFound(f"there is nothing at {event.path}"))
    response = _failed(app, MethodNotAllowed(f"{event.path} takes {', '.join(methods)}"))
    response.headers["Allow"] = ", ".join(methods)
    return response


def _failed(app: APIGatewayHttpResolver, error: Exception) -> Response[str]:
    if isinstance(error, NotFoundError):
        return _no_such_route(app)
    return _error(error, app.current_event.request_context.request_id)


def _error(error: Exception, request_id: str) -> Response[str]:
    """The one place where an exception becomes a status."""
    if isinstance(error, RequestValidationError):
        error = InvalidValue(_what_is_invalid(error.errors()))
    status, code, said = 500, "internal", "something went wrong here; the log has it under this request_id"
    if isinstance(error, HistoryError) and type(error) is not HistoryError:
        status, code, said = error.status, error.code, str(error)
    if isinstance(error, Unavailable):
        # Where it is and as whom we ask for it is nobody's business.
        said = "the record cannot be reached now; try again soon"
    if status >= 500:  # noqa: PLR2004
        logger.error("request %s failed: %s", request_id, error, exc_info=error)
    body = to_json({"success": False, "error": said, "code": code, "request_id": request_id})
    return Response(status, JSON, body, {"Cache-Control": "no-store"})


def _what_is_invalid(errors: Sequence[Mapping[str, Any]]) -> str:
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"][1:] if not isinstance(part, int)) or "the body"
    return f"{where}: {first['msg']}"
