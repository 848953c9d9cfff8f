"""scripts/reconcile: rows and objects are compared both ways, and only what nobody can need goes to quarantine."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from generation_history.archives.archives import Archives
from generation_history.errors import StorageError
from generation_history.storage.keys import scene_key, thumbnail_key
from generation_history.storage.object_store import ObjectStore
from generation_history.storage.quarantine import PREFIX as QUARANTINE
from generation_history.storage.quarantine import Quarantine
from scripts.operate import reconcile as command
from scripts.operate.reconcile import Comparison, Refused, Report, reconcile
from tests.support.scripted_server import answer

ROOT = Path(__file__).resolve().parents[2]
OLD = timedelta(days=2)
NOTHING_OWED = "0 unfinished uploads (0 aborted), 0 forgotten paid jobs (0 recorded), 0 without a row\n"


@pytest.fixture
def put(store, tmp_path) -> Callable[[str], str]:
    """Writes a small object under this key; its URL."""
    file = tmp_path / "file"
    file.write_bytes(b"bytes")
    return lambda key: store.put(key, file, content_type="video/mp4")


@pytest.fixture(autouse=True)
def _empty(store) -> None:
    """The bucket has nothing of earlier tests, and no upload of theirs."""
    for key, _ in list(store.keys("")):
        store.delete(key)
    for key, upload_id, _ in list(store.unfinished_uploads("")):
        store.abort_upload(key, upload_id)


@pytest.fixture
def keys(store) -> Callable[[], set[str]]:
    """What lies in the bucket, but for the quarantine."""
    return lambda: {key for key, _ in store.keys("") if not key.startswith(QUARANTINE)}


@pytest.fixture
def quarantined(store) -> Callable[[], set[str]]:
    """The keys that the objects in quarantine had."""
    return lambda: {entry.original_key for entry in Quarantine(store).entries()}


@pytest.fixture
def old(monkeypatch) -> set[str]:
    """Keys whose objects are old; those that a test takes out of it are as young as they are."""
    known: set[str] = set()
    listed = ObjectStore.keys

    def keys(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        yield from ((key, at - OLD if key in known else at) for key, at in listed(self, prefix))

    monkeypatch.setattr(ObjectStore, "keys", keys)
    return known


@pytest.fixture
def run(db, store) -> Callable[..., Report]:
    """Compares, by default without changing anything; few objects are here, so each orphan is one of many."""
    return lambda **how: reconcile(db.migrate, store, **{"really": True, **how})


@pytest.fixture
def stored(manager, put, generation_factory, old) -> Callable[..., tuple[str, str, str]]:
    """A completed scene with both its objects, which are old: its id and their keys."""

    def make(*, attempt: int = 1) -> tuple[str, str, str]:
        generation = generation_factory(1)
        scene_id = generation["variants"][0]["scenes"][0]["id"]
        key = scene_key(generation["id"], "soft", 1, attempt=attempt)
        urls = {"video_url": put(key), "thumbnail_url": put(thumbnail_key(key))}
        manager.update_scene(scene_id, **urls, status="completed")
        old.update({key, thumbnail_key(key)})
        return scene_id, key, thumbnail_key(key)

    return make


ORPHANS: dict[str, Callable[[Any], str]] = {
    "no row": lambda it: scene_key(it["id"], "soft", 1),
    "thumbnail": lambda it: thumbnail_key(scene_key(it["id"], "soft", 1)),
    "no such scene": lambda it: scene_key(it["id"], "soft", 99),
    "an attempt nobody made": lambda it: scene_key(it["id"], "soft", 1, attempt=7),
    "no such generation": lambda _: scene_key(uuid.uuid4(), "soft", 1),
    "no uuid": lambda _: "generations/no-uuid/soft/scene_1.mp4",
    "no folder": lambda _: "generations/readme.txt",
    "unknown name": lambda it: f"generations/{it['id']}/soft/backup ü.mp4",
}


@pytest.mark.parametrize("key_of", ORPHANS.values(), ids=ORPHANS.keys())
def test_an_old_object_that_no_row_knows_is_told_and_moved_to_quarantine_only_with_apply(
    run, stored, put, keys, quarantined, old, generation_factory, capsys, key_of
):
    _, *known = stored()
    key = key_of(generation_factory(1))
    put(key)
    old.add(key)

    report = run()
    assert (report.orphans, report.moved, report.agrees) == (1, 0, False)
    assert (keys(), quarantined()) == ({key, *known}, set())
    assert capsys.readouterr().out.startswith(f"orphan   {key}  ")

    report = run(apply=True)
    assert (report.orphans, report.moved, report.agrees) == (1, 1, True)
    assert (keys(), quarantined()) == ({*known}, {key})
    assert run() == Report()


def test_a_young_object_may_be_one_whose_row_is_still_to_be_written(run, put, keys, generation_factory):
    key = scene_key(generation_factory(1)["id"], "soft", 1)
    put(key)

    assert run(apply=True) == Report()
    assert keys() == {key}


def test_how_old_is_old_can_be_said(run, put, keys, generation_factory):
    put(scene_key(generation_factory(1)["id"], "soft", 1))

    assert run(apply=True, older_than=timedelta(minutes=-1)).moved == 1
    assert keys() == set()


def test_what_is_outside_our_folder_is_none_of_our_business(run, put, keys, old):
    put("somebody/elses.mp4")
    old.add("somebody/elses.mp4")

    assert run(apply=True) == Report()
    assert keys() == {"somebody/elses.mp4"}


@pytest.mark.parametrize("attempt", [1, 2])
def test_the_objects_of_rows_are_known(run, stored, keys, attempt: int):
    """A retried scene's too."""
    _, *known = stored(attempt=attempt)

    assert run(apply=True) == Report()
    assert keys() == set(known)


def test_the_objects_of_a_deleted_generation_are_no_orphans(run, stored, manager, keys):
    scene_id, *known = stored()
    manager.delete_generation(manager.get_scene(scene_id)["generation_id"])

    assert run(apply=True) == Report()
    assert keys() == set(known)


def test_a_row_with_a_signed_url_knows_its_object_too(run, stored, manager, db, keys):
    scene_id, video, thumbnail = stored()
    db.rows("update scenes set video_url = video_url || '?X-Amz-Signature=0' where id = %s", scene_id)

    assert run(apply=True) == Report()
    assert keys() == {video, thumbnail}


def test_what_a_retry_replaced_is_an_orphan(run, stored, put, manager, db, keys, old):
    scene_id, first, picture = stored()
    second = first.replace("scene_1.mp4", "scene_1.2.mp4")
    db.rows("update scenes set video_url = %s where id = %s", put(second), scene_id)

    assert run(apply=True).moved == 1
    assert keys() == {second, picture}
    assert first not in keys()


# ------------------------------------------------------------ what it refuses


@pytest.fixture
def older_installation(put, old) -> set[str]:
    """The keys of another installation's objects, as an import would find them: the record knows none of them."""
    made = {scene_key(uuid.uuid4(), "soft", number) for number in range(1, 12)}
    for key in made:
        put(key)
    old |= made
    return made


@pytest.mark.parametrize("really", [False, True])
def test_nothing_is_touched_while_the_record_knows_nothing_of_most_generations(
    run, stored, keys, quarantined, older_installation, *, really: bool
):
    """Also where someone insists."""
    _, *known = stored()

    with pytest.raises(Refused, match=r"^record_unknown: the record knows 1 of the 12 generations"):
        run(apply=True, really=really)

    assert (keys(), quarantined()) == ({*older_installation, *known}, set())


def test_a_comparison_tells_that_apply_would_be_refused(main, older_installation, capsys):
    assert main() == 1

    output = capsys.readouterr()
    assert output.out.count("orphan   ") == len(older_installation)
    assert "--apply would be refused: record_unknown: " in output.err


def test_an_unfinished_upload_is_not_touched_either_where_apply_is_refused(run, store, begin_upload, put):
    begin_upload("generations/x/soft/scene_1.mp4")
    put("generations/x/soft/scene_2.mp4")

    with pytest.raises(Refused):
        run(apply=True, older_than=timedelta(minutes=-1))

    assert len(list(store.unfinished_uploads("generations/"))) == 1


def test_generations_that_are_imported_are_known(run, stored, keys, older_installation, db, owner):
    _, *known = stored()
    orphans = set(sorted(older_installation)[5:])
    row = """
        insert into generations (id, owner_id, source_video_url, source_video_type, total_variants, variant_types)
        values (%s, %s, 'x', 'url', 1, '{soft}')
    """
    for key in older_installation - orphans:
        db.rows(row, key.split("/")[1], owner)

    assert run().refusal is None, "6 of 12"
    assert run(apply=True).moved == 11
    assert keys() == {*known}


def test_a_generation_that_only_the_bucket_knows_to_be_posted_for_counts_as_neither(run, stored, store, put, old):
    """After a purge nothing but the intents tells of it, and what was left behind is an orphan."""
    stored()
    purged = [uuid.uuid4() for _ in range(4)]
    for generation_id in purged:
        store.put_bytes(f"intents/{generation_id}/{uuid.uuid4()}/1.json", b"{}", content_type="application/json")
        put(scene_key(generation_id, "soft", 1))
        old.add(scene_key(generation_id, "soft", 1))

    assert run().refusal is None


def test_more_than_one_in_ten_objects_are_moved_only_if_one_really_means_it(
    run, main, stored, put, old, keys, quarantined, capsys
):
    for _ in range(5):
        _, video, _ = stored()
    orphans = {f"{video}.{number}" for number in (1, 2)}
    for key in orphans:
        put(key)
    old |= orphans

    assert main("--apply") == 1
    assert "scripts/reconcile: many_orphans: 2 of 12 objects would go" in capsys.readouterr().err
    assert (orphans <= keys(), quarantined()) == (True, set())

    assert main("--apply", "--really") == 0
    assert quarantined() == orphans


def test_one_in_ten_objects_is_moved_without_more_words(run, main, stored, put, old, quarantined):
    for _ in range(5):
        _, video, _ = stored()
    put(f"{video}.1")
    old.add(f"{video}.1")

    assert main("--apply") == 0
    assert quarantined() == {f"{video}.1"}


# ------------------------------------------------------------ coming back


@pytest.fixture
def orphan(stored, put, old) -> str:
    """The key of an orphan of a known generation."""
    _, video, _ = stored()
    key = video.replace("scene_1.mp4", "scene_1.7.mp4")
    put(key)
    old.add(key)
    return key


@pytest.mark.parametrize("named", [lambda key: key, lambda key: key.rpartition("/")[0] + "/"], ids=["key", "folder"])
def test_what_was_moved_can_be_brought_back(run, main, orphan, store, keys, quarantined, capsys, named):
    before = keys()
    run(apply=True)

    assert main("--restore", named(orphan)) == 0

    assert capsys.readouterr().out.endswith(f"restored {orphan}\n")
    assert (keys(), quarantined()) == (before, set())
    assert store.get_bytes(orphan, most_bytes=10) == b"bytes"


def test_nothing_that_has_the_key_by_now_is_overwritten(run, main, orphan, store, quarantined, capsys):
    run(apply=True)
    store.put_bytes(orphan, b"newer", content_type="video/mp4")

    assert main("--restore", orphan) == 1

    assert "has an object again" in capsys.readouterr().err
    assert (store.get_bytes(orphan, most_bytes=10), quarantined()) == (b"newer", {orphan})


def test_what_is_not_in_quarantine_cannot_be_brought_back(main, orphan, capsys):
    assert main("--restore", orphan) == 1
    assert capsys.readouterr().err.startswith("scripts/reconcile: not_in_quarantine: ")


def test_a_row_whose_object_is_in_quarantine_is_told_so(run, stored, store, capsys):
    scene_id, video, _ = stored()
    Quarantine(store).copy_in(video, datetime.now(UTC))
    store.delete(video)

    assert run().missing == 1
    expected = f"missing  {video}  of scene {scene_id}: it is in quarantine, --restore brings it back\n"
    assert capsys.readouterr().out == expected


# ------------------------------------------------------------ archives


@pytest.fixture
def archived(stored, manager, put, old) -> Callable[[], str]:
    """A stored generation whose archive was asked for, and whose object is there, and old: its key."""

    def make() -> str:
        scene_id, _, _ = stored()
        archive = Archives(manager.owner_id).ask(manager.get_scene(scene_id)["generation_id"])
        put(archive["key"])
        old.add(archive["key"])
        return archive["key"]

    return make


READY = "update archives set state = 'ready', size = 1, ready_at = now(), expires_at = now() + interval '1 day'"


@pytest.mark.parametrize("state", ["queued", "ready", "removing"])
def test_an_archive_is_no_orphan_as_long_as_there_is_a_row_of_it(run, archived, keys, db, state: str):
    """Also one whose builder died before it could say that it is ready, and one that the purge is about to take."""
    key = archived()
    db.rows(READY if state == "ready" else f"update archives set state = '{state}'")

    assert run(apply=True) == Report()
    assert key in keys()


def test_an_archive_without_a_row_is_an_orphan(run, archived, keys, db):
    """What a builder that was thought dead uploaded after its row was gone."""
    key = archived()
    db.rows("delete from archives")

    assert run(apply=True).moved == 1
    assert key not in keys()


def test_an_archive_that_is_ready_and_has_no_object_is_told(run, archived, store, db, capsys):
    key = archived()
    store.delete(key)
    assert run() == Report(), "one that is to be built is not missed"
    db.rows(READY)

    assert run().missing == 1
    assert capsys.readouterr().out == f"missing  {key}  of archive {db.rows('select id from archives')[0][0]}\n"


def test_an_archive_that_the_purge_takes_meanwhile_is_not_told(run, archived, store, db, between):
    key = archived()
    db.rows(READY)
    store.delete(key)
    between("keys", lambda: db.rows("update archives set state = 'removing'"))

    assert run() == Report()


# ------------------------------------------------------------ meanwhile


@pytest.fixture
def between(monkeypatch) -> Callable[..., None]:
    """Has something happen once, right after a method of the store has looked."""

    def arrange(method: str, happen: Callable[[], object]) -> None:
        look = getattr(ObjectStore, method)
        pending = [happen]

        def looked(self, argument: str) -> Any:
            found = look(self, argument)
            found = iter(list(found)) if method == "keys" else found
            if pending:
                pending.pop()()
            return found

        monkeypatch.setattr(ObjectStore, method, looked)

    return arrange


@pytest.mark.parametrize("look", ["keys", "modified"])
def test_an_object_whose_row_appears_meanwhile_is_kept(
    run, put, keys, old, manager, generation_factory, between, look: str
):
    generation = generation_factory(1)
    key = scene_key(generation["id"], "soft", 1)
    url = put(key)
    old.add(key)
    scene_id = generation["variants"][0]["scenes"][0]["id"]
    between(look, lambda: manager.update_scene(scene_id, video_url=url, status="completed"))

    assert run(apply=True) == Report()

    assert keys() == {key}


def test_an_object_that_is_written_anew_meanwhile_is_kept(run, put, keys, old, generation_factory, between):
    key = scene_key(generation_factory(1)["id"], "soft", 1)
    put(key)
    old.add(key)

    def rewrite() -> None:
        put(key)
        old.discard(key)

    between("keys", rewrite)

    assert run(apply=True) == Report()
    assert keys() == {key}


def test_an_object_that_a_worker_may_write_any_moment_is_kept(run, put, keys, old, generation_factory, db):
    generation = generation_factory(1, submit=True)
    db.rows("update jobs set step = 'store'")
    key = scene_key(generation["id"], "soft", 1)
    put(key)
    old.add(key)

    assert run(apply=True) == Report()
    assert keys() == {key}


def test_an_object_that_goes_meanwhile_is_not_told(run, store, put, old, generation_factory, between):
    key = scene_key(generation_factory(1)["id"], "soft", 1)
    put(key)
    old.add(key)
    between("keys", lambda: store.delete(key))

    assert run(apply=True) == Report()


def test_a_row_that_goes_meanwhile_misses_nothing(run, stored, store, db, between):
    _, *known = stored()

    def purge() -> None:
        for key in known:
            store.delete(key)
        db.rows("delete from generations")

    for key in known:
        store.delete(key)
    between("keys", purge)

    assert run() == Report()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_object_whose_row_appears_between_decision_and_deed_is_kept(
    run, orphan, keys, quarantined, monkeypatch, db, capsys, moment: str
):
    """Also while it is being copied."""
    before = keys()
    copy_in = Quarantine.copy_in

    def appear() -> None:
        url = f"https://bucket.example/{orphan}"
        db.rows("update scenes set video_url = %s", url)

    def recorded_meanwhile(self, key: str, now: datetime) -> str:
        copied = copy_in(self, key, now)
        appear()
        return copied

    def recorded_before(self) -> None:
        appear()
        apply(self)

    apply = Comparison.apply
    if moment == "after":
        monkeypatch.setattr(Quarantine, "copy_in", recorded_meanwhile)
    else:
        monkeypatch.setattr(Comparison, "apply", recorded_before)
    report = run(apply=True)

    assert (report.orphans, report.moved) == (0, 0)
    assert capsys.readouterr().out.endswith(f"kept     {orphan}  is no orphan any more\n")
    assert (keys(), quarantined()) == (before, set())


def test_an_object_whose_copy_is_not_proven_stays(run, orphan, keys, monkeypatch):
    before = keys()

    def fail(*_: object) -> None:
        raise StorageError("DO_SPACES_ENDPOINT: it holds other bytes")

    monkeypatch.setattr("generation_history.storage.quarantine.copy_object", fail)

    with pytest.raises(StorageError):
        run(apply=True)

    assert keys() == before


# ------------------------------------------------------------ rows without objects


def test_a_row_without_its_object_is_told_and_never_changed(run, stored, store, db, capsys):
    scene_id, video, thumbnail = stored()
    store.delete(video)
    store.delete(thumbnail)
    before = db.everything()

    report = run(apply=True)

    assert (report.missing, report.agrees) == (2, False)
    assert sorted(capsys.readouterr().out.splitlines()) == [
        f"missing  {video}  of scene {scene_id}",
        f"missing  {thumbnail}  of scene {scene_id}",
    ]
    assert db.everything() == before


def test_what_a_purge_is_removing_is_not_missing(run, stored, store, db):
    _, video, thumbnail = stored()
    store.delete(video)
    store.delete(thumbnail)
    db.rows("update generations set deleted_at = now(), purge_at = now(), purging_since = now()")

    assert run() == Report()


def test_a_url_that_is_not_of_this_generations_folder_is_not_looked_for(run, manager, generation_factory):
    scene_id = generation_factory(1)["variants"][0]["scenes"][0]["id"]
    manager.update_scene(scene_id, video_url="https://elsewhere.example/video.mp4", status="completed")

    assert run() == Report()


# ------------------------------------------------------------ many, and unfinished


@pytest.fixture
def small_pages(monkeypatch) -> None:
    """The store lists two at a time."""
    call = ObjectStore._call
    limits = {"list_objects_v2": {"MaxKeys": 2}, "list_multipart_uploads": {"MaxUploads": 2}}
    monkeypatch.setattr(
        ObjectStore, "_call", lambda self, name, **given: call(self, name, **{**limits.get(name, {}), **given})
    )


@pytest.mark.usefixtures("small_pages")
def test_all_pages_of_objects_are_compared(run, put, keys, stored, old):
    _, *known = stored()
    generation_id = known[0].split("/")[1]
    orphans = {f"generations/{generation_id}/soft/scene_{number}.mp4" for number in range(2, 9)}
    for key in orphans:
        put(key)
    old |= orphans

    report = run(apply=True)

    assert (report.orphans, report.moved, report.missing) == (7, 7, 0)
    assert keys() == set(known)


@pytest.fixture
def begin_upload(store) -> Callable[[str], str]:
    """Begins an upload in parts that nobody finishes."""
    return lambda key: store._call("create_multipart_upload", Key=key)["UploadId"]


def test_an_old_upload_that_was_never_finished_is_aborted_only_with_apply(run, store, begin_upload, capsys):
    begin_upload("generations/x/soft/scene_1.mp4")
    begin_upload("somebody/elses.mp4")
    assert run(apply=True) == Report()

    report = run(older_than=timedelta(minutes=-1))
    assert (report.uploads, report.aborted, report.agrees) == (1, 0, False)
    assert capsys.readouterr().out.startswith("upload   generations/x/soft/scene_1.mp4  never finished, begun 20")

    report = run(older_than=timedelta(minutes=-1), apply=True)
    assert (report.uploads, report.aborted, report.agrees) == (1, 1, True)
    assert [key for key, *_ in store.unfinished_uploads("")] == ["somebody/elses.mp4"]


@pytest.mark.usefixtures("small_pages")
def test_all_pages_of_uploads_are_listed(store, begin_upload):
    begun = {("generations/x/same.mp4", begin_upload("generations/x/same.mp4")) for _ in range(3)}
    for number in range(4):
        key = f"generations/x/soft/scene_{number}.mp4"
        begun.add((key, begin_upload(key)))

    listed = list(store.unfinished_uploads("generations/"))

    assert len(listed) == 7
    assert {(key, upload_id) for key, upload_id, _ in listed} == begun
    assert all(abs(datetime.now(UTC) - at) < timedelta(hours=1) for _, _, at in listed)


# ------------------------------------------------------------ the command


@pytest.fixture
def main(db, spaces, monkeypatch) -> Callable[..., int]:
    """The command with these arguments; its exit code."""
    monkeypatch.setenv("MIGRATE_DATABASE_URL", db.migrate)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["scripts/reconcile", *arguments])
        return command.main()

    return run


def test_the_command_ends_well_where_rows_and_objects_agree(main, stored, capsys):
    stored()

    assert main() == 0
    assert capsys.readouterr().out == f"0 orphans (0 moved to quarantine), 0 missing, {NOTHING_OWED}"


@pytest.mark.parametrize(("status", "warned"), [(200, True), (403, False), (404, False), (302, False)])
def test_the_command_warns_of_a_bucket_that_anyone_can_read(
    main, stored, scripted, monkeypatch, capsys, status: int, *, warned: bool
):
    """Objects are put without an ACL: each is as private as its bucket."""
    stored()
    scripted.script(answer(status, b"bytes"))
    monkeypatch.setattr(ObjectStore, "url", lambda _, key: f"{scripted.base_url}/{key}")

    assert main() == 0
    assert ("DO_SPACES_BUCKET" in capsys.readouterr().err) is warned
    assert "authorization" not in scripted.requests[0].headers


def test_the_command_says_so_where_they_do_not(main, stored, put, store, old, capsys):
    _, video, _ = stored()
    store.delete(video)
    put("generations/x/soft/scene_1.mp4")
    old.add("generations/x/soft/scene_1.mp4")

    assert main() == 1
    assert capsys.readouterr().out.endswith(f"1 orphans (0 moved to quarantine), 1 missing, {NOTHING_OWED}")
    assert main("--apply", "--really") == 1
    assert capsys.readouterr().out.endswith(f"1 orphans (1 moved to quarantine), 1 missing, {NOTHING_OWED}")


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("MIGRATE_DATABASE_URL", None, "MIGRATE_DATABASE_URL is not set"),
        ("MIGRATE_DATABASE_URL", "mysql://x", "MIGRATE_DATABASE_URL must be a URL"),
        ("MIGRATE_DATABASE_URL", "postgresql://x:pass%zzword@127.0.0.1/x", "MIGRATE_DATABASE_URL must be a URL"),
        ("MIGRATE_DATABASE_URL", "postgresql://x:password@127.0.0.1:9/x", "MIGRATE_DATABASE_URL: "),
        ("DO_SPACES_ACCESS_KEY", None, "DO_SPACES_ACCESS_KEY is not set"),
        ("DO_SPACES_SECRET_KEY", "password", "DO_SPACES_SECRET_KEY was refused"),
        ("DO_SPACES_BUCKET", "no-such-bucket", "DO_SPACES_BUCKET: there is no such bucket"),
        ("DO_SPACES_ENDPOINT", "http://127.0.0.1:9", "DO_SPACES_ENDPOINT or DO_SPACES_REGION"),
    ],
)
def test_a_wrong_setting_is_one_line(main, monkeypatch, capsys, setting: str, value: str | None, said: str):
    monkeypatch.setenv(setting, value) if value else monkeypatch.delenv(setting)

    assert main("--apply") == 1

    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"scripts/reconcile: {said}")
    assert told.err.count("\n") == 1
    assert "pass" not in told.err.replace("login:password@host", "").replace("of the password as", "")


def test_someone_who_cannot_see_all_rows_takes_no_object_for_an_orphan(main, db, stored, keys, monkeypatch, capsys):
    """Row level security would show history_api no row at all."""
    stored()
    before = keys()
    for url in (db.api, db.worker):
        monkeypatch.setenv("MIGRATE_DATABASE_URL", url)

        assert main("--apply") == 1

        assert capsys.readouterr().err.startswith("scripts/reconcile: MIGRATE_DATABASE_URL")
    assert keys() == before


def test_the_command_explains_itself():
    path = ROOT / "scripts/reconcile"
    assert os.access(path, os.X_OK)

    ran = subprocess.run([path, "--help"], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout.startswith("usage: scripts/reconcile")
    assert "--apply" in ran.stdout
