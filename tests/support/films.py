"""Videos for tests, made by the bundled ffmpeg, and a look at the pictures taken of them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from generation_history.media import ffmpeg

COLOURS = {"red": (254, 0, 0), "lime": (0, 255, 1), "blue": (0, 0, 254)}


def run(*arguments: object) -> bytes:
    """What ffmpeg writes to its standard output."""
    command = [ffmpeg.executable(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def film(
    path: Path, *scenes: tuple[str, float], size: str = "160x90", rate: int = 24, sound: bool = False, **options: object
) -> Path:
    """An mp4 that shows each colour for as many seconds."""
    shown = scenes or (("red", 2.0),)
    inputs = [
        f"color={colour}:s={size}:r={rate}:d={seconds},format=yuv444p" for colour, seconds in scenes or [("red", 2)]
    ]
    given: list[object] = [part for source in inputs for part in ("-f", "lavfi", "-i", source)]
    if sound:
        given += ["-f", "lavfi", "-i", f"sine=d={sum(seconds for _, seconds in shown)}"]
    joined = "".join(f"[{number}:v]" for number in range(len(inputs)))
    given += ["-filter_complex", f"{joined}concat=n={len(inputs)}[v]", "-map", "[v]"]
    if sound:
        given += ["-map", f"{len(inputs)}:a", "-c:a", "aac"]
    # Odd sizes need a colour for each pixel.
    given += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p"]
    given += [part for name, value in options.items() for part in (f"-{name}", value)]
    run(*given, path)
    return path


def coded(
    path: Path,
    colour: str,
    size: str,
    into: str,
    pixels: str,
    tags: tuple[str, str, str, str] | None,
    *,
    codec: str = "libx264",
) -> Path:
    """A film of one colour, put into these numbers (zscale's m, p, t, r) and tagged as such, or not at all."""
    # White is as light as paper: that is 203 nits where a transfer counts them.
    source = f"color={colour}:s={size}:d=0.2,format=gbrp,zscale=tin=iec61966-2-1:pin=bt709:min=gbr:rin=full"
    if "bt709" in into:
        graph = f"{source.replace('iec61966-2-1', 'bt709')}:{into},format={pixels}"
    else:
        graph = f"{source}:t=linear:p=bt709:m=gbr:npl=203,format=gbrpf32le,zscale={into}:npl=203,format={pixels}"
    matrix, primaries, transfer, span = tags or ("unknown",) * 4
    graph += f",setparams=colorspace={matrix}:color_primaries={primaries}:color_trc={transfer}:range={span}"
    said = ("-colorspace", matrix, "-color_primaries", primaries, "-color_trc", transfer, "-color_range", span)
    quiet = ("-x265-params", "log-level=none") if codec == "libx265" else ()
    run("-f", "lavfi", "-i", graph, "-c:v", codec, *quiet, *said, path)
    return path


def rgb(picture: Path) -> tuple[int, ...]:
    """The picture's mean red, green and blue."""
    return tuple(run("-i", picture, "-vf", "scale=1:1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")[:3])


def distance(picture: Path, other: tuple[int, int, int]) -> int:
    """By how much the picture differs from a colour, where it differs most."""
    return max(abs(a - b) for a, b in zip(rgb(picture), other, strict=True))


def colour(picture: Path) -> str:
    """The name of the colour that the picture shows."""
    seen = rgb(picture)
    return min(COLOURS, key=lambda name: sum(abs(a - b) for a, b in zip(COLOURS[name], seen, strict=True)))


def size(picture: Path) -> tuple[int, int]:
    """The width and height that a JPEG's own header names (ISO/IEC 10918-1, B.2.2)."""
    content = picture.read_bytes()
    assert content.startswith(b"\xff\xd8")
    at = 2
    while content[at + 1] != 0xC0:
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
    return int.from_bytes(content[at + 7 : at + 9]), int.from_bytes(content[at + 5 : at + 7])


def boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind and body of each box (ISO/IEC 14496-12, 4.2)."""
    while content:
        length = int.from_bytes(content[:4])
        yield content[4:8], content[8:length]
        content = content[length:]


def box(kind: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4) + kind + body
