"""The kinds of providers, as data: how each is set, and what it can do.

Functions that call no provider read this as well, so no module of a provider is imported here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

#: Which servers a kind's videos are fetched from with its key.
KeyPolicy = Literal["never", "always", "after a refusal"]


@dataclass(frozen=True)
class Kind:
    """One kind of provider; its settings begin with prefix, but for its key's."""

    name: str
    prefix: str
    key_setting: str
    #: None: the operator has to name the servers.
    base_url: str | None
    #: Where its videos are, beside the server itself; *.host is every host below that one.
    download_hosts: tuple[str, ...] = ()
    #: Its further settings that name a URL, with the URL where they are not set.
    other_urls: Mapping[str, str] | None = None
    key_policy: KeyPolicy = "never"
    #: Whether a job that is running can be cancelled.
    cancels: bool = False
    #: Whether its POST takes a URL to call back, which tells of a job whose id was never heard of.
    calls_back: bool = False

    @property
    def url_setting(self) -> str:
        """The setting that names its servers."""
        return f"{self.prefix}_BASE_URL"

    @property
    def hosts_setting(self) -> str:
        """The setting that names the hosts that have its videos."""
        return f"{self.prefix}_DOWNLOAD_HOSTS"

    @property
    def settings(self) -> tuple[str, ...]:
        """The names of all its settings that whoever calls it reads."""
        return (self.key_setting, self.url_setting, self.hosts_setting, *(self.other_urls or {}))


SORA: Final = Kind("sora", "SORA", "OPENAI_API_KEY", None)
FAL: Final = Kind(
    "fal",
    "FAL",
    "FAL_KEY",
    "https://queue.fal.run",
    ("fal.media", "*.fal.media"),
    {"FAL_API_URL": "https://api.fal.ai/v1"},
    cancels=True,
    calls_back=True,
)
REPLICATE: Final = Kind(
    "replicate",
    "REPLICATE",
    "REPLICATE_API_TOKEN",
    "https://api.replicate.com/v1",
    ("replicate.delivery", "*.replicate.delivery"),
    key_policy="after a refusal",
    cancels=True,
    calls_back=True,
)
RUNWAY: Final = Kind(
    "runway",
    "RUNWAY",
    "RUNWAYML_API_SECRET",
    "https://api.dev.runwayml.com/v1",
    ("dnznrvs05pmza.cloudfront.net",),
    cancels=True,
)
GEMINI: Final = Kind(
    "gemini",
    "GEMINI",
    "GEMINI_API_KEY",
    "https://generativelanguage.googleapis.com/v1",
    key_policy="always",
    cancels=True,
    calls_back=True,
)
KINDS: Final[Mapping[str, Kind]] = {kind.name: kind for kind in (SORA, FAL, REPLICATE, RUNWAY, GEMINI)}


def split_model(name: str) -> tuple[str, str]:
    """The kind that a model's full name begins with, and the model's own name there; "sora" where it names no kind."""
    kind, colon, model = name.partition(":")
    return (kind, model) if colon and kind in KINDS else (SORA.name, name)


def kind_of_model(name: str) -> Kind:
    """The kind of provider that has a model of this full name."""
    return KINDS[split_model(name)[0]]
