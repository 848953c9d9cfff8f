"""What a caller that may write and not read is told of a write: which rows it was about, and their status."""

from collections.abc import Mapping
from typing import Any, Final

from generation_history.models import Status

#: What an answer tells such a caller as it is.
TOLD: Final = frozenset({"generation_id", "message", "scene_ids", "status"})
#: Under these names an answer has a whole record: of it, its id and status.
RECORDS: Final = ("generation", "scene")


def acknowledgement(body: Mapping[str, Any]) -> dict[str, Any]:
    """Of the body of an answer, what its caller needs to go on; whatever is not named here is left out."""
    told = {name: value for name, value in body.items() if name in TOLD}
    for name in RECORDS:
        if name in body:
            told |= {f"{name}_id": body[name]["id"], "status": body[name]["status"]}
    return told


def acknowledgement_types(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a body's types, as contract.answers() takes them."""
    told = {name: kind for name, kind in body.items() if name in TOLD}
    for name in RECORDS:
        if name in body:
            told |= {f"{name}_id": str, "status": Status}
    return told
