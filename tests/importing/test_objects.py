"""The objects of what is imported: private, at their scenes' keys, copied within the bucket."""

from uuid import UUID, uuid4

import pytest

from generation_history.errors import StorageError, StoreRefused
from generation_history.importing import importer
from generation_history.storage.object_store import ObjectStore
from generation_history.storage.s3_client import NoAcls, UnknownOperation
from generation_history.storage.stored_objects import make_private
from tests.support.old_installation import HOST, LONG_AGO

EVERYONE = "http://acs.amazonaws.com/groups/global/AllUsers"


@pytest.fixture
def bucket(spaces) -> ObjectStore:
    return ObjectStore(spaces)


@pytest.fixture
def publish(bucket):
    """Makes an object public, as the older installation did."""
    return lambda key: bucket.client.call("put_object_acl", Key=key, ACL="public-read")


@pytest.fixture
def is_public(bucket):
    def asked(key: str) -> bool:
        grants = bucket.client.call("get_object_acl", Key=key)["Grants"]
        return any(grant["Grantee"].get("URI") == EVERYONE for grant in grants)

    return asked


def test_every_object_of_an_imported_generation_is_private(old, run, publish, is_public):
    one = old.whole()
    keys = [f"generations/{one}/soft/scene_1{end}" for end in (".mp4", "_thumb.jpg")]
    for key in keys:
        publish(key)

    run(apply=False)
    assert all(map(is_public, keys))
    run()

    assert not any(map(is_public, keys))


def test_what_does_not_come_is_left_as_it_is(old, run, publish, is_public):
    key = f"generations/{old.whole('extreme')}/extreme/scene_1.mp4"
    publish(key)

    run()

    assert is_public(key)


def test_an_object_that_the_store_will_not_make_private_is_told(old, run, monkeypatch):
    def refuse(_bucket: ObjectStore, _key: str) -> None:
        raise StoreRefused("DO_SPACES_ACCESS_KEY may not")

    monkeypatch.setattr(importer, "make_private", refuse)
    old.whole()

    report = run()

    assert report.reasons == {("noted", "not_private"): 2}
    assert report.came["scenes"] == 1


def test_a_store_that_fails_leaves_no_half_of_a_batch_and_the_next_run_does_the_rest(old, run, db, monkeypatch):
    old.whole()
    old.log("session_1", old.unstored())
    old.session("session_1")
    with monkeypatch.context() as failing:
        failing.setattr(importer, "copy_stored", lambda *_: (_ for _ in ()).throw(StorageError("down")))
        with pytest.raises(StorageError):
            run()
    assert db.everything() == []

    report = run()

    assert (report.came["generations"], report.unaccounted()) == (2, {})


def test_a_sessions_video_is_copied_to_its_scenes_key_and_stays_where_it_was(old, run, store, is_public, publish):
    one = old.unstored()
    old.log("session_1", one)
    source = old.session("session_1")
    publish(source)

    run()

    key = f"generations/{one}/soft/scene_1.mp4"
    assert store.size(key) == store.size(source) == len(old.film)
    assert (is_public(key), is_public(source)) == (False, True)


def test_a_name_with_a_type_leads_to_the_variant_of_that_type(old, run, manager):
    one = old.generation("soft", "ultra")
    for kind in ("soft", "ultra"):
        old.scene(old.variant(one, kind))
    old.log("session_1", one)
    old.session("session_1", kind="ultra_")
    old.session("session_1")

    report = run()

    statuses = {it["variant_type"]: it["scenes"][0]["status"] for it in manager.get_generation(str(one))["variants"]}
    assert statuses == {"soft": "failed", "ultra": "completed"}
    assert report.reasons["noted", "session_scene_missing"] == 1


def test_a_session_whose_generation_nobody_told_is_brought_home_once_somebody_does(old, run, manager, db, right):
    one = old.unstored()
    old.session("session_1")
    first = run()
    assert first.reasons["noted", "session_unlinked"] == 1
    assert manager.get_generation(str(one))["variants"][0]["scenes"][0]["error_code"] == "abandoned"

    old.log("session_1", one)
    told = run(apply=False)
    assert told.reasons == {("changed", "video_from_session"): 1}
    second = run()

    assert second.reasons == told.reasons
    it = manager.get_generation(str(one))["variants"][0]
    assert (it["status"], it["scenes"][0]["status"], it["scenes"][0]["error_code"]) == ("completed", "completed", None)
    assert db.rows("select count(*) from inspections") == [(1,)]
    right()
    before = db.everything()
    run()
    assert db.everything() == before


def test_a_video_that_a_row_names_under_sessions_is_copied_to_its_scenes_key(old, run, store, manager):
    """Or it would be lost with the folder, which nothing else needs any more."""
    keys = [old.session("session_1"), old.session("session_2")]
    told, untold = old.generation(), old.generation()
    for one, key in zip((told, untold), keys, strict=True):
        values = {"video_url": f"{HOST}/{key}", "thumbnail_url": f"{HOST}/{key}"}
        old.scene(old.variant(one), status="completed", completed_at=LONG_AGO, **values)
    old.log("session_1", told)

    report = run()

    for one in (told, untold):
        (scene,) = manager.get_generation(str(one))["variants"][0]["scenes"]
        assert scene["video_url"].endswith(f"/generations/{one}/soft/scene_1.mp4")
        assert scene["thumbnail_url"].endswith(f"/generations/{one}/soft/scene_1_thumb.jpg")
        assert store.size(f"generations/{one}/soft/scene_1.mp4") == len(old.film)
    assert report.reasons["changed", "video_from_session"] == report.reasons["noted", "session_unlinked"] == 1
    assert report.reasons["changed", "url_moved"] == 3


def test_a_link_out_of_the_bucket_is_told_and_what_is_no_link_is_no_video(old, run, db):
    for url in ("https://cdn.example/v.mp4", "javascript:alert(1)", "output/scene_1.mp4"):
        old.scene(old.variant(old.generation()), status="completed", completed_at=LONG_AGO, video_url=url)

    report = run()

    assert db.rows("select status, video_url from scenes order by status") == [
        ("completed", "https://cdn.example/v.mp4"),
        ("failed", None),
        ("failed", None),
    ]
    assert report.reasons["noted", "url_elsewhere"] == 1
    assert report.reasons["changed", "url_not_http"] == 2


def test_the_videos_of_a_generation_that_does_not_come_are_told(old, run, generation_factory):
    unknown, here, refused = old.whole("extreme"), UUID(generation_factory()["id"]), old.whole()
    old.whole(id=here)
    old.connection.execute("alter table old.scenes alter duration type bigint")
    old.connection.execute(
        "update old.scenes set duration = 3000000000"
        " where variant_id in (select id from old.variants where generation_id = %s)",
        [refused],
    )
    for number, one in enumerate((unknown, here, refused, uuid4())):
        old.log(f"session_{number}", one)
        old.session(f"session_{number}")

    report = run()

    assert report.reasons["refused", "refused_by_database"] == 1
    assert report.reasons["noted", "session_refused"] == 3
    assert report.reasons["noted", "session_foreign"] == 1


def test_a_late_video_that_no_scene_can_be_of_is_told_and_one_that_came_is_not_told_again(old, run):
    one = old.unstored()
    old.log("session_1", one)
    old.session("session_1")
    run()
    old.film += b"longer"
    old.session("session_1", time="20251103_120000")
    old.session("session_1", number=7)

    report = run()

    assert report.reasons == {("noted", "session_video_unused"): 1, ("noted", "session_scene_missing"): 1}


def test_an_import_that_died_after_copying_copies_to_the_same_key_again(old, run, db, store, monkeypatch):
    one = old.unstored()
    old.log("session_1", one)
    old.session("session_1")
    with monkeypatch.context() as dying:
        dying.setattr(importer.Report, "add", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run()

    run()

    assert [key for key, _ in store.keys(f"generations/{one}/")] == [f"generations/{one}/soft/scene_1.mp4"]


def test_many_generations_are_listed_as_few_are(old, run, db, monkeypatch):
    """The store is asked once for a whole batch where that is less work."""
    for _ in range(3):
        old.whole()
    monkeypatch.setattr("generation_history.importing.objects._FEW", 2)

    report = run()

    assert report.reasons == {}
    assert report.came["scenes"] == 3


def test_a_bucket_that_is_not_asked_changes_no_size_and_is_not_touched(old, run, db, monkeypatch):
    monkeypatch.delenv("DO_SPACES_ACCESS_KEY")
    old.stored(one := old.generation(), old.variant(one), file_size=1)

    run(ask_bucket=False)

    assert db.rows("select file_size from scenes") == [(1,)]


# ---------------------------------------------------------------- stores with and without ACLs


@pytest.mark.parametrize(
    ("failure", "calls"),
    [
        (None, ["put_object_acl"]),
        (NoAcls("AWS, bucket owner enforced"), ["put_object_acl"]),
        (UnknownOperation("a store that knows no ACLs"), ["put_object_acl", "copy_object"]),
    ],
)
def test_an_object_is_private_whatever_a_store_knows_of_acls(bucket, monkeypatch, failure, calls):
    called: list[str] = []

    def call(operation: str, **_: object) -> None:
        called.append(operation)
        if failure and operation == "put_object_acl":
            raise failure

    monkeypatch.setattr(bucket.client, "call", call)

    make_private(bucket, "generations/x/soft/scene_1.mp4")

    assert called == calls
