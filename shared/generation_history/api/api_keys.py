"""API keys: random, kept as hashes only, good for the scopes they were made with until they expire or are revoked."""

import hashlib
import re
import secrets
import time
from typing import Final, Literal, NamedTuple, get_args
from uuid import UUID

from generation_history import bootstrap
from generation_history.errors import Forbidden, NotAuthenticated

Scope = Literal["read", "write"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

PREFIX = "ghk_"
_KEY = re.compile(PREFIX + r"[\w-]{43}", re.ASCII)
#: How long a warm instance goes on believing a key: a revoked one is good for at most as long.
CACHE_TTL_SECONDS = 30.0
MAX_CACHED = 1_000
#: Wall time: a monotonic clock may stand still while the platform keeps an instance frozen.
_now = time.time


class _CachedKey(NamedTuple):
    since: float
    owner_id: UUID
    scopes: frozenset[str]


_cached: dict[bytes, _CachedKey] = {}


def new_key() -> str:
    """A new key; only whoever gets it has it."""
    return PREFIX + secrets.token_urlsafe(32)


def fingerprint(key: str) -> bytes:
    """What is kept of a key: it is random, so a plain hash cannot be turned back."""
    return hashlib.sha256(key.encode()).digest()


def owner_of_key(key: str, method: str) -> tuple[UUID, frozenset[str]]:
    """The owner whom a live key speaks for, and its scopes; Forbidden where they do not cover the method."""
    if not _KEY.fullmatch(key):
        raise NotAuthenticated("the API key does not hold")
    sha256 = fingerprint(key)
    entry = _cached.get(sha256)
    if entry is None or not 0 <= _now() - entry.since < CACHE_TTL_SECONDS:
        entry = _look_up(sha256)
    scope: Scope = "read" if method == "GET" else "write"
    if scope not in entry.scopes:
        raise Forbidden(f"this API key does not have the scope {scope}")
    return entry.owner_id, entry.scopes


def _look_up(sha256: bytes) -> _CachedKey:
    _cached.pop(sha256, None)
    db = bootstrap.record_database()
    rows = db.run(None, ("select owner_id, scopes from owner_of_api_key(%(sha256)s)", {"sha256": sha256}))
    if not rows:
        raise NotAuthenticated("the API key does not hold")
    if len(_cached) >= MAX_CACHED:
        _cached.clear()
    _cached[sha256] = entry = _CachedKey(_now(), rows[0]["owner_id"], frozenset(rows[0]["scopes"]))
    return entry
