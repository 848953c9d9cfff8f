"""The only reader of the environment.

Each function here reads what one part of the system needs and raises NotConfigured, naming the setting, where it is
missing or cannot be right. docs/operations.md explains every setting.
"""

import os
import re
from dataclasses import dataclass, field
from typing import Final, Literal, get_args
from uuid import UUID

from generation_history.endpoints import endpoint_of, spaces_endpoint
from generation_history.errors import NotConfigured
from generation_history.ids import as_uuid
from generation_history.shared_secrets import jwt_keys, split_webhook_secrets, webhook_keys
from generation_history.urls import UnclearUrl, Url, parse_host, parse_url

Access = Literal["jwt", "api-key", "single-owner"]


#: Stands for a setting that is not set, because DigitalOcean's deployer refuses empty variables.
UNSET: Final = "none"
#: As text processors and files of settings put them around a value.
_QUOTES: Final = frozenset({'""', "''", "``", "\u201c\u201d", "\u2018\u2019"})


def _optional(name: str) -> str | None:
    value = os.environ.get(name, "").strip()
    if value in {"", UNSET}:
        return None
    if not "".join(value.split()).isprintable():
        raise NotConfigured(f"{name} has a character that cannot be seen: type it anew")
    if len(value) > 1 and value[0] + value[-1] in _QUOTES:
        raise NotConfigured(f"{name} has quotes around its value: write it without them")
    if value.startswith(f"{name}="):
        raise NotConfigured(f"{name} begins with its own name: write what follows the = alone")
    return value


def _required(name: str, why: str) -> str:
    value = _optional(name)
    if value is None:
        raise NotConfigured(f"{name} is not set: {why}")
    return value


def _number(name: str, default: int, *, least: int, most: int) -> int:
    value = _optional(name)
    if value is None:
        return default
    if not re.fullmatch("[0-9]{1,12}", value) or not least <= int(value) <= most:
        raise NotConfigured(f"{name} must be a whole number from {least} to {most}, of the digits 0 to 9 alone")
    return int(value)


def _parsed(name: str, value: str) -> Url:
    try:
        url = parse_url(value)
    except UnclearUrl as error:
        refused = f"{name} must be a plain http or https URL, without user, query or fragment: {error}"
        raise NotConfigured(refused) from None
    if "?" in value or "#" in value:
        raise NotConfigured(f"{name} must be a plain http or https URL, without user, query or fragment")
    return url


def _url(name: str, value: str) -> str:
    # As clients write a host into their requests, because it is signed with them.
    return _parsed(name, value).base


def _secure_url(name: str, value: str) -> str:
    url = _parsed(name, value)
    if url.scheme != "https" and url.host not in {"localhost", "127.0.0.1", "::1"}:
        raise NotConfigured(f"{name} must be an https URL: what comes over http may be anyone's")
    return url.text


def _hosts(name: str, value: str) -> frozenset[str]:
    try:
        return frozenset(parse_host(host) for host in value.split())
    except UnclearUrl:
        raise NotConfigured(f"{name} must be names or addresses of hosts alone, separated by spaces") from None


def _bucket(name: str, value: str) -> str:
    # Part of a host name, or of a path: the store's own complaint about another would blame either.
    if not re.fullmatch("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value) or re.search(r"\.[.-]|-\.|^[0-9.]+$", value):
        raise NotConfigured(f"{name} must have 3 to 63 lower-case letters, digits, dots or hyphens, as a host name has")
    return value


def _region(name: str) -> str | None:
    value = _optional(name)
    # Part of every signature.
    if value is not None and not re.fullmatch("[A-Za-z0-9_-]{1,64}", value):
        raise NotConfigured(f"{name} must be the short name of a region, like nyc3 or eu-central-1")
    return value


def _database_url(name: str, login: str) -> str:
    """What libpq takes for an address, a URL or key=value, and reads as it is meant; libpq's errors may repeat it."""
    # Late: not every reader of settings has a database.
    from generation_history.database_urls import checked  # noqa: PLC0415

    return checked(name, _required(name, f"the Postgres URL of {login}"))


def database_url() -> str:
    """The URL of the database for the login history_api."""
    return _database_url("DATABASE_URL", "the login history_api")


def worker_database_url() -> str:
    """The URL of the database for the login history_worker."""
    return _database_url("WORKER_DATABASE_URL", "the login history_worker")


def migrate_database_url() -> str:
    """The URL of the database for the login history_migrate, which owns the tables."""
    return _database_url("MIGRATE_DATABASE_URL", "the login history_migrate")


def admin_database_url() -> str:
    """The URL of the database for someone who may create the logins; scripts/create-logins alone asks for it."""
    return _database_url("ADMIN_DATABASE_URL", "a login that may create roles")


def owner_id() -> UUID:
    """The owner of everything recorded without another one named."""
    value = _required("HISTORY_OWNER_ID", "the UUID of the owner whose generations these are")
    owner = as_uuid(value)
    if owner is None:
        raise NotConfigured("HISTORY_OWNER_ID must be a UUID like 018f0000-0000-7000-8000-000000000000")
    return owner


@dataclass(frozen=True)
class JwtSettings:
    """How a token is proven: by the shared secret (HS256), or by the keys that a URL publishes (RS256, ES256)."""

    secret: str = field(default="", repr=False)
    jwks_url: str | None = None
    issuer: str | None = None
    audience: str | None = None

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The keys that the secret may mean."""
        return jwt_keys(self.secret)


@dataclass(frozen=True)
class AccessSettings:
    """Who may call: whoever has a token, an API key, or either; without any of them anyone, as the one owner."""

    jwt: JwtSettings | None = None
    api_keys: bool = False

    @property
    def single_owner(self) -> bool:
        """Whether nobody needs to show anything."""
        return self.jwt is None and not self.api_keys


def access() -> AccessSettings:
    """How callers are told apart; unset is an error, so nothing opens by accident."""
    value = _required("HISTORY_ACCESS", f"one of {', '.join(get_args(Access))}")
    ways = set(value.lower().split())
    if not ways <= set(get_args(Access)) or ("single-owner" in ways and len(ways) > 1):
        raise NotConfigured(
            f"HISTORY_ACCESS must be one of {', '.join(get_args(Access))}, or jwt and api-key with a space"
        )
    return AccessSettings(_jwt() if "jwt" in ways else None, api_keys="api-key" in ways)


def _jwt() -> JwtSettings:
    issuer, audience = _one_word("HISTORY_JWT_ISSUER"), _one_word("HISTORY_JWT_AUDIENCE")
    url = _optional("HISTORY_JWKS_URL")
    if url is None:
        secret = _required("HISTORY_JWT_SECRET", "the secret that tokens are signed with (HS256)")
        jwt_keys(secret)
        return JwtSettings(secret, issuer=issuer, audience=audience)
    if _optional("HISTORY_JWT_SECRET"):
        raise NotConfigured("HISTORY_JWKS_URL and HISTORY_JWT_SECRET are both set: tokens are proven by one of them")
    # Whoever publishes keys signs for others as well.
    why = "tokens proven by HISTORY_JWKS_URL must be ours"
    return JwtSettings(
        jwks_url=_secure_url("HISTORY_JWKS_URL", url),
        issuer=_required("HISTORY_JWT_ISSUER", why),
        audience=_required("HISTORY_JWT_AUDIENCE", why),
    )


def _one_word(name: str) -> str | None:
    value = _optional(name)
    if value and len(value.split()) > 1:
        raise NotConfigured(f"{name} must be one text without spaces, just as tokens have it")
    return value


def cors_origins() -> frozenset[str]:
    """The origins whose pages may read the answers; none unless they are named one by one."""
    origins = (_optional("HISTORY_CORS_ORIGINS") or "").split()
    for origin in origins:
        # As a browser writes it: whatever else there is would never match.
        exact = re.fullmatch(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]+)?", origin)
        if not exact or origin != _url("HISTORY_CORS_ORIGINS", origin):
            raise NotConfigured(
                "HISTORY_CORS_ORIGINS must be exact origins like https://app.example, separated by spaces: in lower "
                "case, without a path or a slash at the end, without the usual port, a name like münchen as xn--; "
                "* is none"
            )
    return frozenset(origins)


@dataclass(frozen=True)
class SpacesSettings:
    """Where finished videos are kept: an S3-compatible store."""

    bucket: str
    region: str
    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    path_style: bool = False

    @property
    def base_url(self) -> str:
        """The URL under which the bucket's objects lie, without a slash at its end."""
        if self.path_style:
            return f"{self.endpoint}/{self.bucket}"
        scheme, _, host = self.endpoint.partition("://")
        return f"{scheme}://{self.bucket}.{host}"


def spaces() -> SpacesSettings:
    """The object store; DigitalOcean's own unless DO_SPACES_ENDPOINT names another S3-compatible one."""
    bucket = _bucket("DO_SPACES_BUCKET", _optional("DO_SPACES_BUCKET") or "soraking-videos")
    region, url = _region("DO_SPACES_REGION"), _optional("DO_SPACES_ENDPOINT")
    if url is None:
        endpoint = spaces_endpoint(region, bucket)
    else:
        # As some panels show it; a server of one's own says whether it is http.
        named = url if "://" in url or "." not in url or ":" in url else f"https://{url}"
        endpoint = endpoint_of(_url("DO_SPACES_ENDPOINT", named), region, bucket)
    return SpacesSettings(
        bucket=bucket,
        region=endpoint.region,
        endpoint=endpoint.url,
        access_key=_required("DO_SPACES_ACCESS_KEY", "the id of the key to the Spaces bucket"),
        secret_key=_required("DO_SPACES_SECRET_KEY", "the secret of the key to the Spaces bucket"),
        path_style=endpoint.path_style,
    )


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
    urls = _required("SORA_BASE_URL", "the base URL of a /v1/videos server, for example https://gateway.example/v1")
    return ProviderSettings(
        base_urls=tuple(_url("SORA_BASE_URL", url) for url in urls.split()),
        download_hosts=_hosts("SORA_DOWNLOAD_HOSTS", _optional("SORA_DOWNLOAD_HOSTS") or ""),
        model=_optional("SORA_MODEL") or "sora-2",
        size=_optional("SORA_SIZE") or "720x1280",
        seconds=_number("SORA_SECONDS", 8, least=1, most=600),
    )


def provider_key() -> str:
    """The key to the video provider."""
    return _required("OPENAI_API_KEY", "the key to the /v1/videos server that SORA_BASE_URL names")


@dataclass(frozen=True)
class Limits:
    """What holds submitting back; None is no limit. Everything else goes on whatever they say."""

    submitting: bool = True
    most_running: int | None = None
    most_per_minute: int | None = None
    usd_per_owner_and_day: int | None = None


def limits() -> Limits:
    """The limits on spending."""
    switch = _optional("SORA_SUBMITTING") or "on"
    if switch not in {"on", "off"}:
        raise NotConfigured("SORA_SUBMITTING must be on or off")
    dollars = _number("SPEND_LIMIT_PER_OWNER_DAY", -1, least=0, most=1_000_000)
    return Limits(
        submitting=switch == "on",
        most_running=_number("SORA_MAX_RUNNING", 0, least=1, most=100_000) or None,
        most_per_minute=_number("SORA_MAX_PER_MINUTE", 0, least=1, most=100_000) or None,
        usd_per_owner_and_day=None if dollars < 0 else dollars,
    )


def webhook_secrets() -> tuple[str, ...]:
    """The secrets a webhook may be signed with, each of them one: more than one while a key is rotated."""
    value = _required("OPENAI_WEBHOOK_SECRET", "the secret that the provider signs its webhooks with, whsec_...")
    secrets = split_webhook_secrets(value)
    if not secrets:
        raise NotConfigured("OPENAI_WEBHOOK_SECRET has no secret: it is whsec_ and base64")
    for secret in secrets:
        webhook_keys(secret)
    return secrets


#: Short enough to type, long enough not to be guessed.
MIN_TOKEN_LENGTH = 16


def health_token() -> str:
    """The token that opens the health endpoint, and nothing else."""
    token = _required("HEALTH_TOKEN", "the token that GET /ops/health asks for")
    if len(token) < MIN_TOKEN_LENGTH:
        raise NotConfigured(f"HEALTH_TOKEN must be at least {MIN_TOKEN_LENGTH} characters long")
    if not re.fullmatch("[!-~]+", token):
        raise NotConfigured("HEALTH_TOKEN must be of visible ASCII characters without spaces: it travels in a header")
    return token


@dataclass(frozen=True)
class WakeSettings:
    """How a webhook may wake the poller: a DigitalOcean action's URL and access key, or a Lambda's name, or not."""

    url: str | None = None
    key: str = field(default="", repr=False)
    lambda_name: str | None = None


def wake() -> WakeSettings:
    """How the poller is woken; without any setting its schedule is enough."""
    url, name = _optional("POLLER_WAKE_URL"), _optional("POLLER_WAKE_LAMBDA")
    url = _url("POLLER_WAKE_URL", url) if url else None
    key = _required("POLLER_WAKE_KEY", "the access key to POLLER_WAKE_URL") if url else ""
    if url and not re.fullmatch("[!-9;-~]+:[!-~]+", key):
        raise NotConfigured("POLLER_WAKE_KEY must be an id and a secret with a colon between them, as doctl prints it")
    if name and not re.fullmatch(r"[\w:$-]+", name, re.ASCII):
        raise NotConfigured("POLLER_WAKE_LAMBDA must be the name of a function of AWS Lambda, or its ARN")
    return WakeSettings(url=url, key=key, lambda_name=name)


@dataclass(frozen=True)
class WorkerSettings:
    """How a poller works.

    concurrency scenes at once, of which downloads are downloading; lease_seconds without a sign of life until another
    may take a job over; find_seconds during which an unanswered POST's job is looked for in the provider's list.
    """

    concurrency: int
    downloads: int
    lease_seconds: int
    find_seconds: int


def worker() -> WorkerSettings:
    """How much one poller does at once."""
    return WorkerSettings(
        concurrency=_number("WORKER_CONCURRENCY", 8, least=1, most=32),
        downloads=_number("WORKER_DOWNLOADS", 4, least=1, most=32),
        lease_seconds=_number("WORKER_LEASE_SECONDS", 60, least=3, most=900),
        find_seconds=_number("WORKER_FIND_SECONDS", 120, least=1, most=3600),
    )
