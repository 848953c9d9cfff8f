"""What is configured: with provider_settings.py the only reader of the environment (environment.py).

Each function here reads what one part of the system needs and raises NotConfigured, naming the setting, where it is
missing or cannot be right. docs/operations.md explains every setting.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args
from uuid import UUID

from generation_history import environment
from generation_history.endpoints import endpoint_of, spaces_endpoint
from generation_history.errors import NotConfigured
from generation_history.ids import as_uuid
from generation_history.shared_secrets import jwt_keys

Access = Literal["jwt", "api-key", "single-owner"]


def _database_url(name: str, login: str) -> str:
    """What libpq takes for an address, a URL or key=value, and reads as it is meant; libpq's errors may repeat it."""
    # Late: not every reader of settings has a database.
    from generation_history.database_urls import checked  # noqa: PLC0415

    return checked(name, environment.required(name, f"the Postgres URL of {login}"))


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
    value = environment.required("HISTORY_OWNER_ID", "the UUID of the owner whose generations these are")
    owner = as_uuid(value)
    if owner is None:
        raise NotConfigured("HISTORY_OWNER_ID must be a UUID like 018f0000-0000-7000-8000-000000000000")
    return owner


def pipeline_wait_seconds() -> int:
    """How long a pipeline waits for a database that is away, before what it records goes to the spool file."""
    return environment.number("HISTORY_PIPELINE_WAIT_SECONDS", 60, minimum=0, maximum=3600)


def spool_file() -> Path:
    """Where a pipeline keeps what it could not record, until a later call does."""
    path = environment.optional("HISTORY_SPOOL_FILE")
    if path is not None:
        if path.endswith("/"):
            raise NotConfigured("HISTORY_SPOOL_FILE must be the path of a file, not of a folder")
        return Path(path).expanduser()
    try:
        home = Path.home()
    except RuntimeError:
        raise NotConfigured("HISTORY_SPOOL_FILE must be set: this user has no home folder") from None
    return home / ".local/state/generation-history/spool.jsonl"


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
    value = environment.required("HISTORY_ACCESS", f"one of {', '.join(get_args(Access))}")
    modes = set(value.lower().split())
    if not modes <= set(get_args(Access)) or ("single-owner" in modes and len(modes) > 1):
        raise NotConfigured(
            f"HISTORY_ACCESS must be one of {', '.join(get_args(Access))}, or jwt and api-key with a space"
        )
    return AccessSettings(_jwt() if "jwt" in modes else None, api_keys="api-key" in modes)


def _jwt() -> JwtSettings:
    issuer, audience = environment.one_word("HISTORY_JWT_ISSUER"), environment.one_word("HISTORY_JWT_AUDIENCE")
    url = environment.optional("HISTORY_JWKS_URL")
    if url is None:
        secret = environment.required("HISTORY_JWT_SECRET", "the secret that tokens are signed with (HS256)")
        jwt_keys(secret)
        return JwtSettings(secret, issuer=issuer, audience=audience)
    if environment.optional("HISTORY_JWT_SECRET"):
        raise NotConfigured("HISTORY_JWKS_URL and HISTORY_JWT_SECRET are both set: tokens are proven by one of them")
    # Whoever publishes keys signs for others as well.
    reason = "tokens proven by HISTORY_JWKS_URL must be ours"
    return JwtSettings(
        jwks_url=environment.secure_url("HISTORY_JWKS_URL", url),
        issuer=environment.required("HISTORY_JWT_ISSUER", reason),
        audience=environment.required("HISTORY_JWT_AUDIENCE", reason),
    )


def cors_origins() -> frozenset[str]:
    """The origins whose pages may read the answers; none unless they are named one by one."""
    origins = (environment.optional("HISTORY_CORS_ORIGINS") or "").split()
    for origin in origins:
        # As a browser writes it: whatever else there is would never match.
        exact = re.fullmatch(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]+)?", origin)
        if not exact or origin != environment.url("HISTORY_CORS_ORIGINS", origin):
            raise NotConfigured(
                "HISTORY_CORS_ORIGINS must be exact origins like https://app.example, separated by spaces: in lower "
                "case, without a path or a slash at the end, without the usual port, a name like münchen as xn--; "
                "* is none"
            )
    return frozenset(origins)


@dataclass(frozen=True)
class ApiSettings:
    """Where the HTTP API is, and what a caller of it shows; the URL is what stands before /history, without a slash."""

    url: str
    token: str | None = field(default=None, repr=False)


def api(url: str | None = None, token: str | None = None) -> ApiSettings | None:
    """The API that the command line calls; None where no URL is set. What is given stands for the setting."""
    known_url, known_token = environment.optional("HISTORY_URL"), environment.optional("HISTORY_TOKEN")
    url, url_name = (url, "--url") if url else (known_url, "HISTORY_URL")
    if url is None:
        if token or known_token:
            raise NotConfigured("HISTORY_URL is not set: a token is for the API there")
        return None
    if url != known_url and known_url and known_token and not token:
        _require_same_server(known_url, url)
    token, token_name = (token, "--token") if token else (known_token, "HISTORY_TOKEN")
    if token and not re.fullmatch("[!-~]+", token):
        raise NotConfigured(f"{token_name} must be of visible ASCII characters without spaces: it travels in a header")
    checked = environment.secure_url(url_name, url) if token else environment.url(url_name, url)
    return ApiSettings(checked.rstrip("/").removesuffix("/history"), token)


def _require_same_server(known_url: str, url: str) -> None:
    if environment.parse("HISTORY_URL", known_url).origin != environment.parse("--url", url).origin:
        raise NotConfigured("--url names another server than HISTORY_URL, to which HISTORY_TOKEN is not shown: --token")


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
    bucket = environment.bucket("DO_SPACES_BUCKET", environment.optional("DO_SPACES_BUCKET") or "soraking-videos")
    region, url = environment.region("DO_SPACES_REGION"), environment.optional("DO_SPACES_ENDPOINT")
    if url is None:
        endpoint = spaces_endpoint(region, bucket)
    else:
        # As some panels show it; a server of one's own says whether it is http.
        endpoint_url = url if "://" in url or "." not in url or ":" in url else f"https://{url}"
        endpoint = endpoint_of(environment.url("DO_SPACES_ENDPOINT", endpoint_url), region, bucket)
    return SpacesSettings(
        bucket=bucket,
        region=endpoint.region,
        endpoint=endpoint.url,
        access_key=environment.required("DO_SPACES_ACCESS_KEY", "the id of the key to the Spaces bucket"),
        secret_key=environment.required("DO_SPACES_SECRET_KEY", "the secret of the key to the Spaces bucket"),
        path_style=endpoint.path_style,
    )


#: Short enough to type, long enough not to be guessed.
MIN_TOKEN_LENGTH = 16


def health_token() -> str:
    """The token that opens the health endpoint, and nothing else."""
    token = environment.required("HEALTH_TOKEN", "the token that GET /ops/health asks for")
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
    url, name = environment.optional("POLLER_WAKE_URL"), environment.optional("POLLER_WAKE_LAMBDA")
    url = environment.url("POLLER_WAKE_URL", url) if url else None
    key = environment.required("POLLER_WAKE_KEY", "the access key to POLLER_WAKE_URL") if url else ""
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


def schedule() -> tuple[int, int]:
    """How many seconds `python -m generation_history.poller` pauses between runs, and `... purge`."""
    poller_seconds = environment.number("POLLER_INTERVAL_SECONDS", 5, minimum=1, maximum=240)
    return poller_seconds, environment.number("PURGE_INTERVAL_SECONDS", 3600, minimum=1, maximum=10_800)


def worker() -> WorkerSettings:
    """How much one poller does at once."""
    return WorkerSettings(
        concurrency=environment.number("WORKER_CONCURRENCY", 8, minimum=1, maximum=32),
        downloads=environment.number("WORKER_DOWNLOADS", 4, minimum=1, maximum=32),
        lease_seconds=environment.number("WORKER_LEASE_SECONDS", 60, minimum=3, maximum=900),
        find_seconds=environment.number("WORKER_FIND_SECONDS", 120, minimum=1, maximum=3600),
    )
