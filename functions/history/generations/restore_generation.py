"""POST /history/generations/{id}/restore: undoes a deletion."""

from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router

from generation_history.api.app import handler, history, ok
from generation_history.api.response_schemas import answers
from generation_history.errors import NotFound
from generation_history.needs import needs

NEEDS = needs("record", "owners")
router = Router()
main = handler(router)


@router.post("/history/generations/<generation_id>/restore", responses=answers(message=str))
def restore_generation(generation_id: UUID) -> Response[str]:
    """A message that the generation is back; what its deletion had cancelled is queued again."""
    if not history().restore_generation(str(generation_id)):
        raise NotFound("no such generation was deleted, or it is gone for good")
    return ok(message="Generation restored")
