"""A pipeline is never ended by its record: what cannot be recorded now is recorded later, in order and once."""

import json
import logging
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from generation_history.db import database
from generation_history.errors import NotFound, Unavailable
from generation_history.pipeline_integrator import PipelineIntegrator
from scripts.local.tcp_proxy import TcpProxy
from tests.support.scripted_server import answer

SOURCE = ("https://video.example/ad", "url", ["soft"], 0.77)


@pytest.fixture
def spool_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "spool" / "spool.jsonl"
    monkeypatch.setenv("HISTORY_SPOOL_FILE", str(path))
    return path


@pytest.fixture
def wire(db, monkeypatch: pytest.MonkeyPatch) -> Iterator[TcpProxy]:
    """What lies between a pipeline and its database."""
    port = urlsplit(db.api).port
    with TcpProxy(port) as proxy:
        url = db.api.replace(f":{port}/", f":{proxy.port}/")
        monkeypatch.setenv("DATABASE_URL", url)
        yield proxy
        database.connect(url, setting="DATABASE_URL").close()


@pytest.fixture
def cut(wire: TcpProxy) -> Callable[[], Callable[[], None]]:
    """Cuts the database off; what is returned brings it back."""

    def cut() -> Callable[[], None]:
        port, wire.target = wire.target, None
        wire.cut_all()
        return lambda: setattr(wire, "target", port)

    return cut


@pytest.fixture
def pipeline(wire, owner, spaces, spool_file, monkeypatch: pytest.MonkeyPatch) -> PipelineIntegrator:
    """A pipeline that waits for no database."""
    monkeypatch.setenv("HISTORY_PIPELINE_WAIT_SECONDS", "0")
    return PipelineIntegrator()


@pytest.fixture
def content_url(scripted, film, monkeypatch) -> str:
    monkeypatch.setenv("SORA_BASE_URL", scripted.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    scripted.script(answer(200, film, kind="video/mp4"))
    return f"{scripted.base_url}/videos/video_1/content"


def run(pipeline: PipelineIntegrator, content_url: str) -> tuple[str, str]:
    """Every call of a pipeline, in its order: the ids of the generation and of its scene."""
    generation_id = pipeline.start_generation(*SOURCE)
    pipeline.save_analysis_metadata(generation_id, {"score": 1})
    pipeline.save_transformation_metadata(generation_id, ["calmer"])
    pipeline.save_prompts_metadata(generation_id, {"soft": ["a cat"]})
    (scene_id,) = pipeline.create_scene_records(generation_id, "soft", ["a cat"])
    pipeline.process_sora_video(scene_id, "video_1", content_url, generation_id, "soft", 1)
    pipeline.gen_manager.update_generation_status(generation_id, "completed", actual_cost=0.96)
    return generation_id, scene_id


# ---------------------------------------------------------------- what JSON and Postgres cannot hold


@pytest.mark.parametrize("value", [math.nan, "a\0b", {1, 2}, "\ud800", b"\xff", object()])
def test_metadata_that_cannot_be_kept_is_kept_in_its_nearest_form_and_named(pipeline, value, caplog):
    generation_id = pipeline.start_generation(*SOURCE)

    pipeline.save_analysis_metadata(generation_id, {"hook": "a cat", "score": [value]})

    kept = pipeline.gen_manager.get_generation(generation_id)["metadata"]["original_analysis"]
    assert kept["hook"] == "a cat"
    assert len(kept["score"]) == 1
    (warning,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert "$.score[0]" in warning
    assert generation_id in warning


def test_metadata_that_the_database_refuses_all_the_same_is_kept_beside_the_spool_file(
    pipeline, spool_file, monkeypatch, caplog
):
    generation_id = pipeline.start_generation(*SOURCE)
    monkeypatch.setattr("generation_history.pipeline_integrator.nearest_json", lambda value: (value, []))

    pipeline.save_analysis_metadata(generation_id, "a\0b")

    refused = Path(f"{spool_file}.refused")
    assert json.loads(refused.read_text())["arguments"] == {"original_analysis": "a\0b"}
    assert str(refused) in caplog.text


def test_a_generation_that_is_not_there_is_still_an_error(pipeline):
    with pytest.raises(NotFound):
        pipeline.save_analysis_metadata("018f0000-0000-7000-8000-000000000002", {})


# ---------------------------------------------------------------- a database that is away


def test_a_whole_run_without_a_database_is_recorded_by_the_next_call_that_reaches_it(
    pipeline, cut, content_url, spool_file, caplog, db
):
    back = cut()
    generation_id, scene_id = run(pipeline, content_url)
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == len(spool_file.read_text().splitlines()) == 7
    assert all(str(spool_file) in message for message in errors)

    back()
    other_id = pipeline.start_generation(*SOURCE)

    found = pipeline.gen_manager.get_generation(generation_id)
    assert (found["status"], found["actual_cost"]) == ("completed", 0.96)
    assert found["metadata"]["original_analysis"] == {"score": 1}
    assert found["metadata"]["prompts_data"] == {"soft": ["a cat"]}
    (scene,) = found["variants"][0]["scenes"]
    assert (scene["id"], scene["sora_video_id"], scene["status"]) == (scene_id, "video_1", "processing")
    assert db.rows("select step, run_at <= now() from jobs") == [("poll", True)]
    assert pipeline.gen_manager.get_generation(other_id)["status"] == "processing"
    assert not spool_file.exists()


class Figure(float):
    """A number of a kind of its own, as arrays have them."""


@pytest.mark.parametrize("cost", [Decimal("0.77"), Figure(0.77), Fraction(77, 100), 0.77])
@pytest.mark.parametrize("is_away", [False, True])
def test_a_cost_of_any_kind_of_number_is_recorded_with_a_database_and_without(
    pipeline, manager, cut, cost, *, is_away: bool
):
    bring_back = cut() if is_away else lambda: None
    generation_id = pipeline.start_generation("https://video.example/ad", "url", ["soft"], cost)
    pipeline.gen_manager.update_generation_status(generation_id, "failed", error_message="no", actual_cost=cost)
    bring_back()

    pipeline.save_analysis_metadata(generation_id, {})

    generation = manager.get_generation(generation_id)
    assert (generation["cost_estimate"], generation["actual_cost"]) == (0.77, 0.77)


def test_a_run_whose_database_comes_back_in_the_middle_goes_on_with_the_ids_it_was_given(
    pipeline, cut, content_url, spool_file
):
    back = cut()
    generation_id = pipeline.start_generation(*SOURCE)
    scene_ids = pipeline.create_scene_records(generation_id, "soft", ["a cat", "a dog"])
    assert pipeline.create_scene_records(generation_id, "soft", ["a cat", "a dog"]) == scene_ids
    back()

    done = pipeline.process_sora_video(scene_ids[1], "video_1", content_url, generation_id, "soft", 2)

    assert (done["id"], done["status"], done["sora_prompt"]) == (scene_ids[1], "completed", "a dog")
    assert pipeline.create_scene_records(generation_id, "soft", ["a cat", "a dog"]) == scene_ids
    assert not spool_file.exists()


def test_a_database_that_is_cut_off_while_rendering_loses_no_job(pipeline, cut, content_url, scripted, db, caplog):
    generation_id = pipeline.start_generation(*SOURCE)
    (scene_id,) = pipeline.create_scene_records(generation_id, "soft", ["a cat"])
    back = cut()
    shown = pipeline.process_sora_video(scene_id, "video_1", content_url, generation_id, "soft", 1)
    assert (shown["id"], shown["status"], shown["sora_video_id"]) == (scene_id, "processing", "video_1")
    back()

    pipeline.gen_manager.update_generation_status(generation_id, "completed", actual_cost=0.96)

    assert db.rows("select s.sora_video_id, j.step from scenes s join jobs j on j.scene_id = s.id") == [
        ("video_1", "poll")
    ]
    found = pipeline.gen_manager.get_generation(generation_id)
    assert found["error_message"] == "completed by its caller without a video: 1 of 1 scenes are open"


def test_a_database_that_is_cut_off_after_the_download_leaves_the_rest_to_the_poller(
    pipeline, cut, content_url, db, monkeypatch, caplog
):
    generation_id = pipeline.start_generation(*SOURCE)
    (scene_id,) = pipeline.create_scene_records(generation_id, "soft", ["a cat"])
    process = pipeline.video_manager.process_and_store_video

    def process_and_cut(*arguments: object, **named: object) -> object:
        stored = process(*arguments, **named)
        cut()
        return stored

    monkeypatch.setattr(pipeline.video_manager, "process_and_store_video", process_and_cut)

    shown = pipeline.process_sora_video(scene_id, "video_1", content_url, generation_id, "soft", 1)

    assert shown["status"] == "processing"
    assert "the poller records it" in caplog.text
    assert db.rows("select step from jobs") == [("poll",)]


def test_what_was_recorded_before_a_crash_is_not_recorded_again(pipeline, cut, content_url, spool_file, db):
    """Not even if somebody has changed it since."""
    back = cut()
    generation_id, _ = run(pipeline, content_url)
    kept = spool_file.read_bytes()
    back()
    pipeline.start_generation(*SOURCE)
    pipeline.gen_manager.save_metadata(generation_id, original_analysis={"score": 2})
    pipeline.gen_manager.update_generation_status(generation_id, "failed", "looked at")
    before = db.everything()
    # As it was when the process died before it removed what it had recorded.
    spool_file.write_bytes(kept)

    pipeline.save_evaluation_metadata(generation_id, None)

    assert db.everything() == before
    assert not spool_file.exists()
    assert not Path(f"{spool_file}.refused").exists()


def test_scenes_that_had_other_ids_are_found_by_their_place(pipeline, manager, cut, content_url, spool_file):
    """A run that is repeated without a database cannot know them."""
    generation = manager.create_with_scenes("https://video.example/ad", "url", {"soft": ["a cat"]}, submit=False)
    back = cut()
    (made_up_id,) = pipeline.create_scene_records(generation["id"], "soft", ["a cat"])
    back()

    done = pipeline.process_sora_video(made_up_id, "video_1", content_url, generation["id"], "soft", 1)

    (scene,) = manager.get_generation(generation["id"])["variants"][0]["scenes"]
    assert (scene["id"], scene["status"]) == (done["id"], "completed")
    assert scene["id"] != made_up_id


def test_a_database_that_comes_back_in_time_is_waited_for(pipeline, cut, spool_file, monkeypatch, caplog):
    monkeypatch.setenv("HISTORY_PIPELINE_WAIT_SECONDS", "60")
    pipeline = PipelineIntegrator()
    back = cut()
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: back())

    generation_id = pipeline.start_generation(*SOURCE)

    assert pipeline.gen_manager.get_generation(generation_id)["status"] == "processing"
    assert not spool_file.exists()


def test_one_outage_is_waited_for_once(pipeline, cut, monkeypatch, caplog):
    monkeypatch.setenv("HISTORY_PIPELINE_WAIT_SECONDS", "60")
    pipeline = PipelineIntegrator()
    cut()
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: now.__setitem__(0, now[0] + max(seconds, 0.01)))
    generation_id = pipeline.start_generation(*SOURCE)
    waited = now[0]
    assert waited >= 60

    pipeline.save_analysis_metadata(generation_id, {})

    assert now[0] - waited < 5
    assert caplog.text.count("waits up to 60 s for the database") == 1


def test_where_neither_takes_it_that_is_said_before_anything_is_paid(pipeline, cut, spool_file, caplog):
    cut()
    spool_file.parent.write_text("a file where the folder would be")

    with pytest.raises(Unavailable, match="HISTORY_SPOOL_FILE"):
        pipeline.start_generation(*SOURCE)
    pipeline.save_analysis_metadata("018f0000-0000-7000-8000-000000000002", {})

    assert "is lost" in caplog.text
