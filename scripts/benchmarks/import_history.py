"""Importing an older installation's rows, against a plain INSERT ... SELECT of the same rows in the same run.

The floor knows nothing of oddities and tells nothing; both fill the tables with all indexes and triggers on. No bucket
is asked: how long that takes is the store's affair.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from generation_history.importing.importer import Options, import_history
from generation_history.importing.report import TABLES, Report
from scripts.local.scratch import Scratch, scratch

ROUNDS: Final = 3
SCENES: Final = 4
OWNER: Final = UUID("018f0000-0000-7000-8000-000000000000")
#: What is promised.
MOST_RATIO: Final = 3.0
MILLION_MINUTES: Final = 10

#: As the older installation left them: a variant a generation, four scenes, and metadata as a text in JSON.
_FILL: LiteralString = """
    create schema old;
    create table old.generations as
    select gen_random_uuid() as id, 'https://video.example/ad?' || n as source_video_url, 'url' as source_video_type,
        'completed' as status, 1 as total_variants, array['soft'] as variant_types,
        0.77::numeric(10, 2) as cost_estimate,
        0.96::numeric(10, 2) as actual_cost, null::text as error_message,
        now() - n * interval '10 seconds' as created_at, now() - n * interval '10 seconds' as updated_at,
        now() - n * interval '10 seconds' as completed_at
    from generate_series(1, {generations}) n;
    create table old.variants as
    select gen_random_uuid() as id, id as generation_id, 'soft' as variant_type, status, {scenes} as scenes_completed,
        {scenes} as total_scenes, error_message, created_at, updated_at, completed_at
    from old.generations;
    create table old.scenes as
    select gen_random_uuid() as id, v.id as variant_id, n as scene_number,
        repeat('a prompt of an ad ', 40) as sora_prompt,
        'video_' || gen_random_uuid() as sora_video_id, 'completed' as sora_status,
        'https://videos.example/generations/' || generation_id || '/soft/scene_' || n || '.mp4' as video_url,
        'https://videos.example/generations/' || generation_id || '/soft/scene_' || n || '_thumb.jpg' as thumbnail_url,
        8 as duration, '720x1280' as resolution, 4000000::bigint as file_size, status, error_message, created_at,
        updated_at, completed_at
    from old.variants v, generate_series(1, {scenes}) n;
    create table old.generation_metadata as
    select gen_random_uuid() as id, id as generation_id,
        to_jsonb(jsonb_build_object('script', repeat('words of an ad ', 200))::text) as original_analysis,
        null::jsonb as transformation_data, to_jsonb(jsonb_build_array(repeat('words ', 100))::text) as prompts_data,
        null::jsonb as evaluation_data, created_at, updated_at
    from old.generations;
    grant usage on schema old to history_migrate;
    grant select on all tables in schema old to history_migrate;
"""
_FLOOR: tuple[LiteralString, ...] = (
    """
    insert into generations (id, owner_id, source_video_url, source_video_type, status, status_set_by_caller,
        total_variants, variant_types, cost_estimate, actual_cost, actual_cost_reported, error_message, created_at,
        updated_at, completed_at)
    select id, %(owner)s, source_video_url, source_video_type, status, true, total_variants, variant_types,
        cost_estimate, actual_cost, true, error_message, created_at, updated_at, completed_at from old.generations
    """,
    """
    insert into variants (id, generation_id, owner_id, variant_type, status, status_set_by_caller, scenes_completed,
        total_scenes, error_message, created_at, updated_at, completed_at)
    select id, generation_id, %(owner)s, variant_type, status, true, scenes_completed, total_scenes, error_message,
        created_at, updated_at, completed_at from old.variants
    """,
    """
    insert into scenes (id, variant_id, owner_id, scene_number, sora_prompt, sora_video_id, sora_status, video_url,
        thumbnail_url, duration, resolution, file_size, status, error_message, created_at, updated_at, completed_at)
    select id, variant_id, %(owner)s, scene_number, sora_prompt, sora_video_id, sora_status, video_url, thumbnail_url,
        duration, resolution, file_size, status, error_message, created_at, updated_at, completed_at from old.scenes
    """,
    """
    insert into generation_metadata (id, generation_id, owner_id, original_analysis, transformation_data, prompts_data,
        evaluation_data, created_at, updated_at)
    select id, generation_id, %(owner)s, original_analysis, transformation_data, prompts_data, evaluation_data,
        created_at, updated_at from old.generation_metadata
    """,
)
_EMPTY: LiteralString = "truncate generations, imported_generations, stat_deltas, owner_day_stats cascade"


def add_options(parser: argparse.ArgumentParser) -> None:
    """How many generations there are."""
    parser.add_argument("--generations", type=int, default=10_000)


def run(options: argparse.Namespace) -> int:
    """Prints seconds and rows a second of both ways, and their ratio; 1 if a limit is broken."""
    generations: int = options.generations
    rows = generations * (3 + SCENES)
    with scratch() as database:
        _execute(database.admin, sql.SQL(_FILL).format(generations=generations, scenes=SCENES))
        print(f"importing {generations:,} generations of {SCENES} scenes, {rows:,} rows, median of {ROUNDS}, fsync on")
        floor = _median(database, lambda: _floor(database))
        ours = _median(database, lambda: _import(database, apply=True))
        again = _seconds(lambda: _import(database, apply=True))
        dry = _median(database, lambda: _import(database, apply=False))
    print("                          seconds   rows/s  x the floor")
    named = {"INSERT ... SELECT": floor, "import": ours, "dry run": dry, "import again": again}
    for name, seconds in named.items():
        print(f"{name:22} {seconds:10.1f} {rows / seconds:8,.0f} {seconds / floor:12.2f}")
    minutes = 1_000_000 / (rows / ours) / 60
    print(f"a million rows at this rate: {minutes:.1f} minutes")
    limits = {
        f"at most {MOST_RATIO} x the floor": ours / floor <= MOST_RATIO,
        f"a million rows within {MILLION_MINUTES} minutes": minutes <= MILLION_MINUTES,
    }
    for limit in (limit for limit, holds in limits.items() if not holds):
        print(f"BROKEN  {limit}")
    return 0 if all(limits.values()) else 1


def _median(database: Scratch, way: Callable[[], None]) -> float:
    taken: list[float] = []
    for _ in range(ROUNDS):
        _execute(database.admin, _EMPTY)
        taken.append(_seconds(way))
    return statistics.median(taken)


def _seconds(way: Callable[[], None]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


def _floor(database: Scratch) -> None:
    with psycopg.connect(database.migrate) as connection:
        for statement in _FLOOR:
            connection.execute(statement, {"owner": OWNER})


def _import(database: Scratch, *, apply: bool) -> None:
    options = Options(
        source_url=database.migrate,
        source_setting="--schema",
        schema="old",
        owner_id=OWNER,
        ask_bucket=False,
        apply=apply,
    )
    with Report(run="apply" if apply else "dry run") as report:
        import_history(options, database.migrate, report, _untold)
    # A fast way that loses a row is none.
    if report.unaccounted() or any(report.refused[table] for table in TABLES):
        raise AssertionError(report.text())


def _untold(_done: int, _of: int) -> None:
    """Nobody watches."""


def _execute(url: str, statement: LiteralString | sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
