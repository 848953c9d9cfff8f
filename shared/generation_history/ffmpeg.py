"""The only caller of the ffmpeg binary: what a video is and one picture of it, in one bounded run.

The input comes from outside, so the process may read and write local files only, as mp4 and JPEG, and is held to a
time, an amount of memory and a size of output.
"""

import lzma
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from generation_history.errors import NotConfigured, SceneFailure

TIMEOUT_SECONDS = 60
CPU_SECONDS = 60
#: Of address space. 1080p takes 192 MB of it, 4K 224 MB; a hostile file asks for gigabytes.
MEMORY_BYTES = 288 * 1024**2
THUMBNAIL_BYTES = 8 * 1024**2
THUMBNAIL_WIDTH = 640
#: The picture is the first frame at or after this second, else the first frame of all.
THUMBNAIL_SECOND = 1

# At the start of a line, where nothing that is written in the file itself can stand: its metadata is indented more.
_DURATION = re.compile(r"^  Duration: (\d{1,4}):(\d\d):(\d\d(?:\.\d+)?)", re.MULTILINE)
_VIDEO_STREAM = re.compile(r"^  Stream #0:.*?: Video: .*?, (\d{1,5})x(\d{1,5})[, \n]", re.MULTILINE)

_finding = threading.Lock()


@dataclass(frozen=True)
class Inspection:
    """What a video is: seconds as measured, resolution as WIDTHxHEIGHT; and why it has no thumbnail, if it has none."""

    seconds: float
    resolution: str
    thumbnail_error: str | None


def inspect(video: Path, thumbnail: Path) -> Inspection:
    """What the video is; a JPEG THUMBNAIL_WIDTH wide lies at thumbnail unless thumbnail_error says why not.

    SceneFailure invalid_video where ffmpeg finds no video with a duration and a size in it. Where it finds one, but
    cannot make its picture within the limits, the video is kept: it is paid for.
    """
    # Both frames go to the same file, the later one last: a seek past the end would write nothing.
    pick = f"select='eq(n,0)+gte(t,{THUMBNAIL_SECOND})',scale={THUMBNAIL_WIDTH}:-2"
    command = [
        *(executable(), "-hide_banner", "-nostdin", "-nostats", "-threads", "1", "-max_alloc", str(MEMORY_BYTES // 2)),
        *("-protocol_whitelist", "file", "-f", "mov", "-i", f"file:{video}"),
        *("-map", "0:v:0", "-an", "-sn", "-dn", "-vf", pick, "-fps_mode", "passthrough", "-frames:v", "2"),
        *("-c:v", "mjpeg", "-q:v", "4", "-pix_fmt", "yuvj420p", "-threads", "1"),
        *("-f", "image2", "-update", "1", "-y", f"file:{thumbnail}"),
    ]
    said, ended_well = _run(command)
    duration, stream = _DURATION.search(said), _VIDEO_STREAM.search(said)
    made = ended_well and thumbnail.is_file() and thumbnail.stat().st_size > 0
    if not made or duration is None or stream is None:
        thumbnail.unlink(missing_ok=True)
    if duration is None or stream is None:
        raise SceneFailure("invalid_video", f"ffmpeg finds no video in the file: {_last_line(said)}", final=True)
    hours, minutes, seconds = duration.groups()
    return Inspection(
        seconds=int(hours) * 3600 + int(minutes) * 60 + float(seconds),
        resolution=f"{stream[1]}x{stream[2]}",
        thumbnail_error=None if made else f"ffmpeg made no thumbnail: {_last_line(said)}",
    )


def _run(command: list[str]) -> tuple[str, bool]:
    """What the process said, at most a megabyte of it, and whether it came to a good end within the limits."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _limited(), "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            # Each of glibc's arenas would reserve 128 MB of the address space, as many as threads meet by chance.
            env={"MALLOC_ARENA_MAX": "1"},
            start_new_session=True,
        )
        try:
            exit_status = process.wait(TIMEOUT_SECONDS)
            end = f"\nit was stopped by signal {-exit_status}" if exit_status < 0 else ""
        except subprocess.TimeoutExpired:
            exit_status, end = None, f"\nit did not finish within {TIMEOUT_SECONDS} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.seek(0)
        return log.read(1024**2).decode("utf-8", "replace") + end, exit_status == 0


def _limited() -> str:
    """A shell script that sets the limits and becomes its arguments.

    Set from outside they would come late, and code of ours between fork and exec is not safe in threads. Where the
    platform's own limits are lower, those stay. (ulimit -v counts kilobytes, -f 512 bytes.)
    """
    limits = f"-v {MEMORY_BYTES // 1024}", f"-t {CPU_SECONDS}", f"-f {THUMBNAIL_BYTES // 512}", "-c 0"
    return "".join(f"ulimit {limit}\n" for limit in limits) + 'exec "$@"'


def executable() -> str:
    """The path of imageio-ffmpeg's ffmpeg; where it is packed or lost its exec bit, of a copy that can be run.

    The package's own look-up is not used: it runs the binary to see whether it can be run, and gives up if not.
    """
    # One at a time: a process started while another thread writes the copy would keep it open, and busy.
    with _finding:
        return _executable()


@cache
def _executable() -> str:
    package = find_spec("imageio_ffmpeg")
    folders = [Path(folder) for folder in (package.submodule_search_locations if package else None) or []]
    bundled = next((path for folder in folders for path in sorted(folder.glob("binaries/ffmpeg-*"))), None)
    if bundled is None:
        raise NotConfigured("imageio-ffmpeg, which carries the ffmpeg binary, is not installed")
    packed = bundled.suffix == ".xz"
    if os.access(bundled, os.X_OK) and not packed:
        return str(bundled)
    descriptor, name = tempfile.mkstemp(prefix="ffmpeg-")
    with os.fdopen(descriptor, "wb") as copy, (lzma.open if packed else open)(bundled, "rb") as original:
        shutil.copyfileobj(original, copy)
    Path(name).chmod(stat.S_IRWXU)
    return name


def _last_line(said: str) -> str:
    return (said.strip().splitlines() or ["it said nothing"])[-1][:300]
