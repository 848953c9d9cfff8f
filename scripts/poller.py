"""A poller that runs again and again, as a schedule would run it, until it is killed; its settings are its environment.

The soak and the crash tests kill it; nothing deployed uses it.
"""

import logging
import threading

from generation_history import worker
from generation_history.errors import HistoryError

#: What one scheduled run has; nothing is posted in the last 70 of them.
RUN_SECONDS = 600.0
PAUSE_SECONDS = 0.1

logger = logging.getLogger(__name__)


def main() -> None:
    """Never returns: a run that cannot work now is followed by the next one, as on a schedule."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    poller = worker.from_settings()
    pause = threading.Event()
    while True:
        try:
            poller.run(seconds=RUN_SECONDS)
        except HistoryError as error:
            logger.warning("cannot work now: %s", error)
        pause.wait(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
