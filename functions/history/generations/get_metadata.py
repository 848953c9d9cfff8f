"""GET /history/generations/{id}/metadata/{kind}: what is too large for the generation's own answer, in parts."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Query

from generation_history.api.app import handler, history, ok
from generation_history.api.response_schemas import answers
from generation_history.models import MetadataKind
from generation_history.needs import needs

NEEDS = needs("record", "owners")
router = Router()
main = handler(router)


@router.get(
    "/history/generations/<generation_id>/metadata/<kind>",
    responses=answers(json=str, next_offset=int | None),
)
def get_metadata(
    generation_id: UUID, kind: MetadataKind, offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0
) -> Response[str]:
    """A part of the JSON text of one kind of metadata: the parts one after the other are the whole."""
    return ok(**history().get_metadata_part(str(generation_id), kind, offset=offset))
