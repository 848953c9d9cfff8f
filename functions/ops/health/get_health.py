"""GET /ops/health: is the work getting done."""

from collections.abc import Mapping
from functools import cache

from aws_lambda_powertools.event_handler.api_gateway import Response, Router

from generation_history import bootstrap, settings
from generation_history.api.app import handler, ok
from generation_history.api.authentication import has_bearer_token
from generation_history.api.response_schemas import answers
from generation_history.errors import NotAuthenticated
from generation_history.models import Health
from generation_history.needs import needs
from generation_history.work.monitoring import Monitoring

NEEDS = needs("queue", "monitor")
router = Router()

#: The poller runs every minute; five missed is an outage.
MAX_WITHOUT_POLL_SECONDS = 300.0
#: Due work is claimed by the next poller; a quarter of an hour late, there are too few of them.
MAX_DUE_SECONDS = 900.0
#: The purge runs every hour. A new installation has never run it.
MAX_WITHOUT_PURGE_SECONDS = 4 * 3600.0
#: A provider that restarts is back sooner.
MAX_UNREACHABLE_SECONDS = 900.0


@cache
def _monitoring() -> Monitoring:
    return Monitoring(bootstrap.work_database())


def _authenticate(headers: Mapping[str, str], _method: str) -> None:
    if not has_bearer_token(headers, settings.health_token()):
        raise NotAuthenticated("the health endpoint asks for HEALTH_TOKEN: Authorization: Bearer <token>")


main = handler(router, authenticate=_authenticate)


@router.get(
    "/ops/health",
    responses=answers(200, 503, healthy=bool, problems=list[str], **Health.__annotations__),
    security=[{"monitor": []}],
)
def get_health() -> Response[str]:
    """200 with figures while the work gets done, 503 with the same and the problems while it does not."""
    health = _monitoring().health()
    problems: list[str] = []
    seconds_since_poll = health["seconds_since_poll"]
    if seconds_since_poll is None or seconds_since_poll > MAX_WITHOUT_POLL_SECONDS:
        problems.append("the poller has not run for five minutes")
    if health["oldest_due_seconds"] > MAX_DUE_SECONDS:
        problems.append("work is due for more than a quarter of an hour")
    if (health["seconds_since_purge"] or 0) > MAX_WITHOUT_PURGE_SECONDS:
        problems.append("the purge has not run for four hours")
    if health["stuck"]:
        problems.append(f"{health['stuck']} scenes fail again and again, last: {health['stuck_reason']}")
    problems += [
        f"the provider {provider['base_url']} is {provider['state']}: {provider['reason']}"
        for provider in health["providers"]
        if provider["state"] in {"refused", "gone"}
        or (provider["state"] == "unreachable" and provider["seconds"] > MAX_UNREACHABLE_SECONDS)
    ]
    return ok(503 if problems else 200, healthy=not problems, problems=problems, **health)
