"""The soak's poller processes: killed, frozen, told a wrong time, without room, held back by limits, and never few."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.chaos.environment import Environment
from scripts.local import process
from scripts.local.host.project import ROOT

POLLERS = 3
#: Longer than a lease, so that another takes the frozen one's work over; shorter than what was posted is looked for.
FROZEN_SECONDS = 5.0
#: Of an answer's; more than a frozen poller, so that what it left unanswered is answered meanwhile.
PATIENCE_SECONDS = 3
#: Within what S3 tolerates of a signature's time, and far beyond it.
CLOCKS: Final = (0, 0, 300, -300, 86_400, -86_400)
#: None, and less than a video has.
SPARE_BYTES: Final = (0, 0, 4096)
LIMITS: Final[tuple[dict[str, str], ...]] = (
    {},
    {},
    {},
    {"SORA_SUBMITTING": "off"},
    {"SORA_MAX_RUNNING": "2"},
    {"SORA_MAX_PER_MINUTE": "30"},
    {"SPEND_LIMIT_PER_OWNER_DAY": "1"},
)


@dataclass
class Poller:
    """One of them, the file that its clock goes by, and its temporary folder."""

    process: subprocess.Popen[bytes]
    clock: Path
    temp: Path
    #: Which happens once: what it holds up is held up no longer than one such time.
    was_frozen: bool = False


class Pollers:
    """As many as POLLERS, each under the limits that held when it was started."""

    def __init__(self, environment: Environment, chance: random.Random) -> None:
        self._env = environment
        self._chance = chance
        self._running: list[Poller] = []
        self._limits: dict[str, str] = {}
        self._started = 0
        self.counts: Counter[str] = Counter()

    def start_missing(self) -> None:
        """As many run as should."""
        for poller in [poller for poller in self._running if poller.process.poll() is not None]:
            self._running.remove(poller)
            # As a function's goes with its instance.
            shutil.rmtree(poller.temp, ignore_errors=True)
        while len(self._running) < POLLERS:
            self._running.append(self._start())

    def _start(self) -> Poller:
        self._started += 1
        clock = self._env.folder / f"clock-{self._started}"
        clock.write_text("0")
        command = [sys.executable, "-m", "scripts.local.shifted_clock", str(clock)]
        command += ["scripts.operate.poller", "--impatient", str(PATIENCE_SECONDS)]
        log = self._env.folder / "pollers.log"
        temp = self._env.small.make(f"temp-{self._started}")
        environment = {**os.environ, **self._limits, "TMPDIR": str(temp)}
        return Poller(process.start(command, log=log, cwd=ROOT, env=environment), clock, temp)

    def kill_one(self) -> None:
        """One of them is killed, whatever it is doing."""
        self._kill(self._chance.choice(self._running))
        self.counts["pollers killed"] += 1

    def freeze_one(self) -> None:
        """One of them does nothing for a while, and does not know it; its leases are others' when it goes on."""
        never_frozen = [poller for poller in self._running if not poller.was_frozen]
        if never_frozen:
            poller = self._chance.choice(never_frozen)
            poller.process.send_signal(signal.SIGSTOP)
            poller.was_frozen = True
            # Not by whoever may be waiting for what it has locked.
            timer = threading.Timer(FROZEN_SECONDS, poller.process.send_signal, [signal.SIGCONT])
            timer.daemon = True
            timer.start()
            self.counts["pollers frozen"] += 1

    def fill_their_folders(self) -> None:
        """There is no room in their temporary folders for a while, or as good as none."""
        users = [poller.process.pid for poller in self._running]
        self._env.small.fill(users, spare_bytes=self._chance.choice(SPARE_BYTES))
        self.counts["temporary folders full"] += 1

    def move_one_clock(self) -> None:
        """The clock of one of them jumps."""
        self._chance.choice(self._running).clock.write_text(str(self._chance.choice(CLOCKS)))
        self.counts["poller clocks moved"] += 1

    def change_limits(self) -> None:
        """Whoever is started from now on is held back otherwise than before, or not at all."""
        self._limits = self._chance.choice(LIMITS)
        self.counts["limits changed"] += 1

    def begin_anew(self) -> None:
        """Others work from now on, held back by nothing, their clocks right."""
        self.close()
        self._limits = {}
        self.start_missing()

    def close(self) -> None:
        """None is left."""
        for poller in self._running:
            self._kill(poller)
        self._running.clear()

    def _kill(self, poller: Poller) -> None:
        poller.process.kill()
        poller.process.wait()
