"""What a function needs of its platform: each endpoint module says so itself, in NEEDS.

What is built for a function, and what its role and its settings are on each platform, follows from that.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from generation_history.kind_settings import SHARED_SETTINGS
from generation_history.provider_kinds import KINDS, SORA

Need = Literal[
    "record",  # the record of owners, as the login history_api
    "owners",  # tells whose call it is: API keys, and tokens of an identity provider
    "links",  # signs links to objects
    "queue",  # the work to do, as the login history_worker
    "wakeup",  # wakes the poller: what comes is done at once, and not at its next minute
    "deliveries",  # verifies a provider's webhooks
    "monitor",  # knows an uptime monitor by its token
    "objects",  # moves bytes to the store and back
    "inspection",  # looks into videos
    "provider",  # calls video providers
]

_SPACES: Final = (
    *("DO_SPACES_ACCESS_KEY", "DO_SPACES_SECRET_KEY", "DO_SPACES_BUCKET", "DO_SPACES_REGION", "DO_SPACES_ENDPOINT"),
)
#: The settings that each of them reads.
SETTINGS: Final[Mapping[Need, tuple[str, ...]]] = {
    "record": ("DATABASE_URL",),
    "owners": (
        *("HISTORY_ACCESS", "HISTORY_OWNER_ID", "HISTORY_CORS_ORIGINS"),
        *("HISTORY_JWT_SECRET", "HISTORY_JWKS_URL", "HISTORY_JWT_ISSUER", "HISTORY_JWT_AUDIENCE"),
    ),
    "links": _SPACES,
    "queue": ("WORKER_DATABASE_URL",),
    "wakeup": ("POLLER_WAKE_URL", "POLLER_WAKE_KEY", "POLLER_WAKE_LAMBDA"),
    "deliveries": ("OPENAI_WEBHOOK_SECRET",),
    "monitor": ("HEALTH_TOKEN",),
    "objects": _SPACES,
    "inspection": (),
    "provider": (
        *("SORA_BASE_URL", "SORA_DOWNLOAD_HOSTS", "SORA_MODEL", "SORA_SIZE", "SORA_SECONDS", "OPENAI_API_KEY"),
        *(name for kind in KINDS.values() if kind is not SORA for name in kind.settings),
        *SHARED_SETTINGS,
        *("SORA_SUBMITTING", "SORA_MAX_RUNNING", "SORA_MAX_PER_MINUTE", "SPEND_LIMIT_PER_OWNER_DAY"),
        *("WORKER_CONCURRENCY", "WORKER_DOWNLOADS", "WORKER_LEASE_SECONDS", "WORKER_FIND_SECONDS"),
    ),
}


def needs(*names: Need) -> frozenset[Need]:
    """What a module needs, for its NEEDS."""
    return frozenset(names)


def settings_of(names: Iterable[Need]) -> frozenset[str]:
    """The names of all settings that these read."""
    return frozenset(name for need in names for name in SETTINGS[need])
