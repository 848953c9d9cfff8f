"""The main job on real parts: recorded, submitted, rendered, brought home, listed."""

from collections.abc import Callable

import psycopg
import requests

from generation_history.pipeline_integrator import PipelineIntegrator
from generation_history.record.generation_manager import GenerationManager
from generation_history.storage.keys import owned_key
from generation_history.storage.object_store import ObjectStore
from generation_history.work.worker import Worker


def posts(sora: str) -> dict[str, int]:
    return requests.get(sora.removesuffix("/v1") + "/simulator/posts", timeout=5).json()["posts"]


def test_every_scene_of_a_generation_ends_as_a_stored_video(
    manager: GenerationManager, work: Callable[[], None], store: ObjectStore, sora: str
):
    pipeline = PipelineIntegrator()
    generation_id = pipeline.start_generation("https://video.example/ad", "url", ["soft", "ultra"], 1.6)
    prompts = {kind: [f"{kind} scene {n} of {generation_id}" for n in (1, 2)] for kind in ("soft", "ultra")}
    for kind, texts in prompts.items():
        pipeline.create_scene_records(generation_id, kind, texts, submit=True)

    work()

    generation = manager.get_generation(generation_id)
    assert generation is not None
    assert generation["status"] == "completed"
    assert generation["completed_at"]
    for variant in generation["variants"]:
        assert (variant["status"], variant["scenes_completed"], variant["total_scenes"]) == ("completed", 2, 2)
        for scene in variant["scenes"]:
            assert (scene["status"], scene["resolution"], scene["duration"]) == ("completed", "160x288", 1)
            key = owned_key(scene["video_url"], generation_id)
            assert key == f"generations/{generation_id}/{variant['variant_type']}/scene_{scene['scene_number']}.mp4"
            video = requests.get(store.signed_url(key)[0], timeout=5)
            assert len(video.content) == scene["file_size"]
            assert video.headers["Content-Type"] == "video/mp4"
            thumbnail = requests.get(store.signed_url(owned_key(scene["thumbnail_url"], generation_id))[0], timeout=5)
            assert thumbnail.content.startswith(b"\xff\xd8")
            assert thumbnail.headers["Content-Type"] == "image/jpeg"
    counted = posts(sora)
    assert [counted[text] for texts in prompts.values() for text in texts] == [1, 1, 1, 1]


def test_a_generation_nobody_touched_for_a_day_fails_as_abandoned(manager: GenerationManager, worker: Worker, db):
    """Unless something is still due for it: then it is not abandoned."""
    left = manager.create_generation("left behind", "file", ["soft"], None, start=True)
    manager.create_scenes(left["id"], "soft", ["one", "two"])
    busy = manager.create_generation("busy", "file", ["soft"], None, start=True)
    manager.create_scenes(busy["id"], "soft", ["three"], submit=True)
    db.rows("update jobs set run_at = now() + interval '1 hour'")
    with psycopg.connect(db.admin, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")  # or the triggers would touch updated_at
        for table in ("generations", "variants", "scenes"):
            connection.execute(f"update {table} set updated_at = now() - interval '25 hours'")

    worker.run(seconds=600)

    abandoned = manager.get_generation(left["id"])
    assert abandoned["status"] == "failed"
    assert abandoned["error_message"] == "2 of 2 scenes failed"
    assert {scene["error_code"] for scene in abandoned["variants"][0]["scenes"]} == {"abandoned"}
    assert manager.get_generation(busy["id"])["status"] == "processing"
