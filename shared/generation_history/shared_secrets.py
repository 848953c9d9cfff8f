"""Secrets that others sign with, in the spellings in which people get them: which keys each may mean.

Every reading of a secret is a key that only its holders know, so a signature may hold by any of them; what no reading
makes a key is refused by its setting's name, and never shown.
"""

import base64
import re
from typing import Final

from generation_history.errors import NotConfigured

#: HS256 needs a key as long as its hash (RFC 7518, 3.2).
MIN_JWT_SECRET_BYTES: Final = 32
#: A webhook secret without its prefix is at least so long, or a piece of something else.
MIN_BARE_LENGTH: Final = 16
_PREFIX: Final = "whsec_"


def split_webhook_secrets(value: str) -> tuple[str, ...]:
    """The secrets that a setting lists by spaces, commas or bars, without the version of signatures before them."""
    return tuple(part for part in re.split(r"[\s,|]+", value) if part and not re.fullmatch(r"v\d+[a-z]?", part))


def webhook_keys(secret: str) -> tuple[bytes, ...]:
    """The keys that a secret of Standard Webhooks may mean: whsec_ and base64 of either alphabet is one.

    Without whsec_ it may be the key as base64, as hexadecimal digits, or as text.
    """
    if secret.startswith(_PREFIX):
        key = _from_base64(secret.removeprefix(_PREFIX))
        if not key:
            raise _refused("one of its secrets is not whsec_ and base64") from None
        return (key,)
    if secret.startswith(("whsk_", "whpk_")):
        raise _refused("whsk_ and whpk_ are for other signatures (v1a); its secrets begin with whsec_") from None
    if "whsec" in secret.lower():
        raise _refused("one of its secrets has something before whsec_, which is written in lower case") from None
    if not re.fullmatch(r"[\w+/=.~-]+", secret, re.ASCII) or len(secret) < MIN_BARE_LENGTH:
        raise _refused("one of its secrets is not whsec_ and base64, nor a text of 16 characters") from None
    digits = bytes.fromhex(secret) if re.fullmatch("([0-9a-fA-F]{2})+", secret) else b""
    return tuple(key for key in (_from_base64(secret), digits, secret.encode()) if key)


def jwt_keys(secret: str) -> tuple[bytes, ...]:
    """The keys that tokens may be signed with: what the secret is as base64, if that is long enough, and its text."""
    if "-----BEGIN" in secret or secret.startswith(("ssh-", "ecdsa-", "{")):
        raise NotConfigured(
            "HISTORY_JWT_SECRET is a key of another kind: it is the text that tokens are signed with (HS256); "
            "tokens that a published key proves need HISTORY_JWKS_URL instead"
        )
    if secret.startswith(("http://", "https://")):
        raise NotConfigured("HISTORY_JWT_SECRET is a URL: where keys are published is HISTORY_JWKS_URL")
    text, decoded = secret.encode(), _from_base64(secret)
    if len(text) < MIN_JWT_SECRET_BYTES:
        raise NotConfigured(f"HISTORY_JWT_SECRET must be at least {MIN_JWT_SECRET_BYTES} bytes long")
    return (text, decoded) if len(decoded) >= MIN_JWT_SECRET_BYTES else (text,)


def _refused(reason: str) -> NotConfigured:
    return NotConfigured(f"OPENAI_WEBHOOK_SECRET: {reason}")


def _from_base64(text: str) -> bytes:
    """What the text is as base64, of either alphabet, padded or not; nothing where it is none."""
    digits = text.rstrip("=").replace("-", "+").replace("_", "/")
    if not re.fullmatch("[A-Za-z0-9+/]+", digits) or len(digits) % 4 == 1:
        return b""
    return base64.b64decode(digits + "=" * (-len(digits) % 4))
