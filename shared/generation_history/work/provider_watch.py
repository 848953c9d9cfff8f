"""ProviderWatch: which provider knows a job, and how each provider is."""

import logging

from generation_history.errors import Conflict, ProviderError
from generation_history.models import ProviderState
from generation_history.provider_kinds import KINDS, SORA
from generation_history.providers import VideoProvider
from generation_history.providers.factory import Providers
from generation_history.work.job_queue import Job, JobQueue
from generation_history.work.monitoring import Monitoring
from generation_history.work.retry_policy import JobTaken, ProviderGone, ProviderPaused, ServerNotNamed

logger = logging.getLogger(__name__)


class ProviderWatch:
    """The providers of one worker."""

    def __init__(self, providers: Providers, queue: JobQueue, monitoring: Monitoring) -> None:
        self._providers = providers
        self._queue = queue
        self._monitoring = monitoring
        self._states: dict[tuple[str, bool], ProviderState] = {}
        self._pauses: dict[str, str] = {}

    def begin_run(self) -> None:
        """What was known of the providers counts no more: another poller may have seen more of them since."""
        self._states.clear()
        self._pauses.clear()
        self._monitoring.forget_providers(base_urls=self._providers.base_urls)

    def provider_of_model(self, model: str) -> VideoProvider:
        """The provider that new jobs of this model go to; NotSent where none is configured."""
        return self._providers.of_model(model)

    def provider_to_ask(self, model: str) -> VideoProvider:
        """As provider_of_model(); ProviderPaused where it takes no POSTs in this run."""
        provider = self.provider_of_model(model)
        if (reason := self._pauses.get(provider.base_url)) is not None:
            raise ProviderPaused(reason)
        return provider

    def pause(self, provider: VideoProvider, reason: str) -> bool:
        """Nothing more is posted to the provider in this run; whether that is true of all providers now."""
        self._pauses[provider.base_url] = reason
        kinds = {name for name, base_url in self._providers.keys if base_url in self._pauses}
        return kinds == {name for name, _ in self._providers.keys}

    def provider_of(self, job: Job) -> VideoProvider:
        """The provider that knows this job, which may not be the first; ServerNotNamed where none is configured."""
        provider = self._providers.find(job.provider_base_url)
        if provider is None:
            raise ServerNotNamed(_not_named(job))
        return provider

    def bind(self, job: Job) -> tuple[VideoProvider, str]:
        """The provider of this job and its id there, which is this scene's alone from now on: else JobTaken.

        What a caller names is settled before it is asked about.
        """
        provider = self.provider_of(job)
        if job.sora_video_id is None:
            raise ServerNotNamed(_not_named(job))
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
            raise ProviderGone(
                f"{KINDS[provider.name].url_setting}: {provider.base_url} answers as if it had no videos at all"
            )

    def record_state(
        self, provider: VideoProvider, state: ProviderState, reason: str | None = None, *, took_a_post: bool = True
    ) -> None:
        """Tells whoever watches, once, when a provider gets into another state."""
        if self._states.get((provider.base_url, took_a_post)) == state:
            return
        self._states[provider.base_url, took_a_post] = state
        if self._monitoring.record_provider_state(provider.base_url, state, reason, took_a_post=took_a_post):
            logger.log(logging.INFO if state == "ok" else logging.ERROR, "the provider is %s: %s", state, reason)


def _not_named(job: Job) -> str:
    """Which setting the job waits for."""
    kind = KINDS.get(job.provider or SORA.name, SORA)
    if kind is SORA:
        return f"SORA_BASE_URL does not name {job.provider_base_url} any more"
    setting, url = kind.url_setting, job.provider_base_url
    return (
        f"{kind.key_setting} is not set, VIDEO_PROVIDERS does not name {kind.name}, or {setting} is not {url} any more"
    )
