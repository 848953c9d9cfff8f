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
    with place.server(ROOT / ".local" / "bench", reset=options.reset) as server:
        small_place, large_place = (
            place.filled(server, count) for count in (min(FEW, options.generations), options.generations)
        )
        with calls.settings(small_place.api, large_place.api):
            pairs = list(zip(checked(large_place), checked(small_place), strict=True))
            about = _about(large_place, small_place)
            print(f"{about}\n\n{_HEADING}")
            measured: list[Measured] = []
            for case, small_case in pairs:
                measured.append(_measure(case, small_case, large_place, small_place))
                print(_line(measured[-1]), flush=True)
    broken = [sentence for result in measured for sentence in result.broken()]
    if options.json:
        figures = {"about": about, "cases": [asdict(result) for result in measured], "broken": broken}
        options.json.write_text(json.dumps(figures, indent=1))
    print("\n" + ("\n".join(f"BROKEN  {sentence}" for sentence in broken) or "Every limit holds."))
    return 1 if broken else 0


def checked(database: Place) -> list[Case]:
    """The cases of a database, each of which every way of asking answers the same; NoParityError if one does not."""
    with Plain(database.admin) as plain, OldWay(database.admin) as old_way:
        checked_cases = cases(database, plain, fill.small_owner(database.admin))
        for case in checked_cases:
            parity.check(case, database.api, plain, old_way)
    return checked_cases


def round_trips(case: Case, api_url: str) -> int:
    """The most round trips that a call of the case makes on a warm instance's connection."""
    parts = urlsplit(api_url)
    with Counter(parts.port or 0) as counter:
        proxy_url = urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{counter.port}")))
        with calls.settings(proxy_url):
            most_trips = 0
            for ask in case.asks:
                call = calls.handler(ask.request, ask.owner, proxy_url)
                call()
                trips_before = counter.trips
                call()
                most_trips = max(most_trips, counter.trips - trips_before)
    return most_trips


def _measure(case: Case, small_case: Case, large_place: Place, small_place: Place) -> Measured:
    with ExitStack() as closing:
        handlers = [calls.handler(ask.request, ask.owner, large_place.api) for ask in case.asks]
        floors = [closing.enter_context(Floor(call, large_place.api)) for call in handlers]
        small_calls = [calls.handler(ask.request, ask.owner, small_place.api) for ask in small_case.asks]
        medians = timing.medians({"handler": handlers, "floor": floors, "few": small_calls}, rounds=ROUNDS)
        old_way = closing.enter_context(OldWay(large_place.admin))
        ways = {"old": [lambda a=ask: a.outline_by(old_way) for ask in case.asks]}
        return Measured(
            case=case.name,
            floor=medians["floor"],
            handler=medians["handler"],
            most=FLOOR_RATIO * medians["floor"] + HANDLER_MS + (SIGNING_MS if case.signs else 0),
            few=medians["few"],
            old=timing.medians(ways, rounds=OLD_ROUNDS)["old"],
            round_trips=round_trips(case, large_place.api),
            may_grow=case.may_grow,
        )


_HEADING = f"{'ms, p50':38}   floor  handler  at most  among few  growth  trips   the old way"


def _line(result: Measured) -> str:
    growth = f"{result.handler / result.few:.2f}" + ("*" if result.may_grow else " ")
    return (
        f"{result.case:38} {result.floor:7.2f} {result.handler:8.2f} {result.most:8.2f} {result.few:10.2f} {growth:>7}"
        f" {result.round_trips:6} {result.old:9.1f} = {result.old / result.handler:.1f} x"
    )


def _about(large_place: Place, small_place: Place) -> str:
    with psycopg.connect(large_place.admin) as connection:
        row = connection.execute(
            "select split_part(version(), ' on ', 1), pg_size_pretty(pg_database_size(current_database()))"
        ).fetchone()
    version, size = row or ("", "")
    return (
        f"reads among {large_place.count:,} generations of 3 x 4 scenes ({size}), and among {small_place.count:,}\n"
        f"{version}, Python {platform.python_version()}, {os.cpu_count()} cores, {datetime.now(UTC):%d %B %Y}"
    )
