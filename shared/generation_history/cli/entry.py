"""What `generation-history` starts: it says what to install where the libraries of the command line are missing."""

import io
import logging
import sys
from typing import Final

#: What the extra `cli` of the package brings.
LIBRARIES: Final = frozenset({"click", "rich"})


def main() -> None:
    """Runs the command that the arguments name, and ends the process with its exit code."""
    # What a terminal cannot show is shown as a question mark.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    # Python would print a library's warnings among the one line that an error has here.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        from generation_history.cli.commands import commands  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name not in LIBRARIES:
            raise
        raise SystemExit(
            "generation-history: install it as generation-history[cli]: click or rich is missing"
        ) from None
    commands(prog_name="generation-history")
