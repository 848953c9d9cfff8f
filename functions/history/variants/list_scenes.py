"""GET /history/variants/{id}/scenes: the scenes of one variant."""

from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router

from generation_history.endpoint import history, ok
from generation_history.publishing import with_signed_link

router = Router()


@router.get("/history/variants/<variant_id>/scenes")
def list_scenes(variant_id: UUID) -> Response[str]:
    """All scenes of one variant in order, with prompts."""
    variant, scenes = history().get_variant(str(variant_id))
    return ok(scenes=[with_signed_link(scene, variant["generation_id"]) for scene in scenes])
