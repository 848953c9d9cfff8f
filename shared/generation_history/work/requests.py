"""Requests: what is asked of a provider for a job, with what its caller left open."""

from collections.abc import Callable
from typing import Final

from generation_history import kind_settings, provider_settings
from generation_history.errors import NotConfigured
from generation_history.provider_kinds import SORA, split_model
from generation_history.provider_settings import ProviderSettings
from generation_history.providers import FirstFrame, VideoRequest
from generation_history.providers.catalogue import Catalogue, Model, catalogue
from generation_history.work.job_queue import Job

_MEDIA_TYPES: Final = {"png": "image/png", "webp": "image/webp"}


class Requests:
    """The requests of one worker's jobs; a model that nobody names is default_model."""

    def __init__(
        self, default_model: str, *, sora: ProviderSettings | None = None, models: Callable[[], Catalogue] = catalogue
    ) -> None:
        """The size and the length of sora are those of a `/v1/videos` server's models that nobody has described."""
        self._default_model = default_model
        self._sora = sora
        self._models = models

    def model_name(self, job: Job) -> str:
        """The full name of the model that the job is of; one of a `/v1/videos` server is without its kind."""
        name = job.model or self._default_model
        kind, model = split_model(name)
        return model if kind == SORA.name else name

    def of(self, job: Job) -> VideoRequest:
        """What is asked for; InvalidValue where the model is not known."""
        name = self.model_name(job)
        model = self._models().find(name)
        usual = self._sora if model is None else model.default
        if usual is None:
            raise NotConfigured(f"SORA_BASE_URL is not set: {name} is a model of the server there")
        return VideoRequest(
            prompt=job.prompt,
            model=name,
            size=job.size or usual.size,
            seconds=job.seconds or usual.seconds,
            sound=job.sound,
            seed=job.seed,
            image=None if job.image_key is None else FirstFrame(job.image_key, _media_type(job.image_key)),
        )

    def model_of(self, request: VideoRequest) -> Model | None:
        """The catalogue's entry of the request's model, which can do what is asked: else InvalidValue says what can."""
        model = self._models().find(request.model)
        if model is not None:
            model.check(request)
        return model


def from_settings(models: Callable[[], Catalogue] = catalogue) -> Requests:
    """The requests as the environment describes them; NotConfigured names what is missing."""
    kinds = kind_settings.kinds()
    sora = provider_settings.provider() if SORA in kinds else None
    name = kind_settings.default_model()
    if name is None and kinds[0] is SORA:
        name = provider_settings.provider().model
    if name is None:
        default = models().default_of(kinds[0].name)
        if default is None:
            raise NotConfigured(f"VIDEO_MODEL is not set: no model of the kind {kinds[0].name} is known")
        name = default.name
    return Requests(name, sora=sora, models=models)


def _media_type(key: str) -> str:
    return _MEDIA_TYPES.get(key.rpartition(".")[2].lower(), "image/jpeg")
