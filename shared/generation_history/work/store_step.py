"""The step "store": download a finished video and store it, before the provider's copy expires."""

from collections.abc import Callable

from generation_history.errors import JobGone
from generation_history.media.video_storage_manager import VideoStorageManager
from generation_history.work.job_queue import Job, JobQueue
from generation_history.work.provider_watch import ProviderWatch

#: What a store step may take beside its download: an inspection and two uploads.
STORE_SECONDS = 120.0


class StoreStep:
    """Completes a scene with its stored video."""

    def __init__(
        self,
        queue: JobQueue,
        videos: VideoStorageManager,
        watch: ProviderWatch,
        *,
        seconds_left: Callable[[], float],
    ) -> None:
        self._queue = queue
        self._videos = videos
        self._watch = watch
        self._seconds_left = seconds_left

    def __call__(self, job: Job) -> None:
        """Guarantees that the video is stored and the scene completed."""
        provider, video_id = self._watch.bind(job)
        try:
            video_url, thumbnail_url, metadata = self._videos.store(
                provider,
                video_id,
                str(job.generation_id),
                job.variant_type,
                job.scene_number,
                attempt=job.attempt,
                seconds=max(1.0, self._seconds_left() - STORE_SECONDS),
                reuse_stored=True,
            )
        except JobGone:
            self._watch.raise_if_gone(provider)
            raise
        self._queue.complete(job, video_url=video_url, thumbnail_url=thumbnail_url, metadata=metadata)
