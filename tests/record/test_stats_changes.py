"""Statistics follow whatever happens: deletion, restoring, purge, an administrator's hand, folding, a migration."""

import shutil
from uuid import uuid4

import psycopg
import pytest

from generation_history.db.database import Database
from generation_history.errors import Unavailable
from generation_history.models import Generation
from generation_history.record.generation_manager import GenerationManager
from generation_history.work.housekeeping import Housekeeping
from scripts.operate.migrate import FOLDER, migrate
from tests.support.recount import recount

# ---------------------------------------------------------------- deleted, restored, gone


@pytest.fixture
def whole(manager, generation_factory, db) -> Generation:
    """A generation with something to count of every kind."""
    made = generation_factory(3, ["soft", "ultra"])
    manager.update_generation_status(made["id"], "processing", actual_cost=2.5)
    stored, lost, _ = (scene["id"] for scene in made["variants"][0]["scenes"])
    manager.update_scene(stored, sora_video_id="video_1", status="completed", duration=8, file_size=100)
    manager.update_scene(lost, sora_video_id="video_2", status="failed", error_code="invalid_video")
    db.rows("update attempts set cost = 0.8, rendered_at = now()")
    return made


def test_what_is_deleted_counts_nowhere_until_it_is_restored(manager, stranger, whole, right):
    nothing = stranger.get_stats()
    before = manager.get_stats()
    assert (before["total_videos"], before["by_variant"][0]["rendered_cost"]) == (1, 1.6)

    manager.delete_generation(whole["id"])
    assert manager.get_stats() == nothing
    right()

    manager.restore_generation(whole["id"])
    assert manager.get_stats() == before
    right()


def test_what_comes_home_for_a_deleted_generation_counts_once_it_is_restored(scenes, manager, right):
    scene_id = scenes.accepted()
    generation_id = manager.get_scene(scene_id)["generation_id"]
    manager.delete_generation(generation_id)

    scenes.step()
    assert manager.get_stats()["total_videos"] == 0

    manager.restore_generation(generation_id)
    assert manager.get_stats()["total_videos"] == 1
    right()


def test_a_purge_takes_nothing_more_away(manager, stranger, whole, db, worker_db, right):
    manager.delete_generation(whole["id"], purge=True)
    worker_db.run(None, ("select begin_purge(10)", {}))
    db.rows("update generations set purging_since = now() - interval '1 day'")

    worker_db.run(None, ("select purge_generation(%(id)s)", whole))

    assert db.rows("select 1 from generations") == []
    assert manager.get_stats() == stranger.get_stats()
    right()


@pytest.mark.parametrize(
    "delete",
    [
        "delete from generations",
        "delete from variants where variant_type = 'soft'",
        "delete from scenes",
        "delete from attempts",
        "update generations set deleted_at = now(), purge_at = now(), status = 'failed', actual_cost = null",
        "update attempts set rendered_at = null",
        "update attempts set cost = null",
    ],
)
@pytest.mark.usefixtures("whole")
def test_what_an_administrator_does_by_hand_is_counted_too(db, generation_factory, right, delete: str):
    generation_factory(1)
    db.rows("""
        insert into attempts (id, scene_id, owner_id, attempt, outcome, rendered_at)
        select gen_random_uuid(), scene_id, owner_id, 9, 'failed', now() from attempts
    """)

    db.rows(delete)

    right()


@pytest.mark.usefixtures("whole")
def test_a_generation_that_is_given_to_another_owner_takes_its_statistics_along(manager, stranger, db, right):
    before = manager.get_stats()

    db.rows("update generations set owner_id = %s", stranger.owner_id)

    assert stranger.get_stats() == before
    right()


# ---------------------------------------------------------------- folding


def test_folding_changes_no_figure(manager, whole, stranger, generation_factory, housekeeping, db):
    generation_factory(1, by=stranger)
    before = [one.get_stats() for one in (manager, stranger)]
    number = db.rows("select count(*) from stat_deltas")[0][0]

    assert housekeeping.merge_stats_deltas(seconds=60, batch=3) == number > 3

    assert db.rows("select count(*) from stat_deltas") == [(0,)]
    assert [one.get_stats() for one in (manager, stranger)] == before
    assert housekeeping.merge_stats_deltas(seconds=60) == 0


def test_folding_stops_when_its_time_is_up(whole, housekeeping, db):
    assert housekeeping.merge_stats_deltas(seconds=0) == 0


def test_one_folds_at_a_time_and_the_other_does_not_wait(whole, housekeeping, db):
    with psycopg.connect(db.admin) as other:
        other.execute("select pg_advisory_xact_lock(hashtext('fold_stats'))")
        assert housekeeping.merge_stats_deltas(seconds=60) == 0
        other.rollback()

    assert housekeeping.merge_stats_deltas(seconds=60) > 0


def test_a_run_of_the_poller_folds(whole, make_worker, db):
    make_worker().run(seconds=0)

    assert db.rows("select count(*) from stat_deltas") == [(0,)]


def test_a_run_of_the_poller_works_whatever_becomes_of_the_statistics(scenes, monkeypatch, caplog):
    def fail(*_, **__):
        raise Unavailable("the database took too long to answer")

    monkeypatch.setattr(Housekeeping, "merge_stats_deltas", fail)
    scene_id = scenes.accepted()

    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)
    assert "the statistics could not be merged" in caplog.text


def test_a_recount_of_everything_changes_no_figure(manager, whole, queue, db, right):
    before = manager.get_stats()

    db.rows("select recount_stats()")

    assert manager.get_stats() == before
    db.rows("update owner_day_stats set videos = 99")
    db.rows("select recount_stats()")
    right()


def test_what_was_there_before_the_migration_is_counted_by_it(blank, tmp_path):
    for path in FOLDER.glob("00[1-3]_*.sql"):
        shutil.copy(path, tmp_path)
    migrate(blank.migrate, tmp_path)
    owner_id = uuid4()
    blank.rows(f"""
        insert into generations (id, owner_id, source_video_url, source_video_type, total_variants, variant_types,
            cost_estimate, created_at, deleted_at, purge_at)
        select gen_random_uuid(), '{owner_id}', 'x', 'url', 1, '{{soft}}', 1.5, now() - n * interval '1 day', at, at
        from unnest(array[null, now(), null]) with ordinality t (at, n)
    """)
    blank.rows("""
        insert into variants (id, generation_id, owner_id, variant_type)
        select gen_random_uuid(), id, owner_id, 'soft' from generations;
        insert into scenes (id, variant_id, owner_id, scene_number, sora_prompt, status, completed_at, file_size)
        select gen_random_uuid(), id, owner_id, 1, 'x', 'completed', now(), 100 from variants;
        insert into attempts (id, scene_id, owner_id, attempt, outcome, rendered_at, cost)
        select gen_random_uuid(), id, owner_id, 1, 'stored', now(), 0.8 from scenes limit 1
    """)

    migrate(blank.migrate)

    db = Database(blank.api, setting="DATABASE_URL")
    stats = GenerationManager(owner_id, db=db).get_stats()
    db.close()
    assert (stats["total_generations"], stats["total_videos"]) == (2, 2)
    assert stats == recount(blank.rows, owner_id)
