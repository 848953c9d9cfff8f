"""Whoever has the SQL of the api login cannot reach others through a session that a pooler hands on."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from generation_history.db.database import Database
from generation_history.models import Generation
from generation_history.record.generation_manager import GenerationManager
from tests.conftest import PASSWORDS
from tests.support.pgbouncer import pgbouncer, program

#: Tables of the attacker's own that stand before ours, open to everyone, and keep what is written to them.
SHADOWS = """
    create temporary table generations as select * from public.generations with no data;
    create temporary table variants as select * from public.variants with no data;
    create temporary table scenes as select * from public.scenes with no data;
    create temporary table jobs as select * from public.jobs with no data;
    create temporary view owner_day_stats as select * from public.owner_day_stats where false;
    grant all on all tables in schema pg_temp to public
"""
SETTINGS = """
    set search_path = pg_temp, public;
    set statement_timeout = '60ms';
    set lock_timeout = '1ms';
    set row_security = off;
    set timezone = 'Pacific/Kiritimati';
    set datestyle = 'German';
    set default_transaction_isolation = 'serializable';
    set standard_conforming_strings = off;
    set synchronous_commit = off;
    set app.owner_id = '00000000-0000-7000-8000-000000000000'
"""


@pytest.fixture
def port(db, postgres, tmp_path: Path) -> Iterator[int]:
    if program() is None:
        pytest.skip("PgBouncer is not here: install the package pgbouncer")
    with pgbouncer(tmp_path / "pooler", server_port=postgres.port, passwords=PASSWORDS) as made:
        yield made


@pytest.fixture
def poison(db, postgres, port: int) -> Callable[[str], int]:
    """Leaves this behind in the session that everyone gets, and says which session it is."""

    def leave(sql: str) -> int:
        with psycopg.connect(through(db.api, postgres, port), autocommit=True, prepare_threshold=None) as attacker:
            attacker.execute(sql)
            return attacker.execute("select pg_catalog.pg_backend_pid()").fetchone()[0]

    return leave


@pytest.fixture
def victim(db, postgres, port: int) -> Iterator[GenerationManager]:
    made = Database(through(db.api, postgres, port), setting="DATABASE_URL")
    yield GenerationManager(uuid4(), db=made)
    made.close()


def through(url: str, postgres, port: int) -> str:
    return url.replace(f":{postgres.port}/", f":{port}/")


def session(of: GenerationManager) -> int:
    return of._db.run(None, ("select pg_backend_pid() as pid", {}))[0]["pid"]


def record(by: GenerationManager) -> Generation:
    return by.create_with_scenes("https://video.example/ad", "url", {"soft": ["a cat"]}, submit=True)


@pytest.mark.parametrize("left", [SHADOWS, SETTINGS, SHADOWS + ";" + SETTINGS], ids=["tables", "settings", "both"])
@pytest.mark.parametrize("warm", [True, False], ids=["warm", "new"])
def test_what_somebody_left_in_a_session_neither_hides_nor_catches_anything(
    db, poison: Callable[[str], int], victim: GenerationManager, left: str, *, warm: bool
):
    first = [record(victim)["id"]] if warm else []
    poisoned = poison(left)

    made = record(victim)

    assert session(victim) == poisoned
    assert [generation["id"] for generation in victim.list_generations()] == [made["id"], *first]
    assert victim.get_stats()["total_generations"] == len(first) + 1
    assert db.rows("select count(*) from public.generations") == [(len(first) + 1,)]
    assert db.rows("select count(*) from public.jobs") == [(len(first) + 1,)]


def test_each_transaction_has_the_logins_own_settings(poison: Callable[[str], int], victim: GenerationManager):
    names = (
        *("statement_timeout", "timezone", "standard_conforming_strings", "synchronous_commit", "row_security"),
        "transaction_isolation",
    )
    query = "select " + ", ".join(f"current_setting('{name}') as {name}" for name in names)
    before = victim._db.run(None, (query, {}))
    poison(SETTINGS)

    assert victim._db.run(None, (query, {})) == before


def test_locks_that_somebody_left_in_a_session_end_with_the_next_transaction(
    db, poison: Callable[[str], int], victim: GenerationManager
):
    """Or no worker would submit anything until the pooler closes the session."""
    victim.list_generations()
    poison("select pg_advisory_lock(hashtext('admit_submission'))")
    held = "select count(*) from pg_locks where locktype = 'advisory'"
    assert db.rows(held) == [(1,)]

    victim.list_generations()

    assert db.rows(held) == [(0,)]


def test_a_session_that_somebody_made_read_only_takes_writes_again(
    poison: Callable[[str], int], victim: GenerationManager
):
    poisoned = poison("set session characteristics as transaction read only")

    assert record(victim)
    assert session(victim) != poisoned


def test_a_victims_owner_is_not_shown_to_whoever_watches_the_sessions(db, victim: GenerationManager):
    """Whoever knew it could name it."""
    record(victim)
    with psycopg.connect(db.api, autocommit=True) as attacker:
        seen = attacker.execute("select query from pg_stat_activity").fetchall()

    assert str(victim.owner_id) not in str(seen)


def test_every_function_of_ours_finds_its_tables_whatever_the_callers_path_is(db):
    unfixed = db.rows("""
        select proname from pg_proc p
        where pronamespace = 'public'::regnamespace and prosqlbody is null
            and not exists (select from pg_depend where objid = p.oid and deptype = 'e')
            and not coalesce(proconfig, '{}') @> array['search_path=pg_catalog, public, pg_temp']
    """)

    assert unfixed == []


def test_a_function_called_by_hand_does_not_use_the_callers_own_tables(db, generation_factory, manager):
    generation = generation_factory(1)
    scene_id = generation["variants"][0]["scenes"][0]["id"]
    with psycopg.connect(db.api) as attacker:
        attacker.execute("select set_config('app.owner_id', %s, true)", [str(UUID(str(manager.owner_id)))])
        attacker.execute("create temporary table scenes as select * from public.scenes with no data")

        attacker.execute("select check_may_submit(%s)", [scene_id])
        attacker.rollback()
