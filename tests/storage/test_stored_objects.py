"""What is done to objects that are in the bucket already, and what stores answer to it."""

import uuid
from datetime import UTC, datetime

import pytest

from generation_history.errors import StorageError, StoreRefused
from generation_history.settings import SpacesSettings
from generation_history.storage.listing import StoredObject
from generation_history.storage.object_store import ObjectStore
from generation_history.storage.s3_client import NoAcls, UnknownOperation
from generation_history.storage.stored_objects import copy_stored, make_anew
from tests.support.bucket import Bucket, error, listed, xml
from tests.support.moto_server import Moto
from tests.support.stores import moto_place

KEY = "generations/x/soft/scene_1.mp4"


@pytest.fixture(params=["SeaweedFS", "moto"])
def settings(request, spaces, moto: Moto) -> SpacesSettings:
    return (
        spaces if request.param == "SeaweedFS" else moto_place(moto, f"stored-objects-{uuid.uuid4().hex[:8]}").settings
    )


@pytest.fixture
def stored(settings) -> ObjectStore:
    return ObjectStore(settings)


@pytest.fixture
def put(settings, tmp_path):
    store, file = ObjectStore(settings), tmp_path / "file"
    file.write_bytes(b"bytes")
    return lambda key: store.put(key, file, content_type="video/mp4")


def test_objects_are_listed_in_the_order_of_their_keys_with_their_sizes(stored, put):
    for number in (3, 1, 2):
        put(f"listed/{number}/soft/scene_1.mp4")

    assert [(one.key, one.size) for one in stored.objects("listed/")] == [
        (f"listed/{number}/soft/scene_1.mp4", 5) for number in (1, 2, 3)
    ]
    assert [one.key for one in stored.objects("listed/", after="listed/1/t")] == [
        f"listed/{number}/soft/scene_1.mp4" for number in (2, 3)
    ]


def test_a_copy_has_the_bytes_and_the_type_that_its_name_says(stored, put, settings):
    put("copied/from.jpg")
    source = next(stored.objects("copied/from.jpg"))

    copy_stored(stored, source, "copied/to.jpg")

    with ObjectStore(settings).read("copied/to.jpg") as (size, pieces):
        assert (size, b"".join(pieces)) == (5, b"bytes")
    assert stored.client.call("head_object", Key="copied/to.jpg")["ContentType"] == "image/jpeg"


def test_an_object_without_acls_is_made_anew_where_it_is(stored, put):
    put("anew/scene_1.mp4")

    make_anew(stored, "anew/scene_1.mp4")

    assert [one.size for one in stored.objects("anew/")] == [5]


def test_what_is_not_there_cannot_be_copied(stored, put):
    put("gone/from.mp4")
    source = next(stored.objects("gone/"))
    stored.client.call("delete_object", Key=source.key)

    with pytest.raises((FileNotFoundError, StoreRefused)):
        copy_stored(stored, source, "gone/to.mp4")


@pytest.fixture
def served(scripted) -> tuple[ObjectStore, Bucket]:
    """A bucket whose answers a test changes."""
    bucket = Bucket()
    scripted.answer_by(bucket)
    base = scripted.base_url.removesuffix("/v1")
    return ObjectStore(SpacesSettings("bucket", "nyc3", base, "key", "secret", path_style=True)), bucket


@pytest.mark.parametrize(
    ("status", "code", "raised"),
    [
        (400, "AccessControlListNotSupported", NoAcls),
        (501, "NotImplemented", UnknownOperation),
        (405, "MethodNotAllowed", UnknownOperation),
        (403, "AccessDenied", StoreRefused),
    ],
)
def test_what_a_store_says_of_acls_is_told_apart(served, status, code, raised):
    stored, bucket = served
    bucket.instead = lambda _operation, _request: error(status, code)

    with pytest.raises(raised) as failure:
        stored.client.call("put_object_acl", Key=KEY, ACL="private")

    assert type(failure.value) is raised


def test_a_copy_that_is_not_whole_is_no_copy(served):
    stored, bucket = served
    source = StoredObject("sessions/s/generated/scene_01.mp4", 5, datetime.now(UTC))
    bucket.objects = {source.key: b"bytes", KEY: b"byte"}
    bucket.instead = lambda operation, _request: (
        xml("CopyObjectResult", "<ETag>x</ETag>") if operation == "put" else None
    )

    with pytest.raises(StorageError, match="does not hold all"):
        copy_stored(stored, source, KEY)


def test_a_copy_of_other_bytes_is_no_copy(served):
    """Of the same length, and of a tag that proves nothing: the bytes are compared."""
    stored, bucket = served
    source = StoredObject("sessions/s/generated/scene_01.mp4", 5, datetime.now(UTC))
    bucket.objects = {source.key: b"bytes", KEY: b"other"}
    bucket.instead = lambda operation, _request: (
        xml("CopyObjectResult", "<ETag>x</ETag>") if operation == "put" else None
    )

    with pytest.raises(StorageError, match="holds other bytes"):
        copy_stored(stored, source, KEY)


def test_a_list_that_breaks_off_is_no_list(served):
    """A page without its end would make the import take stored videos for missing ones."""
    stored, bucket = served
    bucket.instead = lambda _operation, _request: xml("ListBucketResult", "<Prefix>generations/</Prefix>")

    with pytest.raises(StorageError, match="broke off a list"):
        list(stored.objects("generations/"))


def test_a_list_of_others_objects_is_none(served):
    stored, bucket = served
    bucket.instead = lambda _operation, _request: listed("generations/", {"others/x.mp4": 5})

    with pytest.raises(StorageError, match="listed other objects"):
        list(stored.objects("generations/"))
