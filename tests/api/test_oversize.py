"""Nothing is too large to be read: what one answer cannot carry is left out, said so, and linked.

The fixture call sees to it that no answer is larger than the platform carries.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from generation_history import json_codec
from generation_history.api.trimming import MAX_RECORD_BYTES

pytestmark = pytest.mark.usefixtures("db", "open_to_one")

MAX_PROMPT = 32_000
#: As a body carries them: one byte, two, four, four with its escapes, and seven.
LETTERS = ["x", "ü", "\U0001f600", '"', "\x01"]
OMITTED = {"prompts_omitted", "metadata_omitted", "metadata_urls", "scenes_omitted", "texts_cut"}


def follow(call, url: str, query: str = "") -> Any:
    """The answer at a path that another answer named."""
    package, function, rest = url.removeprefix("/").split("/", 2)
    assert package == "history"
    return call(function, f"/{rest}", query=query)


@pytest.fixture
def all_scenes(call) -> Callable[[str], list[dict[str, Any]]]:
    """Every scene that a link leads to, answer after answer."""

    def scenes(url: str) -> Iterator[dict[str, Any]]:
        after = 0
        while after is not None:
            page = follow(call, url, f"after={after}").json
            assert page["scenes"]
            yield from page["scenes"]
            after = page["next_after"]

    return lambda url: list(scenes(url))


@pytest.fixture
def add_scenes(db) -> Callable[[str, int], None]:
    """Gives each variant of a generation more scenes like the first, up to so many."""
    insert = """
        insert into scenes (id, variant_id, owner_id, scene_number, sora_prompt)
        select gen_random_uuid(), s.variant_id, s.owner_id, n, s.sora_prompt
        from scenes s join variants v on v.id = s.variant_id, generate_series(2, %s) n
        where v.generation_id = %s and s.scene_number = 1
    """
    return lambda generation_id, number: db.rows(insert, number, generation_id)


# ---------------------------------------------------------------- prompts


@pytest.mark.parametrize("letter", LETTERS)
def test_prompts_too_large_for_a_detail_are_where_it_says(call, manager, all_scenes, letter: str):
    prompts = {kind: [letter * MAX_PROMPT] * 20 for kind in ("soft", "ultra")}
    made = manager.create_with_scenes("https://video.example/ad", "url", prompts, submit=False)
    manager.save_metadata(made["id"], {"hook": "fast"})

    for path, shown in (("", "generation"), ("/variants", None)):
        answer = call("generations", f"/{made['id']}{path}").json
        record = answer[shown] if shown else answer
        assert OMITTED & set(record) == {"prompts_omitted"}
        for variant in record["variants"]:
            assert [scene["scene_number"] for scene in variant["scenes"]] == [*range(1, 21)]
            assert not any("sora_prompt" in scene for scene in variant["scenes"])
            found = all_scenes(variant["scenes_url"])
            assert [scene["id"] for scene in found] == [scene["id"] for scene in variant["scenes"]]
            assert [scene["sora_prompt"] for scene in found] == prompts[variant["variant_type"]]
        if shown:
            assert record["metadata"]["original_analysis"] == {"hook": "fast"}


def test_scenes_are_cut_where_the_answer_is_full_and_go_on_there(call, manager, all_scenes):
    made = manager.create_with_scenes("x", "url", {"soft": ["ü" * MAX_PROMPT] * 30}, submit=False)
    variant = manager.get_generation(made["id"])["variants"][0]
    url = f"/history/variants/{variant['id']}/scenes"

    first = follow(call, url).json

    assert 1 < len(first["scenes"]) < 30
    assert first["next_after"] == len(first["scenes"])
    assert [scene["scene_number"] for scene in all_scenes(url)] == [*range(1, 31)]


def test_scenes_after_the_last_are_none(call, generation_factory):
    variant = generation_factory(3)["variants"][0]["id"]

    assert call("variants", f"/{variant}/scenes", query="after=3").json == {
        "success": True,
        "scenes": [],
        "next_after": None,
    }


# ---------------------------------------------------------------- metadata


@pytest.fixture
def parts(call) -> Callable[[str], Any]:
    """The value that a link to metadata leads to, part after part."""

    def read(url: str) -> Any:
        text, offset = "", 0
        while offset is not None:
            part = follow(call, url, f"offset={offset}").json
            assert set(part) == {"success", "json", "next_offset"}
            text += part["json"]
            offset = part["next_offset"]
        return json.loads(text)

    return read


@pytest.mark.parametrize("letter", [letter for letter in LETTERS if letter != "\x01"])
def test_metadata_too_large_for_a_detail_is_where_it_says(call, manager, generation_factory, parts, letter: str):
    made = generation_factory(1)
    kept = {"original_analysis": {"frames": [letter * 1_000] * 500}, "evaluation_data": [1, None, {"score": 9.5}]}
    manager.save_metadata(made["id"], **kept)

    generation = call("generations", f"/{made['id']}").json["generation"]

    assert OMITTED & set(generation) == {"metadata_omitted", "metadata_urls"}
    assert set(generation["metadata"].values()) == {None}
    assert generation["variants"][0]["scenes"][0]["sora_prompt"] == "soft scene 1"
    assert {kind: parts(url) for kind, url in generation["metadata_urls"].items()} == kept


def test_prompts_and_metadata_may_both_be_too_large(call, manager, all_scenes, parts):
    large = {"prompts_data": "y" * 1_500_000}
    made = manager.create_with_scenes("x", "url", {"soft": ["z" * MAX_PROMPT] * 60}, metadata=large, submit=False)

    generation = call("generations", f"/{made['id']}").json["generation"]

    assert OMITTED & set(generation) == {"prompts_omitted", "metadata_omitted", "metadata_urls"}
    assert len(all_scenes(generation["variants"][0]["scenes_url"])) == 60
    assert {kind: parts(url) for kind, url in generation["metadata_urls"].items()} == large


@pytest.mark.parametrize("kind", ["original_analysis", "evaluation_data"])
def test_metadata_that_is_not_there_is_not_found(call, manager, stranger, generation_factory, kind: str):
    mine, theirs, without = generation_factory(1), generation_factory(1, by=stranger), generation_factory(1)
    manager.save_metadata(mine["id"], prompts_data=[1])
    stranger.save_metadata(theirs["id"], original_analysis=[1], evaluation_data=[1])

    for made in (mine, theirs, without):
        assert call("generations", f"/{made['id']}/metadata/{kind}").refused(404, "not_found")
    assert call("generations", f"/{mine['id']}/metadata/prompts_data").json["json"] == "[1]"
    manager.delete_generation(mine["id"])
    assert call("generations", f"/{mine['id']}/metadata/prompts_data").refused(404, "not_found")


def test_an_unknown_kind_of_metadata_is_refused(call, generation_factory):
    path = f"/{generation_factory(1)['id']}/metadata/everything"

    assert call("generations", path).refused(400, "invalid_value").startswith("kind: ")


@pytest.mark.parametrize("depth", [1, 100])
def test_metadata_as_deep_as_it_could_be_saved_is_read(call, manager, generation_factory, depth: int):
    made = generation_factory(1)
    deep = json.loads("[" * depth + "]" * depth)
    manager.save_metadata(made["id"], deep)

    assert call("generations", f"/{made['id']}").json["generation"]["metadata"]["original_analysis"] == deep


# ---------------------------------------------------------------- scenes, and whatever else there is


def test_more_scenes_than_an_answer_carries_are_where_it_says(call, generation_factory, add_scenes, all_scenes):
    made = generation_factory(1, ["soft", "medium", "ultra"])
    add_scenes(made["id"], 700)

    listed = call("generations").json["generations"][0]
    detail = call("generations", f"/{made['id']}").json["generation"]
    variants = call("generations", f"/{made['id']}/variants").json

    for record in (listed, detail, variants):
        assert "scenes_omitted" in record
        assert [variant["scenes"] for variant in record["variants"]] == [[], [], []]
    numbers = [scene["scene_number"] for scene in all_scenes(listed["variants"][1]["scenes_url"])]
    assert numbers == [*range(1, 701)]


@pytest.mark.parametrize("way", ["cursor", "offset"])
@pytest.mark.parametrize("letter", LETTERS)
def test_a_row_too_large_for_any_answer_hides_nothing_behind_it(call, db, generation_factory, way: str, letter: str):
    """Its texts are cut, so that who walks the list gets past it."""
    made = [generation_factory(1)["id"] for _ in range(3)][::-1]
    db.rows("update generations set error_message = repeat(%s, 1000000) where id = %s", letter, made[1])
    db.rows("update scenes set error_message = repeat(%s, 1000000)", letter)
    db.rows("update variants set error_message = repeat(%s, 1000000)", letter)

    met: list[str] = []
    onward = ""
    while onward is not None:
        page = call("generations", query=f"limit=2{onward}").json
        met += [item["id"] for item in page["generations"]]
        assert all(item["texts_cut"] for item in page["generations"])
        onward = f"&{way}={page[f'next_{way}']}" if page[f"next_{way}"] is not None else None
    detail = call("generations", f"/{made[1]}").json["generation"]
    scene = follow(call, detail["variants"][0]["scenes_url"]).json["scenes"][0]

    assert met == made
    assert detail["error_message"].startswith(letter * 1000)
    assert (scene["sora_prompt"], scene["texts_cut"]) == ("soft scene 1", True)


def test_an_answer_that_no_platform_carries_is_an_error_of_ours_and_not_the_platforms(call, monkeypatch):
    monkeypatch.setattr(
        "generation_history.record.generation_manager.GenerationManager.get_stats", lambda _: "x" * 2_000_000
    )

    assert call("stats").refused(500, "internal")


@pytest.mark.parametrize("limit", [MAX_RECORD_BYTES, json_codec.MAX_BODY_BYTES - json_codec.AROUND_BYTES])
def test_around_a_limit_there_is_no_gap(call, db, generation_factory, limit: int):
    """Whatever fits as a record fits its answer."""
    made = generation_factory(1)
    empty = json_codec.carried_bytes(json_codec.to_json(call("generations", f"/{made['id']}").json["generation"]))
    for spare in range(-20, 80, 4):
        db.rows(
            "update generations set error_message = repeat('x', %s) where id = %s", limit - empty - spare, made["id"]
        )
        for path in ("", f"/{made['id']}"):
            assert call("generations", path).status == 200, (path, spare)
