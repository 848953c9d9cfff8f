"""`scripts/dev --demo` as a process, to be watched and killed."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import psutil
import requests

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120


class Demo:
    """One run of `scripts/dev --demo`, in a folder that outlives it; its settings are only those given."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self.said = folder.with_suffix(".out")
        with self.said.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scripts.local.dev", "--demo", *arguments, "--folder", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], **environment},
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

    def kept(self) -> dict[str, str]:
        """The ports and secrets that the stack keeps."""
        kept = self.folder / "kept.json"
        return json.loads(kept.read_text()) if kept.exists() else {}

    def generations(self) -> list[str]:
        """The generation it worked on, once it has said so."""
        return re.findall(r"^generation (\S+)", self.output(), re.MULTILINE)

    def posts(self) -> dict[str, int]:
        """What the simulator counted: accepted POSTs by prompt."""
        try:
            return requests.get(
                f"http://127.0.0.1:{self.kept().get('port_sora', 1)}/simulator/posts", timeout=5
            ).json()["posts"]
        except requests.ConnectionError:
            return {}


def says(text: str) -> Callable[[Demo], bool]:
    return lambda demo: text in demo.output()


def has_posted(count: int) -> Callable[[Demo], bool]:
    return lambda demo: sum(demo.posts().values()) >= count


def has_made(pattern: str) -> Callable[[Demo], bool]:
    return lambda demo: any(demo.folder.glob(pattern))
