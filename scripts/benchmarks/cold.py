"""A cold process of a read function, from its unpacked zip to its first answer, against `import psycopg` alone.

Both run what scripts/build ships, in turn, so that a machine whose speed drifts is as slow for one as for the other.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import psycopg

from generation_history.record.generation_manager import GenerationManager
from scripts.local.postgres import Postgres
from scripts.operate.create_logins import LOGINS, create_logins
from scripts.operate.migrate import migrate
from scripts.release.build import build
from scripts.release.cold_start import LOAD

RUNS = 15
LIMIT = 2.6
PASSWORD = "cold"  # noqa: S105 - it protects nothing

_CALL = """
http = {"method": "GET", "path": "", "headers": {}, "queryString": "limit=20", "body": "", "isBase64Encoded": False}
answer = module.main({"http": http}, Context())
assert answer["statusCode"] == 200, answer
"""


def run(_: argparse.Namespace) -> int:
    """Prints the ratio; 1 if it is over its limit."""
    with tempfile.TemporaryDirectory() as temporary:
        built = build(Path(temporary) / "build")
        package = next(part.path for part in built if part.name == "history/generations")
        folder = Path(temporary) / "unpacked"
        with zipfile.ZipFile(package) as archive:
            archive.extractall(folder)
        with Postgres(Path(temporary) / "postgres", password="postgres") as server:  # noqa: S106
            environment = _prepare(server)
            baseline = f"import sys; sys.path.insert(0, {str(folder)!r}); import psycopg"
            preamble = f"import importlib.util, os, sys\nfolder, name = {str(folder)!r}, 'history/generations'\n"
            answer = preamble + LOAD + _CALL
            pairs = [(_seconds(baseline, {}), _seconds(answer, environment)) for _ in range(RUNS + 1)][1:]
    baseline_seconds, answer_seconds = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(answer_seconds / baseline_seconds for baseline_seconds, answer_seconds in pairs)
    print(f"{RUNS} cold processes each, median processor time")
    print(f"import psycopg               {baseline_seconds * 1000:6.0f} ms")
    print(f"GET /history/generations     {answer_seconds * 1000:6.0f} ms   {ratio:.2f} x, at most {LIMIT} x")
    return 1 if ratio > LIMIT else 0


def _prepare(server: Postgres) -> Mapping[str, str]:
    with psycopg.connect(server.admin_url, autocommit=True) as connection:
        connection.execute("create database cold")
    create_logins(server.url("cold", "postgres", "postgres"), dict.fromkeys(LOGINS, PASSWORD))
    migrate(server.url("cold", "history_migrate", PASSWORD))
    owner = str(uuid4())
    environment = {
        "DATABASE_URL": server.url("cold", "history_api", PASSWORD),
        "HISTORY_ACCESS": "single-owner",
        "HISTORY_OWNER_ID": owner,
        "DO_SPACES_ACCESS_KEY": "key",
        "DO_SPACES_SECRET_KEY": "secret",
    }
    os.environ.update(environment)
    for number in range(20):
        GenerationManager(owner).create_with_scenes(
            f"https://video.example/{number}", "url", {"soft": ["one", "two"]}, submit=False
        )
    return environment


def _seconds(code: str, environment: Mapping[str, str]) -> float:
    """The processor time of a fresh process that runs the code."""
    start_usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The interpreter itself, not the virtual environment's, whose packages would be found too.
    command: Sequence[str] = (str(Path(sys.executable).resolve()), "-I", "-c", code)
    subprocess.run(command, check=True, env=dict(environment), stderr=subprocess.DEVNULL)
    end_usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end_usage.ru_utime + end_usage.ru_stime - start_usage.ru_utime - start_usage.ru_stime
