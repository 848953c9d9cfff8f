"""GET /history/library: completed generations, to look at."""

from typing import Annotated

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Query

from generation_history.api.app import handler
from generation_history.api.pagination import Cursor, Filters, Moment, Offset, Search, Type, list_page
from generation_history.api.response_schemas import pages
from generation_history.models import LibraryItem
from generation_history.needs import needs
from generation_history.record.columns import LIBRARY_ITEM

NEEDS = needs("record", "owners", "links")
router = Router()
main = handler(router)


@router.get("/history/library", responses=pages(library=list[LibraryItem]))
def list_library(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Offset = 0,
    variant_type: Type = None,
    created_from: Moment = None,
    created_to: Moment = None,
    q: Search = None,
    cursor: Cursor = None,
) -> Response[str]:
    """A page of completed generations, newest first; next_cursor leads to the following one."""
    filters = Filters(
        statuses=["completed"], variant_type=variant_type, created_from=created_from, created_to=created_to, q=q
    )
    return list_page("library", LIBRARY_ITEM, limit=limit, offset=offset, cursor=cursor, filters=filters)
