"""The function /history/generations: everything about generations but the library and the statistics."""

from generation_history.api.app import handler
from history.generations import (
    create_generation,
    delete_generation,
    download_generation,
    get_generation,
    get_metadata,
    list_generations,
    list_variants,
    restore_generation,
    save_metadata,
    update_generation,
)

main = handler(
    list_generations.router,
    create_generation.router,
    get_generation.router,
    get_metadata.router,
    list_variants.router,
    delete_generation.router,
    restore_generation.router,
    update_generation.router,
    save_metadata.router,
    download_generation.router,
)
