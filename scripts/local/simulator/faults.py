"""The faults that are switched on: which request is answered badly, and how; in memory only."""

import random
import threading
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from scripts.local.simulator.errors import ApiError

#: What a fault is put on; everything is every request to /v1, even one that has no key or no route.
Place = Literal["create", "retrieve", "list", "content", "delete", "everything"]
Kind = Literal["status", "html", "json", "close", "hang", "truncate", "slow", "vague"]

_SHOWING_JOBS = {"create", "retrieve", "list"}
MAX_HANG_SECONDS = 3600


class Fault(BaseModel):
    """One way to answer badly, and how often: on every request, on a share of them, at most so many times."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: status: an error in the manner's envelope; html and json: a page or an object, as 200 unless a status is named;
    #: close: no answer; hang: none for so many seconds; truncate: half of the answer; slow: all of it, dripping;
    #: vague: every job in it has this word for its status.
    kind: Kind = "status"
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
        return self.after_accepting or self.kind in {"truncate", "slow", "vague"}

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
            if place != "create" and any(fault.after_accepting for fault in faults):
                raise ApiError(400, "Invalid fault: after_accepting belongs to create.", param=place)
            if place not in _SHOWING_JOBS and any(fault.kind == "vague" for fault in faults):
                raise ApiError(400, "Invalid fault: vague belongs to answers that show jobs.", param=place)
        with self._lock:
            self._set = {place: [ArmedFault(fault) for fault in faults] for place, faults in places.items()}

    def strike(self, place: Place) -> ArmedFault | None:
        """The first fault in this place that happens now, if any does."""
        with self._lock:
            return next((fault for fault in self._set.get(place, []) if fault.strikes()), None)

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
