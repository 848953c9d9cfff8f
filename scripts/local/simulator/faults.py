"""The faults that are switched on: which request is answered badly, and how; in memory only."""

import random
import threading
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from scripts.local.simulator.errors import ApiError

#: What a fault is put on: "create" is every kind's, "fal.create" one kind's alone ("sora" is /v1/videos); everything is
#: every request, even one that has no key or no route; a webhook's faults happen to a job's event.
Place = Annotated[
    str,
    StringConstraints(
        pattern=r"^((sora|fal|replicate|runway|gemini)\.)?"
        r"(create|retrieve|result|list|content|cancel|delete|everything|webhook)$"
    ),
]
Kind = Literal[
    "status",
    "html",
    "json",
    "close",
    "hang",
    "truncate",
    "slow",
    "vague",
    "omit",
    "retired",
    "no_balance",
    "lost",
    "late",
    "double",
    "early",
]

_SHOWING_JOBS = {"create", "retrieve", "list"}
_ON_CREATE = {"retired", "no_balance"}
_ON_WEBHOOK = {"lost", "late", "double", "early"}
MAX_HANG_SECONDS = 3600


class Fault(BaseModel):
    """One way to answer badly, and how often: on every request, on a share of them, at most so many times."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: status: an error in the manner's envelope; html and json: a page or an object, as 200 unless a status is named;
    #: close: no answer; hang: none for so many seconds; truncate: half of the answer; slow: all of it, dripping;
    #: vague: every job in it has this word for its status; omit: a list without the jobs of the last so many seconds;
    #: retired, no_balance: what a kind says of a model that is gone, and to an account that is empty. A job's event may
    #: be lost: it never comes; late: so many seconds after the job is over; double; early: before its POST's answer.
    kind: Kind = "status"
    #: What the error says.
    message: str = "The simulator was told to answer so."
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after: Annotated[int, Field(ge=0)] | None = None
    seconds: Annotated[float, Field(ge=0, le=MAX_HANG_SECONDS)] = 60.0
    word: str = "dreaming"
    bytes_per_second: Annotated[float, Field(gt=0)] | None = None
    #: The job is made and its POST counted, and only then the answer goes wrong.
    after_accepting: bool = False
    times: Annotated[int, Field(ge=1)] | None = None
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    seed: int = 0

    @property
    def is_late(self) -> bool:
        """Whether the request is carried out first, and only its answer spoiled."""
        return self.after_accepting or self.kind in {"truncate", "slow", "vague", "omit"}

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.kind == "status" and self.status is None:
            raise ValueError("a fault needs a kind or a status")
        if self.kind == "slow" and self.bytes_per_second is None:
            raise ValueError("slow needs bytes_per_second")
        return self


def _as_list(value: object) -> object:
    return cast("object", value) if isinstance(value, list) else [value]


_PLAN = TypeAdapter(dict[Place, Annotated[list[Fault], BeforeValidator(_as_list)]])


class ArmedFault:
    """A fault in its place: how often it may still happen, and how often it did."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.happened = 0
        self._random = random.Random(fault.seed)  # noqa: S311 - the same faults for the same seed

    def strikes(self) -> bool:
        """Whether this request is one that the fault happens to; it is counted."""
        if self.happened == self.fault.times or self._random.random() >= self.fault.share:
            return False
        self.happened += 1
        return True


class Faults:
    """The faults of one simulator; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set: dict[Place, list[ArmedFault]] = {}

    def replace(self, plan: object) -> None:
        """From now on these and no other; a plan that makes no sense is a 400 that says where, and changes nothing."""
        try:
            places = _PLAN.validate_python(plan)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "the plan"
            raise ApiError(400, f"Invalid fault: {field}: {first['msg']}.", param=field) from None
        for place, faults in places.items():
            for fault in faults:
                _check_place(place, fault)
        with self._lock:
            self._set = {place: [ArmedFault(fault) for fault in faults] for place, faults in places.items()}

    def strike(self, kind: str, name: str) -> ArmedFault | None:
        """The first fault in this kind's place, or in every kind's, that happens now, if any does."""
        with self._lock:
            faults = [*self._set.get(f"{kind}.{name}", []), *self._set.get(name, [])]
            return next((fault for fault in faults if fault.strikes()), None)

    def uncount(self, fault: ArmedFault) -> None:
        """It did not happen after all."""
        with self._lock:
            fault.happened -= 1

    def as_json(self) -> Mapping[str, Any]:
        """What is set, as it was put, and how often each happened."""
        with self._lock:
            return {
                place: [{**fault.fault.model_dump(exclude_unset=True), "happened": fault.happened} for fault in faults]
                for place, faults in self._set.items()
            }


def _check_place(place: Place, fault: Fault) -> None:
    name = place.rpartition(".")[2]
    if name != "create" and fault.after_accepting:
        raise ApiError(400, "Invalid fault: after_accepting belongs to create.", param=place)
    if name not in _SHOWING_JOBS and fault.kind == "vague":
        raise ApiError(400, "Invalid fault: vague belongs to answers that show jobs.", param=place)
    if (fault.kind in _ON_WEBHOOK) != (name == "webhook"):
        raise ApiError(400, "Invalid fault: lost, late, double and early belong to a webhook, alone.", param=place)
    if (fault.kind in _ON_CREATE and name != "create") or (fault.kind == "omit" and name != "list"):
        raise ApiError(400, f"Invalid fault: {fault.kind} belongs elsewhere.", param=place)
