"""Saves the caller a body that it has already (ETag, 304), and compresses a body where the caller takes gzip."""

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping

#: Compressing a shorter body gains nothing.
MIN_COMPRESSED_BYTES = 1_000
#: A page at 9, the usual level, is 5 % shorter and takes two thirds longer.
LEVEL = 4


def negotiate(body: str, headers: Mapping[str, str], *, compressible: bool) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of a good answer to a request with these headers (lower-case names).

    A compressed body is base64, as Lambda takes it, and has a tag of its own, as strong tags must.
    """
    content = body.encode(errors="replace")
    response_headers: dict[str, str] = {}
    compressed = False
    if compressible:
        response_headers["Vary"] = "Accept-Encoding"
        compressed = len(content) >= MIN_COMPRESSED_BYTES and _accepts_gzip(headers.get("accept-encoding", ""))
    tag = hashlib.sha256(content).hexdigest()[:32]
    response_headers["ETag"] = f'"{tag}-gzip"' if compressed else f'"{tag}"'
    etags = headers.get("if-none-match", "")
    # Compared weakly (RFC 9110, 13.1.2), and packed or not it is the same answer.
    if etags.strip() == "*" or not {tag, f"{tag}-gzip"}.isdisjoint(re.findall(r'"([^"]*)"', etags)):
        return 304, response_headers, ""
    if not compressed:
        return 200, response_headers, body
    response_headers["Content-Encoding"] = "gzip"
    return 200, response_headers, base64.b64encode(gzip.compress(content, LEVEL, mtime=0)).decode()


def _accepts_gzip(accepted: str) -> bool:
    codings: dict[str, bool] = {}
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        codings[coding.strip()] = re.fullmatch(r"\s*q=0(\.0*)?\s*", weight) is None
    return codings.get("gzip", codings.get("*", False))
