"""S3Client: calls of the S3 API, whose answers are an object store's own and not any server's."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, cast

from generation_history.errors import StorageError, StoreRefused
from generation_history.settings import SpacesSettings

#: What the body of an answer is, of the operations whose answers have one. A page is none of these.
_ROOTS: Final = {
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CopyObject": "CopyObjectResult",
    "UploadPartCopy": "CopyPartResult",
    "ListObjectsV2": "ListBucketResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
}
#: What a refusal of the store says about our settings.
_CAUSES: Final = {
    "NoSuchBucket": "DO_SPACES_BUCKET: there is no such bucket",
    "InvalidAccessKeyId": "DO_SPACES_ACCESS_KEY was refused",
    "SignatureDoesNotMatch": "DO_SPACES_SECRET_KEY was refused",
    "AccessDenied": "DO_SPACES_ACCESS_KEY and DO_SPACES_SECRET_KEY may not use this bucket",
}
#: How a store says that it does not know an operation.
_UNKNOWN: Final = frozenset({"NotImplemented", "MethodNotAllowed", "NotSupported", "Unsupported"})
_NOT_FOUND: Final = 404
#: A session makes one client at a time (boto3's guide, "Multithreading").
_one_at_a_time = threading.Lock()


class OtherAnswer(StorageError):
    """A success that is none of the operation's; of_a_store is whether it is at least XML, as all of S3's are."""

    def __init__(self, message: str, *, of_a_store: bool = False) -> None:
        super().__init__(message)
        self.of_a_store = of_a_store


class NoSuchUpload(StoreRefused):
    """The store has no such upload in parts: it was aborted, or is finished."""


class NoAcls(StoreRefused):
    """The bucket has no ACLs of single objects: what its owner allows for the whole bucket is all that holds."""


class UnknownOperation(StorageError):
    """The store does not know this operation, and did nothing."""


class S3Client:
    """One bucket, by operations of boto3's client; each waits so long at most for a connection and for each answer.

    A failure is a StorageError that names the setting to look at, a StoreRefused where the store
    provably did nothing; FileNotFoundError where it has no such object.
    """

    def __init__(self, settings: SpacesSettings, *, connect_seconds: int, read_seconds: int, attempts: int) -> None:
        self._settings = settings
        self._limits = {"connect_timeout": connect_seconds, "read_timeout": read_seconds}
        self._attempts = attempts
        self._client: Any = None  # boto3's clients have no type
        self._lock = threading.Lock()

    def copy_source(self, key: str) -> dict[str, str]:
        """The object of this key, as an operation that copies names what it copies."""
        return {"Bucket": self._settings.bucket, "Key": key}

    def failure(self, complaint: str) -> StorageError:
        """What to raise where the store has not done what it said."""
        return StorageError(f"DO_SPACES_ENDPOINT: {self._settings.endpoint} {complaint}")

    def call(self, operation: str, **arguments: object) -> Any:
        """What the store answered to an operation ("put_object"), as boto3 reads it."""
        with self._blaming(str(arguments.get("Key", ""))):
            return getattr(self._s3(), operation)(Bucket=self._settings.bucket, **arguments)

    @contextmanager
    def _blaming(self, key: str) -> Generator[None]:
        # Late: reading the record needs no boto3, whose import alone costs more than a whole read.
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            yield
        except ClientError as error:
            raise self._refusal(cast("Any", error.response), key) from None
        # Where everything is redirected, botocore asks for the bucket's region again and again.
        except (BotoCoreError, RecursionError) as error:
            complaint = f"DO_SPACES_ENDPOINT or DO_SPACES_REGION: {self._settings.endpoint} cannot be used"
            raise StorageError(f"{complaint}: {type(error).__name__}") from None
        # botocore's, where an answer is of another shape than its operation's.
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            complaint = f"DO_SPACES_ENDPOINT: {self._settings.endpoint} answered what cannot be read"
            raise StorageError(f"{complaint}: {type(error).__name__}") from None

    def _refusal(self, answer: Any, key: str) -> Exception:
        """What a refusal means. Only the store's own word that it has no such object is one: a 404 may be anyone's."""
        error, metadata = answer.get("Error", {}), answer.get("ResponseMetadata", {})
        code, status = str(error.get("Code", "")), metadata.get("HTTPStatusCode", 0)
        if code == "NoSuchKey" and status == _NOT_FOUND and str(error.get("Key", key)).endswith(key):
            return FileNotFoundError(f"there is no such object in the bucket {self._settings.bucket}")
        cause = _CAUSES.get(code, f"DO_SPACES_ENDPOINT: {self._settings.endpoint} answered {code or 'no S3 error'}")
        message = f"{cause} (bucket {self._settings.bucket})"
        if code == "NoSuchUpload" and status == _NOT_FOUND:
            return NoSuchUpload(message)
        if code == "AccessControlListNotSupported":
            return NoAcls(message)
        if code in _UNKNOWN:
            return UnknownOperation(message)
        # An earlier try of botocore's, without an answer, may have stored it.
        if 400 <= status < 500 and not metadata.get("RetryAttempts"):  # noqa: PLR2004
            return StoreRefused(message)
        return StorageError(message)

    def _s3(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._new_client()
            return self._client

    def _new_client(self) -> Any:
        from botocore.config import Config  # noqa: PLC0415

        config = Config(
            signature_version="s3v4",
            **self._limits,
            retries={"total_max_attempts": self._attempts, "mode": "standard"},
            s3={"addressing_style": "path" if self._settings.path_style else "virtual"},
            # Spaces and other stores do not all know the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        with _one_at_a_time:
            client = _session().client(
                "s3",
                region_name=self._settings.region,
                endpoint_url=self._settings.endpoint,
                aws_access_key_id=self._settings.access_key,
                aws_secret_access_key=self._settings.secret_key,
                config=config,
            )
        client.meta.events.register("before-send.s3", _ask_the_store_itself)
        # After botocore's own, which makes a failure of a 200 whose body is an S3 error.
        client.meta.events.register_last("before-parse.s3", _checked(self._settings.endpoint))
        return client


@cache
def _session() -> Any:
    """boto3's session. It remembers what it read of S3, so that each client but the first costs a tenth."""
    from boto3.session import Session  # noqa: PLC0415

    return Session()


def _ask_the_store_itself(request: Any, **_: object) -> None:
    """No cache in between answers for the store; added once the request is signed, as those in between change it."""
    if request.method in {"GET", "HEAD"}:
        request.headers["Cache-Control"] = "no-cache"


def _checked(endpoint: str) -> Callable[..., None]:
    def check(operation_model: Any, response_dict: Any, **_: object) -> None:
        """OtherAnswer for a success that no store answers this operation with."""
        if response_dict["status_code"] >= 300:  # noqa: PLR2004
            return
        name, body = operation_model.name, response_dict["body"]
        try:
            check_body(name, body, response_dict["headers"])
        except OtherAnswer:
            # An object's bytes, which nobody will read now.
            if name == "GetObject":
                body.close()
            raise

    def check_body(name: str, body: Any, headers: Any) -> None:
        complaint = f"DO_SPACES_ENDPOINT: {endpoint} answered {name} as no object store does"
        # Some say so of no body at all. What must be a document is told by its root.
        may_be_page = name not in _ROOTS and (name == "GetObject" or body.strip())
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if may_be_page and kind == "text/html":
            raise OtherAnswer(f"{complaint}: with a page")
        if name == "GetObject" and not headers.get("ETag"):
            raise OtherAnswer(f"{complaint}: without an ETag")
        if name in _ROOTS and (root := _root(body)) != _ROOTS[name]:
            raise OtherAnswer(f"{complaint}: without {_ROOTS[name]}", of_a_store=root is not None)

    return check


def _root(body: bytes) -> str | None:
    """The name of an XML document's root, without its namespace; None where the body is no whole XML document."""
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - late, as boto3

    try:
        return ET.fromstring(body).tag.rpartition("}")[2]  # noqa: S314
    except ET.ParseError:
        return None
