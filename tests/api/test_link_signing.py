"""Signing where the links stand in a record's text shows exactly what signing them in the record itself does."""

import copy
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from generation_history.api import link_signing
from generation_history.api.fast_link_signing import MAX_LINK_CHARACTERS
from generation_history.api.link_signing import SignedLinks
from generation_history.storage.keys import is_scene_key

GENERATION = "018f0000-0000-7000-8000-000000000000"
OTHER = "88d55cb6-3c7c-48f9-8b83-acfbfa5b2d35"
FOLDER = f"https://soraking-videos.nyc3.digitaloceanspaces.com/generations/{GENERATION}"
VIDEO, THUMBNAIL = f"{FOLDER}/soft/scene_1.mp4", f"{FOLDER}/soft/scene_1_thumb.jpg"
#: What could be taken for a record's own text, were it not escaped within a string.
LIKE_A_RECORD = f'"video_url":"{VIDEO}","thumbnail_url":"{THUMBNAIL}","expires_at":'

TEXTS = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.just(LIKE_A_RECORD))
URLS = st.one_of(
    st.none(),
    st.sampled_from(
        [
            VIDEO,
            THUMBNAIL,
            f"{VIDEO}?X-Amz-Signature=old",
            f"{VIDEO}#t=1",
            f"https://x.example/?u={VIDEO}",
            f"https://x.example{VIDEO.removeprefix('https:/')}",
            f"{VIDEO}/x",
            VIDEO.replace(GENERATION, OTHER),
            f"https://x.example/generations/{OTHER}/generations/{GENERATION}/soft/scene_1.mp4",
            "https://x.example/video.mp4",
            f"https://x.example/generations/-/soft/scene_1.mp4?/generations/{GENERATION}/soft/scene_1.mp4",
            f"https://x.example/{'a' * MAX_LINK_CHARACTERS}/generations/{GENERATION}/soft/scene_1.mp4",
            f'https://x.example/"{VIDEO}',
            f"https://x.example/\\{VIDEO}",
        ]
    ),
    TEXTS,
)
SCENES = st.lists(
    st.fixed_dictionaries(
        {"id": TEXTS, "video_url": URLS, "thumbnail_url": URLS, "duration": st.none() | st.integers(), "error": TEXTS}
    ),
    max_size=3,
)


def record_of(source: str, *variants: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": GENERATION,
        "source_video_url": source,
        "variants": [{"generation_id": GENERATION, "scenes": scenes} for scenes in variants],
    }


def scene(video: str | None, thumbnail: str | None) -> dict[str, Any]:
    return {"id": "s", "video_url": video, "thumbnail_url": thumbnail, "duration": 8, "error": ""}


def text_of(record: dict[str, Any]) -> str:
    """As row_to_json writes it."""
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


@pytest.fixture(autouse=True)
def spaces(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DO_SPACES_ACCESS_KEY", "key")
    monkeypatch.setenv("DO_SPACES_SECRET_KEY", "secret")


@given(TEXTS, SCENES, SCENES)
@example(VIDEO, [scene(VIDEO, THUMBNAIL)], [scene(None, None), scene(VIDEO, THUMBNAIL)])
@example(LIKE_A_RECORD, [scene(LIKE_A_RECORD, LIKE_A_RECORD)], [scene(VIDEO, None)])
@example("", [scene(None, THUMBNAIL)], [scene(VIDEO, f'{THUMBNAIL}","x":"')])
def test_a_records_text_is_signed_as_the_record_is(source: str, some: list[dict], others: list[dict]):
    record, links = record_of(source, some, others), SignedLinks()

    assert json.loads(links.record(text_of(record), GENERATION)) == links.generation(copy.deepcopy(record))


def test_what_is_usual_is_not_read_as_a_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(SignedLinks, "generation", None)
    usual = text_of(record_of(LIKE_A_RECORD, [scene(VIDEO, THUMBNAIL), scene(None, None)]))

    signed = json.loads(SignedLinks().record(usual, GENERATION))

    stored, waiting = signed["variants"][0]["scenes"]
    assert stored["video_url"].startswith(f"{VIDEO}?X-Amz-")
    assert stored["thumbnail_url"].startswith(f"{THUMBNAIL}?X-Amz-")
    assert (waiting["video_url"], waiting["expires_at"]) == (None, None)


@pytest.mark.parametrize(
    ("source", "scenes", "kept"),
    [("x", 1, True), ("x", 200, False), ("ü", 1, False), ("x" * link_signing.MAX_CACHED_CHARACTERS, 1, False)],
)
def test_what_takes_much_memory_is_not_kept(source: str, scenes: int, *, kept: bool):
    """Hundreds of them would not fit a function's."""
    link_signing._signed.cache_clear()

    signed = SignedLinks().record(text_of(record_of(source, [scene(VIDEO, THUMBNAIL)] * scenes)), GENERATION)

    assert signed.count("X-Amz-Signature=") == 2 * scenes
    assert link_signing._signed.cache_info().currsize == kept


@pytest.mark.parametrize("long", [{"thumbnail_url": None}, {"video_url": f"{VIDEO}?{'x' * 100_000}"}])
def test_no_long_text_is_kept_to_know_a_link_by(long: dict):
    is_scene_key.cache_clear()
    record = record_of("x", [scene(VIDEO, THUMBNAIL) | long | {"error": "x" * 100_000}])

    SignedLinks().record(text_of(record), GENERATION)

    assert is_scene_key.cache_info().currsize == 0
