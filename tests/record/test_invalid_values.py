"""What cannot be recorded is an InvalidValue that names it, records nothing, and never the driver's own error."""

from collections.abc import Callable
from typing import Any

import pytest

from generation_history.errors import InvalidValue

NOT_TEXT = ["a\x00b", "\ud800", b"\xff", 5, 1.5, {"a": 1}, ["a"], object()]
NOT_A_COUNT = [-1, 2**31, 10**400, 1.5, float("nan"), float("inf"), "x", "\x00", {"a": 1}, [1], object()]
NOT_DOLLARS = [-0.01, 10**8, 10**400, float("nan"), float("inf"), "much", "\x00", {"a": 1}, [1], object()]


@pytest.fixture
def made(generation_factory) -> dict:
    return generation_factory(1)


def create(manager, _made: dict, **wrong: Any) -> None:
    values = {"source_video_url": "x", "source_video_type": "url", "variant_types": ["soft"], "cost_estimate": 1.0}
    manager.create_generation(**{**values, **wrong})


def update(manager, made: dict, **wrong: Any) -> None:
    manager.update_generation_status(made["id"], **{"status": "failed", **wrong})


def create_variant(manager, made: dict, **wrong: Any) -> None:
    manager.create_variant(made["id"], **{"variant_type": "ultra", **wrong})


def update_variant(manager, made: dict, **wrong: Any) -> None:
    manager.update_variant_status(made["variants"][0]["id"], **{"status": "failed", **wrong})


def create_scene(manager, made: dict, **wrong: Any) -> None:
    manager.create_scene(made["variants"][0]["id"], **{"scene_number": 9, "sora_prompt": "x", **wrong})


def create_scenes(manager, made: dict, **wrong: Any) -> None:
    manager.create_scenes(made["id"], **{"variant_type": "soft", "prompts": ["soft scene 1"], **wrong})


def update_scene(manager, made: dict, **wrong: Any) -> None:
    manager.update_scene(made["variants"][0]["scenes"][0]["id"], **wrong)


def fail_scene(manager, made: dict, **wrong: Any) -> None:
    update_scene(manager, made, status="failed", **wrong)


CASES: list[tuple[Callable[..., None], str, list[Any]]] = [
    (create, "source_video_url", ["", "x" * 4097, None, *NOT_TEXT]),
    (create, "source_video_type", ["x" * 51, None, *NOT_TEXT]),
    (create, "variant_types", [[], None, ["soft", "soft"], ["loud"], ["soft", None], ["\x00"], "soft", 5, {"soft": 1}]),
    (create, "cost_estimate", NOT_DOLLARS),
    (update, "status", [None, "done", *NOT_TEXT]),
    (update, "error_message", NOT_TEXT),
    (update, "actual_cost", NOT_DOLLARS),
    (create_variant, "variant_type", [None, "loud", *NOT_TEXT]),
    (create_variant, "total_scenes", [None, *NOT_A_COUNT]),
    (update_variant, "status", [None, "done", *NOT_TEXT]),
    (update_variant, "scenes_completed", [5, *NOT_A_COUNT]),
    (update_variant, "error_message", NOT_TEXT),
    (create_scene, "scene_number", [None, 0, 1001, *NOT_A_COUNT]),
    (create_scene, "sora_prompt", [None, "x" * 32_001, *NOT_TEXT]),
    (create_scenes, "variant_type", NOT_TEXT),
    (create_scenes, "prompts", [[text] for text in NOT_TEXT]),
    (create_scenes, "model", NOT_TEXT),
    (create_scenes, "size", NOT_TEXT),
    (create_scenes, "seconds", NOT_A_COUNT),
    (create_scenes, "submit", ["perhaps", 5, object()]),
    (update_scene, "sora_video_id", ["x" * 1001, *NOT_TEXT]),
    (update_scene, "sora_status", ["x" * 51, *NOT_TEXT]),
    (update_scene, "video_url", NOT_TEXT),
    (update_scene, "thumbnail_url", NOT_TEXT),
    (update_scene, "duration", NOT_A_COUNT),
    (update_scene, "resolution", ["x" * 51, *NOT_TEXT]),
    (update_scene, "file_size", [2**63 if value == 2**31 else value for value in NOT_A_COUNT]),
    (update_scene, "status", ["done", *NOT_TEXT]),
    (update_scene, "error_message", NOT_TEXT),
    (fail_scene, "error_code", ["bad luck", *NOT_TEXT]),
]
NOT_JSON = [
    {1, 2},
    object(),
    b"x",
    float("nan"),
    {"deep": [float("inf")]},
    "\x00",
    {"a\x00": 1},
    ["\\\x00"],
    "\ud800",
    {"\udfff": 1},
    {("a", "b"): 1},
]


def check(db, write: Callable[[], None], named: str, said: str = "") -> None:
    before = db.everything()
    with pytest.raises(InvalidValue) as refused:
        write()
    assert isinstance(refused.value, ValueError)
    assert named in str(refused.value), said
    assert "\n" not in str(refused.value)
    assert db.everything() == before


@pytest.mark.parametrize(("write", "name", "values"), CASES, ids=[f"{case[0].__name__}-{case[1]}" for case in CASES])
def test_a_value_that_cannot_be_recorded_is_refused_by_its_name(
    db, manager, made: dict, write: Callable[..., None], name: str, values: list[Any]
):
    for value in values:
        check(db, lambda value=value: write(manager, made, **{name: value}), name, repr(value)[:50])


@pytest.mark.parametrize("kind", ["original_analysis", "transformation_data", "prompts_data", "evaluation_data"])
def test_metadata_that_is_no_json_is_refused_by_its_kind(db, manager, made: dict, kind: str):
    endless: list[Any] = []
    endless.append(endless)
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]

    for value in [*NOT_JSON, endless, deep]:
        check(db, lambda value=value: manager.save_metadata(made["id"], **{kind: value}), kind)
        new = ("x", "url", {"soft": ["a"]})
        check(db, lambda value=value, new=new: manager.create_with_scenes(*new, metadata={kind: value}), kind)


def test_an_unknown_kind_of_metadata_is_refused_by_its_name(db, manager, made: dict):
    for write in (
        lambda: manager.create_generation("x", "url", ["soft"], None, metadata={"analysis": 1}),
        lambda: manager.create_with_scenes("x", "url", {"soft": ["a"]}, metadata={"analysis": 1}),
    ):
        check(db, write, "analysis")


@pytest.mark.parametrize(
    "text", ["", "ünï\U0001f600", "a\r\n\tb", "'; drop table scenes --", "%s %(id)s", "\\x00", "\u202e"]
)
def test_any_other_text_is_kept_as_it_is(manager, made: dict, text: str):
    scene_id = made["variants"][0]["scenes"][0]["id"]

    assert manager.update_scene(scene_id, error_message=text)["error_message"] == text
    assert manager.create_scene(made["variants"][0]["id"], 9, text)["sora_prompt"] == text


def test_the_largest_values_are_kept(manager, made: dict):
    scene_id = made["variants"][0]["scenes"][0]["id"]

    scene = manager.update_scene(scene_id, duration=2**31 - 1, file_size=2**63 - 1, sora_video_id="x" * 1000)

    assert (scene["duration"], scene["file_size"]) == (2**31 - 1, 2**63 - 1)
    assert manager.create_generation("x", "url", ["soft"], 99_999_999.99)["cost_estimate"] == 99_999_999.99
    assert manager.create_scene(scene["variant_id"], 1000, "x" * 32_000)["scene_number"] == 1000
