"""Times and statuses of old rows, as the record takes them."""

from datetime import UTC, datetime
from typing import Final

from generation_history.importing.report import Decisions
from generation_history.importing.source import Row
from generation_history.models import STATUSES, Status

#: What is over.
ENDED: Final = frozenset({"completed", "failed"})
#: The time of this run: what has no time at all gets it.
_NOW: Final = datetime.now(UTC)


def created_at(row: Row) -> datetime:
    """When the row was created, or the nearest that it says."""
    return row["created_at"] or row["updated_at"] or _NOW


def updated_at(row: Row) -> datetime:
    """When the row was changed, or the nearest that it says."""
    return row["updated_at"] or row["created_at"] or _NOW


def times_of(table: str, row: Row, status: Status, told: Decisions, completed: datetime | None = None) -> Row:
    """The three times; completed is when it was, where the row itself cannot say so."""
    made = {"created_at": created_at(row), "updated_at": updated_at(row), "completed_at": None}
    for column in ("created_at", "updated_at"):
        if row[column] is None:
            told.change(f"{column}_missing", table, row, column, made[column])
    if status == "completed":
        made["completed_at"] = row["completed_at"] or completed or made["updated_at"]
        if row["completed_at"] is None:
            told.change("completed_at_missing", table, row, "completed_at", made["completed_at"])
    elif row["completed_at"] is not None:
        told.change("completed_at_removed", table, row, "completed_at", None)
    return made


def status_of(table: str, row: Row, told: Decisions) -> Status:
    """The row's status, one of the four."""
    written = str(row["status"] or "")
    status = written.strip().lower()
    if status not in STATUSES:
        told.change("status_unknown", table, row, "status", "failed")
        return "failed"
    if status != written:
        told.change("status_in_capitals", table, row, "status", status)
    return status


def cut(table: str, row: Row, column: str, most: int, told: Decisions) -> str | None:
    """The text of the column, not longer than that."""
    text = row[column]
    if text is None or len(text) <= most:
        return text
    told.change("text_cut", table, row, column, text[:most])
    return text[:most]
