"""What `POST /v1/videos` accepts, as multipart, form or JSON."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from flask import Request

from scripts.local.simulator.errors import ApiError

PROMPT_LENGTH = 32_000
MAX_SECONDS = 20
SMALLEST_SIDE, LARGEST_SIDE = 16, 1920


@dataclass(frozen=True)
class CreateRequest:
    """A valid request for one video; `seconds` and `size` keep the form they have on the wire."""

    prompt: str
    model: str
    seconds: str
    size: str


def read_fields(request: Request) -> Mapping[str, object]:
    """The fields of a body, of whichever content type; a body that is neither a form nor a JSON object is a 400."""
    if not request.is_json:
        return request.form
    fields: object = request.get_json(silent=True)
    if not isinstance(fields, dict):
        raise ApiError(400, "We could not parse the JSON body of your request.")
    return cast("dict[str, object]", fields)


def check_fields(fields: Mapping[str, object]) -> CreateRequest:
    """The request that the fields make, defaults filled in; the first wrong field is a 400 naming it."""
    return CreateRequest(
        prompt=_prompt(fields),
        model=_text(fields, "model", default="sora-2"),
        seconds=_seconds(fields),
        size=_size(fields),
    )


def _prompt(fields: Mapping[str, object]) -> str:
    prompt = _text(fields, "prompt")
    if not 1 <= len(prompt) <= PROMPT_LENGTH:
        raise _invalid("prompt", f"expected 1 to {PROMPT_LENGTH} characters, got {len(prompt)}")
    if re.search("[\ud800-\udfff]", prompt):
        raise _invalid("prompt", "expected text, got half of a surrogate pair")
    return prompt


def _seconds(fields: Mapping[str, object]) -> str:
    seconds = _text(fields, "seconds", default="4")
    if not re.fullmatch("[1-9][0-9]?", seconds) or int(seconds) > MAX_SECONDS:
        raise _invalid("seconds", f"expected a whole number from 1 to {MAX_SECONDS} as a string, got {seconds!r}")
    return seconds


def _size(fields: Mapping[str, object]) -> str:
    size = _text(fields, "size", default="720x1280")
    match = re.fullmatch("([1-9][0-9]{1,3})x([1-9][0-9]{1,3})", size)
    if not match or not all(_is_side(int(side)) for side in match.groups()):
        raise _invalid(
            "size", f"expected WIDTHxHEIGHT, both even and from {SMALLEST_SIDE} to {LARGEST_SIDE}, got {size!r}"
        )
    return size


def _is_side(side: int) -> bool:
    return side % 2 == 0 and SMALLEST_SIDE <= side <= LARGEST_SIDE


def _text(fields: Mapping[str, object], name: str, *, default: str | None = None) -> str:
    value = default if fields.get(name) is None else fields[name]
    if value is None:
        raise ApiError(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    if not isinstance(value, str):
        raise ApiError(
            400,
            f"Invalid type for '{name}': expected a string, got {type(value).__name__}.",
            param=name,
            code="invalid_type",
        )
    return value


def _invalid(name: str, problem: str) -> ApiError:
    return ApiError(400, f"Invalid value for '{name}': {problem}.", param=name, code="invalid_value")
