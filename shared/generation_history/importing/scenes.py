"""Scenes of the older installation: their videos, and what became of them."""

from dataclasses import dataclass
from datetime import datetime
from re import fullmatch
from typing import Final, Literal, cast
from uuid import UUID

from generation_history.importing.objects import GenerationObjects, Place
from generation_history.importing.report import Decisions
from generation_history.importing.sessions import SessionVideo
from generation_history.importing.source import Row
from generation_history.importing.times import ENDED, cut, status_of, times_of
from generation_history.importing.variants import OldVariant
from generation_history.limits import MAX_PROMPT
from generation_history.models import FailureCode, Status
from generation_history.record.validation import VIDEO_ID_PATTERN

_TABLE: Final = "scenes"
#: How a provider's own status says that there is nothing to fetch.
_RENDERING_FAILED: Final = frozenset({"failed", "error", "cancelled", "canceled", "rejected"})
_WEB: Final = ("https://", "http://")
_JOB_ID: Final = VIDEO_ID_PATTERN.strip("^$")


@dataclass(frozen=True)
class Video:
    """A scene's video and thumbnail, and when the bucket got the video, where only the bucket knows."""

    video: Place
    thumbnail: Place | None
    stored_at: datetime | None = None


def map_scene(
    row: Row, number: int, variant: OldVariant, video: Video | None, owner_id: UUID, told: Decisions, *, ended: bool
) -> Row:
    """The scene's row; ended is whether its generation is over."""
    said = status_of(_TABLE, row, told)
    status = _status(said, video, ended=ended)
    if status != said:
        told.change(_why(said, status), _TABLE, row, "status", status)
    job_id = _job_id(row, told)
    code = _code(said, row, job_id) if status == "failed" else None
    if status == "failed" and status == said:
        told.change("error_code_given", _TABLE, row, "error_code", code)
    return {
        "id": row["id"],
        "variant_id": variant.row["id"],
        "owner_id": owner_id,
        "scene_number": number,
        "sora_prompt": _prompt(row, told),
        "sora_video_id": job_id,
        "sora_status": cut(_TABLE, row, "sora_status", 50, told),
        "video_url": video.video.url if video else None,
        "thumbnail_url": video.thumbnail.url if video and video.thumbnail else None,
        "duration": _whole(row, "duration", told),
        "resolution": cut(_TABLE, row, "resolution", 50, told) or None,
        "file_size": _file_size(row, video, told),
        "status": status,
        "error_message": _message(row, said, status),
        "error_code": code,
        "attempt": video.video.attempt if video else 1,
        **times_of(_TABLE, row, status, told, video.stored_at if video else None),
    }


def needs_inspection(scene: Row, video: Video | None) -> bool:
    """Whether the poller is to look at the stored video, because the row does not say all of it."""
    is_stored = video is not None and video.video.is_stored and scene["status"] == "completed"
    return is_stored and None in (scene["thumbnail_url"], scene["duration"], scene["resolution"])


def place_video(
    row: Row,
    number: int,
    variant: OldVariant,
    session: SessionVideo | None,
    objects: GenerationObjects,
    told: Decisions,
) -> Video | None:
    """Where the scene's video is from now on; None where it has none."""
    url, thumbnail_url = (_url(row, column, told) for column in ("video_url", "thumbnail_url"))
    if session is not None and url is not None and url.endswith(f"/{session.object.key}"):
        # The row and the session tell the same.
        url = None
    placed = objects.place_video(url, variant.variant_type, number) if url is not None else None
    if placed is not None and placed.where == "elsewhere" and not placed.url.lower().startswith(_WEB):
        told.change("url_not_http", _TABLE, row, "video_url", None)
        placed = None
    if placed is not None and (session is None or placed.where != "missing"):
        _tell(row, placed, session, told)
        return Video(placed, _thumbnail(row, thumbnail_url, placed, objects, told))
    if session is None:
        return None
    taken = objects.take(session.object, variant.variant_type, number)
    told.change("video_from_session", _TABLE, {**row, "video_url": session.object.key}, "video_url", taken.url)
    return Video(taken, _thumbnail(row, thumbnail_url, taken, objects, told), session.object.modified)


def _tell(row: Row, placed: Place, session: SessionVideo | None, told: Decisions) -> None:
    if session is not None:
        told.note("session_video_unused", "objects", session.object.key, row["id"])
    if placed.where == "moved":
        told.change("url_moved", _TABLE, row, "video_url", placed.url)
    elif placed.where in {"missing", "elsewhere"}:
        told.note("object_missing" if placed.where == "missing" else "url_elsewhere", _TABLE, row["id"], placed.url)


def _thumbnail(row: Row, url: str | None, video: Place, objects: GenerationObjects, told: Decisions) -> Place | None:
    if url is None:
        return None
    placed = objects.place_thumbnail(url, video)
    if placed.where == "moved":
        told.change("url_moved", _TABLE, row, "thumbnail_url", placed.url)
    elif placed.where == "missing" and video.is_stored:
        told.change("thumbnail_missing", _TABLE, row, "thumbnail_url", None)
        return None
    return placed


def _url(row: Row, column: Literal["video_url", "thumbnail_url"], told: Decisions) -> str | None:
    url: str | None = row[column]
    if url is not None and not url.strip():
        told.change("url_empty", _TABLE, row, column, None)
        return None
    return url


def _status(said: Status, video: Video | None, *, ended: bool) -> Status:
    """What the scene is: with a video completed, unless only its own failed row knows of it."""
    if video is not None:
        return "failed" if said == "failed" and video.stored_at is None else "completed"
    return "failed" if said == "completed" or ended else said


def _why(said: Status, status: Status) -> str:
    if status == "completed":
        return "completed_by_video"
    return "completed_without_video" if said == "completed" else "never_finished"


def _code(said: Status, row: Row, job_id: str | None) -> FailureCode:
    """Why it failed: what a retry may do hangs on it. A job that may still have its video is not paid for again."""
    if said == "completed":
        return "not_found"
    if said not in ENDED:
        return "abandoned"
    rendering_failed = str(row["sora_status"] or "").lower() in _RENDERING_FAILED
    return "provider_failed" if rendering_failed or job_id is None else "download_failed"


def _message(row: Row, said: Status, status: Status) -> str | None:
    message = row["error_message"]
    if status != "failed" or message or status == said:
        return message
    return "it was completed without a video" if said == "completed" else "its generation ended without it"


def _job_id(row: Row, told: Decisions) -> str | None:
    job_id: str | None = row["sora_video_id"]
    if not job_id:
        return None
    if fullmatch(_JOB_ID, job_id):
        return job_id
    told.change("job_id_unclear", _TABLE, row, "sora_video_id", None)
    return None


def _prompt(row: Row, told: Decisions) -> str:
    prompt = cast("str | None", row["sora_prompt"]) or ""
    if len(prompt) <= MAX_PROMPT:
        return prompt
    told.change("prompt_cut", _TABLE, row, "sora_prompt", prompt[:MAX_PROMPT])
    return prompt[:MAX_PROMPT]


def _whole(row: Row, column: Literal["duration", "file_size"], told: Decisions) -> int | None:
    value = row[column]
    if value is not None and value < 0:
        told.change("value_impossible", _TABLE, row, column, None)
        return None
    return value


def _file_size(row: Row, video: Video | None, told: Decisions) -> int | None:
    """The object's own size where it is known: an archive compares the two."""
    if video is None or video.video.size is None:
        return _whole(row, "file_size", told)
    if row["file_size"] != video.video.size:
        told.change("file_size_from_store", _TABLE, row, "file_size", video.video.size)
    return video.video.size
