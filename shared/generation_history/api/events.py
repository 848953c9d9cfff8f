"""What the platforms send, read once: DigitalOcean's and Lambda's events as one kind of request.

Everything behind this module reads what it made and never the event: a path that begins with a function's name, a query
parsed here, header names in lower case, a body of text. So no two layers read one text differently.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl
from uuid import uuid4

from generation_history.errors import InvalidValue, NotFound, TooLarge

JSON: Final = "application/json"
#: What a path begins with: each function's own, and /clone, which a gateway may route.
_FUNCTION_PATH = re.compile(
    "(/api)?/(history/(generations|variants|scenes|library|stats)|sora/webhook|ops/health|clone)(/|$)"
)
#: Hosts of AWS itself. At any other the path may begin with whatever key the domain's mapping has.
_AWS_DOMAINS = (".execute-api.", ".lambda-url.")

#: An event of API Gateway v2, as far as it is read.
Request = dict[str, Any]


class Context(Protocol):
    """What both platforms tell a function about a call, as far as it is used."""

    function_name: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the platform ends the call."""
        ...


def request_id(context: object) -> str:
    """What the platform calls this call in its own log, too."""
    for name in ("activation_id", "aws_request_id", "request_id"):
        value = getattr(context, name, None)
        if isinstance(value, str) and value:
            return value
    return str(uuid4())


def read_event(event: Mapping[str, Any], context: Context, call_id: str) -> Request:
    """The event as an API Gateway v2 one, which a Lambda's already is; InvalidValue for what is no HTTP request."""
    try:
        request = _from_digitalocean(event["http"], context) if event.get("http") else _from_lambda(event)
    except (KeyError, TypeError, AttributeError):
        raise InvalidValue("this function answers HTTP only") from None
    request["requestContext"]["requestId"] = call_id
    return request


def http_event(
    *, method: str, path: str, query: str, headers: Mapping[str, Any], body: str, is_base64: bool
) -> Request:
    """A request as an event of API Gateway v2; query as it stands in the URL."""
    path = _tidy(path)
    return {
        "version": "2.0",
        "rawPath": path,
        **_query(query),
        "headers": _headers(headers),
        "body": body,
        "isBase64Encoded": is_base64,
        "requestContext": {"stage": "$default", "http": {"method": clean(method).upper(), "path": path}},
    }


def check_path(request: Request) -> None:
    """NotFound for a path with what none has: a line break at its end would pass for its end."""
    path: str = request["rawPath"]
    if not path.isprintable():
        raise NotFound(f"there is nothing at {path!r}")


def read_body(request: Request, most_bytes: int) -> None:
    """Guarantees that the body is text, decoded, which a write says is JSON; or raises what is wrong with it."""
    writes = request["requestContext"]["http"]["method"] in {"POST", "PATCH"}
    kind = request["headers"].get("content-type", "").partition(";")[0].strip().lower()
    # The resolver would read forms, too, which a browser sends across sites without asking first.
    if writes and kind not in {"", JSON}:
        raise InvalidValue(f"the body must be JSON, Content-Type {JSON}")
    try:
        body = (request.get("body") or "").encode()
        if request.get("isBase64Encoded"):
            body = base64.b64decode(body, validate=True)
        text = body.decode()
    except ValueError:
        raise InvalidValue("the body is not UTF-8 text") from None
    if len(body) > most_bytes:
        raise TooLarge(f"the body is longer than {most_bytes} bytes")
    request |= {"body": text, "isBase64Encoded": False}
    if writes:
        # The resolver knows it in this one spelling only.
        request["headers"]["content-type"] = JSON


def clean(text: str) -> str:
    """The text with what bytes cannot say, half of a surrogate pair, as a server shows bytes that are no text."""
    return text if text.isascii() else text.encode(errors="surrogatepass").decode(errors="replace")


def _from_digitalocean(http: Mapping[str, Any], context: Context) -> Request:
    return http_event(
        method=http.get("method", "GET"),
        # DigitalOcean's path holds only what follows the function's name ("/namespace/package/function").
        path="/" + "/".join(context.function_name.split("/")[-2:]) + (http.get("path") or ""),
        query=http.get("queryString") or "",
        headers=http.get("headers") or {},
        body=http.get("body") or "",
        is_base64=bool(http.get("isBase64Encoded")),
    )


def _from_lambda(event: Mapping[str, Any]) -> Request:
    context = event["requestContext"]
    http = {**context["http"], "method": clean(context["http"]["method"]).upper()}
    path = _without_prefix(clean(event["rawPath"]), context)
    # Parsed here as everywhere: a gateway's own reading of it is another.
    query = _query(event.get("rawQueryString") or "")
    return {
        **event,
        "rawPath": path,
        **query,
        "headers": _headers(event.get("headers") or {}),
        "requestContext": {**context, "http": {**http, "path": path}, "stage": "$default"},
    }


def _without_prefix(path: str, context: Mapping[str, Any]) -> str:
    """The path from the function's name on: without the stage, or at a domain of one's own whatever it is mapped under.

    At AWS's own hosts a stage that has a name is the path's first part, always and once. At one's own domain there may
    be the mapping's key, the stage, both or neither.
    """
    if any(part in str(context.get("domainName", "")).lower() for part in _AWS_DOMAINS):
        stage = context.get("stage") or "$default"
        has_stage = stage != "$default" and f"{path}/".startswith(f"/{stage}/")
        return _tidy(path.removeprefix(f"/{stage}") if has_stage else path)
    starts = (place.start() for place in re.finditer("/", path))
    return _tidy(next((path[start:] for start in starts if _FUNCTION_PATH.match(path, start)), path))


def _query(query: str) -> Request:
    """The query and what it says: several values of one name are joined by commas, as API Gateway does."""
    query = clean(query)
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return {
        "rawQueryString": query,
        "queryStringParameters": {name: ",".join(texts) for name, texts in values.items()},
    }


def _headers(headers: Mapping[str, Any]) -> dict[str, str]:
    return {clean(name).lower(): clean(value) for name, value in headers.items() if isinstance(value, str)}


def _tidy(path: str) -> str:
    return clean(path).rstrip("/") or "/"
