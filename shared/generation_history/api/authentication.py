"""Who calls: the owner that a request's token or API key proves, or the one owner of a single-owner installation."""

import hmac
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from generation_history import settings
from generation_history.api import api_keys
from generation_history.api.cross_site import refuse_other_pages
from generation_history.errors import NotAuthenticated
from generation_history.settings import JwtSettings

logger = logging.getLogger(__name__)

#: A token's clock and ours may differ by this much.
LEEWAY_SECONDS = 30
#: Longer than any token of use; what is longer is not looked at.
MAX_TOKEN_LENGTH = 16_384
_CANONICAL_UUID: Final = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SLASH: Final = "its iss differs from HISTORY_JWT_ISSUER by the slash at its end; they must be the same text"


class Caller(NamedTuple):
    """Whose record a request is about; without reads it may be told nothing that is recorded there."""

    owner_id: UUID
    reads: bool = True


def authenticate(headers: Mapping[str, str], method: str) -> Caller:
    """Whose record this request may see, or with another method than GET change; header names are lower-case.

    NotConfigured while HISTORY_ACCESS is unset: nothing opens by accident. NotAuthenticated without a good token or
    key, Forbidden with a key that is not for this method, or where no token is needed for a page of another origin.
    """
    access = settings.access()
    if access.single_owner:
        refuse_other_pages(headers, method)
        owner = settings.owner_id()
        _warn_of_open_access(owner)
        return Caller(owner)
    token = _bearer_token(headers)
    if not token:
        raise NotAuthenticated("a token is needed: Authorization: Bearer <token>")
    if len(token) > MAX_TOKEN_LENGTH:
        raise NotAuthenticated("the token does not hold: it is too long")
    if access.api_keys and (access.jwt is None or token.startswith(api_keys.PREFIX)):
        owner, scopes = api_keys.owner_of_key(token, method)
        return Caller(owner, reads="read" in scopes)
    if access.jwt is None:
        raise NotAuthenticated("no token is taken here")
    return Caller(_owner_of_claims(_claims(token, access.jwt)))


def has_bearer_token(headers: Mapping[str, str], token: str) -> bool:
    """Whether the request shows just this token."""
    # An event's text may hold half of a surrogate pair, which has no bytes of its own.
    return hmac.compare_digest(_bearer_token(headers).encode(errors="replace"), token.encode())


def _bearer_token(headers: Mapping[str, str]) -> str:
    """The bearer token of a request, "" where it has none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip(" \t") if scheme.lower() == "bearer" else ""


def _claims(token: str, proof: JwtSettings) -> Mapping[str, Any]:
    # Late: an installation without tokens needs none of it.
    import jwt  # noqa: PLC0415

    try:
        keys, algorithm = _keys(token, proof)
        for key in keys[:-1]:
            with suppress(jwt.InvalidSignatureError):
                return _verified_claims(token, key, algorithm, proof)
        return _verified_claims(token, keys[-1], algorithm, proof)
    except jwt.InvalidIssuerError as error:
        reason = _SLASH if _differs_by_a_slash(token, proof.issuer) else str(error)
        raise NotAuthenticated(f"the token does not hold: {reason}") from None
    except jwt.PyJWTError as error:
        raise NotAuthenticated(f"the token does not hold: {error}") from None
    except (ValueError, ArithmeticError, RecursionError):
        # The library takes parts of a token apart before it knows who made it.
        raise NotAuthenticated("the token does not hold: it cannot be read") from None


def _keys(token: str, proof: JwtSettings) -> tuple[Sequence[Any], str]:
    """The keys, one of which must have signed the token, and the algorithm. A token may name a key, never its kind."""
    if proof.jwks_url is None:
        return proof.keys, "HS256"
    # Late: cryptography is only needed here.
    from jwt import get_unverified_header  # noqa: PLC0415

    from generation_history.api.jwks import key_set  # noqa: PLC0415

    kid = get_unverified_header(token).get("kid")
    if not isinstance(kid, str) or not kid:
        raise NotAuthenticated("the token does not hold: it does not name its key")
    jwk = key_set(proof.jwks_url).key(kid)
    return [jwk.key], jwk.algorithm_name


def _verified_claims(token: str, key: Any, algorithm: str, proof: JwtSettings) -> Mapping[str, Any]:
    """The claims of a token that this key signed; another key's is an InvalidSignatureError, whatever it claims."""
    import jwt  # noqa: PLC0415

    return jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        issuer=proof.issuer,
        audience=proof.audience,
        leeway=LEEWAY_SECONDS,
        options={"require": ["exp", "sub"], "verify_aud": proof.audience is not None},
    )


def _differs_by_a_slash(token: str, issuer: str | None) -> bool:
    """Whether the token, which is signed rightly, has our issuer but for the slash at its end."""
    import jwt  # noqa: PLC0415

    token_issuer: object = jwt.decode(token, options={"verify_signature": False}).get("iss")
    return isinstance(token_issuer, str) and issuer is not None and token_issuer.rstrip("/") == issuer.rstrip("/")


def _owner_of_claims(claims: Mapping[str, Any]) -> UUID:
    """The owner that issuer and subject are, always the same; another text of either is another owner.

    A subject that is a UUID in its canonical form, lower-case with hyphens, is the owner itself. Every other text is
    hashed as it is: in capitals, in braces or in other digits it may be somebody else's at its identity provider.
    """
    subject, issuer = claims["sub"], claims.get("iss", "")
    if not isinstance(subject, str) or not subject:
        raise NotAuthenticated("the token does not hold: its sub must be a text")
    if not isinstance(issuer, str):
        raise NotAuthenticated("the token does not hold: its iss must be a text")
    if _CANONICAL_UUID.fullmatch(subject):
        return UUID(subject)
    try:
        return uuid5(uuid5(NAMESPACE_URL, issuer), subject)
    except UnicodeEncodeError:
        raise NotAuthenticated("the token does not hold: its sub or iss has half of a character") from None


@cache
def _warn_of_open_access(owner: UUID) -> None:
    logger.warning("HISTORY_ACCESS is single-owner: whoever reaches this function acts as %s, without a token", owner)
