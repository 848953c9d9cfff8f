"""Names of what is downloaded: readable, safe on every system, and as a header carries them (RFC 6266)."""

import re
import unicodedata
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

#: With what follows a source's name, less than the 255 bytes that file systems take, whatever its script.
MAX_CHARACTERS = 50
#: Where nothing readable is left of a source.
UNNAMED = "video"

_URL: Final = re.compile(r"(?:([\w-]+):)?([a-z][a-z0-9+.-]*://.*)", re.IGNORECASE | re.DOTALL)
_EXTENSION: Final = re.compile(r"\.(?:mp4|m4v|mov|mkv|webm|avi|gif|png|jpe?g|webp|html?|php|aspx)\Z", re.IGNORECASE)
#: YouTube's pages differ in nothing else.
_WATCHED: Final = re.compile(r"(?:.*&)?v=([\w-]{11})(?:&.*)?", re.ASCII)
#: Windows keeps these for devices, whatever follows their first dot.
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z)", re.IGNORECASE)


def source_name(source_video_url: str) -> str:
    """What a source may be called: a URL's host and last part, a path's last part, anything else as it is.

    Letters and digits of any script, and ``-._`` between them; never empty. A query, which may hold a secret, is left
    out, but for the id of a YouTube video.
    """
    name = _cleaned("-".join(_words(source_video_url)))[:MAX_CHARACTERS].strip("-._") or UNNAMED
    return f"{UNNAMED}-{name}" if _DEVICE.match(name) else name


def video_name(source_video_url: str, variant_type: str, scene_number: int) -> str:
    """The name of one scene's video."""
    return f"{source_name(source_video_url)}_{variant_type}_scene-{scene_number}.mp4"


def archive_name(source_video_url: str) -> str:
    """The name of a whole generation's archive."""
    return f"{source_name(source_video_url)}.zip"


def attachment(name: str) -> str:
    """The Content-Disposition that has a browser keep what it gets under this name, which must be one of the above."""
    stem, _, extension = name.rpartition(".")
    ascii_stem = _cleaned(unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()) or UNNAMED
    return f"attachment; filename=\"{ascii_stem}.{extension}\"; filename*=UTF-8''{quote(name, safe='')}"


def _words(source: str) -> list[str]:
    match = _URL.fullmatch(source)
    parts = _split(match[2]) if match else None
    if match is None or parts is None:
        return [_last(source)]
    host = (parts.hostname or "").removeprefix("www.")
    watch = _WATCHED.fullmatch(parts.query) if parts.path == "/watch" else None
    return [word for word in (match[1], host, watch[1] if watch else _last(unquote(parts.path))) if word]


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _last(path: str) -> str:
    name: str = re.split(r"[/\\]", path.rstrip("/\\"))[-1]
    return _EXTENSION.sub("", name)


def _cleaned(text: str) -> str:
    """The text with a hyphen for whatever is no letter, digit or mark: spaces, quotes, separators, controls."""
    composed = unicodedata.normalize("NFC", text)
    cleaned = "".join(char if char in "-._" or unicodedata.category(char)[0] in "LNM" else "-" for char in composed)
    return re.sub(r"[-.]{2,}", "-", cleaned).strip("-._")
