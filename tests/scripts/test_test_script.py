"""scripts/test ends with 0 only where both of its halves did; pytest is played by a script that ends as told."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NO_TESTS = 5
PYTEST = """#!/bin/sh
case "$*" in
*tests/crash*) echo "the half that waits"; exit "$WAITS" ;;
*) echo "the half that computes"; exit "$COMPUTES" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    shutil.copy(ROOT / "scripts/test", scripts / "test")
    (scripts / "setup.sh").write_text('cd "$(dirname "${BASH_SOURCE[0]}")/.."\n')
    for name in ("other_databases.sh", "browser.sh"):
        (scripts / name).write_text("")
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTEST)
    python.chmod(0o755)
    return tmp_path


def run(checkout: Path, computes: int, waits: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "scripts/test"],
        env=os.environ | {"COMPUTES": str(computes), "WAITS": str(waits)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("computes", "waits", "passes"),
    [
        (0, 0, True),
        (0, NO_TESTS, True),
        (NO_TESTS, 0, True),
        (NO_TESTS, NO_TESTS, False),
        (1, 0, False),
        (0, 1, False),
        (1, NO_TESTS, False),
        (NO_TESTS, 1, False),
        (2, 2, False),
    ],
)
def test_both_halves_decide_how_it_ends(checkout, computes, waits, passes):
    done = run(checkout, computes, waits)
    assert (done.returncode == 0) is passes, done
    assert done.stdout.splitlines() == ["the half that computes", "the half that waits"]
