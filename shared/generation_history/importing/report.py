"""Report: what came, what was changed, what did not come and why: a line each, and counts by reason."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Literal, NamedTuple, Self

from generation_history.importing.reasons import REASONS
from generation_history.recordable import plain

Kind = Literal["changed", "refused", "noted"]

TABLES: Final = ("generations", "variants", "scenes", "generation_metadata")
#: What is shown of a value: a prompt or an analysis is long.
MAX_SHOWN: Final = 120
#: Refused rows that the text names; the file has them all.
MAX_NAMED: Final = 40
_TITLES: Final = {
    "changed": "changed, by reason",
    "refused": "did not come, by reason",
    "noted": "told besides, by reason",
}


class Line(NamedTuple):
    """One change, one row that did not come, or one thing that is told besides."""

    kind: Kind
    reason: str
    table: str
    id: str
    generation_id: str = ""
    column: str = ""
    old: str = ""
    new: str = ""


def shown(value: object) -> str:
    """The value as a line shows it, shortened."""
    text = "" if value is None else str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}... ({len(text)} characters)"


class Decisions:
    """What was decided of the rows of one generation."""

    def __init__(self, generation_id: object = "") -> None:
        self.lines: list[Line] = []
        self._generation_id = str(generation_id)

    def change(self, reason: str, table: str, row: dict[str, Any], column: str, new: object) -> None:
        """The row gets another value in this column."""
        self._add("changed", reason, table, row["id"], column, row.get(column), new)

    def refuse(self, reason: str, table: str, row: dict[str, Any], value: object = None) -> None:
        """The row does not come."""
        self._add("refused", reason, table, row["id"], "", value)

    def note(self, reason: str, table: str, name: object, value: object = None, new: object = None) -> None:
        """Something is told besides."""
        self._add("noted", reason, table, name, "", value, new)

    def _add(
        self, kind: Kind, reason: str, table: str, name: object, column: str, old: object, new: object = None
    ) -> None:
        self.lines.append(Line(kind, reason, table, str(name), self._generation_id, column, shown(old), shown(new)))


class Report(AbstractContextManager["Report"]):
    """Counts, and every line in a CSV file where one is named.

    Lines are added to what the file has, so that the runs of one import are told in one file. What a run told of
    rows that were not committed any more is told again by the next one.
    """

    def __init__(self, *, run: str, path: Path | None = None) -> None:
        """Call the run "dry run" or "apply"."""
        self.came: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.there: Counter[str] = Counter()
        self.there_before: Counter[str] = Counter()
        self.reasons: Counter[tuple[Kind, str]] = Counter()
        self._named: list[Line] = []
        self._run = run
        self._path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            is_new = not self._path.exists() or self._path.stat().st_size == 0
            self._file = self._path.open("a", encoding="utf-8", newline="")
            if is_new:
                csv.writer(self._file).writerow(["run", *Line._fields])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, lines: Iterable[Line]) -> None:
        """The lines are counted, and in the file when this returns."""
        rows: list[tuple[str, ...]] = []
        for line in lines:
            self.reasons[line.kind, line.reason] += 1
            if line.kind == "refused":
                self.refused[line.table] += 1
                if len(self._named) < MAX_NAMED:
                    self._named.append(line)
            rows.append((self._run, *line))
        if self._file is not None:
            # What a spreadsheet would take for a formula is none.
            csv.writer(self._file).writerows([_plain(cell) for cell in row] for row in rows)
            self._file.flush()

    def unaccounted(self) -> dict[str, int]:
        """By table, how many rows of the older installation neither came, nor are here, nor have a line; none is 0."""
        found = {
            table: self.there[table] - self.came[table] - self.refused[table] - self.there_before[table]
            for table in TABLES
        }
        return {table: number for table, number in found.items() if number}

    def text(self) -> str:
        """The counts by table and by reason, and the first rows that did not come."""
        return "\n".join(self._texts())

    def _texts(self) -> Iterator[str]:
        verb = "would come" if self._run == "dry run" else "came"
        yield f"{'':22}{'there':>10}{verb:>12}{'did not':>10}{'here before':>13}"
        for table in TABLES:
            counts = self.there[table], self.came[table], self.refused[table], self.there_before[table]
            yield f"{table:22}{counts[0]:10,}{counts[1]:12,}{counts[2]:10,}{counts[3]:13,}"
        for kind, title in _TITLES.items():
            told = [(number, reason) for (of, reason), number in self.reasons.items() if of == kind]
            if told:
                yield f"\n{title}:"
                yield from (
                    f"{number:10,}  {reason}: {REASONS[reason]}" for number, reason in sorted(told, reverse=True)
                )
        if self._named:
            yield "\nrows that did not come:"
            yield from (f"  {line.table} {line.id}  {line.reason}  {plain(line.old)}".rstrip() for line in self._named)
            if (more := self.refused.total() - len(self._named)) > 0:
                yield f"  ... and {more:,} more: --report FILE.csv names them all"
        for table, number in self.unaccounted().items():
            yield f"\n{number:,} rows of {table} are not accounted for"


def _plain(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
