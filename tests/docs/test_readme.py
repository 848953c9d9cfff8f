"""README's examples run as they stand, with real ids in place of their placeholders."""

import re
import time
from pathlib import Path

import pytest
import requests
from flask import Flask

from generation_history.record.generation_manager import GenerationManager
from generation_history.settings import SpacesSettings

ROOT = Path(__file__).resolve().parents[2]


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def finished_job(sora: str, key: str) -> str:
    """A job that the caller submitted by itself, rendered."""
    headers = {"Authorization": f"Bearer {key}"}
    body = {"prompt": "medium, by the caller", "size": "160x288", "seconds": "1"}
    job = requests.post(f"{sora}/videos", json=body, headers=headers, timeout=10).json()["id"]
    deadline = time.monotonic() + 20
    while requests.get(f"{sora}/videos/{job}", headers=headers, timeout=10).json()["status"] != "completed":
        assert time.monotonic() < deadline
    return job


def test_the_examples_of_readme_run_word_for_word(
    manager: GenerationManager, spaces: SpacesSettings, sora: str, monkeypatch: pytest.MonkeyPatch
):
    """The blocks follow each other as they stand; only the ids and the provider's address are real ones."""
    blocks = python_blocks((ROOT / "README.md").read_text("utf-8"))
    assert len(blocks) == 6
    names: dict[str, object] = {"app": Flask("ad_cloner")}
    exec(blocks[0], names)  # noqa: S102
    exec(blocks[1], names)  # noqa: S102
    scene_id = manager.create_scenes(str(names["generation_id"]), "medium", ["by the caller"])[0]["id"]
    job = finished_job(sora, "test-provider-key")
    real = {
        "scene-uuid": scene_id,
        "gen-uuid": str(names["generation_id"]),
        "video_abc123": job,
        "https://api.openai.com/v1/videos/abc123/content": f"{sora}/videos/{job}/content",
    }
    for block in blocks[2:]:
        for placeholder, value in real.items():
            block = block.replace(placeholder, value)  # noqa: PLW2901
        exec(block, names)  # noqa: S102

    assert len(names["scene_ids"]) == 2
    assert names["generations"] == []
    generation = names["generation"]
    assert set(generation) >= {"id", "source_video_url", "status", "variants", "metadata"}
    [stored] = [scene for variant in generation["variants"] for scene in variant["scenes"] if scene["id"] == scene_id]
    assert stored["status"] == "completed"
    assert names["app"].test_client().get("/api/history/stats").status_code == 503  # HISTORY_ACCESS is unset


def test_old_ids_that_are_no_uuids_name_nothing(manager: GenerationManager):
    assert manager.get_generation("gen-uuid") is None
