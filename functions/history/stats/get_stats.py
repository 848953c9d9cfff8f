"""GET /history/stats: counts, costs, totals."""

from aws_lambda_powertools.event_handler.api_gateway import Response, Router

from generation_history.api.app import handler, history, ok
from generation_history.api.response_schemas import answers
from generation_history.models import Stats
from generation_history.needs import needs

NEEDS = needs("record", "owners")
router = Router()
main = handler(router)


@router.get("/history/stats", responses=answers(stats=Stats))
def get_stats() -> Response[str]:
    """Totals over everything that is not deleted."""
    return ok(stats=history().get_stats())
