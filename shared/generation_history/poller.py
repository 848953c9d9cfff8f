"""python -m generation_history.poller: the poller as a process of its own, where no platform calls it each minute."""

import sys

from generation_history import settings
from generation_history.work import loop, poller


def main() -> int:
    """The exit code: 0 when it was stopped by SIGTERM or SIGINT, 1 when a setting is missing."""
    return loop.main(
        "poller",
        poller.from_settings,
        lambda: settings.schedule()[0],
        about="Submits, polls and stores what is due, and builds archives, until it is stopped.",
    )


if __name__ == "__main__":
    sys.exit(main())
