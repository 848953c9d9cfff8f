"""A provider's webhook deliveries (Standard Webhooks): verified on the raw bytes, then a hint that a job has moved."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, cast

from pydantic import ConfigDict, Field, with_config
from standardwebhooks import Webhook
from typing_extensions import TypedDict

from generation_history.errors import InvalidValue, NotAuthenticated, NotConfigured, TooLarge

#: A delivery is thin: an id and a type. Whatever is longer is none.
MAX_DELIVERY_BYTES = 64 * 1024
#: Gateways put a whole path into a job's id.
MAX_ID_LENGTH = 1000
#: Each is tried, as a sender does while its key is rotated.
MAX_SIGNATURES = 10


ShortText = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]


@with_config(ConfigDict(extra="allow"))
class DeliverySubject(TypedDict):
    """The provider's job that a delivery is about."""

    id: ShortText


@with_config(ConfigDict(extra="allow"))
class DeliveryBody(TypedDict):
    """What is read of a delivery's body."""

    type: ShortText
    data: DeliverySubject


@dataclass(frozen=True)
class Delivery:
    """One verified delivery: webhook_id is the same when it is delivered again."""

    webhook_id: str
    type: str
    sora_video_id: str


def verify(raw: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> Delivery:
    """The delivery that these bytes and headers (lower-case names) are, signed with one of the secrets.

    NotAuthenticated where no signature holds or the time is more than 300 s off, TooLarge and InvalidValue for what is
    no delivery. Nothing of a delivery is looked at before its signature holds.
    """
    if len(raw) > MAX_DELIVERY_BYTES:
        raise TooLarge(f"a delivery has at most {MAX_DELIVERY_BYTES} bytes")
    known = [_webhook(secret) for secret in secrets]
    if not any(_holds(webhook, raw, headers) for webhook in known):
        raise NotAuthenticated("the delivery's signature does not hold")
    return _parsed(raw, headers["webhook-id"])


def _webhook(secret: str) -> Webhook:
    try:
        return Webhook(secret)
    except Exception:  # noqa: BLE001 - it has no one error for a bad secret, and its text may tell the secret
        raise NotConfigured("OPENAI_WEBHOOK_SECRET: one of its secrets is not whsec_ and base64") from None


def _holds(webhook: Webhook, raw: bytes, headers: Mapping[str, str]) -> bool:
    if headers.get("webhook-signature", "").count(" ") >= MAX_SIGNATURES:
        return False
    try:
        webhook.verify(raw, dict(headers), json_parse=False)
    except Exception:  # noqa: BLE001 - ValueError, binascii.Error and UnicodeDecodeError escape from it on hostile input
        return False
    return True


def _parsed(raw: bytes, webhook_id: str) -> Delivery:
    try:
        event: object = json.loads(raw)
    except (ValueError, RecursionError):
        raise InvalidValue("the delivery is not JSON") from None
    body = cast("dict[str, Any]", event) if isinstance(event, dict) else {}
    data = body.get("data")
    video_id = cast("dict[str, Any]", data).get("id") if isinstance(data, dict) else None
    for name, value in (("webhook-id", webhook_id), ("type", body.get("type")), ("data.id", video_id)):
        if (
            not isinstance(value, str)
            or not 0 < len(value) <= MAX_ID_LENGTH
            or "\0" in value
            or not value.isprintable()
        ):
            raise InvalidValue(f"{name}: a printable text of at most {MAX_ID_LENGTH} characters is expected")
    return Delivery(webhook_id, str(body["type"]), str(video_id))
