"""The old name of generation_history.media.video_storage_manager, for callers that import it so."""

from generation_history.media.video_storage_manager import VideoStorageManager as VideoStorageManager
