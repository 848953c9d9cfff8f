"""The function /history/scenes: permanent links to what is stored, retry, a caller's own job, other attempts."""

from generation_history.api.app import handler
from history.scenes import open_scene, record_video, retry_scene, use_attempt

main = handler(open_scene.router, record_video.router, retry_scene.router, use_attempt.router)
