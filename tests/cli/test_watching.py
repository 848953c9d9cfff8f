"""watch: it ends when the generation has, and its exit code says how."""

import pytest

from generation_history.errors import Unavailable
from tests.cli.conftest import refused


def test_it_goes_on_until_the_generation_is_completed(run, pauses, manager, generation_factory):
    made = generation_factory(2)
    for scene in made["variants"][0]["scenes"]:
        pauses.append(
            lambda scene=scene: manager.update_scene(
                scene["id"], status="completed", video_url="https://elsewhere.example/video.mp4"
            )
        )

    result = run("watch", made["id"][:18])

    assert (result.exit_code, result.stdout) == (0, "completed: scenes: 2 completed\n")
    assert result.stderr.splitlines() == ["scenes: 2 pending", "scenes: 1 pending, 1 completed"]


def test_a_failed_generation_is_exit_code_1_and_says_why(run, pauses, manager, generation_factory):
    made = generation_factory(1)
    pauses.append(lambda: manager.update_generation_status(made["id"], "failed", "the pipeline broke"))

    result = run("watch", made["id"])

    assert (result.exit_code, result.stdout) == (1, "failed: scenes: 1 pending: the pipeline broke\n")


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("failed", 1)])
def test_a_script_gets_the_generation_as_it_ended(answer, manager, generation_factory, status, code):
    made = generation_factory(1)
    manager.update_generation_status(made["id"], status)

    told = answer("watch", made["id"], code=code)

    assert (told["generation"]["id"], told["generation"]["status"]) == (made["id"], status)


def test_when_the_time_is_over_it_says_how_far_it_is(run, generation_factory):
    made = generation_factory(2)

    result = run("watch", made["id"], "--timeout", 0)

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].endswith("has not ended within 0 s: scenes: 2 pending")


def test_a_deleted_generation_is_not_watched_for_ever(run, pauses, manager, generation_factory):
    made = generation_factory(1)
    pauses.append(lambda: manager.delete_generation(made["id"]))

    result = run("watch", made["id"])

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "generation-history: no such generation"


def test_a_database_that_is_away_for_a_moment_ends_no_watching(run, pauses, manager, generation_factory, monkeypatch):
    made = generation_factory(1)
    manager.update_generation_status(made["id"], "completed")
    answers = [Unavailable("away")] * 5
    read = type(manager).get_generation

    def away(self, generation_id):
        if answers:
            raise answers.pop()
        return read(self, generation_id)

    monkeypatch.setattr(type(manager), "get_generation", away)

    assert run("watch", made["id"]).exit_code == 0


def test_a_database_that_stays_away_ends_it(run, generation_factory, monkeypatch, manager):
    made = generation_factory(1)

    def away(_self, _id):
        raise Unavailable("the database is away")

    monkeypatch.setattr(type(manager), "get_generation", away)

    assert refused(run("watch", made["id"]))
