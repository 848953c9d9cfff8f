"""GET /history/generations/{id}: one generation whole."""

from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router

from generation_history.api.app import handler, history, ok
from generation_history.api.link_signing import SignedLinks
from generation_history.api.response_schemas import answers
from generation_history.api.trimming import trim_to_fit, without_metadata, without_prompts, without_scenes
from generation_history.errors import NotFound
from generation_history.models import Generation
from generation_history.needs import needs

NEEDS = needs("record", "owners", "links")
router = Router()
main = handler(router)


@router.get("/history/generations/<generation_id>", responses=answers(generation=Generation))
def get_generation(generation_id: UUID) -> Response[str]:
    """One generation with its variants, scenes, prompts, metadata and failures; what is too large is linked."""
    generation = history().get_generation(str(generation_id))
    if generation is None:
        raise NotFound("no such generation")
    trimmed = trim_to_fit(
        SignedLinks().generation(generation),
        without_prompts,
        without_metadata,
        lambda untrimmed: without_prompts(without_metadata(untrimmed)),
        lambda untrimmed: without_scenes(without_metadata(untrimmed)),
    )
    return ok(generation=trimmed)
