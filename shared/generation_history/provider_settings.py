"""What is configured of the video providers: their servers, keys, webhooks, and what holds submitting back.

As in settings.py, each function raises NotConfigured, naming the setting, where it is missing or cannot be right.
"""

from dataclasses import dataclass

from generation_history import environment
from generation_history.errors import NotConfigured
from generation_history.limits import MAX_SECONDS
from generation_history.shared_secrets import split_webhook_secrets, webhook_keys


@dataclass(frozen=True)
class ProviderSettings:
    """The servers that speak /v1/videos; new jobs go to the first, the others are still asked about theirs."""

    base_urls: tuple[str, ...]
    download_hosts: frozenset[str]
    model: str
    size: str
    seconds: int


def provider() -> ProviderSettings:
    """Which video servers the provider key may be sent to, and what is asked of them unless a caller says otherwise."""
    urls = environment.required(
        "SORA_BASE_URL", "the base URL of a /v1/videos server, for example https://gateway.example/v1"
    )
    return ProviderSettings(
        base_urls=tuple(environment.url("SORA_BASE_URL", url) for url in urls.split()),
        download_hosts=environment.hosts("SORA_DOWNLOAD_HOSTS", environment.optional("SORA_DOWNLOAD_HOSTS") or ""),
        model=environment.optional("SORA_MODEL") or "sora-2",
        size=environment.optional("SORA_SIZE") or "720x1280",
        seconds=environment.number("SORA_SECONDS", 8, minimum=1, maximum=MAX_SECONDS),
    )


def provider_key() -> str:
    """The key to the video provider."""
    return environment.required("OPENAI_API_KEY", "the key to the /v1/videos server that SORA_BASE_URL names")


@dataclass(frozen=True)
class Limits:
    """What holds submitting back; None is no limit. Everything else goes on whatever they say."""

    submitting: bool = True
    most_running: int | None = None
    most_per_minute: int | None = None
    usd_per_owner_and_day: int | None = None


def limits() -> Limits:
    """The limits on spending."""
    switch = environment.optional("SORA_SUBMITTING") or "on"
    if switch not in {"on", "off"}:
        raise NotConfigured("SORA_SUBMITTING must be on or off")
    dollars = environment.number("SPEND_LIMIT_PER_OWNER_DAY", -1, minimum=0, maximum=1_000_000)
    return Limits(
        submitting=switch == "on",
        most_running=environment.number("SORA_MAX_RUNNING", 0, minimum=1, maximum=100_000) or None,
        most_per_minute=environment.number("SORA_MAX_PER_MINUTE", 0, minimum=1, maximum=100_000) or None,
        usd_per_owner_and_day=None if dollars < 0 else dollars,
    )


def webhook_secrets() -> tuple[str, ...]:
    """The secrets a webhook may be signed with, each of them one: more than one while a key is rotated."""
    value = environment.required(
        "OPENAI_WEBHOOK_SECRET", "the secret that the provider signs its webhooks with, whsec_..."
    )
    secrets = split_webhook_secrets(value)
    if not secrets:
        raise NotConfigured("OPENAI_WEBHOOK_SECRET has no secret: it is whsec_ and base64")
    for secret in secrets:
        webhook_keys(secret)
    return secrets
