"""A program of ours as a process of its own, with the settings of a test and no others."""

import os
import signal
import subprocess
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60


class Program:
    """A running program, and what it wrote."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=environment
            )

    def output(self) -> str:
        return self._log.read_text("utf-8")

    def wait_for(self, condition: Callable[[], object]) -> None:
        """The condition holds; the program goes on."""
        eventually(lambda: condition() or self.process.poll() is not None, seconds=SECONDS)
        assert self.process.poll() is None, self.output()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The exit code after this signal."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


def settings() -> dict[str, str]:
    """The settings of this test's process, and nothing else of its environment."""
    names = ("HISTORY_", "DO_SPACES_", "SORA_", "WORKER_", "OPENAI_", "POLLER_", "PURGE_")
    ours = {name: value for name, value in os.environ.items() if name.startswith(names) or name.endswith("_URL")}
    return {"PATH": os.environ["PATH"], **ours}


@contextmanager
def running(command: Sequence[str], log: Path, **environment: str) -> Generator[Program]:
    """The program runs until the block ends, at the latest."""
    program = Program(command, log, {**settings(), **environment})
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait(SECONDS)
