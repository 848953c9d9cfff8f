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
_ASKED_TO_STOP: Final = 255

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
    until = time.monotonic() + TIMEOUT_SECONDS
    listed = _list(video, until)
    stream = _film(listed)
    seconds = _seconds(listed)
    if stream is None or seconds is None:
        _prove_machine(video)
        raise SceneFailure("invalid_video", f"ffmpeg finds no video in the file: {_last_line(listed)}", final=True)
    picture, error = _picture(video, stream, until)
    if picture:
        with machine_faults("write a thumbnail"):
            _write(thumbnail, picture)
    return Inspection(seconds=seconds, resolution=stream.resolution, thumbnail_error=error)


def _list(video: Path, until: float) -> Run:
    """What ffmpeg says of the file, and its packets, which it reads to the end and does not decode."""
    packets = ("-map", "0:V?", "-map", "0:a?", "-c", "copy", "-copyinkf", "-f", "framecrc", "pipe:1")
    return _run([*_reading(video), *packets], until=until, output_bytes=LISTING_BYTES)


def _film(listed: Run) -> VideoStream | None:
    """The stream that is the film; sound with a picture has none."""
    found = films(listed.log)
    if not found:
        return None
    first = found[0]
    pictures = sum(int(packet[1]) == first.position for packet in _PACKET.finditer(listed.text))
    return None if first.still and pictures <= 1 and has_sound(listed.log) else first


def _seconds(listed: Run) -> float | None:
    """The seconds until the last packet ends, whatever a header says; a header's, where no packet was listed."""
    bases = {
        stream: int(numerator) / int(over) for stream, numerator, over in _TIME_BASE.findall(listed.text) if int(over)
    }
    ends = [
        (int(packet[2]) + int(packet[3])) * bases[packet[1]]
        for packet in _PACKET.finditer(listed.text)
        if packet[1] in bases and not int(packet[4] or "0", 16) & _DISCARDED
    ]
    if ends and not listed.cut_off and max(ends) >= 0:
        # As exact as ffmpeg's own Duration.
        return min(round(max(ends), 2), float(MAX_SECONDS))
    told = _DURATION.search(listed.log)
    return int(told[1]) * 3600 + int(told[2]) * 60 + float(told[3]) if told else None


def _picture(video: Path, stream: VideoStream, until: float) -> tuple[bytes, str | None]:
    """The bytes of the JPEG, or why there are none."""
    tried: Run | None = None
    for filters in stream.filters():
        # Both frames come one after the other: a seek past the end would give nothing.
        frames = ("-map", f"0:{stream.index}", "-vf", filters, "-fps_mode", "passthrough", "-frames:v", "2")
        jpeg = ("-c:v", "mjpeg", "-q:v", "4", "-threads", "1", "-f", "image2pipe", "pipe:1")
        tried = _run([*_reading(video), *frames, *jpeg], until=until, output_bytes=THUMBNAIL_BYTES)
        if tried.ended_well and tried.output:
            # Within a JPEG its first marker cannot stand.
            return tried.output[max(0, tried.output.rfind(b"\xff\xd8\xff")) :], None
    _prove_machine(video)
    return b"", f"ffmpeg made no thumbnail: {_last_line(tried) if tried else 'it was not asked'}"


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


def _run(arguments: Sequence[str], *, until: float, output_bytes: int) -> Run:
    """The run, which ended by itself or by its own limits; MachineFault where this machine ended it or had no room."""
    limits = Limits(
        until=until,
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
        ended = run([binary, *arguments], limits)
    if fault := _machine_fault(ended):
        raise MachineFault(f"{fault}; the last it said: {_last_line(ended)}")
    return ended


def _machine_fault(ended: Run) -> str | None:
    """Why this machine, not the file, ended the run; None where it did not."""
    if ended.status in _NOT_RUN:
        # The copy that was run may be gone with the temporary folder.
        _executable.cache_clear()
        return "ffmpeg cannot be run here"
    if ended.cut_off:
        return None
    if ended.timed_out:
        spun = ended.cpu_seconds >= CPU_SECONDS / 2
        return (
            None
            if spun
            else f"ffmpeg did not finish within {TIMEOUT_SECONDS} s, of which it had {ended.cpu_seconds:.1f}"
        )
    if ended.status == _ASKED_TO_STOP:
        return "ffmpeg was asked to stop"
    if ended.signal is None or ended.signal in _OWN_SIGNALS:
        return None
    # At the end of its processor time the kernel kills it as well.
    spent = ended.signal == signal.SIGKILL and ended.cpu_seconds >= CPU_SECONDS - 1
    return None if spent else f"ffmpeg was killed by signal {ended.signal}"


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
    known = ("-f", "lavfi", "-i", "color=red:s=64x36:d=0.04", "-frames:v", "1", "-c:v", "mjpeg")
    output = ("-f", "image2pipe", "pipe:1")
    until = time.monotonic() + TIMEOUT_SECONDS
    proof = _run(["-hide_banner", "-nostdin", "-nostats", *known, *output], until=until, output_bytes=THUMBNAIL_BYTES)
    if not (proof.ended_well and proof.output.startswith(b"\xff\xd8")):
        raise MachineFault(f"ffmpeg does not work here: {_last_line(proof)}")


def _last_line(ended: Run) -> str:
    said = (ended.log.strip().splitlines() or ["it said nothing"])[-1][:300]
    return f"{said}{ended.end}"


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
    packed = bundled.suffix == ".xz"
    if os.access(bundled, os.X_OK) and not packed:
        return str(bundled)
    descriptor, name = tempfile.mkstemp(prefix="ffmpeg-")
    try:
        with os.fdopen(descriptor, "wb") as copy, (lzma.open if packed else open)(bundled, "rb") as original:
            shutil.copyfileobj(original, copy)
        Path(name).chmod(stat.S_IRWXU)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    return name


def _binaries(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob("binaries/ffmpeg-*"))
