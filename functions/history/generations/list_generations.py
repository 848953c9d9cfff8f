"""GET /history/generations: the generations, newest first, with variants and scenes."""

from typing import Annotated

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Query

from generation_history.endpoint import history, ok
from generation_history.models import Status
from generation_history.publishing import page, read_cursor, with_signed_links

router = Router()


@router.get("/history/generations")
def list_generations(
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    status: Annotated[Status | None, Query()] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response[str]:
    """A page of generations; next_cursor leads to the following one."""
    filters = {"status": status}
    after = read_cursor(cursor, filters)
    generations = history().list_generations(limit + 1, 0 if after else offset, status, after=after)
    return ok(
        **page(
            "generations",
            generations,
            with_signed_links,
            limit=limit,
            offset=None if after else offset,
            filters=filters,
        )
    )
