"""POST /history/scenes/{id}/video: its caller has submitted it by itself; the poller brings the video home."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Body
from pydantic import Field

from generation_history import limits
from generation_history.api.app import handler, history, ok
from generation_history.api.link_signing import SignedLinks
from generation_history.api.request_models import JsonObject
from generation_history.api.response_schemas import answers
from generation_history.models import Scene
from generation_history.needs import needs
from generation_history.record.validation import VIDEO_ID_PATTERN

NEEDS = needs("record", "owners", "links")
router = Router()
main = handler(router)


class ProviderJob(JsonObject):
    """The job's id at the configured provider; no URL is taken, the provider knows where its video is."""

    sora_video_id: str = Field(
        min_length=1, max_length=limits.MAX_JOB_ID, json_schema_extra={"pattern": VIDEO_ID_PATTERN}
    )


@router.post("/history/scenes/<scene_id>/video", responses=answers(202, scene=Scene))
def record_video(scene_id: UUID, body: Annotated[ProviderJob, Body()]) -> Response[str]:
    """202 with the scene, which is polled, fetched and stored from now on; nothing is posted for it."""
    scene = history().record_provider_job(str(scene_id), body.sora_video_id)
    return ok(202, scene=SignedLinks().scene(scene, scene.get("generation_id", "")))
