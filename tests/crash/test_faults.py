"""Whatever breaks around a worker, nothing is lost, nothing is paid for twice, and every number is right afterwards."""

import itertools
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from generation_history import database, object_store
from generation_history.database import Database
from generation_history.errors import Conflict
from generation_history.generation_manager import GenerationManager
from generation_history.object_store import ObjectStore
from generation_history.providers import VideoJob
from generation_history.providers.sora import SoraProvider
from generation_history.settings import Limits, spaces
from generation_history.worker import Worker, from_settings
from scripts.create_logins import create_logins
from scripts.local import ports
from scripts.local.postgres import Postgres
from scripts.migrate import migrate
from tests.conftest import PASSWORDS, TestDatabase
from tests.contract.scripted_server import ScriptedServer, answer, hang_up, never
from tests.contract.waiting import eventually
from tests.crash.conftest import Place
from tests.crash.tcp_proxy import Direction, TcpProxy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"),
]


def through(url: str, proxy: TcpProxy) -> str:
    """The same URL by way of the proxy."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition(":")[0] + f":{proxy.port}"))


# ---------------------------------------------------------------- the database


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("begin", [300, 2000, 6000])
def test_a_connection_to_the_database_cut_after_any_number_of_bytes_loses_nothing(
    place: Place, db: TestDatabase, direction: Direction, begin: int, monkeypatch: pytest.MonkeyPatch
):
    """Up: a transaction that never came whole; down: one whose commit was never heard of."""
    place.record("one", "two", "three")
    port = urlsplit(db.worker).port
    with TcpProxy(port, direction=direction, cuts=range(begin, begin + 3000, 151)) as proxy:
        monkeypatch.setenv("WORKER_DATABASE_URL", through(db.worker, proxy))
        made = from_settings()
        place.finish(made)
        made.close()

        assert proxy.cut
    proof = place.proof()
    assert proof.completed + proof.failed.get("submit_unknown", 0) == 3


@pytest.mark.parametrize("limits", [Limits(), Limits(most_running=1)], ids=["unlimited", "one at once"])
def test_every_transaction_may_be_done_twice(
    place: Place, worker: Worker, limits: Limits, monkeypatch: pytest.MonkeyPatch
):
    """Its answer is lost, so that nobody knows that it was done, and it is done again."""
    once, chance = Database._transaction, random.Random(1)  # noqa: S311

    def unheard_of(self: Database, owner: Any, statements: Sequence[Any]) -> list[dict[str, Any]]:
        rows = once(self, owner, statements)
        if chance.random() < 0.4:
            raise psycopg.OperationalError("the answer was lost")
        return rows

    place.record("one", "two")
    monkeypatch.setattr(Database, "_transaction", unheard_of)
    monkeypatch.setattr(worker, "_limits", limits)
    place.finish(worker)
    monkeypatch.undo()

    assert place.proof().completed == 2


class OwnPostgres:
    """A server that a test may restart, with the database of its own."""

    def __init__(self, folder: Path) -> None:
        self.server = Postgres(folder, port=ports.free_port(), password="postgres")
        self.server.start()
        create_logins(self.server.admin_url, PASSWORDS)
        self.urls = {login: self.server.url("postgres", login, password) for login, password in PASSWORDS.items()}
        migrate(self.urls["history_migrate"])

    def restart(self) -> None:
        self.server.stop()
        self.server.start()


@pytest.fixture
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnPostgres]:
    made = OwnPostgres(tmp_path_factory.mktemp("own") / "data")
    yield made
    database.connect(made.urls["history_api"], setting="DATABASE_URL").close()
    made.server.stop()


@pytest.fixture
def place_of_its_own(
    own_postgres: OwnPostgres, place: Place, db: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> Place:
    monkeypatch.setenv("DATABASE_URL", own_postgres.urls["history_api"])
    monkeypatch.setenv("WORKER_DATABASE_URL", own_postgres.urls["history_worker"])
    own = replace(db, admin=own_postgres.server.admin_url)
    return replace(place, admin_url=own.admin, rows=own.rows, processes=place.processes)


def test_a_database_that_restarts_in_the_middle_loses_nothing(place_of_its_own: Place, own_postgres: OwnPostgres):
    place = place_of_its_own
    place.record(*(f"scene {number}" for number in range(12)))
    place.start_worker()
    for moment in ("select 1 from attempts", "select 1 from scenes where status = 'completed'"):
        eventually(lambda moment=moment: place.rows(moment))
        own_postgres.restart()
    place.wait_until_idle()

    proof = place.proof()
    assert proof.completed + proof.failed.get("submit_unknown", 0) == 12


# ---------------------------------------------------------------- the object store

BAD_STORES = {
    "answers 500": answer(500, b"<Error><Code>InternalError</Code></Error>", kind="application/xml"),
    "answers 503": answer(503, b"<Error><Code>SlowDown</Code></Error>", kind="application/xml"),
    "hangs up": hang_up,
    "never answers": never,
    "refuses": None,
}


@pytest.mark.parametrize("manner", BAD_STORES)
def test_a_store_that_fails_keeps_the_scene_waiting_until_it_works_again(
    place: Place, scripted: ScriptedServer, manner: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(object_store, "READ_SECONDS", 1)
    bad = BAD_STORES[manner]
    if bad is not None:
        scripted.script(bad)
    good = urlsplit(spaces().endpoint).port
    with TcpProxy(None if bad is None else scripted.port) as proxy:
        monkeypatch.setenv("DO_SPACES_ENDPOINT", f"http://127.0.0.1:{proxy.port}")
        place.record(manner)
        made = from_settings()

        def is_in_the_way() -> bool:
            place.come_due()
            place.run(made)
            return bool(place.rows("select 1 from jobs where step = 'store' and last_error is not null"))

        eventually(is_in_the_way)
        assert place.scene()["status"] == "processing"
        proxy.target = good
        place.finish(made)
        made.close()

        assert replace(place, store=ObjectStore(spaces())).proof().completed == 1


# ---------------------------------------------------------------- the provider

#: What the provider does wrong for a while, and how many of two scenes it costs: those that it never made.
BAD_PROVIDERS: dict[str, tuple[dict[str, object], int]] = {
    "is busy": ({"create": {"status": 429, "times": 3}}, 0),
    "refuses the key": ({"create": {"status": 401, "times": 2}}, 0),
    "fails at a POST": ({"create": {"status": 500, "times": 1}}, 1),
    "drops a POST": ({"create": {"kind": "close", "times": 1}}, 1),
    "fails after a POST": ({"create": {"status": 500, "after_accepting": True, "times": 2}}, 0),
    "drops POSTs it took": ({"create": {"kind": "close", "after_accepting": True, "times": 2}}, 0),
    "truncates its answers to POSTs": ({"create": {"kind": "truncate", "times": 2}}, 0),
    "answers a POST it took with a page": (
        {"create": {"kind": "html", "after_accepting": True, "times": 2}, "list": {"status": 500, "times": 3}},
        0,
    ),
    "cannot say how a job stands": ({"retrieve": [{"status": 500, "times": 3}, {"kind": "json", "times": 3}]}, 0),
    "does not know its jobs for a while": ({"retrieve": {"status": 404, "times": 6}}, 0),
    "truncates videos": ({"content": {"kind": "truncate", "times": 3}}, 0),
    "fails at videos": ({"content": [{"status": 500, "times": 3}, {"kind": "close", "times": 2}]}, 0),
    "sends a page for a video": ({"content": {"kind": "html", "times": 3}}, 0),
    "is out of order": ({"everything": [{"status": 429, "times": 2}, {"kind": "html", "times": 1}]}, None),
}


@pytest.mark.parametrize("manner", BAD_PROVIDERS)
def test_a_provider_that_fails_for_a_while_costs_no_job_it_accepted(place: Place, worker: Worker, manner: str):
    plan, lost = BAD_PROVIDERS[manner]
    place.faults(**plan)
    scenes = place.record("one", "two")
    place.finish(worker)

    proof = place.proof()
    unknown = proof.failed.get("submit_unknown", 0)
    assert lost in {None, unknown}
    assert proof.completed == proof.provider_jobs == 2 - unknown

    for scene in scenes:
        # A person has looked: the provider has no such job.
        with suppress(Conflict):
            GenerationManager().retry_scene(scene, confirmed=True)
    place.finish(worker)
    assert place.proof().completed == 2


def test_a_video_that_expires_before_it_can_be_fetched_fails_as_expired(place: Place, worker: Worker):
    place.faults(content={"status": 500})
    place.record("[expire=1]")

    def is_over() -> bool:
        place.come_due()
        place.run(worker)
        return place.is_idle()

    eventually(is_over)

    proof = place.proof()
    assert (proof.failed, proof.provider_jobs) == ({"expired": 1}, 1)


def test_a_status_nobody_knows_means_that_the_job_still_runs(
    place: Place, worker: Worker, monkeypatch: pytest.MonkeyPatch
):
    poll, unknown = SoraProvider.poll, iter(["dreaming", "", "\N{SPARKLES}" * 60])

    def vague(self: SoraProvider, job_id: str) -> VideoJob:
        video = poll(self, job_id)
        return replace(video, status=next(unknown, video.status))

    monkeypatch.setattr(SoraProvider, "poll", vague)
    place.record("one")
    place.finish(worker)

    assert next(unknown, None) is None
    assert place.proof().completed == 1


# ---------------------------------------------------------------- workers and their clocks


def test_two_worker_processes_share_the_work_and_do_none_of_it_twice(place: Place):
    place.record(*(f"scene {number}" for number in range(16)))
    place.start_worker()
    place.start_worker()
    place.wait_until_idle()

    proof = place.proof()
    assert (proof.completed, proof.provider_jobs) == (16, 16)


def test_a_worker_whose_clock_jumps_works_by_the_clock_of_the_database(
    place: Place, worker: Worker, monkeypatch: pytest.MonkeyPatch
):
    place.record("one", "two", "three")
    true, jumps = time.time, itertools.cycle([0, 86_400, -86_400, 20, -20])
    monkeypatch.setattr(time, "time", lambda: true() + next(jumps))
    place.finish(worker)
    monkeypatch.undo()

    proof = place.proof()
    assert (proof.completed, proof.provider_jobs) == (3, 3)
