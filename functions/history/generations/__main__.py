"""The function /history/generations: everything about generations but the library and the statistics."""

from typing import Any

from generation_history import logs
from generation_history.endpoint import Context, answer, resolver
from history.generations import (
    create_generation,
    delete_generation,
    get_generation,
    list_generations,
    list_variants,
    restore_generation,
)

logs.configure()
_app = resolver(
    list_generations.router,
    create_generation.router,
    get_generation.router,
    list_variants.router,
    delete_generation.router,
    restore_generation.router,
)


def main(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """The answer to one call."""
    return answer(_app, event, context)
