"""The function /history/stats: counts, costs, totals."""

from typing import Any

from generation_history import logs
from generation_history.endpoint import Context, answer, resolver
from history.stats import get_stats

logs.configure()
_app = resolver(get_stats.router)


def main(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """The answer to one call."""
    return answer(_app, event, context)
