"""How each oddity of an older installation is decided."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from generation_history.work.inspections import Inspections
from tests.support.old_installation import HOST, LONG_AGO

WHEN = LONG_AGO.isoformat()


def scene(generation: dict[str, Any]) -> dict[str, Any]:
    (variant,) = generation["variants"]
    (only,) = variant["scenes"]
    return only


#: By what is odd, what is shown of it afterwards.
DECIDED: dict[str, Callable[[dict[str, Any]], bool]] = {
    "failed with completed_at 0": lambda it: (
        (it["status"], it["completed_at"], it["error_message"]) == ("failed", None, "no")
        and (scene(it)["status"], scene(it)["error_code"]) == ("failed", "abandoned")
    ),
    "processing of last year": lambda it: (
        (it["status"], it["actual_cost"], scene(it)["status"]) == ("processing", None, "pending")
    ),
    "pending of last year": lambda it: it["status"] == "pending",
    "types of the variants alone": lambda it: (it["variant_types"], it["total_variants"]) == (["soft"], 1),
    "type in capitals": lambda it: (
        it["variant_types"] == ["medium"] == [it["variants"][0]["variant_type"]]
        and scene(it)["video_url"].endswith(f"/generations/{it['id']}/medium/scene_1.mp4")
        and scene(it)["thumbnail_url"].endswith(f"/generations/{it['id']}/medium/scene_1_thumb.jpg")
    ),
    "total_variants wrong": lambda it: it["total_variants"] == 1,
    "a type twice": lambda it: (it["variant_types"], it["total_variants"]) == (["soft"], 1),
    "status unknown": lambda it: (
        (it["status"], it["completed_at"], scene(it)["status"])
        == (
            "failed",
            None,
            "completed",
        )
    ),
    "status in capitals": lambda it: it["status"] == "completed",
    "no source": lambda it: it["source_video_url"] == "(unknown)",
    "long source": lambda it: len(it["source_video_url"]) == 4096,
    "negative cost": lambda it: it["actual_cost"] is None is it["cost_estimate"],
    "no created_at": lambda it: it["created_at"] == it["updated_at"],
    "no time at all": lambda it: it["created_at"] > WHEN,
    "no completed_at": lambda it: it["completed_at"] == it["updated_at"],
    "no source type": lambda it: it["source_video_type"] == "file",
    "a variant of unknown type": lambda it: len(it["variants"]) == 1,
    "a variant twice": lambda it: (
        len(it["variants"]) == 1 and scene(it)["status"] == "completed" and it["variants"][0]["total_scenes"] == 1
    ),
    "scenes_completed null": lambda it: (
        (it["variants"][0]["scenes_completed"], it["variants"][0]["total_scenes"]) == (1, 1)
    ),
    "more completed than total": lambda it: (
        (it["variants"][0]["scenes_completed"], it["variants"][0]["total_scenes"]) == (1, 1)
    ),
    "a variant's status unknown": lambda it: it["variants"][0]["status"] == "failed",
    "failed with a time": lambda it: (
        (scene(it)["status"], scene(it)["completed_at"], scene(it)["error_code"], scene(it)["sora_video_id"])
        == ("failed", None, "download_failed", "video_1")
    ),
    "a long prompt": lambda it: len(scene(it)["sora_prompt"]) == 32_000,
    "negative sizes": lambda it: scene(it)["duration"] is None is scene(it)["file_size"],
    "completed without a video": lambda it: (scene(it)["status"], scene(it)["error_code"]) == ("failed", "not_found"),
    "an empty URL": lambda it: (
        (scene(it)["status"], scene(it)["video_url"], scene(it)["thumbnail_url"]) == ("failed", None, None)
    ),
    "a video elsewhere": lambda it: (
        (scene(it)["status"], scene(it)["video_url"], scene(it)["file_size"])
        == ("completed", "https://cdn.example/v.mp4", 7)
    ),
    "a job's id that is none": lambda it: scene(it)["sora_video_id"] is None,
    "number 0": lambda it: (
        [one["scene_number"] for one in it["variants"][0]["scenes"]] == [1, 2]
        and it["variants"][0]["scenes"][1]["video_url"].endswith("/soft/scene_0.mp4")
    ),
    "a number twice": lambda it: scene(it)["status"] == "completed",
    "wrong size": lambda it: scene(it)["file_size"] > 1,
    "bare": lambda it: scene(it)["file_size"] > 1 and scene(it)["duration"] is None,
    "no such object": lambda it: (
        (scene(it)["status"], scene(it)["video_url"])
        == (
            "completed",
            f"{HOST}/generations/{it['id']}/soft/scene_1.mp4",
        )
    ),
    "session by log": lambda it: (
        (scene(it)["status"], it["variants"][0]["status"], it["status"], it["actual_cost"])
        == ("completed", "completed", "completed", 0.96)
        and scene(it)["video_url"].endswith(f"/generations/{it['id']}/soft/scene_1.mp4")
    ),
    "session by event": lambda it: scene(it)["status"] == "completed",
    "metadata twice": lambda it: (
        (it["metadata"]["original_analysis"], it["metadata"]["prompts_data"]) == ({"new": 1}, {"kept": 1})
    ),
    "metadata as a text": lambda it: (
        (it["metadata"]["original_analysis"], it["metadata"]["evaluation_data"]) == ({"hook": "fast"}, "just a word")
    ),
    "metadata with NaN": lambda it: (
        it["metadata"]["original_analysis"] == '{"score": NaN}'
        and it["metadata"]["prompts_data"] == '{"text": "a\\u0000b"}'
    ),
}


def test_each_oddity_is_decided_as_it_should_be(old, run, manager):
    old.fill()
    run()

    decided = {name: manager.get_generation(str(old.named[name])) for name in DECIDED}

    assert [name for name, it in decided.items() if it is None or not DECIDED[name](it)] == []
    assert {name for name in old.named if not name.startswith("as it should be")} - set(DECIDED) == {
        *("failed with completed_at 1", "failed with completed_at 2"),
        # These do not come.
        *("unknown type", "no types"),
    }


def test_what_is_not_odd_comes_as_it_is(old, run, db):
    old.whole("soft", "ultra", scenes=3)

    report = run()

    assert report.reasons == {}
    for table, ours in (("generations", "owner_id"), ("variants", "owner_id"), ("scenes", "owner_id")):
        columns = [
            name
            for (name,) in db.rows(
                "select column_name from information_schema.columns where table_schema = 'old' and table_name = %s",
                table,
            )
        ]
        names = ", ".join(columns)
        assert db.rows(f"select {names} from public.{table} order by id") == db.rows(
            f"select {names} from old.{table} order by id"
        ), ours


def test_an_unknown_type_may_be_mapped_to_a_known_one(old, run, manager):
    one = old.whole("extreme")

    run(mapped={"extreme": "ultra"})

    it = manager.get_generation(str(one))
    assert (it["variant_types"], it["variants"][0]["variant_type"]) == (["ultra"], "ultra")
    assert scene(it)["video_url"].endswith(f"/generations/{one}/ultra/scene_1.mp4")


def test_no_scene_that_has_a_video_of_its_own_is_dropped(old, run, manager):
    """Twins have their videos pooled, and a second video of a number gets the next number."""
    one = old.generation()
    first, second = old.variant(one, created_at=LONG_AGO - timedelta(hours=1)), old.variant(one)
    old.stored(one, first, 1)
    old.stored(one, first, 2)
    old.stored(one, second, 3)
    old.scene(second, 1, status="completed", completed_at=LONG_AGO, video_url="https://cdn.example/other.mp4")

    run()

    (variant,) = manager.get_generation(str(one))["variants"]
    videos = {it["scene_number"]: it["video_url"].rpartition("/")[2] for it in variant["scenes"]}
    assert variant["id"] == str(first)
    assert videos == {1: "scene_1.mp4", 2: "scene_2.mp4", 3: "scene_3.mp4", 4: "other.mp4"}


def test_a_failed_scene_is_retried_without_paying_again_for_what_may_be_there(old, run, manager, db):
    one = old.generation()
    variant = old.variant(one)
    paid = old.scene(variant, 1, status="failed", sora_video_id="video_1", sora_status="completed")
    gone = old.scene(variant, 2, status="failed", sora_video_id="video_2", sora_status="failed")
    run()

    for scene_id in (paid, gone):
        manager.retry_scene(str(scene_id))

    assert dict(db.rows("select scene_id, step from jobs")) == {paid: "poll", gone: "submit"}


def test_the_poller_makes_what_a_row_lacks(old, run, manager, worker_db, videos):
    old.fill()
    run()
    inspections = Inspections(worker_db, videos)

    while inspections.run():
        continue

    inspections.close()
    for name in ("bare", "session by log", "session by event"):
        it = scene(manager.get_generation(str(old.named[name])))
        assert (it["duration"], it["resolution"], it["file_size"]) == (2, "160x90", len(old.film))
        assert it["thumbnail_url"].endswith("/soft/scene_1_thumb.jpg")


def test_a_word_that_is_mapped_stands_beside_the_type(old, run, db):
    old.whole("Extreme")
    old.whole("Medium")

    run(mapped={"extreme": "ultra"})

    assert set(db.rows("select variant_type, given_type from variants")) == {("ultra", "Extreme"), ("medium", None)}
