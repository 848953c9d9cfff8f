"""What may be recorded: each value's type, and the limits that no constraint of a column names."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from generation_history.errors import InvalidValue


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character cannot be kept")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate cannot be kept") from None
    return text


Text = Annotated[str, AfterValidator(_storable)]
ShortText = Annotated[Text, Field(max_length=50)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Dollars = Annotated[float, Field(ge=0, le=99_999_999.99, allow_inf_nan=False)]


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
    prompts: Annotated[list[Annotated[Text, Field(min_length=1)]], Field(min_length=1)]
    submit: bool
    model: Text
    size: Text
    seconds: Count
    sora_video_id: Annotated[Text, Field(max_length=1000)]
    sora_status: ShortText
    video_url: Text
    thumbnail_url: Text
    duration: Count
    resolution: ShortText
    file_size: Annotated[int, Field(ge=0, lt=2**63)]
    limit: Annotated[int, Field(ge=0, lt=2**31)]
    offset: Annotated[int, Field(ge=0, lt=2**63)]


_VALUES = TypeAdapter(_Values)


def checked(**values: Any) -> dict[str, Any]:
    """The values, of the types that the columns of these names take; InvalidValue names the first that is not.

    None stays None: whether a column may be empty is the column's own affair.
    """
    try:
        given = _VALUES.validate_python({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidValue(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return {**values, **given}
