"""Late videos: a session's video whose generation was imported before anybody told which one it is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg

from generation_history.importing.objects import GenerationObjects, Place
from generation_history.importing.report import Decisions, Line
from generation_history.importing.sessions import SessionVideo

#: What an import failed for want of a video, or left open, and nothing has begun with since.
_OPEN: Final[LiteralString] = """
    select v.generation_id, v.variant_type, s.scene_number, s.id
    from variants v join scenes s on s.variant_id = v.id join generations g on g.id = v.generation_id
    where v.generation_id = any (%s) and g.deleted_at is null and s.video_url is null and s.status <> 'completed'
        and not exists (select from jobs j where j.scene_id = s.id)
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
) -> Iterator[LateVideo]:
    """The videos, by generation and the newest of a scene first, that a scene here has been waiting for."""
    scenes: dict[tuple[UUID, int], list[tuple[str, UUID]]] = {}
    for generation_id, variant_type, number, scene_id in connection.execute(_OPEN, [list(videos)]):
        scenes.setdefault((generation_id, number), []).append((variant_type, scene_id))
    for generation_id, found in videos.items():
        for video in found:
            waiting = scenes.get((generation_id, video.number), [])
            fitting = [one for one in waiting if video.variant_type in {None, one[0]}]
            if len(fitting) == 1:
                waiting.remove(fitting[0])
                variant_type, scene_id = fitting[0]
                place = objects[generation_id].take(video.object, variant_type, video.number)
                yield LateVideo(generation_id, scene_id, video, place)


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
