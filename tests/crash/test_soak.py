"""`scripts/soak` for half a minute: everything fails and dies at random, and nothing is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.chaos.faults import LIES

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 400
HAPPENED = (
    *("generations", "retries", "deletes", "purges"),
    *("pollers killed", "pollers frozen", "poller clocks moved", "limits changed"),
    *("provider faults changed", "store: ", "database restarts", "database proxies changed", "database clocks moved"),
    *("clients frozen at their turn", "clients frozen with a generation", "replicas that fell behind", "failovers"),
    *("temporary folders full", *(f"store lies: {kind}" for kind in LIES)),
    *("webhooks answered 200", "webhooks sent never", "webhooks sent twice"),
)

pytestmark = pytest.mark.slow


def test_half_a_minute_of_everything_at_once_loses_nothing_and_pays_for_nothing_twice(tmp_path: Path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "scripts.chaos.soak",
            "--minutes",
            "0.5",
            "--seed",
            "7",
            "--folder",
            str(tmp_path / "soak"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        timeout=PATIENCE_SECONDS,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    figures = " double_posts=0 untold_posts=0 lost_jobs=0 unfetched_jobs=0 unrecorded_jobs=0 unintended_posts=0 "
    assert figures in done.stdout.splitlines()[-1]
    assert " orphans=0 missing=0 " in done.stdout.splitlines()[-1]
    (happened,) = [line for line in done.stdout.splitlines() if line.startswith("it was ")]
    assert [what for what in HAPPENED if what not in happened] == []
    assert " 0 connections" not in happened
    assert " cents=0 " not in done.stdout.splitlines()[-1]
