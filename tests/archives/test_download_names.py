"""A downloaded file's name can be read by people, kept by every system, and carried by a header."""

import re
import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from generation_history.archives.download_names import archive_name, attachment, source_name, video_name

HEADER = re.compile(r"attachment; filename=\"([A-Za-z0-9._-]+)\"; filename\*=UTF-8''([A-Za-z0-9._~%-]+)")
SOURCES = st.one_of(
    st.text(max_size=300),
    st.text(max_size=60).map("https://video.example/{}".format),
    st.text(max_size=60).map("image-to-video:https://{}".format),
    st.text(max_size=60).map("C:\\{}".format),
)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("https://video.example/ads/summer.mp4", "video.example-summer"),
        ("https://www.video.example/ads/summer/", "video.example-summer"),
        ("https://video.example", "video.example"),
        ("HTTPS://Video.Example/Ad.MOV", "video.example-Ad"),
        ("https://user:password@video.example:8443/ad.mp4?token=secret#t=1", "video.example-ad"),
        ("https://video.example/Summer%20ad%20(final).mp4", "video.example-Summer-ad-final"),
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=10", "youtube.com-dQw4w9WgXcQ"),
        ("https://www.youtube.com/watch?v=...", "youtube.com-watch"),
        ("https://video.example/other?v=dQw4w9WgXcQ", "video.example-other"),
        ("image-to-video:https://video.example/cat.png", "image-to-video-video.example-cat"),
        ("s3://bucket/folder/ad.mp4", "bucket-ad"),
        ("file:///home/me/ad.mp4", "ad"),
        ("/home/me/ads/Summer ad.mp4", "Summer-ad"),
        ("C:\\ads\\Summer ad.mp4", "Summer-ad"),
        ("ad.mp4", "ad"),
        ("script-only-mode", "script-only-mode"),
        ("http://[", "video"),
        ("реклама.mp4", "реклама"),
        ("広告 その1.mp4", "広告-その1"),
        ("Cafe\u0301.mp4", "Café"),
        ("..", "video"),
        (".htaccess", "htaccess"),
        ("a...b", "a-b"),
        ("😀", "video"),
        ("", "video"),
    ],
)
def test_a_source_is_called_by_what_people_call_it(source: str, name: str):
    assert source_name(source) == name
    assert video_name(source, "soft", 3) == f"{name}_soft_scene-3.mp4"
    assert archive_name(source) == f"{name}.zip"


@pytest.mark.parametrize(
    "source",
    [
        'a"b.mp4',
        "a\r\nSet-Cookie: x.mp4",
        "a\0b",
        "a\u202egpj.mp4",
        "a\u2066b\u200fc\ufeffd",
        "a;b=c,d%2e%2e",
        "https://video.example/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "https://video.example/a%00b%0d%0ac",
        "a:b|c<d>e*f?g",
        "a/b\\c",
        "℀.mp4",
    ],
)
def test_nothing_that_a_system_or_a_header_takes_for_more_than_a_letter_is_left(source: str):
    name = source_name(source)

    assert re.fullmatch(r"[\w.-]+", name)
    assert HEADER.fullmatch(attachment(archive_name(source)))


@given(SOURCES, st.sampled_from(["soft", "medium", "aggressive", "ultra"]), st.integers(1, 1000))
@example("\U0001d11e\U00020000" * 40, "aggressive", 1000)
@example("a\u0301" * 100, "aggressive", 1000)
@example("nul.mp4", "soft", 1)
def test_any_source_gives_a_name_that_every_system_takes(source: str, variant_type: str, scene_number: int):
    for name in (video_name(source, variant_type, scene_number), archive_name(source)):
        assert len(name.encode()) <= 255
        assert not name.startswith((".", "-"))
        assert all(one in "-._" or unicodedata.category(one)[0] in "LNM" for one in name)
        assert not re.match(r"(con|prn|aux|nul|com\d|lpt\d)\.", name, re.IGNORECASE)


@given(SOURCES)
def test_the_header_carries_the_name_and_a_plain_one_beside_it(source: str):
    """RFC 6266: who does not know filename* takes the other."""
    for name in (video_name(source, "ultra", 12), archive_name(source)):
        plain, encoded = HEADER.fullmatch(attachment(name)).groups()
        assert unquote(encoded) == name
        assert plain.rpartition(".")[2] == name.rpartition(".")[2]
        assert plain.isascii()
        assert plain[0].isalnum()


def test_a_name_in_another_script_has_a_plain_one_that_still_says_what_it_is():
    assert attachment(video_name("реклама.mp4", "soft", 3)) == (
        'attachment; filename="soft_scene-3.mp4"; '
        "filename*=UTF-8''%D1%80%D0%B5%D0%BA%D0%BB%D0%B0%D0%BC%D0%B0_soft_scene-3.mp4"
    )
    assert attachment(archive_name("реклама.mp4")).startswith('attachment; filename="video.zip"; ')
    assert attachment(archive_name("Müller.mp4")).startswith('attachment; filename="Muller.zip"; ')
