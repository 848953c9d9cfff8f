"""What an ad cloner's pipeline calls, in the order and by the positions it always did."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import requests

from generation_history import provider_settings
from generation_history.errors import Conflict, HistoryError, InvalidValue, JobGone, NotAllowed, NotFound, SceneFailure
from generation_history.pipeline_integrator import PipelineIntegrator
from generation_history.storage.object_store import ObjectStore
from tests.support.scripted_server import answer


@pytest.fixture
def pipeline(manager, spaces) -> PipelineIntegrator:
    return PipelineIntegrator()


@pytest.fixture
def posted(sora):
    """Submits a prompt as a pipeline does by itself: the job's id and the URL of its video, once that is there."""
    headers = {"Authorization": f"Bearer {provider_settings.provider_key()}"}

    def posted(prompt):
        body = {"prompt": prompt, "model": "sora-2", "size": "64x96", "seconds": "1"}
        job = requests.post(f"{sora}/videos", json=body, headers=headers, timeout=5).json()
        deadline = time.monotonic() + 30
        while requests.get(f"{sora}/videos/{job['id']}", headers=headers, timeout=5).json()["status"] != "completed":
            assert time.monotonic() < deadline
        return job["id"], f"{sora}/videos/{job['id']}/content"

    return posted


def posts(sora, prompt):
    return requests.get(f"{sora.removesuffix('/v1')}/simulator/posts", timeout=5).json()["posts"].get(prompt, 0)


@pytest.fixture
def content_url(scripted, film, monkeypatch) -> str:
    """Where a provider, which does whatever the test scripts, has a video."""
    monkeypatch.setenv("SORA_BASE_URL", scripted.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    scripted.script(answer(200, film, kind="video/mp4"))
    return f"{scripted.base_url}/videos/video_1/content"


@pytest.fixture
def scene(pipeline):
    """Scene 1 of a soft variant: its id, and what process_sora_video is told of it."""
    generation_id = pipeline.start_generation("https://video.example/ad", "url", ["soft", "ultra"], 1.5)
    (scene_id,) = pipeline.create_scene_records(generation_id, "soft", ["a cat"])
    return scene_id, (generation_id, "soft", 1)


def stored(spaces, scene):
    """What the store has of a scene's video: its content, or None."""
    link, _ = ObjectStore(spaces).signed_url(f"generations/{scene[1][0]}/soft/scene_1.mp4")
    found = requests.get(link, timeout=5)
    return found.content if found.ok else None


# ---------------------------------------------------------------- the old order of calls


def test_the_old_order_of_calls_records_everything_and_posts_nothing_of_its_own(pipeline, posted, worker, sora):
    generation_id = pipeline.start_generation("https://video.example/ad", "url", ["soft"], 1.5)
    pipeline.save_analysis_metadata(generation_id, {"hook": "a cat"})
    pipeline.save_transformation_metadata(generation_id, ["calmer"])
    prompts = [f"scene {number} of {generation_id}" for number in (1, 2)]
    pipeline.save_prompts_metadata(generation_id, {"soft": prompts})
    scene_ids = pipeline.create_scene_records(generation_id, "soft", prompts)
    for number, (scene_id, prompt) in enumerate(zip(scene_ids, prompts, strict=True), start=1):
        video_id, content_url = posted(prompt)
        worker.run(seconds=600)
        pipeline.process_sora_video(scene_id, video_id, content_url, generation_id, "soft", number)
    pipeline.save_evaluation_metadata(generation_id, {"score": 9})

    worker.run(seconds=600)

    generation = pipeline.gen_manager.get_generation(generation_id)
    assert generation["status"] == "completed"
    assert [scene["status"] for scene in generation["variants"][0]["scenes"]] == ["completed", "completed"]
    assert generation["metadata"] == {
        "original_analysis": {"hook": "a cat"},
        "transformation_data": ["calmer"],
        "prompts_data": {"soft": prompts},
        "evaluation_data": {"score": 9},
    }
    assert [posts(sora, prompt) for prompt in prompts] == [1, 1]


def test_a_started_generation_is_processing_and_its_variants_exist(pipeline):
    generation_id = pipeline.start_generation("script-only-mode", "script", ["soft", "ultra"], None)

    generation = pipeline.gen_manager.get_generation(generation_id)

    assert generation["status"] == "processing"
    assert [variant["variant_type"] for variant in generation["variants"]] == ["soft", "ultra"]


def test_recording_queues_no_post_unless_asked_to(pipeline, db):
    generation_id = pipeline.start_generation("https://video.example/ad", "url", ["soft", "ultra"], 1.5)

    pipeline.create_scene_records(generation_id, "soft", ["a cat"])
    assert db.rows("select count(*) from jobs") == [(0,)]
    pipeline.create_scene_records(generation_id, "ultra", ["a cat"], submit=True)
    assert db.rows("select count(*) from jobs") == [(1,)]


def test_a_processed_scene_is_completed_with_its_stored_video(pipeline, scene, content_url, spaces, film):
    done = pipeline.process_sora_video(scene[0], "video_1", content_url, *scene[1])

    assert (done["status"], done["sora_video_id"], done["sora_status"]) == ("completed", "video_1", "completed")
    assert (done["duration"], done["resolution"], done["file_size"]) == (2, "160x90", len(film))
    assert done == pipeline.gen_manager.get_scene(scene[0])
    assert stored(spaces, scene) == film


def test_arguments_may_be_named_as_in_the_old_examples(pipeline, scene, content_url):
    generation_id, variant_type, scene_number = scene[1]

    done = pipeline.process_sora_video(
        scene_id=scene[0],
        sora_video_id="video_1",
        sora_content_url=content_url,
        generation_id=generation_id,
        variant_type=variant_type,
        scene_number=scene_number,
    )

    assert done["status"] == "completed"


# ---------------------------------------------------------------- repeats and failures


def test_a_repeat_changes_nothing_and_fetches_nothing(pipeline, scene, content_url, scripted):
    call = (scene[0], "video_1", content_url, *scene[1])
    first = pipeline.process_sora_video(*call)

    assert pipeline.process_sora_video(*call) == first

    assert len(scripted.requests) == 1


def test_the_same_call_twice_at_once_stores_one_video(pipeline, scene, content_url, spaces, film):
    call = (scene[0], "video_1", content_url, *scene[1])

    with ThreadPoolExecutor(2) as threads:
        both = list(threads.map(lambda _: pipeline.process_sora_video(*call), range(2)))

    assert {done["status"] for done in both} == {"completed"}
    assert stored(spaces, scene) == film


def test_another_video_for_a_completed_scene_is_refused(pipeline, scene, content_url):
    pipeline.process_sora_video(scene[0], "video_1", content_url, *scene[1])

    with pytest.raises(Conflict, match="video_1"):
        pipeline.process_sora_video(scene[0], "video_2", content_url, *scene[1])


FAILURES = {
    "gone": (answer(404), JobGone),
    "broken": (answer(500), SceneFailure),
    "a page": (answer(200, b"<html>", kind="text/html"), SceneFailure),
    "a refused key": (answer(401, {"error": {"message": "wrong"}}), NotAllowed),
}


@pytest.mark.parametrize(("given", "error"), FAILURES.values(), ids=FAILURES.keys())
def test_a_video_that_the_call_could_not_fetch_is_left_to_the_poller_then_raised_and_a_repeat_succeeds(
    pipeline, scene, content_url, scripted, film, given, error, db
):
    call = (scene[0], "video_1", content_url, *scene[1])
    scripted.script(given)
    with pytest.raises(error) as raised:
        pipeline.process_sora_video(*call)
    left = pipeline.gen_manager.get_scene(scene[0])
    assert (left["status"], left["error_code"], left["error_message"]) == ("processing", None, str(raised.value))
    assert left["sora_video_id"] == "video_1"
    assert db.rows("select step, run_at <= now() from jobs") == [("poll", True)]

    scripted.script(answer(200, film, kind="video/mp4"))
    done = pipeline.process_sora_video(*call)

    assert (done["status"], done["error_code"], done["error_message"]) == ("completed", None, None)
    assert db.rows("select count(*) from jobs") == [(0,)]


def test_a_store_that_cannot_be_written_leaves_the_video_to_the_poller(pipeline, scene, content_url, monkeypatch, db):
    monkeypatch.setenv("DO_SPACES_SECRET_KEY", "wrong-secret")

    with pytest.raises(SceneFailure, match="DO_SPACES_SECRET_KEY"):
        pipeline.process_sora_video(scene[0], "video_1", content_url, *scene[1])

    assert pipeline.gen_manager.get_scene(scene[0])["status"] == "processing"
    assert db.rows("select step from jobs") == [("poll",)]


@pytest.mark.parametrize("missing", ["OPENAI_API_KEY", "SORA_BASE_URL", "DO_SPACES_ACCESS_KEY"])
def test_a_missing_setting_is_named_and_fails_no_paid_scene(pipeline, scene, content_url, monkeypatch, missing, db):
    monkeypatch.delenv(missing)

    with pytest.raises(HistoryError, match=f"^{missing} is not set"):
        pipeline.process_sora_video(scene[0], "video_1", content_url, *scene[1])

    left = pipeline.gen_manager.get_scene(scene[0])
    assert left["status"] == "processing"
    assert left["error_message"].startswith(f"{missing} is not set")
    assert db.rows("select step from jobs") == [("poll",)]


def test_an_error_never_shows_the_key(pipeline, scene, content_url, scripted, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    for key in ("sk-secret-0123456789", "sk-secret-0123456789\nX"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        scripted.script(answer(401, {"error": {"message": "Received key sk-secret-0123456789"}}))
        with pytest.raises(HistoryError) as raised:
            pipeline.process_sora_video(scene[0], "video_1", content_url, *scene[1])
        recorded = pipeline.gen_manager.get_scene(scene[0])["error_message"]
        assert "sk-secret" not in f"{raised.value}{recorded}{caplog.text}"


def test_a_video_without_a_picture_is_completed_and_says_why(pipeline, scene, content_url, monkeypatch):
    monkeypatch.setattr(type(pipeline.video_manager), "_try_thumbnail", lambda *_: (None, "no room for the picture"))

    done = pipeline.process_sora_video(scene[0], "video_1", content_url, *scene[1])

    assert (done["status"], done["thumbnail_url"], done["error_message"]) == (
        "completed",
        None,
        "no room for the picture",
    )


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    "other", [lambda _: (str(uuid4()), "soft", 1), lambda g: (g, "ultra", 1), lambda g: (g, "soft", 2)]
)
def test_a_scene_of_somewhere_else_is_refused_before_anything_happens(pipeline, scene, content_url, scripted, other):
    """Its video would lie under a key that belongs to another scene."""
    with pytest.raises(InvalidValue, match="generation_id, variant_type and scene_number"):
        pipeline.process_sora_video(scene[0], "video_1", content_url, *other(scene[1][0]))

    assert scripted.requests == []
    assert pipeline.gen_manager.get_scene(scene[0])["status"] == "pending"


def test_a_scene_of_someone_else_is_not_there(pipeline, scene, content_url, stranger, scripted):
    theirs = PipelineIntegrator(gen_manager=stranger, video_manager=pipeline.video_manager)

    with pytest.raises(NotFound):
        theirs.process_sora_video(scene[0], "video_1", content_url, *scene[1])

    assert scripted.requests == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://api.openai.com/v1/videos/abc123/content", r"SORA_BASE_URL=https://api\.openai\.com/v1\)"),
        ("http://evil.test/video.mp4", "SORA_BASE_URL names$"),
        ("no URL", "SORA_BASE_URL names$"),
        ("", "SORA_BASE_URL names$"),
    ],
)
def test_a_url_of_another_server_says_what_to_change_is_never_asked_and_fails_no_paid_scene(
    pipeline, scene, content_url, scripted, url, said, caplog
):
    with pytest.raises(InvalidValue, match=said):
        pipeline.process_sora_video(scene[0], "video_1", url, *scene[1])

    assert scripted.requests == []
    assert pipeline.gen_manager.get_scene(scene[0])["status"] == "processing"
    assert "the poller fetches its video" in caplog.text


def test_the_poller_brings_home_what_a_mistyped_url_did_not(pipeline, scene, posted, worker, work):
    video_id, _ = posted("a cat")
    with pytest.raises(InvalidValue):
        pipeline.process_sora_video(
            scene[0], video_id, f"https://api.openai.com/v1/videos/{video_id}/content", *scene[1]
        )

    work()

    done = pipeline.gen_manager.get_scene(scene[0])
    assert (done["status"], done["sora_video_id"], done["error_message"]) == ("completed", video_id, None)


def test_the_poller_brings_home_what_a_killed_process_did_not(pipeline, scene, posted, worker, work, monkeypatch, db):
    """The provider's job is on record before its video is asked for."""
    video_id, content_url = posted("a cat")
    monkeypatch.setattr(pipeline.video_manager, "process_and_store_video", _killed)
    with pytest.raises(KeyboardInterrupt):
        pipeline.process_sora_video(scene[0], video_id, content_url, *scene[1])
    # For a while nobody else fetches it.
    worker.run(seconds=600)
    assert pipeline.gen_manager.get_scene(scene[0])["status"] == "processing"

    work()

    assert pipeline.gen_manager.get_scene(scene[0])["status"] == "completed"


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_the_example_of_the_old_document_works_with_a_server_that_stands_in_for_its_own(
    pipeline, scene, content_url, scripted, monkeypatch
):
    """The id in its content URL is not the job's."""
    generation_id, variant_type, scene_number = scene[1]

    done = pipeline.process_sora_video(
        scene_id=scene[0],
        sora_video_id="video_abc123",
        sora_content_url=f"{scripted.base_url}/videos/abc123/content",
        generation_id=generation_id,
        variant_type=variant_type,
        scene_number=scene_number,
    )

    assert (done["status"], done["provider_base_url"]) == ("completed", scripted.base_url)


def test_a_job_of_the_second_server_is_left_to_that_one(pipeline, scene, content_url, scripted, monkeypatch):
    monkeypatch.setenv("SORA_BASE_URL", f"https://first.example/v1 {scripted.base_url}")
    scripted.script(answer(500))

    with pytest.raises(SceneFailure):
        pipeline.process_sora_video(scene[0], "video_1", content_url, *scene[1])

    assert pipeline.gen_manager.get_scene(scene[0])["provider_base_url"] == scripted.base_url


def test_a_generation_marked_failed_stays_so_and_its_videos_are_still_stored(pipeline, scene, content_url):
    pipeline.mark_generation_failed(scene[1][0], "the pipeline broke")

    done = pipeline.process_sora_video(scene[0], "video_1", content_url, *scene[1])

    generation = pipeline.gen_manager.get_generation(scene[1][0])
    assert done["status"] == "completed"
    assert (generation["status"], generation["error_message"]) == ("failed", "the pipeline broke")


# ---------------------------------------------------------------- words and values that are none of ours


@pytest.mark.parametrize(
    ("word", "level"),
    [("extreme", "ultra"), ("", "medium"), ("Medium", "medium"), ("mild", "soft"), ("agressive", "aggressive")],
)
def test_a_level_outside_the_four_is_recorded_under_the_nearest_with_the_given_word_beside_it(
    pipeline, content_url, word, level, caplog
):
    """A pipeline that is refused goes on, and pays without a record."""
    generation_id = pipeline.start_generation("https://video.example/ad", "url", [word], 0.77)
    (scene_id,) = pipeline.create_scene_records(generation_id, word, ["a cat"])
    done = pipeline.process_sora_video(scene_id, "video_1", content_url, generation_id, word, 1)

    (variant,) = pipeline.gen_manager.get_variants(generation_id)
    assert (variant["variant_type"], variant["given_type"], done["status"]) == (level, word, "completed")
    assert f"the level {word!r} is kept as {level}" in caplog.text


def test_levels_of_one_generation_never_share_a_variant(pipeline):
    generation_id = pipeline.start_generation("https://video.example/ad", "url", ["extreme", "ultra", "insane"], None)

    variants = pipeline.gen_manager.get_variants(generation_id)

    assert [(variant["variant_type"], variant["given_type"]) for variant in variants] == [
        ("medium", "insane"),
        ("aggressive", "extreme"),
        ("ultra", None),
    ]
    assert pipeline.create_scene_records(generation_id, "ultra", ["a"]) != pipeline.create_scene_records(
        generation_id, "extreme", ["b"]
    )


def test_a_word_alone_is_one_level(pipeline):
    generation_id = pipeline.start_generation("https://video.example/ad", "url", "ultra", None)

    assert pipeline.gen_manager.get_generation(generation_id)["variant_types"] == ["ultra"]


def test_more_words_than_there_are_levels_are_refused(pipeline):
    with pytest.raises(InvalidValue, match="at most 4"):
        pipeline.start_generation("https://video.example/ad", "url", list("abcde"), None)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (("", None, [], -1.0), ("(unknown)", "file", ["medium"], None)),
        (("x" * 5000, "url", ["soft", "soft"], float("nan")), ("x" * 4096, "url", ["soft"], None)),
        (("a\0b", "t" * 60, ["soft"], "much"), ("ab", "t" * 50, ["soft"], None)),
    ],
)
def test_a_generation_is_recorded_whatever_its_pipeline_says_of_it(pipeline, given, kept, caplog):
    generation_id = pipeline.start_generation(*given)

    found = pipeline.gen_manager.get_generation(generation_id)
    columns = ("source_video_url", "source_video_type", "variant_types", "cost_estimate")
    assert tuple(found[column] for column in columns) == kept
    assert "nearest form" in caplog.text


def test_prompts_that_cannot_be_kept_are_kept_in_their_nearest_form_unless_they_are_to_be_paid(pipeline):
    generation_id = pipeline.start_generation("https://video.example/ad", "url", ["soft", "ultra"], None)
    prompts = ["", "a\0b", "x" * 40_000]

    scene_ids = pipeline.create_scene_records(generation_id, "soft", prompts)

    kept = [pipeline.gen_manager.get_scene(scene_id)["sora_prompt"] for scene_id in scene_ids]
    assert kept == ["(empty)", "ab", "x" * 32_000]
    assert pipeline.create_scene_records(generation_id, "soft", prompts) == scene_ids
    assert pipeline.create_scene_records(generation_id, "ultra", []) == []
    with pytest.raises(InvalidValue):
        pipeline.create_scene_records(generation_id, "ultra", prompts, submit=True)
