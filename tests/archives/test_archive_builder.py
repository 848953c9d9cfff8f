"""An archive is built whole or not at all, by whoever holds its lease, and always to the same bytes."""

import json
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from generation_history.archives import archive_builder
from generation_history.archives.archive_builder import ArchiveBuilder
from generation_history.archives.archive_queue import ArchiveQueue
from generation_history.archives.archives import Archives
from generation_history.errors import ArchiveFailed, LeaseLost, StorageError
from generation_history.storage.keys import scene_key
from generation_history.storage.multipart_upload import PART_BYTES, MultipartUpload
from generation_history.storage.object_store import PIECE_BYTES, ObjectStore

#: Two of these are more than two parts of an upload, of which no store takes small ones.
LARGE = PART_BYTES + 12_345


@pytest.fixture
def archives(manager) -> Archives:
    return Archives(manager.owner_id)


@pytest.fixture
def archive_queue(worker_db) -> ArchiveQueue:
    return ArchiveQueue(worker_db, lease_seconds=60)


@pytest.fixture
def make_builder(archive_queue, store) -> Callable[..., ArchiveBuilder]:
    """A builder of this store, or of the one given."""

    def make(store: ObjectStore = store, *, lease_seconds: float = 60) -> ArchiveBuilder:
        return ArchiveBuilder(archive_queue, store, lease_seconds=lease_seconds)

    return make


@pytest.fixture
def build(make_builder) -> Callable[..., int]:
    """Builds what is due: how many archives are ready."""
    return lambda **how: make_builder(**how).run(seconds=600)


@pytest.fixture
def asked(archives, manager, store, generation_factory, tmp_path) -> Callable[..., str]:
    """The id of a new generation, with a stored video of each of these sizes, whose archive was asked for."""

    def make(*sizes: int, by=manager) -> str:
        generation = generation_factory(len(sizes) or 1, by=by)
        for size, scene in zip(sizes or (1000,), generation["variants"][0]["scenes"], strict=True):
            file = tmp_path / "file"
            file.write_bytes(scene["id"].encode() * (size // 36 + 1))
            with file.open("r+b") as opened:
                opened.truncate(size)
            key = scene_key(generation["id"], "soft", scene["scene_number"])
            url = store.put(key, file, content_type="video/mp4")
            by.update_scene(scene["id"], video_url=url, duration=8, file_size=size, status="completed")
        Archives(by.owner_id).ask(generation["id"])
        return generation["id"]

    return make


@pytest.fixture
def stands(db) -> Callable[[], tuple]:
    """The state of the only archive, why, and whether anyone has its lease."""

    def read() -> tuple:
        ((state, code, message, token),) = db.rows("select state, error_code, error_message, lease_token from archives")
        return state, code, message, token is not None

    return read


@pytest.fixture
def left(store) -> Callable[[str], tuple[list[str], int]]:
    """The keys of a generation's archives in the store, and how many uploads there are that were not finished."""

    def look(generation_id: str) -> tuple[list[str], int]:
        prefix = f"generations/{generation_id}/archives/"
        return [key for key, _ in store.keys(prefix)], len(list(store.unfinished_uploads(prefix)))

    return look


@pytest.fixture
def content(store, left, tmp_path) -> Callable[[str], bytes]:
    """The bytes of a generation's only archive, which must be a whole zip."""

    def read(generation_id: str) -> bytes:
        ((key,), uploads) = left(generation_id)
        assert uploads == 0
        path = tmp_path / "archive.zip"
        path.unlink(missing_ok=True)
        assert store.get(key, path)
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
        return path.read_bytes()

    return read


@pytest.fixture
def make_due(db) -> Callable[[], None]:
    """As if every wait and every lease were over."""
    return lambda: db.rows("update archives set run_at = now() - interval '1 second' where state <> 'ready'")


@pytest.fixture
def pass_deadline(db) -> Callable[[], None]:
    return lambda: db.rows("update archives set deadline = now() - interval '1 second'")


class HookedStore(ObjectStore):
    """A store at whose calls a test may have something happen: before[name] is called first, with the arguments."""

    def __init__(self, settings) -> None:
        super().__init__(settings)
        self.before: dict[str, Callable[..., object]] = {}
        self.calls: list[str] = []

    def _call(self, operation: str, **arguments: object):
        self.calls.append(operation)
        self.before.get(operation, lambda **_: None)(**arguments)
        return super()._call(operation, **arguments)


@pytest.fixture
def hooked(spaces) -> HookedStore:
    return HookedStore(spaces)


def down(**_: object) -> None:
    raise StorageError("the store is down")


# ---------------------------------------------------------------- what is built


def test_an_archive_of_several_parts_holds_what_is_stored_bit_by_bit(asked, build, content, store, tmp_path):
    generation_id = asked(LARGE, 1, LARGE)

    assert build() == 1

    content(generation_id)
    with zipfile.ZipFile(tmp_path / "archive.zip") as archive:
        for number, name in enumerate(archive.namelist()[:-1], 1):
            original = tmp_path / f"original {number}"
            assert store.get(scene_key(generation_id, "soft", number), original)
            assert archive.read(name) == original.read_bytes()
            assert archive.getinfo(name).compress_type == zipfile.ZIP_STORED


def test_the_same_archive_is_the_same_bytes_whoever_builds_it_and_when(
    asked, build, content, left, store, db, make_due
):
    generation_id = asked(5000, 7000)
    build()
    first = content(generation_id)
    store.delete(left(generation_id)[0][0])
    again = "update archives set state = 'queued', size = null, ready_at = null, expires_at = null"
    db.rows(again)
    make_due()

    build()

    assert content(generation_id) == first


def test_an_entry_is_as_old_as_its_video_and_may_be_read(asked, build, content, db, tmp_path):
    generation_id = asked(1000)
    # A zip knows every other second.
    made_at = "2026-11-22T10:20:31.987+02:00"
    db.rows(
        "update archives set contents = jsonb_set(contents::jsonb, '{files,0,made_at}', to_jsonb(%s::text))", made_at
    )
    build()
    content(generation_id)

    with zipfile.ZipFile(tmp_path / "archive.zip") as archive:
        assert [entry.date_time for entry in archive.infolist()] == [(2026, 11, 22, 8, 20, 30)] * 2
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}


def test_a_video_whose_size_nobody_recorded_is_in_it_too(asked, archives, build, content, db, tmp_path):
    generation_id = asked(1000)
    db.rows("update scenes set file_size = null")
    archives.ask(generation_id)

    assert build() == 1

    content(generation_id)
    with zipfile.ZipFile(tmp_path / "archive.zip") as archive:
        assert json.loads(archive.read("manifest.json"))["files"][0]["size"] == 1000


def test_the_row_says_how_large_it_is_and_that_all_is_done(asked, build, content, db):
    generation_id = asked(1000, 2000)
    build()

    query = "select state, size, videos, videos_done, bytes, tries, lease_token from archives"
    assert db.rows(query) == [("ready", len(content(generation_id)), 2, 2, 3000, 1, None)]


def test_archives_of_all_owners_are_built_the_longest_due_first(asked, stranger, make_builder, db, archive_queue):
    ids = [asked(), asked(by=stranger), asked()]
    for generation_id, minutes in zip(ids, (1, 3, 2), strict=True):
        due = "update archives set run_at = now() - make_interval(mins => %s) where generation_id = %s"
        db.rows(due, minutes, generation_id)

    claimed = [archive_queue.claim() for _ in range(4)]

    assert [str(build.generation_id) for build in claimed[:3]] == [ids[1], ids[2], ids[0]]
    assert claimed[3] is None


def test_of_two_builders_each_archive_is_built_by_one(asked, make_builder, db):
    for _ in range(6):
        asked()
    builders = [make_builder() for _ in range(2)]

    with ThreadPoolExecutor(2) as threads:
        built = list(threads.map(lambda builder: builder.run(seconds=600), builders))

    assert sum(built) == 6
    assert db.rows("select distinct state, tries from archives") == [("ready", 1)]


# ---------------------------------------------------------------- a video that is not as recorded


def test_a_video_that_is_missing_fails_the_archive_by_name(asked, build, stands, left, store):
    generation_id = asked(LARGE, 1000)
    store.delete(scene_key(generation_id, "soft", 2))

    assert build() == 0

    assert stands() == ("failed", "video_missing", "the video of soft scene 2 is not in the store", False)
    assert left(generation_id) == ([], 0)


@pytest.mark.parametrize("size", [999, 1001, 0])
def test_a_video_of_another_size_than_recorded_fails_the_archive(asked, build, stands, left, db, archives, size: int):
    generation_id = asked(LARGE, 1000)
    db.rows("update scenes set file_size = %s where scene_number = 2", size)
    archives.ask(generation_id)

    assert build() == 0

    said = f"the video of soft scene 2 has 1000 bytes in the store, not {size}"
    assert stands_of_asked(db) == ("failed", "video_changed", said)
    assert left(generation_id) == ([], 0)


def stands_of_asked(db) -> tuple:
    (row,) = db.rows("select state, error_code, error_message from archives where state <> 'removing'")
    return row


def test_a_row_that_names_another_generations_video_gets_nothing_of_it(asked, build, stands, left, db):
    """A caller with SQL of its own writes what it likes into its own row."""
    theirs, mine = asked(1000), None
    build()
    mine = asked(1000)
    key = scene_key(theirs, "soft", 1)
    steal = "update archives set contents = jsonb_set(contents::jsonb, '{files,0,key}', to_jsonb(%s::text))"
    db.rows(f"{steal} where generation_id = %s", key, mine)

    assert build() == 0

    query = "select state, error_code, error_message from archives where generation_id = %s"
    assert db.rows(query, mine) == [
        ("failed", "video_missing", "the video of soft scene 1 is not one of this generation's")
    ]
    assert left(mine) == ([], 0)


# ---------------------------------------------------------------- a store that fails


@pytest.mark.parametrize(
    "operation",
    ["list_objects_v2", "create_multipart_upload", "get_object", "upload_part", "complete_multipart_upload"],
)
def test_a_store_that_fails_puts_the_archive_off_and_leaves_nothing_behind(
    asked, build, hooked, stands, left, content, make_due, operation: str
):
    generation_id = asked(LARGE)
    hooked.before[operation] = down
    assert build(store=hooked) == 0

    assert stands() == ("queued", None, "the store is down", False)
    assert left(generation_id) == ([], 0)
    assert build(store=hooked) == 0, "it waits"

    make_due()
    hooked.before.clear()
    assert build(store=hooked) == 1
    content(generation_id)


def test_a_store_that_never_mends_fails_the_archive_at_its_deadline(asked, build, hooked, stands, pass_deadline):
    asked(1000)
    hooked.before["get_object"] = down
    pass_deadline()

    assert build(store=hooked) == 0

    assert stands() == ("failed", "storage_failed", "the store is down", False)


def test_a_download_that_breaks_off_is_no_end_of_a_video(asked, build, hooked, stands, left, monkeypatch):
    """A zip of half a video would be worse than none."""
    generation_id = asked(LARGE)
    read = ObjectStore.read

    @contextmanager
    def half(self: ObjectStore, key: str):
        with read(self, key) as (size, pieces):
            yield size, (piece for _, piece in zip(range(3), pieces, strict=False))

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "read", half)
        assert build() == 0

    assert stands()[0] == "queued"
    assert stands()[2] == f"the video of soft scene 1 broke off after {3 * PIECE_BYTES} of {LARGE} bytes"
    assert left(generation_id) == ([], 0)


def test_a_store_that_cannot_even_abort_is_told_of_and_the_next_builder_cleans_up(
    asked, build, hooked, stands, left, content, make_due, caplog
):
    generation_id = asked(LARGE)
    hooked.before |= {"upload_part": down, "abort_multipart_upload": down}

    assert build(store=hooked) == 0
    assert "an upload could not be aborted: the store is down" in caplog.text
    assert left(generation_id) == ([], 1)
    assert stands()[2] == "the store is down"

    make_due()
    assert build() == 1
    content(generation_id)


def test_a_part_that_fails_is_not_sent_again_and_nothing_after_it(asked, build, hooked):
    """Whatever closes the entry and the zip afterwards has nothing to wait for."""
    asked(3 * PART_BYTES)
    hooked.before["upload_part"] = down

    build(store=hooked)

    assert hooked.calls.count("upload_part") == 1


def test_an_error_of_ours_is_put_off_with_its_reason_and_fails_at_the_deadline(
    asked, build, stands, monkeypatch, make_due, pass_deadline
):
    asked(1000)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(archive_builder.json, "dumps", broken)
    assert build() == 0
    assert stands() == ("queued", None, "RuntimeError: a bug", False)
    make_due()
    pass_deadline()

    assert build() == 0

    assert stands() == ("failed", "timed_out", "not built within its time: RuntimeError: a bug", False)


# ---------------------------------------------------------------- builders that die, or are too slow


def test_an_archive_that_was_uploaded_when_its_builder_died_is_not_built_again(
    asked, make_builder, archive_queue, hooked, stands, content, make_due, monkeypatch
):
    generation_id = asked(LARGE)

    def dies(*_: object, **__: object) -> None:
        raise LeaseLost("as if it had died")

    with monkeypatch.context() as patch:
        patch.setattr(archive_queue, "finish", dies)
        assert make_builder().run(seconds=600) == 0
    before = content(generation_id)
    assert stands()[0] == "building"
    make_due()

    assert make_builder(hooked).run(seconds=600) == 1

    assert stands()[0] == "ready"
    assert content(generation_id) == before
    assert "create_multipart_upload" not in hooked.calls


def test_what_a_dead_builder_had_begun_is_aborted_by_the_next(
    asked, store, build, left, content, archive_queue, make_due
):
    generation_id = asked(LARGE)
    begun = archive_queue.claim()
    upload = MultipartUpload(store, begun.key, content_type="application/zip")
    upload.write(b"x" * LARGE)
    upload._upload_id = None
    assert left(generation_id) == ([], 1)
    make_due()

    assert build() == 1

    content(generation_id)


def test_an_archive_that_kills_its_builders_is_given_up_in_the_end(
    asked, build, archive_queue, make_due, pass_deadline, stands
):
    asked(1000)
    for _ in range(2):
        assert archive_queue.claim()
        make_due()
    pass_deadline()

    assert build() == 0

    reason = "not built within its time: every builder died in the middle of it"
    assert stands() == ("failed", "timed_out", reason, False)


def test_an_archive_that_waited_too_long_is_tried_all_the_same(asked, build, pass_deadline, stands):
    """No poller ran for a day, say."""
    asked(1000)
    pass_deadline()

    assert build() == 1
    assert stands()[0] == "ready"


@pytest.mark.parametrize("operation", ["upload_part", "complete_multipart_upload"])
def test_a_builder_that_lost_its_lease_writes_nothing(
    asked, build, hooked, archive_queue, stands, left, db, make_due, caplog, operation: str
):
    generation_id = asked(LARGE, LARGE)
    taken = []

    def take_over(**_: object) -> None:
        if not taken:
            make_due()
            taken.append(archive_queue.claim())

    # Before the end of the upload, it looks at its lease a last time.
    hooked.before["upload_part" if operation == "upload_part" else "get_object"] = take_over
    lease_seconds = 0 if operation == "upload_part" else 1e9

    assert build(store=hooked, lease_seconds=lease_seconds) == 0

    assert "another builder has taken it over" in caplog.text
    assert left(generation_id) == ([], 0)
    assert "complete_multipart_upload" not in hooked.calls
    assert db.rows("select state, lease_token, bytes_done from archives") == [("building", taken[0].lease_token, 0)]


def test_a_late_upload_of_a_builder_that_was_thought_dead_changes_nothing(
    asked, build, hooked, archive_queue, content, make_due, make_builder
):
    """Both wrote the same bytes to the same key."""
    generation_id = asked(LARGE)
    seen = []

    def overtaken(**_: object) -> None:
        make_due()
        assert make_builder().run(seconds=600) == 1
        seen.append(content(generation_id))

    hooked.before["complete_multipart_upload"] = overtaken

    assert build(store=hooked) == 0, "its upload was aborted by the other one"

    assert content(generation_id) == seen[0]


def test_a_long_build_keeps_its_lease_and_tells_how_far_it_is(asked, build, hooked, db):
    asked(LARGE, LARGE, LARGE)
    told = []
    hooked.before["upload_part"] = lambda **_: told.extend(
        db.rows("select lease_token, run_at, videos_done, bytes_done from archives")
    )

    assert build(store=hooked, lease_seconds=0) == 1

    tokens, leases, videos, done = zip(*told, strict=True)
    assert len(set(tokens)) == 1
    assert list(leases) == sorted(set(leases))
    assert videos == (0, 1, 2, 3)
    assert list(done) == sorted(set(done))


def test_an_archive_that_takes_longer_than_its_poller_has_is_put_off(
    asked, make_builder, hooked, stands, left, monkeypatch
):
    now = 0.0
    monkeypatch.setattr(archive_builder, "time", SimpleNamespace(monotonic=lambda: now))

    def takes_long(**_: object) -> None:
        nonlocal now
        now += 200

    hooked.before["upload_part"] = takes_long
    generation_id = asked(LARGE, LARGE)

    assert make_builder(hooked).run(seconds=290) == 0

    assert stands()[0] == "queued"
    assert stands()[2].startswith("its poller's time was up")
    assert left(generation_id) == ([], 0)


def test_no_archive_is_begun_when_the_time_is_nearly_up(asked, make_builder, stands):
    asked(1000)

    assert make_builder().run(seconds=archive_builder.SHORTEST_BUILD_SECONDS - 1) == 0

    assert stands()[0] == "queued"


def test_a_database_that_is_gone_leaves_the_archive_to_its_lease(
    asked, build, archive_queue, stands, left, make_due, monkeypatch, caplog
):
    generation_id = asked(1000)

    def gone(*_: object, **__: object) -> None:
        raise ArchiveFailed("storage_failed", "as good as any")

    with monkeypatch.context() as patch:
        for write in ("extend", "give_up"):
            patch.setattr(archive_queue, write, gone)
        assert build() == 0
    assert "its lease will run out by itself" in caplog.text
    assert stands()[0] == "building"
    make_due()

    assert build() == 1
    assert len(left(generation_id)[0]) == 1


# ---------------------------------------------------------------- the queue


WRITES = {
    "extend": lambda queue, build: queue.extend(build, videos_done=1, bytes_done=1),
    "finish": lambda queue, build: queue.finish(build, size=1),
    "put_off": lambda queue, build: queue.put_off(build, "down"),
    "give_up": lambda queue, build: queue.give_up(build, "timed_out", "too late"),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_builder_whose_archive_was_taken_over_or_finished_writes_nothing(
    asked, archive_queue, db, make_due, write: str
):
    asked(1000)
    slow = archive_queue.claim()
    make_due()
    quick = archive_queue.claim()
    assert (slow.id, slow.tries, quick.tries) == (quick.id, 1, 2)
    for happened in (lambda: None, lambda: archive_queue.finish(quick, size=1)):
        happened()
        before = db.rows("select a::text from archives a")
        with pytest.raises(LeaseLost):
            WRITES[write](archive_queue, slow)
        assert db.rows("select a::text from archives a") == before


def test_a_reason_that_the_database_would_refuse_is_kept_as_far_as_it_can_be(asked, archive_queue, stands):
    asked(1000)

    archive_queue.give_up(archive_queue.claim(), "timed_out", "a\0b \ud800" + "x" * 5000)

    assert stands()[2].startswith("ab ?x")
    assert len(stands()[2]) < 5000


# ---------------------------------------------------------------- an upload in parts


@pytest.mark.parametrize("pieces", [[PART_BYTES], [PART_BYTES + 1], [1, PART_BYTES - 1], [PART_BYTES * 2 + 7], [1] * 9])
def test_all_parts_but_the_last_are_of_one_size(store, hooked, generation_factory, tmp_path: Path, pieces: list[int]):
    """As some stores demand."""
    sizes = []
    hooked.before["upload_part"] = lambda Body, **_: sizes.append(len(Body))  # noqa: N803 - boto3's name
    key = f"generations/{generation_factory(1)['id']}/archives/x.zip"
    written = [bytes([number % 256]) * size for number, size in enumerate(pieces)]

    with MultipartUpload(hooked, key, content_type="application/zip") as upload:
        for piece in written:
            assert upload.write(piece) == len(piece)
        upload.finish()

    assert set(sizes[:-1]) <= {PART_BYTES}
    assert 0 < sizes[-1] <= PART_BYTES
    assert store.get(key, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"".join(written)
    assert upload.size == store.size(key) == sum(pieces)
