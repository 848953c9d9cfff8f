"""An owner's statistics counted row by row, as docs/api.md defines them: no trigger, delta or sum of ours is asked."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

TYPES = ("soft", "medium", "aggressive", "ultra")
_STATUSES = ("pending", "processing", "completed", "failed")
_GENERATIONS = """
    select (created_at at time zone 'UTC')::date, status, actual_cost, cost_estimate
    from generations where owner_id = %s and deleted_at is null
"""
_VARIANTS = """
    select v.variant_type, v.status from variants v
    where v.generation_id in (select id from generations where owner_id = %s and deleted_at is null)
"""
_SCENES = """
    select (g.created_at at time zone 'UTC')::date, v.variant_type, s.status, s.error_code, s.file_size, s.duration,
        array(select a.cost from attempts a where a.scene_id = s.id and a.rendered_at is not null)
    from generations g join variants v on v.generation_id = g.id join scenes s on s.variant_id = v.id
    where g.owner_id = %s and g.deleted_at is null
"""


def recount(rows: Callable[..., list[tuple]], owner_id: object) -> dict[str, Any]:
    """What get_stats() must return; rows runs a query as a superuser."""
    generations, variants, scenes = (rows(query, owner_id) for query in (_GENERATIONS, _VARIANTS, _SCENES))
    totals = _of_generations(generations)
    outcome = _of_scenes(scenes)
    today = datetime.now(UTC).date()
    return {
        "total_generations": totals.pop("generations"),
        "total_cost": totals.pop("cost"),
        **totals,
        "total_videos": outcome["videos"],
        "total_bytes": outcome["bytes"],
        "total_seconds": outcome["seconds"],
        "scenes_failed": outcome["scenes_failed"],
        "success_rate": outcome["success_rate"],
        "by_variant": [_of_type(kind, variants, [scene for scene in scenes if scene[1] == kind]) for kind in TYPES],
        "by_day": [
            {
                "day": str(day),
                **_of_generations([generation for generation in generations if generation[0] == day]),
                **_of_scenes([scene for scene in scenes if scene[0] == day]),
            }
            for day in (today - timedelta(days=ago) for ago in range(29, -1, -1))
        ],
    }


def _by_status(statuses: list[str]) -> dict[str, int]:
    return {status: statuses.count(status) for status in _STATUSES}


def _of_generations(generations: list[tuple]) -> dict[str, Any]:
    return {
        "generations": len(generations),
        **_by_status([status for _, status, _, _ in generations]),
        **_money("cost", "cost_unknown", [actual for _, _, actual, _ in generations]),
        **_money("estimated_cost", "estimate_unknown", [estimate for *_, estimate in generations]),
    }


def _of_type(kind: str, variants: list[tuple], scenes: list[tuple]) -> dict[str, Any]:
    statuses = [status for variant_type, status in variants if variant_type == kind]
    costs = [cost for *_, rendered in scenes for cost in rendered]
    # Somebody else rendered these.
    costs += [None for _, _, status, *_, rendered in scenes if status == "completed" and not rendered]
    return {
        "variant_type": kind,
        "variants": len(statuses),
        **_by_status(statuses),
        **_money("rendered_cost", "cost_unknown", costs),
        **_of_scenes(scenes),
    }


def _of_scenes(scenes: list[tuple]) -> dict[str, Any]:
    videos = [(size or 0, seconds or 0) for _, _, status, _, size, seconds, _ in scenes if status == "completed"]
    failed = Counter(code for _, _, status, code, *_ in scenes if status == "failed")
    failures = failed.total() - failed["cancelled"]
    over = len(videos) + failures
    return {
        "videos": len(videos),
        "scenes_failed": failures,
        "bytes": sum(size for size, _ in videos),
        "seconds": sum(seconds for _, seconds in videos),
        "success_rate": round(len(videos) / over, 4) if over else None,
    }


def _money(known: str, unknown: str, amounts: list[Decimal | None]) -> dict[str, float]:
    return {
        known: float(sum((amount for amount in amounts if amount is not None), Decimal(0))),
        unknown: amounts.count(None),
    }
