"""Statistics as get_stats() returns them: summed by one statement from what is merged already and what is not yet."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date, timedelta
from typing import Final

from generation_history.db.database import Row
from generation_history.models import VARIANT_TYPES, ByStatus, DayStats, Outcome, Stats, VariantStats, VariantType

#: How many days statistics tell of one by one; today, by UTC, is the last.
DAYS: Final = 30

#: A row a day and kind, as owner_day_stats has them; day null stands for all days.
READ_STATS: Final = """
    select nullif(day, '-infinity') as day, kind,
           sum(pending)::bigint as pending, sum(processing)::bigint as processing, sum(completed)::bigint as completed,
           sum(failed)::bigint as failed, sum(cost)::float as cost, sum(cost_unknown)::bigint as cost_unknown,
           sum(estimated_cost)::float as estimated_cost, sum(estimate_unknown)::bigint as estimate_unknown,
           sum(videos)::bigint as videos, sum(scenes_failed)::bigint as scenes_failed, sum(bytes) as bytes,
           sum(seconds)::bigint as seconds
    from (
        select day, kind, pending, processing, completed, failed, cost, cost_unknown, estimated_cost, estimate_unknown,
               videos, scenes_failed, bytes, seconds
        from owner_day_stats where day = '-infinity' or day between %(first_day)s and %(today)s
        union all
        select coalesce(day, '-infinity'), kind, sum(pending), sum(processing), sum(completed), sum(failed), sum(cost),
               sum(cost_unknown), sum(estimated_cost), sum(estimate_unknown), sum(videos), sum(scenes_failed),
               sum(bytes), sum(seconds)
        from stat_deltas
        group by grouping sets ((day, kind), (kind))
        having day is null or day between %(first_day)s and %(today)s
    ) t
    group by day, kind
"""
_COUNTS: Final = (
    "pending",
    "processing",
    "completed",
    "failed",
    "cost_unknown",
    "estimate_unknown",
    "videos",
    "scenes_failed",
    "bytes",
    "seconds",
)
_NOTHING: Final[Row] = {**dict.fromkeys(_COUNTS, 0), "cost": 0.0, "estimated_cost": 0.0}


def first_day(today: date) -> date:
    """The first of the days that statistics tell of one by one."""
    return today - timedelta(days=DAYS - 1)


def stats_of(rows: Iterable[Row], today: date) -> Stats:
    """The statistics that these rows of READ_STATS are; days without anything are there as well."""
    by_day: dict[date | None, dict[str, Row]] = {}
    for row in rows:
        by_day.setdefault(row["day"], {})[row["kind"]] = row
    all_days = by_day.get(None, {})
    generations = all_days.get("generation", _NOTHING)
    by_status, outcome = _by_status(generations), _outcome(all_days.values())
    days = [first_day(today) + timedelta(days=number) for number in range(DAYS)]
    return {
        "total_generations": _number(by_status),
        **by_status,
        "total_cost": generations["cost"],
        "cost_unknown": generations["cost_unknown"],
        "estimated_cost": generations["estimated_cost"],
        "estimate_unknown": generations["estimate_unknown"],
        "total_videos": outcome["videos"],
        "total_bytes": outcome["bytes"],
        "total_seconds": outcome["seconds"],
        "scenes_failed": outcome["scenes_failed"],
        "success_rate": outcome["success_rate"],
        "by_variant": [_variant(kind, all_days.get(kind, _NOTHING)) for kind in VARIANT_TYPES],
        "by_day": [_day(day, by_day.get(day, {})) for day in days],
    }


def _variant(variant_type: VariantType, row: Row) -> VariantStats:
    by_status = _by_status(row)
    return {
        "variant_type": variant_type,
        "variants": _number(by_status),
        **by_status,
        "rendered_cost": row["cost"],
        "cost_unknown": row["cost_unknown"],
        **_outcome([row]),
    }


def _day(day: date, rows: Mapping[str, Row]) -> DayStats:
    generations = rows.get("generation", _NOTHING)
    by_status = _by_status(generations)
    return {
        "day": str(day),
        "generations": _number(by_status),
        **by_status,
        "cost": generations["cost"],
        "cost_unknown": generations["cost_unknown"],
        "estimated_cost": generations["estimated_cost"],
        "estimate_unknown": generations["estimate_unknown"],
        **_outcome(rows.values()),
    }


def _by_status(row: Row) -> ByStatus:
    return {
        "pending": row["pending"],
        "processing": row["processing"],
        "completed": row["completed"],
        "failed": row["failed"],
    }


def _number(by_status: ByStatus) -> int:
    return by_status["pending"] + by_status["processing"] + by_status["completed"] + by_status["failed"]


def _outcome(rows: Collection[Row]) -> Outcome:
    """What became of the scenes of these kinds together: what is not merged yet stands with their variants' types."""
    videos = sum(row["videos"] for row in rows)
    failed = sum(row["scenes_failed"] for row in rows)
    return {
        "videos": videos,
        "scenes_failed": failed,
        "bytes": int(sum(row["bytes"] for row in rows)),
        "seconds": sum(row["seconds"] for row in rows),
        "success_rate": round(videos / (videos + failed), 4) if videos + failed else None,
    }
