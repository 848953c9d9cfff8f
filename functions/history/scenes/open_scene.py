"""GET /history/scenes/{id}/video and /thumbnail: permanent links to what is stored."""

from typing import Annotated, Literal
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Query

from generation_history.api.app import handler, history, redirect
from generation_history.api.link_signing import SignedLinks, download_link
from generation_history.api.response_schemas import redirects
from generation_history.archives.download_names import attachment, video_name
from generation_history.errors import NotFound
from generation_history.models import Scene
from generation_history.needs import needs

NEEDS = needs("record", "owners", "links")
router = Router()
main = handler(router)


@router.get("/history/scenes/<scene_id>/video", responses=redirects())
def open_video(scene_id: UUID, download: Annotated[bool, Query()] = False) -> Response[str]:  # noqa: FBT002
    """302 to a signed link to the scene's video, which is shown, or with download kept under a readable name."""
    scene = history().get_scene(str(scene_id), with_source=download)
    return _open(scene, "video_url", disposition=_disposition(scene) if download else None)


@router.get("/history/scenes/<scene_id>/thumbnail", responses=redirects())
def open_thumbnail(scene_id: UUID) -> Response[str]:
    """302 to a signed link to the scene's thumbnail."""
    return _open(history().get_scene(str(scene_id)), "thumbnail_url")


def _disposition(scene: Scene) -> str:
    source, variant_type = scene.get("source_video_url", ""), scene.get("variant_type", "")
    return attachment(video_name(source, variant_type, scene["scene_number"]))


def _open(
    scene: Scene, name: Literal["video_url", "thumbnail_url"], *, disposition: str | None = None
) -> Response[str]:
    url, generation_id = scene[name], scene.get("generation_id", "")
    link = download_link(url, generation_id, disposition) if disposition else SignedLinks().link(url, generation_id)
    if link is None:
        raise NotFound("this scene has no stored video" if name == "video_url" else "this scene has no thumbnail")
    return redirect(link[0])
