"""Isolation is the database's: hand-written SQL under the real logins sees and changes one owner's rows only."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from generation_history.api.api_keys import fingerprint
from generation_history.record.generation_manager import GenerationManager, IdempotencyKey
from scripts.operate.api_key import create, revoke
from tests.support.old_names import OLD_NAMES

#: Each owner's own rows; the login api sees no others.
OWNED = ("generations", "variants", "scenes", "generation_metadata", "jobs", "attempts", "idempotency_keys")
#: The login api may only read these, whoever it acts for.
SHARED = ("prices", "video_models")
#: These are each owner's, and the login api may only read them (archives: ask for one); they have tests of their own.
READ_ONLY = ("archives", "owner_day_stats", "stat_deltas")
#: The login api has no right to these at all.
CLOSED = (
    *("api_keys", "deliveries", "imported_generations", "inspections", "posts", "provider_states", "pulses"),
    "schema_migrations",
)
#: A view that the statistics' own functions read.
VIEWS = ("stat_parts",)

#: What is called with another owner's ids: every function of ours that the login api may execute.
CALLS = {
    "reserve_budget": "select reserve_budget(%(owner)s, 1, 1, 1, 1)",
    "count_generations": "select count_generations()",
    "check_submit_intent": "select check_submit_intent(%(scene)s, 1, 'video_new')",
    "take_late_answer": "select take_late_answer(%(scene)s, 1, 'video_new')",
    "record_late_answer": "select record_late_answer(%(scene)s, 1, 'video_new', null, gen_random_uuid())",
    "resume_late_attempt": "select resume_late_attempt(%(scene)s)",
    "resume_attempt": "select resume_attempt(%(scene)s, 1)",
    "fetch_attempt": "select fetch_attempt(%(scene)s, 1)",
    "next_attempt": "select next_attempt(%(scene)s)",
    "use_attempt": "select use_attempt(%(scene)s, 1)",
    "check_may_submit": "select check_may_submit(%(scene)s)",
    "search_generations": "select search_generations('video.example', null, null, null, null, null, 10, 0)",
    "utc_day": "select utc_day(now())",
    "cost_of": "select cost_of('api.openai.com', 'sora-2', '*', 8)",
    "check_lease": "select check_lease(%(scene)s, gen_random_uuid())",
    "lock_generation": "select lock_generation(%(generation)s)",
    "lock_generation_of_scene": "select lock_generation_of_scene(%(scene)s)",
    "lock_live_generation": "select lock_live_generation(%(generation)s, 'generation')",
    "owner_of_api_key": "select owner_of_api_key(sha256(%(scene)s::text::bytea))",
    "record_idempotency_key": "select record_idempotency_key('another', 'x', %(generation)s)",
    "record_provider_job": "select record_provider_job(%(scene)s, gen_random_uuid(), 'video_new')",
    "record_scenes": "select record_scenes(%(variant)s, array[gen_random_uuid()], array['a'], true, 'x', null, null)",
    "refuse_taken_job": "select refuse_taken_job(%(scene)s, 'video_new')",
    "restore_generation": "select restore_generation(%(generation)s)",
    "retry_scene": "select retry_scene(%(scene)s, array['provider_failed'])",
    "roll_up": "select roll_up(%(generation)s)",
    "note_missing_videos": "select note_missing_videos(%(generation)s)",
    "roll_up_cost": "select roll_up_cost(%(generation)s)",
    "roll_up_scene": "select roll_up_scene(%(scene)s)",
}
#: Functions that only a trigger calls, and those that the login api may not execute.
TRIGGERS = (
    "check_scene_status",
    "delete_archives_of_purge",
    "delete_attempts_first",
    "delete_scenes_first",
    "refuse_job_change",
    "set_updated_at",
)
REFUSED = {
    "fail_stale_generations": "select fail_stale_generations(1)",
    "begin_purge": "select begin_purge(1)",
    "purge_generation": "select purge_generation(%(generation)s)",
    "purgeable": "select purgeable(1, 0, '{}')",
    "merge_stats_deltas": "select merge_stats_deltas(1)",
    "remove_archive": "select remove_archive(gen_random_uuid())",
}
for calls in (CALLS, REFUSED):
    calls |= {old: calls[new].replace(new, old) for old, new in OLD_NAMES.items() if new in calls}
#: Only the tables' owner may call these; the first four are a trigger's.
NOBODYS = ("attempt_delta", "generation_delta", "scene_delta", "variant_delta", "recount_stats")
#: These run with the rights of the tables' owner, so each has a test of its own below.
WITH_MORE_RIGHTS = {*REFUSED, *NOBODYS[:4], "owner_of_api_key", "refuse_taken_job", "search_generations"}
NOBODY = "00000000-0000-7000-8000-000000000000"


def record(manager: GenerationManager) -> SimpleNamespace:
    """One row of this owner in every table."""
    made = manager.create_with_scenes(
        "https://video.example/ad", "url", {"soft": ["a"]}, metadata={"prompts_data": 1}, once=IdempotencyKey("key", 1)
    )
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
        (
            "generation",
            "insert into idempotency_keys (key, generation_id, owner_id, request_sha256) values (%s::text, %s, %s, '')",
        ),
    ],
    ids=["variant", "scene", "metadata", "attempt", "job", "key"],
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
        *((table, "id") for table in OWNED if table not in {"jobs", "idempotency_keys"}),
        *((table, "owner_id") for table in OWNED),
        *((table, "generation_id") for table in ("variants", "generation_metadata", "idempotency_keys")),
        *(("idempotency_keys", column) for column in ("key", "request_sha256")),
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


# ---------------------------------------------------------------- functions


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("by", ["mine", "nobody"])
def test_the_functions_do_nothing_to_another_owners_rows(api: Session, db, mine, theirs, call: str, by: str):
    db.rows("update scenes set status = 'failed', error_code = 'provider_failed'")
    db.rows("update generations set deleted_at = now(), purge_at = now() where id = %s", theirs.generation)
    before = db.everything()
    api.act_as(mine.owner if by == "mine" else None)

    try:
        api.connection.execute(call, vars(theirs))
        api.connection.commit()
    except psycopg.Error:
        api.connection.rollback()

    assert db.everything() == before


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_what_concerns_all_owners_is_not_for_the_api(refused: Callable[[str], str], api: Session, theirs, call: str):
    api.act_as(theirs.owner)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        api.run(call.replace("%(generation)s", f"'{theirs.generation}'"))


def test_a_taken_job_is_told_to_the_owner_of_the_scene_only(api: Session, mine, theirs):
    """Asking with another's scene shows nothing, whatever is true of that job."""
    for owner in (mine.owner, None, NOBODY):
        for video_id in (f"video_{theirs.scene}", f"video_{mine.scene}", "video_new"):
            api.act_as(owner)
            with pytest.raises(psycopg.Error, match="no such scene"):
                api.run("select refuse_taken_job(%s, %s)", theirs.scene, video_id)
            api.connection.rollback()
    api.act_as(mine.owner)
    with pytest.raises(psycopg.Error, match="another scene has this provider job already"):
        api.run("select refuse_taken_job(%s, %s)", mine.scene, f"video_{theirs.scene}")
    api.connection.rollback()
    api.act_as(mine.owner)
    assert api.run("select refuse_taken_job(%s, %s)", mine.scene, f"video_{mine.scene}") == [""]


def test_a_table_of_ones_own_does_not_stand_in_for_ours(api: Session, mine, theirs):
    """A temporary table comes first where a function does not say otherwise."""
    api.run("create temporary table attempts (sora_video_id text, scene_id uuid)")
    api.run("create temporary table scenes as select %s::uuid as id, %s::uuid as owner_id", theirs.scene, mine.owner)
    api.run(
        """
        create temporary table api_keys as
        select %s::uuid as id, %s::uuid as owner_id, '\\x00'::bytea as sha256, '{read}'::text[] as scopes,
               null::timestamptz as revoked_at, null::timestamptz as expires_at, now() as last_used_at
        """,
        uuid4(),
        theirs.owner,
    )
    api.run("grant all on pg_temp.attempts, pg_temp.scenes, pg_temp.api_keys to public")
    api.act_as(mine.owner)

    assert api.run("select owner_id from owner_of_api_key('\\x00')") == []
    api.run("savepoint before")
    with pytest.raises(psycopg.Error, match="no such scene"):
        api.run("select refuse_taken_job(%s, 'video_new')", theirs.scene)
    api.run("rollback to before")
    with pytest.raises(psycopg.Error, match="another scene has this provider job already"):
        api.run("select refuse_taken_job(%s, %s)", mine.scene, f"video_{theirs.scene}")


def test_an_api_key_is_found_by_its_hash_only_and_shows_owner_and_scopes(api: Session, db, mine, theirs):
    key_id, key = create(db.migrate, theirs.owner, "theirs", ["read"], None)
    dead_id, dead = create(db.migrate, theirs.owner, "dead", ["read", "write"], None)
    revoke(db.migrate, dead_id)
    api.act_as(mine.owner)

    found = api.connection.execute("select * from owner_of_api_key(%s)", [fingerprint(key)])
    assert [column.name for column in found.description or []] == ["owner_id", "scopes"]
    assert [(str(owner), scopes) for owner, scopes in found] == [(theirs.owner, ["read"])]
    for guess in (fingerprint(dead), fingerprint(str(key_id)), b"", None, b"%", key.encode()):
        assert api.run("select owner_id from owner_of_api_key(%s)", guess) == []


def test_the_same_key_of_two_owners_is_two_keys(api: Session, mine, theirs):
    api.act_as(mine.owner)

    assert [str(found) for found in api.run("select generation_id from idempotency_keys where key = 'key'")] == [
        mine.generation
    ]
    with pytest.raises(psycopg.Error, match=mine.generation):
        api.run(
            "select record_idempotency_key('key', (select request_sha256 from idempotency_keys), %s)", mine.generation
        )
    assert theirs.generation != mine.generation


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


def test_what_is_for_one_login_alone_is_closed_to_the_other(refused: Callable[[str], str]):
    for table in ("api_keys", "schema_migrations"):
        for command in ("select 1 from {}", "delete from {}", "truncate {}", "drop table {}"):
            assert refused(command.format(table))
    assert refused("update api_keys set revoked_at = null")
    assert refused("insert into api_keys default values")


def test_the_api_has_no_right_to_what_is_closed_and_only_reads_what_is_shared(api: Session, mine):
    assert api.run("select 1 from prices")
    for table in (*CLOSED, *SHARED):
        for command in ("select 1 from {}", "insert into {} default values", "delete from {}", "truncate {}"):
            api.act_as(mine.owner)
            if table in SHARED and command.startswith("select"):
                assert api.run(f"select count(*) from {table}")
                continue
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                api.run(command.format(table))
            api.connection.rollback()


@pytest.mark.usefixtures("mine", "theirs")
def test_every_table_there_is_is_one_that_these_tests_know(db):
    """Whoever adds one says above whose it is; of an owned one each owner has a row, or nothing is proven of it."""
    tables = db.rows("""
        select relname, exists (select from pg_attribute where attrelid = c.oid and attname = 'owner_id')
        from pg_class c
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
    """)

    assert {name for name, _ in tables} == {*OWNED, *READ_ONLY, *SHARED, *CLOSED, *VIEWS}
    assert {name for name, has_owner in tables if has_owner} == {
        *OWNED,
        *READ_ONLY,
        *("api_keys", "imported_generations", "inspections", "posts"),
    }
    for table in OWNED:
        assert db.rows(f"select count(distinct owner_id) from {table}") == [(2,)]


OURS = """
    pronamespace = 'public'::regnamespace
    and not exists (select from pg_depend where objid = p.oid and deptype = 'e')
"""


def test_every_function_there_is_is_one_that_these_tests_know(db):
    """Whoever adds one says above how it is called, or that the api may not."""
    open_to_api = "has_function_privilege('history_api', p.oid, 'execute')"
    functions = db.rows(f"select proname, {open_to_api} from pg_proc p where {OURS}")

    assert {name for name, _ in functions} == {*CALLS, *TRIGGERS, *REFUSED, *NOBODYS}
    assert {name for name, is_open in functions if not is_open} == {*REFUSED, *NOBODYS}


def test_every_function_with_more_rights_than_its_caller_is_made_with_care(db):
    """Its own search_path, temporary tables last; nobody may call it but who is named; no owner is an argument."""
    functions = db.rows(f"""
        select proname, proowner::regrole::text, coalesce(proconfig, '{{}}'), coalesce(proargnames, '{{}}'),
               exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0),
               pronargs
        from pg_proc p where prosecdef and {OURS}
    """)

    assert {name for name, *_ in functions} == WITH_MORE_RIGHTS
    for name, owner, settings, arguments, is_open, number in functions:
        assert owner == "history_migrate", name
        assert "search_path=pg_catalog, public, pg_temp" in settings, name
        assert not is_open, name
        assert not [argument for argument in arguments[:number] if "owner" in argument], name


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
