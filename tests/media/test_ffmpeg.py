"""What a real video is and the picture of its first second; a file that is none reads nothing but itself."""

import os
from pathlib import Path

import pytest

from generation_history.errors import SceneFailure
from generation_history.media import ffmpeg
from tests.support import films
from tests.support.films import box, boxes
from tests.support.scripted_server import answer


@pytest.fixture
def picture(tmp_path) -> Path:
    return tmp_path / "picture.jpg"


@pytest.mark.parametrize("sound", [False, True])
@pytest.mark.parametrize(
    ("seconds", "size"), [(0.3, "160x90"), (2, "90x160"), (1.5, "127x73"), (12, "64x64"), (2, "1280x720")]
)
def test_a_videos_length_and_size_are_as_it_was_made(tmp_path, picture, seconds, size, sound):
    video = films.film(tmp_path / "video.mp4", ("red", seconds), size=size, sound=sound)

    inspection = ffmpeg.inspect(video, picture)

    # A frame begun is shown whole, and sound comes in packets of 21 ms.
    assert seconds <= inspection.seconds <= seconds + 0.1
    assert inspection.resolution == size
    assert inspection.thumbnail_error is None


def test_a_video_of_one_frame_has_a_length_and_a_picture(tmp_path, picture):
    video = films.film(tmp_path / "video.mp4", ("blue", 0.04))

    assert ffmpeg.inspect(video, picture).seconds == 0.04
    assert films.colour(picture) == "blue"


@pytest.mark.parametrize("size", ["1280x720", "720x1280", "127x73", "16x16"])
def test_the_picture_is_a_jpeg_640_wide_of_the_same_shape(tmp_path, picture, size):
    ffmpeg.inspect(films.film(tmp_path / "video.mp4", size=size), picture)

    width, height = films.size(picture)
    asked_width, asked_height = map(int, size.split("x"))
    assert width == 640
    assert abs(height - 640 * asked_height / asked_width) <= 1


@pytest.mark.parametrize("rate", [8, 24, 60])
def test_the_picture_is_the_frame_at_one_second(tmp_path, picture, rate):
    """The frame before it is red, the frame after it is blue."""
    video = films.film(tmp_path / "video.mp4", ("red", 1), ("lime", 1 / rate), ("blue", 1), rate=rate)

    ffmpeg.inspect(video, picture)

    assert films.colour(picture) == "lime"


def test_the_picture_of_a_shorter_video_is_its_first_frame(tmp_path, picture):
    video = films.film(tmp_path / "video.mp4", ("lime", 1 / 24), ("red", 0.9))

    ffmpeg.inspect(video, picture)

    assert films.colour(picture) == "lime"


def test_a_video_in_fragments_is_one(tmp_path, picture):
    """Some servers write them so; their length stands nowhere at the front."""
    movflags = "frag_keyframe+empty_moov+default_base_moof+skip_trailer"
    video = films.film(tmp_path / "video.mp4", ("red", 1), ("blue", 2), g=12, movflags=movflags)

    inspection = ffmpeg.inspect(video, picture)

    assert round(inspection.seconds) == 3
    assert films.colour(picture) == "blue"


def test_what_a_file_says_about_itself_is_not_taken_for_what_it_is(tmp_path, picture):
    """A provider may write the prompt into the file, and people write anything into prompts."""
    lies = "x\n  Duration: 99:59:59.00\n  Stream #0:0: Video: h264, 9999x9999, \n  Duration: 99:59:59.00"
    video = films.film(tmp_path / "video.mp4", ("red", 2), metadata=f"comment={lies}")
    films.run("-i", video, "-c", "copy", "-metadata", f"title={lies}", tmp_path / "titled.mp4")

    for path in (video, tmp_path / "titled.mp4"):
        inspection = ffmpeg.inspect(path, picture)
        assert (inspection.seconds, inspection.resolution) == (2.0, "160x90")


def spoil(video: Path, content: bytes) -> Path:
    video.write_bytes(content)
    return video


def truncated(path: Path) -> bytes:
    return films.film(path.with_name("whole.mp4")).read_bytes()[:-200]


def sound_only(path: Path) -> bytes:
    films.run("-f", "lavfi", "-i", "sine=d=1", path.with_name("sound.m4a"))
    return path.with_name("sound.m4a").read_bytes()


NO_VIDEOS = {
    "empty": lambda _: b"",
    "an ftyp box alone": lambda _: b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom",
    "garbage after ftyp": lambda _: b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(range(256)) * 40,
    "truncated": truncated,
    "sound": sound_only,
    "a page": lambda _: b"<html>Please log in</html>",
}


@pytest.mark.parametrize("content", NO_VIDEOS.values(), ids=NO_VIDEOS.keys())
def test_a_file_without_a_video_is_refused_for_good_and_has_no_picture(tmp_path, picture, content):
    video = spoil(tmp_path / "video.mp4", content(tmp_path / "video.mp4"))

    with pytest.raises(SceneFailure) as raised:
        ffmpeg.inspect(video, picture)

    assert (raised.value.failure_code, raised.value.final) == ("invalid_video", True)
    assert not picture.exists()


def test_a_file_that_is_not_there_is_no_video(tmp_path, picture):
    with pytest.raises(SceneFailure):
        ffmpeg.inspect(tmp_path / "none.mp4", picture)


# ---------------------------------------------------------------- files that point elsewhere


LISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{}'\nduration 2\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nu={}\nm=video 0 RTP/AVP 96\n",
    "mpd": '<?xml version="1.0"?><MPD><Period><AdaptationSet><Representation><BaseURL>{}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_of_videos_is_not_followed(tmp_path, picture, scripted, kind):
    """Neither to another file, which is a good video here, nor to the network."""
    secret = films.film(tmp_path / "secret.mp4")
    scripted.script(answer(200, secret.read_bytes(), kind="video/mp4"))
    for pointed_at in (str(secret), secret.name, scripted.base_url):
        video = spoil(tmp_path / "video.mp4", LISTS[kind].format(pointed_at).encode())
        with pytest.raises(SceneFailure):
            ffmpeg.inspect(video, picture)
    assert scripted.requests == []


def test_an_mp4_whose_pictures_are_in_another_file_is_not_followed_there(tmp_path, picture):
    secret = films.film(tmp_path / "secret.mp4", ("blue", 2))
    video = spoil(tmp_path / "video.mp4", with_its_data_in(secret))
    believed = ["-enable_drefs", 1, "-use_absolute_path", 1, "-i", video, "-frames:v", 1, tmp_path / "leak.jpg"]
    films.run(*believed)
    assert films.colour(tmp_path / "leak.jpg") == "blue", "the file points nowhere, so this test proves nothing"

    inspection = ffmpeg.inspect(video, picture)

    assert inspection.thumbnail_error is not None
    assert not picture.exists()


def with_its_data_in(secret: Path) -> bytes:
    """An mp4 of a header only: a Macintosh alias in its data reference names the file that has the pictures."""
    path = os.fsencode(str(secret).replace("/", ":"))
    path += b"\0" * (len(path) % 2)
    alias = bytes(10) + b"\0" + bytes(27) + bytes(12) + b"\0" + bytes(63) + bytes(16) + bytes(4) + bytes(16)
    alias += b"\0\2" + len(path).to_bytes(2) + path + b"\xff\xff\0\0"
    reference = box(b"alis", bytes(4) + alias)
    content = secret.read_bytes()
    moov = next(body for kind, body in boxes(content) if kind == b"moov")
    ftyp = next(body for kind, body in boxes(content) if kind == b"ftyp")
    return box(b"ftyp", ftyp) + box(b"moov", with_reference(moov, reference))


def with_reference(body: bytes, reference: bytes) -> bytes:
    parts = b""
    for kind, inner in boxes(body):
        if kind == b"dref":
            parts += box(kind, inner[:8] + reference)
        elif kind in {b"trak", b"mdia", b"minf", b"dinf"}:
            parts += box(kind, with_reference(inner, reference))
        else:
            parts += box(kind, inner)
    return parts
