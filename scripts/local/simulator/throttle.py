"""How fast an answer's bytes come: as fast as they can, or at a speed per connection."""

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from flask import Response
from werkzeug.wsgi import FileWrapper

PIECE_BYTES = 256 * 1024


@dataclass(frozen=True)
class Pace:
    """The speed of one connection: the time before its first byte, and how many bytes come in a second after that."""

    bytes_per_second: float | None = None
    latency_seconds: float = 0.0

    def set(self, response: Response, end_event: threading.Event) -> Response:
        """The response, whose bytes come at this pace; none waits any longer once `end_event` is set."""
        if self == Pace():
            return response
        body = response.response
        if isinstance(body, FileWrapper):
            body.buffer_size = PIECE_BYTES
            response.call_on_close(body.close)
        response.direct_passthrough = False
        response.response = self._paced(cast("Iterable[bytes]", body), end_event)
        return response

    def _paced(self, pieces: Iterable[bytes], end_event: threading.Event) -> Iterator[bytes]:
        end_event.wait(self.latency_seconds)
        start, size = time.monotonic(), 0
        for part in self._parts(pieces):
            size += len(part)
            if self.bytes_per_second is not None:
                end_event.wait(max(0.0, start + size / self.bytes_per_second - time.monotonic()))
            yield part

    def _parts(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same bytes, cut so small that about ten pieces come in a second."""
        largest = PIECE_BYTES if self.bytes_per_second is None else max(1, int(self.bytes_per_second / 10))
        for piece in pieces:
            for start in range(0, len(piece), largest):
                yield piece[start : start + largest]
