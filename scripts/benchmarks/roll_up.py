"""Completing scenes with roll_up(), which recounts, against a counter that is incremented: docs/decisions/0001."""

import statistics
import threading
import time
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final, LiteralString

import psycopg

from generation_history.db.database import Database
from generation_history.record.generation_manager import GenerationManager
from scripts.local.scratch import scratch

GENERATIONS = 60
ROUNDS = 5
THREADS = (1, 8)

#: The baseline: what the fastest right way would do, and nothing else that roll_up() does.
_INCREMENT = """
    create function increment(p_scene_id uuid) returns void language plpgsql as $$
    declare
        v variants;
    begin
        update variants set scenes_completed = scenes_completed + 1,
            status = case when scenes_completed + 1 = total_scenes then 'completed' else 'processing' end,
            completed_at = case when scenes_completed + 1 = total_scenes then now() end
        where id = (select variant_id from scenes where id = p_scene_id)
        returning * into v;
        if v.status = 'completed' then
            update generations set status = 'completed', completed_at = now()
            where id = v.generation_id
                and not exists (select from variants where generation_id = v.generation_id and status <> 'completed');
        end if;
    end $$
"""
RECOUNT: Final = "select roll_up_scene(%(id)s)"
_WAYS: dict[str, LiteralString] = {"increment": "select increment(%(id)s)", "recount": RECOUNT}


def run() -> None:
    """Prints completions a second of both ways, their ratio, and what a recount of all rows says of each."""
    with _database() as (manager, admin):
        print(f"completing scenes, {GENERATIONS} generations of 12, median of {ROUNDS} rounds, fsync on")
        print("threads  increment/s  recount/s  recount takes x the time")
        for threads in THREADS:
            rates = {way: [_round(manager, admin, way, threads) for _ in range(ROUNDS)] for way in _WAYS}
            increment, recount = (statistics.median(rates[way]) for way in ("increment", "recount"))
            print(f"{threads:7}  {increment:11.0f}  {recount:9.0f}  {increment / recount:24.2f}")


@contextmanager
def _database() -> Generator[tuple[GenerationManager, str]]:
    with scratch() as place:
        with psycopg.connect(place.admin, autocommit=True) as connection:
            connection.execute(_INCREMENT)
        db = Database(place.api, setting="DATABASE_URL")
        try:
            yield GenerationManager(uuid.uuid4(), db=db), place.admin
        finally:
            db.close()


def _round(manager: GenerationManager, admin: str, way: str, threads: int) -> float:
    scenes = [scene for _ in range(GENERATIONS) for scene in _new_scenes(manager)]
    shares = [scenes[number::threads] for number in range(threads)]
    workers = [threading.Thread(target=complete, args=(manager, share, _WAYS[way])) for share in shares]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - start
    _check(admin)
    return len(scenes) / seconds


def _new_scenes(manager: GenerationManager) -> list[str]:
    kinds = ("soft", "medium", "aggressive")
    generation = manager.create_generation("bench", "file", kinds, None, start=True)
    return [
        scene["id"] for kind in kinds for scene in manager.create_scenes(generation["id"], kind, ["a", "b", "c", "d"])
    ]


def complete(manager: GenerationManager, scenes: Sequence[str], roll_up: LiteralString) -> None:
    """The scenes are completed, each in a transaction of the least that a completion takes."""
    for scene in scenes:
        manager._db.run(  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            manager.owner_id,
            ("select lock_generation_of_scene(%(id)s)", {"id": scene}),
            ("update scenes set status = 'completed', completed_at = now() where id = %(id)s", {"id": scene}),
            (roll_up, {"id": scene}),
        )


def _check(admin: str) -> None:
    """A fast way that counts wrong is none."""
    with psycopg.connect(admin) as connection:
        unfinished = connection.execute("select count(*) from generations where status <> 'completed'").fetchone()
    if unfinished != (0,):
        raise AssertionError(f"{unfinished} generations are not completed though all their scenes are")
