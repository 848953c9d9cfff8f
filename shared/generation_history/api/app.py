"""HTTP in and out: DigitalOcean and Lambda events in, responses out; token to owner; errors to status.

One Powertools resolver serves every platform: a DigitalOcean raw event becomes an API Gateway v2 event first. What the
resolver does differently from this API (docs/api.md) is settled here: validation errors are 400 and name the
parameter, a known path with another method is 405, HEAD answers as GET, OPTIONS is answered, a trailing slash is
tolerated, an unknown parameter is refused, and every exception becomes an answer.
"""

import gc
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from http import HTTPStatus
from typing import Any, cast

from aws_lambda_powertools.event_handler.api_gateway import APIGatewayHttpResolver, Response, Router
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from generation_history import logs
from generation_history.api.acknowledgement import acknowledgement
from generation_history.api.authentication import Caller, authenticate
from generation_history.api.cors import cors_headers
from generation_history.api.events import (
    JSON,
    Context,
    Request,
    check_path,
    clean,
    read_body,
    read_event,
    request_id,
)
from generation_history.api.http_caching import negotiate
from generation_history.api.threaded_resolver import ThreadedResolver
from generation_history.api.turns import turn_of
from generation_history.errors import (
    CallerError,
    HistoryError,
    InvalidValue,
    MethodNotAllowed,
    NotAuthenticated,
    NotConfigured,
    NotFound,
    Unavailable,
)
from generation_history.json_codec import MAX_BODY_BYTES, fits, to_json
from generation_history.record.generation_manager import GenerationManager

logger = logging.getLogger(__name__)

#: So many more values made than freed, before Python looks for cycles.
GARBAGE_THRESHOLD = 50_000
#: glibc goes on using freed blocks of up to the largest size that it gave back to the kernel, which is at most 32 MB
#: (mallopt(3), M_MMAP_THRESHOLD). Without it each large answer's memory came from the kernel anew, a page at a time.
#: The other side of it: freed memory stays with the process up to twice this, far less than a function has.
REUSED_BLOCK_BYTES = 30_000_000
#: It is one owner's, and its links expire: nothing shared may keep it, and its caller asks about it each time.
PRIVATE_CACHING = "private, no-cache"

#: Tells by the headers and the method whose call it is, or raises; None is nobody's, for what belongs to no owner.
Authenticate = Callable[[Mapping[str, str], str], Caller | None]

#: A function as both platforms call it.
Main = Callable[[dict[str, Any], Context], dict[str, Any]]

_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


def history() -> GenerationManager:
    """The record of the caller of the current call."""
    caller = _caller.get()
    if caller is None:
        raise NotAuthenticated("this call is nobody's")
    return GenerationManager(caller.owner_id)


def ok(status: int = 200, /, **body: Any) -> Response[str]:
    """An answer with "success": true and the body; a caller that may not read gets the acknowledgement only."""
    caller = _caller.get()
    fields = body if caller is None or caller.reads else acknowledgement(body)
    text = to_json({"success": True, **fields})
    if not fits(text):
        raise HistoryError(f"an answer of {len(text)} characters is more than the platform carries")
    return answered(text, status)


def answered(body: str, status: int = 200) -> Response[str]:
    """The answer of this JSON, which the platform must carry (wire.fits)."""
    return Response(status, JSON, body, {"Cache-Control": PRIVATE_CACHING})


def redirect(url: str) -> Response[str]:
    """302 to a signed link, which browsers must ask for anew: it expires."""
    return Response(302, JSON, to_json({"success": True}), {"Location": url, "Cache-Control": "no-store"})


def _from_json(text: str) -> Any:
    try:
        # Some clients begin a text with its byte order mark (RFC 8259, 8.1).
        # NaN and Infinity are refused where they stand, by the value's name.
        body: object = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_build_unique_object)
    except InvalidValue:
        raise
    except (ValueError, RecursionError):
        raise InvalidValue("the body is not JSON") from None
    if isinstance(body, list):
        # The resolver would take its first item for the whole.
        raise InvalidValue("the body is not a JSON object")
    return body


def _build_unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object. InvalidValue for a name that comes twice: readers disagree about its value (RFC 8259, 4)."""
    members = dict(pairs)
    if len(members) < len(pairs):
        names: set[str] = set()
        duplicate = next(name for name, _ in pairs if name in names or names.add(name))
        raise InvalidValue(f"the body names {duplicate!r} twice in one object")
    return members


def resolver(*routers: Router) -> APIGatewayHttpResolver:
    """One resolver of these routes; it answers nothing else."""
    app = ThreadedResolver(enable_validation=True, strip_prefixes=["/api"], json_body_deserializer=_from_json)
    for router in routers:
        app.include_router(router)

    def failed(error: Exception) -> Response[str]:
        return _failed(app, error)

    untyped = cast("Any", app)
    untyped.use([_refuse_strange_parameters])
    untyped.not_found(failed)
    untyped.exception_handler(Exception)(failed)
    return app


def routes_of(app: APIGatewayHttpResolver) -> list[Any]:
    """The resolver's routes, which it keeps to itself."""
    return [*cast("Any", app)._static_routes, *cast("Any", app)._dynamic_routes]  # noqa: SLF001


def handler(
    *routers: Router, authenticate: Authenticate = authenticate
) -> Callable[[dict[str, Any], Context], dict[str, Any]]:
    """A function's main(event, context): it answers the calls of these routes and nothing else, as answer() does.

    The resolver is built by the first call, because a module's own main is never called where it is one of several.
    """

    @cache
    def app() -> APIGatewayHttpResolver:
        logs.configure()
        # A page is thousands of values that no cycle holds: looking for cycles among them took a tenth of its time.
        gc.set_threshold(GARBAGE_THRESHOLD)
        # Made and freed at once, and none of it touched.
        bytes(REUSED_BLOCK_BYTES)
        return resolver(*routers)

    # Plain: the platform counts a function's own arguments.
    def main(event: dict[str, Any], context: Context) -> dict[str, Any]:
        """The answer to one call."""
        return answer(app(), event, context, authenticate=authenticate)

    return main


def answer(
    app: APIGatewayHttpResolver,
    event: Mapping[str, Any],
    context: Context,
    *,
    authenticate: Authenticate = authenticate,
) -> dict[str, Any]:
    """The answer to one call, whatever happens: {"statusCode", "headers", "body"} as both platforms take it."""
    call_id = request_id(context)
    with logs.about(request_id=call_id):
        return _answer(app, event if isinstance(cast("object", event), Mapping) else {}, context, call_id, authenticate)


def _answer(
    app: APIGatewayHttpResolver,
    event: Mapping[str, Any],
    context: Context,
    call_id: str,
    authenticate: Authenticate,
) -> dict[str, Any]:
    method, request_headers, cors = "", dict[str, str](), dict[str, str]()
    try:
        request = read_event(event, context, call_id)
        check_path(request)
        method, request_headers = request["requestContext"]["http"]["method"], request["headers"]
        cors = cors_headers(request_headers.get("origin"))
        response = _options(app, request) if method == "OPTIONS" else _resolved(app, request, context, authenticate)
    except Exception as error:  # noqa: BLE001
        response = _error(error, call_id)
    # DigitalOcean decodes a base64 body for a binary Content-Type only: JSON travels there as it is.
    return _encode_response(response, method, request_headers, cors, compressible="http" not in event)


def _resolved(
    app: APIGatewayHttpResolver,
    request: Request,
    context: Context,
    authenticate: Authenticate,
) -> Response[str]:
    read_body(request, MAX_BODY_BYTES)
    http = request["requestContext"]["http"]
    if http["method"] == "HEAD":
        http["method"] = "GET"
    with turn_of(http["method"], request["rawPath"]):
        token = _caller.set(authenticate(request["headers"], http["method"]))
        try:
            # The resolver and its types know Lambda's context only; it reads nothing from it.
            answer = app.resolve(request, cast("Any", context))
        finally:
            _caller.reset(token)
    return Response(answer["statusCode"], body=answer.get("body"), headers=answer.get("headers"))


def _options(app: APIGatewayHttpResolver, request: Mapping[str, Any]) -> Response[str]:
    """What may be done at a path, for whoever asks: a browser's preflight shows no token."""
    methods = _methods_at(app, request["rawPath"])
    return Response(204, headers={"Allow": methods, **cors_headers(request["headers"].get("origin"), methods=methods)})


def _encode_response(
    response: Response[str],
    method: str,
    request_headers: Mapping[str, str],
    cors: Mapping[str, str],
    *,
    compressible: bool,
) -> dict[str, Any]:
    """The response as the platform takes it: with CORS. A cacheable body has a tag, and may be compressed."""
    status, headers, body = response.status_code, {**response.headers, **cors}, response.body or ""
    if status == HTTPStatus.OK and method in {"GET", "HEAD"} and headers.get("Cache-Control") == PRIVATE_CACHING:
        status, caching_headers, body = negotiate(body, request_headers, compressible=compressible)
        headers |= caching_headers
        if vary := [fields["Vary"] for fields in (cors, caching_headers) if "Vary" in fields]:
            headers["Vary"] = ", ".join(vary)
    result = {"statusCode": status, "headers": headers, "body": "" if method == "HEAD" else body}
    return result | ({"isBase64Encoded": True} if "Content-Encoding" in headers and result["body"] else {})


def _refuse_strange_parameters(app: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[str]:
    """A misspelt filter would otherwise answer with everything. Names that start with _ are a caller's own.

    A whole number has no other spelling than that of its digits.
    """
    route = cast("Any", app).context["_route"]
    if route not in routes_of(app):
        # No route has this path or method; the resolver says so.
        return cast("Response[str]", next_middleware(app))
    parameters = {parameter.alias: parameter.field_info.annotation for parameter in route.dependant.query_params}
    for name, value in (app.current_event.query_string_parameters or {}).items():
        if name not in parameters and not name.startswith("_"):
            hint = f"known are {', '.join(sorted(parameters))}" if parameters else "there are none here"
            raise InvalidValue(f"unknown parameter {name!r}: {hint}")
        if parameters.get(name) is int and not (value.isascii() and value.isdecimal()):
            raise InvalidValue(f"{name}: it must be a whole number, of the digits 0 to 9 alone")
    return cast("Response[str]", next_middleware(app))


def _no_such_route(app: APIGatewayHttpResolver) -> Response[str]:
    path = app.current_event.path
    try:
        methods = _methods_at(app, path)
    except NotFound as error:
        return _failed(app, error)
    response = _failed(app, MethodNotAllowed(f"{path} takes {methods}"))
    response.headers["Allow"] = methods
    return response


def _methods_at(app: APIGatewayHttpResolver, path: str) -> str:
    """The methods that a path takes; NotFound where there is nothing at all."""
    # The resolver answers a wrong method as a wrong path.
    methods = {str(route.method) for route in routes_of(app) if route.rule.match(path.removeprefix("/api"))}
    if not methods:
        raise NotFound(f"there is nothing at {path}")
    return ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))


def _failed(app: APIGatewayHttpResolver, error: Exception) -> Response[str]:
    if isinstance(error, NotFoundError):
        return _no_such_route(app)
    return _error(error, app.current_event.request_context.request_id)


def _error(error: Exception, request_id: str) -> Response[str]:
    """The one place where an exception becomes a status."""
    if isinstance(error, RequestValidationError):
        error = InvalidValue(_describe_invalid_field(error.errors()))
    status, code, message = 500, "internal", "something went wrong here; the log has it under this request_id"
    if isinstance(error, CallerError):
        status, code, message = error.status, error.code, str(error)
    if isinstance(error, Unavailable):
        # The address and the login of the database are not shown to callers.
        message = error.shown
    if status >= 500:  # noqa: PLR2004
        # A missing setting is found by its name; a traceback for each call would only hide it.
        trace = None if isinstance(error, NotConfigured) else error
        logger.error("request %s failed: %s", request_id, error, exc_info=trace)
    body = to_json({"success": False, "error": clean(message), "code": code, "request_id": request_id})
    return Response(status, JSON, body, {"Cache-Control": "no-store"})


def _describe_invalid_field(errors: Sequence[Mapping[str, Any]]) -> str:
    first = errors[0]
    field = ".".join(str(part) for part in first["loc"][1:] if not isinstance(part, int)) or "the body"
    return f"{field}: {first['msg'].removeprefix('Value error, ')}"
