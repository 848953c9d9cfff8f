"""The parts of an answer: which of its objects is the job, by which id one can ask for it, and how it stands."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from generation_history.providers.plain_values import storable_id
from generation_history.providers.words import (
    COMPLETED,
    ENVELOPE_WORDS,
    EXPIRED,
    FAILED,
    RUNNING,
    Meaning,
    is_known,
    meaning_of,
    plain,
)

#: No gateway wraps a job deeper, and no job has more parts.
MAX_WRAPPERS, MAX_OBJECTS = 6, 300
#: Names are compared without case and signs: `_id` is id, `taskId` and `task_id` are taskid.
_WRAPPERS: Final = (
    *("data", "result", "results", "response", "output", "outputs", "video", "videos", "task", "tasks", "job", "jobs"),
    *("body", "payload", "item", "items", "generation", "generations", "prediction", "operation", "resource"),
    *("attributes", "object", "message", "list"),
)
#: The first names are the most certain to be a job's.
NAMED_IDS: Final = (
    *("videoid", "taskid", "jobid", "generationid", "predictionid", "operationid", "renderid", "videogenerationid"),
    *("videotaskid", "taskuuid", "jobuuid", "videouuid", "generationuuid"),
)
#: Elsewhere these name one HTTP request: ids of jobs only where nothing else is.
WEAK_IDS: Final = ("requestid", "uuid")
#: What `object` says of things that are no job: their `id` cannot be polled.
ENVELOPE_KINDS: Final = frozenset(
    {"event", "chatcompletion", "chatcompletionchunk", "response", "message", "list", "error", "model", "request"}
)
JOB_KINDS: Final = frozenset({"video", "videogeneration", "videojob", "videotask", "task", "job", "generation"})
_ENVELOPE_ID: Final = re.compile(
    "(chatcmpl|cmpl|evt|event|req|request|resp|response|msg|message|trace|call)[-_].*", re.DOTALL
)
#: What stands beside a list that has pages.
_PAGES: Final = frozenset({"hasmore", "firstid", "lastid", "nextcursor", "nextpage", "total", "totalcount"})
#: The most specific first: beside them, `status` is often that of the HTTP request.
STATUSES: Final = (
    *("taskstatus", "videostatus", "jobstatus", "generationstatus", "renderstatus"),
    *("status", "state", "taskstate", "jobstate", "phase"),
)
_STATUS_PARTS: Final = (*STATUSES, "name", "value", "code", "text", "type")
_FLAGS: Final = ("done", "completed", "finished", "isdone", "iscompleted", "isfinished")
ERRORS: Final = ("error", "errors")


@dataclass(frozen=True)
class Part:
    """One object of an answer, those around it (the nearest first), and how many stand in the longest list there."""

    names: Mapping[str, Any]
    wrappers: tuple[Mapping[str, Any], ...]
    siblings: int


def parts_of(answer: Any) -> list[Part]:
    """Every object of the answer that may be the job, from the outside in."""
    parts: list[Part] = []
    _walk(answer, (), 1, parts)
    return parts


def _walk(value: Any, wrappers: tuple[Mapping[str, Any], ...], siblings: int, parts: list[Part]) -> None:
    """Every object that may be the job, from the outside in."""
    if len(wrappers) > MAX_WRAPPERS or len(parts) >= MAX_OBJECTS:
        return
    if isinstance(value, list):
        items = cast("list[object]", value)
        for item in items:
            _walk(item, wrappers, max(siblings, len(items)), parts)
    elif isinstance(value, dict):
        names = by_plain_name(cast("Mapping[str, Any]", value))
        parts.append(Part(names, wrappers, siblings))
        for wrapper in _WRAPPERS:
            if isinstance(names.get(wrapper), (dict, list)):
                _walk(names[wrapper], (names, *wrappers), siblings, parts)


def by_plain_name(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object by its names in small letters without signs; of two that become one, the first that says something."""
    names: dict[str, Any] = {}
    for name, member in value.items():
        if names.get(bare := plain(name)) is None:
            names[bare] = member
    return names


def best_of(parts: Sequence[Part]) -> Part | None:
    """The part that is the job: the one that says so, else the innermost that has a status, else the innermost.

    What an object that calls itself a video contains is its own, as a file is. What is around it is an envelope.
    """
    for part in parts:
        has_named_id = any(name in NAMED_IDS for name, _ in named_ids(part.names))
        word = own_word(part.names)
        if kind_of(part.names) in JOB_KINDS or (
            has_named_id and word is not None and plain(word) not in ENVELOPE_WORDS
        ):
            return part
    strong = [part for part in parts if any(name not in WEAK_IDS for name, _ in named_ids(part.names))]
    with_status = [part for part in strong if own_word(part.names) is not None]
    candidates = with_status or strong or list(parts)
    return candidates[-1] if candidates else None


def kind_of(names: Mapping[str, Any]) -> str:
    """What the object calls itself: video, event, list and so on; empty where it does not."""
    kind = names.get("object")
    return plain(kind) if isinstance(kind, str) else ""


def is_page(answer: Any) -> bool:
    """Whether the answer is a page of a list of jobs, whoever owns them."""
    return any(
        kind_of(part.names) == "list" or not (_PAGES.isdisjoint(part.names) or ids_of(part.names))
        for part in parts_of(answer)
        if items_of(part.names) is not None
    )


def items_of(page: Any, depth: int = 0) -> list[object] | None:
    """The items of a page of a list; None where there is no list."""
    if not isinstance(page, dict) or depth > 1:
        return None
    names = by_plain_name(cast("Mapping[str, Any]", page))
    for name in ("data", "items", "results", "videos", "tasks", "jobs", "list", "result"):
        if isinstance(names.get(name), list):
            return cast("list[object]", names[name])
        if (inner := items_of(names.get(name), depth + 1)) is not None:
            return inner
    return None


# ---------------------------------------------------------------- ids


def named_ids(names: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The ids of an object, and the names that they have."""
    for name in ("id", *NAMED_IDS, *WEAK_IDS):
        if (value := storable_id(names.get(name))) is not None:
            yield name, value


def ids_of(names: Mapping[str, Any]) -> dict[str, None]:
    """Every id of an object that may be a job's, each once."""
    return {value: None for name, value in named_ids(names) if not (name == "id" and kind_of(names) in ENVELOPE_KINDS)}


def id_of(part: Part) -> str | None:
    """The id by which one can ask for this object's job.

    `id` is, in an object that is a video. Beside the name of a video, task or job it often is the envelope's: a chat's,
    an event's, or a row's number.
    """
    names = part.names
    ids = dict(named_ids(names))
    own_id = ids.get("id")
    named_id = next((ids[name] for name in NAMED_IDS if name in ids), None)
    if own_id is None or named_id is None:
        if own_id is not None and kind_of(names) in ENVELOPE_KINDS:
            return None
        weak_id = None if says_error(part) else next((ids[name] for name in WEAK_IDS if name in ids), None)
        return own_id or named_id or weak_id
    if kind_of(names) in JOB_KINDS:
        return own_id
    is_number = not isinstance(names.get("id"), str)
    foreign = is_number or kind_of(names) in ENVELOPE_KINDS or is_envelope_id(own_id)
    return named_id if foreign or "videoid" in ids or own_word(names) is None else own_id


def is_envelope_id(value: str) -> bool:
    """Whether the id looks like that of a chat, an event or a request."""
    return _ENVELOPE_ID.fullmatch(value) is not None


def says_error(part: Part) -> bool:
    """Whether the object, or one around it, speaks of an error."""
    return any(_says_something(names.get(name)) for names in (part.names, *part.wrappers) for name in ERRORS)


def _says_something(error: object) -> bool:
    """Whether it is more than a form that nobody filled in: {"code": 0, "message": ""}."""
    return any(cast("Mapping[str, Any]", error).values()) if isinstance(error, dict) else bool(error)


def bare_id(answer: Any) -> str | None:
    """The id that stands alone where a job should be: {"code": 1, "result": "1320098173412546"}."""
    for part in parts_of(answer):
        if says_error(part) or meaning_of_part(part) in {FAILED, EXPIRED}:
            return None
        for wrapper in ("data", "result", "task", "job", "video", "output", "response"):
            value = storable_id(part.names.get(wrapper))
            # A word or a small number there says how the request went.
            if value and re.fullmatch(r"(?=.*[0-9])[A-Za-z0-9_.:=+-]{6,}", value):
                return value
    return None


# ---------------------------------------------------------------- how it stands


def own_word(names: Mapping[str, Any]) -> str | None:
    """The word for how this object's job stands."""
    words = [word for name in STATUSES if (word := _as_word(names.get(name)))]
    known_words = [word for word in words if is_known(word)]
    running_words = [word for word in known_words if meaning_of(word) == RUNNING]
    # Where one word says that it is done and another that it runs, the first is that of the request.
    return (
        running_words[0]
        if running_words and meaning_of(known_words[0]) == COMPLETED
        else next(iter(known_words or words), None)
    )


def _as_word(value: object) -> str | None:
    if isinstance(value, dict):
        parts = by_plain_name(cast("Mapping[str, Any]", value))
        return next((word for name in _STATUS_PARTS if isinstance(word := parts.get(name), str) and word), None)
    return value if isinstance(value, str) and value.strip() else None


def word_of(part: Part) -> str | None:
    """The word for how the job stands: its own, else what it wraps, else what is around it and not the request's."""
    own = own_word(part.names)
    if own is not None and plain(own) not in ENVELOPE_WORDS:
        return own
    for inner in parts_of(part.names)[1:]:
        if not ids_of(inner.names) and (word := own_word(inner.names)) is not None:
            return word
    if own is not None:
        return own
    for flag in _FLAGS:
        if part.names.get(flag) is True:
            return "failed" if says_error(part) else "completed"
    for names in part.wrappers:
        word = own_word(names)
        if word is not None and plain(word) not in ENVELOPE_WORDS:
            return word
    return None


def meaning_of_part(part: Part) -> Meaning | None:
    """What the word for how the job stands means; None for no word, or none that is known."""
    word = word_of(part)
    return None if word is None else meaning_of(word)
