"""Whatever breaks around a worker, nothing is lost, nothing is paid for twice, and every number is right afterwards.

The workers are processes of their own; what is as if no time passed is moved in the database.
"""

import itertools
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from generation_history.db import database
from generation_history.errors import Conflict, StorageError
from generation_history.record.generation_manager import GenerationManager
from generation_history.settings import spaces
from generation_history.storage.object_store import ObjectStore
from scripts.chaos.environment import through
from scripts.chaos.faults import LIES
from scripts.local import ports
from scripts.local.postgres import Postgres
from scripts.local.tcp_proxy import MUTE, SILENCE, THROUGH, Direction, Fate, TcpProxy, answering
from scripts.operate.create_logins import create_logins
from scripts.operate.migrate import migrate
from tests.conftest import PASSWORDS, TestDatabase
from tests.crash.conftest import LEASE_SECONDS, Place
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"),
]


# ---------------------------------------------------------------- the database


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("begin", [300, 2000, 6000])
def test_a_connection_to_the_database_cut_after_any_number_of_bytes_loses_nothing(
    place: Place, db: TestDatabase, direction: Direction, begin: int
):
    """Up: a transaction that never came whole; down: one whose commit was never heard of."""
    place.record("one", "two", "three")
    cuts = iter(range(begin, begin + 3000, 151))
    with TcpProxy(urlsplit(db.worker).port) as proxy:
        proxy.fate = lambda: Fate(next(cuts, None), direction)
        place.start_worker(WORKER_DATABASE_URL=through(proxy, db.worker))
        place.wait_until_done()

        assert proxy.fault_count
    proof = place.proof()
    assert proof.completed + proof.failed.get("submit_unknown", 0) == 3


@pytest.mark.parametrize("limits", [{}, {"SORA_MAX_RUNNING": "1"}], ids=["unlimited", "one at once"])
def test_every_transaction_may_be_done_twice(place: Place, limits: dict[str, str]):
    """Its answer is lost, so that nobody knows that it was done, and it is done again."""
    place.record("one", "two")
    place.start_worker(forgetful=0.4, **limits)
    place.wait_until_done()

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
) -> Iterator[Place]:
    monkeypatch.setenv("DATABASE_URL", own_postgres.urls["history_api"])
    monkeypatch.setenv("WORKER_DATABASE_URL", own_postgres.urls["history_worker"])
    own = replace(db, admin=own_postgres.server.admin_url)
    yield replace(place, admin_url=own.admin, rows=own.rows, processes=place.processes)
    own.close()


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
    "answers 500": answering("500 Internal Server Error", "<Error><Code>InternalError</Code></Error>"),
    "answers 503": answering("503 Service Unavailable", "<Error><Code>SlowDown</Code></Error>"),
    "hangs up": Fate(cut_after=1),
    "hangs up in the middle of a video": Fate(cut_after=5000),
    "never answers": SILENCE,
    "does all and never says so": MUTE,
    "refuses": None,
    **{f"lies: {kind}": fate for kind, fate in LIES.items()},
}


@pytest.mark.parametrize("manner", BAD_STORES)
def test_a_store_that_fails_keeps_the_scene_waiting_until_it_works_again(
    place: Place, manner: str, monkeypatch: pytest.MonkeyPatch
):
    bad, good = BAD_STORES[manner], urlsplit(spaces().endpoint).port
    with TcpProxy(good) as proxy:
        monkeypatch.setenv("DO_SPACES_ENDPOINT", f"http://127.0.0.1:{proxy.port}")
        place.record(f"[delay=2] {manner}")
        place.start_worker(impatient=1)
        # Without its intent in the store nothing is posted.
        eventually(lambda: place.rows("select 1 from attempts where sora_video_id is not null"))
        proxy.target, proxy.fate = good if bad else None, lambda: bad or THROUGH
        proxy.cut_all()
        eventually(lambda: place.rows("select 1 from jobs where step = 'store' and last_error is not null"))
        assert place.scene()["status"] == "processing"
        proxy.target, proxy.fate = good, lambda: THROUGH
        proxy.cut_all()
        place.wait_until_done()

        assert replace(place, store=ObjectStore(spaces())).proof().completed == 1


def test_a_list_of_objects_that_breaks_off_is_an_error_and_no_empty_list(place: Place, tmp_path: Path):
    """A purge would remove the rows of objects that are still there."""
    file = tmp_path / "file"
    file.write_bytes(b"bytes")
    place.store.put("generations/one", file, content_type="video/mp4")
    with TcpProxy(urlsplit(spaces().endpoint).port, fate=lambda: Fate(cut_after=40, direction="down")) as proxy:
        store = ObjectStore(replace(spaces(), endpoint=f"http://127.0.0.1:{proxy.port}"))

        with pytest.raises(StorageError):
            list(store.keys("generations/"))


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
def test_a_provider_that_fails_for_a_while_costs_no_job_it_accepted(place: Place, manner: str):
    plan, lost = BAD_PROVIDERS[manner]
    place.faults(**plan)
    scenes = place.record("one", "two")
    place.start_worker(impatient=2)
    place.wait_until_done()

    proof = place.proof()
    unknown = proof.failed.get("submit_unknown", 0)
    assert lost in {None, unknown}
    assert proof.completed == proof.provider_jobs == 2 - unknown

    for scene in scenes:
        # A person has looked: the provider has no such job.
        with suppress(Conflict):
            GenerationManager().retry_scene(scene, confirmed=True)
    place.wait_until_done()
    assert place.proof().completed == 2


def test_a_video_that_expires_before_it_can_be_fetched_fails_as_expired(place: Place):
    """Of an outage that lasts until the provider has no more of it; its own no ends the job, not the time."""
    place.faults(content={"status": 500})
    place.record("[expire=1]")
    place.start_worker()
    # The provider tells the moment in whole seconds, and has the video until the next one.
    gone = "select 1 from jobs where expires_at < now() - interval '1 second' and failures > 0"
    eventually(lambda: place.rows(gone))
    place.faults()
    place.wait_until_done()

    proof = place.proof()
    assert (proof.failed, proof.provider_jobs) == ({"expired": 1}, 1)


def test_a_status_nobody_knows_means_that_the_job_still_runs(place: Place):
    words = ["dreaming", "", "\N{SPARKLES}" * 60]
    place.faults(retrieve=[{"kind": "vague", "word": word, "times": 1} for word in words])
    place.record("one")
    place.start_worker()
    place.wait_until_done()

    assert place.faults_happened() == {"retrieve": [1, 1, 1]}
    assert place.proof().completed == 1


# ---------------------------------------------------------------- workers and their clocks


def test_two_worker_processes_share_the_work_and_do_none_of_it_twice(place: Place):
    place.record(*(f"scene {number}" for number in range(16)))
    place.start_worker()
    place.start_worker()
    place.wait_until_idle()

    proof = place.proof()
    assert (proof.completed, proof.provider_jobs) == (16, 16)


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """The file that a worker's clock goes by."""
    file = tmp_path / "clock"
    file.write_text("0")
    return file


DAY = 86_400


@pytest.mark.parametrize("off", [DAY, -DAY])
def test_a_worker_whose_clock_is_a_day_off_decides_nothing_by_it(place: Place, clock: Path, off: int):
    """The store refuses what it signs; so everything waits, by the clock of the database, until its own is right."""
    place.faults(content={"kind": "slow", "bytes_per_second": 8_000})
    place.record("one", "two", "three")
    place.start_worker(clock=clock)
    leased = (
        "select extract(epoch from run_at - now())::float from jobs where step = 'store' and lease_token is not null"
    )
    assert all(-10 < left <= LEASE_SECONDS for (left,) in eventually(lambda: place.rows(leased)))
    eventually(lambda: place.rows("select count(*) from attempts where sora_video_id is not null") == [(3,)])
    clock.write_text(str(off))
    place.faults()
    refused(place, "store", 3)
    assert place.rows("select distinct status from scenes") == [("processing",)]
    assert_no_time_is_odd(place)
    clock.write_text("0")
    place.wait_until_done()

    proof = place.proof()
    assert (proof.completed, proof.provider_jobs) == (3, 3)


@pytest.mark.parametrize("off", [DAY, -DAY])
def test_a_worker_whose_clock_is_a_day_off_posts_nothing(place: Place, clock: Path, off: int):
    """It could not say in the bucket that it does."""
    clock.write_text(str(off))
    place.record("one", "two", "three")
    place.start_worker(clock=clock)
    refused(place, "submit", 3)
    assert_no_time_is_odd(place)
    clock.write_text("0")
    place.wait_until_done()

    proof = place.proof()
    assert (proof.completed, proof.provider_jobs, proof.posts) == (3, 3, 3)


def refused(place: Place, step: str, jobs: int) -> None:
    """Wait until the store has refused, in this step of so many jobs, what the worker signed."""

    def is_refused() -> bool:
        place.come_due()
        count = "select count(*) from jobs where step = %s and last_error like %s"
        return place.rows(count, step, "%RequestTimeTooSkewed%") == [(jobs,)]

    eventually(is_refused)


def assert_no_time_is_odd(place: Place) -> None:
    """What is due and when work must be done go by the database's clock."""
    assert not place.rows("""
        select run_at, deadline from jobs where abs(extract(epoch from run_at - now())) > 600
            or abs(extract(epoch from deadline - now()) - 86400) > 600
    """)


@pytest.mark.parametrize("off", [600, -600])
def test_a_worker_whose_clock_is_minutes_off_does_its_work_all_the_same(place: Place, clock: Path, off: int):
    clock.write_text(str(off))
    place.record("one", "two", "[expire=2]")
    place.start_worker(clock=clock)
    place.wait_until_done()

    assert place.proof().completed == 3


def test_workers_whose_clocks_jump_all_the_time_lose_nothing(place: Place, clock: Path):
    place.record(*(f"scene {number}" for number in range(6)))
    place.start_worker(clock=clock)
    place.start_worker(clock=clock)
    jumps = itertools.cycle([0, DAY, 0, -DAY, 0, 20, -20])

    def is_done() -> bool:
        clock.write_text(str(next(jumps)))
        place.come_due()
        return place.is_idle()

    eventually(is_done, seconds=60)

    proof = place.proof()
    assert (proof.completed, proof.provider_jobs) == (6, 6)


def jump(place: Place, seconds: int) -> None:
    """The database's clock jumps ahead: all it has written is so much older."""
    for older in (
        "update jobs set run_at = run_at - jump, deadline = deadline - jump, expires_at = expires_at - jump",
        "update scenes set expires_at = expires_at - jump",
        "update attempts set intended_at = intended_at - jump, accepted_at = accepted_at - jump",
    ):
        place.rows(f"{older} from make_interval(secs => %s) jump", seconds)


def test_a_worker_that_is_overtaken_by_a_jump_of_the_database_writes_nothing_any_more(place: Place):
    """Its lease is over at once, and so are the job's deadline and the video's time: what can be fetched is fetched."""
    place.faults(content={"kind": "slow", "bytes_per_second": 8_000})
    place.record("one")
    slow = place.start_worker()
    eventually(lambda: place.faults_happened()["content"] == [1])
    slow.send_signal(signal.SIGSTOP)
    place.faults()
    jump(place, DAY)
    place.start_worker()
    place.wait_until_idle()
    stored = place.scene()
    slow.send_signal(signal.SIGCONT)
    eventually(lambda: "another worker has taken over" in place.log())

    assert place.scene() == stored
    proof = place.proof()
    assert (proof.completed, proof.provider_jobs) == (1, 1)


@pytest.mark.parametrize("seconds", [100, -100])
def test_a_post_without_an_answer_is_found_though_the_clock_of_the_database_jumps(place: Place, seconds: int):
    place.faults(create={"kind": "close", "after_accepting": True}, list={"status": 500})
    place.record("one")
    place.start_worker()
    eventually(lambda: place.rows("select 1 from jobs where step = 'find' and failures > 0"))
    jump(place, seconds)
    place.faults()
    place.wait_until_done()
    jump(place, -seconds)

    proof = place.proof()
    assert (proof.completed, proof.posts, proof.attempts) == (1, 1, 1)
