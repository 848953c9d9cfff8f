"""A provider's webhook deliveries (Standard Webhooks): verified on the raw bytes, then a hint that a job has moved."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, NotRequired, cast

from pydantic import ConfigDict, Field, with_config
from standardwebhooks import Webhook
from typing_extensions import TypedDict

from generation_history import limits
from generation_history.db.database import Database
from generation_history.errors import InvalidValue, NotAuthenticated, TooLarge
from generation_history.shared_secrets import webhook_keys

logger = logging.getLogger(__name__)

#: A delivery is thin: an id and a type. Whatever is longer is none.
MAX_DELIVERY_BYTES = 64 * 1024
#: Of each text that a delivery is told by, the job's id among them.
MAX_ID_LENGTH = limits.MAX_JOB_ID
#: Each is tried, as a sender does while its key is rotated.
MAX_SIGNATURES = 10


#: The names of the three headers begin with the first; senders that are older than the standard have the second.
HEADER_PREFIXES = ("webhook-", "svix-")
#: What a delivery that is about a video begins its type with: it must name its job.
VIDEO = "video."
#: A signature that can be compared; what else is listed beside it, of other versions too, is passed over.
_SIGNATURE = re.compile(r"v1,([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


@with_config(ConfigDict(extra="allow"))
class DeliveryBody(TypedDict):
    """What is read of a delivery's body; one that names no job is a sender's test, and does nothing."""

    type: NotRequired[Annotated[Any, Field(description="What has happened; one that begins with video. names its job")]]
    data: NotRequired[Annotated[Any, Field(description="An object whose id is the provider's job's: a printable text")]]


@dataclass(frozen=True)
class Delivery:
    """One verified delivery: webhook_id is the same when it is delivered again."""

    webhook_id: str
    type: str
    sora_video_id: str


class Deliveries:
    """The deliveries of all providers, as the login history_worker sees them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def record(self, delivery: Delivery) -> bool:
        """Whether the delivery is new; then its job, if it is known and waits to be polled, is due now."""
        insert = """
            with new as (
                insert into deliveries (webhook_id, type, sora_video_id)
                values (%(webhook_id)s, %(type)s, %(sora_video_id)s)
                on conflict (webhook_id) do nothing returning sora_video_id
            ), due as (
                update jobs set run_at = now()
                where step = 'poll' and lease_token is null and run_at > now() and scene_id in (
                    select a.scene_id from attempts a join new on new.sora_video_id = a.sora_video_id)
            )
            select 1 from new
        """
        return bool(self._db.run(None, (insert, asdict(delivery))))


def verify(body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> Delivery | None:
    """The delivery that these bytes and headers (lower-case names) are, signed with one of the secrets.

    None for what is signed and is about no job, as senders' tests are. NotAuthenticated where no signature holds or the
    time is more than 300 s off, TooLarge and InvalidValue for what is no delivery. Nothing of a delivery is looked at
    before its signature holds.
    """
    if len(body) > MAX_DELIVERY_BYTES:
        raise TooLarge(f"a delivery has at most {MAX_DELIVERY_BYTES} bytes")
    webhooks = [Webhook(key) for secret in secrets for key in webhook_keys(secret)]
    signature_headers = _signature_headers(headers)
    if not any(_is_signed(webhook, body, signature_headers) for webhook in webhooks):
        raise NotAuthenticated("the delivery's signature does not hold")
    return _parsed(body, signature_headers["webhook-id"])


def _signature_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The three headers of a delivery, all of one prefix, by the standard's names."""
    prefix = next((name for name in HEADER_PREFIXES if f"{name}signature" in headers), HEADER_PREFIXES[0])
    values = {name: headers.get(prefix + name, "") for name in ("id", "timestamp", "signature")}
    signatures = values["signature"].split(" ")
    # The library gives up at what it does not understand.
    readable = [text for text in signatures if _SIGNATURE.fullmatch(text)] if len(signatures) <= MAX_SIGNATURES else []
    return {f"webhook-{name}": value for name, value in (values | {"signature": " ".join(readable)}).items()}


def _is_signed(webhook: Webhook, body: bytes, headers: Mapping[str, str]) -> bool:
    try:
        webhook.verify(body, dict(headers), json_parse=False)
    except Exception:  # noqa: BLE001 - ValueError, binascii.Error and UnicodeDecodeError escape from it on hostile input
        return False
    return True


def _parsed(body: bytes, webhook_id: str) -> Delivery | None:
    try:
        event: object = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidValue("the delivery is not JSON") from None
    if not isinstance(event, dict):
        raise InvalidValue("the delivery is not a JSON object")
    kind, video_id = _subject(cast("dict[str, Any]", event))
    if video_id is None and not (isinstance(kind, str) and kind.startswith(VIDEO)):
        logger.info("a delivery is about no job, and does nothing")
        return None
    for name, value in (("webhook-id", webhook_id), ("type", kind), ("data.id", video_id)):
        if (
            not isinstance(value, str)
            or not 0 < len(value) <= MAX_ID_LENGTH
            or "\0" in value
            or not value.isprintable()
        ):
            raise InvalidValue(f"{name}: a printable text of at most {MAX_ID_LENGTH} characters is expected")
    return Delivery(webhook_id, str(kind), str(video_id))


def _subject(body: Mapping[str, Any]) -> tuple[object, object]:
    """The type of a delivery and its job's id, as far as it has them.

    Some senders deliver the job itself: then its status is the type, and the id is the job's.
    """
    data: object = body.get("data")
    if isinstance(data, dict):
        return body.get("type"), cast("dict[str, Any]", data).get("id")
    if "type" not in body and isinstance(body.get("status"), str):
        return body["status"], body.get("id")
    return body.get("type"), None
