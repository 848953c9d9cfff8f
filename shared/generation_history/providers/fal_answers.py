"""What fal's answers say, read from their JSON: pure functions."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, cast

from generation_history.providers.json_server import Answer, dollars
from generation_history.providers.plain_values import moment

#: Nobody waits for the answer any more: it was cancelled.
CANCELLED: Final = 499
#: How many units of the endpoint's price are billed, in a header of the result.
UNITS_HEADER: Final = "x-fal-billable-units"
_MODERATION: Final = "content_policy_violation"


def is_cancelled(answer: Answer) -> bool:
    """Whether the request was cancelled: by the status, or by the kind of the error that a status of 200 tells."""
    error_type = answer.fields.get("error_type")
    return answer.status == CANCELLED or (isinstance(error_type, str) and "cancel" in error_type.lower())


def is_detail(detail: object) -> bool:
    """Whether this is a reason as fal writes one: a text, or a list of what is wrong with each field."""
    if isinstance(detail, list):
        items = cast("list[object]", detail)
        return bool(items) and all(isinstance(item, dict) and "msg" in item for item in items)
    return isinstance(detail, str) and bool(detail.strip())


def is_moderated(answer: Answer) -> bool:
    """Whether the reason is of the type for what is not allowed."""
    detail, error_type = answer.fields.get("detail"), answer.fields.get("error_type")
    items = cast("list[object]", detail) if isinstance(detail, list) else []
    types = [cast("Mapping[str, Any]", item).get("type") for item in items if isinstance(item, dict)]
    return _MODERATION in (error_type, *types)


def video_url(fields: Mapping[str, Any]) -> str | None:
    """Where the result's video is; None where it has none."""
    video = fields.get("video")
    url = cast("Mapping[str, Any]", video).get("url") if isinstance(video, dict) else video
    return url if isinstance(url, str) and url else None


def listed_request(item: object) -> tuple[str, datetime, Any] | None:
    """The id of a listed request, when it was sent, and its input; None for anything else."""
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", item) if isinstance(item, dict) else {}
    request_id, sent_at = fields.get("request_id"), moment(fields.get("sent_at"))
    if not isinstance(request_id, str) or sent_at is None:
        return None
    return request_id, sent_at, fields.get("json_input")


def unit_price(fields: Mapping[str, Any], endpoint: str) -> Decimal | None:
    """The US dollars of one unit of the endpoint, as the list of prices has it; None where that says nothing."""
    prices = fields.get("prices")
    for item in cast("list[object]", prices) if isinstance(prices, list) else []:
        price: Mapping[str, Any] = cast("Mapping[str, Any]", item) if isinstance(item, dict) else {}
        if price.get("endpoint_id") == endpoint and price.get("currency", "USD") == "USD":
            return dollars(price.get("unit_price"))
    return None
