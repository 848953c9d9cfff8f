"""Pages: cut to what a platform carries, with cursors that go on from there and belong to their list and filters."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, LiteralString, TypedDict
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from generation_history import json_codec
from generation_history.api.app import answered, history
from generation_history.api.link_signing import SignedLinks
from generation_history.api.trimming import HttpRecord, trim_to_fit, without_scenes
from generation_history.errors import InvalidValue
from generation_history.models import Status, VariantType
from generation_history.record.generation_reader import Record

#: A page stays below what the platform carries, and is cut between items.
MAX_PAGE_BYTES = 900_000
#: What is around the items of a page: at most this.
ENVELOPE_BYTES = 1_000

Position = tuple[str, str]

Offset = Annotated[int, Query(ge=0, le=1_000_000)]
Cursor = Annotated[str | None, Query(max_length=500)]
Statuses = Annotated[list[Status] | None, Query()]
Type = Annotated[VariantType | None, Query()]
Moment = Annotated[str | None, Query(max_length=50)]
Search = Annotated[str | None, Query(min_length=3, max_length=500)]


class Filters(TypedDict):
    """What a list is narrowed to; None is everything."""

    statuses: list[Status] | None
    variant_type: VariantType | None
    created_from: str | None
    created_to: str | None
    q: str | None


def list_page(
    name: str,
    item: LiteralString,
    *,
    limit: int,
    offset: int,
    cursor: str | None,
    filters: Filters,
) -> Response[str]:
    """The answer with a page: under name, generations with these columns; how many in all, where to go on.

    next_cursor and next_offset name the first generation left out, null at the end. For a caller that follows cursors
    next_offset is null.
    """
    bound = {"list": name, **filters}
    position = read_cursor(cursor, bound)
    records, total = history().list_records(item, limit + 1, 0 if position else offset, after=position, **filters)
    links = SignedLinks()
    signed = (links.record(text, generation_id) for generation_id, text in records[:limit])
    items = _fitting_texts(signed) if is_surely_too_large(records[:limit]) else list(signed)

    def body() -> str:
        has_more = len(items) < len(records)
        envelope = {
            "success": True,
            "count": len(items),
            "total": total,
            "next_cursor": write_cursor(_position(records[len(items) - 1]), bound) if has_more else None,
            "next_offset": offset + len(items) if has_more and position is None else None,
        }
        # In one go: each copy of a page costs.
        parts = [part for item in items for part in (",", item)][1:]
        return "".join([json_codec.to_json(envelope)[:-1], f',"{name}":[', *parts, "]}"])

    text = body()
    if not json_codec.fits(text, MAX_PAGE_BYTES):
        items = _fitting_texts(items)
        text = body()
    return answered(text)


def is_surely_too_large(records: Sequence[Record]) -> bool:
    """Whether not even the records without signatures fit: then no more of them are signed than a page has room for."""
    return sum(len(text) for _, text in records) > MAX_PAGE_BYTES


def _fitting_texts(items: Iterable[str]) -> list[str]:
    return [json_codec.to_json(record) for record in fitting_items(map(json_codec.from_json, items), without_scenes)]


def _position(record: Record) -> Position:
    generation_id, text = record
    return json_codec.from_json(text)["created_at"], generation_id


def fitting_items(items: Iterable[HttpRecord], *trims: Callable[[HttpRecord], HttpRecord]) -> Iterator[HttpRecord]:
    """The items that a page has room for, at least the first. The trims are for an item that is too large alone."""
    total = ENVELOPE_BYTES
    for number, item in enumerate(items):
        record = trim_to_fit(item, *trims)
        total += json_codec.carried_bytes(json_codec.to_json(record))
        if total > MAX_PAGE_BYTES and number:
            return
        yield record


def write_cursor(position: Position, filters: Mapping[str, Any]) -> str:
    """An opaque text that read_cursor turns back into the position, for the same filters only."""
    return base64.urlsafe_b64encode(json.dumps([*position, _fingerprint(filters)]).encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, filters: Mapping[str, Any]) -> Position | None:
    """The position that a cursor holds; InvalidValue for anything that write_cursor did not write for these filters."""
    if cursor is None:
        return None
    refusal = InvalidValue("cursor: not one that this list gave")
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        created_at, generation_id, fingerprint = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        moment = datetime.fromisoformat(created_at)
        is_canonical = created_at.isprintable() and str(UUID(generation_id)) == generation_id
    except (ValueError, TypeError, AttributeError):
        raise refusal from None
    if moment.tzinfo is None or not is_canonical:
        raise refusal
    if fingerprint != _fingerprint(filters):
        raise InvalidValue("cursor: it belongs to a list with other filters")
    return created_at, generation_id


def _fingerprint(filters: Mapping[str, Any]) -> str:
    values = {name: value for name, value in filters.items() if value is not None}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
