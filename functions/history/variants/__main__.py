"""The function /history/variants: the scenes of a variant, to read and to record."""

from generation_history.api.app import handler
from history.variants import create_scenes, list_scenes

main = handler(list_scenes.router, create_scenes.router)
