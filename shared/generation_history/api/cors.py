"""CORS: which web pages may read the answers: those of HISTORY_CORS_ORIGINS, by their exact origin, and no others.

The token travels in Authorization, which a page must have been given: no cookie is read, so no credentials are allowed.
"""

from generation_history import settings

#: What a page may send besides what every page may.
REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-None-Match"
#: What a page may read besides what every page may.
EXPOSED_HEADERS = "Allow, Content-Disposition, ETag, Location, Retry-After"
#: As long as browsers keep a preflight at most.
PREFLIGHT_SECONDS = "7200"


def cors_headers(origin: str | None, *, methods: str | None = None) -> dict[str, str]:
    """What an answer, also one of an error, says to a page of this origin; nothing where no origins are configured.

    methods are those of a path, in the answer to OPTIONS.
    """
    origins = settings.cors_origins()
    if not origins:
        return {}
    # Also to others: a cache must not hand them what was answered to one of these, or the reverse.
    headers = {"Vary": "Origin"}
    if origin in origins:
        headers |= {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED_HEADERS}
        if methods:
            headers |= {
                "Access-Control-Allow-Methods": methods,
                "Access-Control-Allow-Headers": REQUEST_HEADERS,
                "Access-Control-Max-Age": PREFLIGHT_SECONDS,
            }
    return headers
