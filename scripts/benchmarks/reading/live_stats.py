"""Statistics counted from the rows when they are asked for, past every sum that is kept."""

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

from generation_history.models import STATUSES, VARIANT_TYPES

Record = dict[str, Any]
Rows = Callable[..., list[Record]]

_GENERATIONS: LiteralString = """
    select (created_at at time zone 'UTC')::date as day, status, count(*) as number,
        coalesce(sum(actual_cost), 0) as cost, count(*) - count(actual_cost) as cost_unknown,
        coalesce(sum(cost_estimate), 0) as estimated_cost, count(*) - count(cost_estimate) as estimate_unknown
    from generations where owner_id = %(owner)s and deleted_at is null
    group by day, status
"""
_VARIANTS: LiteralString = """
    select variant_type, v.status, count(*) as number
    from variants v join generations g on g.id = generation_id
    where g.owner_id = %(owner)s and deleted_at is null
    group by variant_type, v.status
"""
# A scene was rendered by an attempt; where none is known, its cost is not known either.
_SCENES: LiteralString = """
    select (g.created_at at time zone 'UTC')::date as day, variant_type,
        count(*) filter (where s.status = 'completed') as videos,
        count(*) filter (where s.status = 'failed' and s.error_code is distinct from 'cancelled') as scenes_failed,
        coalesce(sum(s.file_size) filter (where s.status = 'completed'), 0) as bytes,
        coalesce(sum(s.duration) filter (where s.status = 'completed'), 0) as seconds,
        coalesce(sum(a.cost), 0) as rendered_cost,
        count(*) filter (where a.cost is null and (a.id is not null or s.status = 'completed')) as cost_unknown
    from generations g join variants v on v.generation_id = g.id join scenes s on s.variant_id = v.id
    left join attempts a on a.scene_id = s.id and a.rendered_at is not null
    where g.owner_id = %(owner)s and deleted_at is null
    group by day, variant_type
"""
_MONEY = ("cost", "cost_unknown", "estimated_cost", "estimate_unknown")
_SCENE_SUMS = ("videos", "scenes_failed", "bytes", "seconds")


def live_stats(rows: Rows, owner: uuid.UUID) -> Record:
    """What GET /history/stats must say of an owner whose scenes have an attempt at most."""
    generations, variants, scenes = (rows(query, owner=owner) for query in (_GENERATIONS, _VARIANTS, _SCENES))
    by_status, money, outcome = _by_status(generations), _sums(generations, _MONEY), _outcome(scenes)
    today = datetime.now(UTC).date()
    return {
        "total_generations": sum(by_status.values()),
        **by_status,
        "total_cost": money.pop("cost"),
        **money,
        **{f"total_{name}": outcome[name] for name in ("videos", "bytes", "seconds")},
        "scenes_failed": outcome["scenes_failed"],
        "success_rate": outcome["success_rate"],
        "by_variant": [_variant(kind, _of(variants, kind), _of(scenes, kind)) for kind in VARIANT_TYPES],
        "by_day": [
            _day(day, [row for row in generations if row["day"] == day], [row for row in scenes if row["day"] == day])
            for day in (today - timedelta(days=days_ago) for days_ago in range(29, -1, -1))
        ],
    }


def _variant(kind: str, variants: list[Record], scenes: list[Record]) -> Record:
    by_status, cost = _by_status(variants), _sums(scenes, ("rendered_cost", "cost_unknown"))
    return {"variant_type": kind, "variants": sum(by_status.values()), **by_status, **cost, **_outcome(scenes)}


def _day(day: object, generations: list[Record], scenes: list[Record]) -> Record:
    by_status, money = _by_status(generations), _sums(generations, _MONEY)
    return {"day": str(day), "generations": sum(by_status.values()), **by_status, **money, **_outcome(scenes)}


def _of(rows: Iterable[Record], kind: str) -> list[Record]:
    return [row for row in rows if row["variant_type"] == kind]


def _by_status(rows: Iterable[Record]) -> dict[str, int]:
    rows = list(rows)
    return {status: sum(row["number"] for row in rows if row["status"] == status) for status in STATUSES}


def _sums(rows: Iterable[Record], names: Iterable[str]) -> dict[str, Any]:
    rows = list(rows)
    return {name: sum(row[name] for row in rows) for name in names}


def _outcome(scenes: Iterable[Record]) -> Mapping[str, Any]:
    sums = _sums(scenes, _SCENE_SUMS)
    finished = sums["videos"] + sums["scenes_failed"]
    return {**sums, "success_rate": round(sums["videos"] / finished, 4) if finished else None}
