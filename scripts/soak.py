"""Work for minutes among faults, with pollers that are killed at random, and then prove that nothing was lost.

The first part of the time generations of several owners are recorded while the provider misbehaves, webhooks are
delivered, repeated, reordered and lost, connections to the database are cut, and pollers are killed or frozen for
longer than their lease. Then all that ends, the work drains, and scripts/proof.py looks at what came of it. The seed
decides what happens; when exactly, the machine does.
"""

import argparse
import base64
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
import requests
from standardwebhooks import Webhook

from generation_history.errors import Conflict, HistoryError, Unavailable
from generation_history.generation_manager import GenerationManager
from generation_history.object_store import ObjectStore
from generation_history.settings import spaces
from scripts.create_logins import LOGINS, create_logins
from scripts.local import process
from scripts.local.host.launcher import Context
from scripts.local.host.project import ROOT
from scripts.local.postgres import Postgres
from scripts.local.seaweedfs import SeaweedFS
from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator
from scripts.migrate import migrate, one_line
from scripts.proof import Proof, prove
from sora.webhook.__main__ import main as webhook

#: Of the whole time; the rest is for the work to drain.
STORM_SHARE = 0.6
#: What may be added to the rest, should the machine be slow.
SPARE_SECONDS = 30.0
PROGRESS_SECONDS = 10.0
TICK_SECONDS = 0.1
OWNERS = 3
POLLERS = 3
LEASE_SECONDS = 3
#: Longer than a lease, so that another takes the frozen one's work over; shorter than what was posted is looked for.
FROZEN_SECONDS = 5.0
FIND_SECONDS = 12
#: More work than this waiting is no harder, only longer.
MOST_WAITING = 60
ASK_SECONDS = 10
TIMING: Final = Timing(queue_seconds=0.2, render_seconds=0.5, expires_seconds=3600)
#: What a scene's prompt asks of the simulator; most ask for nothing.
DIRECTIVES: Final = (*[""] * 14, "[fail]", "[moderate]", "[reject]", "[delay=3]", "[expire=4]")
#: What may go wrong in each place, one of them at a time.
FAULTS: Final[dict[str, list[dict[str, object]]]] = {
    "create": [
        {"status": 429, "retry_after": 1},
        {"status": 500},
        {"status": 503, "after_accepting": True},
        {"status": 401},
        {"kind": "close"},
        {"kind": "close", "after_accepting": True},
        {"kind": "hang", "seconds": 2, "after_accepting": True},
        {"kind": "html", "status": 502, "after_accepting": True},
        {"kind": "html"},
        {"kind": "truncate"},
    ],
    "retrieve": [{"status": 500}, {"status": 404}, {"status": 429}, {"kind": "close"}, {"kind": "json"}],
    "list": [{"status": 500}, {"kind": "html"}, {"kind": "close"}, {"kind": "truncate"}],
    "content": [
        {"status": 500},
        {"status": 404},
        {"status": 403},
        {"kind": "html"},
        {"kind": "truncate"},
        {"kind": "close"},
        {"kind": "slow", "bytes_per_second": 5000},
    ],
    "everything": [{"status": 503}, {"kind": "close"}, {"kind": "html", "status": 502}],
}


@dataclass(frozen=True)
class Site:
    """Where everything runs: the superuser's URL of the database, the store, the provider, the logs' folder."""

    admin_url: str
    store: ObjectStore
    provider_url: str
    folder: Path

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What the query returns to a superuser."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def control(self, method: str, what: str, plan: Any = None) -> dict[str, Any]:
        """The answer of the simulator's own routes."""
        url = f"{self.provider_url.removesuffix('/v1')}/simulator/{what}"
        return requests.request(method, url, json=plan, timeout=ASK_SECONDS).json()


@contextmanager
def site(folder: Path) -> Generator[Site]:
    """Postgres, the object store and the simulator run on free ports until the block ends, their settings are set."""
    passwords = {login: secrets.token_hex(8) for login in (*LOGINS, "postgres", "spaces", "sora", "webhook")}
    with ExitStack() as closing:
        postgres = closing.enter_context(Postgres(folder / "postgres", password=passwords["postgres"]))
        admin_url = postgres.admin_url
        create_logins(admin_url, {login: passwords[login] for login in LOGINS})
        urls = {login: postgres.url("postgres", login, passwords[login]) for login in LOGINS}
        migrate(urls["history_migrate"])
        objects = closing.enter_context(
            SeaweedFS(folder / "spaces", access_key="soak", secret_key=passwords["spaces"], bucket="soak")
        )
        provider_url = closing.enter_context(simulator(folder / "sora", api_key=passwords["sora"], timing=TIMING))
        # What killed pollers leave behind goes with the folder.
        (folder / "temp").mkdir()
        os.environ.update(
            {
                "TMPDIR": str(folder / "temp"),
                "DATABASE_URL": urls["history_api"],
                "WORKER_DATABASE_URL": urls["history_worker"],
                "DO_SPACES_BUCKET": "soak",
                "DO_SPACES_ENDPOINT": objects.endpoint,
                "DO_SPACES_ACCESS_KEY": "soak",
                "DO_SPACES_SECRET_KEY": passwords["spaces"],
                "SORA_BASE_URL": provider_url,
                "OPENAI_API_KEY": passwords["sora"],
                "OPENAI_WEBHOOK_SECRET": "whsec_" + base64.b64encode(passwords["webhook"].encode()).decode(),
                "SORA_SIZE": "160x288",
                "SORA_SECONDS": "1",
                "WORKER_LEASE_SECONDS": str(LEASE_SECONDS),
                "WORKER_FIND_SECONDS": str(FIND_SECONDS),
            }
        )
        yield Site(admin_url, ObjectStore(spaces()), provider_url, folder)


class Pollers:
    """Poller processes that are killed and frozen, and never fewer than POLLERS for long."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self._site = site
        self._chance = chance
        self._running: list[subprocess.Popen[bytes]] = []
        self._frozen: list[tuple[float, subprocess.Popen[bytes]]] = []
        self.killed = 0
        self.froze = 0

    def keep_up(self) -> None:
        """As many run as should; who was frozen long enough goes on, with leases that others hold by now."""
        for thaw_at, poller in self._frozen:
            if time.monotonic() > thaw_at:
                poller.send_signal(signal.SIGCONT)
        self._frozen = [(at, poller) for at, poller in self._frozen if time.monotonic() <= at]
        self._running = [poller for poller in self._running if poller.poll() is None]
        while len(self._running) < POLLERS:
            log = self._site.folder / "pollers.log"
            self._running.append(process.start([sys.executable, "-m", "scripts.poller"], log=log, cwd=ROOT))

    def kill_one(self) -> None:
        """One of them is killed, whatever it is doing."""
        poller = self._chance.choice(self._running)
        poller.kill()
        poller.wait()
        self.killed += 1

    def freeze_one(self) -> None:
        """One of them does nothing for a while, and does not know it."""
        poller = self._chance.choice(self._running)
        poller.send_signal(signal.SIGSTOP)
        self._frozen.append((time.monotonic() + FROZEN_SECONDS, poller))
        self.froze += 1

    def thaw(self) -> None:
        """None is frozen any more."""
        self._frozen = [(0.0, poller) for _at, poller in self._frozen]
        self.keep_up()

    def close(self) -> None:
        """None is left."""
        for poller in self._running:
            poller.kill()
            poller.wait()


class Deliveries:
    """The provider's webhooks, one for each job that ended: late, twice, out of order, forged, or never."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self._site = site
        self._chance = chance
        self._seen: set[str] = set()
        self._waiting: list[tuple[str, bytes]] = []
        self.counts: Counter[str] = Counter()

    def deliver(self) -> None:
        """Some of what has ended since, in any order; what is not delivered now may be, later."""
        for job in self._site.control("GET", "jobs")["jobs"]:
            if job["status"] in {"completed", "failed"} and job["id"] not in self._seen:
                self._seen.add(job["id"])
                body = {"type": f"video.{job['status']}", "data": {"id": job["id"]}, "object": "event"}
                event = (f"wh_{uuid4().hex}", json.dumps(body).encode())
                copies = self._chance.choice((0, 1, 1, 2))
                self.counts["lost" if copies == 0 else "made"] += 1
                self._waiting += [event] * copies
        self._chance.shuffle(self._waiting)
        for _ in range(self._chance.randint(0, len(self._waiting))):
            webhook_id, body = self._waiting.pop()
            self._send(webhook_id, body)

    def _send(self, webhook_id: str, body: bytes) -> None:
        forged = self._chance.random() < 0.1  # noqa: PLR2004
        secret = Webhook("whsec_" + base64.b64encode(b"somebody else").decode()) if forged else _webhook_secret()
        now = datetime.now(UTC)
        headers = {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": secret.sign(webhook_id, now, body.decode()),
            "content-type": "application/json",
        }
        http = {"method": "POST", "path": "", "headers": headers, "queryString": "", "body": body.decode()}
        answered = webhook({"http": http}, Context("/history/sora/webhook", uuid4().hex, time.time() + 30))
        self.counts[f"{'forged ' if forged else ''}{answered['statusCode']}"] += 1


def _webhook_secret() -> Webhook:
    return Webhook(os.environ["OPENAI_WEBHOOK_SECRET"])


@dataclass
class Soak:
    """One run: what happens at random, and what came of it."""

    site: Site
    chance: random.Random
    owners: list[UUID]
    pollers: Pollers
    deliveries: Deliveries
    counts: Counter[str] = field(default_factory=Counter[str])

    def storm(self, seconds: float) -> None:
        """Everything happens, each thing as often as its chance in every tick lets it."""
        happenings: list[tuple[float, Callable[[], None]]] = [
            (0.15, self.record),
            (0.05, self.change_faults),
            (0.05, self.pollers.kill_one),
            (0.01, self.pollers.freeze_one),
            (0.01, self.cut_connections),
            (0.2, self.deliveries.deliver),
            (0.1, self.retry_one),
        ]

        def tick() -> bool:
            self.pollers.keep_up()
            for chance, happen in happenings:
                if self.chance.random() < chance:
                    happen()
            return False

        self._go_on(tick, seconds=seconds, what="storm")

    def drain(self, seconds: float) -> bool:
        """Whether all the work got done, without faults, and as if no time passed between one due time and the next."""
        self.site.control("DELETE", "faults")
        self.pollers.thaw()

        def tick() -> bool:
            self.pollers.keep_up()
            self.deliveries.deliver()
            self.site.rows("update jobs set run_at = now() where lease_token is null and run_at > now()")
            return self.waiting() == 0

        return self._go_on(tick, seconds=seconds, what="drain")

    def waiting(self) -> int:
        """The number of scenes that still need work."""
        return self.site.rows("select count(*) from jobs")[0][0]

    def record(self) -> None:
        """A generation of one of the owners, of one or two variants, unless enough is waiting."""
        if self.waiting() > MOST_WAITING:
            return
        kinds = self.chance.sample(("soft", "medium", "aggressive", "ultra"), self.chance.randint(1, 2))
        prompts = {
            kind: [f"{self.chance.choice(DIRECTIVES)} {kind} {uuid4()}" for _ in range(self.chance.randint(1, 4))]
            for kind in kinds
        }
        manager = GenerationManager(self.chance.choice(self.owners))
        try:
            manager.create_with_scenes("https://video.example/ad", "url", prompts)
            self.counts["generations"] += 1
        except (Unavailable, Conflict) as error:
            self.counts[type(error).__name__] += 1

    def retry_one(self) -> None:
        """A person retries a failed scene, and confirms that the provider has no job of an unanswered POST."""
        failed = self.site.rows("select id::text, owner_id, error_code from scenes where status = 'failed' order by id")
        if not failed:
            return
        scene_id, owner_id, code = self.chance.choice(failed)
        try:
            GenerationManager(owner_id).retry_scene(scene_id, confirmed=code == "submit_unknown")
            self.counts["retries"] += 1
        except (Unavailable, Conflict) as error:
            self.counts[type(error).__name__] += 1

    def change_faults(self) -> None:
        """Other faults than before, or none."""
        places = self.chance.sample(list(FAULTS), self.chance.randint(0, 3))
        plan = {
            place: {
                **self.chance.choice(FAULTS[place]),
                "share": self.chance.choice((0.2, 0.5)),
                "seed": self.chance.randrange(1000),
            }
            for place in places
        }
        self.site.control("PUT", "faults", plan)
        self.counts["fault plans"] += 1

    def cut_connections(self) -> None:
        """Whoever is connected to the database is cut off, in the middle of whatever it does."""
        self.site.rows("""
            select pg_terminate_backend(pid) from pg_stat_activity
            where usename in ('history_api', 'history_worker')
        """)
        self.counts["cuts"] += 1

    def _go_on(self, tick: Callable[[], bool], *, seconds: float, what: str) -> bool:
        """Whether a tick said that it is over, before the time was."""
        begun = told = time.monotonic()
        pause = threading.Event()
        while time.monotonic() - begun < seconds:
            if tick():
                return True
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                print(f"{what} {told - begun:4.0f} s  {self}", flush=True)
            pause.wait(TICK_SECONDS)
        return False

    def __str__(self) -> str:
        """The figures until now."""
        figures = {
            **self.counts,
            "waiting": self.waiting(),
            "killed": self.pollers.killed,
            "frozen": self.pollers.froze,
            **{f"webhooks {what}": number for what, number in sorted(self.deliveries.counts.items())},
        }
        return ", ".join(f"{number} {what}" for what, number in figures.items())


def soak(folder: Path, *, minutes: float, seed: int) -> Proof:
    """The proof after so many minutes of it, and at most half a minute more."""
    chance = random.Random(seed)  # noqa: S311 - the same happenings for the same seed
    with site(folder) as at, ExitStack() as closing:
        pollers = Pollers(at, chance)
        closing.callback(pollers.close)
        run = Soak(at, chance, [uuid4() for _ in range(OWNERS)], pollers, Deliveries(at, chance))
        run.storm(minutes * 60 * STORM_SHARE)
        run.drain(minutes * 60 * (1 - STORM_SHARE) + SPARE_SECONDS)
        print(f"it was {run}", flush=True)
        pollers.close()
        return prove(at.admin_url, at.store, at.provider_url)


def main() -> int:
    """0 when the proof holds; 1, after a line for each thing that does not, when not."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="how long; at most half a minute more")
    parser.add_argument("--seed", type=int, default=0, help="what happens; the same for the same seed")
    parser.add_argument("--folder", type=Path, help="keeps data and logs there; it must be empty")
    arguments = parser.parse_args()
    with ExitStack() as closing:
        folder = arguments.folder or Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            proof = soak(folder.absolute(), minutes=arguments.minutes, seed=arguments.seed)
        except (HistoryError, process.StartError, psycopg.Error) as error:
            print(f"scripts/soak: {one_line(error)}", file=sys.stderr)
            return 1
    for problem in proof.problems:
        print(problem)
    verdict = "all of it holds" if proof.holds else "IT DOES NOT HOLD"
    print(f"seed={arguments.seed} minutes={arguments.minutes:g} {proof}: {verdict}")
    return 0 if proof.holds else 1


if __name__ == "__main__":
    sys.exit(main())
