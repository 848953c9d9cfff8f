"""What people do while everything fails: record, retry, delete, restore, purge."""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Final
from uuid import UUID, uuid4

from generation_history.errors import Conflict, NotFound, Unavailable
from generation_history.record.generation_manager import GenerationManager
from scripts.chaos.environment import PRICED_MODEL, PRICELESS_MODEL, SIZES, Environment
from scripts.local import process
from scripts.local.host.project import ROOT

#: More work than this waiting is no harder, only longer.
MAX_WAITING = 60
#: What a scene's prompt asks of the simulator; most ask for nothing.
DIRECTIVES: Final = (*[""] * 14, "[fail]", "[moderate]", "[reject]", "[delay=3]", "[expire=2]", "[expire=4]")
PURGE_SHARE = 0.4
#: Longer than a poller, frozen in between, may still be uploading for what was purged under its hands.
FENCED_SECONDS = 60
PURGE_SECONDS = 30


class Users:
    """Several owners, and whoever runs the purge."""

    def __init__(self, environment: Environment, chance: random.Random, owners: list[UUID]) -> None:
        self._env = environment
        self._chance = chance
        self._owners = owners
        self._purge: subprocess.Popen[bytes] | None = None
        self.counts: Counter[str] = Counter()

    def waiting(self) -> int:
        """The number of scenes that still need work."""
        return self._env.rows("select count(*) from jobs")[0][0]

    def record(self) -> None:
        """A generation of one of the owners, of one or two variants, unless enough is waiting."""
        if self.waiting() > MAX_WAITING:
            return
        kinds = self._chance.sample(("soft", "medium", "aggressive", "ultra"), self._chance.randint(1, 2))
        prompts = {
            kind: [f"{self._chance.choice(DIRECTIVES)} {kind} {uuid4()}" for _ in range(self._chance.randint(1, 4))]
            for kind in kinds
        }
        owner = self._chance.choice(self._owners)
        model = self._chance.choice((*[PRICED_MODEL] * 9, PRICELESS_MODEL))
        size, seconds = self._chance.choice(SIZES), self._chance.choice((1, 1, 2))
        self._try(
            "generations",
            lambda: GenerationManager(owner).create_with_scenes(
                "https://video.example/ad", "url", prompts, model=model, size=size, seconds=seconds
            ),
        )

    def retry_one(self) -> None:
        """A person retries a failed scene, and confirms that the provider has no job of an unanswered POST."""
        scenes = self._env.rows("""
            select s.id::text, s.owner_id, s.error_code
            from scenes s join variants v on v.id = s.variant_id join generations g on g.id = v.generation_id
            where s.status = 'failed' and g.deleted_at is null order by s.id
        """)
        if scenes:
            scene_id, owner_id, code = self._chance.choice(scenes)
            confirmed = code == "submit_unknown"
            self._try("retries", lambda: GenerationManager(owner_id).retry_scene(scene_id, confirmed=confirmed))

    def delete_one(self) -> None:
        """A generation is deleted, whatever is under way for it, some for good."""
        generations = self._env.rows("select id::text, owner_id from generations where deleted_at is null order by id")
        if generations:
            generation_id, owner_id = self._chance.choice(generations)
            purge = self._chance.random() < PURGE_SHARE
            self._try("deletes", lambda: GenerationManager(owner_id).delete_generation(generation_id, purge=purge))

    def restore_one(self) -> None:
        """A deleted generation is wanted back."""
        generations = self._env.rows(
            "select id::text, owner_id from generations where deleted_at is not null order by id"
        )
        if generations:
            generation_id, owner_id = self._chance.choice(generations)
            self._try("restores", lambda: GenerationManager(owner_id).restore_generation(generation_id))

    def _try(self, action: str, call: Callable[[], object]) -> None:
        """It is done, or the person is told why not; nobody insists."""
        try:
            if call():
                self.counts[action] += 1
        except (Unavailable, Conflict, NotFound) as error:
            self.counts[f"{action}: {type(error).__name__}"] += 1

    def purge(self) -> None:
        """A purge is begun; one that is still at work is killed."""
        if self._purge is not None and self._purge.poll() is None:
            self.stop()
            self.counts["purges killed"] += 1
        else:
            self._purge = self._begin_purge(FENCED_SECONDS)
            self.counts["purges"] += 1

    def purge_the_rest(self) -> bool:
        """Whether what was to be purged is gone for good; nobody works any more, so no fence is needed."""
        self.stop()
        purge = self._begin_purge(0)
        try:
            purge.wait(PURGE_SECONDS)
        except subprocess.TimeoutExpired:
            purge.kill()
        return not self._env.rows("select 1 from generations where purge_at <= now()")

    def _begin_purge(self, fenced_seconds: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "scripts.chaos.purge_process", str(fenced_seconds)]
        return process.start(command, log=self._env.folder / "purges.log", cwd=ROOT)

    def stop(self) -> None:
        """No purge is at work."""
        if self._purge is not None:
            self._purge.kill()
            self._purge.wait()
            self._purge = None
