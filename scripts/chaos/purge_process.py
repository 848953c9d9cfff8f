"""One purge, as the function ops/purge makes it, but for the time between fence and removal: a process to be killed."""

import logging
import sys

from generation_history import settings
from generation_history.db import database
from generation_history.errors import HistoryError
from generation_history.storage.object_store import ObjectStore
from generation_history.work.purge import Purge
from scripts.chaos.pollers import PATIENCE_SECONDS
from scripts.operate.poller import be_impatient

RUN_SECONDS = 25.0


def main() -> None:
    """Fences what is due, and removes what was fenced so many seconds ago, unless database or store are in the way."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    be_impatient(PATIENCE_SECONDS)
    db = database.connect(settings.worker_database_url(), setting="WORKER_DATABASE_URL")
    try:
        Purge(db, ObjectStore(settings.spaces()), fenced_seconds=int(sys.argv[1])).run(seconds=RUN_SECONDS)
    except HistoryError as error:
        logging.warning("cannot purge now: %s", error)  # noqa: LOG015


if __name__ == "__main__":
    main()
