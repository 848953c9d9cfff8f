"""Statuses: how a scene may move, and what its variant and generation become, in any order and at once."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generation_history.errors import Conflict, InvalidValue
from generation_history.models import SCENE_TRANSITIONS, STATUSES, Generation, Variant
from generation_history.record.generation_manager import GenerationManager

Finish = Callable[..., Generation]


@pytest.fixture
def finish(manager: GenerationManager) -> Finish:
    """Gives the scenes of a generation these statuses, in order of variants and scenes, and reads it again."""

    def run(generation: Generation, *statuses: str) -> Generation:
        for scene, status in zip(scenes_of(generation), statuses, strict=False):
            manager.update_scene(scene["id"], status=status)
        return manager.get_generation(generation["id"])

    return run


def scenes_of(generation: Generation) -> list[dict]:
    return [scene for variant in generation["variants"] for scene in variant["scenes"]]


# ---------------------------------------------------------------- one scene


def test_a_scene_takes_the_transitions_of_the_model_and_no_others(manager, generation_factory):
    for old, new in product(STATUSES, STATUSES):
        scene_id = generation_factory(1)["variants"][0]["scenes"][0]["id"]
        manager.update_scene(scene_id, status=old)
        if new == old or new in SCENE_TRANSITIONS[old]:
            scene = manager.update_scene(scene_id, status=new)
            assert (scene["status"], bool(scene["completed_at"])) == (new, new == "completed")
        else:
            with pytest.raises(Conflict, match=f"cannot go from {old} to {new}"):
                manager.update_scene(scene_id, status=new)
            assert manager.get_scene(scene_id)["status"] == old


def test_an_unknown_status_is_refused_by_name(manager, generation_factory):
    generation = generation_factory(1)
    variant = generation["variants"][0]

    for update, status in product(
        (
            lambda status: manager.update_generation_status(generation["id"], status),
            lambda status: manager.update_variant_status(variant["id"], status),
            lambda status: manager.update_scene(variant["scenes"][0]["id"], status=status),
        ),
        ("done", "", "COMPLETED", "completed "),
    ):
        with pytest.raises(InvalidValue, match="status must be one of"):
            update(status)


def test_a_failure_has_its_code_and_a_success_none(manager, generation_factory):
    scene_id = generation_factory(1)["variants"][0]["scenes"][0]["id"]

    failed = manager.update_scene(scene_id, status="failed", error_message="why", error_code="download_failed")
    assert (failed["error_code"], failed["error_message"]) == ("download_failed", "why")
    done = manager.update_scene(scene_id, status="completed")
    assert (done["error_code"], done["error_message"]) == (None, None)
    with pytest.raises(InvalidValue, match="error_code"):
        manager.update_scene(
            generation_factory(1)["variants"][0]["scenes"][0]["id"], status="failed", error_code="bad luck"
        )


# ---------------------------------------------------------------- its variant and its generation


@pytest.mark.parametrize(
    ("statuses", "variant", "generation", "message"),
    [
        (["pending"] * 4, "pending", "processing", None),
        (["processing"] + ["pending"] * 3, "processing", "processing", None),
        (["completed"] + ["pending"] * 3, "processing", "processing", None),
        (["failed"] + ["pending"] * 3, "processing", "processing", "1 of 4 scenes failed"),
        (["completed"] * 3 + ["processing"], "processing", "processing", None),
        (["completed"] * 4, "completed", "completed", None),
        (["completed"] * 3 + ["failed"], "failed", "completed", "1 of 4 scenes failed"),
        (["failed"] * 4, "failed", "failed", "4 of 4 scenes failed"),
    ],
)
def test_a_variant_and_its_generation_follow_from_the_scenes(
    generation_factory, finish: Finish, statuses: list[str], variant: str, generation: str, message: str | None
):
    found = finish(generation_factory(4), *statuses)

    assert (found["variants"][0]["status"], found["status"]) == (variant, generation)
    assert (found["variants"][0]["error_message"], found["error_message"]) == (message, message)
    assert found["variants"][0]["scenes_completed"] == statuses.count("completed")
    assert bool(found["completed_at"]) == (generation == "completed")
    assert bool(found["variants"][0]["completed_at"]) == (variant == "completed")


def test_a_generation_says_how_many_of_its_scenes_failed(generation_factory, finish: Finish):
    generation = generation_factory(4, ["soft", "medium", "aggressive", "ultra"])

    found = finish(generation, *["failed", *["completed"] * 14, "failed"])

    assert (found["status"], found["error_message"]) == ("completed", "2 of 16 scenes failed")
    assert [(v["status"], v["error_message"]) for v in found["variants"]] == [
        ("failed", "1 of 4 scenes failed"),
        ("completed", None),
        ("completed", None),
        ("failed", "1 of 4 scenes failed"),
    ]


def test_a_video_that_comes_home_after_all_mends_the_statuses(generation_factory, finish: Finish):
    failed = finish(generation_factory(2), "failed", "failed")

    found = finish(failed, "completed", "completed")

    assert (found["status"], found["error_message"], found["variants"][0]["status"]) == ("completed", None, "completed")


def test_completed_at_stays_when_a_later_video_comes_home(generation_factory, finish: Finish):
    first = finish(generation_factory(1, ["soft", "ultra"]), "completed", "failed")

    assert finish(first, "completed", "completed")["completed_at"] == first["completed_at"]


def test_a_generation_waits_for_the_scenes_that_are_not_recorded_yet(manager, finish: Finish):
    """The old pipeline makes one variant after the other, and one scene after the other."""
    generation = manager.create_generation("x", "url", ["soft", "ultra"], None)
    soft = manager.create_variant(generation["id"], "soft", 2)
    statuses = []
    for number in (1, 2):
        manager.create_scene(soft["id"], number, "x")
        statuses.append(finish(manager.get_generation(generation["id"]), "completed", "completed")["status"])
    ultra = manager.create_variant(generation["id"], "ultra", 1)
    manager.create_scene(ultra["id"], 1, "x")
    statuses.append(manager.get_generation(generation["id"])["status"])
    statuses.append(finish(manager.get_generation(generation["id"]), *["completed"] * 3)["status"])

    assert statuses == ["processing", "processing", "processing", "completed"]


def test_more_scenes_than_announced_are_waited_for(manager, finish: Finish):
    generation = manager.create_generation("x", "url", ["soft"], None)
    variant = manager.create_variant(generation["id"], "soft", 1)
    for number in (1, 2):
        manager.create_scene(variant["id"], number, "x")

    found = finish(manager.get_generation(generation["id"]), "completed")

    assert (found["status"], found["variants"][0]["status"], found["variants"][0]["total_scenes"]) == (
        "processing",
        "processing",
        2,
    )


# ---------------------------------------------------------------- what a caller set


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_status_that_a_caller_set_stands_while_scenes_complete(
    manager, generation_factory, finish: Finish, status: str
):
    generation = generation_factory(2)
    manager.update_variant_status(generation["variants"][0]["id"], status, None, "the variant")
    manager.update_generation_status(generation["id"], status, "enough")

    found = finish(generation, "failed" if status == "completed" else "completed", "completed")

    assert (found["status"], found["error_message"]) == (status, "enough")
    assert (found["variants"][0]["status"], found["variants"][0]["error_message"]) == (status, "the variant")
    assert found["variants"][0]["scenes_completed"] == (1 if status == "completed" else 2)
    assert [scene["status"] for scene in scenes_of(found)][1] == "completed"


def test_a_caller_that_takes_its_status_back_gets_the_scenes_one(manager, generation_factory, finish: Finish):
    generation = finish(generation_factory(2), "completed", "completed")
    manager.update_generation_status(generation["id"], "failed", "enough")

    again = manager.update_generation_status(generation["id"], "processing")

    assert (again["status"], again["error_message"]) == ("completed", None)


@pytest.mark.parametrize(
    ("scenes", "pending", "processing"),
    [
        ([], "pending", "processing"),
        (["pending", "pending"], "pending", "processing"),
        (["processing", "pending"], "processing", "processing"),
        (["completed", "pending"], "processing", "processing"),
        (["completed", "completed"], "completed", "completed"),
        (["failed", "failed"], "failed", "failed"),
    ],
)
def test_a_pending_or_processing_that_a_caller_sets_stands_only_until_a_scene_has_begun(
    manager, generation_factory, finish: Finish, scenes: list[str], pending: str, processing: str
):
    """Then the scenes say what it is, and the call returns that."""
    generation = (
        finish(generation_factory(2), *scenes) if scenes else manager.create_generation("x", "url", ["soft"], 0)
    )
    variant_id = (scenes and generation["variants"][0]["id"]) or manager.create_variant(generation["id"], "soft")["id"]

    for status, then in (("pending", pending), ("processing", processing)):
        assert manager.update_variant_status(variant_id, status)["status"] == then
        assert manager.update_generation_status(generation["id"], status)["status"] == then


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_generation_is_not_over_while_a_scene_of_a_variant_that_a_caller_ended_is_made(
    manager, generation_factory, finish: Finish, status: str
):
    generation = finish(generation_factory(1, ["soft", "ultra"]), "processing", "failed")
    manager.update_variant_status(generation["variants"][0]["id"], status)
    assert manager.get_generation(generation["id"])["status"] == "processing"

    assert finish(generation, "completed")["status"] == "completed"


# ---------------------------------------------------------------- any order, and at once


def recount(variants: Sequence[Variant]) -> str:
    """What a generation's status is by the words of the design."""
    statuses = [[scene["status"] for scene in variant["scenes"]] for variant in variants]
    every = [status for of_variant in statuses for status in of_variant]
    if not {"pending", "processing"} & set(every):
        return "completed" if "completed" in every else "failed"
    return "processing"


def recount_variant(variant: Variant) -> str:
    statuses = {scene["status"] for scene in variant["scenes"]}
    if statuses == {"pending"}:
        return "pending"
    if statuses & {"pending", "processing"}:
        return "processing"
    return "failed" if "failed" in statuses else "completed"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_of_outcomes_gives_what_a_recount_gives(manager, generation_factory, finish: Finish, data):
    outcomes = data.draw(st.lists(st.sampled_from(["completed", "failed", "processing"]), min_size=4, max_size=4))
    order = data.draw(st.permutations(range(4)))
    generation = generation_factory(2, ["soft", "ultra"])
    scenes = scenes_of(generation)

    for index in order:
        manager.update_scene(scenes[index]["id"], status=outcomes[index])
        found = manager.get_generation(generation["id"])
        assert found["status"] == recount(found["variants"])
        for variant in found["variants"]:
            completed = sum(scene["status"] == "completed" for scene in variant["scenes"])
            assert (variant["status"], variant["scenes_completed"]) == (recount_variant(variant), completed)


@pytest.mark.parametrize("outcome", ["completed", "failed"])
def test_two_threads_that_finish_the_last_two_scenes_at_once_complete_the_generation(
    manager, generation_factory, outcome: str
):
    generations = [generation_factory(1, ["soft", "ultra"]) for _ in range(15)]
    together = Barrier(2)

    def finish_one(index: int) -> None:
        mine = GenerationManager(manager.owner_id)
        for generation in generations:
            scene_id = scenes_of(generation)[index]["id"]
            together.wait()
            mine.update_scene(scene_id, status=["completed", outcome][index])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(finish_one, range(2)))

    found = [manager.get_generation(generation["id"]) for generation in generations]
    assert {generation["status"] for generation in found} == {"completed"}
    assert {tuple(v["status"] for v in generation["variants"]) for generation in found} == {("completed", outcome)}
