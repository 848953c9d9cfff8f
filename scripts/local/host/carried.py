"""What is carried between a caller and a function: as little as the strictest of the real platforms carries.

The rules are those of OpenWhisk's web actions, on which DigitalOcean's functions run, and where AWS takes less, AWS's.
Nothing is mended on the way: what is not carried here would be an error there, or something else than was meant.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

#: What the platform takes and gives back in one web call: a body, and the whole of a result as JSON.
MAX_BYTES = 1_000_000
#: A line of a request's head, and all of it: what nginx takes as it is (large_client_header_buffers 4 8k).
MAX_LINE_BYTES = 8_192
MAX_HEAD_BYTES = 4 * MAX_LINE_BYTES
#: Of a result without a Content-Type.
USUAL_TYPE = "text/html; charset=UTF-8"

#: The platform writes these itself, whatever the function says.
_ITS_OWN = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding", "upgrade"}
_WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED}
_TEXT_TYPES = {
    "application/json",
    "application/x-www-form-urlencoded",
    "application/xml",
    "application/javascript",
}
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?|")
_MEDIA_TYPE = re.compile(r"([\w!#$&^.+-]+/[\w!#$&^.+-]+)\s*(?:;.*)?", re.ASCII)


class NotCarried(ValueError):
    """The platform does not carry this; the text says why, to who wrote the function and to nobody else."""


@dataclass(frozen=True)
class Carried:
    """What a caller gets of a function's result."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def carried(result: Mapping[str, Any]) -> Carried:
    """The HTTP answer of a function's result; NotCarried for one that is none."""
    if "error" in result:
        # An uncaught exception, or what looks like one.
        raise NotCarried(str(result["error"]))
    size = len(json.dumps(result, ensure_ascii=False).encode(errors="surrogatepass"))
    if size > MAX_BYTES:
        raise NotCarried(f"its result has {size} bytes as JSON, of which {MAX_BYTES} are carried")
    text = result.get("body") or ""
    if not isinstance(text, str):
        raise NotCarried("body must be a text")
    status = _status(result.get("statusCode"), has_body=bool(text))
    headers = _headers(result.get("headers"))
    kinds = [value for name, value in headers if name.lower() == "content-type"]
    headers = [(name, value) for name, value in headers if name.lower() not in {*_ITS_OWN, "content-type"}]
    if not text:
        # Nothing has no type.
        return Carried(status, headers, b"")
    kind = kinds[0] if kinds else USUAL_TYPE
    return Carried(status, [*headers, ("Content-Type", kind)], _body(text, kind))


def is_text(content_type: str) -> bool:
    """Whether a body of this type travels as it is; any other travels as base64."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind in _TEXT_TYPES


def _status(code: object, *, has_body: bool) -> int:
    if code is None:
        return HTTPStatus.OK if has_body else HTTPStatus.NO_CONTENT
    if not isinstance(code, int) or isinstance(code, bool):
        raise NotCarried(f"statusCode must be a number, not {code!r}")
    if code not in {status.value for status in HTTPStatus} or code < HTTPStatus.OK:
        raise NotCarried(f"statusCode {code} is none that ends a call")
    if has_body and code in _WITHOUT_BODY:
        raise NotCarried(f"an answer of {code} has no body")
    return code


def _headers(fields: object) -> list[tuple[str, str]]:
    if fields is None:
        return []
    if not isinstance(fields, dict):
        raise NotCarried("headers must be an object")
    pairs: list[tuple[str, str]] = []
    for name, value in cast("dict[str, object]", fields).items():
        if not _NAME.fullmatch(name):
            raise NotCarried(f"{name!r} is no header's name")
        for text in cast("list[object]", value) if isinstance(value, list) else [value]:
            if not isinstance(text, str) or not _VALUE.fullmatch(text):
                raise NotCarried(f"the header {name} must be a text, or several, of visible ASCII, not {text!r}")
            pairs.append((name, text))
    return pairs


def _body(text: str, content_type: str) -> bytes:
    if not _MEDIA_TYPE.fullmatch(content_type):
        raise NotCarried(f"{content_type!r} is no Content-Type")
    if is_text(content_type):
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotCarried(f"a body of {content_type} must be base64") from None
