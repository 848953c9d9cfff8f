"""Why a job failed or a request was refused, in whichever field a server says it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from generation_history.providers.answer_parts import ERRORS, MAX_WRAPPERS, STATUSES, by_plain_name, parts_of
from generation_history.providers.plain_values import answer_text, storable, text, without_key
from generation_history.providers.words import COMPLETED, is_moderation, meaning_of, plain

MAX_REASON_LENGTH = 500
REASONS: Final = (
    *(*ERRORS, "errormessage", "errormsg", "failreason", "failurereason", "failedreason", "failure", "failuremessage"),
    *("statusmessage", "statusmsg", "taskstatusmsg", "statusreason", "reason", "detail", "details", "message", "msg"),
    "description",
)
_CODES: Final = ("code", "errorcode", "failurecode", "failcode", "type", "errortype", "status")


def reason(answer: Any, *, key: str) -> str | None:
    """What went wrong, in the provider's words; some repeat the key they were shown."""
    parts = list(parts_of(answer))
    return reason_of([names for part in parts for names in (part.names, *part.wrappers)], REASONS, key)


def error_code(answer: Any) -> str | None:
    """The code of what went wrong: moderation_blocked for each of its names."""
    return next((code for part in parts_of(answer) if (code := code_of(part.names))), None)


def code_of(names: Mapping[str, Any]) -> str | None:
    """The code of what went wrong with this object's job: moderation_blocked for each of its names."""
    error = next((names[name] for name in (*ERRORS, "failure") if names.get(name)), None)
    if isinstance(error, list) and error:
        error = cast("list[object]", error)[0]
    if isinstance(error, dict):
        fields = by_plain_name(cast("Mapping[str, Any]", error))
        codes = [text(fields.get(name)) for name in _CODES]
    else:
        codes = [text(names.get(name)) for name in ("errorcode", "failurecode", "failcode")]
    # A reason of one word is a code.
    reasons = [value for name in REASONS if isinstance(value := names.get(name), str) and " " not in value.strip()]
    if any(is_moderation(code) for code in (*(code for code in codes if code), *reasons)):
        return "moderation_blocked"
    return next((code for code in codes[:4] if code), None)


def reason_of(objects: Sequence[Mapping[str, Any]], fields: Sequence[str], key: str) -> str | None:
    """What the first of these objects that says why says, in one of these fields; storable and without our key."""
    for names in objects:
        for name in fields:
            if reason := _reason_words(names.get(name)):
                return storable(without_key(reason, key))[:MAX_REASON_LENGTH]
    for names in objects:
        # A status may be an object with the word and the reason in it.
        for name in STATUSES:
            if isinstance(names.get(name), dict) and (reason := reason_of([by_plain_name(names[name])], REASONS, key)):
                return reason
    # Better than nothing: whatever an error is made of.
    errors = (names[name] for names in objects for name in ERRORS if isinstance(names.get(name), dict))
    return next((answer_text(error, key)[:MAX_REASON_LENGTH] for error in errors if any(error.values())), None)


def _reason_words(value: object, depth: int = 0) -> str | None:
    """The words in a reason, which is a text, a number, an object with one, or a list of those."""
    if isinstance(value, str):
        # "message": "SUCCEED" is about the request.
        return value if value.strip() and meaning_of(value) != COMPLETED and plain(value) != "ok" else None
    if depth > MAX_WRAPPERS or not value or isinstance(value, bool):
        return None
    if isinstance(value, list):
        return next((words for item in cast("list[object]", value) if (words := _reason_words(item, depth + 1))), None)
    if isinstance(value, dict):
        names = by_plain_name(cast("Mapping[str, Any]", value))
        return next((words for name in REASONS if (words := _reason_words(names.get(name), depth + 1))), None)
    return str(value) if isinstance(value, int) else None
