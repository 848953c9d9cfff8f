"""A poller that runs again and again, as a schedule would run it, until it is killed; its settings are its environment.

The soak and the crash tests kill it; nothing deployed uses it.
"""

import argparse
import logging
import os
import tempfile
import threading
from collections.abc import Sequence

from generation_history.errors import HistoryError
from generation_history.providers import http, sora
from generation_history.storage import object_store
from generation_history.work import poller

#: What one scheduled run has; nothing is posted in the last 70 of them.
RUN_SECONDS = 600.0
PAUSE_SECONDS = 0.1

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Never returns: a run that cannot work now is followed by the next one, as on a schedule."""
    parser = argparse.ArgumentParser(prog="python -m scripts.operate.poller", description=__doc__)
    parser.add_argument("--impatient", type=int, metavar="SECONDS", help="wait no longer for an answer than this")
    patience: int | None = parser.parse_args(arguments).impatient
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if patience is not None:
        be_impatient(patience)
    # A function has just one. Where that is full when Python is first asked for it, Python would take another.
    tempfile.tempdir = os.environ.get("TMPDIR")
    instance = poller.from_settings()
    pause = threading.Event()
    while True:
        try:
            instance.run(seconds=RUN_SECONDS)
        except HistoryError as error:
            logger.warning("cannot work now: %s", error)
        pause.wait(PAUSE_SECONDS)


def be_impatient(seconds: int) -> None:
    """From now on this process waits no longer for the provider or the store, so that silence costs no minutes."""
    http.SUBMIT_SECONDS = http.READ_SECONDS = sora.READ_SECONDS = seconds
    object_store.READ_SECONDS = seconds


if __name__ == "__main__":
    main()
