"""python -m generation_history.purge: the purge as a process of its own, where no platform calls it each hour."""

import sys
from typing import Final

from generation_history import bootstrap, settings
from generation_history.work import loop
from generation_history.work.purge import Purge

#: One call of the store takes less; what is not removed is removed by the next run.
STOP_SECONDS: Final = 50.0


def main() -> int:
    """The exit code: 0 when it was stopped by SIGTERM or SIGINT, 1 when a setting is missing."""
    return loop.main(
        "purge",
        lambda: Purge(bootstrap.work_database(), bootstrap.object_store()),
        lambda: settings.schedule()[1],
        about="Removes for good what was deleted long enough ago, until it is stopped.",
        stop_seconds=STOP_SECONDS,
    )


if __name__ == "__main__":
    sys.exit(main())
