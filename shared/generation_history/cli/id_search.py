"""Which generation is meant: a whole id, or the beginning or end of one (its short id) that no other generation has."""

import re
from itertools import islice
from typing import Final

from generation_history.cli.history import Filters, History, pages
from generation_history.errors import InvalidValue, NotFound
from generation_history.ids import as_uuid

MIN_DIGITS: Final = 8
MAX_PAGES: Final = 50
#: So many are named where a part of an id is that of several.
NAMED: Final = 5


def find_id(history: History, text: str) -> str:
    """The id of the one generation that this names; InvalidValue for an unclear part of an id, NotFound for none."""
    if whole := as_uuid(text):
        return str(whole)
    digits = text.lower().replace("-", "")
    if not re.fullmatch(f"[0-9a-f]{{{MIN_DIGITS},31}}", digits):
        raise InvalidValue(
            f"{text!r} is no id: it takes a whole one, a short one, or {MIN_DIGITS} or more of its first characters"
        )
    ids = _ids_with(digits, history)
    if not ids:
        raise NotFound(f"no generation has an id that begins or ends with {text}")
    if len(ids) > 1:
        raise InvalidValue(
            f"several ids begin or end with {text}: {', '.join(ids[:NAMED])}; name more of the one meant"
        )
    return ids[0]


def whole_id(text: str) -> str:
    """The id that this is; InvalidValue where it is only a part of one."""
    whole = as_uuid(text)
    if whole is None:
        raise InvalidValue(f"{text!r} is no whole id, which it takes here: a list does not show what is deleted")
    return str(whole)


def _ids_with(digits: str, history: History) -> list[str]:
    """The ids that begin or end with these digits; the search finds sources that contain them as well."""
    found = islice(pages(history, Filters(q=digits)), MAX_PAGES)
    ids = [generation["id"] for page in found for generation in page["generations"]]
    return [each for each in ids if (plain := each.replace("-", "")).startswith(digits) or plain.endswith(digits)]
