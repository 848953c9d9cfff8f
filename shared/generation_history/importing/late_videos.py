"""Late videos: a session's video whose generation was imported before anybody told which one it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

import psycopg

from generation_history.importing.objects import GenerationObjects, Place
from generation_history.importing.report import Decisions, Line
from generation_history.importing.sessions import SessionVideo

#: Waiting is what an import failed for want of a video, or left open, and nothing has begun with since.
_SCENES: Final[LiteralString] = """
    select v.generation_id, v.variant_type, s.scene_number, s.id, s.file_size,
        s.video_url is null and s.status <> 'completed' and not exists (select from jobs j where j.scene_id = s.id)
    from variants v join scenes s on s.variant_id = v.id join generations g on g.id = v.generation_id
    where v.generation_id = any (%s) and g.deleted_at is null
"""
_COMPLETE: Final[LiteralString] = """
    with scene as (
        update scenes set status = 'completed', video_url = %(video_url)s, file_size = %(file_size)s,
            attempt = greatest(attempt, %(attempt)s), error_code = null, error_message = null,
            completed_at = %(completed_at)s
        where id = %(id)s and video_url is null and status <> 'completed'
        returning id, owner_id
    )
    insert into inspections (scene_id, owner_id) select id, owner_id from scene on conflict do nothing
"""


class _Scene(NamedTuple):
    generation_id: UUID
    variant_type: str
    number: int
    id: UUID
    size: int | None
    is_waiting: bool


@dataclass(frozen=True)
class LateVideo:
    """A scene that is here without a video, and where its video will be."""

    generation_id: UUID
    scene_id: UUID
    source: SessionVideo
    place: Place

    @property
    def line(self) -> Line:
        """What is told of it."""
        told = Decisions(self.generation_id)
        row: dict[str, Any] = {"id": self.scene_id, "video_url": self.source.object.key}
        told.change("video_from_session", "scenes", row, "video_url", self.place.url)
        return told.lines[0]


def find_late(
    connection: psycopg.Connection[Any],
    videos: Mapping[UUID, Sequence[SessionVideo]],
    objects: Mapping[UUID, GenerationObjects],
) -> tuple[list[LateVideo], list[Line]]:
    """The videos, the newest of a scene first, that a scene here has been waiting for; a line for what is no scene's.

    What a scene here has already, by its size, is not told again.
    """
    scenes: dict[tuple[UUID, int], list[_Scene]] = {}
    for row in connection.execute(_SCENES, [list(videos)]):
        scene = _Scene(*row)
        scenes.setdefault((scene.generation_id, scene.number), []).append(scene)
    late: list[LateVideo] = []
    lines: list[Line] = []
    for generation_id, found in videos.items():
        told = Decisions(generation_id)
        for video in found:
            numbered = scenes.get((generation_id, video.number), [])
            fitting = [scene for scene in numbered if video.variant_type in {None, scene.variant_type}]
            waiting = [scene for scene in fitting if scene.is_waiting]
            if len(waiting) == 1:
                numbered.remove(waiting[0])
                numbered.append(waiting[0]._replace(is_waiting=False, size=video.object.size))
                place = objects[generation_id].take(video.object, waiting[0].variant_type, video.number)
                late.append(LateVideo(generation_id, waiting[0].id, video, place))
            elif not any(scene.size == video.object.size for scene in fitting):
                told.note(
                    "session_video_unused" if len(fitting) == 1 else "session_scene_missing",
                    "objects",
                    video.object.key,
                )
        lines += told.lines
    return late, lines


def complete_late(connection: psycopg.Connection[Any], found: Sequence[LateVideo]) -> None:
    """The scenes are completed by their videos, and their generations rolled up."""
    with connection.transaction(), connection.cursor() as cursor:
        for generation_id in sorted({one.generation_id for one in found}):
            cursor.execute("select lock_generation(%s)", [generation_id])
        cursor.executemany(_COMPLETE, [_values(one) for one in found])
        for generation_id in sorted({one.generation_id for one in found}):
            cursor.execute("select roll_up(%s)", [generation_id])


def _values(one: LateVideo) -> dict[str, str | int | UUID | datetime | None]:
    return {
        "id": one.scene_id,
        "video_url": one.place.url,
        "file_size": one.place.size,
        "attempt": one.place.attempt,
        "completed_at": one.source.object.modified,
    }
