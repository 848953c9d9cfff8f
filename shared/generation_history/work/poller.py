"""Poller: one scheduled run of all there is to do: the scenes' steps and, beside them, an archive at a time.

What is left of its time goes to stored videos that nobody has looked at.
"""

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context

from generation_history import bootstrap, settings
from generation_history.archives.archive_builder import ArchiveBuilder
from generation_history.archives.archive_queue import ArchiveQueue
from generation_history.errors import HistoryError
from generation_history.media.video_storage_manager import VideoStorageManager
from generation_history.work import worker
from generation_history.work.inspections import Inspections
from generation_history.work.worker import Worker

logger = logging.getLogger(__name__)

#: How often scenes are looked after while there is nothing left but an archive that takes its time.
RERUN_SECONDS = 1.0
#: No stored video is looked at when less time than this is left.
INSPECTION_SECONDS = 150.0


class Poller:
    """A worker, and a builder in a thread of its own, so that neither waits for the other."""

    def __init__(self, scenes: Worker, archives: ArchiveBuilder, inspections: Inspections) -> None:
        self._scenes = scenes
        self._archives = archives
        self._inspections = inspections
        self._pool = ThreadPoolExecutor(1, "archives")
        self._stopping = False

    def run(self, *, seconds: float) -> tuple[int, int]:
        """The number of scenes' steps that were done, and of archives that are ready; both end by the same deadline.

        A look at a stored video is a step, too.
        """
        deadline = time.monotonic() + seconds
        building = self._pool.submit(copy_context().run, self._build, seconds)
        try:
            return self._work(building, deadline), building.result()
        finally:
            # It keeps to the deadline by itself; nothing goes on in an instance that has answered.
            wait([building])

    def _work(self, building: Future[int], deadline: float) -> int:
        steps = self._scenes.run(seconds=deadline - time.monotonic())
        while not self._stopping and (
            (looked_at := self._inspect(deadline)) or not wait([building], timeout=RERUN_SECONDS).done
        ):
            steps += looked_at + self._scenes.run(seconds=deadline - time.monotonic())
        return steps

    def _inspect(self, deadline: float) -> int:
        """The number of stored videos that were looked at: a few, for what can expire comes first."""
        if deadline - time.monotonic() < INSPECTION_SECONDS:
            return 0
        try:
            return self._inspections.run()
        except HistoryError:
            logger.exception("no stored video can be looked at now")
            return 0

    def _build(self, seconds: float) -> int:
        try:
            return self._archives.run(seconds=seconds)
        except HistoryError:
            logger.exception("no archive can be built now")
            return 0

    def stop(self) -> None:
        """Guarantees that a run ends as soon as the steps that are running have; a signal's handler may call this."""
        self._stopping = True
        self._scenes.stop()
        self._archives.stop()

    def close(self) -> None:
        """Guarantees that none of its threads is left, nor a connection to the database."""
        self._pool.shutdown()
        self._inspections.close()
        self._scenes.close()


def from_settings() -> Poller:
    """A poller as the environment describes it; NotConfigured names what is missing."""
    scenes = worker.from_settings()
    lease_seconds = settings.worker().lease_seconds
    db = bootstrap.work_database()
    queue = ArchiveQueue(db, lease_seconds=lease_seconds)
    archives = ArchiveBuilder(queue, bootstrap.object_store(), lease_seconds=lease_seconds)
    return Poller(scenes, archives, Inspections(db, VideoStorageManager()))
