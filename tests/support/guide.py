"""A guide that people follow: its blocks by heading, and the shell in which they run its commands one after another."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scripts.local.postgres import BINARIES
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
#: More than anything takes on a busy machine.
SECONDS = 180


class Guide:
    """A Markdown file's sections, each with its fenced blocks."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_text("utf-8")

    def section(self, heading: str) -> str:
        """What stands below this heading, up to the next of its level or of a higher one."""
        marks = heading.partition(" ")[0]
        _, found, rest = f"\n{self.text}".partition(f"\n{heading}\n")
        assert found, heading
        return re.split(rf"^#{{1,{len(marks)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]

    def blocks(self, heading: str, kind: str) -> list[str]:
        """The fenced blocks of this kind below the heading, without their indentation."""
        pattern = rf"^ *```{kind}\n(.*?)^ *```$"
        found = re.findall(pattern, self.section(heading), re.DOTALL | re.MULTILINE)
        return [textwrap.dedent(block) for block in found]


class Shell:
    """A person's shell in a folder: what one command exports is there for the next."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self._exported = folder.parent / "environment"

    def run(self, commands: str) -> str:
        """What the commands print; one that fails ends the test with what it said."""
        script = f"{commands}\nenv -0 >{self._exported}"
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        pairs = (line.partition("=") for line in self._exported.read_text("utf-8").split("\0") if line)
        self.environment = {name: value for name, _, value in pairs}
        return done.stdout

    @contextmanager
    def running(self, *command: str, settings: Mapping[str, str] | None = None) -> Generator[subprocess.Popen[bytes]]:
        """A program of the folder, with these settings and none that the shell exported, until the block ends."""
        log = self.folder.parent / f"{'-'.join(command)}.log".replace("/", "-")
        names = ("PATH", "HOME", "PYTHONPATH", "TMPDIR")
        environment = {name: self.environment[name] for name in names} | dict(settings or {})
        with log.open("ab") as output:
            program = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            yield program
            assert program.poll() is None, log.read_text("utf-8")
        finally:
            program.terminate()
            try:
                program.wait(SECONDS)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait(SECONDS)


def shell(folder: Path) -> Shell:
    """A shell in the folder, where this checkout is as if it were installed, and its scripts are at hand.

    The scripts use this environment in place of making one, and pip notes what it is asked.
    """
    programs, scripts = folder.parent / "bin", folder / "generation-history" / "scripts"
    for place in (programs, scripts):
        place.mkdir(parents=True)
    for script in (ROOT / "scripts").iterdir():
        if script.is_file() and (module := re.search(r"^exec \S+ -m (\S+)", script.read_text("utf-8"), re.MULTILINE)):
            _write_program(scripts / script.name, f'exec {sys.executable} -m {module[1]} "$@"')
    main = "from generation_history.cli.entry import main; main()"
    _write_program(programs / "generation-history", f'exec {sys.executable} -c "{main}" "$@"')
    _write_program(programs / "pip", f'echo "$*" >>{folder.parent}/pip.log')
    path = [programs, BINARIES, Path(sys.executable).parent]
    return Shell(
        folder,
        {
            "PATH": f"{':'.join(map(str, path))}:{os.environ['PATH']}",
            "HOME": str(folder.parent),
            "TMPDIR": str(folder.parent),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'shared'}:{ROOT / 'functions'}",
        },
    )


def _write_program(path: Path, command: str) -> None:
    path.write_text(f"#!/usr/bin/env bash\n{command}\n", "utf-8")
    path.chmod(0o755)


def wait_for(program: subprocess.Popen[bytes], condition: Callable[[], object]) -> None:
    """Returns as soon as the condition is true; the program still runs."""
    eventually(lambda: condition() or program.poll() is not None, seconds=SECONDS)
    assert program.poll() is None
