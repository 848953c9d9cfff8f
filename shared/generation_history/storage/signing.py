"""SigningWindow: signs links to objects, the same ones for a while."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, urlsplit

from generation_history.settings import SpacesSettings

#: Signing times are rounded down to this, so that a link stays the same for a while and browsers cache what it shows.
SIGNING_WINDOW_SECONDS = 1800
#: A link therefore holds for at least half of this.
SIGNED_URL_SECONDS = 3600


class SigningWindow:
    """Signs the links of one window of time, the number-th since 1970; they hold until its attribute ends."""

    def __init__(self, number: float, settings: SpacesSettings) -> None:
        start = datetime.fromtimestamp(number * SIGNING_WINDOW_SECONDS, UTC)
        day, stamp = start.strftime("%Y%m%d"), start.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{day}/{settings.region}/s3/aws4_request"
        key = f"AWS4{settings.secret_key}".encode()
        for part in (day, settings.region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        block = key.ljust(hashlib.sha256().block_size, b"\0")
        base = urlsplit(settings.base_url)

        self.number: Final = number
        self.ends: Final = start + timedelta(seconds=SIGNED_URL_SECONDS)
        self._base = f"{base.scheme}://{base.netloc}{base.path}"
        self._path = f"GET\n{base.path}"
        self._query = (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256"
            f"&X-Amz-Credential={quote(f'{settings.access_key}/{scope}', safe='')}"
            f"&X-Amz-Date={stamp}&X-Amz-Expires={SIGNED_URL_SECONDS}&X-Amz-SignedHeaders=host"
        )
        self._headers = f"host:{base.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
        # HMAC (RFC 2104), spelt out and begun: a page has hundreds of links, and the module hmac takes twice the time.
        scoped = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n".encode()
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + scoped)
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def url(self, path: str, query_param: str = "") -> str:
        """A signed URL of the object at this path of the bucket ("/generations/..."), quoted as URLs have it.

        query_param is one more parameter of its query.
        """
        query = self._query
        # What is signed is sorted, where upper case comes first; in the URL botocore puts it in front.
        signed_query, query = (f"{query}&{query_param}", f"{query_param}&{query}") if query_param else (query, query)
        request = hashlib.sha256(f"{self._path}{path}\n{signed_query}\n{self._headers}".encode())
        inner_hash, outer_hash = self._inner.copy(), self._outer.copy()
        inner_hash.update(request.hexdigest().encode())
        outer_hash.update(inner_hash.digest())
        return f"{self._base}{path}?{query}&X-Amz-Signature={outer_hash.hexdigest()}"
