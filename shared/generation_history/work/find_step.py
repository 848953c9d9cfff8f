"""The step "find": adopt the provider's job of a POST whose outcome nobody knows, if exactly one can be it."""

from collections.abc import Sequence
from datetime import timedelta

from generation_history.errors import JobGone
from generation_history.providers import VideoJob
from generation_history.settings import ProviderSettings
from generation_history.work.job_queue import Job
from generation_history.work.posts import Posts
from generation_history.work.provider_watch import ProviderWatch
from generation_history.work.retry_policy import Outcome, ServerNotNamed, after_search
from generation_history.work.submission import Submissions
from generation_history.work.submit_step import request_of

#: A provider's clock and ours may differ by this much when a job is looked for by its time.
CLOCK_SKEW = timedelta(seconds=120)


class FindStep:
    """Looks in the bucket, and then in the provider's list for find_seconds."""

    def __init__(
        self,
        submissions: Submissions,
        posts: Posts,
        watch: ProviderWatch,
        *,
        defaults: ProviderSettings,
        find_seconds: int,
    ) -> None:
        self._submissions = submissions
        self._posts = posts
        self._watch = watch
        self._defaults = defaults
        self._find_seconds = find_seconds

    def __call__(self, job: Job) -> Outcome | None:
        """What becomes of a POST whose job is not found; None where it is."""
        provider, intended_at = self._watch.provider_of(job), job.intended_at
        if intended_at is None:
            raise ServerNotNamed(f"SORA_BASE_URL does not name {job.provider_base_url} any more")
        if self._posts.is_told(job):
            return None
        request, window = request_of(job, self._defaults), timedelta(seconds=self._find_seconds) + CLOCK_SKEW
        found: Sequence[VideoJob]
        try:
            found = provider.find(request, since=intended_at - CLOCK_SKEW, until=intended_at + window)
        except JobGone:
            # It keeps no list to look in.
            found = []
        candidates = self._submissions.unclaimed(provider.base_url, found)
        taken, forgotten = self._posts.later_posts(job) if candidates else (frozenset[str](), False)
        candidates = [video for video in candidates if taken.isdisjoint((video.id, *video.other_ids))]
        reason = f"the POST had no answer, and {len(candidates)} of the provider's jobs could be of it"
        since, until = intended_at - window - CLOCK_SKEW, intended_at + window + CLOCK_SKEW
        rivals = (
            self._submissions.rivals(job, provider.base_url, request, since=since, until=until) if candidates else 0
        )
        if len(candidates) == 1 and not rivals and not forgotten:
            self._submissions.accept(job, candidates[0], adopted=True)
            return None
        if rivals:
            reason += f", or of {rivals} other POSTs that asked for the same"
        if forgotten:
            reason += ", or of a later attempt that the database has forgotten"
        return after_search(job, reason, find_seconds=self._find_seconds)
