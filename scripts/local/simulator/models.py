"""The models that the kinds have, and what each takes: field names, lengths, shapes. A new model is a class here."""

import re
from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model

from scripts.local.simulator.create_request import PROMPT_LENGTH, CreateRequest
from scripts.local.simulator.errors import ApiError

Prompt = Annotated[str, StringConstraints(min_length=1, max_length=PROMPT_LENGTH)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)] | None
WideRatio = Literal["21:9", "16:9", "4:3", "1:1", "3:4", "9:16"]
_SHORT_SIDES = {"4k": 2160}


class Input(BaseModel):
    """What a model is asked for; a field that it does not have is refused, and so is any other type."""

    model_config = ConfigDict(extra="forbid", strict=True)

    #: Under which a job is looked up, where that is another name than the one it is asked for by.
    alias: ClassVar[str | None] = None
    #: What a second of output costs, where the kind says so in its answers.
    credits_per_second: ClassVar[int] = 0

    #: fal's price of a unit, in US dollars.
    usd_per_unit: ClassVar[float] = 0.0

    def units(self) -> float:
        """How many units are billed; a second is one, or more in a dearer resolution."""
        return self.seconds()

    def seconds(self) -> int:
        """The length of the video."""
        return int(re.sub("[^0-9]", "", str(vars(self)["duration"])))

    def size(self) -> str:
        """The size of the video in pixels, as WIDTHxHEIGHT."""
        return frame(vars(self)["aspect_ratio"], vars(self).get("resolution", "720p"))

    def picture(self, model: str, prompt: str) -> CreateRequest:
        """What is to be rendered."""
        return CreateRequest(prompt, model, str(self.seconds()), self.size())


class H3Max(Input):
    """fal's minimax/h3-max/text-to-video."""

    usd_per_unit: ClassVar[float] = 0.08

    prompt: Prompt
    duration: Annotated[int, Field(ge=5, le=15)] = 5
    aspect_ratio: WideRatio = "16:9"
    resolution: Literal["480P", "768P", "1080P"] = "768P"
    seed: Seed = None

    def units(self) -> float:
        """A second of the middle resolution is one."""
        return self.seconds() * {"480P": 0.625, "768P": 1.0, "1080P": 2.0}[self.resolution]


class KlingPro(Input):
    """fal's fal-ai/kling-video/v3/pro/text-to-video."""

    usd_per_unit: ClassVar[float] = 0.112

    prompt: Prompt
    duration: Literal["3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"] = "5"
    aspect_ratio: Literal["16:9", "9:16", "1:1"] = "16:9"
    generate_audio: bool = True

    def units(self) -> float:
        """A second without sound is one."""
        return self.seconds() * (1.5 if self.generate_audio else 1.0)


class OmniOnFal(Input):
    """fal's google/gemini-omni-flash, whose requests are looked up under an older name."""

    alias: ClassVar[str | None] = "fal-ai/gemini-omni-flash"
    usd_per_unit: ClassVar[float] = 0.125

    prompt: Prompt
    duration: Annotated[int, Field(ge=3, le=10)] = 8
    aspect_ratio: Literal["16:9", "9:16"] = "16:9"


class Seedance(Input):
    """Replicate's bytedance/seedance-2.0."""

    prompt: Prompt
    duration: Annotated[int, Field(ge=4, le=15)] = 5
    aspect_ratio: WideRatio = "16:9"
    resolution: Literal["480p", "720p", "1080p"] = "720p"
    generate_audio: bool = True
    seed: Seed = None
    image: str | None = None


class Gen45(Input):
    """Runway's gen4.5 from a text; a text is at most 1,000 units of UTF-16."""

    credits_per_second: ClassVar[int] = 12

    model: Literal["gen4.5"]
    promptText: Prompt  # noqa: N815 - the field's own name
    ratio: Literal["1280:720", "720:1280"]
    duration: Annotated[int, Field(ge=2, le=10)]
    seed: Seed = None

    def size(self) -> str:
        """The ratio is the size."""
        return str(vars(self)["ratio"]).replace(":", "x")


class Gen45FromImage(Gen45):
    """Runway's gen4.5 from a first frame, which has more shapes."""

    promptImage: Annotated[str, StringConstraints(pattern="^(https://|http://127[.]|data:image/)")]  # noqa: N815
    ratio: Literal["1280:720", "720:1280", "1104:832", "960:960", "832:1104", "1584:672"]  # pyright: ignore[reportIncompatibleVariableOverride]


class _Format(Input):
    type: Literal["video"]
    delivery: Literal["uri"]
    aspect_ratio: Literal["16:9", "9:16"] = "16:9"
    resolution: Literal["360p", "720p", "1080p", "4k"] = "720p"


class Omni11(_Format):
    """The response_format of Gemini's gemini-omni-1.1-flash."""

    duration: Annotated[str, StringConstraints(pattern="^([3-9]|10)s$")] = "6s"


class Omni12(_Format):
    """The response_format of Gemini's gemini-omni-1.2-flash."""

    duration: Annotated[str, StringConstraints(pattern="^([3-9]|1[0-5])s$")] = "6s"


def _with_image(model: type[Input]) -> type[Input]:
    return create_model(f"{model.__name__}FromImage", __base__=model, image_url=(str, ...))


FAL: Mapping[str, type[Input]] = {
    "minimax/h3-max/text-to-video": H3Max,
    "minimax/h3-max/image-to-video": _with_image(H3Max),
    "fal-ai/kling-video/v3/pro/text-to-video": KlingPro,
    "fal-ai/kling-video/v3/pro/image-to-video": _with_image(KlingPro),
    "google/gemini-omni-flash": OmniOnFal,
}
REPLICATE: Mapping[str, type[Input]] = {"bytedance/seedance-2.0": Seedance}
RUNWAY: Mapping[str, Mapping[str, type[Input]]] = {
    "text_to_video": {"gen4.5": Gen45},
    "image_to_video": {"gen4.5": Gen45FromImage},
}
GEMINI: Mapping[str, type[Input]] = {"gemini-omni-1.1-flash": Omni11, "gemini-omni-1.2-flash": Omni12}


def check_input(model: type[Input], fields: Any, *, status: int) -> Input:
    """The input that these fields make; else an error of this status that has every problem."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        problems = [dict(problem) for problem in error.errors(include_url=False, include_context=False)]
        raise ApiError(status, "Input validation failed", problems=problems) from None


def frame(ratio: str, resolution: str) -> str:
    """The size of this shape whose short side is this long, in even pixels."""
    short = _SHORT_SIDES.get(resolution) or int(resolution[:-1])
    width, height = (int(side) for side in ratio.split(":"))
    long = 2 * ceil(short * Fraction(max(width, height), min(width, height)) / 2)
    return f"{long}x{short}" if width >= height else f"{short}x{long}"
