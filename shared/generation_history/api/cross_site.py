"""Which web pages may call an installation that asks for no token: its own, and those of HISTORY_CORS_ORIGINS.

A browser lets any page send requests anywhere, also to what only this machine or this network reaches. Where a token is
needed, a page of another origin has none. Where none is needed, the browser's own word for the page decides, whatever
headers a server's CORS extension adds to the answers.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from generation_history import settings
from generation_history.errors import Forbidden

#: What a browser says of the page's own origin, and of an address that a person typed (Fetch Metadata).
_OWN_SITE: Final = frozenset({"same-origin", "none"})
_USUAL_PORTS: Final = (":80", ":443")


def refuse_other_pages(headers: Mapping[str, str], method: str) -> None:
    """Forbidden for a request that a browser makes for a page of another origin; header names are lower-case.

    No page can set or leave out these headers, and what is no browser sends none of them. A link that a person follows
    is no request of the page: the page cannot read where the link leads.
    """
    page_origin = headers.get("origin") or _origin_of(headers.get("referer", ""))
    if page_origin in settings.cors_origins():
        return
    site = headers.get("sec-fetch-site")
    # Browsers leave it out for plain http, but on the machine itself.
    is_own = site in _OWN_SITE if site else "origin" not in headers or _has_host(headers["origin"], headers.get("host"))
    if not is_own and not _is_followed_link(headers, method):
        raise Forbidden("a page of another origin may do nothing here unless HISTORY_CORS_ORIGINS names that origin")


def _is_followed_link(headers: Mapping[str, str], method: str) -> bool:
    return (
        method == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
        and "origin" not in headers
    )


def _has_host(origin: str, host: str | None) -> bool:
    """Whether the origin is of this host; its scheme may be that of a proxy in front."""
    try:
        return bool(host) and _without_usual_port(urlsplit(origin).netloc) == _without_usual_port(str(host))
    except ValueError:
        return False


def _without_usual_port(host: str) -> str:
    host = host.lower()
    for port in _USUAL_PORTS:
        host = host.removesuffix(port)
    return host


def _origin_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"
