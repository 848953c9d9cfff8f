"""Recording scenes: the same prompts are the same scenes, others are refused, and each is queued once at most."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from generation_history.errors import Conflict, InvalidValue, NotFound
from generation_history.record.generation_manager import GenerationManager

Jobs = Callable[[], list[tuple]]


@pytest.fixture
def generation_id(manager) -> str:
    """A generation whose variants soft and ultra have no scenes yet."""
    return manager.create_generation("https://video.example/ad", "url", ["soft", "ultra"], None, start=True)["id"]


@pytest.fixture
def jobs(db) -> Jobs:
    """Reads what is queued: prompt, step, and whether its owner is the scene's."""
    query = """
        select s.sora_prompt, j.step, j.owner_id = s.owner_id
        from jobs j join scenes s on s.id = j.scene_id order by s.scene_number
    """
    return lambda: db.rows(query)


def ids(scenes: Sequence[dict]) -> list[str]:
    return [scene["id"] for scene in scenes]


def test_scenes_are_recorded_one_a_prompt_in_order(manager, generation_id: str):
    scenes = manager.create_scenes(generation_id, "soft", ["b", "a", "b"])

    assert [(scene["scene_number"], scene["sora_prompt"], scene["status"]) for scene in scenes] == [
        (1, "b", "pending"),
        (2, "a", "pending"),
        (3, "b", "pending"),
    ]
    assert manager.get_variant(scenes[0]["variant_id"])[0]["total_scenes"] == 3


def test_recording_alone_submits_nothing(manager, generation_id: str, jobs: Jobs):
    manager.create_scenes(generation_id, "soft", ["a", "b"])
    manager.create_scene(manager.create_variant(generation_id, "medium")["id"], 1, "c")

    assert jobs() == []


def test_the_same_prompts_again_are_the_same_scenes(manager, generation_id: str):
    first = manager.create_scenes(generation_id, "soft", ["a", "b"])

    assert ids(manager.create_scenes(generation_id, "soft", ("a", "b"))) == ids(first)


def test_other_variants_have_scenes_of_their_own(manager, generation_id: str):
    soft = manager.create_scenes(generation_id, "soft", ["a", "b"])

    assert not set(ids(soft)) & set(ids(manager.create_scenes(generation_id, "ultra", ["a", "b"])))


@pytest.mark.parametrize("submit", [True, False])
def test_other_prompts_are_a_conflict_and_change_nothing(manager, generation_id: str, jobs: Jobs, *, submit: bool):
    first = manager.create_scenes(generation_id, "soft", ["a", "b"])

    for others in (["a"], ["a", "b", "c"], ["b", "a"], ["a", "B"], ["a", "b "]):
        with pytest.raises(Conflict, match="other prompts"):
            manager.create_scenes(generation_id, "soft", others, submit=submit)

    assert manager.get_variant_scenes(first[0]["variant_id"]) == first
    assert manager.get_variant(first[0]["variant_id"])[0]["total_scenes"] == 2
    assert jobs() == []


def test_submit_queues_each_scene_once_however_often_it_is_repeated(manager, generation_id: str, jobs: Jobs):
    for submit in (False, True, True, False, True):
        manager.create_scenes(generation_id, "soft", ["a", "b"], submit=submit)

    assert jobs() == [("a", "submit", True), ("b", "submit", True)]


def test_what_was_submitted_before_is_not_queued_again(manager, db, generation_id: str, jobs: Jobs):
    """Not what the caller submitted itself, what is rendered or over, nor what a worker has posted already."""
    prompts = ["mine", "processing", "completed", "failed", "posted", "new"]
    scenes = manager.create_scenes(generation_id, "soft", prompts)
    manager.update_scene(scenes[0]["id"], sora_video_id="video_1")
    for scene, status in zip(scenes[1:4], prompts[1:4], strict=True):
        manager.update_scene(scene["id"], status=status)
    db.rows(
        "insert into attempts (id, scene_id, owner_id, attempt, outcome) values (%s, %s, %s, 1, 'intended')",
        scenes[4]["id"],
        scenes[4]["id"],
        manager.owner_id,
    )

    manager.create_scenes(generation_id, "soft", prompts, submit=True)

    assert jobs() == [("new", "submit", True)]


def test_what_is_asked_for_is_kept_with_the_scene(manager, generation_id: str):
    [scene] = manager.create_scenes(generation_id, "soft", ["a"], model="sora-2-pro", size="1280x720", seconds=12)

    assert (scene["model"], scene["size"], scene["seconds"]) == ("sora-2-pro", "1280x720", 12)


def test_two_threads_that_record_the_same_scenes_get_the_same_ids(manager, generation_id: str, jobs: Jobs):
    together = Barrier(2)

    def record(_: int) -> list[list[str]]:
        mine, made = GenerationManager(manager.owner_id), []
        for kind in ("soft", "ultra"):
            together.wait()
            made.append(ids(mine.create_scenes(generation_id, kind, ["a", "b"], submit=True)))
        return made

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(record, range(2))

    assert first == second
    assert len(jobs()) == 4


def test_a_generation_with_everything_is_recorded_and_queued_in_one_call(manager, jobs: Jobs):
    made = manager.create_with_scenes(
        "https://video.example/ad",
        "url",
        {"soft": ["a", "b"], "ultra": ["c"]},
        metadata={"prompts_data": [1]},
        seconds=4,
    )

    generation = manager.get_generation(made["id"])
    assert (made["status"], generation["variant_types"]) == ("processing", ["soft", "ultra"])
    assert [len(variant["scenes"]) for variant in generation["variants"]] == [2, 1]
    assert generation["metadata"]["prompts_data"] == [1]
    assert {scene["seconds"] for variant in generation["variants"] for scene in variant["scenes"]} == {4}
    assert sorted(prompt for prompt, *_ in jobs()) == ["a", "b", "c"]


def test_a_generation_that_cannot_be_recorded_whole_is_not_recorded_at_all(manager, db):
    for prompts, metadata in ({"soft": ["a"], "ultra": ["x" * 32_001]}, None), ({"soft": ["a"]}, {"prompts_data": {1}}):
        with pytest.raises(InvalidValue):
            manager.create_with_scenes("https://video.example/ad", "url", prompts, metadata=metadata)

    assert db.rows("select 1 from generations union all select 1 from jobs") == []


def test_prompts_are_one_or_more_texts(manager, generation_id: str):
    for prompts in ("a text", [], None, [""], ["a", ""], ["a", None], ["a", 5], 5):
        with pytest.raises(InvalidValue, match=r"^prompts"):
            manager.create_scenes(generation_id, "soft", prompts)


def test_a_variant_that_the_generation_has_not_is_not_found(manager, generation_id: str):
    for kind in ("medium", "nonsense", "", "SOFT"):
        with pytest.raises(NotFound, match="variant"):
            manager.create_scenes(generation_id, kind, ["a"], submit=True)
