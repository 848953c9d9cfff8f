"""Tables of an older installation that are not as its own schema makes them."""

import pytest

from generation_history.errors import NotConfigured
from tests.support.old_installation import TABLES


def test_a_column_that_is_missing_is_empty_and_told(old, run, db):
    one = old.whole(error_message="no")
    old.connection.execute("alter table old.generations drop column error_message, drop column completed_at")
    old.connection.execute("alter table old.scenes drop column resolution")
    old.connection.execute("alter table old.generation_metadata drop column evaluation_data, drop column created_at")
    old.connection.execute(
        "insert into old.generation_metadata (id, generation_id) values (gen_random_uuid(), %s)", [one]
    )

    report = run()

    assert db.rows("select error_message, status from generations") == [(None, "completed")]
    assert report.reasons["noted", "column_missing"] == 5
    assert report.unaccounted() == {}


def test_values_of_another_type_are_taken_as_the_right_one_and_told(old, run, db):
    old.whole()
    old.connection.execute(
        "alter table old.generations alter actual_cost type double precision, alter cost_estimate type text,"
        " alter variant_types type varchar[]"
    )
    old.connection.execute("alter table old.scenes alter duration type double precision")
    for table, column in (("variants", "generation_id"), ("generation_metadata", "generation_id")):
        old.connection.execute(f"alter table old.{table} drop constraint {table}_{column}_fkey")
    old.connection.execute("alter table old.scenes drop constraint scenes_variant_id_fkey")
    for table in TABLES:
        old.connection.execute(f"alter table old.{table} alter id type text")
    for table, column in (
        ("variants", "generation_id"),
        ("scenes", "variant_id"),
        ("generation_metadata", "generation_id"),
    ):
        old.connection.execute(f"alter table old.{table} alter {column} type text")

    report = run()

    assert db.rows("select actual_cost::text, cost_estimate::text from generations") == [("0.96", "0.77")]
    assert db.rows("select duration from scenes") == [(2,)]
    assert report.reasons["noted", "column_cast"] == 3
    assert report.unaccounted() == {}


@pytest.mark.parametrize("table", TABLES)
def test_a_copy_that_has_a_row_twice_is_refused_before_anything_comes(old, run, db, table: str):
    old.metadata(old.whole())
    old.connection.execute(f"alter table old.{table} drop constraint {table}_pkey cascade")
    old.connection.execute(f"insert into old.{table} select * from old.{table}")

    with pytest.raises(NotConfigured, match=rf"old\.{table} has several rows with the id "):
        run()

    assert db.everything() == []


def test_rows_without_an_id_are_refused_before_anything_comes(old, run):
    old.whole()
    old.connection.execute("alter table old.scenes drop constraint scenes_pkey, alter id drop not null")
    old.connection.execute("update old.scenes set id = null")

    with pytest.raises(NotConfigured, match=r"old\.scenes has rows without an id"):
        run()


@pytest.mark.parametrize(("table", "column"), [("generations", "id"), ("scenes", "variant_id")])
def test_a_table_without_what_its_rows_belong_to_is_refused_by_name(old, run, table: str, column: str):
    old.connection.execute(f"alter table old.{table} drop column {column} cascade")

    with pytest.raises(NotConfigured, match=rf"--schema: the schema old has no {table}\.{column} to read"):
        run()


def test_events_that_this_login_may_not_read_are_no_reason_to_lose_videos(old, run):
    old.connection.execute("alter table old.events owner to current_user")

    with pytest.raises(NotConfigured, match=r"this login may not read every row of old\.events"):
        run()


def test_events_of_another_shape_are_told(old, run):
    old.whole()
    old.connection.execute("alter table old.events drop column data")

    report = run()

    assert report.reasons == {("noted", "events_unread"): 1}
    assert report.came["generations"] == 1
