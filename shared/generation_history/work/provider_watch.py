"""ProviderWatch: which provider knows a job, and how each provider is."""

import logging

from generation_history.errors import Conflict, ProviderError
from generation_history.models import ProviderState
from generation_history.providers import VideoProvider
from generation_history.providers.factory import Providers
from generation_history.work.job_queue import Job, JobQueue
from generation_history.work.monitoring import Monitoring
from generation_history.work.retry_policy import JobTaken, ProviderGone, ServerNotNamed

logger = logging.getLogger(__name__)


class ProviderWatch:
    """The providers of one worker."""

    def __init__(self, providers: Providers, queue: JobQueue, monitoring: Monitoring) -> None:
        self._providers = providers
        self._queue = queue
        self._monitoring = monitoring
        self._states: dict[tuple[str, bool], ProviderState] = {}

    def begin_run(self) -> None:
        """What was known of the providers counts no more: another poller may have seen more of them since."""
        self._states.clear()
        self._monitoring.forget_providers(base_urls=self._providers.base_urls)

    @property
    def first(self) -> VideoProvider:
        """The provider that new jobs go to."""
        return self._providers.first

    def provider_of(self, job: Job) -> VideoProvider:
        """The provider that knows this job, which may not be the first; ServerNotNamed where none is configured."""
        provider = self._providers.find(job.provider_base_url)
        if provider is None:
            raise ServerNotNamed(f"SORA_BASE_URL does not name {job.provider_base_url} any more")
        return provider

    def bind(self, job: Job) -> tuple[VideoProvider, str]:
        """The provider of this job and its id there, which is this scene's alone from now on: else JobTaken.

        What a caller names is settled before it is asked about.
        """
        provider = self.provider_of(job)
        if job.sora_video_id is None:
            raise ServerNotNamed(f"SORA_BASE_URL does not name {job.provider_base_url} any more")
        if job.bound_to != provider.base_url:
            try:
                self._queue.bind(job, provider=provider.name, base_url=provider.base_url)
            except Conflict as conflict:
                raise JobTaken(str(conflict)) from conflict
        return provider, job.sora_video_id

    def raise_if_gone(self, provider: VideoProvider) -> None:
        """ProviderGone where the provider answers as if it had no videos at all."""
        try:
            is_gone = provider.is_gone()
        except ProviderError:
            return
        if is_gone:
            raise ProviderGone(f"SORA_BASE_URL: {provider.base_url} answers as if it had no videos at all")

    def record_state(
        self, provider: VideoProvider, state: ProviderState, reason: str | None = None, *, took_a_post: bool = True
    ) -> None:
        """Tells whoever watches, once, when a provider gets into another state."""
        if self._states.get((provider.base_url, took_a_post)) == state:
            return
        self._states[provider.base_url, took_a_post] = state
        if self._monitoring.record_provider_state(provider.base_url, state, reason, took_a_post=took_a_post):
            logger.log(logging.INFO if state == "ok" else logging.ERROR, "the provider is %s: %s", state, reason)
