"""Metadata of the older installation: decoded where it was put into JSON as a text, one row for each generation."""

import json
import math
import re
from typing import Any, Final, cast
from uuid import UUID

from generation_history.importing.report import Decisions
from generation_history.importing.source import OldGeneration, Row
from generation_history.importing.times import created_at, updated_at
from generation_history.models import METADATA_KINDS
from generation_history.record.validation import MAX_DEPTH, shallow

_TABLE: Final = "generation_metadata"
#: What a text of JSON may escape and jsonb cannot keep.
_ESCAPED: Final = re.compile(r"\\u(?:0000|d[89a-f][0-9a-f]{2})", re.IGNORECASE)


def map_metadata(old: OldGeneration, owner_id: UUID, told: Decisions) -> list[Row]:
    """The one row of the generation's metadata, the newest of each kind; none where it had none."""
    if not old.metadata:
        return []
    dated = [(updated_at(row), row) for row in old.metadata]
    rows = [row for _, row in sorted(dated, key=lambda one: (one[0], one[1]["id"]), reverse=True)]
    newest = rows[0]
    for row in rows[1:]:
        told.refuse("metadata_merged", _TABLE, row, f"into {newest['id']}")
    kinds = {kind: _newest(kind, rows, told) for kind in METADATA_KINDS}
    times = {"created_at": min(map(created_at, rows)), "updated_at": updated_at(newest)}
    return [{"id": newest["id"], "generation_id": old.id, "owner_id": owner_id, **kinds, **times}]


def _newest(kind: str, rows: list[Row], told: Decisions) -> str | None:
    """The newest value of this kind, as JSON."""
    for row in rows:
        if row[kind] is not None:
            return row[kind]
        text = row[f"{kind}_text"]
        if text is not None:
            return _decoded(kind, text, row, told)
    return None


def _decoded(kind: str, text: str, row: Row, told: Decisions) -> str:
    """The JSON that the text is of, if it can be kept; else the text, in JSON."""
    if text.lstrip()[:1] in {"{", "["}:
        is_kept = _can_be_kept(text)
        told.change("metadata_decoded" if is_kept else "metadata_kept_as_text", _TABLE, {**row, kind: text}, kind, None)
        if is_kept:
            return text
    return json.dumps(text, ensure_ascii=False)


def _can_be_kept(text: str) -> bool:
    """Whether the database takes the text as JSON, and everybody can read it again."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        shallow(value)
        return _is_finite(value) and not (_ESCAPED.search(text) and _has_odd_text(value))
    except (ValueError, RecursionError):
        return False


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _is_finite(value: object, depth: int = 0) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return depth > MAX_DEPTH or all(_is_finite(part, depth + 1) for part in _parts(value))


def _has_odd_text(value: object) -> bool:
    """Whether a NUL or half of a surrogate pair is in it."""
    if isinstance(value, str):
        return "\0" in value or any("\ud800" <= character <= "\udfff" for character in value)
    return any(_has_odd_text(part) for part in _parts(value))


def _parts(value: object) -> list[Any]:
    if isinstance(value, dict):
        known = cast("dict[str, Any]", value)
        return [*known, *known.values()]
    return cast("list[Any]", value) if isinstance(value, list) else []
