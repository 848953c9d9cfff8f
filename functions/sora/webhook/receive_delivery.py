"""POST /sora/webhook: a provider says that one of its jobs has moved."""

from functools import cache

from aws_lambda_powertools.event_handler.api_gateway import Response, Router

from generation_history import bootstrap, provider_settings
from generation_history.api.app import handler, ok
from generation_history.api.response_schemas import answers, reads, refuses
from generation_history.errors import TooLarge
from generation_history.needs import needs
from generation_history.work import webhooks
from generation_history.work.wakeup import wake_poller
from generation_history.work.webhooks import Deliveries, DeliveryBody

NEEDS = needs("queue", "deliveries", "wakeup")
router = Router()
main = handler(router, authenticate=lambda _headers, _method: None)


@cache
def _deliveries() -> Deliveries:
    return Deliveries(bootstrap.work_database())


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
    body = (event.decoded_body or "").encode()
    delivery = webhooks.verify(body, dict(event.headers), provider_settings.webhook_secrets())
    is_new = delivery is not None and _deliveries().record(delivery)
    if is_new:
        wake_poller()
    return ok(new=is_new)
