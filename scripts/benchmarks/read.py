"""How long reads take: against their bare SQL, against the same reads among few generations, against the old way.

Before anything is timed, every way of asking must agree on ids, order and counts. Round trips to the database are
counted on the wire. The command fails if a limit is broken, and names it.
"""

import argparse
import json
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from scripts.benchmarks.reading import calls, fill, parity, place, timing
from scripts.benchmarks.reading.calls import Floor
from scripts.benchmarks.reading.cases import Case, cases
from scripts.benchmarks.reading.place import Place
from scripts.benchmarks.reading.round_trips import Counter
from scripts.benchmarks.reading.ways import OldWay, Plain
from scripts.local.host.project import ROOT

MANY, FEW, LEAST = 1_000_000, 10_000, 2_000
ROUNDS, OLD_ROUNDS = 100, 5

#: A handler may take so many times its floor, and so many milliseconds more; where it signs a page of URLs, even more.
FLOOR_RATIO = 1.25
HANDLER_MS = 1.0
SIGNING_MS = 2.0
#: Among MANY generations it may take so many times as long as among FEW.
GROWTH = 1.25


@dataclass(frozen=True)
class Measured:
    """One case: medians in milliseconds, and what they may be at most."""

    case: str
    floor: float
    handler: float
    most: float
    few: float
    old: float
    round_trips: int
    may_grow: bool

    def broken(self) -> Iterator[str]:
        """A sentence for each limit that does not hold."""
        if self.round_trips != 1:
            yield f"{self.case}: {self.round_trips} round trips instead of 1"
        if self.handler > self.most:
            yield f"{self.case}: {self.handler:.2f} ms, and may take {self.most:.2f}"
        if self.handler > GROWTH * self.few and not self.may_grow:
            yield f"{self.case}: {self.handler / self.few:.2f} x the time among few, and may take {GROWTH} x"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this benchmark may be asked for."""
    parser.add_argument("--generations", type=_count, default=MANY, metavar="N", help=f"instead of {MANY:,}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--reset", action="store_true", help="make the data anew instead of using the last run's")


def _count(text: str) -> int:
    if int(text) < LEAST:
        raise argparse.ArgumentTypeError(f"at least {LEAST}, or there are no pages to compare")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Prints the table; 1 if a limit is broken."""
    with place.server(ROOT / ".local" / "bench", reset=options.reset) as started:
        few, many = (place.filled(started, count) for count in (min(FEW, options.generations), options.generations))
        with calls.settings(few.api, many.api):
            pairs = list(zip(checked(many), checked(few), strict=True))
            about = _about(many, few)
            print(f"{about}\n\n{_HEADING}")
            measured: list[Measured] = []
            for case, among_few in pairs:
                measured.append(_measure(case, among_few, many, few))
                print(_line(measured[-1]), flush=True)
    broken = [sentence for one in measured for sentence in one.broken()]
    if options.json:
        figures = {"about": about, "cases": [asdict(one) for one in measured], "broken": broken}
        options.json.write_text(json.dumps(figures, indent=1))
    print("\n" + ("\n".join(f"BROKEN  {sentence}" for sentence in broken) or "Every limit holds."))
    return 1 if broken else 0


def checked(at: Place) -> list[Case]:
    """The cases of a database, each of which every way of asking answers the same; NoParityError if one does not."""
    with Plain(at.admin) as plain, OldWay(at.admin) as old:
        found = cases(at, plain, fill.small_owner(at.admin))
        for case in found:
            parity.check(case, at.api, plain, old)
    return found


def round_trips(case: Case, api_url: str) -> int:
    """The most round trips that a call of the case makes on a warm instance's connection."""
    parts = urlsplit(api_url)
    with Counter(parts.port or 0) as counter:
        counted = urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{counter.port}")))
        with calls.settings(counted):
            most = 0
            for ask in case.asks:
                call = calls.handler(ask.request, ask.owner, counted)
                call()
                before = counter.trips
                call()
                most = max(most, counter.trips - before)
    return most


def _measure(case: Case, among_few: Case, many: Place, few: Place) -> Measured:
    with ExitStack() as closing:
        handlers = [calls.handler(ask.request, ask.owner, many.api) for ask in case.asks]
        floors = [closing.enter_context(Floor(call, many.api)) for call in handlers]
        of_few = [calls.handler(ask.request, ask.owner, few.api) for ask in among_few.asks]
        took = timing.medians({"handler": handlers, "floor": floors, "few": of_few}, rounds=ROUNDS)
        old = closing.enter_context(OldWay(many.admin))
        ways = {"old": [lambda a=ask: a.otherwise(old) for ask in case.asks]}
        return Measured(
            case=case.name,
            floor=took["floor"],
            handler=took["handler"],
            most=FLOOR_RATIO * took["floor"] + HANDLER_MS + (SIGNING_MS if case.signs else 0),
            few=took["few"],
            old=timing.medians(ways, rounds=OLD_ROUNDS)["old"],
            round_trips=round_trips(case, many.api),
            may_grow=case.may_grow,
        )


_HEADING = f"{'ms, p50':38}   floor  handler  at most  among few  growth  trips   the old way"


def _line(one: Measured) -> str:
    growth = f"{one.handler / one.few:.2f}" + ("*" if one.may_grow else " ")
    return (
        f"{one.case:38} {one.floor:7.2f} {one.handler:8.2f} {one.most:8.2f} {one.few:10.2f} {growth:>7}"
        f" {one.round_trips:6} {one.old:9.1f} = {one.old / one.handler:.1f} x"
    )


def _about(many: Place, few: Place) -> str:
    with psycopg.connect(many.admin) as connection:
        row = connection.execute(
            "select split_part(version(), ' on ', 1), pg_size_pretty(pg_database_size(current_database()))"
        ).fetchone()
    version, size = row or ("", "")
    return (
        f"reads among {many.count:,} generations of 3 x 4 scenes ({size}), and among {few.count:,}\n"
        f"{version}, Python {platform.python_version()}, {os.cpu_count()} cores, {datetime.now(UTC):%d %B %Y}"
    )
