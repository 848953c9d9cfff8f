"""container/: each command of the image and of compose.yaml runs as a process, and what the files say is sound.

No engine builds the image here. What an engine would read is read by a parser, and what it would start is started.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from scripts.local import ports
from tests.support.programs import ROOT, running

FOLDER = ROOT / "container"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, in order, each with its arguments on one line."""
    text = re.sub(r"\\\n\s*", "", (FOLDER / "Dockerfile").read_text("utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def command_of(service: str) -> list[str]:
    """What the service starts, with this environment's Python for the image's."""
    [image_command] = [json.loads(rest) for name, rest in instructions() if name == "CMD"]
    program, *arguments = SERVICES[service].get("command", image_command)
    return [sys.executable if program == "python" else program, *arguments]


# ---------------------------------------------------------------- what the files say


def test_the_image_starts_from_a_version_installs_by_hash_and_runs_as_nobody_special():
    names = [name for name, _ in instructions()]
    by_name = dict(instructions())
    assert names[0] == "FROM"
    assert re.fullmatch(r"python:3\.11-[a-z]+", by_name["FROM"])
    assert set(names) <= {"FROM", "WORKDIR", "ENV", "COPY", "RUN", "USER", "EXPOSE", "CMD"}
    assert by_name["WORKDIR"].startswith("/")
    assert names.index("USER") > max(n for n, name in enumerate(names) if name in {"RUN", "COPY"})
    assert by_name["USER"] != "root"
    runs = [rest for name, rest in instructions() if name == "RUN"]
    installs = [run for run in runs if "pip install" in run]
    assert all("--no-cache-dir" in run for run in installs)
    assert "--require-hashes" in installs[0]
    assert not [run for run in runs if "apt-get" in run or "sudo" in run or "curl" in run]


def test_what_the_image_copies_exists_and_secrets_stay_outside():
    sources = [rest.split()[:-1] for name, rest in instructions() if name == "COPY"]
    assert all((ROOT / source).exists() for each in sources for source in each)
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text("utf-8").split()
    assert {"**/.env", "**/admin.env", ".git", ".venv", ".local"} <= set(ignored)


def test_every_service_of_ours_is_of_the_image_and_stops_before_it_is_killed():
    for name in ("setup", "web", "poller", "purge"):
        service = SERVICES[name]
        assert (FOLDER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        assert service["init"] is True
        assert service["depends_on"]["database"]["condition"] == "service_healthy"
    # A download may take five minutes.
    assert SERVICES["poller"]["stop_grace_period"] == "6m"
    assert SERVICES["setup"]["restart"] == "no"


def test_only_the_database_and_its_setup_are_told_the_administrators_password():
    knowing = {name for name, service in SERVICES.items() if "admin.env" in service["env_file"]}
    assert knowing == {"database", "setup"}


def test_the_server_is_open_to_this_machine_alone():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:8000:8000"]


def test_the_lock_has_what_the_tests_run_with():
    def pins(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==(\S+)", path.read_text("utf-8"), re.MULTILINE))

    tested, locked = pins(ROOT / "requirements-dev.txt"), pins(FOLDER / "requirements.txt")
    assert {name: tested.get(name, version) for name, version in locked.items()} == locked
    assert {"flask", "gunicorn", "psycopg"} <= set(locked)


# ---------------------------------------------------------------- what the services start


def test_setup_makes_logins_and_tables(blank, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("ADMIN_DATABASE_URL", blank.admin)
    monkeypatch.setenv("DATABASE_URL", blank.api)
    monkeypatch.setenv("WORKER_DATABASE_URL", blank.worker)
    shell, option, script = command_of("setup")
    script = re.sub(r"\bpython\b", sys.executable, script)

    with running([shell, option, script], tmp_path / "setup.log") as setup:
        assert setup.process.wait(60) == 0, setup.output()

    assert blank.rows("select count(*) from generations") == [(0,)]


@pytest.mark.usefixtures("db", "spaces", "sora", "open_to_one")
def test_server_poller_and_purge_bring_a_scene_home_and_take_a_deleted_one_away(db, tmp_path: Path):
    """Flask, poller, purge and page, as compose starts them: nothing else works here."""
    port = ports.free_port()
    web_command = [argument.replace("0.0.0.0:8000", f"127.0.0.1:{port}") for argument in command_of("web")]
    url = f"http://127.0.0.1:{port}"
    api = f"{url}/api/history"
    often = {"POLLER_INTERVAL_SECONDS": "1", "PURGE_INTERVAL_SECONDS": "1"}
    with (
        running(web_command, tmp_path / "web.log", PYTHONPATH=f"{ROOT}:{ROOT}/shared:{ROOT}/functions") as web,
        running(command_of("poller"), tmp_path / "poller.log", **often) as poller,
        running(command_of("purge"), tmp_path / "purge.log", **often) as purge,
    ):
        web.wait_for(lambda: not ports.is_free(port))
        assert "Generation History" in requests.get(f"{url}/history/", timeout=30).text
        body = {"source_video_url": "https://video.example/ad", "prompts": {"soft": ["a cat"]}}
        made = requests.post(f"{api}/generations", json=body, timeout=30).json()["generation_id"]

        def stored() -> bool:
            generation = requests.get(f"{api}/generations/{made}", timeout=30).json()["generation"]
            return generation["status"] == "completed"

        poller.wait_for(stored)
        assert requests.delete(f"{api}/generations/{made}", timeout=30).ok
        db.rows("update generations set purge_at = now() - interval '1 day'")
        purge.wait_for(lambda: db.rows("select 1 from generations where purging_since is not null"))

        assert [program.end() for program in (poller, purge, web)] == [0, 0, 0]


@pytest.mark.slow
def test_the_images_commands_install_what_the_services_import(tmp_path: Path):
    """Each RUN that installs, in a fresh environment in place of the image; then the page is found in the package."""
    python = tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, timeout=120)
    checkout = tmp_path / "app"
    ignored = shutil.ignore_patterns(".git", ".venv", ".local", "build", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, checkout, ignore=ignored)
    for name, rest in instructions():
        if name == "RUN" and "pip install" in rest:
            command = re.sub(r"^python\b", str(python), rest)
            subprocess.run(command.split(), cwd=checkout, check=True, timeout=600, env=dict(os.environ))

    code = """
import gunicorn, generation_history, generation_history.poller, generation_history.purge, container.server
from generation_history.api.page import folder
assert "site-packages" in generation_history.__file__
assert folder().parent.name == "generation_history", folder()
"""
    done = subprocess.run(
        [python, "-c", code], cwd=checkout, capture_output=True, text=True, check=False, timeout=60, env={}
    )
    assert done.returncode == 0, done.stderr
