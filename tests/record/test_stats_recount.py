"""Whatever happens, in any order and at once, the statistics are what a recount of all rows gives."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import uuid4

import psycopg
import pytest

from generation_history.errors import Conflict, InvalidValue, LeaseLost, NotFound
from generation_history.models import FAILURE_CODES, STATUSES, VARIANT_TYPES
from generation_history.providers import VideoJob, VideoRequest
from generation_history.record.generation_manager import GenerationManager
from generation_history.work.housekeeping import Housekeeping
from generation_history.work.job_queue import Job, JobQueue
from generation_history.work.submission import Submissions
from tests.support.recount import recount

#: What a call may be told that comes at a wrong time.
TOO_LATE = (Conflict, InvalidValue, LeaseLost, NotFound)
STORED = {"video_url": "https://spaces.test/v.mp4", "thumbnail_url": None}


@dataclass
class Life:
    """Owners whose generations live through anything, one thing after the other, by chance."""

    rows: Callable[..., list[tuple]]
    queue: JobQueue
    submissions: Submissions
    housekeeping: Housekeeping
    chance: random.Random
    owners: list[GenerationManager]
    generations: list[tuple[GenerationManager, str]] = field(default_factory=list)

    def go_on(self, happenings: list[Callable[[], None]]) -> None:
        """One of these happens, if it can."""
        with suppress(*TOO_LATE):
            self.chance.choice(happenings)()

    @property
    def by_callers(self) -> list[Callable[[], None]]:
        deeds = [self.create, self.create_with_scenes, self.add_variant, self.add_scene, self.add_scenes]
        deeds += [self.set_status, self.set_variant, self.retry, self.fail, self.delete, self.restore]
        return [*deeds, *[self.set_scene] * 6]

    @property
    def by_us(self) -> list[Callable[[], None]]:
        return [*[self.step] * 6, self.purge, self.fold]

    @property
    def by_hand(self) -> list[Callable[[], None]]:
        """What an administrator does, where no login of ours could."""
        return [self.move, self.remove]

    # ------------------------------------------------------------ callers

    def create(self) -> None:
        owner = self.chance.choice(self.owners)
        types = self.chance.sample(VARIANT_TYPES, self.chance.randint(1, 4))
        made = owner.create_generation("x", "url", types, self.cost(), start=self.chance.random() < 0.5)
        self.generations.append((owner, made["id"]))

    def create_with_scenes(self) -> None:
        owner = self.chance.choice(self.owners)
        types = self.chance.sample(VARIANT_TYPES, self.chance.randint(1, 3))
        prompts = {kind: [f"scene {n}" for n in range(self.chance.randint(1, 3))] for kind in types}
        model = self.chance.choice(("known", "unknown"))
        made = owner.create_with_scenes("x", "url", prompts, cost_estimate=self.cost(), model=model)
        self.generations.append((owner, made["id"]))

    def add_variant(self) -> None:
        owner, generation_id = self.one()
        owner.create_variant(generation_id, self.chance.choice(VARIANT_TYPES), self.chance.randint(0, 3))

    def add_scene(self) -> None:
        owner, generation_id = self.one()
        owner.create_scene(self.part("variants", generation_id), self.chance.randint(1, 5), "x")

    def add_scenes(self) -> None:
        owner, generation_id = self.one()
        owner.create_scenes(generation_id, self.chance.choice(VARIANT_TYPES), ["a", "b"], submit=True)

    def set_scene(self) -> None:
        owner, generation_id = self.one()
        owner.update_scene(
            self.part("scenes", generation_id),
            sora_video_id=self.chance.choice((None, None, f"video_{uuid4()}")),
            status=self.chance.choice((None, *STATUSES)),
            duration=self.chance.choice((None, 4, 8)),
            file_size=self.chance.choice((None, 0, 12_345)),
            error_code=self.chance.choice((None, *FAILURE_CODES)),
        )

    def set_variant(self) -> None:
        owner, generation_id = self.one()
        owner.update_variant_status(self.part("variants", generation_id), self.chance.choice(STATUSES))

    def set_status(self) -> None:
        owner, generation_id = self.one()
        owner.update_generation_status(generation_id, self.chance.choice(STATUSES), None, self.cost())

    def fail(self) -> None:
        owner, generation_id = self.one()
        owner.update_generation_status(generation_id, "failed", "the pipeline broke")

    def retry(self) -> None:
        owner, generation_id = self.one()
        owner.retry_scene(self.part("scenes", generation_id), confirmed=True)

    def delete(self) -> None:
        owner, generation_id = self.one()
        owner.delete_generation(generation_id, purge=self.chance.random() < 0.3)

    def restore(self) -> None:
        deleted = [
            str(generation_id)
            for (generation_id,) in self.rows("select id from generations where deleted_at is not null order by id")
        ]
        known = [(owner, generation_id) for owner, generation_id in self.generations if generation_id in deleted]
        if known:
            owner, generation_id = self.chance.choice(known)
            owner.restore_generation(generation_id)

    # ------------------------------------------------------------ the worker, the purge, the fold

    def step(self) -> None:
        """A worker does one step of whatever is due, as well as it can."""
        self.rows("update jobs set run_at = now() - interval '1 day' * random()")
        for job in self.queue.claim(1):
            self.do(job)

    def do(self, job: Job) -> None:
        fate = self.chance.random()
        if fate < 0.15:
            self.queue.fail_permanently(job, self.chance.choice(FAILURE_CODES), "bad luck")
        elif job.step == "submit":
            request = VideoRequest(job.prompt, job.model or "unknown", "1x1", 8)
            self.submissions.record_submit_intent(job, provider="p", base_url="http://p.test/v1", request=request)
            if fate < 0.3:
                self.submissions.retry_unsent(job, "busy", retry_after=None)
            else:
                self.submissions.accept(job, VideoJob(f"video_{uuid4()}", "queued"))
        elif job.step == "poll":
            self.queue.record_observation(job, VideoJob(job.sora_video_id or "", "completed"), step="store")
        elif job.step == "store":
            metadata = {
                "duration": self.chance.randint(0, 12),
                "resolution": "1x1",
                "file_size": self.chance.randint(0, 10**7),
            }
            self.queue.complete(job, **STORED, metadata=metadata)
        else:
            self.queue.discard(job)

    def purge(self) -> None:
        """As ops/purge does it, but for the objects."""
        self.queue._db.run(None, ("select begin_purge(1)", {}))
        self.queue._db.run(None, ("select purge_generation(p.id) from purgeable(10, 0, '{}') p", {}))

    def fold(self) -> None:
        self.housekeeping.merge_stats_deltas(seconds=0.01, batch=self.chance.choice((1, 3, 10_000)))

    # ------------------------------------------------------------ administrators

    def move(self) -> None:
        _, generation_id = self.one()
        days = self.chance.randint(-40, 1)
        self.rows(
            "update generations set created_at = now() + %s * interval '1 day' where id = %s", days, generation_id
        )

    def remove(self) -> None:
        table = self.chance.choice(("generations", "variants", "scenes", "attempts"))
        self.rows(
            f"delete from {table} where id = (select id from {table} order by id offset %s limit 1)",
            self.chance.randint(0, 20),
        )

    # ------------------------------------------------------------ how

    def one(self) -> tuple[GenerationManager, str]:
        if not self.generations:
            raise NotFound("nothing yet")
        return self.chance.choice(self.generations[-12:])

    def part(self, table: str, generation_id: str) -> str:
        join = {"variants": "variants v", "scenes": "variants v join scenes s on s.variant_id = v.id"}[table]
        rows = self.rows(f"select {table[0]}.id::text from {join} where v.generation_id = %s order by 1", generation_id)
        if not rows:
            raise NotFound("nothing yet")
        return self.chance.choice(rows)[0]

    def cost(self) -> float | None:
        return self.chance.choice((None, 0, self.chance.randint(0, 10_000) / 100))

    def check(self) -> None:
        for owner in self.owners:
            assert owner.get_stats() == recount(self.rows, owner.owner_id)


@pytest.fixture
def rows(db) -> Iterator[Callable[..., list[tuple]]]:
    """Runs a query as a superuser, on one connection."""
    with psycopg.connect(db.admin, autocommit=True) as connection:

        def run(query: str, *parameters: object) -> list[tuple]:
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

        yield run


@pytest.fixture
def life(rows, queue, submissions, housekeeping) -> Callable[[int], Life]:
    """A life with this seed, of three owners who live in a world with one price."""
    rows("insert into prices values ('p.test', 'known', '*', 0.12345, '-infinity', 'infinity', 'a test')")

    def begin(seed: int) -> Life:
        owners = [GenerationManager(uuid4()) for _ in range(3)]
        return Life(rows, queue, submissions, housekeeping, random.Random(seed), owners)

    return begin


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_the_statistics_are_what_a_recount_gives(life, rows, seed: int):
    living = life(seed)
    for _ in range(40):
        for _ in range(6):
            living.go_on(living.by_callers * 3 + living.by_us * 3 + living.by_hand)
        living.check()

    assert rows("select 1 from generations where deleted_at is null limit 1")
    rows("select recount_stats()")
    living.check()


def test_eight_who_write_at_once_while_somebody_folds_leave_the_right_statistics(
    life, queue, submissions, housekeeping, rows
):
    """Also when they write to the same generations, delete and restore them."""
    shared = life(0)
    for _ in range(6):
        shared.create_with_scenes()
    over = threading.Event()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        mine = Life(rows, queue, submissions, housekeeping, chance, shared.owners, list(shared.generations))
        for _ in range(60):
            mine.go_on(mine.by_callers + mine.by_us)

    def fold() -> int:
        folded = 0
        while not over.is_set():
            folded += housekeeping.merge_stats_deltas(seconds=1, batch=20)
        return folded

    with ThreadPoolExecutor(9) as pool:
        folding = pool.submit(fold)
        writing = [pool.submit(write, seed) for seed in range(8)]
        try:
            for writer in writing:
                writer.result()
        finally:
            over.set()
        assert folding.result() > 0

    shared.check()
    housekeeping.merge_stats_deltas(seconds=60)
    shared.check()
