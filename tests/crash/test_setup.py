"""scripts/setup.sh is killed while it makes .venv, and the next script makes it whole."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
#: What is there by then.
MOMENTS = {"the interpreter": ".venv/bin/python", "half of pip": ".venv/lib/python3*/site-packages/pip"}

pytestmark = pytest.mark.slow


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What set-up needs of a checkout, with one small package to install."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/setup.sh", tmp_path / "scripts")
    shutil.copy(ROOT / "requirements-uv.txt", tmp_path)
    every = (ROOT / "requirements-dev.txt").read_text("utf-8")
    (tmp_path / "requirements-dev.txt").write_text(every[every.index("\nsix==") : every.index("\nsniffio==")])
    return tmp_path


def set_up(checkout: Path) -> subprocess.Popen[bytes]:
    """A script that sources setup.sh, as all of them do, with a group of processes to itself."""
    return subprocess.Popen(
        ["/bin/bash", "-euo", "pipefail", "-c", ". scripts/setup.sh"],
        cwd=checkout,
        start_new_session=True,
    )


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_set_up_that_was_killed_is_done_again(checkout: Path, moment: str):
    with set_up(checkout) as killed:
        eventually(lambda: list(checkout.glob(MOMENTS[moment])))
        os.killpg(killed.pid, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL

    with set_up(checkout) as again:
        assert again.wait(180) == 0
    subprocess.run([checkout / ".venv/bin/python", "-c", "import six"], check=True)
    stamped = (checkout / ".venv/stamp").stat().st_mtime_ns
    with set_up(checkout) as third:
        assert third.wait(20) == 0
    assert (checkout / ".venv/stamp").stat().st_mtime_ns == stamped
