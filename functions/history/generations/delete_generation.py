"""DELETE /history/generations/{id}: hides one generation at once."""

from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router

from generation_history.api.app import handler, history, ok
from generation_history.api.response_schemas import answers
from generation_history.errors import NotFound
from generation_history.needs import needs

NEEDS = needs("record", "owners")
router = Router()
main = handler(router)


@router.delete("/history/generations/<generation_id>", responses=answers(message=str))
def delete_generation(generation_id: UUID) -> Response[str]:
    """A message that the generation is gone from every list."""
    if not history().delete_generation(str(generation_id)):
        raise NotFound("no such generation")
    return ok(message="Generation deleted")
