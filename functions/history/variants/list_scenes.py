"""GET /history/variants/{id}/scenes: the scenes of one variant."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Query

from generation_history.api.app import handler, history, ok
from generation_history.api.link_signing import SignedLinks
from generation_history.api.pagination import fitting_items
from generation_history.api.response_schemas import answers
from generation_history.models import Scene
from generation_history.needs import needs

NEEDS = needs("record", "owners", "links")
router = Router()
main = handler(router)

#: More than a variant usually has; they all come at once then.
MAX_SCENES = 100


@router.get("/history/variants/<variant_id>/scenes", responses=answers(scenes=list[Scene], next_after=int | None))
def list_scenes(variant_id: UUID, after: Annotated[int, Query(ge=0, lt=2**31)] = 0) -> Response[str]:
    """The scenes of one variant in order, with prompts; next_after leads to those there was no room for."""
    variant, scenes = history().get_variant(str(variant_id), after=after, limit=MAX_SCENES + 1)
    links = SignedLinks()
    fitting_scenes = list(fitting_items(links.scene(scene, variant["generation_id"]) for scene in scenes[:MAX_SCENES]))
    return ok(
        scenes=fitting_scenes,
        next_after=fitting_scenes[-1]["scene_number"] if len(fitting_scenes) < len(scenes) else None,
    )
