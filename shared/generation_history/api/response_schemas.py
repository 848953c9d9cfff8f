"""What a route answers, declared beside it: scripts/openapi makes docs/openapi.json of it, a call pays nothing for it.

    @router.get("/history/stats", responses=answers(stats=Stats))

What every route may answer besides (a malformed value, no token, no database, ...) is added there.
"""

from typing import Any

from generation_history.errors import HistoryError

#: By status. Types stay as they are: making a schema of them takes longer than most calls.
Responses = dict[int, Any]


def answers(*statuses: int, **body: Any) -> Responses:
    """The answer of endpoint.ok(): {"success": true}, and under these names values of these types; 200 unless said."""
    return {status: {"body": body} for status in statuses or (200,)}


def pages(**items: Any) -> Responses:
    """The answer of endpoint.ok(**publishing.page(...))."""
    return answers(**items, count=int, total=int | None, next_cursor=str | None, next_offset=int | None)


def redirects() -> Responses:
    """The answer of endpoint.redirect()."""
    return {302: {"body": {}, "headers": ["Location"]}}


def refuses(*errors: type[HistoryError]) -> Responses:
    """Errors that this route raises and others do not."""
    return {error.status: {"errors": [other for other in errors if other.status == error.status]} for error in errors}


def reads(body: Any) -> dict[str, Any]:
    """As openapi_extensions: the body that a route reads by itself is of this type."""
    return {"requestBody": body}
