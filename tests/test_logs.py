"""A deployed function logs lines of JSON that say which call and which scene they are about, and no secret."""

import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import pytest

from generation_history import logs
from generation_history.ids import short_id

ROOT = Path(__file__).resolve().parents[1]
ACTIVATION = "2f9ab0d53a8bbd1e0f4a4e5a1d2c3b4a"
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'functions'}"}


def run(program: str, **environment: str) -> tuple[list[dict], str]:
    """What a process of its own logged and printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [json.loads(line) for line in done.stderr.splitlines()], done.stdout


def called(function: str, event: str, **environment: str) -> list[dict]:
    """What a function logged of one call."""
    program = f"""
import importlib
class Context:
    function_name = "/fn-1/{function}"
    activation_id = "{ACTIVATION}"
    def get_remaining_time_in_millis(self): return 29_500
importlib.import_module("{function.replace("/", ".")}.__main__").main({event}, Context())
"""
    return run(program, **environment)[0]


SCHEDULED = ("ops/purge", "sora/poller")
FUNCTIONS = sorted("/".join(path.parts[-3:-1]) for path in ROOT.glob("functions/*/*/__main__.py"))


@pytest.mark.parametrize("function", [name for name in FUNCTIONS if name not in SCHEDULED])
def test_a_failed_call_is_one_line_with_its_id(function):
    method = "POST" if function == "sora/webhook" else "GET"
    (line,) = called(function, f'{{"http": {{"method": "{method}", "path": "", "headers": {{}}}}}}')

    # A missing setting is found by its name: no traceback hides it.
    assert {"time", "level", "message", "logger", "request_id"} == set(line)
    assert (line["level"], line["request_id"]) == ("ERROR", ACTIVATION)
    assert "is not set" in line["message"]
    assert line["time"].endswith("+00:00")


@pytest.mark.parametrize("function", SCHEDULED)
def test_a_scheduled_function_logs_the_same_way(function):
    (line,) = called(function, "{}")
    assert (line["level"], line["request_id"]) == ("ERROR", ACTIVATION)
    assert "is not set" in line["message"]


def test_lines_of_a_step_say_generation_scene_and_attempt_and_the_call_they_belong_to(
    scenes, provider, monkeypatch, capsys
):
    first = scenes.add()
    provider.submit = lambda _, **__: 1 / 0
    handler = logs._JsonLines()
    logging.getLogger("generation_history").addHandler(handler)
    try:
        with logs.about(request_id=ACTIVATION):
            scenes.step()
    finally:
        logging.getLogger("generation_history").removeHandler(handler)

    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    scene = scenes.read(first)
    assert (line["request_id"], line["scene_id"], line["attempt"]) == (ACTIVATION, first, 1)
    assert line["generation_id"] == scenes.db.rows("select id::text from generations")[0][0]
    assert line["short_id"] == short_id(line["generation_id"])
    assert line["exception"].endswith("ZeroDivisionError: division by zero")
    assert scene["status"] == "pending"


# ---------------------------------------------------------------- what it is about


def test_what_is_said_is_said_only_meanwhile_and_by_this_thread_alone():
    def known() -> dict:
        return dict(logs._about.get())

    with ThreadPoolExecutor(1) as pool, logs.about(a=1):
        with logs.about(b=2):
            assert known() == {"a": 1, "b": 2}
            assert pool.submit(copy_context().run, known).result() == {"a": 1, "b": 2}
            assert pool.submit(known).result() == {}
        assert known() == {"a": 1}
    assert known() == {}


# ---------------------------------------------------------------- what is not in it


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://s.test/v.mp4?X-Amz-Signature=abc123&x=1", "https://s.test/v.mp4?X-Amz-Signature=***&x=1"),
        ("?X-Amz-Credential=AK%2F1&X-Amz-Signature=f00", "?X-Amz-Credential=***&X-Amz-Signature=***"),
        ('{"url": "https://s.test/?X-Amz-Signature=abc"}', '{"url": "https://s.test/?X-Amz-Signature=***"}'),
        ("Authorization: Bearer ey.J0.abc-_x==", "Authorization: Bearer ***"),
        ("authorization: basic aWQ6c2VjcmV0", "authorization: basic ***"),
        ("whsec_c2VjcmV0+/=", "whsec_***"),
        ("the key ghk_c2VjcmV0-_x is gone", "the key ghk_*** is gone"),
        ("token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln-bmF0_dXJl, no more", "token=eyJ***, no more"),
        ("postgresql://history_worker:p4ss@db.test/h", "postgresql://history_worker:***@db.test/h"),
        ("https://s.test/v.mp4 has 7 scenes", "https://s.test/v.mp4 has 7 scenes"),
    ],
)
def test_secrets_are_masked(text, shown):
    assert logs.masked(text) == shown


def test_a_masked_line_is_still_json_and_one_line():
    program = """
import logging
from generation_history import logs
logs.configure()
logs.configure()
logger = logging.getLogger("generation_history.test")
logger.info('a "quoted" Bearer abc"def\\nsecond line \\ud800 %s', {"url": "x?X-Amz-Signature=abc"})
try:
    raise RuntimeError("https://u:p4ss@s.test/?X-Amz-Signature=abc")
except RuntimeError:
    logger.exception("failed")
logging.getLogger("boto3").info("not shown")
logging.getLogger("boto3").warning("shown")
"""
    lines, _ = run(program)

    assert [line["message"] for line in lines] == [
        "a \"quoted\" Bearer ***\"def\nsecond line \ud800 {'url': 'x?X-Amz-Signature=***'}",
        "failed",
        "shown",
    ]
    assert lines[1]["exception"].endswith("RuntimeError: https://u:***@s.test/?X-Amz-Signature=***")


def test_importing_the_package_configures_nothing():
    """A pipeline keeps its own logging."""
    program = """
import logging
before = (list(logging.root.handlers), logging.root.level)
import generation_history.work.worker, generation_history.api.app, generation_history.pipeline_integrator
assert (list(logging.root.handlers), logging.root.level) == before
assert logging.getLogger("generation_history").level == logging.NOTSET
"""
    assert run(program) == ([], "")
