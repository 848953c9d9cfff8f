"""Isolation is the database's: hand-written SQL under the real logins sees and changes one owner's rows only."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from generation_history.generation_manager import GenerationManager

OWNED = ("generations", "variants", "scenes", "generation_metadata", "jobs", "attempts")
NOBODY = "00000000-0000-7000-8000-000000000000"


def record(manager: GenerationManager) -> SimpleNamespace:
    """One row of this owner in every table."""
    made = manager.create_with_scenes("https://video.example/ad", "url", {"soft": ["a"]}, metadata={"prompts_data": 1})
    variant = manager.get_generation(made["id"])["variants"][0]
    scene = variant["scenes"][0]
    manager.update_scene(scene["id"], sora_video_id=f"video_{scene['id']}")
    return SimpleNamespace(owner=str(manager.owner_id), generation=made["id"], variant=variant["id"], scene=scene["id"])


@pytest.fixture
def mine(manager) -> SimpleNamespace:
    return record(manager)


@pytest.fixture
def theirs(stranger) -> SimpleNamespace:
    return record(stranger)


class Session:
    """A connection whose transactions name an owner first, as ours do."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def act_as(self, owner: str | None) -> None:
        """From here on to the end of the transaction."""
        if owner is not None:
            self.connection.execute("select set_config('app.owner_id', %s, true)", [owner])

    def run(self, query: str, *parameters: Any) -> list[Any]:
        cursor = self.connection.execute(query, parameters)
        return [row[0] for row in cursor.fetchall()] if cursor.description else [cursor.rowcount]


@pytest.fixture
def api(db) -> Iterator[Session]:
    with psycopg.connect(db.api) as connection:
        yield Session(connection)
        connection.rollback()


@pytest.fixture
def worker(db) -> Iterator[Session]:
    with psycopg.connect(db.worker) as connection:
        yield Session(connection)
        connection.rollback()


# ---------------------------------------------------------------- seeing


def test_an_owner_sees_its_own_rows_and_no_others(api: Session, mine, theirs):
    api.act_as(mine.owner)

    for table in OWNED:
        assert {str(owner) for owner in api.run(f"select owner_id from {table}")} == {mine.owner} != {theirs.owner}


@pytest.mark.parametrize("named", [None, "", NOBODY])
@pytest.mark.usefixtures("mine", "theirs")
def test_nobody_and_a_stranger_see_nothing(api: Session, named: str | None):
    api.act_as(named)

    for table in OWNED:
        assert api.run(f"select 1 from {table}") == []


@pytest.mark.usefixtures("mine", "theirs")
def test_an_owner_that_is_no_uuid_is_an_error(api: Session):
    for named in ("me", "' or true --", "*", "00000000-0000-0000-0000-00000000000", "\\x00"):
        api.act_as(named)
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            api.run("select 1 from generations")
        api.connection.rollback()


def test_a_transaction_that_changes_its_owner_sees_the_new_ones_rows_only(api: Session, mine, theirs):
    api.act_as(mine.owner)
    api.run("select 1 from generations")
    api.act_as(theirs.owner)

    assert [str(found) for found in api.run("select id from generations")] == [theirs.generation]


def test_an_owner_ends_with_its_transaction(api: Session, mine):
    """A pooler hands the same session to somebody else."""
    api.act_as(mine.owner)
    api.connection.commit()

    assert api.run("select 1 from generations") == []


def test_our_own_transactions_are_not_misled_by_what_a_pooler_left_behind(manager, mine, theirs):
    """Somebody's session-wide owner neither shows nor hides anything in a transaction of ours."""
    ours = manager._db
    ours.run(None, ("select set_config('app.owner_id', %(owner)s, false)", {"owner": theirs.owner}))
    ours.run(manager.owner_id, ("select set_config('app.owner_id', %(owner)s, false)", {"owner": theirs.owner}))

    assert ours.run(None, ("select id from generations", {})) == []
    assert [generation["id"] for generation in manager.list_generations()] == [mine.generation]


def test_our_own_transactions_leave_no_owner_behind_for_the_next_client_of_a_pooler(manager, mine):
    assert manager.list_generations()

    [kept] = manager._db._idle
    assert [row["owner"] for row in kept.execute("select current_setting('app.owner_id', true) as owner")] == [""]
    assert mine.owner == str(manager.owner_id)


# ---------------------------------------------------------------- writing


def test_an_owner_cannot_insert_under_another(api: Session, mine, theirs):
    api.act_as(mine.owner)

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        api.run(
            """
            insert into generations (id, owner_id, source_video_url, source_video_type, total_variants, variant_types)
            values (%s, %s, 'x', 'url', 1, '{soft}')
            """,
            uuid4(),
            theirs.owner,
        )


@pytest.mark.parametrize("owner_of_row", ["mine", "theirs"])
@pytest.mark.parametrize(
    ("parent", "insert"),
    [
        ("generation", "insert into variants (id, generation_id, owner_id, variant_type) values (%s, %s, %s, 'ultra')"),
        (
            "variant",
            "insert into scenes (id, variant_id, owner_id, scene_number, sora_prompt) values (%s, %s, %s, 9, '')",
        ),
        ("generation", "insert into generation_metadata (id, generation_id, owner_id) values (%s, %s, %s)"),
        ("scene", "insert into attempts (id, scene_id, owner_id, attempt, outcome) values (%s, %s, %s, 9, 'failed')"),
        ("scene", "insert into jobs (step, scene_id, owner_id) values (left(%s::text, 0) || 'submit', %s, %s)"),
    ],
    ids=["variant", "scene", "metadata", "attempt", "job"],
)
def test_nothing_can_be_hung_on_anothers_row(
    api: Session, db, mine, theirs, owner_of_row: str, parent: str, insert: str
):
    db.rows("delete from jobs")
    db.rows("delete from generation_metadata")
    api.act_as(mine.owner)
    owner = {"mine": mine, "theirs": theirs}[owner_of_row].owner

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        api.run(insert, uuid4(), getattr(theirs, parent), owner)

    api.connection.rollback()
    api.act_as(mine.owner)
    assert api.run(insert, uuid4(), getattr(mine, parent), mine.owner) == [1]


@pytest.fixture(params=["api", "worker"])
def refused(request: pytest.FixtureRequest, db, mine) -> Iterator[Callable[[str], str]]:
    """What one of our logins is told that tries a command under its own owner; it must be a refusal."""
    with psycopg.connect(getattr(db, request.param)) as connection:

        def run(command: str) -> str:
            Session(connection).act_as(mine.owner)
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as told, connection.transaction():
                connection.execute(command)
            return str(told.value)

        yield run
        connection.rollback()


def test_a_row_stays_where_and_what_it_was_made(refused: Callable[[str], str]):
    columns = [
        *((table, "id") for table in OWNED if table != "jobs"),
        *((table, "owner_id") for table in OWNED),
        *((table, "generation_id") for table in ("variants", "generation_metadata")),
        *((table, "scene_id") for table in ("jobs", "attempts")),
        ("scenes", "variant_id"),
        ("scenes", "sora_prompt"),
        ("generations", "source_video_url"),
    ]
    for table, column in columns:
        assert "permission denied" in refused(f"update {table} set {column} = {column}")


@pytest.mark.parametrize(
    "command",
    ["delete from {}", "truncate {} cascade", "drop table {} cascade", "alter table {} disable row level security"],
)
def test_no_login_of_ours_can_delete_rows_or_change_tables(refused: Callable[[str], str], command: str):
    for table in OWNED:
        if (table, command[:6]) != ("jobs", "delete"):
            assert refused(command.format(table))


def test_what_is_not_needed_cannot_be_used(refused: Callable[[str], str]):
    for command in ("select * from schema_migrations", "select * from pg_authid", "create table t ()"):
        assert refused(command)


@pytest.mark.usefixtures("theirs")
def test_a_change_without_any_condition_reaches_the_owners_own_rows_only(api: Session, mine):
    """Also where somebody forgets the WHERE."""
    api.act_as(mine.owner)

    for change in (
        "update generations set status = 'failed'",
        "update variants set status = 'failed'",
        "update scenes set status = 'failed'",
        "update generation_metadata set prompts_data = '2'",
        "update jobs set run_at = now()",
        "update attempts set outcome = 'failed'",
        "delete from jobs",
    ):
        assert api.run(change) == [1], change


@pytest.mark.parametrize(
    "call",
    [
        "select roll_up(%(generation)s)",
        "select record_scenes(%(variant)s, array[gen_random_uuid()], array['b'], true, null, null, null)",
        "select retry_scene(%(scene)s, array['provider_failed'])",
    ],
)
def test_the_functions_do_nothing_to_another_owners_rows(api: Session, db, mine, theirs, call: str):
    db.rows("update scenes set status = 'failed', error_code = 'provider_failed'")
    query = (
        "select g::text, v::text, s::text, j::text from generations g, variants v, scenes s, jobs j order by 1, 2, 3, 4"
    )
    before = db.rows(query)
    api.act_as(mine.owner)

    try:
        api.connection.execute(call, vars(theirs))
        api.connection.commit()
    except psycopg.Error:
        api.connection.rollback()

    assert db.rows(query) == before


# ---------------------------------------------------------------- the worker, and everything there is


@pytest.mark.usefixtures("mine", "theirs")
def test_the_worker_sees_the_jobs_of_all(worker: Session):
    assert worker.run("select count(*) from jobs") == [2]
    assert worker.run("select count(*) from attempts") == [2]


@pytest.mark.usefixtures("mine")
def test_the_worker_sees_the_record_under_an_owner_only(worker: Session, theirs):
    for table in ("generations", "variants", "scenes"):
        assert worker.run(f"select 1 from {table}") == []
        worker.act_as(theirs.owner)
        assert [str(owner) for owner in worker.run(f"select owner_id from {table}")] == [theirs.owner]
        worker.connection.rollback()


def test_the_worker_writes_a_scene_under_its_owner_only(worker: Session, mine, theirs):
    change = "update scenes set status = 'processing' where id = %s"
    assert worker.run(change, mine.scene) == [0]
    worker.act_as(theirs.owner)
    assert (worker.run(change, mine.scene), worker.run(change, theirs.scene)) == ([0], [1])


def test_the_worker_cannot_read_what_the_pipeline_knew(worker: Session, mine):
    worker.act_as(mine.owner)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        worker.run("select 1 from generation_metadata")


def test_no_login_of_ours_may_do_more_than_log_in(db):
    rights = "rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication"

    assert db.rows(f"select rolname, {rights} from pg_roles where rolname like 'history_%%' order by 1") == [
        ("history_api", False),
        ("history_migrate", False),
        ("history_worker", False),
    ]
    assert (
        db.rows("select 1 from pg_auth_members m join pg_roles r on r.oid = m.member where rolname like 'history_%%'")
        == []
    )


def test_every_table_with_an_owner_is_closed_by_row_level_security(db):
    query = """
        select relname, relrowsecurity, exists (select from pg_policy where polrelid = c.oid) from pg_class c
        join pg_attribute a on a.attrelid = c.oid and attname = 'owner_id'
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
    """
    tables = db.rows(query)

    assert {name for name, *_ in tables} >= set(OWNED)
    assert [name for name, enabled, has_policy in tables if not (enabled and has_policy)] == []


def test_every_table_that_the_api_may_use_has_an_owner(db):
    """Or else is open to everyone: then it must be named here, on purpose."""
    query = """
        select relname from pg_class c
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm') and not relrowsecurity
            and has_any_column_privilege('history_api', c.oid, 'select, insert, update')
    """
    assert db.rows(query) == []


def test_the_tables_belong_to_the_login_that_no_function_uses(db):
    query = "select distinct tableowner from pg_tables where schemaname = 'public'"

    assert db.rows(query) == [("history_migrate",)]
