"""MultipartUpload: a file to write to, once from its beginning to its end, that becomes an object of the store."""

import io
import logging
from types import TracebackType
from typing import Final, Self

from typing_extensions import Buffer  # collections.abc has it from Python 3.12 on only

from generation_history.errors import StorageError
from generation_history.storage.object_store import ObjectStore

logger = logging.getLogger(__name__)

#: What is in memory at most. A store takes 10,000 parts, so an object may have 80 GB.
PART_BYTES: Final = 8 * 1024 * 1024


class MultipartUpload(io.RawIOBase):
    """Uploads what is written, a part whenever there is one; the object appears with finish(), whole, or never.

    The end of the with block aborts what was not finished. Once aborted, what is still written goes nowhere.
    """

    def __init__(self, store: ObjectStore, key: str, *, content_type: str) -> None:
        super().__init__()
        self.size = 0
        self._store = store
        self._key = key
        # One for all parts: to make each of them anew takes several times its size.
        self._part = bytearray(PART_BYTES)
        self._filled = 0
        self._tags: list[str] = []
        self._upload_id: str | None = store.begin_upload(key, content_type=content_type)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def writable(self) -> bool:
        """True; and it can neither be read nor sought in."""
        return True

    def write(self, data: Buffer, /) -> int:
        """All of the data's bytes are taken."""
        with memoryview(data) as content:
            offset = 0
            while self._upload_id and offset < len(content):
                piece = content[offset : offset + PART_BYTES - self._filled]
                self._part[self._filled : self._filled + len(piece)] = piece
                self._filled += len(piece)
                offset += len(piece)
                if self._filled == PART_BYTES:
                    self._send(self._upload_id)
            self.size += len(content)
            return len(content)

    def finish(self) -> None:
        """Guarantees that the object is there and holds all that was written."""
        if self._upload_id is None:
            raise ValueError("this upload is over")
        if self._filled:
            del self._part[self._filled :]
            self._send(self._upload_id)
        self._store.finish_upload(self._key, self._upload_id, self._tags, self.size)
        self._upload_id = None

    def abort(self) -> None:
        """Nothing is left of an upload that was not finished, as far as the store can be reached."""
        upload_id, self._upload_id = self._upload_id, None
        if upload_id is None:
            return
        try:
            self._store.abort_upload(self._key, upload_id)
        except StorageError as failure:
            # Whoever builds this key next aborts it, or scripts/reconcile does.
            logger.warning("an upload could not be aborted: %s", failure)

    def _send(self, upload_id: str) -> None:
        try:
            tag = self._store.upload_part(self._key, upload_id, len(self._tags) + 1, self._part)
        except BaseException:
            # Whoever closes what was being written would only send it again.
            self.abort()
            raise
        self._tags.append(tag)
        self._filled = 0
