"""Who calls: the owner that a request's token or API key proves, or the one owner of a single-owner installation."""

import hmac
import logging
from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from generation_history import api_keys, settings
from generation_history.errors import NotAuthenticated
from generation_history.ids import as_uuid
from generation_history.settings import JwtSettings

logger = logging.getLogger(__name__)

#: A token's clock and ours may differ by this much.
LEEWAY_SECONDS = 30
#: Longer than any token of use; what is longer is not looked at.
MAX_TOKEN_LENGTH = 16_384


def owner_of(headers: Mapping[str, str], method: str) -> UUID:
    """The owner whose record this request may see, or with another method than GET change; header names are lower-case.

    NotConfigured while HISTORY_ACCESS is unset: nothing opens by accident. NotAuthenticated without a good token or
    key, Forbidden with a key that is not for this method.
    """
    access = settings.access()
    if access.single_owner:
        owner = settings.owner_id()
        _say_it_is_open(owner)
        return owner
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    token = shown.strip()
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated("a token is needed: Authorization: Bearer <token>")
    if len(token) > MAX_TOKEN_LENGTH:
        raise NotAuthenticated("the token does not hold: it is too long")
    if access.api_keys and (access.jwt is None or token.startswith(api_keys.PREFIX)):
        return api_keys.owner_of_key(token, method)
    if access.jwt is None:
        raise NotAuthenticated("no token is taken here")
    return _owner_of_claims(_claims(token, access.jwt))


def bears(headers: Mapping[str, str], token: str) -> bool:
    """Whether the request shows just this token."""
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    # An event's text may hold half of a surrogate pair, which has no bytes of its own.
    return scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(errors="replace"), token.encode())


def _claims(token: str, proof: JwtSettings) -> Mapping[str, Any]:
    # Late: an installation without tokens needs none of it.
    import jwt  # noqa: PLC0415

    try:
        key, algorithm = _key(token, proof)
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=proof.issuer,
            audience=proof.audience,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "sub"], "verify_aud": proof.audience is not None},
        )
    except jwt.PyJWTError as error:
        raise NotAuthenticated(f"the token does not hold: {error}") from None
    except (ValueError, ArithmeticError, RecursionError):
        # The library takes parts of a token apart before it knows who made it.
        raise NotAuthenticated("the token does not hold: it cannot be read") from None


def _key(token: str, proof: JwtSettings) -> tuple[Any, str]:
    """What the token must be signed with, and how: a token may say which key, never which kind of key."""
    if proof.jwks_url is None:
        return proof.secret, "HS256"
    # Late: cryptography is only needed here.
    from jwt import get_unverified_header  # noqa: PLC0415

    from generation_history.jwks import key_set  # noqa: PLC0415

    kid = get_unverified_header(token).get("kid")
    if not isinstance(kid, str) or not kid:
        raise NotAuthenticated("the token does not hold: it does not name its key")
    known = key_set(proof.jwks_url).key(kid)
    return known.key, known.algorithm_name


def _owner_of_claims(claims: Mapping[str, Any]) -> UUID:
    """The subject itself if it is a UUID, else a UUID made of issuer and subject, always the same."""
    subject = str(claims["sub"])
    if not subject:
        raise NotAuthenticated("the token does not hold: its sub is empty")
    return as_uuid(subject) or uuid5(uuid5(NAMESPACE_URL, str(claims.get("iss", ""))), subject)


@cache
def _say_it_is_open(owner: UUID) -> None:
    logger.warning("HISTORY_ACCESS is single-owner: whoever reaches this function acts as %s, without a token", owner)
