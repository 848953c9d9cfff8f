"""Archives belong to their generation and its owner, which the database sees to; and their rows say what is true."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from uuid import uuid4

import psycopg
import pytest

from generation_history.archives.archives import Archives, contents_of, fingerprint
from generation_history.errors import NotFound
from generation_history.models import ARCHIVE_FAILURE_CODES
from generation_history.work.purge import FENCED_SECONDS, Purge

FINGERPRINT = "0" * 32
INSERT = """
    insert into archives (id, generation_id, owner_id, fingerprint, contents, videos, bytes)
    values (%s, %s, %s, %s, '{}', 1, 1)
"""


@pytest.fixture
def asked(manager, store, generation_factory, tmp_path):
    """Makes a generation with a stored video whose archive was asked for."""
    file = tmp_path / "file"
    file.write_bytes(b"bytes")

    def make(by=manager) -> SimpleNamespace:
        generation = generation_factory(1, by=by)
        key = f"generations/{generation['id']}/soft/scene_1.mp4"
        url = store.put(key, file, content_type="video/mp4")
        by.update_scene(generation["variants"][0]["scenes"][0]["id"], video_url=url, status="completed")
        archive = Archives(by.owner_id).ask(generation["id"])
        return SimpleNamespace(owner=str(by.owner_id), generation=generation["id"], archive=archive["id"])

    return make


@pytest.fixture
def mine(asked) -> SimpleNamespace:
    return asked()


@pytest.fixture
def theirs(asked, stranger) -> SimpleNamespace:
    return asked(stranger)


@pytest.fixture
def api(db):
    """A connection of login history_api, for hand-written SQL."""
    with psycopg.connect(db.api) as connection:
        yield connection
        connection.rollback()


def act_as(connection: psycopg.Connection, owner: str) -> None:
    connection.execute("select set_config('app.owner_id', %s, true)", [owner])


# ---------------------------------------------------------------- whose they are


def test_an_owner_sees_its_own_archives_and_no_others(api, mine, theirs):
    for owner, seen in ((mine.owner, [mine.archive]), (theirs.owner, [theirs.archive]), (str(uuid4()), []), ("", [])):
        act_as(api, owner)
        assert [str(found) for (found,) in api.execute("select id from archives").fetchall()] == seen
        api.rollback()


@pytest.mark.parametrize("named", ["mine", "theirs"])
def test_no_archive_can_be_hung_on_anothers_generation(api, mine, theirs, named: str):
    """Its builder would hand out what is not its owner's."""
    owner = {"mine": mine, "theirs": theirs}[named].owner
    act_as(api, mine.owner)

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        api.execute(INSERT, [uuid4(), theirs.generation, owner, FINGERPRINT])

    api.rollback()
    act_as(api, mine.owner)
    api.execute(INSERT, [uuid4(), mine.generation, mine.owner, FINGERPRINT])


def test_a_change_without_any_condition_reaches_the_owners_own_archives_only(api, mine, theirs, db):
    act_as(api, mine.owner)

    assert api.execute("update archives set state = 'removing'").rowcount == 1

    api.commit()
    assert db.rows("select state from archives where id = %s", theirs.archive) == [("queued",)]


@pytest.mark.parametrize("login", ["api", "worker"])
def test_an_archive_stays_what_it_was_asked_for_as(db, mine, login: str):
    refusals = (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)
    for command in (
        "update archives set id = id",
        "update archives set owner_id = owner_id",
        "update archives set generation_id = generation_id",
        "update archives set fingerprint = fingerprint",
        "update archives set contents = contents",
        "delete from archives",
        "truncate archives",
        "alter table archives disable row level security",
        "select delete_archives_of_purge()",
    ):
        with psycopg.connect(getattr(db, login)) as connection:
            act_as(connection, mine.owner)
            with pytest.raises(refusals):
                connection.execute(command)
            connection.rollback()


def test_whoever_asks_cannot_say_how_it_ends(api, mine):
    for column in ("size", "lease_token", "expires_at", "ready_at", "run_at", "error_code"):
        act_as(api, mine.owner)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            api.execute(f"update archives set {column} = null")
        api.rollback()


def test_nobody_can_choose_the_key_of_an_archive(db, api, mine):
    """A link is signed for it as it stands in the row."""
    assert db.rows("select key from archives") == [
        (f"generations/{mine.generation}/archives/{mine.archive}.{fingerprint_of(db)}.zip",)
    ]
    for query in ("update archives set key = 'x'", f"{INSERT} returning key"):
        act_as(api, mine.owner)
        with pytest.raises(psycopg.Error):
            api.execute(query, None if "update" in query else [uuid4(), mine.generation, mine.owner, "../" * 10 + "ab"])
        api.rollback()


def fingerprint_of(db) -> str:
    return db.rows("select fingerprint from archives")[0][0]


def test_only_the_purge_removes_an_archive_and_only_one_on_its_way_out(db, mine):
    with psycopg.connect(db.api) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select remove_archive(%s)", [mine.archive])
    with psycopg.connect(db.worker) as connection:
        remove = "select remove_archive(%s)"
        assert connection.execute(remove, [mine.archive]).fetchone() == (False,)
        connection.execute("update archives set state = 'removing'")
        assert connection.execute(remove, [mine.archive]).fetchone() == (True,)
    assert db.rows("select 1 from archives") == []


# ---------------------------------------------------------------- what a row may say


def test_the_table_knows_the_failure_codes_of_the_model_and_no_others(db):
    ((check,),) = db.rows("select pg_get_constraintdef(oid) from pg_constraint where conname = 'archives_error_code'")
    assert set(check.split("'")[1::2]) == set(ARCHIVE_FAILURE_CODES)


def test_a_row_that_contradicts_itself_is_refused(db, mine):
    for change in (
        "state = 'done'",
        "state = 'building'",
        "lease_token = gen_random_uuid()",
        "state = 'ready'",
        "state = 'ready', size = 1, ready_at = now()",
        "state = 'failed'",
        "state = 'failed', error_code = 'timed_out', error_message = 'x'",
        "error_code = 'moderation_blocked'",
        "size = 0",
        "videos = 0",
        "fingerprint = 'x'",
    ):
        with pytest.raises(psycopg.errors.CheckViolation):
            db.rows(f"update archives set {change}")


def test_there_is_one_archive_of_the_same_contents_but_for_those_on_their_way_out(db, mine):
    for _ in range(2):
        db.rows("update archives set state = 'removing'")
        db.rows(INSERT, uuid4(), mine.generation, mine.owner, fingerprint_of(db))

    with pytest.raises(psycopg.errors.UniqueViolation):
        db.rows(INSERT, uuid4(), mine.generation, mine.owner, fingerprint_of(db))


def test_many_askers_at_once_get_one_archive(asked, manager, db):
    mine = asked()
    db.rows("delete from archives")

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: Archives(manager.owner_id).ask(mine.generation), range(6)))

    assert len({answer["id"] for answer in answers}) == 1
    assert sum(answer["new"] for answer in answers) == 1


def test_nothing_is_asked_for_of_a_generation_that_is_deleted_in_the_same_moment(manager, mine, db, monkeypatch):
    db.rows("delete from archives")

    def deleted_meanwhile(generation):
        manager.delete_generation(mine.generation)
        return contents_of(generation)

    monkeypatch.setattr("generation_history.archives.archives.contents_of", deleted_meanwhile)

    with pytest.raises(NotFound):
        Archives(manager.owner_id).ask(mine.generation)

    assert db.rows("select 1 from archives") == []


# ---------------------------------------------------------------- what an archive is of


def test_a_fingerprint_is_of_what_would_be_in_it_and_of_nothing_else(manager, mine, db):
    def now() -> str:
        generation = manager.get_generation(mine.generation)
        # As the owner's own SQL reads it, and as a builder's row keeps it.
        return fingerprint(contents_of(generation))

    first = now()
    assert fingerprint_of(db) == first
    db.rows("update generations set updated_at = now() + interval '1 hour'")
    db.rows("update scenes set thumbnail_url = 'https://spaces.test/t.jpg', updated_at = now() + interval '1 hour'")
    assert now() == first

    seen = {first}
    for change in (
        "update generations set actual_cost = 1.5",
        "update scenes set file_size = 9",
        "update scenes set attempt = 2",
        "update scenes set video_url = replace(video_url, 'scene_1', 'scene_1.2')",
        "update scenes set sora_prompt = 'another'",
    ):
        db.rows(change)
        seen.add(now())
    manager.save_metadata(mine.generation, prompts_data=1)
    seen.add(now())
    assert len(seen) == 7


# ---------------------------------------------------------------- deleting and purging


def test_a_purge_fences_the_builder_and_takes_archives_with_their_generation(
    manager, mine, theirs, worker_db, store, db, tmp_path
):
    (key,) = db.rows("select key from archives where id = %s", mine.archive)[0]
    store.put(key, tmp_path / "file", content_type="application/zip")
    store.begin_upload(key, content_type="application/zip")
    manager.delete_generation(mine.generation, purge=True)
    assert db.rows("select count(*) from archives") == [(2,)]
    purge = Purge(worker_db, store)

    purge.run(seconds=60)
    assert [str(found) for (found,) in db.rows("select id from archives")] == [theirs.archive]
    assert store.size(key) == 5
    db.rows("update generations set purging_since = purging_since - make_interval(secs => %s)", FENCED_SECONDS + 1)

    assert purge.run(seconds=60) == 1
    assert list(store.keys(f"generations/{mine.generation}/")) == []
    assert list(store.unfinished_uploads(f"generations/{mine.generation}/")) == []
    assert [str(found) for (found,) in db.rows("select id from archives")] == [theirs.archive]


def test_deleting_a_generation_row_takes_its_archives_and_no_others(db, mine, theirs):
    db.rows("delete from generations where id = %s", mine.generation)

    assert [str(found) for (found,) in db.rows("select id from archives")] == [theirs.archive]
