"""scripts/bench read, quickly: what it compares agrees, and what it counts is so. Times are for the real run."""

import argparse
import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest

from generation_history.record.generation_manager import GenerationManager
from scripts.benchmarks import read
from scripts.benchmarks.read import Measured
from scripts.benchmarks.reading import calls, cases, fill
from scripts.benchmarks.reading.parity import NoParityError
from scripts.benchmarks.reading.place import Place
from scripts.benchmarks.reading.round_trips import Counter
from tests.conftest import PASSWORDS

COUNT = 3_000


@pytest.fixture(scope="module")
def bench(postgres, template) -> Iterator[Place]:
    """A few thousand generations, filled as the benchmark does it."""
    name = f"bench_{uuid.uuid4().hex}"
    admin = postgres.url(name, "postgres", "postgres")
    with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}")
    fill.fill(admin, COUNT)
    yield Place(COUNT, admin, postgres.url(name, "history_api", PASSWORDS["history_api"]))
    with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def ready(bench: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(cases, "TURNS", 1)
    with calls.settings(bench.api):
        yield bench


@pytest.fixture
def rows(bench: Place) -> Callable[..., list[tuple]]:
    def run(query: str, *parameters: object) -> list[tuple]:
        with psycopg.connect(bench.admin, autocommit=True) as connection:
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    return run


# ---------------------------------------------------------------- reads


def test_every_read_answers_what_its_sql_and_the_old_way_do_in_one_round_trip(ready: Place):
    trips = {case.name: read.round_trips(case, ready.api) for case in read.checked(ready)}

    assert len(trips) > 15
    assert trips == dict.fromkeys(trips, 1)


def test_an_answer_that_lacks_a_row_stops_the_benchmark(ready: Place, rows):
    rows("create policy hidden on scenes as restrictive for select to history_api using (scene_number < 4)")
    try:
        with pytest.raises(NoParityError, match=r"^list 20: the function and the plain query differ: at 0, "):
            read.checked(ready)
    finally:
        rows("drop policy hidden on scenes")


def test_an_answer_in_another_order_stops_the_benchmark(ready: Place, monkeypatch: pytest.MonkeyPatch):
    listed = GenerationManager.list_records

    def backwards(*asked, **more):
        records, total = listed(*asked, **more)
        return records[::-1], total

    monkeypatch.setattr(GenerationManager, "list_records", backwards)

    with pytest.raises(NoParityError, match=r"^list 20: the function and the plain query differ"):
        read.checked(ready)


def test_statistics_that_are_one_video_off_stop_the_benchmark(ready: Place, rows):
    rows("update owner_day_stats set videos = videos + 1 where kind = 'soft' and owner_id = %s", fill.BIG_OWNER)
    try:
        with pytest.raises(NoParityError, match=r"^stats: the function and the plain query differ: .*'by_variant'"):
            read.checked(ready)
    finally:
        rows("select recount_stats()")


# ---------------------------------------------------------------- round trips


@pytest.fixture
def counted(postgres) -> Iterator[Counter]:
    with Counter(postgres.port) as counter:
        yield counter


@pytest.fixture
def connection(counted: Counter, postgres) -> Iterator[psycopg.Connection]:
    url = postgres.admin_url.replace(f":{postgres.port}/", f":{counted.port}/")
    with psycopg.connect(url, autocommit=True) as connection:
        counted.trips = 0
        yield connection


def test_each_statement_by_itself_is_a_round_trip(connection: psycopg.Connection, counted: Counter):
    for number in range(3):
        connection.execute("select %s", [number])
    with connection.transaction():
        connection.execute("select 1")

    assert counted.trips == 3 + 3


def test_a_pipeline_is_one_round_trip_however_much_it_fetches(connection: psycopg.Connection, counted: Counter):
    with connection.pipeline():
        connection.execute("begin")
        large = connection.execute("select repeat('x', 1000) from generate_series(1, 5000)")
        connection.execute("commit")

    assert len(large.fetchall()) == 5000
    assert counted.trips == 1


def test_an_answer_waited_for_within_a_pipeline_is_a_round_trip_more(connection: psycopg.Connection, counted: Counter):
    with connection.pipeline():
        connection.execute("select 1").fetchall()
        connection.execute("select 2")

    assert counted.trips == 2


# ---------------------------------------------------------------- what it is filled with


def test_what_it_fills_in_is_what_a_roll_up_would_make_of_it(rows):
    everything = "select (select md5(string_agg(g::text, '' order by id)) from generations g), (select md5(string_agg("
    everything += "v::text, '' order by id)) from variants v)"
    before = rows(everything)
    rows("select roll_up(id) from generations order by id limit 500")

    assert rows(everything) == before


def test_ids_sort_by_the_time_they_name(rows):
    for table in ("generations", "variants", "scenes", "generation_metadata", "attempts"):
        named = "to_timestamp(('x' || lpad(replace(left(id::text, 13), '-', ''), 16, '0'))::bit(64)::bigint / 1000.0)"
        assert rows(f"select count(*) from {table} where {named} <> created_at or uuid_extract_version(id) <> 7") == [
            (0,)
        ]


def test_one_owner_has_most_and_rare_things_are_rare(rows):
    owned = "select count(*) filter (where owner_id = %s), count(*), count(distinct owner_id) from generations"
    ((big, count, owners),) = rows(owned, fill.BIG_OWNER)
    assert (count, owners) == (COUNT, 1 + COUNT * 4 // 10 // 80)
    assert 0.57 < big / count < 0.65
    rare = "select count(*) from generations where owner_id = %s and deleted_at is null"
    assert rows(f"{rare} and 'ultra' = any (variant_types)", fill.BIG_OWNER) == [(60,)]
    assert rows(f"{rare} and source_video_url like %s", fill.BIG_OWNER, f"%{fill.RARE_WORD}%") == [(20,)]


def test_indexes_and_constraints_are_as_the_migrations_make_them(bench: Place, db):
    indexes = "select split_part(indexdef, ' WHERE ', 1) from pg_indexes where schemaname = 'public' order by 1"
    valid = "select conname, convalidated from pg_constraint order by 1"
    with psycopg.connect(bench.admin) as connection:
        assert connection.execute(indexes).fetchall() == db.rows(indexes)
        assert connection.execute(valid).fetchall() == db.rows(valid)


# ---------------------------------------------------------------- limits

WELL = {"case": "x", "floor": 4.0, "handler": 5.0, "most": 6.0, "few": 4.0, "old": 9.0, "round_trips": 1}


@pytest.mark.parametrize(
    ("otherwise", "said"),
    [
        ({}, []),
        ({"round_trips": 2}, ["x: 2 round trips instead of 1"]),
        ({"handler": 6.01, "few": 6.0}, ["x: 6.01 ms, and may take 6.00"]),
        ({"few": 3.9}, ["x: 1.28 x the time among few, and may take 1.25 x"]),
        ({"few": 3.9, "may_grow": True}, []),
    ],
)
def test_each_limit_that_is_broken_is_named(otherwise, said):
    assert list(Measured(**({**WELL, "may_grow": False} | otherwise)).broken()) == said


@pytest.mark.slow
def test_the_command_prints_a_table_and_fails_if_a_limit_is_broken(tmp_path, monkeypatch, capsys):
    """Its data are made once: the second run finds them. That every case agrees is the first test's."""
    monkeypatch.setattr(read, "cases", lambda *of: cases.cases(*of)[:2])
    monkeypatch.setattr(read, "ROOT", tmp_path)
    monkeypatch.setattr(read, "ROUNDS", 2)
    monkeypatch.setattr(read, "OLD_ROUNDS", 1)
    monkeypatch.setattr(cases, "TURNS", 1)
    options = argparse.Namespace(generations=2_000, json=tmp_path / "figures.json", reset=False)
    monkeypatch.setattr(read, "FLOOR_RATIO", 1000)
    monkeypatch.setattr(read, "GROWTH", 1000)

    assert read.run(options) == 0
    assert "Every limit holds." in capsys.readouterr().out

    monkeypatch.setattr(read, "FLOOR_RATIO", -1000)
    monkeypatch.setattr(fill, "fill", None)
    assert read.run(options) == 1
    assert "BROKEN  list 20: " in capsys.readouterr().out
