"""GET /history/scenes/{id}/video and /thumbnail: permanent links to what is stored."""

from typing import Literal
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router

from generation_history.endpoint import history, redirect
from generation_history.errors import NotFound
from generation_history.publishing import signed_link

router = Router()


@router.get("/history/scenes/<scene_id>/video")
def open_video(scene_id: UUID) -> Response[str]:
    """302 to a signed link to the scene's video."""
    return _open(scene_id, "video_url")


@router.get("/history/scenes/<scene_id>/thumbnail")
def open_thumbnail(scene_id: UUID) -> Response[str]:
    """302 to a signed link to the scene's thumbnail."""
    return _open(scene_id, "thumbnail_url")


def _open(scene_id: UUID, name: Literal["video_url", "thumbnail_url"]) -> Response[str]:
    scene = history().get_scene(str(scene_id))
    link = signed_link(scene[name], scene.get("generation_id", ""))
    if link is None:
        raise NotFound("this scene has no stored video" if name == "video_url" else "this scene has no thumbnail")
    return redirect(link[0])
