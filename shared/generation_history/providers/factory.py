"""The video providers that the settings name: made here and nowhere else, each kind of them with its own key."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from generation_history import kind_settings, provider_settings
from generation_history.errors import NotConfigured, NotSent
from generation_history.provider_kinds import KINDS, SORA, split_model
from generation_history.providers import VideoProvider
from generation_history.providers.catalogue import Catalogue, catalogue
from generation_history.providers.fal import FalProvider
from generation_history.providers.gemini import GeminiProvider
from generation_history.providers.json_provider import JsonProvider
from generation_history.providers.replicate import ReplicateProvider
from generation_history.providers.runway import RunwayProvider
from generation_history.providers.sora import SoraProvider
from generation_history.urls import is_below, parse_url

#: The kinds beside `/v1/videos`, which has servers and settings of its own.
JSON_KINDS: Final[Mapping[str, type[JsonProvider]]] = {
    provider.KIND.name: provider for provider in (FalProvider, ReplicateProvider, RunwayProvider, GeminiProvider)
}


class Providers:
    """The servers that are asked about jobs, by kind and base URL; new jobs go to the first of their model's kind."""

    def __init__(self, servers: Sequence[VideoProvider]) -> None:
        self._servers = {(server.name, server.base_url): server for server in servers}
        if len({base_url for _, base_url in self._servers}) < len(self._servers):
            raise NotConfigured("SORA_BASE_URL: two kinds of provider cannot have the same base URL")
        self.first: Final = servers[0]

    @property
    def keys(self) -> list[tuple[str, str]]:
        """The kind and the base URL of each."""
        return list(self._servers)

    @property
    def base_urls(self) -> list[str]:
        """Which servers they are."""
        return [base_url for _, base_url in self._servers]

    def find(self, base_url: str | None, *, kind: str | None = None) -> VideoProvider | None:
        """The server at this URL, which alone knows the jobs that it made; None where none is configured there.

        The first one where nothing is known of the URL. A kind that is given has to be the server's.
        """
        if base_url is None:
            return self.first
        matches = ((name, url) for name, url in self._servers if url == base_url and kind in {None, name})
        return next((self._servers[name] for name in matches), None)

    def of_model(self, model: str) -> VideoProvider:
        """The server that new jobs of this model go to; NotSent where its kind has none."""
        kind = split_model(model)[0]
        server = next((server for (name, _), server in self._servers.items() if name == kind), None)
        if server is None:
            setting = "SORA_BASE_URL" if kind == SORA.name else KINDS[kind].key_setting
            raise NotSent(f"{setting} is not set, or VIDEO_PROVIDERS does not name {kind}: {model} has to wait")
        return server


def from_settings(models: Callable[[], Catalogue] = catalogue) -> Providers:
    """The providers as the environment describes them; NotConfigured names what is missing."""
    servers: list[VideoProvider] = []
    for kind in kind_settings.kinds():
        if kind is SORA:
            servers += sora_servers()
        else:
            callback = kind_settings.webhook_url()
            servers.append(JSON_KINDS[kind.name](kind_settings.server(kind), models, webhook_url=callback))
    return Providers(servers)


def sora_servers(key: str | None = None) -> list[SoraProvider]:
    """The servers that SORA_BASE_URL names, in order, each with the key of their kind unless a caller has another."""
    key = provider_settings.provider_key() if key is None else key
    configured = provider_settings.provider()
    return [SoraProvider(url, key, download_hosts=configured.download_hosts) for url in configured.base_urls]


def sora_server_of(content_url: str, key: str) -> SoraProvider:
    """The server that this content URL is plainly below; else the first, which refuses to fetch it."""
    servers = sora_servers(key)
    return next((server for server in servers if server.has(content_url)), servers[0])


def base_url_of(content_url: str) -> str | None:
    """The base URL of the server that this content URL is plainly below; None where SORA_BASE_URL names none."""
    base_urls = provider_settings.provider().base_urls
    return next((base_url for base_url in base_urls if is_below(content_url, parse_url(base_url))), None)
