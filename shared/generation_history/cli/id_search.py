"""Which generation is meant: a whole id, or the beginning of one that no other generation has.

An id made here begins with the time at which it was made (ids.uuid7), so the list is looked through about that time.
Ids that came from elsewhere do not: for them the newest generations are looked through.
"""

import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from generation_history.cli.history import Answer, Filters, History, pages
from generation_history.errors import InvalidValue, NotFound
from generation_history.ids import as_uuid

MIN_DIGITS: Final = 8
#: Hexadecimal digits of an id that are its time, in milliseconds.
_TIME_DIGITS: Final = 12
_FIRST: Final = datetime(2020, 1, 1, tzinfo=UTC)
#: Whoever made the id and the database that wrote created_at have clocks of their own.
CLOCKS_APART: Final = timedelta(minutes=10)
MAX_PAGES: Final = 50
#: So many are named where a beginning is that of several.
NAMED: Final = 5


def find_id(history: History, text: str) -> str:
    """The id of the one generation that this names; InvalidValue for an unclear beginning, NotFound for none."""
    if whole := as_uuid(text):
        return str(whole)
    digits = text.lower().replace("-", "")
    if not re.fullmatch(f"[0-9a-f]{{{MIN_DIGITS},31}}", digits):
        raise InvalidValue(f"{text!r} is no id: it takes a whole one, or {MIN_DIGITS} or more of its first characters")
    found = _beginning_with(digits, history, _about(digits)) or _beginning_with(digits, history, Filters())
    if not found:
        raise NotFound(f"no generation of the newest ones has an id that begins with {text}; name the whole id")
    if len(found) > 1:
        raise InvalidValue(f"several ids begin with {text}: {', '.join(found[:NAMED])}; name more of the one meant")
    return found[0]


def whole_id(text: str) -> str:
    """The id that this is; InvalidValue where it is only the beginning of one."""
    whole = as_uuid(text)
    if whole is None:
        raise InvalidValue(f"{text!r} is no whole id, which it takes here: a list does not show what is deleted")
    return str(whole)


def _about(digits: str) -> Filters | None:
    """The days' span in which an id of ours with this beginning was recorded; None where it can be none of ours."""
    first, last = (int(digits[:_TIME_DIGITS].ljust(_TIME_DIGITS, fill), 16) / 1000 for fill in "0f")
    if not _FIRST.timestamp() <= last <= time.time() + CLOCKS_APART.total_seconds() + last - first:
        return None
    return Filters(
        created_from=(datetime.fromtimestamp(first, UTC) - CLOCKS_APART).isoformat(),
        created_to=(datetime.fromtimestamp(last, UTC) + CLOCKS_APART).isoformat(),
    )


def _beginning_with(digits: str, history: History, filters: Filters | None) -> list[str]:
    if filters is None:
        return []
    return [one["id"] for one in _listed(history, filters) if one["id"].replace("-", "").startswith(digits)]


def _listed(history: History, filters: Filters) -> Iterable[Answer]:
    return (one for page in islice(pages(history, filters), MAX_PAGES) for one in page["generations"])
