"""What the tables see to by themselves, whoever writes: times, transitions, checks, cascades."""

from itertools import product
from uuid import uuid4

import psycopg
import pytest

from generation_history.models import FAILURE_CODES, SCENE_TRANSITIONS, STATUSES, VARIANT_TYPES

CHILDREN = ("variants", "scenes", "generation_metadata", "jobs", "attempts")


@pytest.fixture
def record(manager):
    """A generation with one variant, one queued scene with an attempt, and metadata: the ids by table."""
    generation = manager.create_with_scenes("https://video.example/ad", "url", {"soft": ["a"]}, metadata={})
    manager.save_metadata(generation["id"], {"hook": "fast"})
    variant = manager.get_generation(generation["id"])["variants"][0]
    scene = variant["scenes"][0]
    manager.update_scene(scene["id"], sora_video_id="video_1")
    return {"generations": generation["id"], "variants": variant["id"], "scenes": scene["id"]}


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("generations", "error_message = 'x'"),
        ("variants", "error_message = 'x'"),
        ("scenes", "error_message = 'x'"),
        ("generation_metadata", "prompts_data = '1'"),
    ],
)
@pytest.mark.usefixtures("record")
def test_updated_at_moves_by_itself_when_something_changes(db, table: str, change: str):
    db.rows(f"update {table} set updated_at = now() - interval '1 hour', {change}")
    before = db.rows(f"select updated_at from {table}")

    db.rows(f"update {table} set {change.partition('=')[0]} = null")

    assert db.rows(f"select updated_at from {table}") > before


@pytest.mark.usefixtures("record")
def test_updated_at_stays_where_nothing_changes(db):
    before = db.rows("select updated_at from scenes")

    db.rows("update scenes set error_message = error_message")

    assert db.rows("select updated_at from scenes") == before


def test_deleting_a_generation_row_takes_everything_of_it_and_nothing_else(db, manager, record):
    manager.create_with_scenes("https://video.example/other", "url", {"soft": ["b"]}, metadata={"prompts_data": 1})
    before = {table: db.rows(f"select count(*) from {table}")[0][0] for table in CHILDREN}

    db.rows("delete from generations where id = %s", record["generations"])

    after = {table: db.rows(f"select count(*) from {table}")[0][0] for table in CHILDREN}
    assert before == {"variants": 2, "scenes": 2, "generation_metadata": 2, "jobs": 2, "attempts": 1}
    assert after == {"variants": 1, "scenes": 1, "generation_metadata": 1, "jobs": 1, "attempts": 0}


def test_the_tables_allow_a_scene_the_transitions_of_the_model_and_no_others(db, generation_factory):
    change = (
        "update scenes set status = s, completed_at = case when s = 'completed' then now() end from (select %s) t (s)"
    )
    for old, new in product(STATUSES, STATUSES):
        scene_id = generation_factory(1)["variants"][0]["scenes"][0]["id"]
        db.rows(f"{change} where id = %s", old, scene_id)
        if new == old or new in SCENE_TRANSITIONS[old]:
            db.rows(f"{change} where id = %s", new, scene_id)
        else:
            with pytest.raises(psycopg.errors.CheckViolation) as refused:
                db.rows(f"{change} where id = %s", new, scene_id)
            assert refused.value.diag.constraint_name == "scenes_status_moves_forward"


@pytest.mark.parametrize("table", ["generations", "variants", "scenes"])
@pytest.mark.parametrize("change", ["status = 'completed'", "status = 'failed', completed_at = now()"])
@pytest.mark.usefixtures("record")
def test_a_row_has_a_completed_at_exactly_when_it_is_completed(db, table: str, change: str):
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        db.rows(f"update {table} set {change}")

    assert refused.value.diag.constraint_name == f"{table}_completed_at"


@pytest.mark.usefixtures("record")
def test_the_tables_know_the_statuses_failure_codes_and_variant_types_of_the_model_and_no_others(db):
    checks = dict(db.rows("select conname, pg_get_constraintdef(oid) from pg_constraint where contype = 'c'"))

    def values(constraint: str) -> set[str]:
        return set(checks[constraint].split("'")[1::2])

    for table in ("generations", "variants", "scenes"):
        assert values(f"{table}_status") == set(STATUSES)
    assert values("scenes_error_code") == set(FAILURE_CODES)
    assert values("variants_variant_type") == values("generations_variant_types") == set(VARIANT_TYPES)


@pytest.mark.usefixtures("db")
def test_every_foreign_key_has_an_index_that_serves_it(db):
    """Without one on scenes.variant_id a cascade delete took 25.9 s (docs/decisions)."""
    unserved = """
        select c.conname from pg_constraint c
        where c.contype = 'f' and not exists (
            select from pg_index i where i.indrelid = c.conrelid and i.indpred is null and i.indkey[0] = c.conkey[1])
    """
    assert db.rows(unserved) == []


@pytest.mark.usefixtures("db")
def test_every_constraint_is_named_after_its_table(db):
    """Errors are told apart by these names."""
    query = """
        select conname, t.relname from pg_constraint c join pg_class t on t.oid = c.conrelid
        where t.relnamespace = 'public'::regnamespace and conname not like t.relname || '\\_%%'
    """
    assert (
        db.rows(
            query,
        )
        == []
    )


def test_a_second_metadata_row_of_a_generation_is_refused(db, record):
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.rows(
            "insert into generation_metadata (id, generation_id, owner_id) values (%s, %s, %s)",
            uuid4(),
            record["generations"],
            uuid4(),
        )
