"""The local store answers as the strictest real ones do, and otherwise as the server behind it."""

from collections.abc import Generator
from dataclasses import replace

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from generation_history.settings import SpacesSettings
from generation_history.storage.multipart_upload import PART_BYTES, MultipartUpload
from generation_history.storage.object_store import ObjectStore
from scripts.local.seaweedfs import SeaweedFS
from scripts.local.strict_store import MAX_BYTES, StrictStore

KEY = "generations/strict/soft/scene_1.mp4"
WEEK_SECONDS = 7 * 24 * 3600


@pytest.fixture(scope="module")
def front(seaweedfs: SeaweedFS) -> Generator[StrictStore]:
    with StrictStore(seaweedfs.port) as made:
        yield made


@pytest.fixture
def strict(spaces: SpacesSettings, front: StrictStore) -> ObjectStore:
    return ObjectStore(replace(spaces, endpoint=front.endpoint))


@pytest.fixture
def client(spaces: SpacesSettings, front: StrictStore):
    made = boto3.client(
        "s3",
        endpoint_url=front.endpoint,
        region_name=spaces.region,
        aws_access_key_id=spaces.access_key,
        aws_secret_access_key=spaces.secret_key,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    yield made
    made.close()


def test_what_is_stored_comes_back_bit_by_bit(strict: ObjectStore, tmp_path):
    content = bytes(range(256)) * 8192
    (tmp_path / "v").write_bytes(content)

    strict.put(KEY, tmp_path / "v", content_type="video/mp4")

    assert strict.get(KEY, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == content
    assert requests.get(strict.signed_url(KEY)[0], headers={"Range": "bytes=5-9"}, timeout=10).content == content[5:10]
    strict.delete(KEY)
    assert strict.size(KEY) is None


def test_an_upload_in_parts_goes_through(strict: ObjectStore):
    with MultipartUpload(strict, f"{KEY}.zip", content_type="application/zip") as upload:
        upload.write(b"x" * (PART_BYTES + 1))
        upload.finish()

    assert strict.size(f"{KEY}.zip") == PART_BYTES + 1


@pytest.mark.parametrize(
    "acl",
    [{"ACL": "private"}, {"ACL": "public-read"}, {"GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers"}],
)
@pytest.mark.parametrize("bytes_put", [1, 1_000_000])
def test_a_put_with_an_acl_is_refused(client, spaces, acl, bytes_put):
    with pytest.raises(ClientError, match="AccessControlListNotSupported"):
        client.put_object(Bucket=spaces.bucket, Key=f"{KEY}.acl", Body=b"x" * bytes_put, **acl)


def test_the_owners_own_acl_is_taken(client, spaces):
    client.put_object(Bucket=spaces.bucket, Key=f"{KEY}.own", Body=b"x", ACL="bucket-owner-full-control")


def test_nothing_is_said_of_origins_unless_one_asks(strict: ObjectStore):
    strict.put_bytes(KEY, b"x", content_type="video/mp4")
    link = strict.signed_url(KEY)[0]

    silent = requests.get(link, timeout=10)
    asked = requests.get(link, headers={"Origin": "https://page.example"}, timeout=10)

    said = [name.lower() for name in silent.headers]
    assert [name for name in said if name == "vary" or name.startswith(("access-control", "seaweed"))] == []
    assert asked.headers["Access-Control-Allow-Origin"] in {"*", "https://page.example"}
    assert "Origin" in asked.headers["Vary"]


def test_a_page_may_not_write(strict: ObjectStore):
    asking = {"Origin": "https://page.example", "Access-Control-Request-Method": "PUT"}

    answer = requests.options(strict.signed_url(KEY)[0], headers=asking, timeout=10)

    assert "PUT" not in answer.headers.get("Access-Control-Allow-Methods", "")


def test_a_body_of_more_than_one_put_takes_is_refused_before_it_is_sent(front: StrictStore):
    told = {"Content-Length": str(MAX_BYTES + 1), "Expect": "100-continue"}

    answer = requests.put(f"{front.endpoint}/any/key", headers=told, timeout=10)

    assert (answer.status_code, "EntityTooLarge" in answer.text) == (400, True)


def test_errors_are_xml(front: StrictStore):
    answer = requests.get(f"{front.endpoint}/test-videos/{KEY}", timeout=10)

    assert answer.status_code == 403
    assert "<Code>AccessDenied</Code>" in answer.text


def test_other_limits_of_s3_hold(client, spaces):
    put = {"Bucket": spaces.bucket, "Body": b"x"}
    with pytest.raises(ClientError, match="KeyTooLongError"):
        client.put_object(Key="k" * 1025, **put)
    with pytest.raises(ClientError, match="BadDigest"):
        client.put_object(Key=KEY, ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==", **put)

    begun = client.create_multipart_upload(Bucket=spaces.bucket, Key=KEY)["UploadId"]
    named = {"Bucket": spaces.bucket, "Key": KEY, "UploadId": begun}
    tags = [client.upload_part(PartNumber=number, Body=b"x", **named)["ETag"] for number in (1, 2)]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    with pytest.raises(ClientError, match="EntityTooSmall"):
        client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **named)
    client.abort_multipart_upload(**named)

    asked = {"Bucket": spaces.bucket, "Key": KEY}
    link = client.generate_presigned_url("get_object", Params=asked, ExpiresIn=WEEK_SECONDS + 60)
    assert requests.get(link, timeout=10).status_code == 400
