"""What the bodies of requests have in common: nothing unknown in them, and the same limits everywhere."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from generation_history import limits
from generation_history.record.validation import JSON_INTEGER, Dollars, Json

Prompt = Annotated[str, Field(min_length=1, max_length=limits.MAX_PROMPT)]
Prompts = Annotated[list[Prompt], Field(min_length=1, max_length=limits.MAX_PROMPTS)]
Cost = Dollars


class JsonObject(BaseModel):
    """A body; a name that is not known is refused, because it would be ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class MetadataKinds(JsonObject):
    """What the pipeline knows by now."""

    original_analysis: Json = None
    transformation_data: Json = None
    prompts_data: Json = None
    evaluation_data: Json = None


class Wanted(JsonObject):
    """What is asked of the provider, unless its poller's settings shall say."""

    model: str | None = Field(default=None, min_length=1, max_length=limits.MAX_MODEL)
    size: str | None = Field(default=None, pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$")
    seconds: Annotated[int, Field(ge=1, le=limits.MAX_SECONDS), JSON_INTEGER] | None = None
