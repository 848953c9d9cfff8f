"""The step "find": adopt the provider's job of a POST whose outcome nobody knows, if exactly one can be it."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from generation_history.errors import JobGone
from generation_history.providers import VideoJob, VideoProvider, VideoRequest
from generation_history.work.job_queue import Job
from generation_history.work.outcomes import Outcome
from generation_history.work.posts import ACCEPTED, Posts
from generation_history.work.provider_watch import ProviderWatch
from generation_history.work.requests import Requests
from generation_history.work.retry_policy import ServerNotNamed, after_search
from generation_history.work.submission import Submissions, UnheardPost

#: A provider's clock and ours may differ by this much when a job is looked for by its time.
CLOCK_SKEW = timedelta(seconds=120)
#: How long an event is waited for that names the job, where the provider keeps no list: no video takes longer.
EVENT_SECONDS = 3600.0


class FindStep:
    """Looks in the bucket, then at the provider's events, and then in the provider's list for find_seconds."""

    def __init__(
        self,
        submissions: Submissions,
        posts: Posts,
        watch: ProviderWatch,
        requests: Requests,
        *,
        find_seconds: int,
    ) -> None:
        self._submissions = submissions
        self._posts = posts
        self._watch = watch
        self._requests = requests
        self._find_seconds = find_seconds

    def __call__(self, job: Job) -> Outcome | None:
        """What becomes of a POST whose job is not found; None where it is."""
        provider, intended_at = self._watch.provider_of(job), job.intended_at
        if intended_at is None:
            raise ServerNotNamed(f"nobody knows when scene {job.scene_id} was posted")
        if self._posts.recover_answer(job):
            return None
        request, window = self._requests.of(job), timedelta(seconds=self._find_seconds) + CLOCK_SKEW
        if self._accept_by_event(job, provider, request):
            return None
        find_seconds = self._find_seconds if provider.lists_at_once else math.inf
        since, until = intended_at - window - CLOCK_SKEW, intended_at + window + CLOCK_SKEW
        posts = self._submissions.read_unheard_posts(job, provider.base_url, request, since=since, until=until)
        post_times = [intended_at, *(post.intended_at for post in posts)]
        videos: Sequence[VideoJob]
        try:
            videos = provider.find(request, since=min(post_times) - CLOCK_SKEW, until=max(post_times) + window)
        except JobGone:
            # It keeps no list to look in: only an event could tell.
            videos = []
            find_seconds = max(EVENT_SECONDS, self._find_seconds) if provider.calls_back else self._find_seconds
        candidates = self._submissions.select_unclaimed(provider.base_url, videos)
        later_job_ids, forgotten_posts = self._posts.later_posts(job) if candidates else (frozenset[str](), [])
        candidates = [video for video in candidates if later_job_ids.isdisjoint((video.id, *video.other_ids))]
        near_videos = [
            video for video in candidates if _is_within(video, intended_at - CLOCK_SKEW, intended_at + window)
        ]
        rivals = (
            self._submissions.count_rivals(job, provider.base_url, request, since=since, until=until)
            if candidates
            else 0
        )
        if not rivals and self._pair_jobs(job, [*posts, *forgotten_posts], candidates):
            return None
        if len(near_videos) == 1 and not rivals and not forgotten_posts:
            self._submissions.accept(job, near_videos[0], adopted=True)
            return None
        reason = f"the POST had no answer, and {len(near_videos)} of the provider's jobs could be of it"
        if rivals:
            reason += f", or of {rivals} other POSTs that asked for the same"
        if forgotten_posts:
            reason += ", or of a later attempt that the database has forgotten"
        return after_search(job, reason, find_seconds=self._find_seconds, until_seconds=find_seconds)

    def _accept_by_event(self, job: Job, provider: VideoProvider, request: VideoRequest) -> bool:
        """Whether a verified event named the job: it is the attempt's once the provider knows it for our key."""
        for event_id in self._submissions.read_event_ids(job) if provider.calls_back else []:
            try:
                video = provider.poll(provider.job_id_of(event_id, request))
            except JobGone:
                continue
            if self._submissions.select_unclaimed(provider.base_url, [video]):
                # How it stands is for the next poll to say.
                self._submissions.accept(job, VideoJob(video.id, ACCEPTED, expires_at=video.expires_at), adopted=True)
                return True
        return False

    def _pair_jobs(self, job: Job, posts: Sequence[UnheardPost], candidates: Sequence[VideoJob]) -> bool:
        """Whether there are as many jobs as POSTs of this owner's for the same: each POST has the one of its turn then.

        Which job is whose makes no difference to the owner. A POST that is being looked for takes its own by itself.
        """
        posts = sorted({(post.scene_id, post.attempt): post for post in posts}.values(), key=_intended_at)
        pairs = list(zip(posts, sorted(candidates, key=_created_at), strict=False))
        own_video = next((video for post, video in pairs if _is_of(job, post)), None)
        if own_video is None or len(posts) != len(candidates):
            return False
        if any(_created_at(video) < post.intended_at - CLOCK_SKEW for post, video in pairs):
            return False
        for post, video in pairs:
            if post.is_over and not _is_of(job, post):
                self._submissions.accept_late(replace(job, scene_id=post.scene_id, attempt=post.attempt), video)
        self._submissions.accept(job, own_video, adopted=True)
        return True


def _is_of(job: Job, post: UnheardPost) -> bool:
    return (post.scene_id, post.attempt) == (job.scene_id, job.attempt)


def _intended_at(post: UnheardPost) -> datetime:
    return post.intended_at


def _created_at(video: VideoJob) -> datetime:
    return video.created_at or datetime.max.replace(tzinfo=UTC)


def _is_within(video: VideoJob, since: datetime, until: datetime) -> bool:
    return since <= _created_at(video) <= until
