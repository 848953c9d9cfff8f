"""scripts/import-history: the record of an older installation moves in (generation_history.importing.command)."""

import sys

from generation_history.importing.command import Progress, main

__all__ = ["Progress", "main"]

if __name__ == "__main__":
    sys.exit(main())
