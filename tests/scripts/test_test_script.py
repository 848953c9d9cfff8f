"""scripts/test ends with 0 only where all its groups did; pytest is played by a script that ends as told."""

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NO_TESTS = 5
PYTEST = """#!/bin/sh
case "$*" in
*tests/crash*) echo "the first"; exit "$FIRST" ;;
*tests/browser*tests/deploy*) echo "the second"; exit "$SECOND" ;;
*tests/api*) echo "the third"; exit "$THIRD" ;;
*tests/other/test_a.py*) echo "the last: $*"; exit "$LAST" ;;
esac
"""
GROUPS = ("FIRST", "SECOND", "THIRD", "LAST")
ALL = "-m pytest --durations=10 --durations-min=1"


@pytest.fixture
def checkout(tmp_path) -> Path:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    shutil.copy(ROOT / "scripts/test", scripts / "test")
    (scripts / "setup.sh").write_text('cd "$(dirname "${BASH_SOURCE[0]}")/.."\n')
    for name in ("other_databases.sh", "browser.sh"):
        (scripts / name).write_text("")
    for folder in ("crash", "other"):
        (tmp_path / "tests" / folder).mkdir(parents=True)
        (tmp_path / "tests" / folder / "test_a.py").write_text("")
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTEST)
    python.chmod(0o755)
    return tmp_path


def run(checkout: Path, *arguments: str, ends: tuple[int, ...] = (0, 0, 0, 0)) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "scripts/test", *arguments],
        env=os.environ | dict(zip(GROUPS, map(str, ends), strict=True)),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


FAILING = [tuple(1 if at == group else 0 for at in range(4)) for group in range(4)]
EMPTY = [ends for ends in itertools.product((0, NO_TESTS), repeat=4) if 0 in ends]


@pytest.mark.parametrize(
    ("ends", "passes"),
    [
        *((ends, True) for ends in EMPTY),
        *((ends, False) for ends in FAILING),
        ((NO_TESTS,) * 4, False),
        ((1, NO_TESTS, NO_TESTS, NO_TESTS), False),
        ((2, 2, 2, 2), False),
    ],
)
def test_all_groups_decide_how_it_ends(checkout, ends, passes):
    done = run(checkout, ends=ends)

    assert (done.returncode == 0) is passes, done
    last, *others = done.stdout.splitlines()
    assert last.startswith("the last: ")
    assert others == ["the first", "the second", "the third"]


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        ([], f"{ALL} tests/other/test_a.py"),
        (["--fast"], f"{ALL} -m not slow tests/other/test_a.py"),
        (["--fast", "-k", "something"], f"{ALL} -m not slow -k something tests/other/test_a.py"),
        (["tests/other/test_a.py", "-x"], "-m pytest tests/other/test_a.py -x"),
    ],
)
def test_what_it_is_given_goes_to_pytest(checkout, arguments, called):
    assert run(checkout, *arguments).stdout.splitlines()[0] == f"the last: {called}"
