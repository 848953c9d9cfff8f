"""Inspections: stored videos whose rows lack a thumbnail, a duration or a resolution are looked at, when there is time.

They were stored by something else (scripts/import-history). An inspection is no job: it fails no scene, and waits
behind everything that can expire.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any
from uuid import UUID

from generation_history import logs
from generation_history.backoff import backoff
from generation_history.db.database import Database, Row
from generation_history.errors import HistoryError, SceneFailure
from generation_history.media.video_storage_manager import VideoStorageManager
from generation_history.recordable import recordable
from generation_history.storage.keys import owned_key

logger = logging.getLogger(__name__)

#: Videos in one turn, fetched at once: whatever became due meanwhile is waited for no longer than these take.
AT_ONCE = 4
#: A turn takes less, so that no other poller begins with the same video.
TURN_SECONDS = 600
#: After so many tries, some two hours, the row stays as it is. A poller that died of the video counts, too.
MAX_TRIES = 25

_CLAIM = """
    update inspections set tries = tries + 1, run_at = now() + make_interval(secs => %(seconds)s)
    where scene_id in (
        select scene_id from inspections where run_at <= now() order by run_at limit %(limit)s for update skip locked)
    returning scene_id, owner_id, tries
"""
_SCENE = """
    select v.generation_id, s.video_url from scenes s join variants v on v.id = s.variant_id
    where s.id = %(scene_id)s and s.status = 'completed' and s.video_url is not null
"""
_LOCK = "select lock_generation_of_scene(%(scene_id)s)"
#: What is known stays, and so does a scene that has another video by now.
_FILL = """
    update scenes set thumbnail_url = coalesce(thumbnail_url, %(thumbnail_url)s),
        duration = coalesce(duration, %(duration)s), resolution = coalesce(resolution, %(resolution)s),
        file_size = %(file_size)s, error_message = coalesce(error_message, %(thumbnail_error)s)
    where id = %(scene_id)s and status = 'completed' and video_url = %(video_url)s
"""
_EXPLAIN = """
    update scenes set error_message = coalesce(error_message, %(reason)s)
    where id = %(scene_id)s and status = 'completed'
"""
_END = "delete from inspections where scene_id = %(scene_id)s"
_LATER = """
    update inspections set run_at = now() + make_interval(secs => %(wait)s), last_error = %(reason)s
    where scene_id = %(scene_id)s
"""


class Inspections:
    """Looks at stored videos, as the login history_worker."""

    def __init__(self, db: Database, videos: VideoStorageManager) -> None:
        self._db = db
        self._videos = videos
        self._pool = ThreadPoolExecutor(AT_ONCE, "inspections")

    def run(self) -> int:
        """The number of videos that were looked at in one turn; 0 where none is due."""
        due = self._db.run(None, (_CLAIM, {"limit": AT_ONCE, "seconds": TURN_SECONDS}))
        running = [self._pool.submit(copy_context().run, self._inspect, one) for one in due]
        for one in running:
            one.result()
        return len(due)

    def close(self) -> None:
        """Guarantees that none of its threads is left."""
        self._pool.shutdown()

    def _inspect(self, due: Row) -> None:
        with logs.about(scene_id=due["scene_id"]):
            try:
                self._look(due["owner_id"], {"scene_id": due["scene_id"]})
            except Exception as error:  # noqa: BLE001 - whatever a video does, the scene and the others go on
                self._settle(due, error)

    def _look(self, owner_id: UUID, scene: dict[str, Any]) -> None:
        rows = self._db.run(owner_id, (_SCENE, scene))
        key = owned_key(rows[0]["video_url"], str(rows[0]["generation_id"])) if rows else None
        if key is None:
            self._db.run(None, (_END, scene))
            return
        thumbnail_url, found = self._videos.inspect_stored(key)
        filled = {
            "thumbnail_error": None,
            **found,
            **scene,
            "video_url": rows[0]["video_url"],
            "thumbnail_url": thumbnail_url,
        }
        self._db.run(owner_id, (_LOCK, scene), (_FILL, filled), (_END, scene))

    def _settle(self, due: Row, error: Exception) -> None:
        """It is tried again later, or the scene says why it has no more than its video."""
        reason = recordable(str(error) or type(error).__name__)
        scene = {"scene_id": due["scene_id"], "reason": reason, "wait": backoff(due["tries"])}
        over = due["tries"] >= MAX_TRIES or (isinstance(error, SceneFailure) and error.final)
        logger.warning("scene %s: its stored video cannot be inspected: %s", due["scene_id"], reason)
        try:
            if over:
                self._db.run(due["owner_id"], (_LOCK, scene), (_EXPLAIN, scene), (_END, scene))
            else:
                self._db.run(None, (_LATER, scene))
        except HistoryError:
            logger.exception("scene %s: its inspection is tried again by itself", due["scene_id"])
