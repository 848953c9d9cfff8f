"""A video on its way from a provider to a file: bounded, whole, and an mp4."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path

import requests

from generation_history.errors import MachineFault, SceneFailure
from generation_history.files import mp4
from generation_history.files.machine_faults import machine_faults, shortage
from generation_history.files.temp_space import TEMP_SPACE
from generation_history.http_client import bounded
from generation_history.models import FailureCode
from generation_history.providers.http import TookTooLong, chunks
from generation_history.urls import UnclearUrl

#: Four of them at once fit into a function whose temporary files are in memory.
MAX_VIDEO_BYTES = 128 * 1024 * 1024


DOWNLOAD_SECONDS = 300.0


def fetch(
    open_response: Callable[[], requests.Response],
    check_answer: Callable[[requests.Response], bytes],
    target: Path,
    *,
    seconds: float | None,
    trusted_hosts: frozenset[str],
) -> int:
    """The size in bytes of the mp4 now at target: whole, at most MAX_VIDEO_BYTES, made of an mp4's boxes.

    It takes at most so many seconds, and never more than DOWNLOAD_SECONDS, waiting for room in the temporary folder
    included. check_answer returns the first bytes of what may be a video, or none yet, and raises for what is none.
    SceneFailure says what came instead of a video; MachineFault what this machine lacks.
    """
    limit = DOWNLOAD_SECONDS if seconds is None else min(seconds, DOWNLOAD_SECONDS)
    try:
        with bounded(limit, trusted_hosts=trusted_hosts), open_response() as response:
            return save(response, check_answer(response), target, limit)
    except TookTooLong:
        discard(target)
        raise SceneFailure("download_failed", f"the download took more than {limit:.0f} s") from None
    except UnclearUrl as error:
        raise SceneFailure("download_failed", f"the provider redirects to what is refused: {error}") from None
    except (requests.RequestException, OSError, ValueError) as error:
        discard(target)
        if lack := shortage(error):
            raise MachineFault(f"this machine cannot download: {lack}") from None
        raise SceneFailure("download_failed", f"the download broke off: {type(error).__name__}") from None
    except BaseException:
        discard(target)
        raise


def first_bytes(response: requests.Response) -> bytes:
    """The first piece of the body, long enough to tell an mp4 by."""
    head = b""
    for chunk in chunks(response):
        head += chunk
        if len(head) >= mp4.BOX_HEAD_BYTES:
            break
    return head


def save(response: requests.Response, head: bytes, target: Path, seconds: float) -> int:
    """The number of bytes of the mp4 that is at target now, whole: head, which was read already, and the rest."""
    content_length = response.headers.get("Content-Length", "")
    length = int(content_length) if content_length.isdecimal() else None
    if length is not None and length > MAX_VIDEO_BYTES:
        raise SceneFailure("invalid_video", f"the video has {length} bytes, more than {MAX_VIDEO_BYTES}", final=True)
    deadline = time.monotonic() + seconds
    # What is packed for the way says nothing of its length on the disk.
    size = None if response.headers.get("Content-Encoding") else length
    with machine_faults("use the temporary folder"):
        TEMP_SPACE.reserve(target, size, max_size=MAX_VIDEO_BYTES, deadline=deadline)
    try:
        size_on_disk = _write(chain([head] if head else [], chunks(response)), target, deadline, seconds)
    except requests.ConnectionError as error:
        if shortage(error):
            raise
        # urllib3 counts against the content-length.
        received_size = target.stat().st_size
        reason = f"the video is truncated: {received_size} of {content_length or 'unknown'} bytes came"
        raise SceneFailure("download_failed", reason) from None
    if size_on_disk == 0:
        raise SceneFailure("invalid_video", "the provider sent an empty video")
    with machine_faults("read the video"):
        TEMP_SPACE.settle(target)
        mp4.check_is_mp4(target)
        is_whole = mp4.is_whole(target, length_is_known=length is not None)
    if not is_whole:
        # Only a length tells a broken file from one that broke off.
        code: FailureCode = "download_failed" if length is None else "invalid_video"
        raise SceneFailure(code, f"the video is truncated: its boxes go on after the {size_on_disk} bytes that came")
    return size_on_disk


def _write(pieces: Iterable[bytes], target: Path, deadline: float, seconds: float) -> int:
    """The number of bytes written; a failure to write is this machine's, one to read is not."""
    size = 0
    with machine_faults("write the video"):
        file = target.open("xb", buffering=0)
    with file:
        for piece in pieces:
            size += len(piece)
            if size > MAX_VIDEO_BYTES:
                raise SceneFailure("invalid_video", f"the video has more than {MAX_VIDEO_BYTES} bytes", final=True)
            if time.monotonic() > deadline:
                raise SceneFailure("download_failed", f"the download took more than {seconds:.0f} s")
            with machine_faults("write the video"):
                rest = memoryview(piece)
                while rest:
                    rest = rest[file.write(rest) :]
    return size


def discard(target: Path) -> None:
    """Guarantees that nothing is left at target, nor kept of the temporary room for it."""
    with suppress(OSError):
        target.unlink(missing_ok=True)
    TEMP_SPACE.release(target)
