"""Values as providers write them, read into what a row takes: texts, whole numbers, times, ids; None for nonsense."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from generation_history import limits

#: What is kept of an answer that was not understood: enough for a person, and for a row.
MAX_ANSWER_LENGTH = 4000
#: An index of the record holds an id whole: PostgreSQL takes 2,704 bytes there, together with the server's URL.
#: A number below is no unix time of any job (it would be before September 2001), but a length of time.
MIN_UNIX_SECONDS = 1e9
#: Nobody keeps a video longer: a length of time beyond is nonsense.
MAX_RELATIVE_SECONDS = 366 * 24 * 3600
#: From here on the unit is a thousand times smaller: in seconds this would be the year 5138.
MIN_MILLISECONDS = 1e11


def text(value: object) -> str | None:
    """A text or a whole number as text that a database takes."""
    if not isinstance(value, (str, int)):
        return None
    return storable(str(value))


def integer(value: object) -> int | None:
    """The whole number that a number or its text is; None for anything else."""
    try:
        return int(float(value)) if isinstance(value, (str, int, float)) else None
    except (ValueError, OverflowError):
        return None


def storable_id(value: object) -> str | None:
    """The id that a provider means by this value; None for what names nothing or cannot be written down."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    if isinstance(value, int):
        return str(value) if 0 < value < 10**limits.MAX_JOB_ID else None
    # In a URL a dot is where one is, and two are one above it.
    if not value.strip() or value in {".", ".."} or value != storable(value):
        return None
    return value if len(value) <= limits.MAX_JOB_ID and len(value.encode()) <= limits.MAX_JOB_ID_BYTES else None


def moment(value: object, *, since: datetime | None = None) -> datetime | None:
    """The time meant; None for nonsense, and for 0, which is how some write "never".

    A small number is seconds since then; unix times may be in seconds, or in thousandths or millionths of one.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            return _from_number(float(value), since)
        except (ValueError, OverflowError):
            return _from_text(value)
    try:
        return _from_number(float(value), since) if isinstance(value, (int, float)) else None
    except (ValueError, OverflowError):
        return None


def _from_number(number: float, since: datetime | None) -> datetime | None:
    if 0 < number <= MAX_RELATIVE_SECONDS:
        return None if since is None else since + timedelta(seconds=number)
    while number >= MIN_MILLISECONDS:
        if number > 1e21:  # noqa: PLR2004 - beyond nanoseconds there is no unit, and infinity has no end
            return None
        number /= 1000
    return datetime.fromtimestamp(number, UTC) if number >= MIN_UNIX_SECONDS else None


def _from_text(value: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(value.strip())
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def answer_text(answer: Any, key: str) -> str:
    """The answer as text that may be kept: at most MAX_ANSWER_LENGTH characters, storable, and without our key."""
    if isinstance(answer, bytes):
        text = answer.decode(errors="replace")
    else:
        try:
            text = json.dumps(answer, ensure_ascii=False)
        except (ValueError, RecursionError):
            return ""
    return storable(without_key(text, key))[:MAX_ANSWER_LENGTH]


def storable(value: str) -> str:
    """No database takes NUL or half of a surrogate pair."""
    return value.replace("\0", "").encode(errors="replace").decode()


def without_key(text: str, key: str) -> str:
    """The text without our key, also where JSON escapes a part of it."""
    if not key:
        return text
    escaped = json.dumps(key)[1:-1]
    for spelling in (key, escaped, escaped.replace("/", "\\/")):
        text = text.replace(spelling, "***")
    return text
