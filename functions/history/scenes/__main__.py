"""The function /history/scenes: permanent links to a scene's video and thumbnail."""

from typing import Any

from generation_history import logs
from generation_history.endpoint import Context, answer, resolver
from history.scenes import open_scene

logs.configure()
_app = resolver(open_scene.router)


def main(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """The answer to one call."""
    return answer(_app, event, context)
