"""JSON as it travels: quickly made and read, and as long as the platform counts it."""

import json
from typing import Any

import pydantic_core

#: What the platform takes and gives back in one call.
MAX_BODY_BYTES = 1_000_000
#: What is around a body: its status and headers.
AROUND_BYTES = 10_000


def to_json(value: object) -> str:
    """The value as compact JSON."""
    try:
        return pydantic_core.to_json(value, fallback=str).decode()
    except pydantic_core.PydanticSerializationError:
        # Too deep for it, or half of a surrogate pair, which has no bytes of its own.
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def from_json(text: str | bytes) -> Any:
    """The value, in half the time of json.loads, which reads what pydantic finds too deep."""
    try:
        return pydantic_core.from_json(text)
    except ValueError:
        return json.loads(text)


def carried_bytes(body: str) -> int:
    """How long a body of JSON is where the platform counts it: as a string within JSON."""
    size = len(body) if body.isascii() else len(body.encode(errors="replace"))
    # Whatever else a string of JSON escapes is escaped in the body already. Most bodies have no backslash at all.
    return size + body.count('"') + (body.count("\\") if "\\" in body else 0) + 2


def fits(body: str, max_bytes: int = MAX_BODY_BYTES - AROUND_BYTES) -> bool:
    """Whether a body of JSON is carried in at most so many bytes; what is in doubt is counted."""
    # No character becomes more than this.
    longest = 2 if body.isascii() else 4
    return longest * len(body) + 2 <= max_bytes or carried_bytes(body) <= max_bytes
