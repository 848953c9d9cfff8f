"""The function sora/poller: on a schedule, claims due work and does it, until nothing is due or its time is up."""

import logging
from functools import cache
from typing import Any

from generation_history import logs
from generation_history.api.events import Context, request_id
from generation_history.errors import HistoryError
from generation_history.needs import needs
from generation_history.work import poller

NEEDS = needs("queue", "provider", "objects", "inspection")

logger = logging.getLogger(__name__)

#: Kept for a step that is finishing when the time is up.
MARGIN_SECONDS = 10.0

_poller = cache(poller.from_settings)


def main(event: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001
    """{"steps": how many were done, "archives": how many are ready}, or {"error": why none could be}."""
    logs.configure()
    with logs.about(request_id=request_id(context)):
        try:
            seconds = context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
            steps, archives = _poller().run(seconds=seconds)
        except HistoryError as error:
            logger.error("the poller cannot work: %s", error)  # noqa: TRY400
            return {"error": str(error)}
    return {"steps": steps, "archives": archives}
