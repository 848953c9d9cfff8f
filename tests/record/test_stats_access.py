"""Statistics are an owner's own, and come from the record alone: no login of ours can write one, or make one up."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest

from generation_history.db.database import Database

TABLES = ("owner_day_stats", "stat_deltas")


@pytest.fixture(params=["folded", "not folded"])
def both(request: pytest.FixtureRequest, manager, stranger, generation_factory, housekeeping) -> None:
    """Two owners have statistics."""
    generation_factory(1)
    for _ in range(2):
        generation_factory(1, by=stranger)
    if request.param == "folded":
        housekeeping.merge_stats_deltas(seconds=60)


@pytest.fixture
def attack(db, manager) -> Iterator[Callable[..., list[tuple]]]:
    """Runs statements of somebody who has stolen a login and acts as the manager's owner, in one session."""
    open_sessions: dict[str, psycopg.Connection] = {}

    def run(statement: str, *parameters: object, login: str = "api", owner: object = manager.owner_id) -> list[tuple]:
        if login not in open_sessions:
            open_sessions[login] = psycopg.connect(getattr(db, login))
        connection = open_sessions[login]
        with connection.transaction():
            connection.execute("select set_config('app.owner_id', %s, true)", [str(owner)])
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    yield run
    for connection in open_sessions.values():
        connection.close()


# ---------------------------------------------------------------- seeing


@pytest.mark.usefixtures("both")
def test_an_owner_has_statistics_of_its_own_only(manager, stranger, attack):
    assert (manager.get_stats()["total_generations"], stranger.get_stats()["total_generations"]) == (1, 2)
    for table in TABLES:
        assert {owner for (owner,) in attack(f"select owner_id from {table}")} <= {manager.owner_id}


@pytest.mark.parametrize("named", ["", uuid4()], ids=["nobody", "a stranger"])
@pytest.mark.usefixtures("both")
def test_nobody_and_a_stranger_have_none(attack, named: object):
    for table in TABLES:
        assert attack(f"select 1 from {table}", owner=named) == []
    assert attack("select count_generations()", owner=named) == [(0,)]


@pytest.mark.usefixtures("both")
def test_how_many_generations_there_are_is_the_owners_own(db, manager, stranger, generation_factory, attack):
    manager.create_generation("x", "url", ["soft"], None)
    manager.delete_generation(generation_factory(1)["id"])

    for statuses, number in (
        (None, 2),
        ([], 0),
        (["pending"], 1),
        (["processing"], 1),
        (["processing", "pending", "pending"], 2),
        (["completed", "failed"], 0),
        (["no status"], 0),
    ):
        assert attack("select count_generations(%s)", statuses) == [(number,)], statuses
    assert attack("select count_generations()", owner=stranger.owner_id) == [(2,)]
    rows = Database(db.api, setting="DATABASE_URL")
    assert rows.run(manager.owner_id, ("select count_generations(%(s)s) as total", {"s": None})) == [{"total": 2}]
    rows.close()


# ---------------------------------------------------------------- forging


@pytest.mark.parametrize("login", ["api", "worker"])
@pytest.mark.parametrize(
    "statement",
    [
        "insert into {} (owner_id, day, kind) values (gen_random_uuid(), now(), 'soft')",
        "update {} set videos = 9",
        "delete from {}",
        "truncate {}",
        "alter table {} disable row level security",
    ],
)
@pytest.mark.usefixtures("both")
def test_no_login_of_ours_writes_statistics(attack, login: str, statement: str):
    for table in TABLES:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            attack(statement.format(table), login=login)


@pytest.mark.parametrize(
    ("login", "statement"),
    [
        ("api", "select merge_stats_deltas(1)"),
        ("api", "select recount_stats()"),
        ("worker", "select recount_stats()"),
        ("api", "select 1 from stat_parts"),
        ("worker", "select 1 from stat_parts"),
        ("worker", "select 1 from owner_day_stats"),
        ("worker", "select 1 from stat_deltas"),
        ("api", "alter table scenes disable trigger scenes_delta_update"),
    ],
)
@pytest.mark.usefixtures("both")
def test_what_is_not_a_logins_own_work_is_refused(attack, login: str, statement: str):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        attack(statement, login=login)


@pytest.mark.parametrize("table", ["generations", "variants", "scenes", "attempts"])
@pytest.mark.parametrize("login", ["api", "worker"])
def test_what_counts_cannot_be_hung_on_a_table_of_somebody_elses_making(attack, login: str, table: str):
    """Rows of such a table could name any owner."""
    attack(f"create temporary table mine (like {table})", login=login)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        attack(
            f"create trigger forge before insert on mine for each row execute function {table[:-1]}_delta()",
            login=login,
        )


def test_a_temporary_table_cannot_stand_for_one_of_ours(manager, stranger, generation_factory, attack, db):
    """Counting looks the generation up: in the record, whatever else is called so."""
    generation = generation_factory(1)
    attack("create temporary table generations (like public.generations)")
    attack("create temporary table stat_deltas (like public.owner_day_stats including defaults)")
    attack("grant all on pg_temp.generations, pg_temp.stat_deltas to public")
    attack(
        f"""
        insert into pg_temp.generations select * from public.generations;
        update pg_temp.generations set owner_id = '{stranger.owner_id}'
        """
    )

    attack("update variants set status = 'failed' where generation_id = %s", generation["id"])

    assert db.rows("select 1 from stat_deltas where owner_id = %s", stranger.owner_id) == []
    assert attack("select 1 from pg_temp.stat_deltas") == []
    assert manager.get_stats()["by_variant"][0]["failed"] == 1
