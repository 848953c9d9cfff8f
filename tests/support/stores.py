"""Object stores of several makers, each behind the settings of one bucket: what the same contract is asked of."""

import uuid
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from generation_history.settings import SpacesSettings
from tests.support import localstack
from tests.support.moto_server import REGION, Moto


@dataclass(frozen=True)
class Place:
    """A bucket, and what has to be done for its store to check keys."""

    settings: SpacesSettings
    checking_keys: Callable[[], AbstractContextManager[None]] = nullcontext


def moto_place(moto: Moto, bucket: str, *, encryption: str | None = None) -> Place:
    """A new bucket of moto's, whose objects it encrypts as AWS would, and the key of a user who may use it."""
    key, secret = moto.new_user(bucket, {"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    with moto.client("s3") as s3:
        s3.create_bucket(Bucket=bucket)
        if encryption:
            rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": encryption}}]
            s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    return Place(SpacesSettings(bucket, REGION, moto.endpoint, key, secret, path_style=True), moto.checking_keys)


@contextmanager
def localstack_place() -> Generator[Place | None]:
    """A new bucket of the environment's LocalStack, which is gone in the end; None where there is no LocalStack."""
    session = localstack.session()
    if session is None:
        yield None
        return
    bucket = f"contract-{uuid.uuid4().hex}"
    s3: Any = session.client("s3")
    try:
        s3.create_bucket(Bucket=bucket)
        key = session.get_credentials()
        endpoint = s3.meta.endpoint_url
        try:
            yield Place(SpacesSettings(bucket, REGION, endpoint, key.access_key, key.secret_key, path_style=True))
        finally:
            _remove(s3, bucket)
    finally:
        s3.close()


def _remove(s3: Any, bucket: str) -> None:
    for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=found["Key"])
    s3.delete_bucket(Bucket=bucket)
