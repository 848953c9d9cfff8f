"""Which of a file's streams is its film, as ffmpeg lists them, and how a picture of it looks as a player shows it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

THUMBNAIL_WIDTH: Final = 640
#: The picture is the first frame at or after this second, else the first frame of all.
THUMBNAIL_SECOND: Final = 1
#: From this height or width on, a film that does not name its colours is shown as BT.709, a smaller one as BT.601.
HD_HEIGHT: Final = 720
HD_WIDTH: Final = 1280
#: What is white on paper has this much light, in nits (ITU-R BT.2408).
HDR_WHITE: Final = 203

# At the start of a line, where nothing that is written in the file itself can stand: its metadata is indented more.
_STREAM: Final = re.compile(r"^  Stream #0:(\d{1,5})(?:\[[^\]\n]*\])?(?:\([^)\n]*\))?: Video: (.*)$", re.MULTILINE)
_SOUND: Final = re.compile(r"^  Stream #0:\d{1,5}.{0,40}?: Audio: ", re.MULTILINE)
_SIZE: Final = re.compile(r"(?:, (\w+)(?:\(([^)]*)\))?)?, (\d{1,5})x(\d{1,5})(?=[, ]|$)")
# The container's pixel shape, which stands last, goes before the stream's own.
_SAR: Final = re.compile(r"[, \[]SAR (\d{1,9}):(\d{1,9}) ")
_TURNED: Final = re.compile(r"^ {6}  displaymatrix: rotation of (-?\d{1,3})(?:\.\d+)? degrees", re.MULTILINE)

#: Matrix, primaries and transfer, or one name for the three; other words in this place tell range and interlacing.
_COLOURS: Final = re.compile(r"(?!tv$|pc$|progressive$)[a-z0-9-]+(?:/[a-z0-9-]+){0,2}")

_STILL_CODECS: Final = frozenset({"mjpeg", "png", "bmp", "gif", "tiff", "jpeg2000", "webp", "jpegls", "ppm"})
_HDR: Final = frozenset({"smpte2084", "arib-std-b67"})
_WIDE: Final = frozenset({"bt2020", "smpte431", "smpte432"})
#: What zscale calls the matrices that ffmpeg lists.
_MATRICES: Final = {
    "bt709": "709",
    "bt2020nc": "2020_ncl",
    "bt2020c": "2020_cl",
    "smpte170m": "170m",
    "bt470bg": "470bg",
    "gbr": "gbr",
    "ictcp": "ictcp",
}
_UNNAMED: Final = frozenset({"", "unknown", "reserved"})


@dataclass(frozen=True)
class VideoStream:
    """A stream of moving pictures; position is its place among those that may be the film, index that in the file."""

    index: int
    position: int
    codec: str
    default: bool
    #: As it is coded, before it is turned and its pixels have their shape.
    width: int
    height: int
    pixel: float
    turned: bool
    matrix: str
    primaries: str
    transfer: str
    full_range: bool

    @property
    def still(self) -> bool:
        """Whether its frames are single pictures, as covers and previews are."""
        return self.codec in _STILL_CODECS

    @property
    def resolution(self) -> str:
        """WIDTHxHEIGHT as a player shows it: never fewer pixels than there are (HTML, 4.8.8: natural dimensions)."""
        width, height = self.width, self.height
        if self.pixel > 1:
            width = round(width * self.pixel)
        elif self.pixel < 1:
            height = round(height / self.pixel)
        return f"{height}x{width}" if self.turned else f"{width}x{height}"

    def filters(self) -> Sequence[str]:
        """The filters that make the picture, the best first: colours that one of them cannot read, the next one can."""
        selection = f"select='eq(n,0)+gte(t,{THUMBNAIL_SECOND})*lt(prev_selected_t,{THUMBNAIL_SECOND})'"
        shape = f"scale={THUMBNAIL_WIDTH}:'max(2,2*round({THUMBNAIL_WIDTH // 2}/dar))'"
        # A JPEG is in BT.601, over the full range, and cannot say otherwise. Between two kinds of YUV swscale keeps the
        # numbers as they are: the way leads through RGB.
        plain_graph = f"{selection},{shape}:in_color_matrix={self._known_matrix()},format=gbrp"
        plain_graph += ",scale=out_color_matrix=bt601:out_range=full,format=yuvj420p,setsar=1"
        if self.transfer in _HDR or self.primaries in _WIDE:
            return [f"{selection},{shape},{self._mapped()},format=yuvj420p,setsar=1", plain_graph]
        return [plain_graph]

    def _known_matrix(self) -> str:
        if self.matrix not in _UNNAMED:
            return "auto"
        return "bt709" if self.height >= HD_HEIGHT or self.width >= HD_WIDTH else "bt601"

    def _mapped(self) -> str:
        """Into the colours and the light of a screen that knows no others."""
        primaries = self.primaries if self.primaries in _WIDE else "bt2020"
        source = f"pin={primaries}:min={_MATRICES.get(self.matrix, '2020_ncl')}"
        source += f":rin={'full' if self.full_range else 'limited'}"
        if self.transfer not in _HDR:
            return f"zscale={source}:tin=bt709:t=bt709:p=bt709:m=170m:r=full"
        linear = f"zscale={source}:tin={self.transfer}:t=linear:p={primaries}:m=gbr:npl={HDR_WHITE},format=gbrpf32le"
        return f"{linear},zscale=p=bt709,tonemap=mobius:param=0.7:desat=0,zscale=t=iec61966-2-1:m=170m:r=full"


def has_sound(log: str) -> bool:
    """Whether ffmpeg lists a stream of sound."""
    return _SOUND.search(log) is not None


def films(log: str) -> Sequence[VideoStream]:
    """The streams that may be the film, the one that a player shows first: the default one, of those the largest."""
    # What ffmpeg writes is listed again, further down.
    inputs = log.partition("\nOutput #")[0]
    # A cover, or a chapter's picture.
    lines = [line for line in _STREAM.finditer(inputs) if "(attached pic)" not in line[2]]
    ends = [start.start() for start in re.finditer(r"^  Stream #", inputs, re.MULTILINE)] + [len(inputs)]
    streams = [
        _stream(line, position, inputs[line.end() : next(end for end in ends if end > line.start())])
        for position, line in enumerate(lines)
    ]
    candidates = [stream for stream in streams if stream is not None]
    return sorted(candidates, key=lambda film: (film.still, not film.default, -film.width * film.height, film.index))


def _stream(line: re.Match[str], position: int, details: str) -> VideoStream | None:
    description = line[2]
    size = _SIZE.search(description)
    if size is None or size[3] == "0" or size[4] == "0":
        return None
    pixel_format, colours = size[1] or "", (size[2] or "").split(", ")
    colour_names = next((part.split("/") for part in colours if _COLOURS.fullmatch(part)), [""])
    matrix, primaries, transfer = colour_names if len(colour_names) == 3 else colour_names[:1] * 3  # noqa: PLR2004 - the three of them
    sar = [(int(width), int(height)) for width, height in _SAR.findall(description)]
    across, down = sar[-1] if sar else (1, 1)
    rotation = _TURNED.search(details)
    return VideoStream(
        index=int(line[1]),
        position=position,
        codec=description.partition(" ")[0].strip(","),
        default="(default)" in description,
        width=int(size[3]),
        height=int(size[4]),
        pixel=across / down if across and down else 1.0,
        turned=rotation is not None and int(rotation[1]) % 180 in range(45, 135),
        matrix=matrix,
        primaries=primaries,
        transfer=transfer,
        full_range="pc" in colours or pixel_format.startswith("yuvj"),
    )
