"""retry, cancel, delete and restore do what the API does, and say what becomes of what is paid for."""

import pytest
from click.testing import CliRunner

from generation_history.cli import changing
from generation_history.cli.commands import commands
from tests.cli.conftest import refused


def scenes_of(manager, generation_id: str) -> list[tuple[str, str | None]]:
    generation = manager.get_generation(generation_id)
    return [(s["status"], s["error_code"]) for v in generation["variants"] for s in v["scenes"]]


@pytest.fixture
def failed(manager, generation_factory) -> dict:
    """A generation of four scenes: two failed at the provider, one as submit_unknown, one was completed."""
    made = generation_factory(2, ["soft", "ultra"])
    (first, second), (third, fourth) = (variant["scenes"] for variant in made["variants"])
    for scene in (first, third):
        manager.update_scene(scene["id"], status="failed", error_code="provider_failed")
    manager.update_scene(second["id"], status="failed", error_code="submit_unknown")
    manager.update_scene(fourth["id"], status="completed", video_url="https://elsewhere.example/video.mp4")
    return made


def test_a_cancelled_generation_submits_nothing_more_and_keeps_what_is_paid_for(run, manager, db, generation_factory):
    made = generation_factory(3, submit=True)
    paid = made["variants"][0]["scenes"][0]["id"]
    db.rows("update jobs set step = 'poll' where scene_id = %s", paid)

    result = run("cancel", made["id"][:18])

    assert result.exit_code == 0
    assert "2 scenes were not submitted: they are cancelled for good, and cost nothing" in result.stdout
    assert "1 scenes are submitted and paid for: their videos are still fetched and stored" in result.stdout
    assert scenes_of(manager, made["id"]) == [("pending", None), ("failed", "cancelled"), ("failed", "cancelled")]
    assert db.rows("select scene_id::text from jobs") == [(paid,)]


def test_a_cancelled_generation_is_told_as_the_api_tells_it(answer, generation_factory):
    told = answer("cancel", generation_factory(1)["id"])

    assert set(told) == {"success", "generation"}
    assert (told["generation"]["status"], told["generation"]["error_message"]) == ("failed", "cancelled")


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_what_has_ended_is_not_cancelled(run, manager, generation_factory, status):
    made = generation_factory(1)
    manager.update_generation_status(made["id"], status, "as it was" if status == "failed" else None)
    before = manager.get_generation(made["id"])

    assert refused(run("cancel", made["id"])).endswith(f"has ended already: it is {status}")
    assert manager.get_generation(made["id"]) == before


def test_a_deleted_generation_is_restored_by_its_whole_id(run, answer, manager, generation_factory):
    made = generation_factory(1)

    assert f"restore {made['id']}" in run("delete", made["id"][:18]).stdout
    assert manager.get_generation(made["id"]) is None
    assert "no whole id" in refused(run("restore", made["id"][:18]))
    assert answer("restore", made["id"]) == {"success": True, "message": "Generation restored"}
    assert manager.get_generation(made["id"])


def test_deleting_twice_says_that_it_is_gone(run, answer, generation_factory):
    made = generation_factory(1)

    assert answer("delete", made["id"]) == {"success": True, "message": "Generation deleted"}
    assert refused(run("delete", made["id"])) == "no such generation"


def test_nothing_is_paid_for_again_unless_somebody_agrees(run, manager, failed):
    before = scenes_of(manager, failed["id"])

    assert "2 scenes may be paid for again: say --yes" in refused(run("retry", failed["id"]), code=2)
    assert scenes_of(manager, failed["id"]) == before


@pytest.mark.parametrize(("reply", "status"), [("n\n", "failed"), ("y\n", "pending")])
def test_who_can_be_asked_is_asked(monkeypatch, db, owner, manager, failed, reply, status):
    monkeypatch.setattr(changing, "_can_ask", lambda: True)

    words = ["retry", "--direct", failed["id"], "--scene", "1"]
    result = CliRunner().invoke(commands, words, input=reply)

    assert "2 scenes may be paid for again. Go on?" in result.stderr
    assert result.exit_code == (1 if status == "failed" else 0)
    assert scenes_of(manager, failed["id"])[0][0] == status


def test_failed_scenes_are_tried_again_and_the_others_left_alone(run, manager, failed):
    result = run("retry", failed["id"], "--yes")

    assert result.exit_code == 1
    assert result.stdout == "2 of 3 failed scenes are tried again\n"
    assert result.stderr.startswith("scene 2: there is nothing to fetch and no reason for a new attempt")
    statuses = [status for status, _ in scenes_of(manager, failed["id"])]
    assert statuses == ["pending", "failed", "pending", "completed"]


def test_a_scene_of_which_nobody_knows_is_posted_again_only_if_confirmed(answer, manager, failed):
    told = answer("retry", failed["id"], "--yes", "--confirmed")

    assert (told["success"], len(told["scenes"]), told["refused"]) == (True, 3, [])
    assert [status for status, _ in scenes_of(manager, failed["id"])] == ["pending", "pending", "pending", "completed"]


def test_only_the_scenes_that_are_named_are_tried_again(answer, manager, failed):
    told = answer("retry", failed["id"], "--yes", "--variant-type", "ultra", "--scene", 1)

    assert [scene["id"] for scene in told["scenes"]] == [failed["variants"][1]["scenes"][0]["id"]]
    assert [status for status, _ in scenes_of(manager, failed["id"])] == ["failed", "failed", "pending", "completed"]


def test_without_a_failed_scene_there_is_nothing_to_retry(run, generation_factory):
    assert refused(run("retry", generation_factory(1)["id"])) == "there is no failed scene to retry"
