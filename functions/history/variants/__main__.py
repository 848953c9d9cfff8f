"""The function /history/variants: the scenes of a variant."""

from typing import Any

from generation_history import logs
from generation_history.endpoint import Context, answer, resolver
from history.variants import list_scenes

logs.configure()
_app = resolver(list_scenes.router)


def main(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """The answer to one call."""
    return answer(_app, event, context)
