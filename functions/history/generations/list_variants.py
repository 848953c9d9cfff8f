"""GET /history/generations/{id}/variants: the variants of one generation."""

from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router

from generation_history.endpoint import history, ok
from generation_history.errors import NotFound
from generation_history.publishing import with_signed_links

router = Router()


@router.get("/history/generations/<generation_id>/variants")
def list_variants(generation_id: UUID) -> Response[str]:
    """All variants of one generation, each with its scenes."""
    generation = history().get_generation(str(generation_id))
    if generation is None:
        raise NotFound("no such generation")
    return ok(variants=with_signed_links(generation)["variants"])
