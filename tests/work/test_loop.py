"""python -m generation_history.poller and ... purge: a schedule of their own, a clean stop, and no end by a failure."""

import json
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from generation_history.errors import Unavailable
from generation_history.work import loop as loop_module
from generation_history.work.loop import Loop
from tests.support.programs import running
from tests.support.scripted_server import answer

POLLER = [sys.executable, "-m", "generation_history.poller"]
PURGE = [sys.executable, "-m", "generation_history.purge"]


class Scripted:
    """Work whose runs do what a test says, one after the other."""

    def __init__(self, *runs: Callable[[], None]) -> None:
        self._runs = list(runs)
        self.stopped = False

    def run(self, *, seconds: float) -> None:
        assert seconds > 0
        self._runs.pop(0)()

    def stop(self) -> None:
        self.stopped = True


def fail(error: Exception) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "MAX_PAUSE_SECONDS", 0.0)


def test_a_run_that_fails_is_tried_again_and_says_why(caplog):
    done: list[str] = []
    work = Scripted(
        fail(Unavailable("DATABASE_URL: away")), fail(RuntimeError("odd")), lambda: (done.append("x"), loop.stop())
    )
    loop = Loop("poller", work, pause_seconds=0)

    loop.run()

    assert (done, work.stopped) == (["x"], True)
    first, second = caplog.records
    assert first.message == "the poller cannot work now: DATABASE_URL: away"
    assert second.exc_info


def test_a_pause_ends_when_the_loop_is_stopped():
    begun = threading.Event()
    loop = Loop("purge", Scripted(begun.set), pause_seconds=10_000)
    thread = threading.Thread(target=loop.run)
    thread.start()
    assert begun.wait(10)

    loop.stop()

    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("db", "spaces", "sora")
def test_the_poller_does_what_is_due_and_ends_with_0_when_it_is_stopped(
    generation_factory, db, tmp_path: Path, number: signal.Signals
):
    """Flask alone never had one: what was to be submitted stayed where it was."""
    generation_factory(1, submit=True)

    with running(POLLER, tmp_path / "poller.log", POLLER_INTERVAL_SECONDS="1") as poller:
        poller.wait_for(lambda: db.rows("select 1 from scenes where status = 'completed'"))
        assert poller.end(number) == 0

    assert json.loads(poller.output().splitlines()[-1])["message"] == "the poller has ended"


@pytest.mark.usefixtures("db", "spaces", "sora")
def test_a_running_step_is_finished_before_the_poller_ends(generation_factory, scripted, db, tmp_path, monkeypatch):
    """The POST is under way when the signal comes: its answer is recorded, and nothing else is begun."""
    posted, go_on = threading.Event(), threading.Event()

    def slow(connection: socket.socket) -> None:
        posted.set()
        assert go_on.wait(30)
        answer(200, {"id": "video_1", "status": "queued", "object": "video"})(connection)

    scripted.script(slow)
    monkeypatch.setenv("SORA_BASE_URL", scripted.base_url)
    generation_factory(1, submit=True)

    with running(POLLER, tmp_path / "poller.log") as poller:
        poller.wait_for(posted.is_set)
        poller.process.send_signal(signal.SIGTERM)
        go_on.set()
        assert poller.process.wait(30) == 0

    assert db.rows("select sora_video_id from attempts") == [("video_1",)]


#: A program whose run ends never, whatever it is told.
STUCK = """
import sys, threading
from generation_history.work import loop

class Work:
    def run(self, *, seconds):
        print("begun", flush=True)
        threading.Event().wait()

    def stop(self):
        print("told", flush=True)

sys.exit(loop.main("poller", Work, lambda: 1, about="", stop_seconds=float(sys.argv.pop())))
"""


def test_what_runs_on_after_a_stop_is_given_up_in_time(tmp_path: Path):
    with running([sys.executable, "-c", STUCK, "0.1"], tmp_path / "poller.log") as poller:
        poller.wait_for(lambda: "begun" in poller.output())
        assert poller.end() == 1

    assert "told" in poller.output()
    message = json.loads(poller.output().splitlines()[-1])["message"]
    assert message == "the poller ends with steps under way, after 0.1 s: their leases run out"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(tmp_path: Path, number: signal.Signals):
    with running([sys.executable, "-c", STUCK, "10000"], tmp_path / "poller.log") as poller:
        poller.wait_for(lambda: "begun" in poller.output())
        poller.process.send_signal(number)
        poller.wait_for(lambda: "told" in poller.output())
        assert poller.end(number) == -number


@pytest.mark.usefixtures("db", "spaces", "sora")
def test_a_database_that_is_away_is_waited_for(db, tmp_path: Path):
    """A login that may not connect, and then may again."""
    db.rows("alter role history_worker nologin")
    db.rows("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'history_worker'")
    try:
        with running(PURGE, tmp_path / "purge.log", PURGE_INTERVAL_SECONDS="1") as purge:
            purge.wait_for(lambda: "the purge cannot work now: WORKER_DATABASE_URL" in purge.output())
            db.rows("alter role history_worker login")
            purge.wait_for(lambda: db.rows("select 1 from pulses where name = 'purge'"))
            assert purge.end() == 0
    finally:
        db.rows("alter role history_worker login")


@pytest.mark.parametrize("command", [POLLER, PURGE], ids=["poller", "purge"])
def test_a_missing_setting_ends_it_with_one_line(tmp_path: Path, command: list[str]):
    with running(command, tmp_path / "log") as program:
        assert program.process.wait(30) == 1

    (line,) = program.output().splitlines()
    assert "is not set" in json.loads(line)["message"]


@pytest.mark.usefixtures("db", "spaces", "sora")
def test_once_is_one_run(generation_factory, manager, db, tmp_path: Path):
    generation_id = generation_factory(1)["id"]
    manager.delete_generation(generation_id, purge=True)

    with running([*PURGE, "--once"], tmp_path / "purge.log") as purge:
        assert purge.process.wait(30) == 0

    assert len(db.rows("select 1 from pulses where name = 'purge'")) == 1
