"""Which Python scripts/setup.sh takes, and what it asks for where that lacks venv; the interpreters are played."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: New enough, and without venv.
PYTHON = """#!/bin/sh
case "$1" in
-c) exit 0 ;;
-VV) echo "Python" ;;
*) exit 1 ;;
esac
"""
APT = """#!/bin/sh
echo "$@" >>"$APT_LOG"
"""


@pytest.mark.parametrize(
    ("there", "taken"),
    [(["python3", "python3.11"], "python3.11"), (["python3"], "python3"), (["python3.13"], "python3.13")],
)
def test_functions_python_is_taken_where_it_stands_beside_another(tmp_path: Path, there: list[str], taken: str):
    checkout, programs = tmp_path / "checkout", tmp_path / "bin"
    (checkout / "scripts").mkdir(parents=True)
    programs.mkdir()
    shutil.copy(ROOT / "scripts/setup.sh", checkout / "scripts")
    for name in ("requirements-uv.txt", "requirements-dev.txt"):
        (checkout / name).touch()
    for name in there:
        (programs / name).write_text(PYTHON)
    (programs / "apt-get").write_text(APT)
    for program in programs.iterdir():
        program.chmod(0o755)
    for name in ("bash", "cat", "cut", "dirname", "flock", "id", "pwd", "rm", "sha256sum"):
        (programs / name).symlink_to(shutil.which(name))

    done = subprocess.run(
        [programs / "bash", "-ec", ". scripts/setup.sh"],
        cwd=checkout,
        env={"PATH": str(programs), "APT_LOG": str(tmp_path / "apt")},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 1
    assert f"install the package {taken}-venv." in done.stderr
    if os.geteuid() == 0:
        assert f"-y {taken}-venv" in (tmp_path / "apt").read_text()
