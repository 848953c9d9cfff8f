"""What of an answer travels: nothing where the caller has it already (ETag, 304), and less where it takes gzip."""

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping

#: Shorter ones gain nothing.
MIN_COMPRESSED_BYTES = 1_000
#: A page at 9, the usual level, is 5 % shorter and takes two thirds longer.
LEVEL = 4


def negotiate(body: str, headers: Mapping[str, str], *, compressible: bool) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of a good answer to a request with these headers (lower-case names).

    A compressed body is base64, as Lambda takes it, and has a tag of its own, as strong tags must.
    """
    raw = body.encode(errors="replace")
    told: dict[str, str] = {}
    packed = False
    if compressible:
        told["Vary"] = "Accept-Encoding"
        packed = len(raw) >= MIN_COMPRESSED_BYTES and _accepts_gzip(headers.get("accept-encoding", ""))
    tag = hashlib.sha256(raw).hexdigest()[:32]
    told["ETag"] = f'"{tag}-gzip"' if packed else f'"{tag}"'
    known = headers.get("if-none-match", "")
    # Compared weakly (RFC 9110, 13.1.2), and packed or not it is the same answer.
    if known.strip() == "*" or not {tag, f"{tag}-gzip"}.isdisjoint(re.findall(r'"([^"]*)"', known)):
        return 304, told, ""
    if not packed:
        return 200, told, body
    told["Content-Encoding"] = "gzip"
    return 200, told, base64.b64encode(gzip.compress(raw, LEVEL, mtime=0)).decode()


def _accepts_gzip(accepted: str) -> bool:
    codings: dict[str, bool] = {}
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        codings[coding.strip()] = re.fullmatch(r"\s*q=0(\.0*)?\s*", weight) is None
    return codings.get("gzip", codings.get("*", False))
