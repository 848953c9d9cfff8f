"""Another implementation of S3 than the local one is believed as well."""

from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from generation_history.settings import SpacesSettings
from generation_history.storage.multipart_upload import PART_BYTES, MultipartUpload
from generation_history.storage.object_store import ObjectStore

BUCKET = "another"
PREFIX = "generations/g/"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=[None, "aws:kms"], ids=["plain", "encrypted with KMS"])
def another(endpoint: str, request: pytest.FixtureRequest) -> ObjectStore:
    key = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **key)
    client.create_bucket(Bucket=BUCKET)
    if request.param:
        rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": request.param}}]
        client.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": rules})
    client.close()
    return ObjectStore(SpacesSettings(BUCKET, "us-east-1", endpoint, "key", "secret", path_style=True))


def test_what_is_put_is_listed_read_and_deleted(another: ObjectStore, tmp_path):
    (tmp_path / "v").write_bytes(b"bytes")
    another.check()
    another.put(f"{PREFIX}v.mp4", tmp_path / "v", content_type="video/mp4")
    another.put_bytes(f"{PREFIX}i.json", b"{}", content_type="application/json")

    assert [key for key, _ in another.keys(PREFIX)] == [f"{PREFIX}i.json", f"{PREFIX}v.mp4"]
    assert another.get_bytes(f"{PREFIX}i.json", most_bytes=10) == b"{}"
    assert another.get_bytes(f"{PREFIX}none", most_bytes=10) is None
    assert another.get(f"{PREFIX}v.mp4", tmp_path / "got")
    for key, _ in list(another.keys("")):
        another.delete(key)
    assert list(another.keys("")) == []


def test_an_upload_in_parts_is_finished_or_aborted(another: ObjectStore):
    with MultipartUpload(another, f"{PREFIX}a.zip", content_type="application/zip") as upload:
        upload.write(b"x" * (PART_BYTES + 1))
        upload.finish()
    begun = another.begin_upload(f"{PREFIX}b.zip", content_type="application/zip")

    assert another.size(f"{PREFIX}a.zip") == PART_BYTES + 1
    assert [(key, upload_id) for key, upload_id, _ in another.unfinished_uploads(PREFIX)] == [(f"{PREFIX}b.zip", begun)]
    another.abort_upload(f"{PREFIX}b.zip", begun)
    assert list(another.unfinished_uploads(PREFIX)) == []
    another.delete(f"{PREFIX}a.zip")
