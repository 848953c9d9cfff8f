"""POST /history/generations: what is recorded and queued, and every body that is refused, by what is wrong with it."""

import base64
import json
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("db", "open_to_one")

SOURCE = "https://video.example/ad"
GOOD = {"source_video_url": SOURCE, "variant_types": ["soft"]}


@pytest.fixture
def post(call):
    """Posts a body."""
    return lambda body, **more: call("generations", method="POST", body=body, **more)


def test_with_prompts_everything_is_recorded_and_queued_once(post, manager, db):
    answer = post(
        {
            "source_video_url": SOURCE,
            "source_video_type": "url",
            "prompts": {"soft": ["a", "b"], "ultra": ["c"]},
            "cost_estimate": 1.2,
            "metadata": {"original_analysis": {"duration": 8}},
            "model": "sora-2-pro",
            "size": "1280x720",
            "seconds": 12,
        }
    )

    assert (answer.status, set(answer.json), answer.json["success"]) == (202, {"success", "generation_id"}, True)
    generation = manager.get_generation(answer.json["generation_id"])
    assert (generation["status"], generation["cost_estimate"], generation["source_video_type"]) == (
        "processing",
        1.2,
        "url",
    )
    assert generation["metadata"]["original_analysis"] == {"duration": 8}
    scenes = [scene for variant in generation["variants"] for scene in variant["scenes"]]
    assert [scene["sora_prompt"] for scene in scenes] == ["a", "b", "c"]
    assert {(scene["model"], scene["size"], scene["seconds"]) for scene in scenes} == {("sora-2-pro", "1280x720", 12)}
    assert db.rows("select step, count(*) from jobs group by step") == [("submit", 3)]


def test_without_prompts_nothing_is_submitted(post, manager, db):
    answer = post({**GOOD, "variant_types": ["soft", "ultra"], "metadata": {"prompts_data": [1]}})

    generation = manager.get_generation(answer.json["generation_id"])
    assert (generation["status"], generation["variant_types"]) == ("processing", ["soft", "ultra"])
    assert [(variant["variant_type"], variant["scenes"]) for variant in generation["variants"]] == [
        ("soft", []),
        ("ultra", []),
    ]
    assert generation["metadata"]["prompts_data"] == [1]
    assert db.rows("select 1 from jobs") == []


def test_numbers_are_read_as_json_means_them(post, manager):
    answer = post({"source_video_url": SOURCE, "prompts": {"soft": ["a"]}, "seconds": 8.0, "cost_estimate": 2})

    generation = manager.get_generation(answer.json["generation_id"])
    assert (generation["variants"][0]["scenes"][0]["seconds"], generation["cost_estimate"]) == (8, 2.0)


def test_what_is_not_asked_for_is_left_to_the_settings_of_the_worker(post, manager):
    answer = post({"source_video_url": SOURCE, "prompts": {"soft": ["a"]}})

    [scene] = manager.get_generation(answer.json["generation_id"])["variants"][0]["scenes"]
    assert (scene["model"], scene["size"], scene["seconds"]) == (None, None, None)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"source_video_url": None}, "source_video_url: "),
    ({"source_video_url": ""}, "source_video_url: "),
    ({"source_video_url": 5}, "source_video_url: "),
    ({"source_video_url": "x" * 4097}, "source_video_url: "),
    ({"source_video_url": "a\x00b"}, "source_video_url: "),
    ({"source_video_type": "x" * 51}, "source_video_type: "),
    ({"variant_types": []}, "the body: "),
    ({"variant_types": ["loud"]}, "variant_types: "),
    ({"variant_types": ["soft", "soft"]}, "variant_types "),
    ({"variant_types": "soft"}, "variant_types: "),
    ({"variant_types": ["soft", "medium", "aggressive", "ultra", "soft"]}, "variant_types: "),
    ({"cost_estimate": -1}, "cost_estimate: "),
    ({"cost_estimate": 1e8}, "cost_estimate: "),
    ({"cost_estimate": 99_999_999.995}, "cost_estimate: "),
    ({"cost_estimate": "much"}, "cost_estimate: "),
    ({"cost_estimate": "1.2"}, "cost_estimate: "),
    ({"cost_estimate": False}, "cost_estimate: "),
    ({"prompts": {"ultra": ["a"]}}, "the body: "),
    ({"prompts": {"soft": ["a"]}, "variant_types": ["soft", "soft"]}, "the body: "),
    ({"prompts": {"loud": ["a"]}}, "prompts.loud"),
    ({"prompts": {"soft": []}}, "prompts.soft: "),
    ({"prompts": {"soft": [""]}}, "prompts.soft: "),
    ({"prompts": {"soft": "a"}}, "prompts.soft: "),
    ({"prompts": {"soft": ["x" * 32_001]}}, "prompts.soft: "),
    ({"prompts": {"soft": ["x"] * 101}}, "prompts.soft: "),
    ({"prompts": {"soft": ["a\x00"]}}, "prompts."),
    ({"prompts": ["a"]}, "prompts: "),
    ({"metadata": {"analysis": {}}}, "metadata.analysis: "),
    ({"metadata": []}, "metadata: "),
    ({"metadata": {"prompts_data": "\x00"}}, "prompts_data "),
    ({"size": "large"}, "size: "),
    ({"size": "1280x720\n"}, "size: "),
    ({"seconds": 0}, "seconds: "),
    ({"seconds": "8"}, "seconds: "),
    ({"seconds": 8.5}, "seconds: "),
    ({"seconds": True}, "seconds: "),
    ({"model": ""}, "model: "),
    ({"owner_id": "018f0000-0000-7000-8000-000000000000"}, "owner_id: "),
    ({"submit": True}, "submit: "),
]


def test_a_body_that_cannot_be_recorded_is_refused_by_name_and_leaves_nothing(post, db):
    for change, named in REFUSED:
        body = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
        assert post(body).refused(400, "invalid_value").startswith(named), change
    assert db.everything() == []


def test_a_body_that_is_no_json_object_is_refused(post, db):
    for body in ("", "{", "{'a': 1}", "null", "[]", "5", '"text"', "[" * 100_000, "{}x", "\ufeff{}", "NaN"):
        for headers in ({"content-type": "application/json"}, {"content-type": "application/json; charset=utf-8"}, {}):
            assert post(body, headers=headers).refused(400, "invalid_value"), body[:20]
    assert db.everything() == []


def test_another_content_type_is_refused(post, db):
    """Also because a browser sends these across sites without asking first."""
    kinds = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/html",
        "*/*",
        "\x00",
    ]
    for kind, body in product(kinds, (json.dumps(GOOD), "source_video_url=x&variant_types=soft")):
        said = post(body, headers={"content-type": kind}).refused(400, "invalid_value")
        assert said == "the body must be JSON, Content-Type application/json"
    assert db.everything() == []


def test_a_base64_body_is_read(post, manager):
    body = base64.b64encode(json.dumps({**GOOD, "source_video_url": "ünï"}, ensure_ascii=False).encode()).decode()

    answer = post(body, headers={"content-type": "application/json"}, base64=True)

    assert manager.get_generation(answer.json["generation_id"])["source_video_url"] == "ünï"


def test_a_base64_body_that_holds_no_text_is_refused(post):
    for body in ("not base64!", "é", "e30", base64.b64encode(b"\xff\xfe").decode(), "\ud800"):
        assert post(body, base64=True).refused(400, "invalid_value")


def filled(size: int, letter: str = "x") -> str:
    """A good body of this many bytes, most of it metadata."""
    empty = json.dumps({**GOOD, "metadata": {"prompts_data": ""}}, ensure_ascii=False)
    text = letter * ((size - len(empty)) // len(letter.encode()))
    return empty.replace('""', f'"{text}"')


def test_a_body_over_one_megabyte_is_refused(post, db):
    """Bytes are counted, not letters."""
    for letter in ("x", "ü", "\U0001f600"):
        too_large = filled(1_000_010, letter)
        assert post(too_large).refused(413, "too_large")
        assert post(base64.b64encode(too_large.encode()).decode(), base64=True).refused(413, "too_large")
    assert db.everything() == []


def test_a_body_of_nearly_one_megabyte_is_taken_also_in_base64(post):
    body = filled(999_000)

    assert post(body).status == 202
    assert post(base64.b64encode(body.encode()).decode(), base64=True).status == 202


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(-1e6, 1e6) | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metadata=JSON, other=JSON, name=st.sampled_from(["source_video_url", "prompts", "variant_types", "seconds", "x"])
)
def test_any_json_is_recorded_or_refused_and_never_an_error_of_ours(
    post, manager, metadata: Any, other: Any, name: str
):
    answer = post({**GOOD, "metadata": {"original_analysis": metadata}})
    assert answer.status in ({202} if "\\u0000" not in json.dumps(metadata) else {202, 400})
    if answer.status == 202:
        kept = manager.get_generation(answer.json["generation_id"])["metadata"]["original_analysis"]
        assert kept == metadata

    assert post({**GOOD, name: other}).status in {202, 400}
