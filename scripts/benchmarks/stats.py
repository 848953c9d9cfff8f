"""What statistics by triggers and fold cost writers, and what they spare readers: docs/decisions/0008."""

import statistics
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from generation_history.db.database import Database
from generation_history.models import VARIANT_TYPES
from generation_history.record.generation_manager import GenerationManager
from generation_history.work.housekeeping import Housekeeping
from scripts.benchmarks.roll_up import RECOUNT, complete
from scripts.local.scratch import Scratch, scratch

THREADS = 8
ROUNDS = 9
GENERATIONS_EACH = 10
PROMPTS: Final = {kind: ["a", "b", "c", "d"] for kind in VARIANT_TYPES[:3]}
SCENES: Final = sum(len(prompts) for prompts in PROMPTS.values())
READS = 200
#: How many days an owner's statistics have, and how many changes are not merged.
SIZES: Final = ((30, 0), (3650, 0), (3650, 1000), (3650, 100_000))
COUNTED = 20_000

#: Generations recorded, scenes completed and changes merged, each a second.
Rates = tuple[float, float, float]

_TRIGGERS = "select tgrelid::regclass::text, tgname from pg_trigger where tgname ~ '_delta_(insert|update|delete)$'"
_FILL = """
    insert into owner_day_stats
        (owner_id, day, kind, pending, processing, completed, failed, cost, cost_unknown, videos, scenes_failed, bytes,
         seconds)
    select %(owner_id)s, day, kind, 5, 5, 80, 10, 234.50, 7, 1000, 30, 4000000000, 8000
    from (
        select '-infinity'::date, unnest(array['generation', 'soft', 'medium', 'aggressive', 'ultra'])
        union all
        select (now() at time zone 'UTC')::date - n, 'generation' from generate_series(0, %(days)s - 1) n
    ) t (day, kind)
"""
_FILL_DELTAS = """
    insert into stat_deltas (owner_id, day, kind, videos, bytes, seconds)
    select %(owner_id)s, (now() at time zone 'UTC')::date - n %% 3, 'soft', 1, 4000000, 8
    from generate_series(1, %(deltas)s) n
"""
#: Without triggers, as a load would come.
_FILL_RECORD: LiteralString = """
    set local session_replication_role = replica;
    create temporary table made on commit drop as
        select gen_random_uuid() as id, now() - n * interval '10 minutes' as at from generate_series(1, {count}) n;
    insert into generations (id, owner_id, source_video_url, source_video_type, status, total_variants, variant_types,
            actual_cost, created_at, completed_at)
        select id, {owner_id}, 'x', 'url', 'completed', 3, '{{soft,medium,aggressive}}', 9.60, at, at from made;
    insert into variants (id, generation_id, owner_id, variant_type, status, scenes_completed, created_at, completed_at)
        select gen_random_uuid(), id, {owner_id}, unnest(array['soft', 'medium', 'aggressive']), 'completed', 4, at, at
        from made;
    insert into scenes (id, variant_id, owner_id, scene_number, sora_prompt, status, duration, file_size, created_at,
            completed_at)
        select gen_random_uuid(), id, {owner_id}, n, 'x', 'completed', 8, 4000000, created_at, created_at
        from variants, generate_series(1, 4) n where owner_id = {owner_id};
"""
#: The old way: everything is counted at every read.
_COUNT = """
    select count(*) as total_generations, coalesce(sum(g.actual_cost), 0) as total_cost,
           coalesce(sum(t.videos), 0) as total_videos, coalesce(sum(t.bytes), 0) as total_bytes
    from generations g
    cross join lateral (
        select count(*) as videos, sum(s.file_size) as bytes from variants v join scenes s on s.variant_id = v.id
        where v.generation_id = g.id and s.status = 'completed'
    ) t
    where g.deleted_at is null
"""


def run() -> None:
    """Prints the writers' speed with and without the triggers, and how long reads take."""
    with scratch() as place:
        db, worker_db = Database(place.api, setting="api"), Database(place.worker, setting="worker")
        try:
            _write(place, db, Housekeeping(worker_db))
            _read(place, db)
        finally:
            db.close()
            worker_db.close()


# ------------------------------------------------------------ writing


def _write(place: Scratch, db: Database, housekeeping: Housekeeping) -> None:
    print(
        f"{THREADS} writers, generations of {SCENES} scenes, median of {ROUNDS} rounds of each kind by turns, fsync on"
    )
    print("triggers  recorded/s  completed/s  merged/s")
    rounds: list[tuple[Rates, Rates]] = []
    for _ in range(ROUNDS):
        _switch(place.admin, enabled=False)
        rates_off = _round(db, housekeeping, counting=False)
        _switch(place.admin, enabled=True)
        rounds.append((rates_off, _round(db, housekeeping, counting=True)))
    rates_off, rates_on = (
        [statistics.median(rate) for rate in zip(*rates, strict=True)] for rates in zip(*rounds, strict=True)
    )
    ratios = [
        statistics.median(rates_with[index] / rates_without[index] for rates_without, rates_with in rounds)
        for index in (0, 1)
    ]
    print(f"off       {rates_off[0]:10.0f}  {rates_off[1]:11.0f}")
    print(f"on        {rates_on[0]:10.0f}  {rates_on[1]:11.0f}  {rates_on[2]:8.0f}")
    print(f"keep      {ratios[0]:10.2f}  {ratios[1]:11.2f}")


def _round(db: Database, housekeeping: Housekeeping, *, counting: bool) -> Rates:
    """Generations recorded, scenes completed and changes merged, each a second."""
    manager = GenerationManager(uuid.uuid4(), db=db)
    recording_seconds = _seconds(lambda: _at_once(lambda _: _record(manager)))
    generations = manager.list_generations(THREADS * GENERATIONS_EACH)
    scenes = [
        scene["id"]
        for generation in generations
        for variant in generation.get("variants", [])
        for scene in variant.get("scenes", [])
    ]
    completing_seconds = _seconds(lambda: _at_once(lambda number: complete(manager, scenes[number::THREADS], RECOUNT)))
    start = time.perf_counter()
    merged_count = housekeeping.merge_stats_deltas(seconds=600)
    merging_seconds = time.perf_counter() - start
    total, expected = manager.get_stats()["total_videos"], len(scenes) if counting else 0
    if total != expected:
        raise AssertionError(f"the statistics tell of {total} videos, not of {expected}")
    return len(generations) / recording_seconds, len(scenes) / completing_seconds, merged_count / merging_seconds


def _record(manager: GenerationManager) -> None:
    for _ in range(GENERATIONS_EACH):
        manager.create_with_scenes("bench", "file", PROMPTS, submit=False)


def _at_once(work: Callable[[int], None]) -> None:
    writers = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()


def _switch(admin: str, *, enabled: bool) -> None:
    with psycopg.connect(admin) as connection:
        for table, trigger in connection.execute(_TRIGGERS).fetchall():
            statement = sql.SQL("alter table {} {} trigger {}").format(
                sql.Identifier(table), sql.SQL("enable" if enabled else "disable"), sql.Identifier(trigger)
            )
            connection.execute(statement)


# ------------------------------------------------------------ reading


def _read(place: Scratch, db: Database) -> None:
    print(f"\nget_stats(), p50 of {READS} reads")
    print("  days  not merged      ms")
    for days, deltas in SIZES:
        owner_id = uuid.uuid4()
        _fill(place.admin, _FILL, _FILL_DELTAS, owner_id=owner_id, days=days, deltas=deltas)
        print(f"{days:6}  {deltas:10}  {_p50(GenerationManager(owner_id, db=db).get_stats):6.2f}")
    owner_id = uuid.uuid4()
    with psycopg.connect(place.admin) as connection:
        filled_in = {"count": sql.Literal(COUNTED), "owner_id": sql.Literal(owner_id)}
        connection.execute(sql.SQL(_FILL_RECORD).format(**filled_in))
    recount_seconds = _seconds(lambda: _fill(place.admin, "select recount_stats()"))
    manager = GenerationManager(owner_id, db=db)
    (counts,) = db.run(owner_id, (_COUNT, {}))
    totals = {name: number for name, number in manager.get_stats().items() if name in counts}
    if totals != {name: float(number) for name, number in counts.items()}:
        raise AssertionError(f"{totals} is not {counts}")
    reading_ms, counting_ms = _p50(manager.get_stats), _p50(lambda: db.run(owner_id, (_COUNT, {})), times=5)
    print(f"\n{COUNTED} generations of {SCENES} scenes")
    print(f"get_stats()             {reading_ms:8.2f} ms")
    print(f"counting at every read  {counting_ms:8.2f} ms   {counting_ms / reading_ms:.0f} x")
    print(f"recount_stats()         {recount_seconds:8.2f} s")


def _fill(admin: str, *statements: LiteralString, **values: Any) -> None:
    with psycopg.connect(admin, autocommit=True) as connection:
        for statement in (*statements, "vacuum analyze"):
            connection.execute(statement, values)


def _p50(call: Callable[[], object], *, times: int = READS) -> float:
    return statistics.median(_seconds(call) for _ in range(times)) * 1000


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
