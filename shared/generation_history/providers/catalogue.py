"""The catalogue of models: what each can be asked for, how that is spelled in its body, and what it costs.

models.json has ours. An operator's entries, in the table video_models, add to them and correct them.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from generation_history import limits
from generation_history.errors import InvalidValue
from generation_history.provider_kinds import KINDS, SORA, split_model
from generation_history.providers import VideoRequest

_FILE: Final = Path(__file__).with_name("models.json")
Size = Annotated[str, Field(pattern=r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$")]
#: A name in the body, or several with dots between them, each within the one before.
BodyField = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Duration(_Entry):
    """The lengths in whole seconds that a model has, and how its body spells one."""

    field: BodyField
    spelling: Literal["number", "text", "text with s"] = Field(alias="as")
    shortest: int = Field(alias="from", ge=1)
    longest: int = Field(alias="to", ge=1, le=limits.MAX_SECONDS)
    #: Just these, where not every one between the shortest and the longest.
    only: tuple[int, ...] = ()

    @property
    def choices(self) -> list[int]:
        """Every length that the model has, in seconds."""
        return sorted(self.only) or list(range(self.shortest, self.longest + 1))

    def spelled(self, seconds: int) -> int | str:
        """The length as the body has it."""
        match self.spelling:
            case "number":
                return seconds
            case "text":
                return str(seconds)
            case "text with s":
                return f"{seconds}s"


class Price(_Entry):
    """What a second costs, of these sizes, or of all."""

    sizes: tuple[Size, ...] = ()
    usd_per_second: Decimal = Field(ge=0)
    usd_per_second_with_sound: Decimal | None = Field(default=None, ge=0)


class Default(_Entry):
    """What is asked for where a caller names no size and no length."""

    size: Size
    seconds: int


class Model(_Entry):
    """One model: name is kind:model, the others say what it takes and which field of the body each is in."""

    name: str = Field(max_length=limits.MAX_MODEL)
    prompt: BodyField
    duration: Duration
    #: The fields of the body that mean this size.
    sizes: Mapping[Size, Mapping[BodyField, str | int]] = Field(min_length=1)
    default: Default
    #: None: it has no such thing.
    seed: BodyField | None = None
    sound: BodyField | None = None
    image: BodyField | None = None
    #: The model that takes an image, where that is another one.
    image_model: str | None = Field(default=None, max_length=limits.MAX_MODEL)
    #: Under which name its jobs are looked up, where that is another one than its own.
    polled_as: str | None = Field(default=None, max_length=limits.MAX_MODEL)
    #: Fields that every body of it has.
    constants: Mapping[BodyField, str | int | bool] = {}
    max_prompt: int | None = Field(default=None, ge=1)
    prices: tuple[Price, ...] = ()
    price_source: str | None = None
    #: When somebody last compared this with what the provider says.
    checked: date

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if ":" not in self.name or split_model(self.name)[0] != self.name.partition(":")[0]:
            raise ValueError(f"name: must begin with a kind and a colon, one of {', '.join(KINDS)}")
        if self.default.size not in self.sizes or self.default.seconds not in self.duration.choices:
            raise ValueError("default: must be a size and a length that the model has")
        if unknown := {size for price in self.prices for size in price.sizes} - self.sizes.keys():
            raise ValueError(f"prices: the model has no size {', '.join(sorted(unknown))}")
        return self

    @property
    def kind(self) -> str:
        """The kind of provider that has it."""
        return split_model(self.name)[0]

    @property
    def provider_model(self) -> str:
        """Its own name there."""
        return split_model(self.name)[1]

    def check(self, request: VideoRequest) -> None:
        """InvalidValue where the model cannot do this, with the nearest that it can."""
        if request.size not in self.sizes:
            raise InvalidValue(
                f"size: {self.name} has no {request.size}; the nearest is {self._nearest_size(request.size)}"
            )
        if request.seconds not in self.duration.choices:
            nearest = min(self.duration.choices, key=lambda seconds: abs(seconds - request.seconds))
            raise InvalidValue(f"seconds: {self.name} has no videos of {request.seconds} s; the nearest is {nearest}")
        length = _units(request.prompt)
        if self.max_prompt is not None and length > self.max_prompt:
            raise InvalidValue(f"sora_prompt: {self.name} takes at most {self.max_prompt} characters, not {length}")
        for name, value in (("sound", request.sound), ("seed", request.seed), ("image", request.image)):
            if value is not None and getattr(self, name) is None:
                raise InvalidValue(f"{name}: {self.name} has no such choice; leave {name} out")

    def body(self, request: VideoRequest) -> dict[str, Any]:
        """The body of the POST, but for the image, which each kind puts into it by its own way."""
        self.check(request)
        body: dict[str, Any] = {}
        for field, value in self.constants.items():
            put(body, field, value)
        put(body, self.prompt, request.prompt)
        put(body, self.duration.field, self.duration.spelled(request.seconds))
        for field, value in self.sizes[request.size].items():
            put(body, field, value)
        if self.sound is not None and request.sound is not None:
            put(body, self.sound, request.sound)
        if self.seed is not None and request.seed is not None:
            put(body, self.seed, request.seed)
        return body

    def cost(self, request: VideoRequest) -> Decimal | None:
        """The US dollars that the request costs; None where the price is not known."""
        price = next((price for price in self.prices if not price.sizes or request.size in price.sizes), None)
        if price is None:
            return None
        with_sound = price.usd_per_second_with_sound
        # Where nobody says, the provider's own choice may be the dearer one.
        has_sound = with_sound is not None and request.sound is not False
        return request.seconds * (with_sound if has_sound and with_sound is not None else price.usd_per_second)

    def _nearest_size(self, size: str) -> str:
        width, height = _pixels(size)

        def distance(candidate: str) -> tuple[float, float]:
            other_width, other_height = _pixels(candidate)
            # Sizes in whole pixels are of the same shape but for a few thousandths.
            return round(abs(width / height - other_width / other_height), 2), abs(width - other_width)

        return min(self.sizes, key=distance)


class Catalogue:
    """All models that are known here, by their full names."""

    def __init__(self, models: Iterable[Model]) -> None:
        self.models: Final[Mapping[str, Model]] = {model.name: model for model in models}

    def find(self, name: str) -> Model | None:
        """The model of this full name; None for a model of a `/v1/videos` server that nobody has described.

        InvalidValue for any other one that is not known, with the nearest names.
        """
        model = self.models.get(name) or self.models.get(f"{SORA.name}:{name}")
        kind, _ = split_model(name)
        if model is None and kind != SORA.name:
            names = get_close_matches(name, self.models, n=3, cutoff=0.3) or [
                known for known in self.models if split_model(known)[0] == kind
            ]
            raise InvalidValue(f"model: {name} is not known here; the nearest are {', '.join(names) or 'none'}")
        return model

    def default_of(self, kind: str) -> Model | None:
        """The first model of a kind; None where none is known."""
        return next((model for model in self.models.values() if model.kind == kind), None)


@cache
def ours() -> tuple[Model, ...]:
    """The models of models.json."""
    return tuple(TypeAdapter(list[Model]).validate_json(_FILE.read_bytes()))


def catalogue(definitions: Iterable[Mapping[str, Any]] = ()) -> Catalogue:
    """Our models, and an operator's, which come after ours and go before ours of the same name."""
    return Catalogue([*ours(), *(parse_model(definition) for definition in definitions)])


def parse_model(definition: Mapping[str, Any]) -> Model:
    """The model that an entry describes; InvalidValue names the field that is in the way."""
    try:
        return Model.model_validate(definition)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place, words = ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")
        raise InvalidValue(f"{place}: {words}" if place else words) from None


def put(body: dict[str, Any], field: BodyField, value: object) -> None:
    """Puts a value into the body, under a name or under a path of names."""
    *path, last = field.split(".")
    for name in path:
        body = cast("dict[str, Any]", body.setdefault(name, {}))
    body[last] = value


def _units(prompt: str) -> int:
    """How long a text is for most who limit one: in units of UTF-16, of which an emoji has two."""
    return len(prompt.encode("utf-16-le", errors="replace")) // 2


def _pixels(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    try:
        return int(width), max(1, int(height))
    except ValueError:
        raise InvalidValue(f"size: {size} is not WIDTHxHEIGHT") from None
