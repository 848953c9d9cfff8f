"""What a caller that may write and not read is told of a write: which rows it was about, and their status."""

from collections.abc import Mapping
from typing import Any, Final

from generation_history.models import Status

#: What an answer tells such a caller as it is.
ACKNOWLEDGED: Final = frozenset({"generation_id", "message", "scene_ids", "status"})
#: Under these names an answer has a whole record: of it, its id and status.
RECORDS: Final = ("generation", "scene")


def acknowledgement(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an answer's body that its caller needs to go on. All other fields are left out."""
    fields = {name: value for name, value in body.items() if name in ACKNOWLEDGED}
    for name in RECORDS:
        if name in body:
            fields |= {f"{name}_id": body[name]["id"], "status": body[name]["status"]}
    return fields


def acknowledgement_types(body: Mapping[str, Any]) -> dict[str, Any]:
    """The types of acknowledgement()'s fields, from a body's types as contract.answers() takes them."""
    types = {name: kind for name, kind in body.items() if name in ACKNOWLEDGED}
    for name in RECORDS:
        if name in body:
            types |= {f"{name}_id": str, "status": Status}
    return types
