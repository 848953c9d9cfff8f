"""Records as HTTP shows them: links signed, pages cut to what a platform carries, cursors to go on from there."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from generation_history import settings
from generation_history.endpoint import to_json
from generation_history.errors import InvalidValue
from generation_history.models import Generation, Scene
from generation_history.object_store import ObjectStore, key_of

#: The platform carries 1 MB; a page stays below it and is cut between items.
MAX_PAGE_BYTES = 900_000
#: What is around the items of a page: at most this.
ENVELOPE_BYTES = 1_000

Position = tuple[str, str]


def with_signed_links(generation: Generation) -> dict[str, Any]:
    """The generation with its scenes' links signed."""
    variants = [
        {**variant, "scenes": [with_signed_link(scene, generation["id"]) for scene in variant.get("scenes", [])]}
        for variant in generation.get("variants", [])
    ]
    return {**generation, "variants": variants}


def with_signed_link(scene: Scene, generation_id: str) -> dict[str, Any]:
    """The scene as HTTP shows it: video_url and thumbnail_url open to whoever has them, until expires_at.

    When the provider's own copy expires is provider_expires_at.
    """
    shown: dict[str, Any] = {**scene, "expires_at": None}
    if "expires_at" in scene:
        shown["provider_expires_at"] = scene["expires_at"]
    for name in ("video_url", "thumbnail_url"):
        if link := signed_link(shown[name], generation_id):
            shown[name], expires_at = link
            shown["expires_at"] = expires_at.isoformat()
    return shown


def signed_link(url: str | None, generation_id: str) -> tuple[str, datetime] | None:
    """A link to what a row's URL names, and when it ends; None where that is no object of the row's generation."""
    key = key_of(url, generation_id) if url else None
    return _store(settings.spaces()).signed_url(key) if key else None


@cache
def _store(spaces: settings.SpacesSettings) -> ObjectStore:
    return ObjectStore(spaces)


def page(
    name: str,
    generations: Sequence[Generation],
    show: Callable[[Generation], Mapping[str, Any]],
    *,
    limit: int,
    offset: int | None,
    filters: Mapping[str, Any],
) -> dict[str, Any]:
    """A page of what limit + 1 generations show: the items under name, their count, and where to go on.

    next_cursor and next_offset name the first generation left out, null at the end. Without an offset (a caller that
    follows cursors) next_offset is null.
    """
    items = list(_that_fit(show(generation) for generation in generations[:limit]))
    more = len(items) < len(generations)
    last = generations[len(items) - 1] if items else None
    return {
        name: items,
        "count": len(items),
        "next_cursor": write_cursor((last["created_at"], last["id"]), filters) if more and last else None,
        "next_offset": offset + len(items) if more and offset is not None else None,
    }


def _that_fit(items: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    total = ENVELOPE_BYTES
    for number, item in enumerate(items):
        # Twice: the platform carries the page as a JSON string within JSON, its quotes escaped.
        total += len(to_json(to_json(item)).encode())
        if total > MAX_PAGE_BYTES and number:
            return
        yield item


def write_cursor(position: Position, filters: Mapping[str, Any]) -> str:
    """An opaque text that read_cursor turns back into the position, for the same filters only."""
    return base64.urlsafe_b64encode(json.dumps([*position, _fingerprint(filters)]).encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, filters: Mapping[str, Any]) -> Position | None:
    """The position that a cursor holds; InvalidValue for anything that write_cursor did not write for these filters."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        created_at, generation_id, fingerprint = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        datetime.fromisoformat(created_at)
        UUID(generation_id)
    except (ValueError, TypeError, AttributeError):
        raise InvalidValue("cursor: not one that this list gave") from None
    if fingerprint != _fingerprint(filters):
        raise InvalidValue("cursor: it belongs to a list with other filters")
    return created_at, generation_id


def _fingerprint(filters: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(filters, sort_keys=True, default=str).encode()).hexdigest()[:12]
