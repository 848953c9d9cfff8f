"""Who calls: the owner that a request's token proves, or the one owner of a single-owner installation."""

import hmac
import logging
from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from generation_history import settings
from generation_history.errors import NotAuthenticated
from generation_history.ids import as_uuid
from generation_history.settings import AccessSettings

logger = logging.getLogger(__name__)

#: A token's clock and ours may differ by this much.
LEEWAY_SECONDS = 30


def owner_of(headers: Mapping[str, str]) -> UUID:
    """The owner whose record this request may see; headers have lower-case names.

    NotConfigured while HISTORY_ACCESS is unset: nothing opens by accident. NotAuthenticated without a good token.
    """
    access = settings.access()
    if access.mode == "single-owner":
        owner = settings.owner_id()
        _say_it_is_open(owner)
        return owner
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated("a token is needed: Authorization: Bearer <token>")
    return _owner_of_claims(_claims(token.strip(), access))


def bears(headers: Mapping[str, str], token: str) -> bool:
    """Whether the request shows just this token."""
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    # An event's text may hold half of a surrogate pair, which has no bytes of its own.
    return scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(errors="replace"), token.encode())


def _claims(token: str, access: AccessSettings) -> Mapping[str, Any]:
    # Late: a single-owner installation needs none of it.
    import jwt  # noqa: PLC0415

    try:
        return jwt.decode(
            token,
            access.jwt_secret,
            algorithms=["HS256"],
            issuer=access.jwt_issuer,
            audience=access.jwt_audience,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "sub"], "verify_aud": access.jwt_audience is not None},
        )
    except jwt.PyJWTError as error:
        raise NotAuthenticated(f"the token does not hold: {error}") from None
    except (ValueError, ArithmeticError, RecursionError):
        # The library takes parts of a token apart before it knows who made it.
        raise NotAuthenticated("the token does not hold: it cannot be read") from None


def _owner_of_claims(claims: Mapping[str, Any]) -> UUID:
    """The subject itself if it is a UUID, else a UUID made of issuer and subject, always the same."""
    subject = str(claims["sub"])
    if not subject:
        raise NotAuthenticated("the token does not hold: its sub is empty")
    return as_uuid(subject) or uuid5(uuid5(NAMESPACE_URL, str(claims.get("iss", ""))), subject)


@cache
def _say_it_is_open(owner: UUID) -> None:
    logger.warning("HISTORY_ACCESS is single-owner: whoever reaches this function acts as %s, without a token", owner)
