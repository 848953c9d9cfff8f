"""What an ObjectStore promises, asked of stores of several makers: SeaweedFS, moto, and LocalStack where there is one.

A case that says otherwise(maker=why) is one that the maker's store is known to fail: it answers otherwise than S3. One
that is told of moto must fail there, so that it is noticed when moto learns it; a LocalStack may be any version.
"""

import hashlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
import requests

from generation_history.errors import StorageError, StoreRefused
from generation_history.settings import SpacesSettings
from generation_history.storage.multipart_upload import PART_BYTES, MultipartUpload
from generation_history.storage.object_copy import copy_object
from generation_history.storage.object_store import (
    PIECE_BYTES,
    SIGNED_URL_SECONDS,
    SIGNING_WINDOW_SECONDS,
    ObjectStore,
)
from tests.support import localstack
from tests.support.moto_server import Moto
from tests.support.stores import Place, localstack_place, moto_place

#: By name, the maker of each store.
STORES = {
    "SeaweedFS": "seaweedfs",
    "moto": "moto",
    "moto, encrypted with KMS": "moto",
    "LocalStack": "localstack",
}
ROOT = Path(__file__).resolve().parents[2]
CONTENT = bytes(range(256)) * 2048 + b"the end"
SHORT_SECONDS = 300
#: Of a part that is not the last, as S3 takes it.
LEAST_PART_BYTES = 5 * 1024 * 1024
#: A letter of each kind that is written in more than one way.
ODD_NAME = "a b/ü+&=%2F~'()*!@:,;$.mp4"


@pytest.fixture(scope="module")
def _localstack() -> Generator[Place | None]:
    with localstack_place() as place:
        yield place


@pytest.fixture(scope="module")
def moto_places(moto: Moto) -> dict[str, Place]:
    return {
        "moto": moto_place(moto, "contract"),
        "moto, encrypted with KMS": moto_place(moto, "contract-kms", encryption="aws:kms"),
    }


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest) -> Place:
    maker = STORES[request.param]
    if known := request.node.get_closest_marker("otherwise"):
        assert known.kwargs.keys() <= set(STORES.values())
        if why := known.kwargs.get(maker):
            request.applymarker(pytest.mark.xfail(reason=f"{maker}: {why}", strict=maker != "localstack"))
    if maker == "seaweedfs":
        return Place(request.getfixturevalue("spaces"))
    if maker == "moto":
        return request.getfixturevalue("moto_places")[request.param]
    there = request.getfixturevalue("_localstack")
    if there is None:
        pytest.skip(localstack.NOT_THERE)
    return there


@pytest.fixture
def settings(place: Place) -> SpacesSettings:
    return place.settings


@pytest.fixture(scope="module")
def _store_of() -> Callable[[SpacesSettings], ObjectStore]:
    """One for each bucket: to make boto3's client takes longer than most of these tests."""
    return cache(ObjectStore)


@pytest.fixture
def store(settings: SpacesSettings, _store_of: Callable[[SpacesSettings], ObjectStore]) -> ObjectStore:
    return _store_of(settings)


@pytest.fixture
def prefix() -> str:
    """Of this test's own objects: a bucket is shared."""
    return f"generations/{uuid.uuid4()}/"


@pytest.fixture
def key(prefix: str) -> str:
    return f"{prefix}soft/scene_1.mp4"


@pytest.fixture
def put(store: ObjectStore, tmp_path: Path) -> Callable[..., str]:
    """Puts a file of these bytes."""

    def run(key: str, content: bytes = CONTENT, *, content_type: str = "video/mp4") -> str:
        path = tmp_path / uuid.uuid4().hex
        path.write_bytes(content)
        return store.put(key, path, content_type=content_type)

    return run


@pytest.fixture
def in_pages(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Has every list come in pages of so many; what it returns grows by the name of each that is asked for."""

    def of(**most: int) -> list[str]:
        call, asked = store._call, []

        def paged(operation: str, **arguments: object) -> object:
            if not operation.startswith("list_"):
                return call(operation, **arguments)
            asked.append(operation)
            return call(operation, **most, **arguments)

        monkeypatch.setattr(store, "_call", paged)
        return asked

    return of


def fetched(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=10)


def keys(store: ObjectStore, prefix: str) -> list[str]:
    return [key for key, _ in store.keys(prefix)]


def uploads(store: ObjectStore, prefix: str) -> list[tuple[str, str]]:
    return [(key, upload_id) for key, upload_id, _ in store.unfinished_uploads(prefix)]


def is_now(at: datetime) -> bool:
    return abs(datetime.now(UTC) - at) < timedelta(seconds=SHORT_SECONDS)


# ---------------------------------------------------------------- what is wrong is told by its setting


def test_a_bucket_that_is_there_will_do(place, store):
    with place.checking_keys():
        store.check()


@pytest.mark.parametrize(
    ("wrong", "blamed"),
    [({"bucket": "no-such-bucket"}, "DO_SPACES_BUCKET"), ({"endpoint": "http://127.0.0.1:1"}, "DO_SPACES_ENDPOINT")],
    ids=["bucket", "endpoint"],
)
def test_a_store_or_bucket_that_is_not_there_is_told_by_its_setting(settings, wrong, blamed):
    with pytest.raises(StorageError, match=rf"^{blamed}\b[^\n]+$"):
        ObjectStore(replace(settings, **wrong)).check()


@pytest.mark.otherwise(localstack="it takes any key")
@pytest.mark.parametrize("wrong", ["access_key", "secret_key"])
def test_a_key_that_is_refused_is_told_by_its_setting(place, settings, wrong):
    refused = ObjectStore(replace(settings, **{wrong: "wrong"}))

    with place.checking_keys():
        with pytest.raises(StoreRefused, match=rf"^DO_SPACES_{wrong.upper()}\b[^\n]+$"):
            refused.check()
        with pytest.raises(StoreRefused, match=rf"^DO_SPACES_{wrong.upper()}\b[^\n]+$"):
            refused.put_bytes("generations/refused.json", b"{}", content_type="application/json")


def test_a_key_that_may_not_use_the_bucket_is_told_by_both_settings(moto: Moto, moto_places: dict[str, Place]):
    """Of moto alone: our SeaweedFS has one key, which may do everything."""
    key, secret = moto.new_user("may-nothing")
    place = moto_places["moto"]

    with (
        place.checking_keys(),
        pytest.raises(StoreRefused, match=r"^DO_SPACES_ACCESS_KEY and DO_SPACES_SECRET_KEY"),
    ):
        ObjectStore(replace(place.settings, access_key=key, secret_key=secret)).check()


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("content", [CONTENT, b"x" * PIECE_BYTES, b""], ids=["pieces", "one piece", "nothing"])
def test_a_file_that_was_put_comes_back_bit_by_bit(store, put, key, tmp_path, content):
    assert put(key, content) == store.url(key)

    assert store.get(key, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == content
    assert store.size(key) == len(content)
    assert is_now(store.modified(key))


def test_an_object_is_read_in_pieces(store, put, key):
    put(key)

    with store.read(key) as (size, pieces):
        read = list(pieces)

    assert size == len(CONTENT)
    assert [len(piece) for piece in read] == [PIECE_BYTES, PIECE_BYTES, len(CONTENT) - 2 * PIECE_BYTES]
    assert hashlib.sha256(b"".join(read)).digest() == hashlib.sha256(CONTENT).digest()


def test_whoever_stops_reading_may_go_on_with_the_store(store, put, key):
    put(key)

    with store.read(key) as (_, pieces):
        next(pieces)

    assert store.size(key) == len(CONTENT)


def test_what_is_put_again_takes_the_place_of_what_was_there(store, put, key):
    put(key, b"before")
    put(key, b"afterwards")

    assert store.get_bytes(key, most_bytes=100) == b"afterwards"
    assert keys(store, key) == [key]


def test_what_is_not_there_is_said_so_and_is_no_failure(store, key, tmp_path):
    assert not store.get(key, tmp_path / "got")
    assert not (tmp_path / "got").exists()
    assert (store.size(key), store.modified(key), store.get_bytes(key, most_bytes=10)) == (None, None, None)
    with pytest.raises(FileNotFoundError), store.read(key):
        pass


def test_whether_it_is_there_is_asked_of_the_very_key(store, put, key):
    put(f"{key}.old", b"12")

    assert (store.size(key), store.modified(key)) == (None, None)

    put(key, b"123")
    assert store.size(key) == 3
    assert is_now(store.modified(key))


def test_a_key_may_have_any_letters(store, put, prefix):
    put(prefix + ODD_NAME, b"odd")

    assert keys(store, prefix) == [prefix + ODD_NAME]
    assert store.get_bytes(prefix + ODD_NAME, most_bytes=10) == b"odd"
    assert fetched(store.signed_url(prefix + ODD_NAME)[0]).content == b"odd"
    store.delete(prefix + ODD_NAME)
    assert keys(store, prefix) == []


# ---------------------------------------------------------------- small objects


@pytest.mark.parametrize("content", [b'{"prompt": "a cat"}', b""], ids=["some", "none"])
def test_bytes_that_were_put_are_read_back(store, key, content):
    store.put_bytes(key, content, content_type="application/json")

    assert store.get_bytes(key, most_bytes=len(content)) == content


def test_more_bytes_than_asked_for_are_an_error(store, key):
    store.put_bytes(key, b"12345", content_type="application/json")

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        store.get_bytes(key, most_bytes=4)


# ---------------------------------------------------------------- lists and deletion


def test_a_list_has_what_starts_with_the_prefix_and_when_it_was_written(store, put, prefix):
    for name in ("soft/scene_1.mp4", "soft/scene_1_thumb.jpg", "ultra/scene_1.mp4"):
        put(f"{prefix}{name}", b"x")
    put(f"{prefix.removesuffix('/')}0/soft/scene_1.mp4", b"x")

    assert keys(store, prefix) == [
        f"{prefix}soft/scene_1.mp4",
        f"{prefix}soft/scene_1_thumb.jpg",
        f"{prefix}ultra/scene_1.mp4",
    ]
    assert keys(store, f"{prefix}soft/scene_1_") == [f"{prefix}soft/scene_1_thumb.jpg"]
    assert all(is_now(at) for _, at in store.keys(prefix))
    assert keys(store, f"{prefix}none") == []


def test_a_list_of_several_pages_is_whole(store, put, prefix, in_pages):
    names = [f"{prefix}soft/scene_{number}.mp4" for number in range(1, 6)]
    for name in names:
        put(name, b"x")
    asked = in_pages(MaxKeys=2)

    assert keys(store, prefix) == names
    assert len(asked) == 3


def test_of_many_each_is_deleted_and_no_other(store, put, prefix):
    for number in range(5):
        put(f"{prefix}soft/scene_{number}.mp4", b"x")
    put(f"{prefix}ultra/scene_1.mp4", b"x")

    for found in keys(store, f"{prefix}soft/"):
        store.delete(found)

    assert keys(store, prefix) == [f"{prefix}ultra/scene_1.mp4"]


def test_what_is_not_there_can_be_deleted(store, put, key):
    store.delete(key)
    put(key, b"x")
    store.delete(key)
    store.delete(key)

    assert store.get_bytes(key, most_bytes=10) is None


# ---------------------------------------------------------------- copies


def copied(store: ObjectStore, prefix: str, source: str, **how: int) -> bytes:
    """The bytes of a copy of this object, whose original must stay."""
    copy_object(store, source, f"{prefix}copy/{source}", **how)
    with store.read(f"{prefix}copy/{source}") as (_, pieces):
        content = b"".join(pieces)
    assert store.size(source) == len(content)
    return content


@pytest.mark.parametrize("content", [CONTENT, b""], ids=["some", "nothing"])
def test_a_copy_has_the_bytes_and_the_type_of_its_original(store, put, prefix, content):
    name = f"{prefix}soft/backup ü.mp4"
    put(name, content)

    assert copied(store, prefix, name) == content
    answer = fetched(store.signed_url(f"{prefix}copy/{name}")[0])
    assert (answer.content, answer.headers["Content-Type"]) == (content, "video/mp4")


def test_an_object_that_was_uploaded_in_parts_is_copied_whole(store, prefix, key):
    content = os.urandom(PART_BYTES + 7)
    with MultipartUpload(store, key, content_type="application/zip") as upload:
        upload.write(content)
        upload.finish()

    assert copied(store, prefix, key) == content


def test_what_is_too_large_for_one_call_is_copied_in_parts(store, put, prefix, key):
    content = os.urandom(LEAST_PART_BYTES + 7)
    put(key, content)

    assert copied(store, prefix, key, most_single_bytes=0, part_bytes=LEAST_PART_BYTES) == content
    answer = requests.get(store.signed_url(f"{prefix}copy/{key}")[0], stream=True, timeout=10)
    assert answer.headers["Content-Type"] == "video/mp4"
    assert uploads(store, prefix) == []


def test_what_is_not_there_cannot_be_copied(store, prefix, key):
    with pytest.raises(FileNotFoundError):
        copy_object(store, key, f"{prefix}copy")

    assert keys(store, prefix) == []


@pytest.mark.parametrize("wrong", [b"x" * len(CONTENT), b"short"], ids=["other bytes", "fewer bytes"])
def test_a_copy_that_has_other_bytes_than_its_original_is_an_error(store, put, prefix, key, monkeypatch, wrong):
    put(key)
    call = store.client.call

    def lie(operation: str, **arguments: object) -> object:
        answer = call(operation, **arguments)
        if operation == "copy_object":
            put(f"{prefix}copy", wrong)
        return answer

    monkeypatch.setattr(store.client, "call", lie)

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        copy_object(store, key, f"{prefix}copy")


def test_a_copy_in_parts_that_fails_leaves_nothing(store, put, prefix, key, monkeypatch):
    put(key)
    call = store.client.call

    def fail(operation: str, **arguments: object) -> object:
        if operation == "upload_part_copy":
            raise StorageError("DO_SPACES_ENDPOINT: it is gone")
        return call(operation, **arguments)

    monkeypatch.setattr(store.client, "call", fail)

    with pytest.raises(StorageError, match="it is gone"):
        copy_object(store, key, f"{prefix}copy", most_single_bytes=0)

    assert uploads(store, prefix) == []
    assert keys(store, prefix) == [key]


# ---------------------------------------------------------------- uploads in parts


PARTS = [b"a" * (5 * 1024 * 1024), b"the end"]


@pytest.fixture
def begun(store, key) -> Callable[[], tuple[str, list[str]]]:
    """An upload of two parts, and their tags."""

    def run() -> tuple[str, list[str]]:
        upload_id = store.begin_upload(key, content_type="application/zip")
        return upload_id, [store.upload_part(key, upload_id, at, part) for at, part in enumerate(PARTS, 1)]

    return run


def test_parts_are_nothing_until_they_are_finished_and_then_one_object(store, key, begun, tmp_path):
    upload_id, tags = begun()
    assert store.size(key) is None
    assert uploads(store, key) == [(key, upload_id)]

    store.finish_upload(key, upload_id, tags, sum(map(len, PARTS)))

    assert store.get(key, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"".join(PARTS)
    assert uploads(store, key) == []


def test_an_upload_is_finished_once_and_again(store, key, begun):
    """The first answer may have been lost."""
    upload_id, tags = begun()
    size = sum(map(len, PARTS))
    store.finish_upload(key, upload_id, tags, size)

    store.finish_upload(key, upload_id, tags, size)

    assert store.size(key) == size


def test_nothing_is_left_of_an_upload_that_was_aborted(store, key, begun):
    upload_id, tags = begun()

    store.abort_upload(key, upload_id)
    store.abort_upload(key, upload_id)

    assert uploads(store, key) == []
    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        store.upload_part(key, upload_id, 3, b"late")
    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        store.finish_upload(key, upload_id, tags, sum(map(len, PARTS)))
    assert store.size(key) is None


def test_an_upload_of_parts_that_were_never_sent_is_refused(store, key, begun):
    upload_id, tags = begun()

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        store.finish_upload(key, upload_id, [*tags, tags[0]], 2 * sum(map(len, PARTS)))

    assert store.size(key) is None
    store.abort_upload(key, upload_id)


def test_uploads_that_were_left_are_listed_whole_in_pages_too(store, prefix, in_pages):
    names = [f"{prefix}archives/{number}.zip" for number in range(3)]
    left = [(name, store.begin_upload(name, content_type="application/zip")) for name in names]
    other = f"{prefix.removesuffix('/')}0/archives/1.zip"
    others = store.begin_upload(other, content_type="application/zip")
    # Moto gives all of them at once, however few are asked for.
    in_pages(MaxUploads=1)

    assert sorted(uploads(store, prefix)) == sorted(left)

    for name, upload_id in [*left, (other, others)]:
        store.abort_upload(name, upload_id)


@pytest.mark.otherwise(moto="it says 2010 of every upload")
def test_an_upload_that_was_left_tells_when_it_was_begun(store, key):
    """What is old enough is aborted."""
    upload_id = store.begin_upload(key, content_type="application/zip")

    assert [is_now(at) for _, _, at in store.unfinished_uploads(key)] == [True]

    store.abort_upload(key, upload_id)


def test_a_file_that_is_written_in_parts_is_an_object_once_it_is_finished(store, key):
    with MultipartUpload(store, key, content_type="application/zip") as upload:
        upload.write(b"x" * (PART_BYTES + 1))
        assert (store.size(key), len(uploads(store, key))) == (None, 1)
        upload.finish()

    assert (store.size(key), uploads(store, key)) == (PART_BYTES + 1, [])


def test_a_file_that_is_not_finished_leaves_nothing(store, key):
    with MultipartUpload(store, key, content_type="application/zip") as upload:
        upload.write(b"x" * (PART_BYTES + 1))
        assert len(uploads(store, key)) == 1

    assert (keys(store, key), uploads(store, key)) == ([], [])
    assert upload.write(b"after the end") == len(b"after the end")
    with pytest.raises(ValueError, match="over"):
        upload.finish()


# ---------------------------------------------------------------- links


def test_a_link_opens_the_object_as_it_was_put(store, put, key):
    put(key)
    url, ends = store.signed_url(key)

    answer = fetched(url)

    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["Content-Type"] == "video/mp4"
    assert "immutable" in answer.headers["Cache-Control"]
    assert ends > datetime.now(UTC) + timedelta(seconds=SIGNED_URL_SECONDS / 2 - SHORT_SECONDS)


def test_a_link_opens_an_object_of_parts_as_well(store, key):
    with MultipartUpload(store, key, content_type="application/zip") as upload:
        upload.write(b"zip")
        upload.finish()

    answer = fetched(store.signed_url(key)[0])

    assert (answer.content, answer.headers["Content-Type"]) == (b"zip", "application/zip")


def test_a_player_may_ask_for_a_part_by_a_link(store, put, key):
    put(key)

    answer = fetched(store.signed_url(key)[0], Range="bytes=100-199")

    assert (answer.status_code, answer.content) == (206, CONTENT[100:200])
    assert answer.headers["Content-Range"] == f"bytes 100-199/{len(CONTENT)}"


def test_a_link_that_downloads_says_under_which_name(store, put, key):
    put(key)
    asked = 'attachment; filename="a b.mp4"'

    assert fetched(store.signed_url(key, disposition=asked)[0]).headers["Content-Disposition"] == asked


def test_a_link_to_nothing_is_404(store, key):
    assert fetched(store.signed_url(key)[0]).status_code == 404


@pytest.mark.otherwise(localstack="it takes requests without a key")
def test_the_plain_url_opens_nothing(store, put, key):
    assert fetched(put(key)).status_code == 403


UNCHECKED = {
    "moto": "it checks no signature of a link, and with checking_keys() a link is an error of its own",
    "localstack": "it checks none, as it comes",
}


@pytest.mark.otherwise(**UNCHECKED)
@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("scene_1.mp4", "scene_2.mp4"),
        lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"),
        lambda url: url.replace(f"X-Amz-Expires={SIGNED_URL_SECONDS}", "X-Amz-Expires=604800"),
        lambda url: url.replace("response-content-disposition=inline", "response-content-disposition=attachment"),
    ],
    ids=["object", "signature", "time", "disposition"],
)
def test_a_link_that_was_changed_opens_nothing(store, put, key, change):
    put(key)
    put(key.replace("scene_1", "scene_2"))
    url, _ = store.signed_url(key, disposition="inline")
    assert fetched(url).ok

    assert change(url) != url
    assert fetched(change(url)).status_code == 403


@pytest.mark.otherwise(**UNCHECKED)
@pytest.mark.parametrize("wrong", ["access_key", "secret_key"])
def test_a_link_of_a_wrong_key_opens_nothing(settings, put, key, wrong):
    put(key)
    url, _ = ObjectStore(replace(settings, **{wrong: "wrong"})).signed_url(key)

    assert fetched(url).status_code == 403


@pytest.mark.otherwise(moto="it looks at no time of a link", localstack="likewise, as it comes")
def test_a_link_opens_nothing_once_it_has_ended(store, put, key):
    put(key)
    windows = -(-SIGNED_URL_SECONDS // SIGNING_WINDOW_SECONDS)
    url, ends = store.signed_url(key, now=time.time() - windows * SIGNING_WINDOW_SECONDS)
    assert ends < datetime.now(UTC)

    assert fetched(url).status_code == 403


# ---------------------------------------------------------------- which LocalStack


@pytest.fixture
def host(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> str:
    """The host:port of a server that is none of the environment's yet; it is moto, which LocalStack is made with."""
    for name in localstack.ADDRESSES:
        monkeypatch.delenv(name, raising=False)
    return moto.endpoint.removeprefix("http://")


def test_without_an_address_there_is_no_localstack(host):
    """Whatever runs at its usual port may be something else."""
    with localstack_place() as place:
        assert place is None


@pytest.mark.parametrize(("name", "value"), [("LOCALSTACK_HOST", "{}"), ("AWS_ENDPOINT_URL", "http://{}")])
def test_a_localstack_is_where_the_environment_says_and_keeps_nothing(host, monkeypatch, name, value):
    monkeypatch.setenv(name, value.format(host))

    with localstack_place() as place:
        assert place.settings.endpoint == f"http://{host}"
        store = ObjectStore(place.settings)
        store.put_bytes("left", b"x", content_type="text/plain")
        store.begin_upload("left", content_type="text/plain")
        assert store.get_bytes("left", most_bytes=1) == b"x"

    with pytest.raises(StorageError, match="DO_SPACES_BUCKET"):
        store.check()


@pytest.mark.parametrize(("named", "summary"), [(True, "3 passed"), (False, "3 skipped")], ids=["named", "not named"])
def test_the_cases_run_on_the_localstack_that_is_named_and_are_skipped_without(host, named, summary):
    environment = {name: value for name, value in os.environ.items() if name not in localstack.ADDRESSES}
    if named:
        environment["LOCALSTACK_HOST"] = host
    case = "test_a_file_that_was_put_comes_back_bit_by_bit and LocalStack"
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", __file__, "-k", case]

    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert summary in done.stdout
    assert (localstack.NOT_THERE in done.stdout) is not named
