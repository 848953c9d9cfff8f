"""Functions under their old names, which whoever is deployed while a deployment rolls still calls."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scripts.operate.migrate import FOLDER, migrate
from tests.support.old_names import OLD_NAMES

NOBODY = "00000000-0000-7000-8000-000000000000"
#: Each function where it does what it is for, and where it refuses: the login, then the call.
CALLS = (
    ("worker", "check_lease({scene}, {lease})"),
    ("worker", f"check_lease({{scene}}, '{NOBODY}')"),
    ("worker", "check_may_submit({scene})"),
    ("worker", f"check_may_submit('{NOBODY}')"),
    ("worker", "check_submit_intent({scene}, 1, 'video_1')"),
    ("worker", "check_submit_intent({scene}, 2, 'video_1')"),
    ("worker", "reserve_budget({owner}, 1, null, null, null)"),
    ("worker", "reserve_budget({owner}, 1, 0, null, null, {scene})"),
    ("worker", "reserve_budget({owner}, 1, null, null, 5)"),
    ("worker", "reserve_budget({owner}, null, null, null, 5, {scene}, {lease})"),
    ("worker", "reserve_budget({owner}, 6, null, null, p_usd_per_owner_and_day => 5)"),
    ("worker", "record_late_answer({scene}, 1, 'video_1', 'an answer', gen_random_uuid())"),
    ("worker", "record_late_answer({scene}, 9, 'video_1', null, gen_random_uuid())"),
    ("worker", "resume_late_attempt({failed})"),
    ("worker", "resume_late_attempt({scene})"),
    ("worker", "merge_stats_deltas(3)"),
    ("worker", "fail_stale_generations(5)"),
    ("api", "merge_stats_deltas(3)"),
    ("api", "fail_stale_generations(5)"),
    ("api", "lock_live_generation({generation}, 'generation')"),
    ("api", f"lock_live_generation('{NOBODY}', 'variant')"),
    ("api", "record_idempotency_key('new', 'x', {generation})"),
    ("api", "record_idempotency_key('old', 'x', {generation})"),
    ("api", "record_idempotency_key('old', 'another', {generation})"),
)
#: What calls may change, but for the ids and times that differ from call to call.
TRACES = (
    "select generation_id, key, request_sha256 from idempotency_keys order by key",
    "select scene_id, attempt, outcome, sora_video_id, answer from attempts order by scene_id, attempt",
    "select scene_id, step, lease_token from jobs order by scene_id",
    "select id, status, error_code, attempt from scenes order by id",
    "select status, error_message from generations order by id",
)


@dataclass(frozen=True)
class Outcome:
    """What a call returns and what stands in the tables then, or the error that it raises."""

    error: str | None
    message: str | None = None
    rows: Any = None


@pytest.fixture
def record(db, generation_factory, owner: str) -> dict[str, str]:
    """Ids as SQL literals: of a scene whose POST is under way, and one that failed before its job came."""
    generation_factory(1)  # stale, see below
    generation = generation_factory(2, submit=True)
    scene, failed = (scene["id"] for scene in generation["variants"][0]["scenes"])
    db.rows("update jobs set step = 'find', lease_token = gen_random_uuid() where scene_id = %s", scene)
    db.rows("delete from jobs where scene_id = %s", failed)
    db.rows("update scenes set status = 'failed', error_code = 'submit_unknown' where id = %s", failed)
    attempt = """
        insert into attempts (id, scene_id, owner_id, attempt, outcome, provider_base_url, sora_video_id)
        values (gen_random_uuid(), %s, %s, 1, %s, 'https://provider.example/v1', %s)
    """
    db.rows(attempt, scene, owner, "intended", None)
    db.rows(attempt, failed, owner, "late", "video_late")
    key = "insert into idempotency_keys (owner_id, key, request_sha256, generation_id) values (%s, 'old', 'x', %s)"
    db.rows(key, owner, generation["id"])
    with psycopg.connect(db.admin) as connection:
        connection.execute("set session_replication_role = replica")  # or the triggers would touch updated_at
        for table in ("generations", "variants", "scenes"):
            connection.execute(f"update {table} set updated_at = updated_at - interval '25 hours'")
    [(lease,)] = db.rows("select lease_token from jobs")
    ids = {"owner": owner, "generation": generation["id"], "scene": scene, "failed": failed, "lease": lease}
    return {name: f"'{found}'::uuid" for name, found in ids.items()}


@pytest.fixture
def outcome(db, owner: str) -> Callable[[str, str], Outcome]:
    """Makes a call as a login, and undoes it. An error's message does not name the function."""

    def call(login: str, query: str) -> Outcome:
        with psycopg.connect(getattr(db, login)) as connection, connection.transaction(force_rollback=True):
            connection.execute("select set_config('app.owner_id', %s, true)", [owner])
            try:
                [(returned,)] = connection.execute(f"select {query}").fetchall()
            except psycopg.Error as error:
                message = str(error.diag.message_primary).replace(query.partition("(")[0], "the function")
                return Outcome(error.sqlstate, message)
            # The worker has nothing to do with keys.
            traces = TRACES if login == "api" else TRACES[1:]
            # What returns void returns '' from plpgsql and null from SQL, and nobody looks.
            returned = None if returned == "" else returned
            return Outcome(None, rows=[returned, *(connection.execute(trace).fetchall() for trace in traces)])

    return call


@pytest.mark.parametrize(("login", "call"), CALLS, ids=[f"{login} {call}" for login, call in CALLS])
def test_an_old_name_does_what_the_new_one_does(record, outcome, login: str, call: str):
    new = call.partition("(")[0]
    [old] = [name for name, given in OLD_NAMES.items() if given == new]
    query = call.format(**record)

    assert outcome(login, query.replace(new, old, 1)) == outcome(login, query)


def test_the_calls_above_reach_what_each_function_is_for_and_every_refusal(record, outcome):
    """Two that do nothing would agree as well."""
    outcomes = [(call.partition("(")[0], outcome(login, call.format(**record))) for login, call in CALLS]

    assert {name for name, told in outcomes if told.error is None} == {*OLD_NAMES.values()}
    assert {told.error for _, told in outcomes} == {
        *(None, "GH001", "GH002", "GH003", "GH004", "GH005"),
        psycopg.errors.InsufficientPrivilege.sqlstate,
    }
    returned = {(name, told.rows[0]) for name, told in outcomes if told.rows}
    assert returned > {
        ("fail_stale_generations", 1),
        ("merge_stats_deltas", 3),
        ("record_late_answer", "late"),
        ("record_late_answer", "gone"),
        ("resume_late_attempt", True),
        ("resume_late_attempt", False),
    }


def test_an_old_name_has_the_signature_and_the_rights_of_the_new_one(db):
    """And what a planner assumes of it: volatility, settings, parallel safety."""
    query = """
        select pg_get_function_arguments(oid), pg_get_function_result(oid), provolatile, prosecdef, proisstrict,
            proparallel, proleakproof, proconfig, proowner, array(select a::text from unnest(proacl) a order by 1)
        from pg_proc where pronamespace = 'public'::regnamespace and proname = %s
    """
    for old, new in OLD_NAMES.items():
        assert db.rows(query, old) == db.rows(query, new) != [], old


def test_no_function_calls_another_by_its_old_name(db):
    """An old name costs a call more."""
    old_names = "\\m(" + "|".join(OLD_NAMES) + ")\\("

    assert (
        db.rows("select proname from pg_proc where pronamespace = 'public'::regnamespace and prosrc ~ %s", old_names)
        == []
    )


def test_a_session_that_was_open_before_the_names_changed_goes_on(blank, tmp_path: Path):
    """Its statements are planned already, also those inside functions."""
    for path in sorted(FOLDER.glob("00[1-8]_*.sql")):
        shutil.copy(path, tmp_path)
    migrate(blank.migrate, tmp_path)
    calls = (
        "select hold_lease(gen_random_uuid(), gen_random_uuid())",
        "select record_scenes(gen_random_uuid(), array[gen_random_uuid()], array['a'], true, 'x', null, null)",
        "select abandon_untouched(1)",
    )

    with psycopg.connect(blank.worker, autocommit=True, prepare_threshold=0) as connection:

        def outcomes() -> list[Any]:
            told = []
            for call in calls:
                try:
                    told.append(connection.execute(call).fetchall())
                except psycopg.Error as error:
                    told.append(error.sqlstate)
            return told

        before = outcomes()
        migrate(blank.migrate)

        assert outcomes() == outcomes() == before == ["GH001", "GH003", [(0,)]]
