"""What a reading function loads, before and after it has answered: nothing of what moves bytes, nothing of Flask."""

import json
import subprocess
import sys

import pytest

from tests.api.test_platforms import MODULES

HEAVY = {"boto3", "botocore.session", "requests", "imageio_ffmpeg", "flask", "jsonschema_rs", "schemathesis"}
OURS = {"video_storage_manager", "pipeline_integrator", "worker", "ffmpeg", "history_api"}
FUNCTIONS = ["history.generations", "history.library", "history.scenes", "history.stats", "history.variants"]
PROGRAM = """
import importlib, json, sys

module, path, context_name = sys.argv[1:]
loaded = importlib.import_module(module)
before = sorted(sys.modules)


class Context:
    function_name = context_name
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


http = {"method": "GET", "path": path, "headers": {}, "queryString": "", "body": "", "isBase64Encoded": False}
answer = loaded.main({"http": http}, Context())
print(json.dumps({"status": answer["statusCode"], "before": before, "after": sorted(sys.modules)}))
"""


def loaded_by(module: str, path: str) -> dict:
    package, function, *_ = module.split(".")
    command = [sys.executable, "-W", "error", "-c", PROGRAM, module, path, f"/ns/{package}/{function}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "module", [*(f"{name}.__main__" for name in FUNCTIONS), *(name for name in MODULES if name.startswith("history."))]
)
def test_answering_needs_nothing_of_what_moves_bytes(
    module: str, db, open_to_one, generation_factory, manager, monkeypatch
):
    monkeypatch.setenv("DO_SPACES_ACCESS_KEY", "key")
    monkeypatch.setenv("DO_SPACES_SECRET_KEY", "secret")
    made = generation_factory(1)
    variant = made["variants"][0]
    scene = variant["scenes"][0]["id"]
    url = f"https://s.test/generations/{made['id']}/soft/scene_1.mp4"
    manager.update_scene(scene, video_url=url, duration=8, file_size=9, status="completed")
    path = {
        "generations": f"/{made['id']}" if module.endswith(("__main__", "get_generation")) else "",
        "variants": f"/{variant['id']}/scenes",
        "scenes": f"/{scene}/video",
    }.get(module.split(".")[1], "")

    loaded = loaded_by(module, path)

    assert loaded["status"] in {200, 302, 405, 404}
    for when in ("before", "after"):
        names = set(loaded[when])
        assert names & (HEAVY | {f"generation_history.{name}" for name in OURS}) == set(), when
