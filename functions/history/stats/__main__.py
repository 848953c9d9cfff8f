"""The function /history/stats: counts, costs, totals."""

from generation_history.api.app import handler
from history.stats import get_stats

main = handler(get_stats.router)
