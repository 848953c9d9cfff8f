"""The function ops/purge: on a schedule, removes for good what was deleted long enough ago."""

import logging
from typing import Any

from generation_history import bootstrap, logs
from generation_history.api.events import Context, request_id
from generation_history.errors import HistoryError
from generation_history.needs import needs
from generation_history.work.purge import Purge

NEEDS = needs("queue", "objects")

logger = logging.getLogger(__name__)

#: Kept for the object that is being removed when the time is up.
MARGIN_SECONDS = 10.0


def main(event: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001
    """{"purged": how many generations}, or {"error": why none could be}."""
    logs.configure()
    with logs.about(request_id=request_id(context)):
        try:
            db = bootstrap.work_database()
            purge = Purge(db, bootstrap.object_store())
            purged = purge.run(seconds=context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS)
        except HistoryError as error:
            logger.error("the purge cannot go on: %s", error)  # noqa: TRY400
            return {"error": str(error)}
    return {"purged": purged}
