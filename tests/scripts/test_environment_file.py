"""scripts/dev --env: the settings of the running stack, as another server reads them."""

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from generation_history.errors import NotConfigured
from scripts.local.environment_file import environment_file
from scripts.local.stack import Stack
from tests.support.demo import ROOT, Demo, says

SETTINGS = {
    "DATABASE_URL": "postgresql://history_api:a%23b@127.0.0.1:5432/history",
    "WORKER_DATABASE_URL": "postgresql://history_worker:x@127.0.0.1:5432/history",
    "MIGRATE_DATABASE_URL": "postgresql://history_migrate:x@127.0.0.1:5432/history",
    "DO_SPACES_ENDPOINT": "http://127.0.0.1:8333",
    "DO_SPACES_SECRET_KEY": "secret",
    "SORA_BASE_URL": "http://127.0.0.1:1234/v1",
    "OPENAI_API_KEY": "stand-in",
    "HISTORY_ACCESS": "single-owner",
    "HISTORY_OWNER_ID": "018f0000-0000-7000-8000-000000000000",
    "HISTORY_JWT_SECRET": "none",
}
STACK = Stack("http://127.0.0.1:8787", SETTINGS)


def as_docker_reads_it(file: Path) -> dict[str, str]:
    """Docker --env-file takes what follows the first = as it stands, quotes too."""
    lines = [line for line in file.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_docker_and_dotenv_read_every_setting_that_a_server_needs(tmp_path: Path):
    with environment_file(tmp_path / "env", STACK) as file:
        assert as_docker_reads_it(file) == dict(dotenv_values(file))
        assert as_docker_reads_it(file) == {
            name: value
            for name, value in SETTINGS.items()
            if name not in {"MIGRATE_DATABASE_URL", "HISTORY_JWT_SECRET"}
        }


def test_only_this_user_may_read_it_and_it_is_gone_with_the_stack(tmp_path: Path):
    path = tmp_path / "env"
    path.write_text("of another run, for all to read")
    mask = os.umask(0)
    try:
        with environment_file(path, STACK):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert "another run" not in path.read_text("utf-8")
    finally:
        os.umask(mask)
    assert not path.exists()


def test_a_file_that_cannot_be_written_is_one_line_by_the_arguments_name(tmp_path: Path):
    with (
        pytest.raises(NotConfigured, match=r"^--env: .* cannot be written: "),
        environment_file(tmp_path / "x/env", STACK),
    ):
        pass


@pytest.mark.slow
def test_another_program_uses_the_local_database_and_store_by_the_file_alone(tmp_path: Path):
    with Demo(tmp_path / "state", "--env", "--render-seconds", "0.1") as demo:
        demo.wait_until(says("  settings   "))
        file = Path(re.search(r"^  settings   (.*)$", demo.output(), re.MULTILINE)[1])
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        command = [sys.executable, "-m", "generation_history.purge", "--once"]
        done = subprocess.run(
            command, env=as_docker_reads_it(file), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, "purged 0 generations" in done.stderr) == (0, True), done.stderr

        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(30) == 0
    assert not file.exists()
