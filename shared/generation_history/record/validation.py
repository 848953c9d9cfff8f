"""What may be recorded: each value's type, and the limits that no constraint of a column names."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final, cast
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from generation_history import limits
from generation_history.errors import InvalidValue


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character cannot be kept")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate cannot be kept") from None
    return text


def _as_whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


#: Beside an int of a strict model: to JSON, 8.0 is the integer 8, while true and "8" are none.
JSON_INTEGER = BeforeValidator(_as_whole)


def _moment(value: object, *, of_day: time) -> datetime:
    """The time meant by a time with its zone, or by a day: that of_day, UTC."""
    try:
        if isinstance(value, str):
            value = date.fromisoformat(value) if len(value) == len("2026-11-01") else datetime.fromisoformat(value)
    except ValueError:
        pass
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, of_day, UTC)
    raise ValueError("it must be a day like 2026-11-01, or a time with its zone like 2026-11-01T12:00:00Z")


def _earliest(value: object) -> datetime:
    return _moment(value, of_day=time.min)


def _latest(value: object) -> datetime:
    return _moment(value, of_day=time.max)


#: What a caller may name as a provider's job: parts of letters, digits and - _ . : = + with single slashes between
#: them, none of them dots only. Everything else is an id that some server reads as another one: behind a usual nginx
#: `./video_1`, `video_1?` and `%2e/video_1` are video_1, which may be another owner's.
VIDEO_ID_PATTERN: Final = "^[.]*[A-Za-z0-9_:=+-][A-Za-z0-9_:=+.-]*(/[.]*[A-Za-z0-9_:=+-][A-Za-z0-9_:=+.-]*)*$"


def _names_a_job(video_id: str) -> str:
    if not re.fullmatch(VIDEO_ID_PATTERN.strip("^$"), video_id):
        raise ValueError(
            "a provider's job id is of the letters A to Z, digits and - _ . : = + with single slashes between parts,"
            " none of them dots only"
        )
    return video_id


def shallow(value: Any) -> Any:
    """The value, which is nested at most MAX_DEPTH deep: whatever is kept must be readable again."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH}")
        level = [child for item in level for child in _children(item)]
    return value


def _children(item: Any) -> Iterable[Any]:
    if isinstance(item, Mapping):
        return cast("Mapping[Any, Any]", item).values()
    return cast("Iterable[Any]", item) if isinstance(item, (list, tuple)) else ()


#: Deeper than any pipeline's JSON, and less deep than what Python's encoder gives up on.
MAX_DEPTH = 100

Json = Annotated[Any, AfterValidator(shallow)]
Text = Annotated[str, AfterValidator(_storable)]
ShortText = Annotated[Text, Field(max_length=50)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Dollars = Annotated[float, Field(ge=0, le=limits.MAX_DOLLARS, allow_inf_nan=False)]


class _Values(TypedDict, total=False):
    source_video_url: Text
    source_video_type: ShortText
    variant_types: list[Text]
    variant_type: Text
    cost_estimate: Dollars
    actual_cost: Dollars
    status: Text
    error_message: Text
    error_code: Text
    total_scenes: Count
    scenes_completed: Count
    scene_number: Count
    sora_prompt: Text
    attempt: Count
    prompts: Annotated[list[Annotated[Text, Field(min_length=1)]], Field(min_length=1)]
    submit: bool
    model: Text
    size: Text
    seconds: Count
    sora_video_id: Annotated[Text, Field(max_length=limits.MAX_JOB_ID), AfterValidator(_names_a_job)]
    sora_status: ShortText
    video_url: Text
    thumbnail_url: Text
    duration: Count
    resolution: ShortText
    file_size: Annotated[int, Field(ge=0, lt=2**63)]
    limit: Annotated[int, Field(ge=0, lt=2**31)]
    offset: Annotated[int, Field(ge=0, lt=2**63)]
    statuses: list[Text]
    created_from: Annotated[datetime, BeforeValidator(_earliest)]
    created_to: Annotated[datetime, BeforeValidator(_latest)]
    q: Annotated[Text, Field(min_length=3)]
    after: tuple[Annotated[datetime, BeforeValidator(_earliest)], UUID]


_VALUES = TypeAdapter(_Values)


def validate(**values: Any) -> dict[str, Any]:
    """The values, of the types that the columns of these names take; InvalidValue names the first that is not.

    None stays None: whether a column may be empty is the column's own affair.
    """
    try:
        validated = _VALUES.validate_python({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidValue(
            f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"
        ) from None
    return {**values, **validated}
