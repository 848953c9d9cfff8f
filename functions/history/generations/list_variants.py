"""GET /history/generations/{id}/variants: the variants of one generation."""

from typing import NotRequired
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router

from generation_history.api.app import handler, history, ok
from generation_history.api.link_signing import SignedLinks
from generation_history.api.response_schemas import answers
from generation_history.api.trimming import trim_to_fit, without_prompts, without_scenes
from generation_history.models import Variant
from generation_history.needs import needs

NEEDS = needs("record", "owners", "links")
router = Router()
main = handler(router)


@router.get(
    "/history/generations/<generation_id>/variants",
    responses=answers(
        variants=list[Variant],
        prompts_omitted=NotRequired[bool],
        scenes_omitted=NotRequired[bool],
        texts_cut=NotRequired[bool],
    ),
)
def list_variants(generation_id: UUID) -> Response[str]:
    """All variants of one generation, each with its scenes."""
    links = SignedLinks()
    variants = [links.variant(variant) for variant in history().get_variants(str(generation_id))]
    return ok(**trim_to_fit({"variants": variants}, without_prompts, without_scenes))
