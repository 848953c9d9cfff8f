"""ObjectStore: the Spaces bucket (any S3-compatible one): put, delete, signed URLs."""

import base64
import hashlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from generation_history.errors import StorageError, StoreRefused
from generation_history.settings import SpacesSettings
from generation_history.storage import etags
from generation_history.storage.listing import StoredObject, list_objects
from generation_history.storage.s3_client import NoSuchUpload, OtherAnswer, S3Client
from generation_history.storage.signing import SIGNED_URL_SECONDS as SIGNED_URL_SECONDS
from generation_history.storage.signing import SIGNING_WINDOW_SECONDS, SigningWindow
from generation_history.time_limit import within

CONNECT_SECONDS = 5
READ_SECONDS = 60
ATTEMPTS = 3
#: Of what is written and read before something is paid for: whoever waits can do it again.
SMALL_CONNECT_SECONDS = 3
SMALL_READ_SECONDS = 5
SMALL_ATTEMPTS = 2
#: As a whole, with the tries and what proves it.
SMALL_SECONDS = 20
#: An object is read in pieces of this size, so that none is ever whole in memory.
PIECE_BYTES = 256 * 1024
#: An object never changes under its key.
CACHE_CONTROL = "private, max-age=31536000, immutable"

_NO_CONTENT: Final = 204
#: An operation of S3Client.call.
Call = Callable[..., Any]
_Result = TypeVar("_Result")


class ObjectStore:
    """One bucket. A failure to reach or use it is a StorageError that names the setting to look at.

    It is a StoreRefused where the store provably did nothing.
    """

    def __init__(self, settings: SpacesSettings) -> None:
        self._settings = settings
        self._window: SigningWindow | None = None

    def put(self, key: str, path: Path, *, content_type: str) -> str:
        """The plain URL of the object, which provably holds the file's bytes now.

        One PUT, so the object appears whole or not at all, and nothing unfinished stays behind.
        """
        with path.open("rb") as body:
            md5 = hashlib.file_digest(body, "md5").digest()
            size = body.tell()
            body.seek(0)
            self._put(self._call, key, body, size, md5, ContentType=content_type, CacheControl=CACHE_CONTROL)
        return self.url(key)

    def put_bytes(self, key: str, body: bytes, *, content_type: str) -> None:
        """Guarantees within SMALL_SECONDS that the object provably holds these few bytes; else a StorageError."""
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        call, headers = self._small_client.call, {"ContentType": content_type, "CacheControl": "no-store"}
        self._in_time(lambda: self._put(call, key, body, len(body), md5, **headers))

    def _put(self, call: Call, key: str, body: Any, size: int, md5: bytes, **headers: str) -> None:
        # The store compares the MD5 with what reached it. No ACL: buckets are private by default, many know no ACLs.
        answer = call("put_object", Key=key, Body=body, ContentMD5=base64.b64encode(md5).decode(), **headers)
        if not etags.proves(answer, md5.hex()):
            with _not_refused():
                # An ETag of a kind of its own, and nothing else: as a store answers a PUT.
                of_a_store = etags.plain(answer.get("ETag")) != "" and not _has_body(answer)
                self._require_listed(call, key, size, of_a_store=of_a_store)
                if etags.denies(answer, md5.hex()) and self._md5(call, key) != md5:
                    raise self.client.failure(f"holds other bytes than were put as {key}")

    def _require_listed(self, call: Call, key: str, size: int, *, of_a_store: bool) -> None:
        """Returns where the store lists an object of this size; for answers whose ETag proves nothing.

        One that answered of_a_store need not list as others do, though it must answer in XML.
        """
        try:
            listing = self._find(call, key)
        except OtherAnswer as other:
            if of_a_store and other.of_a_store:
                return
            raise
        if listing is None or listing["Size"] != size:
            raise self.client.failure(f"does not hold all of {key}, though it said so")

    def _md5(self, call: Call, key: str) -> bytes:
        md5 = hashlib.md5(usedforsecurity=False)
        with self._read(call, key) as (_, pieces):
            for piece in pieces:
                md5.update(piece)
        return md5.digest()

    def get(self, key: str, path: Path) -> bool:
        """Whether there is an object of this key; its bytes are a new file at path then."""
        listing = self._find(self._call, key)
        if listing is None:
            return False
        with path.open("xb") as file:
            # Only what was opened here is removed: whatever was at the path before is another's.
            try:
                with self.read(key) as (size, pieces):
                    file.writelines(pieces)
                if size != listing["Size"]:
                    raise self.client.failure(f"gave {size} bytes of {key}, but lists {listing['Size']}")
            except (StorageError, OSError):
                path.unlink(missing_ok=True)
                raise
        return True

    def get_bytes(self, key: str, *, most_bytes: int) -> bytes | None:
        """The bytes of a small object within SMALL_SECONDS, None where the store itself says that there is none.

        StorageError for whatever else there may be: no answer, another server's, more bytes than that.
        """

        def get() -> bytes | None:
            content = bytearray()
            try:
                with self._read(self._small_client.call, key) as (_, pieces):
                    for piece in pieces:
                        content.extend(piece)
                        if len(content) > most_bytes:
                            raise self.client.failure(f"has more than {most_bytes} bytes as {key}")
            except FileNotFoundError:
                return None
            return bytes(content)

        return self._in_time(get)

    def read(self, key: str) -> AbstractContextManager[tuple[int, Iterator[bytes]]]:
        """The size of an object and its bytes, a piece at a time; FileNotFoundError where there is none."""
        return self._read(self._call, key)

    @contextmanager
    def _read(self, call: Call, key: str) -> Generator[tuple[int, Iterator[bytes]]]:
        answer = call("get_object", Key=key)
        with closing(answer["Body"]) as body:
            size = answer.get("ContentLength")
            if size is None:
                listing = self._find(call, key)
                size = listing["Size"] if listing else 0
            yield size, self._pieces(body, size)

    def _pieces(self, body: Any, size: int) -> Iterator[bytes]:
        # Late, as boto3.
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        received = 0
        try:
            while piece := body.read(PIECE_BYTES):
                received += len(piece)
                yield piece
        except (BotoCoreError, HTTPError, OSError) as error:
            raise self.client.failure(f"broke off: {type(error).__name__}") from None
        if received != size:
            raise self.client.failure(f"broke off after {received} of {size} bytes")

    def size(self, key: str) -> int | None:
        """The bytes of the object of this key, None where there is none."""
        listing = self._find(self._call, key)
        return listing["Size"] if listing else None

    def _find(self, call: Call, key: str) -> Any:
        """The object of this key, as a list names it; None where there is none."""
        objects = self._page(call, key, MaxKeys=1).get("Contents", [])
        return objects[0] if objects and objects[0]["Key"] == key else None

    def _page(self, call: Call, prefix: str, **params: object) -> Any:
        """A page of the list of what starts with the prefix, and of nothing else: what is listed may be deleted."""
        page = call("list_objects_v2", Prefix=prefix, **params)
        objects = page.get("Contents", [])
        is_whole = all(entry.keys() >= {"Key", "Size", "LastModified"} for entry in objects)
        if not is_whole or "IsTruncated" not in page or page.get("KeyCount", 0) > len(objects):
            raise self.client.failure("broke off a list of objects")
        has_prefix = all(entry["Key"].startswith(prefix) for entry in objects)
        if not has_prefix or unquote(page.get("Prefix", prefix)) != unquote(prefix):
            raise self.client.failure(f"listed other objects than those under {prefix}")
        return page

    def delete(self, key: str) -> None:
        """Guarantees that there is no object of this key."""
        try:
            answer = self._call("delete_object", Key=key)
        except FileNotFoundError:
            return
        # Only a store says so; after any other success it is looked for.
        if not _says_no_content(answer) and self._find(self._call, key):
            raise self.client.failure(f"still has {key}, though it was deleted")

    def keys(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Every key that starts with the prefix, and when its object was written last."""
        return ((stored.key, stored.modified) for stored in self.objects(prefix))

    def objects(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """The objects whose keys start with the prefix and come after that key, in the order of their keys."""
        return list_objects(partial(self._page, self._call, prefix), self.client.failure, after=after)

    def modified(self, key: str) -> datetime | None:
        """When the object of this key was written last, None where there is none."""
        return next((modified_at for found_key, modified_at in self.keys(key) if found_key == key), None)

    def begin_upload(self, key: str, *, content_type: str) -> str:
        """The id of a new upload in parts; the object appears, whole, when it is finished."""
        headers = {"ContentType": content_type, "CacheControl": CACHE_CONTROL}
        answer = self._call("create_multipart_upload", Key=key, **headers)
        if not answer.get("UploadId"):
            raise self.client.failure(f"began no upload of {key}")
        return answer["UploadId"]

    def upload_part(self, key: str, upload_id: str, number: int, body: bytes | bytearray) -> str:
        """The tag of an upload's part, which finish_upload asks for; numbers count from 1."""
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        part = {"UploadId": upload_id, "PartNumber": number, "ContentMD5": base64.b64encode(md5).decode()}
        answer = self._call("upload_part", Key=key, Body=body, **part)
        if not etags.plain(answer.get("ETag")) or etags.denies(answer, md5.hex()):
            raise self.client.failure(f"did not say that it holds part {number} of {key}")
        return answer["ETag"]

    def finish_upload(self, key: str, upload_id: str, tags: Sequence[str], size: int) -> None:
        """Guarantees that the object is there, of all the parts in order; size is what they have together."""
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
        params = {"UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
        try:
            answer = self._call("complete_multipart_upload", Key=key, **params)
        except NoSuchUpload:
            # An earlier try of botocore's, whose answer was lost, may have finished it.
            if not (listing := self._find(self._call, key)) or listing["Size"] != size:
                raise
            return
        tag = etags.plain(answer.get("ETag"))
        if tag == "" or tag != etags.of_parts(tags):
            with _not_refused():
                self._require_listed(self._call, key, size, of_a_store=tag != "")

    def unfinished_uploads(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        """Key, id and beginning of uploads in parts that were never finished: they cost money and show nowhere."""
        page_params: dict[str, str] = {}
        while True:
            page = self._call("list_multipart_uploads", Prefix=prefix, **page_params)
            uploads = page.get("Uploads", [])
            if not all(upload.keys() >= {"Key", "UploadId", "Initiated"} for upload in uploads):
                raise self.client.failure("broke off a list of uploads")
            if not all(upload["Key"].startswith(prefix) for upload in uploads):
                raise self.client.failure(f"listed other uploads than those under {prefix}")
            yield from ((upload["Key"], upload["UploadId"], upload["Initiated"]) for upload in uploads)
            # SeaweedFS goes on by the upload's id alone.
            markers = {name: page.get(f"Next{name}") for name in ("KeyMarker", "UploadIdMarker")}
            last_params, page_params = page_params, {name: marker for name, marker in markers.items() if marker}
            if not page.get("IsTruncated"):
                return
            if not page_params or page_params == last_params:
                raise self.client.failure("does not go on with a list of uploads")

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Guarantees that nothing of an unfinished upload is left."""
        try:
            answer = self._call("abort_multipart_upload", Key=key, UploadId=upload_id)
        except NoSuchUpload:
            return
        uploads = () if _says_no_content(answer) else self.unfinished_uploads(key)
        if any((other_key, other_id) == (key, upload_id) for other_key, other_id, _ in uploads):
            raise self.client.failure(f"still has an unfinished upload of {key}, though it was aborted")

    def check(self) -> None:
        """Guarantees that the bucket is there and may be used."""
        # By its list, not by HEAD: a store then says in words what is wrong, and no other server can answer so.
        if "Name" not in self._call("list_objects_v2", MaxKeys=1):
            raise StorageError(f"DO_SPACES_ENDPOINT: {self._settings.endpoint} is no object store")

    def url(self, key: str) -> str:
        """The plain URL of an object, as kept in a row: it never expires and opens nothing by itself."""
        return f"{self._settings.base_url}/{quote(key, safe='/~')}"

    def signed_url(self, key: str, *, now: float | None = None, disposition: str | None = None) -> tuple[str, datetime]:
        """A URL that opens the object to whoever has it, and when it stops to; the same within a signing window.

        AWS Signature Version 4 in the query string, as botocore's S3SigV4QueryAuth makes it, without building a client.
        A disposition is the Content-Disposition that the object comes with.
        """
        window = self.signing_window(now)
        disposition_param = f"response-content-disposition={quote(disposition, safe='')}" if disposition else ""
        return window.url(f"/{quote(key, safe='/~')}", disposition_param), window.ends

    def signing_window(self, now: float | None = None) -> SigningWindow:
        """The window that this time is in, the same object until it is over."""
        number = (time.time() if now is None else now) // SIGNING_WINDOW_SECONDS
        window = self._window
        if window is None or window.number != number:
            window = self._window = SigningWindow(number, self._settings)
        return window

    def _in_time(self, call: Callable[[], _Result]) -> _Result:
        try:
            return within(SMALL_SECONDS, call)
        except TimeoutError:
            # What hangs on in its connections is its own.
            self.__dict__.pop("_small_client", None)
            raise self.client.failure(f"took longer than {SMALL_SECONDS} seconds") from None

    def _call(self, operation: str, **arguments: object) -> Any:
        return self.client.call(operation, **arguments)

    @cached_property
    def client(self) -> S3Client:
        """The client of all calls that are not of small objects."""
        return S3Client(self._settings, connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS, attempts=ATTEMPTS)

    @cached_property
    def _small_client(self) -> S3Client:
        return S3Client(
            self._settings,
            connect_seconds=SMALL_CONNECT_SECONDS,
            read_seconds=SMALL_READ_SECONDS,
            attempts=SMALL_ATTEMPTS,
        )


@contextmanager
def _not_refused() -> Generator[None]:
    """What is refused in here is asked after something was stored, so that StoreRefused would be untrue."""
    try:
        yield
    except StoreRefused as refusal:
        raise StorageError(str(refusal)) from None


def _says_no_content(answer: Any) -> bool:
    return answer.get("ResponseMetadata", {}).get("HTTPStatusCode") == _NO_CONTENT


def _has_body(answer: Any) -> bool:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers.get("content-length", "0") != "0"
