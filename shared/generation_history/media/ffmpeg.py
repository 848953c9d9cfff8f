"""The only caller of the ffmpeg binary: what a video is and one picture of it, in two bounded runs.

The input comes from outside, so the process may read local files only, as mp4, writes none, and is held to a time, an
amount of memory and a size of output. What is wrong is the file's fault only where it cannot be this machine's.
"""

import lzma
import mmap
import os
import re
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from generation_history.errors import MachineFault, NotConfigured, SceneFailure
from generation_history.files.bounded_process import Limits, Run, run
from generation_history.files.machine_faults import machine_faults
from generation_history.media.video_streams import VideoStream, films, has_sound

#: Of wall-clock time, for both runs together.
TIMEOUT_SECONDS = 60
#: Of processor time, for each run: a film needs one or two. Where it used half of them up before the wall clock ended
#: it, the file is to blame; below that, a machine that is busy.
CPU_SECONDS = 20
#: Of address space. 1080p takes 192 MB of it, 4K 224 MB; a hostile file asks for gigabytes.
MEMORY_BYTES = 288 * 1024**2
THUMBNAIL_BYTES = 8 * 1024**2
#: A line of 60 for each packet: those of more than an hour.
LISTING_BYTES = 16 * 1024**2
LOG_BYTES = 8 * 1024**2
READ_BYTES = 1024**2

#: How a process ends that met its own limits or a fault in the decoder; any other signal comes from outside.
_OWN_SIGNALS: Final = frozenset(
    {signal.SIGXCPU, signal.SIGXFSZ, signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGPIPE, signal.SIGTRAP}
)
#: What the shell says that could not run the binary, and ffmpeg when it was asked to stop.
_NOT_RUN: Final = frozenset({126, 127})
_TERMINATED: Final = 255

# At the start of a line, where nothing that is written in the file itself can stand: its metadata is indented more.
_DURATION: Final = re.compile(r"^  Duration: (\d{1,4}):(\d\d):(\d\d(?:\.\d+)?)", re.MULTILINE)
#: A packet as the muxer framecrc lists it: stream, dts, pts, duration, size, checksum, and the flags of a key frame
#: that is not one. Those with the flag 4 are cut away by an edit list.
_PACKET: Final = re.compile(
    r"^(\d{1,5}), *-?\d{1,19}, *(-?\d{1,19}), *(\d{1,19}), *\d{1,19}, 0x[0-9a-f]{8}(?:, F=0x([0-9A-F]{1,8}))?",
    re.MULTILINE,
)
_DISCARDED: Final = 4
_TIME_BASE: Final = re.compile(r"^#tb (\d{1,5}): (\d{1,10})/(\d{1,10})$", re.MULTILINE)
MAX_SECONDS: Final = 9999 * 3600

_finding = threading.Lock()


@dataclass(frozen=True)
class Inspection:
    """What a video is: seconds as measured, resolution as WIDTHxHEIGHT; and why it has no thumbnail, if it has none."""

    seconds: float
    resolution: str
    thumbnail_error: str | None


def inspect(video: Path, thumbnail: Path) -> Inspection:
    """What the video is; a JPEG THUMBNAIL_WIDTH wide lies at thumbnail unless thumbnail_error says why not.

    SceneFailure invalid_video where ffmpeg finds no film with a duration and a size in it. Where it finds one, but
    cannot make its picture within the limits, the video is kept: it is paid for. MachineFault where this machine, or
    what it lacks, is or may be the reason: nothing is known of the video then.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    listing = _list(video, deadline)
    stream = _film(listing)
    seconds = _seconds(listing)
    if stream is None or seconds is None:
        _prove_machine(video)
        raise SceneFailure("invalid_video", f"ffmpeg finds no video in the file: {_last_line(listing)}", final=True)
    picture, error = _picture(video, stream, deadline)
    if picture:
        with machine_faults("write a thumbnail"):
            _write(thumbnail, picture)
    return Inspection(seconds=seconds, resolution=stream.resolution, thumbnail_error=error)


def _list(video: Path, deadline: float) -> Run:
    """What ffmpeg says of the file, and its packets, which it reads to the end and does not decode."""
    packets = ("-map", "0:V?", "-map", "0:a?", "-c", "copy", "-copyinkf", "-f", "framecrc", "pipe:1")
    return _run([*_reading(video), *packets], deadline=deadline, output_bytes=LISTING_BYTES)


def _film(listing: Run) -> VideoStream | None:
    """The stream that is the film; sound with a picture has none."""
    streams = films(listing.log)
    if not streams:
        return None
    first = streams[0]
    pictures = sum(int(packet[1]) == first.position for packet in _PACKET.finditer(listing.text))
    return None if first.still and pictures <= 1 and has_sound(listing.log) else first


def _seconds(listing: Run) -> float | None:
    """The seconds until the last packet ends, whatever a header says; a header's, where no packet was listed."""
    bases = {
        stream: int(numerator) / int(denominator)
        for stream, numerator, denominator in _TIME_BASE.findall(listing.text)
        if int(denominator)
    }
    ends = [
        (int(packet[2]) + int(packet[3])) * bases[packet[1]]
        for packet in _PACKET.finditer(listing.text)
        if packet[1] in bases and not int(packet[4] or "0", 16) & _DISCARDED
    ]
    if ends and not listing.cut_off and max(ends) >= 0:
        # As exact as ffmpeg's own Duration.
        return min(round(max(ends), 2), float(MAX_SECONDS))
    duration = _DURATION.search(listing.log)
    return int(duration[1]) * 3600 + int(duration[2]) * 60 + float(duration[3]) if duration else None


def _picture(video: Path, stream: VideoStream, deadline: float) -> tuple[bytes, str | None]:
    """The bytes of the JPEG, or why there are none."""
    result: Run | None = None
    for filters in stream.filters():
        # Both frames come one after the other: a seek past the end would give nothing.
        frames = ("-map", f"0:{stream.index}", "-vf", filters, "-fps_mode", "passthrough", "-frames:v", "2")
        jpeg = ("-c:v", "mjpeg", "-q:v", "4", "-threads", "1", "-f", "image2pipe", "pipe:1")
        result = _run([*_reading(video), *frames, *jpeg], deadline=deadline, output_bytes=THUMBNAIL_BYTES)
        if result.ended_well and result.output:
            # Within a JPEG its first marker cannot stand.
            return result.output[max(0, result.output.rfind(b"\xff\xd8\xff")) :], None
    _prove_machine(video)
    return b"", f"ffmpeg made no thumbnail: {_last_line(result) if result else 'it was not asked'}"


def _reading(video: Path) -> Sequence[str]:
    limits = ("-hide_banner", "-nostdin", "-nostats", "-threads", "1", "-max_alloc", str(MEMORY_BYTES // 2))
    return (*limits, "-protocol_whitelist", "file", "-f", "mov", "-i", f"file:{video}")


def _write(thumbnail: Path, picture: bytes) -> None:
    try:
        thumbnail.write_bytes(picture)
    except OSError:
        thumbnail.unlink(missing_ok=True)
        raise


# ---------------------------------------------------------------- whose fault it is


def _run(arguments: Sequence[str], *, deadline: float, output_bytes: int) -> Run:
    """The run, which ended by itself or by its own limits; MachineFault where this machine ended it or had no room."""
    limits = Limits(
        deadline=deadline,
        cpu_seconds=CPU_SECONDS,
        memory_bytes=MEMORY_BYTES,
        output_bytes=output_bytes,
        log_bytes=LOG_BYTES,
    )
    try:
        binary = executable()
    except NotConfigured as error:
        raise MachineFault(str(error)) from None
    with machine_faults("run ffmpeg"):
        result = run([binary, *arguments], limits)
    if fault := _machine_fault(result):
        raise MachineFault(f"{fault}; the last it said: {_last_line(result)}")
    return result


def _machine_fault(result: Run) -> str | None:
    """Why this machine, not the file, ended the run; None where it did not."""
    if result.status in _NOT_RUN:
        # The copy that was run may be gone with the temporary folder.
        _executable.cache_clear()
        return "ffmpeg cannot be run here"
    if result.cut_off:
        return None
    if result.timed_out:
        was_busy = result.cpu_seconds >= CPU_SECONDS / 2
        return (
            None
            if was_busy
            else f"ffmpeg did not finish within {TIMEOUT_SECONDS} s, of which it had {result.cpu_seconds:.1f}"
        )
    if result.status == _TERMINATED:
        return "ffmpeg was asked to stop"
    if result.signal is None or result.signal in _OWN_SIGNALS:
        return None
    # At the end of its processor time the kernel kills it as well.
    is_out_of_time = result.signal == signal.SIGKILL and result.cpu_seconds >= CPU_SECONDS - 1
    return None if is_out_of_time else f"ffmpeg was killed by signal {result.signal}"


def _prove_machine(video: Path) -> None:
    """MachineFault unless this machine can, just now, read the file, find memory, and make a picture that is right.

    What ffmpeg says of an error may be of either; so nothing is said of a file before that.
    """
    if not video.exists():
        raise SceneFailure("download_failed", "the downloaded file is not there any more")
    with machine_faults("read the video"), video.open("rb") as file:
        while file.read(READ_BYTES):
            pass
    with machine_faults("find memory"):
        mmap.mmap(-1, MEMORY_BYTES).close()
    test_picture = ("-f", "lavfi", "-i", "color=red:s=64x36:d=0.04", "-frames:v", "1", "-c:v", "mjpeg")
    output = ("-f", "image2pipe", "pipe:1")
    deadline = time.monotonic() + TIMEOUT_SECONDS
    proof = _run(
        ["-hide_banner", "-nostdin", "-nostats", *test_picture, *output],
        deadline=deadline,
        output_bytes=THUMBNAIL_BYTES,
    )
    if not (proof.ended_well and proof.output.startswith(b"\xff\xd8")):
        raise MachineFault(f"ffmpeg does not work here: {_last_line(proof)}")


def _last_line(result: Run) -> str:
    line = (result.log.strip().splitlines() or ["it said nothing"])[-1][:300]
    return f"{line}{result.end}"


# ---------------------------------------------------------------- which binary


def executable() -> str:
    """The path of imageio-ffmpeg's ffmpeg; where it is packed or lost its exec bit, of a copy that can be run.

    The package's own look-up is not used: it runs the binary to see whether it can be run, and gives up if not.
    """
    # One at a time: a process started while another thread writes the copy would keep it open, and busy.
    with _finding, machine_faults("unpack ffmpeg"):
        return _executable()


@cache
def _executable() -> str:
    package = find_spec("imageio_ffmpeg")
    folders = [Path(folder) for folder in (package.submodule_search_locations if package else None) or []]
    bundled = next((path for folder in folders for path in _binaries(folder)), None)
    if bundled is None:
        raise NotConfigured("imageio-ffmpeg, which carries the ffmpeg binary, is not installed")
    is_packed = bundled.suffix == ".xz"
    if os.access(bundled, os.X_OK) and not is_packed:
        return str(bundled)
    descriptor, name = tempfile.mkstemp(prefix="ffmpeg-")
    try:
        with os.fdopen(descriptor, "wb") as copy, (lzma.open if is_packed else open)(bundled, "rb") as original:
            shutil.copyfileobj(original, copy)
        Path(name).chmod(stat.S_IRWXU)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    return name


def _binaries(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob("binaries/ffmpeg-*"))
