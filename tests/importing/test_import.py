"""An import as a whole: nothing changes unless it is asked for, nothing is lost without a line, nothing comes twice."""

import csv
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from generation_history.errors import Conflict, NotConfigured
from generation_history.importing import importer
from generation_history.importing.target import open_target
from generation_history.work.purge import Purge
from tests.support.old_installation import LONG_AGO, TABLES


@pytest.fixture
def keys(store):
    return lambda: {key for key, _ in store.keys("generations/")}


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def reasons(path: Path, generation_id: UUID) -> set[str]:
    return {line["reason"] for line in lines(path) if line["generation_id"] == str(generation_id)}


def test_a_dry_run_changes_nothing_and_tells_what_an_import_does(old, run, db, keys, tmp_path):
    old.fill()
    before = keys()

    told = run(apply=False, path=tmp_path / "dry.csv")

    assert (db.everything(), keys()) == ([], before)
    assert db.rows("select count(*) from stat_deltas") == [(0,)]
    done = run(path=tmp_path / "done.csv")
    assert (told.came, told.refused, told.reasons) == (done.came, done.refused, done.reasons)
    told_lines, done_lines = (
        [{**line, "run": ""} for line in lines(tmp_path / name)] for name in ("dry.csv", "done.csv")
    )
    assert told_lines == done_lines


def test_every_old_row_is_here_or_has_a_line_that_says_why_not(old, run, db, tmp_path):
    old.fill()

    report = run(path=tmp_path / "report.csv")

    assert report.unaccounted() == {}
    here = {(table, row_id) for table in TABLES for (row_id,) in db.rows(f"select id from public.{table}")}
    refused = {
        (line["table"], UUID(line["id"])) for line in lines(tmp_path / "report.csv") if line["kind"] == "refused"
    }
    assert here | refused == set(old.rows())
    assert here & refused == set()
    assert len([table for table, _ in here if table == "generations"]) == 51
    assert report.text().count("no_known_variant_type") == 3


def test_a_second_import_changes_nothing(old, run, db, keys):
    old.fill()
    run()
    before = db.everything(), keys()

    report = run()

    assert (db.everything(), keys()) == before
    assert report.came.total() == 0
    assert report.unaccounted() == {}


def test_an_import_that_was_killed_is_gone_on_with_and_is_as_one_that_was_not(old, run, db, monkeypatch):
    monkeypatch.setattr(importer, "BATCH", 5)
    old.fill()

    def killed(done: int, _of: int) -> None:
        if done > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(progress=killed)
    some = db.rows("select count(*) from generations")[0][0]
    assert 10 <= some <= 15

    report = run()

    assert report.came["generations"] == 51 - some
    assert report.unaccounted() == {}
    assert db.rows("select count(*) from generations") == [(51,)]


def test_what_was_imported_and_purged_does_not_come_back(old, run, db, manager, worker_db, store, keys):
    kept, purged = old.whole(), old.whole()
    run()
    manager.delete_generation(str(purged), purge=True)
    Purge(worker_db, store, fenced_seconds=-1).run(seconds=60)
    assert db.rows("select id from generations") == [(kept,)]

    report = run()

    assert db.rows("select id from generations") == [(kept,)]
    assert (report.there_before["generations"], report.unaccounted()) == (2, {})
    assert not [key for key in keys() if str(purged) in key]


def test_statistics_are_right_after_an_import_and_need_no_merging(old, run, db, right):
    old.fill()

    run()

    right()
    assert db.rows("select count(*) from stat_deltas") == [(0,)]


def test_statuses_and_costs_stand_whatever_rolls_them_up(old, run, db):
    old.fill()
    run()
    # The message of one that was completed without its videos says so from the first roll-up on.
    query = "select id, status, actual_cost, completed_at from {} order by id"
    before = [db.rows(query.format("generations")), db.rows(query.format("variants").replace("actual_cost,", ""))]
    ended = "select {}(id) from generations where status in ('completed', 'failed')"

    for function in ("roll_up", "roll_up_cost"):
        db.rows(ended.format(function))

    after = [db.rows(query.format("generations")), db.rows(query.format("variants").replace("actual_cost,", ""))]
    assert after == before


def test_an_open_generation_of_last_year_is_ended_by_the_poller(old, run, db, housekeeping):
    one = old.unstored(status="processing", actual_cost=None, completed_at=None)
    run()

    assert housekeeping.fail_stale_generations() == 1

    assert db.rows("select status, status_set_by_caller from generations where id = %s", one) == [("failed", False)]


def test_what_the_older_installation_went_on_with_is_told_and_left_alone(old, run, db, tmp_path):
    one = old.whole()
    run()
    before = db.everything()
    old.connection.execute("update old.scenes set updated_at = %s, duration = 9", [LONG_AGO + timedelta(days=1)])

    run(path=tmp_path / "report.csv")

    assert reasons(tmp_path / "report.csv", one) == {"changed_since"}
    assert db.everything() == before


def test_a_generation_that_is_here_already_or_anothers_is_told_and_left_alone(
    old, run, db, generation_factory, tmp_path
):
    here = UUID(generation_factory()["id"])
    old.whole(id=here)
    theirs = old.whole()
    run()
    before = db.everything()

    run(owner_id=uuid4(), path=tmp_path / "report.csv")

    assert "there_already" in reasons(tmp_path / "report.csv", here)
    assert "imported_for_another" in reasons(tmp_path / "report.csv", theirs)
    assert db.everything() == before


def test_what_the_database_refuses_keeps_nothing_else_out(old, run, db, tmp_path):
    """Whatever is odd about it that nobody thought of."""
    odd, right = old.whole(), old.whole()
    old.connection.execute("alter table old.scenes alter duration type bigint")
    old.connection.execute(
        "update old.scenes set duration = 3000000000"
        " where variant_id in (select id from old.variants where generation_id = %s)",
        [odd],
    )

    report = run(path=tmp_path / "report.csv")

    assert db.rows("select id from generations") == [(right,)]
    assert reasons(tmp_path / "report.csv", odd) == {"refused_by_database", "parent_refused"}
    assert report.unaccounted() == {}


def test_rows_without_a_parent_are_told(old, run, tmp_path):
    """A copy of the tables may lack what the tables had."""
    for table in ("variants", "scenes", "generation_metadata"):
        (name,) = old.connection.execute(
            "select conname from pg_constraint where contype = 'f' and conrelid = %s::regclass", [f"old.{table}"]
        ).fetchone()
        old.connection.execute(f"alter table old.{table} drop constraint {name}")
    old.whole()
    old.scene(old.variant(uuid4()))
    old.scene(uuid4())
    old.metadata(uuid4())

    report = run(path=tmp_path / "report.csv")

    assert report.reasons["refused", "orphan"] == 4
    assert report.unaccounted() == {}


def test_another_database_may_be_the_older_installations(old, run, db, blank):
    """Of the login that it has there."""
    old.connection = psycopg.connect(blank.admin, autocommit=True)
    old.schema = "supabase"
    with old.connection:
        old.create("postgres")
        old.whole()

        report = run(source_url=blank.admin, source_setting="--from", logs=None)

    assert (report.came["scenes"], report.unaccounted()) == (1, {})


@pytest.mark.parametrize(
    ("otherwise", "message"),
    [
        ({"schema": "public"}, "this product's own"),
        ({"schema": "nowhere"}, "has no generations, variants, scenes, generation_metadata"),
        ({"logs": Path("/nowhere")}, "--logs: there is no folder"),
        ({"source_url": "postgresql://a:secret@[", "source_setting": "--from"}, "--from is not a URL"),
    ],
)
def test_a_source_that_cannot_be_meant_is_refused_by_name(old, run, otherwise, message):
    with pytest.raises(NotConfigured, match=message) as refused:
        run(**otherwise)
    assert "secret" not in str(refused.value)


def test_a_login_that_is_not_shown_every_row_is_refused(old, run):
    """Or what it is not shown would be lost without a line."""
    old.connection.execute("alter table old.scenes owner to postgres; grant select on old.scenes to history_migrate")

    with pytest.raises(NotConfigured, match="not shown every row"):
        run()


def test_two_imports_at_once_are_refused(old, run, db):
    with open_target(db.migrate), pytest.raises(Conflict, match="another import"):
        run()


def test_tables_are_filled_by_their_owner_alone(old, run, db):
    with pytest.raises(NotConfigured, match="must be of history_migrate"), open_target(db.api):
        pass
