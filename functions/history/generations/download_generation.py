"""POST and GET /history/generations/{id}/download: a whole generation as one zip."""

from typing import Literal
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router

from generation_history.api.app import handler, history, ok
from generation_history.api.link_signing import archive_progress
from generation_history.api.response_schemas import answers, refuses
from generation_history.archives.archives import Archive, Archives
from generation_history.errors import ArchiveFailed, Conflict
from generation_history.needs import needs

NEEDS = needs("record", "owners", "links", "wakeup")
router = Router()
main = handler(router)
_ANSWERS = (
    answers(200, status=Literal["ready"], url=str, expires_at=str, size=int, videos=int, outdated=bool)
    | answers(
        202,
        status=Literal["queued", "building"],
        videos=int,
        videos_done=int,
        bytes=int,
        bytes_done=int,
        outdated=bool,
        status_url=str,
    )
    | refuses(ArchiveFailed, Conflict)
)

#: How long a caller may wait before it looks again.
RETRY_AFTER_SECONDS = 2


@router.post("/history/generations/<generation_id>/download", responses=_ANSWERS)
def ask_for_archive(generation_id: UUID) -> Response[str]:
    """202 while the zip of what is stored by now is made, 200 with its link if that is there already."""
    archive = Archives(history().owner_id).ask(str(generation_id))
    if archive["new"]:
        # Late: no read needs it.
        from generation_history.work.wakeup import wake_poller  # noqa: PLC0415

        wake_poller()
    return _archive_answer(generation_id, archive)


@router.get("/history/generations/<generation_id>/download", responses=_ANSWERS)
def get_archive(generation_id: UUID) -> Response[str]:
    """200 with a link to the zip that was asked for last, 202 while it is made, 409 with the reason if it cannot be."""
    return _archive_answer(generation_id, Archives(history().owner_id).read(str(generation_id)))


def _archive_answer(generation_id: UUID, archive: Archive) -> Response[str]:
    progress = archive_progress(archive)
    if progress["status"] == "ready":
        return ok(**progress)
    status_url = f"/api/history/generations/{generation_id}/download"
    answer = ok(202, **progress, status_url=status_url)
    answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer
