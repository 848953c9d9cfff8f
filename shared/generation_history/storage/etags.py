"""What an ETag of an object store proves about the bytes that it was given.

It is the MD5 of an object that was put at once; "MD5 of the parts' MD5s"-"number of parts" of one in parts. Where the
store encrypts with a key of its own (SSE-KMS) it only looks so, and a store may give any other text.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_MD5: Final = re.compile("[0-9a-f]{32}")
#: What an answer has, as boto3 reads it, where the object is encrypted by the store.
_ENCRYPTED: Final = ("ServerSideEncryption", "SSEKMSKeyId", "SSECustomerAlgorithm")


def plain(tag: object) -> str:
    """An ETag without its quotes, in small letters; empty where there is none, or one of a body's rendering (W/)."""
    text = str(tag or "").strip()
    return "" if text.startswith("W/") else text.strip('"').lower()


def is_md5(tag: str) -> bool:
    """Whether a plain ETag looks like an MD5, as that of an object which was put at once."""
    return _MD5.fullmatch(tag) is not None


def proves(answer: Mapping[str, Any], md5: str) -> bool:
    """Whether the answer's ETag is that of bytes with this MD5."""
    return plain(answer.get("ETag")) == md5


def denies(answer: Mapping[str, Any], md5: str) -> bool:
    """Whether the answer's ETag is that of other bytes, as far as one can tell."""
    tag = plain(answer.get("ETag"))
    return is_md5(tag) and tag != md5 and not any(answer.get(name) for name in _ENCRYPTED)


def of_parts(tags: Sequence[str]) -> str | None:
    """The ETag of an object of parts with these ETags; None where they are no MD5s."""
    parts = [plain(tag) for tag in tags]
    if not all(map(_MD5.fullmatch, parts)):
        return None
    return f"{hashlib.md5(bytes.fromhex(''.join(parts)), usedforsecurity=False).hexdigest()}-{len(parts)}"
