"""GET /history/stats: counts, costs, totals."""

from aws_lambda_powertools.event_handler.api_gateway import Response, Router

from generation_history.endpoint import history, ok

router = Router()


@router.get("/history/stats")
def get_stats() -> Response[str]:
    """Totals over everything that is not deleted."""
    return ok(stats=history().get_stats())
