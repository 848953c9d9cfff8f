"""list, show, stats and costs: what people see, and the API's own answers for scripts."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import requests

from tests.cli.conftest import refused


def asked(url: str, token: str, path: str) -> dict:
    """What the API answers."""
    response = requests.get(f"{url}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert response.ok
    return response.json()


@pytest.fixture
def generations(generation_factory) -> list[dict]:
    """Three of them, the oldest first."""
    return [generation_factory(2, ["soft", "ultra"], source_video_url=f"https://video.example/ad-{n}") for n in "abc"]


def test_json_is_the_answer_of_the_api(answer, api_url, token, spaces, stored, generation_factory):
    made = stored(generation_factory(2, ["soft", "ultra"]))

    for words, path in (
        (("list", "--limit", 1), "/history/generations?limit=1"),
        (("show", made["id"]), f"/history/generations/{made['id']}"),
        (("stats",), "/history/stats"),
    ):
        assert answer(*words) == asked(api_url, token, path)


def test_a_list_shows_people_what_there_is(run, spaces, stored, generation_factory, generations):
    stored(generation_factory(2, source_video_url="https://video.example/new"))

    result = run("list")

    heading, first, *others = result.stdout.splitlines()
    assert result.exit_code == 0
    assert heading.split() == ["id", "created", "status", "videos", "cost", "source"]
    assert all(text in first for text in ("completed", "2/2", "unknown", "video.example-new"))
    assert [line.split()[-1] for line in others] == [f"video.example-ad-{n}" for n in "cba"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--status", "failed"), ["a"]),
        (("--status", "failed,completed", "--status", "pending"), ["b", "a"]),
        (("-q", "AD-C"), ["c"]),
        (("--variant-type", "aggressive"), []),
        (("--from", "2020-01-01", "--to", "2020-01-02"), []),
        (("--created-from", "2020-01-01", "--variant-type", "ultra"), ["c", "b", "a"]),
        (("--limit", 1), ["c"]),
    ],
)
def test_a_list_takes_the_filters_of_the_api(answer, manager, generations, words, found):
    manager.update_generation_status(generations[0]["id"], "failed")
    manager.update_generation_status(generations[1]["id"], "completed")

    listed = answer("list", *words)["generations"]

    assert [one["source_video_url"][-1] for one in listed] == found


def test_pages_follow_each_other_and_all_of_them_are_one_document(answer, run, generations):
    first = answer("list", "--limit", 2)
    second = answer("list", "--limit", 2, "--cursor", first["next_cursor"])
    whole = answer("list", "--all")

    assert first["generations"] + second["generations"] == whole["generations"]
    assert (whole["count"], whole["total"], whole["next_cursor"], whole["next_offset"]) == (3, 3, None, None)
    assert f"--cursor {first['next_cursor']}" in run("list", "--limit", 2).stderr


def test_a_cursor_of_one_way_is_good_in_the_other(http, typed, generations):
    first = json.loads(http("list", "--json", "--limit", 1).stdout)
    second = typed("list", "--direct", "--json", "--limit", 1, "--cursor", first["next_cursor"])

    assert json.loads(second.stdout)["generations"][0]["id"] == generations[1]["id"]


def test_show_tells_people_everything_of_a_generation(run, manager, scenes_failed):
    result = run("show", scenes_failed["id"], "--prompts")

    assert result.exit_code == 0
    for text in (scenes_failed["id"], "https://video.example/ad", "original_analysis", "provider_failed: no luck"):
        assert text in result.stdout
    assert "soft scene 2" in result.stdout
    assert "soft scene 2" not in run("show", scenes_failed["id"]).stdout


@pytest.fixture
def scenes_failed(manager, generation_factory) -> dict:
    """A generation whose first scene has failed."""
    made = generation_factory(2)
    manager.update_scene(
        made["variants"][0]["scenes"][0]["id"], status="failed", error_code="provider_failed", error_message="no luck"
    )
    manager.save_metadata(made["id"], original_analysis={"seconds": 8})
    return made


def test_a_short_id_or_the_end_of_an_id_is_enough(answer, generation_factory):
    made, _other = generation_factory(1), generation_factory(1)

    for characters in (8, 12, 17):
        assert answer("show", made["id"][-characters:])["generation"]["id"] == made["id"]
    assert answer("show", made["short_id"])["generation"]["id"] == made["id"]


def test_a_unique_beginning_of_an_id_is_enough(answer, generation_factory):
    made = generation_factory(1)

    for characters in (8, 13, 18, 35):
        assert answer("show", made["id"][:characters].upper())["generation"]["id"] == made["id"]


def test_a_beginning_of_several_ids_names_them_and_chooses_none(run, generations):
    line = refused(run("show", generations[0]["id"][:8]))

    assert line.startswith("several ids begin or end with")
    assert all(one["id"] in line for one in generations)


@pytest.mark.parametrize("begins", ["f", "01a"])
def test_an_id_that_was_made_elsewhere_is_found(answer, db, owner, generations, begins):
    """It does not begin with the time at which it was recorded."""
    old = begins + str(uuid.uuid4())[len(begins) :]
    insert = """
        insert into generations (id, owner_id, source_video_url, source_video_type, total_variants, variant_types)
        values (%s, %s, 'https://video.example/old', 'url', 1, array['soft'])
    """
    db.rows(insert, old, owner)

    assert answer("show", old[:10])["generation"]["id"] == old


@pytest.mark.parametrize("text", ["01a2105", "no-id", "zzzzzzzz", "gen-uuid-1"])
def test_what_is_no_beginning_of_an_id_is_refused_by_name(run, text):
    assert refused(run("show", text)).startswith(f"'{text}' is no id")


@pytest.mark.parametrize("command", ["show", "watch", "download", "retry", "cancel", "delete", "restore"])
def test_another_owners_generation_is_not_found(run, db, stranger, generation_factory, command):
    theirs = generation_factory(1, by=stranger)
    before = db.everything()

    assert refused(run(command, theirs["id"])).startswith("no such generation")
    if command != "restore":
        assert refused(run(command, theirs["id"][:18])).startswith("no generation")
    assert db.everything() == before


def test_another_owners_generations_are_in_no_list_and_no_sum(answer, stranger, generation_factory):
    generation_factory(1, by=stranger)

    assert answer("list")["generations"] == []
    assert answer("stats")["stats"]["total_generations"] == 0
    assert answer("costs")["total"]["generations"] == 0


def test_what_a_source_is_called_does_not_act_on_a_terminal(run, manager, generation_factory):
    generation_factory(1, source_video_url="https://video.example/\x1b[31m[bold]red[/bold]\rx")

    made = manager.list_generations()[0]
    shown = run("list").stdout + run("show", made["id"]).stdout

    assert "[bold]red[/bold]" in shown
    assert "\x1b" not in shown
    assert "\r" not in shown


def test_statistics_are_told_in_words(run, spaces, stored, generation_factory):
    stored(generation_factory(2, ["soft", "ultra"]))

    shown = run("stats").stdout

    assert "1 (0 pending, 0 processing, 1 completed, 0 failed)" in shown
    assert "1 generations whose cost is unknown" in shown
    assert str(datetime.now(UTC).date()) in shown


@pytest.fixture
def priced(manager, generations) -> list[dict]:
    """One whose cost is reported, one with an estimate, and one of which nobody knows anything."""
    manager.report_cost(generations[0]["id"], 1.25)
    estimated = manager.create_generation("https://video.example/estimated", "url", ["soft"], 2.4)
    return [generations[0], estimated]


TOTAL = {"generations": 4, "cost": 1.25, "cost_unknown": 3, "estimated_cost": 2.4, "estimate_unknown": 3}


def test_costs_are_the_same_from_statistics_from_the_list_and_by_generation(answer, priced):
    by_stats = answer("costs")
    by_list = answer("costs", "--from", f"{by_stats['created_from']}T00:00:00Z")
    by_generation = answer("costs", "--by", "generation")

    assert by_stats["days"] == by_list["days"] == [{"day": str(datetime.now(UTC).date()), **TOTAL}]
    assert by_stats["total"] == by_list["total"] == by_generation["total"] == TOTAL
    assert [one["actual_cost"] for one in by_generation["generations"]] == [None, None, None, 1.25]


def test_costs_are_of_the_period_and_the_filters_alone(answer, priced):
    tomorrow = str(datetime.now(UTC).date() + timedelta(days=1))

    assert answer("costs", "--from", tomorrow)["total"]["generations"] == 0
    assert answer("costs", "-q", "estimated")["total"]["estimated_cost"] == 2.4
    assert answer("costs", "--to", "2020-01-01", "--from", "2019-01-01")["days"] == []


@pytest.mark.parametrize("by", ["day", "generation"])
def test_an_unknown_cost_is_shown_as_unknown_and_never_as_nothing(run, priced, by):
    shown = run("costs", "--by", by).stdout

    assert "$1.25, and 3 whose cost is unknown" in shown
    assert "$2.40, and 3 without an estimate" in shown
    assert "$0.00" not in shown


def test_a_narrow_terminal_cuts_nothing_of_a_row(run, monkeypatch, manager, generation_factory):
    made = generation_factory(3, source_video_url="https://video.example/a-rather-long-name-of-an-ad.mp4")
    manager.update_scene(made["variants"][0]["scenes"][0]["id"], status="failed")
    monkeypatch.setattr("generation_history.cli.output.WIDTH_ELSEWHERE", 80)

    lines = run("list").stdout.splitlines()

    assert max(map(len, lines)) <= 80
    whole = "".join("".join(line.split()) for line in lines)
    for text in (made["short_id"], "processing", "0/3,1failed", "unknown"):
        assert text in whole
