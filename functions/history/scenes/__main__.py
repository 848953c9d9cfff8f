"""The function /history/scenes: permanent links to a scene's video and thumbnail, its retry and its own submission."""

from generation_history.endpoint import handler
from history.scenes import open_scene, record_video, retry_scene

main = handler(open_scene.router, record_video.router, retry_scene.router)
