"""GET /history/generations/{id}: one generation whole."""

from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router

from generation_history.endpoint import history, ok
from generation_history.errors import NotFound
from generation_history.publishing import with_signed_links

router = Router()


@router.get("/history/generations/<generation_id>")
def get_generation(generation_id: UUID) -> Response[str]:
    """One generation with its variants, scenes, prompts, metadata and failures."""
    generation = history().get_generation(str(generation_id))
    if generation is None:
        raise NotFound("no such generation")
    return ok(generation=with_signed_links(generation))
