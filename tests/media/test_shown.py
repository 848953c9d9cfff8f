"""What is recorded of a film, and its thumbnail, are what a player shows of it."""

import struct
from pathlib import Path

import pytest

from generation_history.errors import SceneFailure
from generation_history.media import ffmpeg
from tests.support import films
from tests.support.films import box, boxes


@pytest.fixture
def picture(tmp_path) -> Path:
    return tmp_path / "picture.jpg"


@pytest.fixture
def cover(tmp_path) -> Path:
    films.run("-f", "lavfi", "-i", "color=blue:s=300x300:d=0.04", "-frames:v", 1, tmp_path / "cover.jpg")
    return tmp_path / "cover.jpg"


def shown(video: Path, picture: Path) -> tuple[str, str]:
    """The resolution that is recorded, and the colour of the thumbnail, which has the same shape."""
    inspection = ffmpeg.inspect(video, picture)
    assert inspection.thumbnail_error is None
    width, height = films.size(picture)
    across, down = map(int, inspection.resolution.split("x"))
    assert abs(width / height - across / down) < 0.02 * across / down
    return inspection.resolution, films.colour(picture)


# ---------------------------------------------------------------- shape


@pytest.mark.parametrize(
    ("degrees", "resolution"), [(90, "90x160"), (-90, "90x160"), (270, "90x160"), (180, "160x90"), (0, "160x90")]
)
@pytest.mark.parametrize("mirror", [(), ("-display_hflip",), ("-display_vflip",)])
def test_a_turned_film_is_as_wide_and_high_as_it_is_shown(tmp_path, picture, degrees, resolution, mirror):
    film, turned = films.film(tmp_path / "film.mp4", ("red", 1)), tmp_path / "turned.mp4"
    films.run("-display_rotation", degrees, *mirror, "-i", film, "-c", "copy", turned)

    assert shown(turned, picture) == (resolution, "red")


@pytest.mark.parametrize(
    ("pixel", "degrees", "resolution"),
    [("4/3", 0, "213x90"), ("3/4", 0, "160x120"), ("4/3", 90, "90x213"), ("3/4", 270, "120x160"), ("1/1", 0, "160x90")],
)
def test_pixels_that_are_not_square_make_a_film_larger_never_smaller(tmp_path, picture, pixel, degrees, resolution):
    """As HTML has it: one dimension grows, and it is turned after that."""
    film, turned = tmp_path / "film.mp4", tmp_path / "turned.mp4"
    source = f"color=red:s=160x90:d=1,setsar={pixel},format=yuv420p"
    films.run("-f", "lavfi", "-i", source, "-c:v", "libx264", film)
    films.run("-display_rotation", degrees, "-i", film, "-c", "copy", turned)

    assert shown(turned, picture) == (resolution, "red")


def test_a_shape_that_only_the_container_names_is_shown(tmp_path, picture):
    film = films.film(tmp_path / "film.mp4", ("red", 1))
    films.run("-i", film, "-c", "copy", "-aspect", "4:3", tmp_path / "shaped.mp4")

    assert shown(tmp_path / "shaped.mp4", picture) == ("160x120", "red")


def test_a_turned_film_that_does_not_decode_is_recorded_as_it_would_be_shown(tmp_path, picture):
    film, noisy = films.film(tmp_path / "film.mp4", ("red", 1)), tmp_path / "noisy.mp4"
    films.run("-display_rotation", 90, "-i", film, "-c", "copy", "-bsf:v", "noise=amount=1", noisy)

    inspection = ffmpeg.inspect(noisy, picture)

    assert inspection.resolution == "90x160"
    assert inspection.thumbnail_error


# ---------------------------------------------------------------- which track


def with_cover(content: bytes, picture: bytes) -> bytes:
    """A cover as tag editors write it; it stands before the tracks, so that ffmpeg meets it first."""
    data = box(b"data", struct.pack(">II", 13, 0) + picture)
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    udta = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", box(b"covr", data))))
    out = b""
    for kind, body in boxes(content):
        at = int.from_bytes(body[:4])
        out += box(kind, body[:at] + udta + body[at:] if kind == b"moov" else body)
    return out


def test_the_film_is_shown_and_not_its_cover(tmp_path, picture, cover):
    film = films.film(tmp_path / "film.mp4", ("red", 1))
    film.write_bytes(with_cover(film.read_bytes(), cover.read_bytes()))

    assert shown(film, picture) == ("160x90", "red")


@pytest.mark.parametrize("disposition", ["attached_pic", "default", "0"])
def test_sound_with_a_picture_is_no_video(tmp_path, picture, cover, disposition):
    sound = tmp_path / "sound.mp4"
    both = ("-map", "0:a", "-map", "1:v", "-c:a", "aac", "-c:v", "copy", "-disposition:v:0", disposition)
    films.run("-f", "lavfi", "-i", "sine=d=3", "-i", cover, *both, sound)

    with pytest.raises(SceneFailure, match="no video") as raised:
        ffmpeg.inspect(sound, picture)

    assert raised.value.final
    assert not picture.exists()


def tracks(path: Path, *sources: tuple[str, str, str]) -> Path:
    """A file with a track of each colour, size and disposition."""
    inputs = [part for colour, size, _ in sources for part in ("-f", "lavfi", "-i", f"color={colour}:s={size}:d=1")]
    maps = [part for number in range(len(sources)) for part in ("-map", f"{number}:v")]
    ways = [part for number, (*_, way) in enumerate(sources) for part in (f"-disposition:v:{number}", way)]
    films.run(*inputs, *maps, "-c:v", "libx264", "-pix_fmt", "yuv420p", *ways, path)
    return path


SMALL, LARGE = ("blue", "64x36"), ("red", "320x180")


@pytest.mark.parametrize(
    ("sources", "shows"),
    [
        ([(*SMALL, "0"), (*LARGE, "default")], ("320x180", "red")),
        ([(*LARGE, "default"), (*SMALL, "0")], ("320x180", "red")),
        ([(*LARGE, "0"), (*SMALL, "default")], ("64x36", "blue")),
        ([(*SMALL, "default"), (*LARGE, "0")], ("64x36", "blue")),
        ([(*SMALL, "default"), (*LARGE, "default")], ("320x180", "red")),
        ([(*LARGE, "default"), (*SMALL, "default")], ("320x180", "red")),
    ],
)
def test_the_default_track_is_the_film_and_of_several_the_largest(tmp_path, picture, sources, shows):
    assert shown(tracks(tmp_path / "film.mp4", *sources), picture) == shows


def test_a_preview_of_single_pictures_is_not_the_film(tmp_path, picture):
    preview = ("-f", "lavfi", "-i", "color=blue:s=640x360:d=1")
    film = ("-f", "lavfi", "-i", "color=red:s=160x90:d=1")
    codecs = ("-map", "0:v", "-map", "1:v", "-c:v:0", "mjpeg", "-c:v:1", "libx264", "-pix_fmt:v:1", "yuv420p")
    films.run(
        *preview, *film, *codecs, *("-disposition:v:0", "default", "-disposition:v:1", "default"), tmp_path / "film.mov"
    )

    assert shown(tmp_path / "film.mov", picture) == ("160x90", "red")


# ---------------------------------------------------------------- colours


CODED = {
    "BT.709": ("709", "bt709", "limited", "yuv420p", True),
    "BT.601": ("170m", "smpte170m", "limited", "yuv420p", True),
    "full range": ("709", "bt709", "full", "yuv420p", True),
    "10 bit": ("709", "bt709", "limited", "yuv420p10le", True),
    "4:2:2": ("709", "bt709", "limited", "yuv422p", True),
    "4:4:4, 10 bit": ("709", "bt709", "limited", "yuv444p10le", True),
    "BT.2020": ("2020_ncl", "bt2020nc", "limited", "yuv420p10le", True),
    "small, and does not say": ("170m", "unknown", "limited", "yuv420p", False),
    "large, and does not say": ("709", "unknown", "limited", "yuv420p", False),
}


@pytest.mark.parametrize("name", CODED)
@pytest.mark.parametrize(("colour", "rgb"), [("red", (254, 0, 0)), ("lime", (0, 254, 0)), ("orange", (255, 165, 0))])
def test_a_colour_is_shown_as_it_was_coded(tmp_path, picture, name, colour, rgb):
    matrix, tag, span, pixels, named = CODED[name]
    size = "1280x720" if name.startswith("large") else "64x36"
    video = films.coded(
        tmp_path / "film.mp4",
        colour,
        size,
        f"m={matrix}:p=bt709:t=bt709:r={span}",
        pixels,
        (tag, "bt709", "bt709", "pc" if span == "full" else "tv") if named else None,
    )

    ffmpeg.inspect(video, picture)

    assert films.distance(picture, rgb) < 20


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize(
    ("colour", "rgb"),
    [("red", (240, 0, 0)), ("blue", (0, 0, 240)), ("gray", (128, 128, 128)), ("white", (240, 240, 240))],
)
def test_light_beyond_a_screens_is_brought_into_it_and_not_washed_out(tmp_path, picture, transfer, colour, rgb):
    video = films.coded(
        tmp_path / "film.mp4",
        colour,
        "64x36",
        f"m=2020_ncl:p=bt2020:t={transfer}:r=limited",
        "yuv420p10le",
        ("bt2020nc", "bt2020", transfer, "tv"),
        codec="libx265",
    )

    inspection = ffmpeg.inspect(video, picture)

    assert inspection.thumbnail_error is None
    assert films.distance(picture, rgb) < 45


def test_a_film_that_names_a_transfer_alone_has_a_picture_all_the_same(tmp_path, picture):
    video = films.coded(
        tmp_path / "film.mp4",
        "red",
        "64x36",
        "m=2020_ncl:p=bt2020:t=smpte2084:r=limited",
        "yuv420p10le",
        ("unknown", "unknown", "smpte2084", "tv"),
        codec="libx265",
    )

    assert ffmpeg.inspect(video, picture).thumbnail_error is None
    assert films.colour(picture) == "red"


# ---------------------------------------------------------------- length


def with_lengths(content: bytes, length: int) -> bytes:
    """The same film, whose headers (mvhd, tkhd, mdhd) all say another length."""
    for kind, at in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
        where = content.find(kind)
        while where >= 0:
            content = content[: where + at] + length.to_bytes(4) + content[where + at + 4 :]
            where = content.find(kind, where + 4)
    return content


@pytest.mark.parametrize("length", [0, 1, 2**31 - 1, 2**32 - 1])
def test_a_length_that_only_a_header_tells_is_not_believed(tmp_path, picture, length):
    film = films.film(tmp_path / "film.mp4", ("red", 2), sound=True)
    film.write_bytes(with_lengths(film.read_bytes(), length))

    assert 2 <= ffmpeg.inspect(film, picture).seconds <= 2.1


def test_a_film_that_begins_late_is_as_long_as_it_plays(tmp_path, picture):
    film = films.film(tmp_path / "film.mp4", ("red", 1), ("blue", 1))
    films.run("-itsoffset", 5, "-i", film, "-c", "copy", tmp_path / "late.mp4")

    assert ffmpeg.inspect(tmp_path / "late.mp4", picture).seconds == 2
    assert films.colour(picture) == "blue"


def test_what_an_edit_list_cuts_away_is_neither_counted_nor_shown(tmp_path, picture):
    film = films.film(tmp_path / "film.mp4", ("red", 1), ("blue", 1.5), g=100)
    films.run("-ss", 1.75, "-i", film, "-c", "copy", tmp_path / "cut.mp4")

    assert abs(ffmpeg.inspect(tmp_path / "cut.mp4", picture).seconds - 0.75) < 0.05
    assert films.colour(picture) == "blue"


def test_a_first_frame_after_the_first_second_is_the_picture(tmp_path, picture):
    """Sound is there before it."""
    film = films.film(tmp_path / "film.mp4", ("lime", 1 / 24), ("red", 1))
    late = (
        "-itsoffset",
        1.5,
        "-i",
        film,
        "-f",
        "lavfi",
        "-i",
        "sine=d=3",
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c:v",
        "copy",
    )
    films.run(*late, tmp_path / "late.mp4")

    ffmpeg.inspect(tmp_path / "late.mp4", picture)

    assert films.colour(picture) == "lime"


# ---------------------------------------------------------------- files that a player plays


def padded(content: bytes) -> bytes:
    return box(b"wide", b"") + box(b"free", bytes(100)) + content


def brandless(content: bytes) -> bytes:
    """As QuickTime writes it; the ftyp box becomes padding of the same size, so that the offsets stay."""
    return content.replace(b"ftyp", b"skip", 1)


PLAYED = {
    "zeros after its end": lambda content: content + bytes(1000),
    "a page after its end": lambda content: content + b"<html>generated by</html>" * 10,
    "a signature after its end": lambda content: content + bytes(range(128, 200)),
    "a chunk's end after its end": lambda content: content + b"\r\n0\r\n\r\n",
    "an unknown box that is cut off": lambda content: content + (5000).to_bytes(4) + b"c2pa" + bytes(10),
    "no ftyp box": brandless,
}


@pytest.mark.parametrize("spoil", PLAYED.values(), ids=PLAYED.keys())
@pytest.mark.parametrize("flags", ["faststart", "frag_keyframe+empty_moov", ""])
def test_a_film_is_judged_by_what_plays_of_it(tmp_path, picture, spoil, flags):
    options = {"movflags": flags} if flags else {}
    film = films.film(tmp_path / "film.mp4", ("red", 2), **options)
    film.write_bytes(spoil(film.read_bytes()))

    inspection = ffmpeg.inspect(film, picture)

    assert (inspection.seconds, inspection.resolution) == (2, "160x90")
    assert films.colour(picture) == "red"


def test_a_film_spoilt_in_its_middle_is_kept_with_its_picture(tmp_path, picture):
    film = films.film(tmp_path / "film.mp4", ("red", 1), ("blue", 2), g=12, movflags="faststart")
    content = film.read_bytes()
    middle = len(content) * 5 // 6
    film.write_bytes(content[:middle] + bytes(50) + content[middle + 50 :])

    inspection = ffmpeg.inspect(film, picture)

    assert (inspection.seconds, inspection.thumbnail_error) == (3, None)
