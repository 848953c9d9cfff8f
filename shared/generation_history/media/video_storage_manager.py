"""VideoStorageManager: stores a finished video: download, inspect, thumbnail, upload."""

import logging
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol, get_args
from uuid import uuid4

from generation_history import bootstrap, limits
from generation_history.errors import (
    HistoryError,
    InvalidValue,
    JobGone,
    MachineFault,
    ProviderError,
    SceneFailure,
    StorageError,
    StoreRefused,
)
from generation_history.files.machine_faults import machine_faults
from generation_history.files.mp4 import check_is_mp4
from generation_history.files.temp_space import TEMP_SPACE
from generation_history.ids import as_uuid
from generation_history.media import ffmpeg
from generation_history.models import VariantType, VideoMetadata
from generation_history.providers import VideoProvider, factory
from generation_history.providers.download import DOWNLOAD_SECONDS, MAX_VIDEO_BYTES
from generation_history.storage.keys import scene_key, thumbnail_key
from generation_history.storage.object_store import ObjectStore

logger = logging.getLogger(__name__)


class Fetch(Protocol):
    """Downloads one video to a path within these seconds; nothing is left there after an error."""

    def __call__(self, target: Path, *, seconds: float | None) -> int:
        """The number of bytes of the video."""
        ...


#: More downloads at once than there ever are.
NO_LIMIT = 1_000_000


class VideoStorageManager:
    """Downloads videos from the configured servers only, and keeps them in the configured bucket.

    Paths are those of files in a temporary folder; the caller of a single step removes its file, or
    cleanup_temp_directory() does after a day. A failure is a SceneFailure whose failure_code says what was wrong, or a
    MachineFault, which says nothing of the video: the same call may work later, or on another machine.
    """

    def __init__(self, *, store: ObjectStore | None = None, downloads: int | None = None) -> None:
        """Download at most so many videos at once, None being no limit; inspecting and uploading go on beside them."""
        self._store = store
        self._downloading = threading.BoundedSemaphore(downloads or NO_LIMIT)
        # One at a time: it is the processor that each waits for, and memory would add up.
        self._inspecting = threading.Lock()

    def store(
        self,
        provider: VideoProvider,
        provider_job_id: str,
        generation_id: str,
        variant_type: str,
        scene_number: int,
        *,
        attempt: int = 1,
        seconds: float | None = None,
        reuse_stored: bool = False,
    ) -> tuple[str, str | None, VideoMetadata]:
        """The plain URLs of the stored video and thumbnail, and what the video is; nothing is left in temp.

        The video comes first: if only its thumbnail cannot be made, or is refused by the store, that URL is None and
        metadata["thumbnail_error"] says why. A store that may have taken it all the same is a failure as for the video:
        no row would name the object.
        The same call again writes the same bytes to the same keys. The download takes at most so many seconds. A video
        that the provider does not have any more may be stored already: who stored it died before that was recorded.
        With reuse_stored, which says that this attempt had no other job, that is looked for after any failure.
        """
        key = _checked_key(generation_id, variant_type, scene_number, attempt)
        fetch = partial(provider.fetch_video, provider_job_id)
        return self._fetch_and_store(fetch, key, seconds, reuse_stored=reuse_stored)

    def process_and_store_video(
        self,
        sora_content_url: str,
        openai_api_key: str,
        generation_id: str,
        variant_type: str,
        scene_number: int,
        *,
        attempt: int = 1,
    ) -> tuple[str, str | None, VideoMetadata]:
        """As store() does, for who has a content URL and a key.

        The key goes to the servers that SORA_BASE_URL names and to no other: InvalidValue for any other URL.
        """
        key = _checked_key(generation_id, variant_type, scene_number, attempt)
        provider = factory.sora_server_of(sora_content_url, openai_api_key)
        return self._fetch_and_store(partial(provider.fetch, sora_content_url), key, None, reuse_stored=False)

    def find_stored(
        self, generation_id: str, variant_type: str, scene_number: int, *, attempt: int = 1
    ) -> tuple[str, str | None, VideoMetadata] | None:
        """As store(), of a video that the store has already; None where it has none. No provider is asked."""
        key = _checked_key(generation_id, variant_type, scene_number, attempt)
        with _temp_files() as (video, thumbnail), machine_faults("inspect a stored video"), _storage_failures():
            return self._inspect_and_store(key, video, thumbnail) if self._find(key, video) else None

    def inspect_stored(self, key: str) -> tuple[str | None, VideoMetadata]:
        """The plain URL of the thumbnail, made now, of the video that the store has under this key; what the video is.

        As with store(), a thumbnail that cannot be had is None, and metadata["thumbnail_error"] says why.
        """
        with _temp_files() as (video, thumbnail), machine_faults("inspect a stored video"), _storage_failures():
            if not self._find(key, video):
                raise SceneFailure("not_found", f"the bucket has no object {key}")
            metadata, thumbnail_error = self._inspect(video, thumbnail)
            return self._add_thumbnail(key, thumbnail, metadata, thumbnail_error)

    def _fetch_and_store(
        self, fetch: Fetch, key: str, seconds: float | None, *, reuse_stored: bool
    ) -> tuple[str, str | None, VideoMetadata]:
        # Whatever the steps do not say by themselves: files and memory that only this machine has too little of.
        with _temp_files() as (video, thumbnail), machine_faults("bring a video home"), _storage_failures():
            self._download_or_find(fetch, key, video, seconds, reuse_stored=reuse_stored)
            return self._inspect_and_store(key, video, thumbnail)

    def _download_or_find(
        self, fetch: Fetch, key: str, video: Path, seconds: float | None, *, reuse_stored: bool
    ) -> None:
        try:
            self._download(fetch, video, seconds)
        except (ProviderError, SceneFailure) as error:
            if not (reuse_stored or isinstance(error, JobGone)) or not self._find(key, video):
                raise

    def _find(self, key: str, video: Path) -> bool:
        """Whether the store has the video; it is at that path then."""
        size = self.object_store.size(key)
        if size is None:
            return False
        TEMP_SPACE.reserve(video, size, max_size=MAX_VIDEO_BYTES, deadline=time.monotonic())
        try:
            return self.object_store.get(key, video)
        except FileNotFoundError:
            # Purged since.
            return False

    def _inspect_and_store(self, key: str, video: Path, thumbnail: Path) -> tuple[str, str | None, VideoMetadata]:
        try:
            metadata, thumbnail_error = self._inspect(video, thumbnail)
        except MachineFault as fault:
            self._save_for_later(key, video, fault)
            raise
        video_url = self.object_store.put(key, video, content_type="video/mp4")
        return video_url, *self._add_thumbnail(key, thumbnail, metadata, thumbnail_error)

    def _inspect(self, video: Path, thumbnail: Path) -> tuple[VideoMetadata, str | None]:
        """What the video is, and why it has no thumbnail, if it has none."""
        with self._inspecting:
            inspection = ffmpeg.inspect(video, thumbnail)
        metadata = VideoMetadata(
            duration=round(inspection.seconds), resolution=inspection.resolution, file_size=video.stat().st_size
        )
        return metadata, inspection.thumbnail_error

    def _add_thumbnail(
        self, key: str, thumbnail: Path, metadata: VideoMetadata, thumbnail_error: str | None
    ) -> tuple[str | None, VideoMetadata]:
        thumbnail_url = None
        if thumbnail_error is None:
            thumbnail_url, thumbnail_error = self._try_thumbnail(thumbnail_key(key), thumbnail)
        if thumbnail_error is not None:
            metadata["thumbnail_error"] = thumbnail_error
        return thumbnail_url, metadata

    def _save_for_later(self, key: str, video: Path, fault: MachineFault) -> None:
        """What came whole is kept, though nothing is known of it yet: the provider may have it for an hour only.

        Whoever inspects it later finds it under its key, as after a death between the objects and the row.
        """
        try:
            if self.object_store.size(key) is None:
                self.object_store.put(key, video, content_type="video/mp4")
        except HistoryError as error:
            logger.warning("a video that cannot be inspected (%s) could not be stored either: %s", fault, error)

    def _try_thumbnail(self, key: str, thumbnail: Path) -> tuple[str | None, str | None]:
        try:
            return self.object_store.put(key, thumbnail, content_type="image/jpeg"), None
        except StoreRefused as refusal:
            return None, f"the thumbnail could not be stored: {refusal}"

    def download_sora_video(self, video_content_url: str, openai_api_key: str, *, seconds: float | None = None) -> str:
        """The path of the downloaded mp4, whole and checked; the download takes at most so many seconds.

        The key goes to the servers that SORA_BASE_URL names and to no other: InvalidValue for any other URL.
        """
        target = _temp_folder() / f"{uuid4()}.mp4"
        provider = factory.sora_server_of(video_content_url, openai_api_key)
        self._download(partial(provider.fetch, video_content_url), target, seconds)
        return str(target)

    def _download(self, fetch: Fetch, target: Path, seconds: float | None) -> None:
        with self._turn(DOWNLOAD_SECONDS if seconds is None else seconds) as seconds_left:
            fetch(target, seconds=seconds_left)

    @contextmanager
    def _turn(self, seconds: float) -> Generator[float, None, None]:
        """A turn to download, and what is left of these seconds: waiting for it is part of a download's time."""
        ends_at = time.monotonic() + seconds
        if not self._downloading.acquire(timeout=seconds):
            raise SceneFailure("download_failed", f"no other download ended within {seconds:.0f} s")
        try:
            yield ends_at - time.monotonic()
        finally:
            self._downloading.release()

    def generate_thumbnail(self, video_path: str) -> str:
        """The path of a JPEG, 640 wide, of the frame at one second, or the first where the video is shorter."""
        thumbnail = _temp_folder() / f"{uuid4()}.jpg"
        error = ffmpeg.inspect(_readable(video_path), thumbnail).thumbnail_error
        if error is not None:
            raise SceneFailure("invalid_video", error)
        return str(thumbnail)

    def get_video_metadata(self, video_path: str) -> VideoMetadata:
        """The duration in whole seconds, the resolution as WIDTHxHEIGHT and the size in bytes."""
        video = _readable(video_path)
        thumbnail = _temp_folder() / f"{uuid4()}.jpg"
        try:
            inspection = ffmpeg.inspect(video, thumbnail)
        finally:
            thumbnail.unlink(missing_ok=True)
        return VideoMetadata(
            duration=round(inspection.seconds), resolution=inspection.resolution, file_size=video.stat().st_size
        )

    def upload_video_to_spaces(self, video_path: str, generation_id: str, variant_type: str, scene_number: int) -> str:
        """The plain URL of the stored video."""
        key = _checked_key(generation_id, variant_type, scene_number, 1)
        with _storage_failures():
            return self.object_store.put(key, _readable(video_path), content_type="video/mp4")

    def upload_thumbnail_to_spaces(
        self, thumbnail_path: str, generation_id: str, variant_type: str, scene_number: int
    ) -> str:
        """The plain URL of the stored thumbnail."""
        key = thumbnail_key(_checked_key(generation_id, variant_type, scene_number, 1))
        with _storage_failures():
            return self.object_store.put(key, _file(thumbnail_path), content_type="image/jpeg")

    def cleanup_temp_directory(self, max_age_hours: float = 24) -> int:
        """The number of files removed from the temporary folder because they were older than that."""
        oldest = time.time() - max_age_hours * 3600
        removed = 0
        try:
            for path in _temp_folder().iterdir():
                removed += _remove_if_older(path, oldest)
        except (MachineFault, OSError) as error:
            # A folder that is full, or gone, is in the way of what is stored, and of nothing else.
            logger.warning("the temporary folder cannot be cleaned: %s", error)
        return removed

    @property
    def object_store(self) -> ObjectStore:
        """The bucket that videos are kept in."""
        if self._store is None:
            self._store = bootstrap.object_store()
        return self._store


def _checked_key(generation_id: str, variant_type: str, scene_number: int, attempt: int) -> str:
    generation = as_uuid(generation_id)
    if generation is None:
        raise InvalidValue("generation_id must be a UUID")
    if variant_type not in get_args(VariantType):
        raise InvalidValue(f"variant_type must be one of {', '.join(get_args(VariantType))}")
    if not 1 <= scene_number <= limits.MAX_SCENE_NUMBER:
        raise InvalidValue(f"scene_number must be from 1 to {limits.MAX_SCENE_NUMBER}")
    return scene_key(generation, variant_type, scene_number, attempt=attempt)


@contextmanager
def _storage_failures() -> Generator[None]:
    """What the store cannot do in the block is why a scene has no video: the one place where it becomes that."""
    try:
        yield
    except StorageError as error:
        raise SceneFailure("storage_failed", str(error)) from error


@contextmanager
def _temp_files() -> Generator[tuple[Path, Path]]:
    """Paths for a video and its thumbnail; nothing is there any more after the block."""
    video = _temp_folder() / f"{uuid4()}.mp4"
    thumbnail = video.with_suffix(".jpg")
    try:
        yield video, thumbnail
    finally:
        video.unlink(missing_ok=True)
        thumbnail.unlink(missing_ok=True)
        TEMP_SPACE.release(video)


def _temp_folder() -> Path:
    with machine_faults("use the temporary folder"):
        folder = Path(tempfile.gettempdir()) / "generation-history"
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _remove_if_older(path: Path, oldest: float) -> bool:
    try:
        if not path.is_file() or path.stat().st_mtime >= oldest:
            return False
        path.unlink()
    except FileNotFoundError:
        # Its own process was quicker.
        return False
    return True


def _readable(video_path: str) -> Path:
    video = _file(video_path)
    check_is_mp4(video)
    return video


def _file(path: str) -> Path:
    file = Path(path)
    if not file.is_file():
        raise InvalidValue(f"there is no file {file.name}")
    return file
