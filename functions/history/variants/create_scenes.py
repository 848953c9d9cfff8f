"""POST /history/variants/{id}/scenes: records the scenes of one variant, and submits them where that is asked for."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Body
from pydantic import StrictBool

from generation_history.api.app import handler, history, ok
from generation_history.api.request_models import Prompts, Wanted
from generation_history.api.response_schemas import answers
from generation_history.needs import needs

NEEDS = needs("record", "owners")
router = Router()
main = handler(router)


class NewScenes(Wanted):
    """A variant's scenes, one a prompt; only submit queues them for the provider."""

    prompts: Prompts
    submit: StrictBool = False


@router.post("/history/variants/<variant_id>/scenes", responses=answers(201, 202, scene_ids=list[str]))
def create_scenes(variant_id: UUID, body: Annotated[NewScenes, Body()]) -> Response[str]:
    """The scenes' ids in order, 201, or 202 when they are queued; a repeat answers alike and submits nothing twice."""
    scenes = history().create_variant_scenes(
        str(variant_id), body.prompts, submit=body.submit, model=body.model, size=body.size, seconds=body.seconds
    )
    return ok(202 if body.submit else 201, scene_ids=[scene["id"] for scene in scenes])
