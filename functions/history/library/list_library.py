"""GET /history/library: completed generations, to look at."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Query

from generation_history.endpoint import history, ok
from generation_history.models import Generation
from generation_history.publishing import page, read_cursor, with_signed_links

router = Router()

_FILTERS = {"library": "completed"}


@router.get("/history/library")
def list_library(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response[str]:
    """A page of completed generations, newest first; next_cursor leads to the following one."""
    after = read_cursor(cursor, _FILTERS)
    generations = history().list_generations(limit + 1, 0 if after else offset, "completed", after=after)
    return ok(**page("library", generations, _item, limit=limit, offset=None if after else offset, filters=_FILTERS))


def _item(generation: Generation) -> dict[str, Any]:
    shown = with_signed_links(generation)
    names = ("id", "source_video_url", "created_at", "completed_at", "total_variants", "variant_types")
    videos = sum(scene["status"] == "completed" for variant in shown["variants"] for scene in variant["scenes"])
    return {**{name: shown[name] for name in names}, "total_videos": videos, "variants": shown["variants"]}
