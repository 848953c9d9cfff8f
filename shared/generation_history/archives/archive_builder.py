"""ArchiveBuilder: builds archives as they were asked for, one at a time, in a few megabytes of memory and no disk."""

import hashlib
import json
import logging
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, Any, Final, cast

from generation_history import logs
from generation_history.archives.archive_queue import ArchiveQueue, Build
from generation_history.archives.archives import ArchivedFile
from generation_history.errors import ArchiveFailed, HistoryError, LeaseLost, StorageError
from generation_history.ids import short_id
from generation_history.models import ArchiveFailureCode
from generation_history.storage.keys import owned_key
from generation_history.storage.multipart_upload import MultipartUpload
from generation_history.storage.object_store import ObjectStore

logger = logging.getLogger(__name__)

#: No archive is begun when less time than this is left.
SHORTEST_BUILD_SECONDS = 60.0
#: The years that a zip can tell (APPNOTE 4.4.6).
_YEARS: Final = (1980, 2107)
#: The rights of an unpacked file, as Unix has them: -rw-r--r--.
_RIGHTS: Final = 0o100644 << 16


class OutOfTime(Exception):
    """The poller's time is up in the middle of an archive."""


class ArchiveBuilder:
    """Builds what is due; every archive ends up ready, failed with a reason, due again, or another builder's."""

    def __init__(self, queue: ArchiveQueue, store: ObjectStore, *, lease_seconds: float) -> None:
        self._queue = queue
        self._store = store
        self._lease_seconds = lease_seconds
        self._stopping = False

    def stop(self) -> None:
        """Guarantees that the archive that is being built is put off; a signal's handler may call this."""
        self._stopping = True

    def run(self, *, seconds: float) -> int:
        """The number of archives that are ready now; returns when none is due or the time is up."""
        deadline = time.monotonic() + seconds
        built = 0
        while (
            not self._stopping
            and deadline - time.monotonic() > SHORTEST_BUILD_SECONDS
            and (build := self._queue.claim())
        ):
            generation = {"generation_id": build.generation_id, "short_id": short_id(build.generation_id)}
            with logs.about(**generation, archive_id=build.id):
                built += self._step(build, deadline)
        return built

    def _step(self, build: Build, deadline: float) -> bool:
        try:
            self._build(build, deadline)
        except LeaseLost:
            logger.warning("archive %s: another builder has taken it over", build.id)
        except (ArchiveFailed, OutOfTime) as error:
            logger.warning("archive %s: %s", build.id, error)
            self._settle_failed_build(build, error)
        except Exception as error:
            logger.exception("archive %s could not be built", build.id)
            self._settle_failed_build(build, error)
        else:
            return True
        return False

    def _settle_failed_build(self, build: Build, error: Exception) -> None:
        """The archive fails at once where a new try cannot help, else at its deadline; until then it is due again."""
        is_expected = isinstance(error, (HistoryError, OutOfTime))
        reason = str(error) if is_expected else f"{type(error).__name__}: {error}"
        code: ArchiveFailureCode = "storage_failed" if isinstance(error, StorageError) else "timed_out"
        try:
            if isinstance(error, ArchiveFailed):
                self._queue.give_up(build, error.failure_code, reason)
            elif build.overdue:
                self._queue.give_up(build, code, reason)
            else:
                self._queue.put_off(build, reason)
        except HistoryError:
            logger.exception("archive %s: its lease will run out by itself", build.id)

    def _build(self, build: Build, deadline: float) -> None:
        if build.overdue and build.tries > 1:
            reason = build.error_message or "every builder died in the middle of it"
            raise ArchiveFailed("timed_out", f"not built within its time: {reason}")
        # A builder may have died before it recorded its archive. An object appears whole or not at all.
        size = self._store.size(build.key)
        if size is None:
            for key, upload_id, _ in list(self._store.unfinished_uploads(build.key)):
                self._store.abort_upload(key, upload_id)
            progress = _Progress(
                self._queue,
                build,
                self._lease_seconds / 3,
                is_over=lambda: self._stopping or time.monotonic() > deadline,
            )
            size = self._upload(build, progress)
        self._queue.finish(build, size=size)

    def _upload(self, build: Build, progress: "_Progress") -> int:
        with MultipartUpload(self._store, build.key, content_type="application/zip") as upload:
            with zipfile.ZipFile(cast("IO[bytes]", upload), "w", zipfile.ZIP_STORED) as archive:
                self._fill(archive, build, progress)
            # Another builder may have the lease by now, and upload to the same key.
            progress.report()
            upload.finish()
            return upload.size

    def _fill(self, archive: zipfile.ZipFile, build: Build, progress: "_Progress") -> None:
        contents = build.contents
        files = [self._add(archive, build, file, progress) for file in contents["files"]]
        manifest = {"format": contents["format"], "generation": contents["generation"], "files": files}
        entry = _entry("manifest.json", max(file["made_at"] for file in contents["files"]))
        archive.writestr(entry, json.dumps(manifest, indent=2, ensure_ascii=False))

    def _add(self, archive: zipfile.ZipFile, build: Build, file: ArchivedFile, progress: "_Progress") -> dict[str, Any]:
        """The manifest's entry of a video, which is in the zip now."""
        label = f"the video of {file['variant_type']} scene {file['scene_number']}"
        # A row may be written by its owner's hand; nothing of another generation goes into its archive.
        if owned_key(f"/{file['key']}", str(build.generation_id)) is None:
            raise ArchiveFailed("video_missing", f"{label} is not one of this generation's")
        digest = hashlib.sha256()
        try:
            with self._store.read(file["key"]) as (size, pieces):
                if file["size"] not in {None, size}:
                    raise ArchiveFailed("video_changed", f"{label} has {size} bytes in the store, not {file['size']}")
                entry = _entry(file["name"], file["made_at"])
                # Known beforehand, so that only an entry that needs it has the long form of Zip64.
                entry.file_size = size
                with archive.open(entry, "w") as target:
                    for piece in pieces:
                        target.write(piece)
                        digest.update(piece)
                        progress.add(len(piece))
            if entry.file_size != size:
                raise StorageError(f"{label} broke off after {entry.file_size} of {size} bytes")
        except FileNotFoundError:
            raise ArchiveFailed("video_missing", f"{label} is not in the store") from None
        progress.videos += 1
        manifest_fields = ("name", "variant_type", "scene_number", "scene_id", "duration", "resolution")
        return {**{name: file[name] for name in manifest_fields}, "size": size, "sha256": digest.hexdigest()}


class _Progress:
    """How far an archive is. It is reported to the archive's row now and then, which extends the lease."""

    def __init__(self, queue: ArchiveQueue, build: Build, every_seconds: float, *, is_over: Callable[[], bool]) -> None:
        self.videos = 0
        self._bytes = 0
        self._queue = queue
        self._build = build
        self._every_seconds = every_seconds
        self._is_over = is_over
        self._reported_at = time.monotonic()

    def add(self, number: int) -> None:
        """So many bytes more; OutOfTime after the deadline, LeaseLost once another builder has the archive."""
        self._bytes += number
        if self._is_over():
            raise OutOfTime("its poller's time was up; a larger archive than a poller can build is never ready")
        if time.monotonic() - self._reported_at > self._every_seconds:
            self.report()

    def report(self) -> None:
        """The row has the progress, and the lease is extended; LeaseLost where another builder has the archive."""
        self._reported_at = time.monotonic()
        self._queue.extend(self._build, videos_done=self.videos, bytes_done=self._bytes)


def _entry(name: str, made_at: str) -> zipfile.ZipInfo:
    """An entry that is the same whenever it is made: its time is the video's, in UTC."""
    moment = datetime.fromisoformat(made_at).astimezone(UTC)
    year = min(max(moment.year, _YEARS[0]), _YEARS[1])
    entry = zipfile.ZipInfo(name, (year, moment.month, moment.day, moment.hour, moment.minute, moment.second))
    entry.external_attr = _RIGHTS
    return entry
