"""scripts/dev says on one line, by the name of the setting or the argument, why it does not start."""

import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

from scripts.local import dev, ports
from scripts.local.host.instances import Pool
from scripts.local.host.project import read_project
from scripts.local.stack import external_parts
from scripts.release.build import project_yml
from tests.support.scripted_server import ScriptedServer, answer


@dataclass(frozen=True)
class Ended:
    """How a run ended, and what it wrote to its standard output and error."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that it failed with."""
        assert self.status == 1
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("scripts/dev: ")


Run = Callable[..., Ended]


@pytest.fixture
def run(
    tmp_path: Path, taken_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Runs the command in this process; at the latest it fails for its port, which is taken."""

    def run_it(*arguments: object) -> Ended:
        given = map(str, arguments if "--folder" in arguments else ("--folder", tmp_path / "state", *arguments))
        monkeypatch.setattr(sys, "argv", ["scripts/dev", "--demo", "--once", f"--port={taken_port}", *given])
        with patch.dict(os.environ):  # a stack sets what it needs
            status = dev.main()
        return Ended(status, *capsys.readouterr())

    before = signal.getsignal(signal.SIGTERM)
    yield run_it
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def everything(db, spaces, sora: str) -> None:
    """Settings that name a database, a store and a provider, so that nothing has to be started."""


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def stranger(scripted: ScriptedServer) -> str:
    """The URL of a server that knows nothing of videos or objects."""
    scripted.script(answer(501))
    return scripted.base_url.removesuffix("/v1")


WRONG = {
    "DATABASE_URL": [
        "{postgres}",
        "{api}/../other",
        "{api_with_another_password}",
        "{nowhere}",
        "{worker}",
        "{migrate}",
        "{admin}",
        "{blank}",
    ],
    "WORKER_DATABASE_URL": ["", "{postgres}", "{api}", "{migrate}", "{blank}"],
    "SORA_BASE_URL": ["nonsense", "{stranger}/v1", "http://127.0.0.1:1/v1"],
    "OPENAI_API_KEY": ["", "wrong", "two words"],
    "DO_SPACES_ENDPOINT": ["nonsense", "{stranger}", "http://127.0.0.1:1"],
    "DO_SPACES_BUCKET": ["Bad Bucket!", "no-such-bucket"],
    "DO_SPACES_ACCESS_KEY": ["wrong"],
    "DO_SPACES_SECRET_KEY": ["", "wrong"],
    "HISTORY_ACCESS": ["open"],
    "HISTORY_OWNER_ID": ["me"],
    "SORA_SECONDS": ["long"],
    "SORA_MAX_RUNNING": ["0"],
    "WORKER_CONCURRENCY": ["abc"],
    "POLLER_WAKE_URL": ["nonsense"],
}


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize(("setting", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_setting_is_one_line_that_begins_with_its_name(
    run: Run, db, blank, postgres, stranger: str, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
):
    known = {"api": db.api, "worker": db.worker, "migrate": db.migrate, "admin": db.admin}
    known |= {"blank": blank.worker if setting.startswith("WORKER") else blank.api}
    known |= {"postgres": "history_api:history_api-password@127.0.0.1/name", "stranger": stranger}
    known |= {"api_with_another_password": db.api.replace("history_api-password", "another-password")}
    known |= {"nowhere": "postgresql://history_api:another-password@127.0.0.1:1/name"}
    monkeypatch.setenv(setting, value.format(**known))

    complaint = run().complaint

    assert complaint.startswith(setting)
    assert "-password" not in complaint


@pytest.mark.usefixtures("everything")
def test_a_port_that_is_taken_is_one_line(run: Run, taken_port: int):
    """And with all settings right nothing else keeps it from starting."""
    complaint = run().complaint

    assert complaint.startswith(f"Port {taken_port} of 127.0.0.1 is not free for the functions")


@pytest.mark.parametrize("port", [0, -1, 65536, 99999, "http"])
def test_a_number_that_is_no_port_is_refused(run: Run, capsys: pytest.CaptureFixture[str], port: object):
    with pytest.raises(SystemExit) as ended:
        run(f"--sora-port={port}")

    assert ended.value.code == 2
    assert f"argument --sora-port: {port} is not a port" in capsys.readouterr().err


@pytest.mark.parametrize("reset", [(), ("--reset",)])
def test_a_folder_that_is_a_file_is_one_line(run: Run, tmp_path: Path, reset: tuple[str, ...]):
    file = tmp_path / "file"
    file.write_text("mine")

    for folder in (file, file / "below"):
        assert run("--folder", folder, *reset).complaint.startswith(f"--folder: {folder} cannot be used: ")
    assert file.read_text() == "mine"


def test_reset_removes_nothing_but_what_scripts_dev_keeps(run: Run, tmp_path: Path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis").write_text("mine")

    assert run("--folder", mine, "--reset").complaint.startswith(f"--reset: {mine} ")

    assert [path.name for path in mine.iterdir()] == ["thesis"]


@pytest.mark.usefixtures("everything")
def test_reset_forgets_what_is_kept(run: Run, tmp_path: Path):
    run()
    (tmp_path / "state" / "postgres").mkdir()

    run("--reset")

    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["kept.json", "lock", "logs"]


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({}, set()),
        ({"DATABASE_URL": "x"}, {"Postgres"}),
        ({"DO_SPACES_ENDPOINT": "x"}, {"SeaweedFS"}),
        ({"DO_SPACES_ACCESS_KEY": "x"}, {"SeaweedFS"}),
        ({"SORA_BASE_URL": "x"}, {"the simulator"}),
        ({"OPENAI_API_KEY": "x", "DO_SPACES_SECRET_KEY": "x", "WORKER_DATABASE_URL": "x", "DATABASE_URL": ""}, set()),
    ],
)
def test_a_part_is_started_unless_the_environment_names_another(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], parts: set[str]
):
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    assert external_parts().keys() == parts
    assert set(external_parts().values()) <= given.keys()


@pytest.mark.usefixtures("everything")
def test_it_is_said_at_the_start_which_parts_are_not_its_own(run: Run):
    """A key exported for something else would send the demo to a real store without a word."""
    assert run().out.splitlines() == [
        "not starting Postgres: DATABASE_URL is set, so what it names is used",
        "not starting SeaweedFS: DO_SPACES_ENDPOINT is set, so what it names is used",
        "not starting the simulator: SORA_BASE_URL is set, so what it names is used",
    ]


def test_an_instance_that_comes_to_be_while_the_host_ends_ends_too(tmp_path):
    """Nobody would end it: a poller would be waited for a quarter of an hour."""
    templates = re.findall(r"\$\{(\w+)\}", project_yml())
    function = next(one for one in read_project(dict.fromkeys(templates, "x")) if one.name == "poller")
    pool = Pool(function, tmp_path)
    pool._closed = True

    answer = pool.call({}).result(30)

    assert answer == {"error": "the host has ended"}
    assert [instance.is_alive for instance in pool._instances] == [False]
    pool.close()
