"""POST /history/scenes/{id}/retry: a failed scene is tried again."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Body
from pydantic import StrictBool

from generation_history.api.app import handler, history, ok
from generation_history.api.link_signing import SignedLinks
from generation_history.api.request_models import JsonObject
from generation_history.api.response_schemas import answers
from generation_history.models import Scene
from generation_history.needs import needs

NEEDS = needs("record", "owners", "links")
router = Router()
main = handler(router)


class Retry(JsonObject):
    """confirmed: a person has seen that the provider has no job of it, so a submit_unknown may be paid again."""

    confirmed: StrictBool = False


@router.post("/history/scenes/<scene_id>/retry", responses=answers(202, scene=Scene))
def retry_scene(scene_id: UUID, body: Annotated[Retry | None, Body()] = None) -> Response[str]:
    """202 with the scene, pending again: its job is fetched while it may still be had, else a new one is paid for."""
    scene = history().retry_scene(str(scene_id), confirmed=body is not None and body.confirmed)
    return ok(202, scene=SignedLinks().scene(scene, scene.get("generation_id", "")))
