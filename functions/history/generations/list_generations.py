"""GET /history/generations: the generations, newest first, with variants and scenes."""

from typing import Annotated

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Query

from generation_history.api.app import handler
from generation_history.api.pagination import Cursor, Filters, Moment, Offset, Search, Statuses, Type, list_page
from generation_history.api.response_schemas import pages
from generation_history.models import Generation
from generation_history.needs import needs
from generation_history.record.columns import GENERATION

NEEDS = needs("record", "owners", "links")
router = Router()
main = handler(router)


@router.get("/history/generations", responses=pages(generations=list[Generation]))
def list_generations(
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    offset: Offset = 0,
    status: Statuses = None,
    variant_type: Type = None,
    created_from: Moment = None,
    created_to: Moment = None,
    q: Search = None,
    cursor: Cursor = None,
) -> Response[str]:
    """A page of generations; next_cursor leads to the following one."""
    filters = Filters(
        statuses=sorted(set(status)) if status else None,
        variant_type=variant_type,
        created_from=created_from,
        created_to=created_to,
        q=q,
    )
    return list_page("generations", GENERATION, limit=limit, offset=offset, cursor=cursor, filters=filters)
