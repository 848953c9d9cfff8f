"""POST /sora/webhook: a provider says that one of its jobs has moved."""

from functools import cache

from aws_lambda_powertools.event_handler.api_gateway import Response, Router

from generation_history import database, settings, webhooks
from generation_history.contract import answers, reads, refuses
from generation_history.endpoint import handler, ok
from generation_history.errors import TooLarge
from generation_history.waking import wake_poller
from generation_history.webhooks import DeliveryBody
from generation_history.work_queue import WorkQueue

router = Router()
main = handler(router, admit=lambda _headers, _method: None)


@cache
def _queue() -> WorkQueue:
    db = database.connect(settings.worker_database_url(), setting="WORKER_DATABASE_URL")
    return WorkQueue(db, lease_seconds=settings.worker().lease_seconds)


@router.post(
    "/sora/webhook",
    responses=answers(new=bool) | refuses(TooLarge),
    security=[{"signature": []}],
    openapi_extensions=reads(DeliveryBody),
)
def receive_delivery() -> Response[str]:
    """200 once the delivery is recorded and its job due; it downloads nothing, and a repeat changes nothing.

    So does a delivery about no job, as a sender's test is.
    """
    event = router.current_event
    raw = (event.decoded_body or "").encode()
    delivery = webhooks.verify(raw, dict(event.headers), settings.webhook_secrets())
    new = delivery is not None and _queue().deliver(delivery)
    if new:
        wake_poller()
    return ok(new=new)
