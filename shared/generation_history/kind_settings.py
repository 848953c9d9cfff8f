"""The settings of the kinds of providers: which are used, in which order, each one's server and key.

docs/providers.md explains them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from generation_history import environment
from generation_history.errors import NotConfigured
from generation_history.provider_kinds import KINDS, SORA, Kind, split_model

#: Settings of all kinds together.
SHARED_SETTINGS: Final = ("VIDEO_PROVIDERS", "VIDEO_MODEL", "VIDEO_WEBHOOK_URL")


@dataclass(frozen=True)
class ServerSettings:
    """One kind's server: its base URL without a slash at the end, its key, and where its videos may be."""

    base_url: str
    key: str = field(repr=False)
    download_hosts: frozenset[str]
    #: By the name of the setting.
    other_urls: Mapping[str, str] = field(default_factory=dict[str, str])


def kinds() -> tuple[Kind, ...]:
    """The kinds that are used, new jobs going to the first; where nobody says, those whose key or server is set."""
    value = environment.optional("VIDEO_PROVIDERS")
    if value is None:
        configured = tuple(kind for kind in KINDS.values() if _is_set(kind))
        # Without any, the error names what has been asked for from the beginning.
        return configured or (SORA,)
    names = value.replace(",", " ").split()
    for name in names:
        if name not in KINDS:
            raise NotConfigured(f"VIDEO_PROVIDERS must be of {', '.join(KINDS)}, separated by spaces")
    if len(set(names)) < len(names):
        raise NotConfigured("VIDEO_PROVIDERS names a kind twice")
    return tuple(KINDS[name] for name in names)


def default_model() -> str | None:
    """The full name of the model that new jobs ask for, where nobody names one; None: the first kind's own."""
    name = environment.one_word("VIDEO_MODEL")
    if name is not None and split_model(name)[0] not in {kind.name for kind in kinds()}:
        raise NotConfigured(f"VIDEO_MODEL is of the kind {split_model(name)[0]}, which VIDEO_PROVIDERS does not name")
    return name


def webhook_url() -> str | None:
    """Where providers call back: the URL of the function sora/webhook, without a slash at its end."""
    url = environment.optional("VIDEO_WEBHOOK_URL")
    return None if url is None else environment.url("VIDEO_WEBHOOK_URL", url).rstrip("/")


def server(kind: Kind) -> ServerSettings:
    """The server of a kind, which is not SORA; NotConfigured names what is missing."""
    key = environment.required(kind.key_setting, f"the key to {kind.name}, which VIDEO_PROVIDERS names")
    if not re.fullmatch("[!-~]+", key):
        # Said here: http.client would repeat the key in its complaint.
        raise NotConfigured(f"{kind.key_setting} must be of visible ASCII characters, without a space")
    others = kind.other_urls or {}
    return ServerSettings(
        base_url=_url(kind.url_setting, kind.base_url or ""),
        key=key,
        download_hosts=_hosts(kind),
        other_urls={name: _url(name, default) for name, default in others.items()},
    )


def _is_set(kind: Kind) -> bool:
    return environment.optional("SORA_BASE_URL" if kind is SORA else kind.key_setting) is not None


def _url(name: str, default: str) -> str:
    return environment.url(name, environment.optional(name) or default).rstrip("/")


def _hosts(kind: Kind) -> frozenset[str]:
    name = kind.hosts_setting
    value = environment.optional(name)
    if value is None:
        return frozenset(kind.download_hosts)
    wild = {host for host in value.split() if host.startswith("*.")}
    plain = " ".join(host for host in value.split() if host not in wild)
    below = environment.hosts(name, " ".join(host.removeprefix("*.") for host in wild))
    return environment.hosts(name, plain) | {f"*.{host}" for host in below}
