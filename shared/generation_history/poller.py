"""python -m generation_history.poller: the poller as a process of its own, where no platform calls it each minute."""

import sys
from typing import Final

from generation_history import settings
from generation_history.work import loop, poller

#: A download has 300 s of it; what would take longer is gone on with by another poller, or the next one.
STOP_SECONDS: Final = 330.0


def main() -> int:
    """The exit code: 0 when it was stopped by SIGTERM or SIGINT, 1 when a setting is missing."""
    return loop.main(
        "poller",
        poller.from_settings,
        lambda: settings.schedule()[0],
        about="Submits, polls and stores what is due, and builds archives, until it is stopped.",
        stop_seconds=STOP_SECONDS,
    )


if __name__ == "__main__":
    sys.exit(main())
