"""POST /history/scenes/{id}/attempts/{attempt}/use: the scene has the video of another of its attempts."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from generation_history.api.app import handler, history, ok
from generation_history.api.link_signing import SignedLinks
from generation_history.api.response_schemas import answers
from generation_history.models import Scene
from generation_history.needs import needs

NEEDS = needs("record", "owners", "links")
router = Router()
main = handler(router)


@router.post("/history/scenes/<scene_id>/attempts/<attempt>/use", responses=answers(202, scene=Scene))
def use_attempt(scene_id: UUID, attempt: Annotated[int, Path(ge=1, lt=2**31)]) -> Response[str]:
    """202 with the scene, which has this attempt's video now, or once that is fetched; nothing is posted for it."""
    scene = history().use_attempt(str(scene_id), attempt)
    return ok(202, scene=SignedLinks().scene(scene, scene.get("generation_id", "")))
