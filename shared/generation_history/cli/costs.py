"""costs: what was paid and what was estimated in a period, by day or by generation."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Final

import click

from generation_history.archives.download_names import source_name
from generation_history.cli.history import Answer, Filters, History, pages
from generation_history.cli.options import with_filters, with_record
from generation_history.cli.output import Output, dollars, short_moment

_SUMS: Final = ("generations", "cost", "cost_unknown", "estimated_cost", "estimate_unknown")


@click.command()
@with_record
@with_filters
@click.option("--by", type=click.Choice(["day", "generation"]), default="day", show_default=True, help="A line each.")
def costs(history: History, out: Output, *, filters: Filters, by: str) -> None:
    """Sum the costs of a period. Its generations were created in it: in the last 30 days, unless it is named."""
    # Late: it brings the database's client with it.
    from generation_history.record.stats import first_day  # noqa: PLC0415

    today = datetime.now(UTC).date()
    earliest = first_day(today)
    filters = {**filters, "created_from": filters.get("created_from") or str(earliest)}
    if by == "generation":
        rows = [_of_generation(one) for page in pages(history, filters) for one in page["generations"]]
        total = _sum(map(_as_sums, rows))
    else:
        by_stats = _of_stats(history, filters, earliest, today)
        rows = _of_list(history, filters) if by_stats is None else by_stats
        total = _sum(rows)
    if out.as_json:
        period = {"created_from": filters.get("created_from"), "created_to": filters.get("created_to")}
        out.document({"success": True, **period, f"{by}s": rows, "total": total})
        return
    if by == "generation":
        out.table(("id", "created", "status", "cost", "estimate", "source"), map(_generation_row, rows))
    else:
        out.table(("day (UTC)", *map(_heading, _SUMS)), (_day_row(row["day"], row) for row in rows))
    out.line("")
    out.line(f"total of {total['generations']} generations since {filters.get('created_from')}")
    out.line(f"cost      {dollars(total['cost'])}, and {total['cost_unknown']} whose cost is unknown")
    out.line(f"estimated {dollars(total['estimated_cost'])}, and {total['estimate_unknown']} without an estimate")


def _of_stats(history: History, filters: Filters, earliest: date, today: date) -> list[Answer] | None:
    """The days as the statistics have them, in one call; None where these cannot tell: other filters, longer ago."""
    first, last = filters.get("created_from") or "", filters.get("created_to") or str(today)
    narrower = filters.get("status") or filters.get("variant_type") or filters.get("q")
    if narrower or not _is_day(first) or not _is_day(last) or first < str(earliest):
        return None
    days = history.get_stats()["stats"]["by_day"]
    return [_named(day) for day in days if day["generations"] and first <= day["day"] <= last]


def _of_list(history: History, filters: Filters) -> list[Answer]:
    by_day: dict[str, list[Answer]] = defaultdict(list)
    for page in pages(history, filters):
        for generation in page["generations"]:
            day = datetime.fromisoformat(generation["created_at"]).astimezone(UTC).date()
            by_day[str(day)].append(_as_sums(generation))
    return [{"day": day, **_sum(by_day[day])} for day in sorted(by_day)]


def _is_day(text: str) -> bool:
    try:
        return str(date.fromisoformat(text)) == text
    except ValueError:
        return False


def _named(day: Answer) -> Answer:
    return {name: day[name] for name in ("day", *_SUMS)}


def _of_generation(generation: Answer) -> Answer:
    names = ("id", "short_id", "created_at", "status", "source_video_url", "actual_cost", "cost_estimate")
    return {name: generation[name] for name in names}


def _as_sums(generation: Answer) -> Answer:
    cost, estimate = generation["actual_cost"], generation["cost_estimate"]
    return {
        "generations": 1,
        "cost": cost or 0.0,
        "cost_unknown": int(cost is None),
        "estimated_cost": estimate or 0.0,
        "estimate_unknown": int(estimate is None),
    }


def _sum(rows: Iterable[Answer]) -> Answer:
    """The rows' sums; an amount that nobody knows is counted, and adds nothing."""
    listed = list(rows)
    counts = {name: sum(row[name] for row in listed) for name in _SUMS if not name.endswith("cost")}
    amounts = {name: round(math.fsum(row[name] for row in listed), 6) for name in _SUMS if name.endswith("cost")}
    return {name: {**counts, **amounts}[name] for name in _SUMS}


def _heading(name: str) -> str:
    return name.replace("_", " ")


def _day_row(day: str, row: Answer) -> Sequence[object]:
    return (
        day,
        row["generations"],
        dollars(row["cost"]),
        row["cost_unknown"],
        dollars(row["estimated_cost"]),
        row["estimate_unknown"],
    )


def _generation_row(row: Answer) -> Sequence[object]:
    return (
        row["short_id"],
        short_moment(row["created_at"]),
        row["status"],
        dollars(row["actual_cost"]),
        dollars(row["cost_estimate"]),
        source_name(row["source_video_url"]),
    )
