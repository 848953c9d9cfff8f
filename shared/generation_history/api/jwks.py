"""The public keys that an identity provider signs its tokens with: fetched seldom, kept while it is down.

docs/decisions/0009-jwks.md says why this is not PyJWT's own client.
"""

import json
import logging
import time
from collections.abc import Mapping
from functools import cache
from threading import Lock
from typing import Any, Final, cast

import jwt
from jwt.algorithms import has_crypto

from generation_history import http_client
from generation_history.errors import KeysUnavailable, NotAuthenticated, NotConfigured

logger = logging.getLogger(__name__)

#: How long a set is used without a look at a newer one.
FRESH_SECONDS = 300.0
#: However many ids nobody knows, and however often it fails, the set is fetched once in this time at most.
RETRY_SECONDS = 10.0
#: While it cannot be fetched, the last set is believed for this long.
MAX_AGE_SECONDS = 24 * 3600.0
FETCH_SECONDS = 5.0
MAX_BYTES = 256 * 1024
MAX_KEYS = 100
#: What a caller is told while it is the network's fault, or the provider's; the log has more.
CANNOT_BE_FETCHED: Final = "the identity provider's keys cannot be fetched now; try again soon"
#: RFC 7518, 3.3.
MIN_RSA_BITS = 2048
#: What a key of this kind signs with: told by the key, never by a token. A shared secret ("oct") is no public key.
_ALGORITHMS: Final[Mapping[tuple[object, object], str]] = {("RSA", None): "RS256", ("EC", "P-256"): "ES256"}
#: Wall time: a monotonic clock may stand still while the platform keeps an instance frozen.
_now = time.time


class NoKeySet(ValueError):
    """What came is no set of keys to prove tokens with; the text says what is wrong with it, and nothing of it."""


class KeySet:
    """The keys that one URL publishes."""

    def __init__(self, url: str) -> None:
        if not has_crypto:
            raise NotConfigured("HISTORY_JWKS_URL needs the package cryptography")
        self._url = url
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._failure = CANNOT_BE_FETCHED
        self._lock = Lock()

    def key(self, kid: str) -> jwt.PyJWK:
        """The key of this id; NotAuthenticated where there is none, KeysUnavailable while no set can be had."""
        with self._lock:
            needs_fetch = kid not in self._keys or not _is_within(FRESH_SECONDS, self._fetched_at)
            if needs_fetch and not _is_within(RETRY_SECONDS, self._tried_at):
                self._tried_at = _now()
                self._fetch()
            if not _is_within(MAX_AGE_SECONDS, self._fetched_at):
                raise KeysUnavailable(f"HISTORY_JWKS_URL: {self._failure}")
            key = self._keys.get(kid)
        if key is None:
            raise NotAuthenticated("the token does not hold: nobody knows the key that it names")
        return key

    def _fetch(self) -> None:
        try:
            self._keys = _download(self._url)
        except Exception as error:  # noqa: BLE001 - whatever it is, the keys there are go on
            logger.warning("HISTORY_JWKS_URL: the keys cannot be fetched: %s: %s", type(error).__name__, error)
            self._failure = str(error) if isinstance(error, NoKeySet) else CANNOT_BE_FETCHED
        else:
            self._fetched_at = _now()


@cache
def key_set(url: str) -> KeySet:
    """The process's one KeySet of this URL, kept between the calls of a warm instance."""
    return KeySet(url)


def _is_within(seconds: float, moment: float) -> bool:
    # A clock that was set back says nothing of how long it is ago.
    return 0 <= _now() - moment < seconds


def _download(url: str) -> Mapping[str, jwt.PyJWK]:
    body = http_client.call(url, seconds=FETCH_SECONDS, most_bytes=MAX_BYTES)
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        raise NoKeySet("what is there is no JSON") from None
    keys = cast("Mapping[str, object]", document).get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise NoKeySet("what is there is no key set: it has no list of keys")
    usable: dict[str, jwt.PyJWK] = {}
    for jwk in cast("list[object]", keys)[:MAX_KEYS]:
        if (key := _usable(jwk)) and key.key_id:
            usable.setdefault(key.key_id, key)
    if not usable:
        raise NoKeySet("none of the keys that it lists has an id (kid) and signs with RS256 or ES256")
    return usable


def _usable(jwk: object) -> jwt.PyJWK | None:
    """The key, if it is a public one to prove signatures with; None for whatever else a set may list."""
    if not isinstance(jwk, dict):
        return None
    fields = cast("dict[str, Any]", jwk)
    try:
        algorithm = _ALGORITHMS.get((fields.get("kty"), fields.get("crv")))
        if (
            algorithm is None
            or fields.get("alg", algorithm) != algorithm
            or fields.get("use", "sig") != "sig"
            or "verify" not in fields.get("key_ops", ["verify"])
            or not isinstance(fields.get("kid"), str)
            or "d" in fields
        ):
            return None
        key = jwt.PyJWK(fields, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError):
        return None
    return key if algorithm == "ES256" or key.key.key_size >= MIN_RSA_BITS else None
