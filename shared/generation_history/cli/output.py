"""What a command prints: one JSON document for scripts or tables for people, and progress on standard error."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from generation_history.cli.history import Answer
from generation_history.recordable import plain

#: Of a table that goes to a file or another program.
WIDTH_ELSEWHERE: Final = 200
#: A cell's text that is not known.
UNKNOWN: Final = "unknown"
STYLES: Final = {"completed": "green", "failed": "red", "processing": "yellow", "pending": "dim"}


class Output:
    """Standard output and standard error of one command."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        is_terminal = sys.stdout.isatty()
        self._out = Console(width=None if is_terminal else WIDTH_ELSEWHERE, highlight=False, markup=False, emoji=False)
        self._err = Console(stderr=True, highlight=False, markup=False, emoji=False)

    def document(self, answer: Answer) -> None:
        """Prints the one JSON document of a command that was asked for one."""
        # ASCII: any terminal and any pipe takes it.
        sys.stdout.write(json.dumps(answer, indent=2, default=str) + "\n")

    def line(self, text: str, *, style: str = "") -> None:
        """Prints a line for people; it is not cut."""
        self._out.print(Text(plain(text), style=style), soft_wrap=True)

    def note(self, text: str) -> None:
        """Prints a line beside the output: on standard error, so that no script reads it as a part of that."""
        self._err.print(Text(plain(text)), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Prints a table: numbers to the right, a status in its colour, the last column in several lines if need be."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        listed = [list(row) for row in rows]
        last = len(columns) - 1
        for number, name in enumerate(columns):
            numeric = any(isinstance(row[number], (int, float)) for row in listed)
            table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=number < last)
        for row in listed:
            table.add_row(*map(_cell, row))
        self._out.print(table)

    def byte_progress(self) -> Progress:
        """A bar of bytes; nothing where standard error is no terminal."""
        return self._progress(BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())

    def count_progress(self) -> Progress:
        """A bar of things that are done one by one; nothing where standard error is no terminal."""
        return self._progress(BarColumn(), MofNCompleteColumn())

    def _progress(self, *columns: ProgressColumn) -> Progress:
        text = TextColumn("{task.description}", markup=False)
        return Progress(text, *columns, console=self._err, transient=True, disable=not self._err.is_terminal)


def moment(iso: str | None) -> str:
    """A time as people read it, in the zone of this machine; empty where there is none."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M") if iso else ""


def short_moment(iso: str) -> str:
    """The same in a narrow column: without the year if it is this one, else without the time of day."""
    at, now = datetime.fromisoformat(iso).astimezone(), datetime.now(UTC).astimezone()
    return at.strftime("%m-%d %H:%M" if at.year == now.year else "%Y-%m-%d")


def dollars(amount: float | None) -> str:
    """An amount in US dollars; what nobody knows is not shown as 0."""
    return UNKNOWN if amount is None else f"${amount:,.2f}"


def megabytes(size: int | None) -> str:
    """A size in millions of bytes; empty where it is not recorded."""
    return "" if size is None else f"{size / 1e6:,.1f} MB"


def _cell(value: object) -> Text:
    text = plain("" if value is None else str(value))
    return Text(text, style=STYLES.get(text, ""))
