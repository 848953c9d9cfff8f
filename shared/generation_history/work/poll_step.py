"""The step "poll": ask the provider how a job stands."""

from dataclasses import replace

from generation_history.errors import JobGone
from generation_history.media.video_storage_manager import VideoStorageManager
from generation_history.providers import UnnamedAnswer, VideoJob, VideoProvider
from generation_history.work.job_queue import Job, JobQueue
from generation_history.work.outcomes import Outcome
from generation_history.work.provider_watch import ProviderWatch
from generation_history.work.retry_policy import JobTaken, after_poll
from generation_history.work.submission import Submissions


class PollStep:
    """Records what the provider said."""

    def __init__(
        self, queue: JobQueue, submissions: Submissions, videos: VideoStorageManager, watch: ProviderWatch
    ) -> None:
        self._queue = queue
        self._videos = videos
        self._submissions = submissions
        self._watch = watch

    def __call__(self, job: Job) -> Outcome | Job | None:
        """The job as it is to be stored now, or what becomes of one without a video; None while it is still running.

        A job that the provider does not know any more may be stored already, where the database has forgotten that.
        """
        provider, video_id = self._watch.bind(job)
        try:
            video = self._ask(provider, video_id, job)
        except JobGone:
            if not self._complete_from_store(job):
                raise
            return None
        self._watch.record_state(provider, "ok", took_a_post=False)
        self._check_unclaimed(job, provider, video)
        if outcome := after_poll(job, video):
            return outcome
        if video.status != "completed":
            self._queue.record_observation(job, video, step="poll")
            return None
        self._queue.record_observation(job, video, step="store")
        return replace(job, step="store", failures=0, last_error=None, bound_to=provider.base_url)

    def _complete_from_store(self, job: Job) -> bool:
        stored_video = self._videos.find_stored(
            str(job.generation_id), job.variant_type, job.scene_number, attempt=job.attempt
        )
        if stored_video is None:
            return False
        video_url, thumbnail_url, metadata = stored_video
        self._queue.complete(job, video_url=video_url, thumbnail_url=thumbnail_url, metadata=metadata)
        return True

    def _ask(self, provider: VideoProvider, video_id: str, job: Job) -> VideoJob:
        try:
            return provider.poll(video_id)
        except UnnamedAnswer as answer:
            if not job.accepted:
                raise
            return answer.job
        except JobGone:
            self._watch.raise_if_gone(provider)
            raise

    def _check_unclaimed(self, job: Job, provider: VideoProvider, video: VideoJob) -> None:
        """JobTaken where another scene has the job by another of its ids: naming that must not store its video."""
        other_jobs = [] if job.accepted else [replace(video, id=other_id) for other_id in video.other_ids]
        if other_jobs and len(self._submissions.select_unclaimed(provider.base_url, other_jobs)) < len(other_jobs):
            raise JobTaken("another scene has this provider job already")
