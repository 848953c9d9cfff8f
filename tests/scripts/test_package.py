"""What `pip install .` gives an ad cloner, in an environment that has nothing else but Flask."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")

PROGRAM = """
import json
import sys

from flask import Flask

import history_api
from history_api import register_history_api

app = Flask("ad_cloner")


@app.post("/api/clone")
def clone():
    return "ours", 201


register_history_api(app, page=True)
client = app.test_client()
listed = client.get("/api/history/generations").json
shown = client.get(f"/api/history/generations/{listed['generations'][0]['id']}").json
print(json.dumps({
    "from": history_api.__file__,
    "clone": [client.post("/api/clone").status_code, client.get("/api/clone").status_code],
    "list": listed,
    "detail": shown,
    "refused": client.get("/api/history/stats?nothing=1").status_code,
    "page": client.get("/history/", buffered=True).text.count("<title>Generation History</title>"),
    "heavy": sorted({"boto3", "requests", "imageio_ffmpeg", "history", "sora"} & set(sys.modules)),
}))
"""


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh virtual environment with the built package and Flask, of the versions that are tested."""
    return installed(tmp_path_factory.mktemp("installed"), "", "flask")


def installed(folder: Path, extra: str, *others: str) -> Path:
    """The Python of a fresh virtual environment with the built package, this extra of it and these packages."""

    def uv(*arguments: object) -> None:
        subprocess.run([UV, *map(str, arguments), "--quiet"], check=True, timeout=300, cwd=folder)

    uv("build", "--wheel", "--out-dir", folder, ROOT)
    uv("venv", "--python", sys.executable, folder / "venv")
    python = folder / "venv/bin/python"
    (wheel,) = folder.glob("*.whl")
    pins = folder / "pins.txt"
    hashed = (ROOT / "requirements-dev.txt").read_text("utf-8").splitlines()
    pins.write_text("\n".join(line.rstrip(" \\") for line in hashed if not line.startswith(" ")), "utf-8")
    uv("pip", "install", "--python", python, "-c", pins, f"{wheel}{extra}", *others)
    return python


@pytest.mark.slow
def test_an_installed_package_serves_history_on_a_flask_server(
    environment: Path, db, owner: str, manager, generation_factory, tmp_path: Path
):
    made = generation_factory(2, ["soft", "ultra"])
    settings = {
        "DATABASE_URL": db.api,
        "HISTORY_ACCESS": "single-owner",
        "HISTORY_OWNER_ID": owner,
        "DO_SPACES_ACCESS_KEY": "key",
        "DO_SPACES_SECRET_KEY": "secret",
    }

    done = subprocess.run(
        [environment, "-I", "-W", "error", "-c", PROGRAM],
        env=settings,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )

    said = json.loads(done.stdout)
    assert said["from"].startswith(str(environment.parents[1]))
    assert said["clone"] == [201, 405]
    assert [generation["id"] for generation in said["list"]["generations"]] == [made["id"]]
    assert [
        scene["sora_prompt"] for variant in said["detail"]["generation"]["variants"] for scene in variant["scenes"]
    ] == [scene["sora_prompt"] for variant in made["variants"] for scene in variant["scenes"]]
    assert (said["page"], said["refused"], said["heavy"]) == (1, 400, [])


@pytest.mark.slow
def test_the_new_and_the_old_import_names_need_the_declared_dependencies_alone(environment: Path, tmp_path: Path):
    program = """
from generation_history import GenerationManager, PipelineIntegrator, VideoStorageManager, register_history_api
import generation_manager, history_api, pipeline_integrator, video_storage_manager
assert generation_manager.GenerationManager is GenerationManager
assert pipeline_integrator.PipelineIntegrator is PipelineIntegrator
assert video_storage_manager.VideoStorageManager is VideoStorageManager
assert history_api.register_history_api is register_history_api
"""
    subprocess.run([environment, "-I", "-W", "error", "-c", program], cwd=tmp_path, check=True, timeout=60)


@pytest.mark.slow
def test_the_command_line_is_installed_with_its_extra_alone(environment: Path, db, owner: str, tmp_path: Path):
    def run(python: Path) -> subprocess.CompletedProcess[str]:
        command = [python.with_name("generation-history"), "list", "--json"]
        settings = {"DATABASE_URL": db.api, "HISTORY_OWNER_ID": owner}
        return subprocess.run(command, env=settings, cwd=tmp_path, check=False, capture_output=True, text=True)

    without, having = run(environment), run(installed(tmp_path, "[cli]"))

    assert (without.returncode, without.stdout) == (1, "")
    assert without.stderr.splitlines() == [
        "generation-history: install it as generation-history[cli]: click or rich is missing"
    ]
    assert (having.returncode, having.stderr) == (0, "")
    assert json.loads(having.stdout)["generations"] == []


def test_every_history_function_is_in_the_package():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    functions = {path.name for path in ROOT.glob("functions/history/*") if (path / "__main__.py").is_file()}

    assert {name.rpartition(".")[2] for name in listed if ".functions.history." in name} == functions
