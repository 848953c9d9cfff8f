"""Work for minutes among faults, with pollers that are killed at random, and then prove that nothing was lost.

The first part of the time generations of several owners are recorded, retried, deleted, restored and purged, while
provider and store misbehave, the store lies, the database is restarted, its connections are cut, and it fails over to a
replica that lacks the last transactions, webhooks are delivered, repeated, reordered and lost, clocks jump, limits come
and go, temporary folders are full, clients stand still with locks, and pollers are killed or frozen for longer than
their lease. Then all that ends, the work drains, what the database has forgotten is reconciled, and proof.py looks at
what came of it. The seed decides what happens; when exactly, the machine does.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg

from generation_history.errors import HistoryError
from scripts.chaos.deliveries import Deliveries
from scripts.chaos.environment import LEASE_SECONDS, Environment, environment
from scripts.chaos.failovers import Failovers
from scripts.chaos.faults import LIES, Faults
from scripts.chaos.frozen_clients import FrozenClients
from scripts.chaos.pollers import Pollers
from scripts.chaos.proof import Proof, prove
from scripts.chaos.users import Users
from scripts.local import process
from scripts.operate.migrate import one_line
from scripts.operate.reconcile import reconcile

#: How long, of the time that everything failed, the work may take to get done afterwards, and what may be added to it.
DRAIN_SHARE = 0.5
SPARE_SECONDS = 90.0
#: By when of the storm each thing has happened once.
FIRST_SHARE = 0.5
PROGRESS_SECONDS = 10.0
TICK_SECONDS = 0.1
OWNERS = 3


@dataclass
class Soak:
    """One run: what happens at random, and what came of it."""

    environment: Environment
    chance: random.Random
    pollers: Pollers
    deliveries: Deliveries
    faults: Faults
    users: Users
    clients: FrozenClients
    failovers: Failovers
    printed_at: float = 0.0

    def storm(self, seconds: float) -> None:
        """Everything happens, each thing so many times a second and once at least."""
        rates: list[tuple[float, Callable[[], None]]] = [
            (1.5, self.users.record),
            (1.0, self.users.retry_one),
            (0.4, self.users.delete_one),
            (0.3, self.users.restore_one),
            (0.2, self.users.purge),
            (2.0, self.deliveries.deliver),
            (0.5, self.pollers.kill_one),
            (0.1, self.pollers.freeze_one),
            (0.1, self.pollers.fill_their_folders),
            (0.2, self.pollers.move_one_clock),
            (0.15, self.pollers.change_limits),
            (0.5, self.faults.change_provider),
            (0.4, self.faults.change_store),
            (0.1, self.faults.change_database),
            (0.1, self.faults.move_clock),
            (0.02, self.faults.restart_database),
            (0.02, self.failovers.fall_behind),
            (0.05, self.clients.freeze_with_a_generation),
            (0.05, self.clients.freeze_at_its_turn),
            *((0.04, partial(self.faults.lie, kind)) for kind in LIES),
        ]
        pending = [action for _, action in rates]
        schedule = sorted(
            (
                (self.chance.uniform(0, seconds if number else seconds * FIRST_SHARE), action)
                for rate, action in rates
                for number in range(max(1, round(rate * seconds)))
            ),
            key=lambda entry: entry[0],
        )
        start = time.monotonic()
        for offset, action in schedule:
            if not self._wait(start + offset, deadline=start + seconds):
                break
            action()
            if action in pending:
                pending.remove(action)
        self._wait(start + seconds, deadline=start + seconds)
        # On a slow machine.
        for action in pending:
            action()
        self.failovers.finish()
        self.clients.close()

    def _wait(self, moment: float, *, deadline: float) -> bool:
        """Whether the moment came before it was too late; as many pollers as should are at work meanwhile."""
        pause = threading.Event()
        while (now := time.monotonic()) < deadline:
            self.pollers.start_missing()
            self.failovers.fail_over_when_due()
            self._print_progress()
            if now >= moment:
                return True
            pause.wait(min(TICK_SECONDS, moment - now))
        return False

    def drain(self, seconds: float) -> bool:
        """Whether all the work got done, without faults, and as if no time passed between one due time and the next."""
        self.faults.calm()
        self.users.stop()
        self.pollers.begin_anew()
        pause = threading.Event()
        start = time.monotonic()
        while self.users.waiting() or self._recover():
            if time.monotonic() > start + seconds:
                return False
            self.pollers.start_missing()
            self.deliveries.deliver()
            self._come_due()
            self._print_progress()
            pause.wait(TICK_SECONDS)
        return True

    def _recover(self) -> int:
        """The number of paid jobs that the database had forgotten and that are fetched from now on."""
        return reconcile(self.environment.migrate_url, self.environment.store, apply=True).recovered

    def _come_due(self) -> None:
        """What waits is due, and no lease ends later than if the clocks had always been right."""
        end = "now() + make_interval(secs => %s)"
        # Who was frozen with a lock, or is in a deadlock, is waited for the next time.
        with suppress(psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            self.environment.rows("update jobs set run_at = now() where lease_token is null and run_at > now()")
            self.environment.rows(
                f"update jobs set run_at = {end} where lease_token is not null and run_at > {end}", *[LEASE_SECONDS] * 2
            )

    def _print_progress(self) -> None:
        if time.monotonic() - self.printed_at > PROGRESS_SECONDS:
            self.printed_at = time.monotonic()
            print(f"{self}", flush=True)

    def __str__(self) -> str:
        """The figures until now."""
        parts = (self.users, self.pollers, self.faults, self.deliveries, self.clients, self.failovers)
        counts = sum((part.counts for part in parts), Counter[str]())
        figures = ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
        return f"{self.users.waiting()} waiting, {self.faults}, {figures}"


def soak(folder: Path, *, minutes: float, seed: int) -> Proof:
    """The proof after so many minutes of faults, and as long as all the work takes to get done then."""
    chance = random.Random(seed)  # noqa: S311 - the same happenings for the same seed
    with environment(folder) as env, ExitStack() as closing:
        faults = Faults(env, chance)
        run = Soak(
            env,
            chance,
            Pollers(env, chance),
            Deliveries(env, chance),
            faults,
            Users(env, chance, [uuid4() for _ in range(OWNERS)]),
            FrozenClients(env, chance),
            Failovers(env, chance, save_state=faults.save_clock),
        )
        closing.callback(run.clients.close)
        closing.callback(run.pollers.close)
        closing.callback(run.users.stop)
        run.storm(minutes * 60)
        print(f"it was {run}", flush=True)
        run.drain(minutes * 60 * DRAIN_SHARE + SPARE_SECONDS)
        run.pollers.close()
        # What the last of them had sent half of never arrives.
        env.spaces.cut_all()
        run.users.purge_the_rest()
        return prove(env.admin_url, env.store, env.provider_url)


def main() -> int:
    """0 when the proof holds; 1, after a line for each thing that does not, when not."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument(
        "--minutes",
        type=float,
        default=2.0,
        help="how long everything fails; what is left to do then takes at most half of it more",
    )
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
