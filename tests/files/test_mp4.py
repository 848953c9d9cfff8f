"""What boxes tell: whether a file may be an mp4, and whether it broke off; however many there are, soon."""

import time

import pytest

from generation_history.errors import SceneFailure
from generation_history.files import mp4
from tests.support.films import box

FTYP, MOOV, MDAT = box(b"ftyp", b"isom"), box(b"moov", bytes(50)), box(b"mdat", bytes(80))
CUT = (1000).to_bytes(4)


@pytest.fixture
def file(tmp_path):
    def file(content: bytes):
        path = tmp_path / "file.mp4"
        path.write_bytes(content)
        return path

    return file


WHOLE = {
    "moov first": FTYP + MOOV + MDAT,
    "moov last": FTYP + MDAT + MOOV,
    "padding first": box(b"wide", b"") + MDAT + MOOV,
    "in fragments": FTYP + MOOV + (box(b"moof", b"x") + MDAT) * 3,
    "a box to the end": FTYP + MOOV + bytes(4) + b"mdat" + bytes(9),
    "text after its end": FTYP + MOOV + MDAT + b"Sincerely, your provider",
    "crumbs after its end": FTYP + MOOV + MDAT + b"\r\n",
    "padding that is cut off": FTYP + MOOV + MDAT + CUT + b"free",
    "another's box that is cut off": FTYP + MOOV + MDAT + CUT + b"uuid" + bytes(99),
}


@pytest.mark.parametrize("content", WHOLE.values(), ids=WHOLE.keys())
@pytest.mark.parametrize("announced", [True, False])
def test_a_film_all_of_whose_boxes_are_there_is_whole(file, content, announced):
    mp4.check_is_mp4(file(content))
    assert mp4.is_whole(file(content), length_is_known=announced)


BROKEN_OFF = {
    "pictures": FTYP + MOOV + CUT + b"mdat" + bytes(99),
    "pictures before moov": FTYP + CUT + b"mdat" + bytes(99),
    "moov": FTYP + MDAT + CUT + b"moov" + bytes(99),
    "a fragment": FTYP + MOOV + MDAT + CUT + b"moof",
    "padding before the film": FTYP + CUT + b"free" + bytes(99),
    "ftyp": FTYP[:-1],
}


@pytest.mark.parametrize("content", BROKEN_OFF.values(), ids=BROKEN_OFF.keys())
def test_a_film_that_is_cut_off_within_a_box_is_not_whole(file, content):
    assert not mp4.is_whole(file(content), length_is_known=True)


def test_pictures_without_a_moov_box_broke_off_where_no_length_was_announced(file):
    assert not mp4.is_whole(file(FTYP + MDAT), length_is_known=False)


NO_MP4 = [
    b"",
    b"\0" * 100,
    FTYP[:7],
    b"<html>not yet</html>",
    b'{"error": "not ready"}',
    b"Get free stuff",
    bytes(range(256)),
    b"\xff\xd8\xff\xe0" + bytes(99),
    b"\x1aE\xdf\xa3" + bytes(99),
    b"RIFF\0\0\0\0WEBP",
]


@pytest.mark.parametrize("content", NO_MP4)
def test_what_has_no_box_of_an_mp4_is_none(file, content):
    assert not mp4.may_begin(content)
    with pytest.raises(SceneFailure) as raised:
        mp4.check_is_mp4(file(content))
    assert (raised.value.failure_code, raised.value.final) == ("invalid_video", False)


def test_an_unknown_box_may_stand_first(file):
    mp4.check_is_mp4(file(box(b"abcd", b"x") * 3 + FTYP + MOOV + MDAT))


def test_a_file_of_millions_of_boxes_takes_no_time(file):
    content = box(b"free", b"") * 2_000_000
    path = file(content)
    began = time.process_time()

    mp4.check_is_mp4(path)
    assert mp4.is_whole(path, length_is_known=True)

    assert time.process_time() - began < 1
