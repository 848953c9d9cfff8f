"""The function /history/library: completed generations, to look at."""

from typing import Any

from generation_history import logs
from generation_history.endpoint import Context, answer, resolver
from history.library import list_library

logs.configure()
_app = resolver(list_library.router)


def main(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """The answer to one call."""
    return answer(_app, event, context)
