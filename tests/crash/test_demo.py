"""`scripts/dev --demo` is killed as a whole, at several moments, and the same command again finishes the job."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import psutil
import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120

pytestmark = pytest.mark.slow


class Demo:
    """One run of the command, in a folder that outlives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = folder.with_suffix(".out")
        with self.said.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scripts.local.dev", "--demo", "--once", "--folder", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={"PATH": os.environ["PATH"]},
            )

    def output(self) -> str:
        return self.said.read_text()

    def wait_until(self, condition: Callable[["Demo"], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition(self):
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process.poll() is None:
            self.kill_everything()

    def kill_everything(self) -> None:
        everyone = [*psutil.Process(self.process.pid).children(recursive=True), psutil.Process(self.process.pid)]
        for one in everyone:
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(10)
        _gone, alive = psutil.wait_procs(everyone, timeout=10)
        assert alive == []

    def posts(self) -> dict[str, int]:
        """What the simulator counted: accepted POSTs by prompt."""
        kept = self.folder / "kept.json"
        port = json.loads(kept.read_text()).get("port_sora") if kept.exists() else None
        try:
            return requests.get(f"http://127.0.0.1:{port or 1}/simulator/posts", timeout=5).json()["posts"]
        except requests.ConnectionError:
            return {}


def says(text: str) -> Callable[[Demo], bool]:
    return lambda demo: text in demo.output()


def has_posted(count: int) -> Callable[[Demo], bool]:
    return lambda demo: sum(demo.posts().values()) >= count


MOMENTS = {
    "recording": says("generation "),
    "the first POST": has_posted(1),
    "the middle of the POSTs": has_posted(7),
    "storing": says("storing"),
    "the last videos": lambda demo: demo.output().count(" stored ") >= 4,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_the_same_command_finishes_the_same_generation(moment: str, tmp_path: Path):
    with Demo(tmp_path / "state") as demo:
        demo.wait_until(MOMENTS[moment])
        demo.kill_everything()
        begun = re.findall(r"^generation (\S+)", demo.output(), re.MULTILINE)

    posted: dict[str, int] = {}
    with Demo(tmp_path / "state") as again:
        again.wait_until(lambda demo: posted.update(demo.posts()) or says("to try next")(demo))
        assert again.process.wait(PATIENCE_SECONDS) == 0, again.output()

    finished = re.findall(r"^generation (\S+)", again.output(), re.MULTILINE)
    assert begun in ([], finished)
    assert again.output().count("  completed  ") == 12
    assert sorted(posted.values()) == [1] * 12
    assert "videos 12" in again.output()


def test_ctrl_c_stops_all_of_it_and_a_sigkill_leaves_nothing_running(tmp_path: Path):
    for ending in (signal.SIGINT, signal.SIGKILL):
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.local.dev", "--folder", str(tmp_path / "state")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
        )
        with process:
            for line in process.stdout:
                if b"Ctrl-C" in line:
                    break
            everyone = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
            assert len(everyone) > 3
            process.send_signal(ending)
            assert process.wait(15) == (0 if ending is signal.SIGINT else -signal.SIGKILL)
            _gone, alive = psutil.wait_procs(everyone, timeout=15)
            assert alive == []


def test_each_wrong_setting_is_one_line_that_names_it(tmp_path: Path):
    wrong = {
        "DATABASE_URL": "postgresql://history_api:wrong-password@127.0.0.1:1/none",
        "SORA_BASE_URL": "http://127.0.0.1:1/v1",
        "DO_SPACES_ENDPOINT": "http://127.0.0.1:1",
    }
    beside = {
        "DATABASE_URL": {"WORKER_DATABASE_URL": wrong["DATABASE_URL"]},
        "SORA_BASE_URL": {"OPENAI_API_KEY": "some-key"},
        "DO_SPACES_ENDPOINT": {"DO_SPACES_ACCESS_KEY": "some-key", "DO_SPACES_SECRET_KEY": "some-secret"},
    }
    for setting, value in wrong.items():
        done = subprocess.run(
            [sys.executable, "-m", "scripts.local.dev", "--demo", "--once", "--folder", str(tmp_path / "state")],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], setting: value, **beside[setting]},
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 1
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 1, done.stderr
        assert setting in lines[0]
        assert "wrong-password" not in done.stderr


def test_the_demos_links_and_curl_lines_work_as_printed(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.local.dev", "--demo", "--folder", str(tmp_path / "state")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
    )
    with process:
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if "Ctrl-C" in line:
                break
        try:
            links = [line.split()[-1] for line in lines if line.endswith("/video")]
            assert len(links) == 12
            for link in links:
                answer = requests.get(link, timeout=10)
                assert answer.headers["Content-Type"] == "video/mp4"
                assert answer.content[4:8] == b"ftyp"
            commands = [line.strip() for line in lines if line.startswith("  curl ")]
            assert len(commands) == 7
            for command in commands:
                shown = subprocess.run(
                    ["/bin/sh", "-c", f"{command} --fail --silent --show-error"],
                    capture_output=True,
                    text=True,
                    check=False,
                    cwd=tmp_path,
                    timeout=30,
                )
                assert shown.returncode == 0, (command, shown.stderr)
                assert "-o scene.mp4" in command or json.loads(shown.stdout)["success"] is True
            assert (tmp_path / "scene.mp4").stat().st_size > 10_000
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
