"""What a store answers is believed by its own proof: another server's 2xx is none, an honest store's way is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from generation_history.errors import StorageError, StoreRefused
from generation_history.settings import SpacesSettings
from generation_history.storage.multipart_upload import MultipartUpload
from generation_history.storage.object_store import ObjectStore
from tests.support.bucket import XML, Bucket, completed, error, listed, md5, page, xml
from tests.support.scripted_server import Answer, Request, ScriptedServer, answer, hang_up, head

VIDEO = "generations/g/soft/scene_1.mp4"
ARCHIVE = "generations/g/archives/a.zip"
CONTENT = b"the bytes of a video"
OTHER = md5(b"other bytes")
EMPTY = md5(b"")


@pytest.fixture
def bucket(scripted: ScriptedServer) -> Bucket:
    made = Bucket()
    scripted.answer_by(made)
    return made


@pytest.fixture
def store(scripted: ScriptedServer) -> ObjectStore:
    endpoint = scripted.base_url.removesuffix("/v1")
    return ObjectStore(SpacesSettings("bucket", "eu-central-1", endpoint, "key", "secret", path_style=True))


@pytest.fixture
def put(store: ObjectStore, tmp_path: Path) -> Callable[[], str]:
    (tmp_path / "v.mp4").write_bytes(CONTENT)
    return lambda: store.put(VIDEO, tmp_path / "v.mp4", content_type="video/mp4")


@pytest.fixture
def upload(store: ObjectStore) -> Callable[[], None]:
    def run() -> None:
        with MultipartUpload(store, ARCHIVE, content_type="application/zip") as upload:
            upload.write(CONTENT)
            upload.finish()

    return run


def answering(**answers: Answer) -> Callable[[str, Request], Answer | None]:
    return lambda operation, _request: answers.get(operation)


# ---------------------------------------------------------------- what every operation may be answered

#: A success of a server that is no store, or of one that did something else.
NO_SUCCESS = {
    "a page": page(),
    "a page with an ETag": page(ETag='"t"'),
    "a page that calls itself XML": answer(200, b"<html>", kind=XML, ETag='W/"t"'),
    "nothing": answer(200, b""),
    "nothing, created": answer(201, b""),
    "JSON": answer(200, {"ok": True}),
    "other XML": xml("ListAllMyBucketsResult"),
    "an error": error(200, "InternalError"),
    "half of an answer": lambda to: to.sendall(head(200, {"Content-Length": 100, "Content-Type": XML}) + b"<?xml"),
    "a redirect": answer(307, b"", Location="/elsewhere"),
}
LISTS = {"list", "uploads"}


@pytest.fixture(params=NO_SUCCESS)
def no_success(request: pytest.FixtureRequest, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Only these operations are answered so, or where none is named all."""
    monkeypatch.setattr("generation_history.storage.object_store.ATTEMPTS", 1)

    def strike(*operations: str) -> None:
        given = NO_SUCCESS[request.param]
        bucket.instead = lambda operation, _: given if not operations or operation in operations else None

    return strike


@pytest.mark.parametrize("struck", [(), ("put",)], ids=["all", "put"])
def test_a_video_is_not_taken_for_stored(no_success, put, struck):
    no_success(*struck)

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        put()


@pytest.mark.parametrize("struck", [(), ("delete",)], ids=["all", "delete"])
def test_an_object_is_not_taken_for_deleted(no_success, bucket, store, struck):
    bucket.objects[VIDEO] = CONTENT
    no_success(*struck)

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        store.delete(VIDEO)


@pytest.mark.parametrize("step", ["begin", "part", "complete"])
def test_an_archive_is_not_taken_for_stored(no_success, upload, step):
    no_success(step)

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        upload()


@pytest.mark.parametrize("struck", [(), ("abort",)], ids=["all", "abort"])
def test_an_upload_is_not_taken_for_aborted(no_success, store, struck):
    upload_id = store.begin_upload(ARCHIVE, content_type="application/zip")
    no_success(*struck)

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        store.abort_upload(ARCHIVE, upload_id)


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: list(store.keys("generations/")),
        lambda store: store.size(VIDEO),
        lambda store: store.modified(VIDEO),
        lambda store: list(store.unfinished_uploads("generations/")),
        lambda store: store.check(),
    ],
    ids=["keys", "size", "modified", "uploads", "check"],
)
def test_a_list_is_not_taken_for_empty(no_success, store, ask):
    no_success()

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        ask(store)


def test_another_servers_bytes_are_no_object(no_success, bucket, store, tmp_path):
    bucket.objects[VIDEO] = CONTENT
    no_success("get")

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        store.get(VIDEO, tmp_path / "got")
    assert not (tmp_path / "got").exists()


# ---------------------------------------------------------------- lies


#: What a store kept of what was put, and the ETag it gave. One whose ETags say nothing is believed by the size.
KEPT = {"nothing": (None, OTHER), "a part": (CONTENT[:-1], EMPTY), "others": (b"x" * len(CONTENT), OTHER)}
KEPT |= {"nothing, and no MD5": (None, "0x8DC"), "a part, and no MD5": (CONTENT[:-1], "t")}


@pytest.mark.parametrize(("kept", "tag"), KEPT.values(), ids=KEPT.keys())
def test_a_store_that_kept_other_bytes_is_found_out(bucket, put, kept, tag):
    def keep(operation: str, _request: Request) -> Answer | None:
        if operation != "put":
            return None
        if kept is not None:
            bucket.objects[VIDEO] = kept
        return answer(200, b"", ETag=f'"{tag}"')

    bucket.instead = keep

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT") as raised:
        put()
    assert not isinstance(raised.value, StoreRefused)


def test_a_part_of_other_bytes_is_found_out(bucket, upload):
    bucket.instead = answering(part=answer(200, b"", ETag=f'"{OTHER}"'))

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        upload()


@pytest.mark.parametrize("kept", [None, CONTENT[:-1]], ids=["nothing", "a part"])
def test_an_archive_that_is_not_whole_is_found_out(bucket, upload, kept):
    def keep(operation: str, _request: Request) -> Answer | None:
        if operation != "complete":
            return None
        if kept is not None:
            bucket.objects[ARCHIVE] = kept
        return completed("opaque-1")

    bucket.instead = keep

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT") as raised:
        upload()
    assert not isinstance(raised.value, StoreRefused)


@pytest.mark.parametrize("status", [200, 202])
def test_an_object_that_is_still_there_is_not_deleted(bucket, store, status):
    bucket.objects[VIDEO] = CONTENT
    bucket.instead = answering(delete=answer(status, b""))

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        store.delete(VIDEO)


def test_objects_of_others_are_never_listed(bucket, store):
    """What a list names may be deleted: a proxy that drops the query would have the whole bucket purged."""
    bucket.instead = answering(list=listed("generations/g/", {VIDEO: 1, "generations/h/soft/scene_1.mp4": 1}))

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        list(store.keys("generations/g/"))


def test_a_list_of_another_prefix_is_not_taken_for_empty(bucket, store):
    bucket.instead = answering(list=listed("generations/h/", {}))

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        list(store.keys("generations/g/"))


def test_uploads_of_others_are_never_listed(bucket, store):
    store.begin_upload(ARCHIVE, content_type="application/zip")
    told = (
        "<Upload><Key>generations/h/x</Key><UploadId>1</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>"
    )
    bucket.instead = answering(uploads=xml("ListMultipartUploadsResult", f"<IsTruncated>false</IsTruncated>{told}"))

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        list(store.unfinished_uploads("generations/g/"))


@pytest.mark.parametrize(
    "more",
    [
        "",
        "<IsTruncated>true</IsTruncated>",
        "<IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken>",
        "<IsTruncated>false</IsTruncated><Contents><Key>generations/x</Key></Contents>",
        "<IsTruncated>false</IsTruncated><MaxKeys>many</MaxKeys>",
    ],
    ids=["no end told", "no way on", "the same page for ever", "an object of no size", "no number"],
)
def test_a_list_that_does_not_end_well_is_an_error(bucket, store, more):
    bucket.instead = answering(list=listed("generations/", {VIDEO: 1}, more=more))

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        list(store.keys("generations/"))


def test_a_list_of_fewer_objects_than_it_counts_is_an_error(bucket, store):
    told = "<Name>bucket</Name><KeyCount>7</KeyCount><IsTruncated>false</IsTruncated>"
    bucket.instead = answering(list=xml("ListBucketResult", told))

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        list(store.keys("generations/"))


@pytest.mark.parametrize("more", ["", "<NextKeyMarker>a</NextKeyMarker>"], ids=["no way on", "the same page for ever"])
def test_a_list_of_uploads_that_does_not_end_is_an_error(bucket, store, more):
    content = f"<IsTruncated>true</IsTruncated>{more}"
    bucket.instead = answering(uploads=xml("ListMultipartUploadsResult", content))

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        list(store.unfinished_uploads("generations/"))


@pytest.mark.parametrize("length", [len(CONTENT) + 5, None], ids=["fewer than told", "none told"])
def test_a_body_that_is_cut_is_no_object(bucket, store, tmp_path, length):
    bucket.objects[VIDEO] = CONTENT
    told = head(200, {"Content-Type": "video/mp4", "ETag": '"t"', "Content-Length": length})
    bucket.instead = answering(get=lambda to: to.sendall(told + CONTENT[:-5]))

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        store.get(VIDEO, tmp_path / "got")
    assert not (tmp_path / "got").exists()


# ---------------------------------------------------------------- refusals


def test_a_refusal_after_a_lost_answer_is_no_refusal(scripted, store, put):
    """The client asked again by itself: the store may have taken the object the first time."""
    scripted.script(hang_up, error(403, "AccessDenied"))

    with pytest.raises(StorageError) as raised:
        put()

    assert len(scripted.requests) == 2
    assert not isinstance(raised.value, StoreRefused)


def test_a_refusal_at_once_is_one(scripted, put):
    scripted.script(error(403, "AccessDenied"))

    with pytest.raises(StoreRefused):
        put()


def test_an_archive_whose_answer_was_lost_is_stored(bucket, upload):
    """Asked again, the store knows no such upload any more."""
    lost: list[Request] = []

    def lose(operation: str, request: Request) -> Answer | None:
        if operation != "complete" or lost:
            return None
        lost.append(request)
        bucket.instead = lambda *_: None
        bucket(request)
        return hang_up

    bucket.instead = lose

    upload()

    assert bucket.objects[ARCHIVE] == CONTENT
    assert bucket.asked.count("complete") == 3


def test_an_upload_that_the_store_does_not_know_is_no_archive(bucket, upload):
    bucket.instead = answering(complete=error(404, "NoSuchUpload"))

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        upload()


# ---------------------------------------------------------------- the ways of honest stores


def test_the_usual_store_is_asked_once(bucket, put):
    put()

    assert (bucket.objects, bucket.asked) == ({VIDEO: CONTENT}, ["put"])


def test_the_usual_store_is_asked_thrice_for_an_archive(bucket, upload):
    upload()

    assert (bucket.objects, bucket.asked) == ({ARCHIVE: CONTENT}, ["begin", "part", "complete"])


#: How an ETag is made, and with which headers.
TAGS = {
    "in capitals": (lambda body: md5(body).upper(), {}),
    "encrypted with a key of KMS": (lambda _: OTHER, {"x-amz-server-side-encryption": "aws:kms"}),
    "encrypted by itself": (lambda _: OTHER, {"x-amz-server-side-encryption": "AES256"}),
    "of 32 digits that are no MD5, which nothing tells": (lambda _: OTHER, {}),
    "random, as of parts": (lambda body: f"{md5(body + b'!')}-1", {}),
    "of a gateway to another store": (lambda _: "0x8DC5C1A3B2F4E60", {}),
    "in one letter": (lambda _: "t", {}),
}


@pytest.mark.parametrize("way", TAGS)
def test_a_store_whose_etags_are_its_own_is_asked_for_the_size(bucket, put, way):
    bucket.tag, bucket.headers = TAGS[way]

    put()

    assert bucket.objects == {VIDEO: CONTENT}
    assert set(bucket.asked) <= {"put", "list", "get"}


@pytest.mark.parametrize("way", [way for way in TAGS if "nothing tells" not in way])
def test_an_archive_is_stored_by_a_store_whose_etags_are_its_own(bucket, upload, way):
    tag, bucket.headers = TAGS[way]
    bucket.tag, bucket.tag_of_parts = tag, lambda parts: tag(b"".join(parts))

    upload()

    assert bucket.objects == {ARCHIVE: CONTENT}


def test_a_put_without_an_etag_is_looked_for(bucket, put):
    def keep(operation: str, request: Request) -> Answer | None:
        if operation != "put":
            return None
        bucket.objects[VIDEO] = request.body
        return answer(204)

    bucket.instead = keep

    put()

    assert bucket.asked == ["put", "list"]


@pytest.mark.parametrize("status", [200, 202])
def test_an_object_that_is_gone_is_deleted_whatever_was_answered(bucket, store, status):
    bucket.instead = answering(delete=answer(status, b""))

    store.delete(VIDEO)


def test_an_object_that_was_never_there_is_deleted(bucket, store):
    """Google's answer to it; others say 204."""
    bucket.instead = answering(delete=error(404, "NoSuchKey"))

    store.delete(VIDEO)


def test_an_upload_that_is_over_is_aborted(bucket, store):
    store.abort_upload(ARCHIVE, "none")

    assert bucket.asked == ["abort"]


def test_an_abort_is_believed_once_no_upload_is_listed(bucket, store):
    bucket.instead = answering(abort=answer(200, b""))

    store.abort_upload(ARCHIVE, "none")

    assert bucket.asked == ["abort", "uploads"]


def test_a_store_that_does_not_tell_a_length_is_asked_for_the_size(bucket, store, tmp_path):
    bucket.objects[VIDEO] = CONTENT
    told = head(200, {"Content-Type": "video/mp4", "ETag": '"t"'})
    bucket.instead = answering(get=lambda to: to.sendall(told + CONTENT))

    assert store.get(VIDEO, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == CONTENT


# ---------------------------------------------------------------- access control lists

#: What a bucket without ACLs answers to a PUT that names one: AWS by default since April 2023, and every one of R2.
NO_ACLS = {
    "AWS, BucketOwnerEnforced": (400, "AccessControlListNotSupported"),
    "AWS, a key that may put, not set ACLs": (403, "AccessDenied"),
    "a store that knows no ACLs": (501, "NotImplemented"),
}


@pytest.fixture(params=NO_ACLS)
def without_acls(request: pytest.FixtureRequest, bucket: Bucket) -> Bucket:
    def refuse(_operation: str, asked: Request) -> Answer | None:
        named = [name for name in asked.headers if name == "x-amz-acl" or name.startswith("x-amz-grant")]
        return error(*NO_ACLS[request.param]) if named else None

    bucket.instead = refuse
    return bucket


def test_a_bucket_without_acls_stores_videos_and_archives(without_acls, put, upload):
    put()
    upload()

    assert without_acls.objects == {VIDEO: CONTENT, ARCHIVE: CONTENT}


@pytest.mark.parametrize("kind", NO_ACLS)
def test_an_etag_and_answers_in_xml_are_a_stores_though_it_lists_otherwise(bucket, put, upload, kind):
    """A store that gives an ETag of a kind of its own is believed, where it does not list as others do."""
    bucket.tag = bucket.tag_of_parts = lambda _: "t"
    bucket.instead = answering(list=xml("ListAllMyBucketsResult"))

    put()
    upload()


def test_a_store_that_must_not_be_asked_is_no_proof(bucket, put):
    """Refused after the PUT: the object may be there."""
    bucket.tag = lambda _: "t"
    bucket.instead = answering(list=error(403, "AccessDenied"))

    with pytest.raises(StorageError) as raised:
        put()

    assert not isinstance(raised.value, StoreRefused)


def test_the_document_of_a_completion_is_needed(bucket, upload):
    bucket.instead = answering(complete=xml("InitiateMultipartUploadResult", "<ETag>t</ETag>"))

    with pytest.raises(StorageError, match="DO_SPACES_ENDPOINT"):
        upload()
