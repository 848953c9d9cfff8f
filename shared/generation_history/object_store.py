"""ObjectStore: the Spaces bucket (any S3-compatible one): put, delete, signed URLs."""

import hashlib
import hmac
import re
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote, urlsplit

from generation_history.errors import SceneFailure, StoreRefused
from generation_history.settings import SpacesSettings

CONNECT_SECONDS = 5
READ_SECONDS = 60
ATTEMPTS = 3
#: Signing times are rounded down to this, so that a link stays the same for a while and browsers cache what it shows.
SIGNING_WINDOW_SECONDS = 1800
#: A link therefore holds for at least half of this.
SIGNED_URL_SECONDS = 3600
#: An object is read in pieces of this size, so that none is ever whole in memory.
PIECE_BYTES = 256 * 1024
#: An object never changes under its key.
CACHE_CONTROL = "private, max-age=31536000, immutable"

#: What follows the generation in the key of a scene's object, in a URL.
_SCENE_KEY: Final = re.compile(r"(?:soft|medium|aggressive|ultra)/scene_[0-9._a-z]+(?=[?#]|\Z)")
#: What a refusal of the store says about our settings.
_BLAME: Final = {
    "NoSuchBucket": "DO_SPACES_BUCKET: there is no such bucket",
    "InvalidAccessKeyId": "DO_SPACES_ACCESS_KEY was refused",
    "SignatureDoesNotMatch": "DO_SPACES_SECRET_KEY was refused",
    "AccessDenied": "DO_SPACES_ACCESS_KEY and DO_SPACES_SECRET_KEY may not use this bucket",
}


class ObjectStore:
    """One bucket. A failure to reach or use it is a SceneFailure storage_failed that names the setting to look at.

    It is a StoreRefused where the store provably did nothing.
    """

    def __init__(self, settings: SpacesSettings) -> None:
        self._settings = settings
        self._window: SigningWindow | None = None
        self._client: Any = None  # boto3's clients have no type
        self._lock = threading.Lock()

    def put(self, key: str, path: Path, *, content_type: str) -> str:
        """The plain URL of the object, which holds the file's bytes now.

        One PUT, so the object appears whole or not at all, and nothing unfinished stays behind.
        """
        with path.open("rb") as body:
            self._call(
                "put_object", Key=key, Body=body, ContentType=content_type, CacheControl=CACHE_CONTROL, ACL="private"
            )
        return self.url(key)

    def get(self, key: str, path: Path) -> bool:
        """Whether there is an object of this key; its bytes are a new file at path then."""
        if self.modified(key) is None:
            return False
        try:
            with self.read(key) as (_, pieces), path.open("xb") as file:
                file.writelines(pieces)
        except (SceneFailure, OSError):
            path.unlink(missing_ok=True)
            raise
        return True

    @contextmanager
    def read(self, key: str) -> Generator[tuple[int, Iterator[bytes]]]:
        """The size of an object and its bytes, a piece at a time; FileNotFoundError where there is none."""
        found = self._call("get_object", Key=key)
        with closing(found["Body"]) as body:
            yield found["ContentLength"], self._pieces(body)

    def _pieces(self, body: Any) -> Iterator[bytes]:
        # Late, as in _blaming.
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            while piece := body.read(PIECE_BYTES):
                yield piece
        except (BotoCoreError, HTTPError, OSError) as error:
            why = f"{self._settings.endpoint} broke off: {type(error).__name__}"
            raise SceneFailure("storage_failed", f"DO_SPACES_ENDPOINT: {why}") from None

    def size(self, key: str) -> int | None:
        """The bytes of the object of this key, None where there is none."""
        found = self._call("list_objects_v2", Prefix=key, MaxKeys=1).get("Contents", [])
        return found[0]["Size"] if found and found[0]["Key"] == key else None

    def delete(self, key: str) -> None:
        """Guarantees that there is no object of this key."""
        self._call("delete_object", Key=key)

    def keys(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Every key that starts with the prefix, and when its object was written last."""
        after: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=prefix, **after)
            if "IsTruncated" not in page:
                # botocore takes an answer that broke off within its head for one without anything in it.
                why = f"{self._settings.endpoint} broke off a list of objects"
                raise SceneFailure("storage_failed", f"DO_SPACES_ENDPOINT: {why}")
            yield from ((found["Key"], found["LastModified"]) for found in page.get("Contents", []))
            if not page.get("IsTruncated"):
                return
            after = {"ContinuationToken": page["NextContinuationToken"]}

    def modified(self, key: str) -> datetime | None:
        """When the object of this key was written last, None where there is none."""
        return next((at for found, at in self.keys(key) if found == key), None)

    def begin_upload(self, key: str, *, content_type: str) -> str:
        """The id of a new upload in parts; the object appears, whole, when it is finished."""
        headers = {"ContentType": content_type, "CacheControl": CACHE_CONTROL, "ACL": "private"}
        return self._call("create_multipart_upload", Key=key, **headers)["UploadId"]

    def upload_part(self, key: str, upload_id: str, number: int, body: bytes | bytearray) -> str:
        """The tag of an upload's part, which finish_upload asks for; numbers count from 1."""
        part = {"Key": key, "UploadId": upload_id, "PartNumber": number, "Body": body}
        return self._call("upload_part", **part)["ETag"]

    def finish_upload(self, key: str, upload_id: str, tags: Sequence[str]) -> None:
        """Guarantees that the object is there, of all the parts in order."""
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
        self._call("complete_multipart_upload", Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts})

    def unfinished_uploads(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        """Key, id and beginning of uploads in parts that were never finished: they cost money and show nowhere."""
        after: dict[str, str] = {}
        while True:
            page = self._call("list_multipart_uploads", Prefix=prefix, **after)
            yield from ((found["Key"], found["UploadId"], found["Initiated"]) for found in page.get("Uploads", []))
            # SeaweedFS goes on by the upload's id alone.
            markers = {name: page.get(f"Next{name}") for name in ("KeyMarker", "UploadIdMarker")}
            after = {name: marker for name, marker in markers.items() if marker}
            if not page.get("IsTruncated") or not after:
                return

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Guarantees that nothing of an unfinished upload is left."""
        self._call("abort_multipart_upload", Key=key, UploadId=upload_id)

    def check(self) -> None:
        """Guarantees that the bucket is there and may be used."""
        # By its list, not by HEAD: a store then says in words what is wrong, and no other server can answer so.
        if "Name" not in self._call("list_objects_v2", MaxKeys=1):
            raise SceneFailure("storage_failed", f"DO_SPACES_ENDPOINT: {self._settings.endpoint} is no object store")

    def url(self, key: str) -> str:
        """The plain URL of an object, as kept in a row: it never expires and opens nothing by itself."""
        return f"{self._settings.base_url}/{quote(key, safe='/~')}"

    def signed_url(self, key: str, *, now: float | None = None, disposition: str | None = None) -> tuple[str, datetime]:
        """A URL that opens the object to whoever has it, and when it stops to; the same within a signing window.

        AWS Signature Version 4 in the query string, as botocore's S3SigV4QueryAuth makes it, without building a client.
        A disposition is the Content-Disposition that the object comes with.
        """
        window = self.signing_window(now)
        asked = f"response-content-disposition={quote(disposition, safe='')}" if disposition else ""
        return window.url(f"/{quote(key, safe='/~')}", asked), window.ends

    def signing_window(self, now: float | None = None) -> "SigningWindow":
        """The window that this time is in, the same object until it is over."""
        number = (time.time() if now is None else now) // SIGNING_WINDOW_SECONDS
        window = self._window
        if window is None or window.number != number:
            window = self._window = SigningWindow(number, self._settings)
        return window

    def _call(self, operation: str, **arguments: object) -> Any:
        with self._blaming():
            return getattr(self._s3(), operation)(Bucket=self._settings.bucket, **arguments)

    @contextmanager
    def _blaming(self) -> Generator[None]:
        # Late: reading the record needs no boto3, whose import alone costs more than a whole read.
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            yield
        except ClientError as error:
            answer = cast("Any", error.response)
            code = str(answer.get("Error", {}).get("Code", ""))
            if code == "NoSuchKey":
                raise FileNotFoundError(f"there is no such object in the bucket {self._settings.bucket}") from None
            blamed = _BLAME.get(code, f"DO_SPACES_ENDPOINT: {self._settings.endpoint} answered {code or 'no S3 error'}")
            said = f"{blamed} (bucket {self._settings.bucket})"
            told = answer.get("ResponseMetadata", {})
            # An earlier try of botocore's, without an answer, may have stored it.
            if 400 <= told.get("HTTPStatusCode", 0) < 500 and not told.get("RetryAttempts"):  # noqa: PLR2004
                raise StoreRefused(said) from None
            raise SceneFailure("storage_failed", said) from None
        # Where everything is redirected, botocore asks for the bucket's region again and again.
        except (BotoCoreError, RecursionError) as error:
            where = f"DO_SPACES_ENDPOINT or DO_SPACES_REGION: {self._settings.endpoint} cannot be used"
            raise SceneFailure("storage_failed", f"{where}: {type(error).__name__}") from None

    def _s3(self) -> Any:
        with self._lock:
            if self._client is None:
                from boto3.session import Session  # noqa: PLC0415
                from botocore.config import Config  # noqa: PLC0415

                self._client = cast("Any", Session()).client(
                    "s3",
                    region_name=self._settings.region,
                    endpoint_url=self._settings.endpoint,
                    aws_access_key_id=self._settings.access_key,
                    aws_secret_access_key=self._settings.secret_key,
                    config=Config(
                        signature_version="s3v4",
                        connect_timeout=CONNECT_SECONDS,
                        read_timeout=READ_SECONDS,
                        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                        s3={"addressing_style": "path" if self._settings.path_style else "virtual"},
                        # Spaces and other stores do not all know the newer checksums.
                        request_checksum_calculation="when_required",
                        response_checksum_validation="when_required",
                    ),
                )
            return self._client


def scene_key(generation_id: object, variant_type: str, scene_number: int, *, attempt: int = 1) -> str:
    """The key of a scene's video; a retried scene's new video lies beside the old one, never in its place."""
    number = f"{scene_number}" if attempt == 1 else f"{scene_number}.{attempt}"
    return f"generations/{generation_id}/{variant_type}/scene_{number}.mp4"


def thumbnail_key(video_key: str) -> str:
    """The key of the thumbnail that belongs to a video's key."""
    return video_key.removesuffix(".mp4") + "_thumb.jpg"


def key_of(url: str, generation_id: str) -> str | None:
    """The key that a row's URL names, if it is one of this generation's; None for any other URL.

    A caller may write any URL into its own row; only the keys of that row's generation are ever signed for it.
    """
    # A page has hundreds of them: a pattern that looks for all of it takes three times as long.
    folder = f"/generations/{generation_id}/"
    start = url.find(folder)
    match = _SCENE_KEY.match(url, start + len(folder)) if start >= 0 else None
    if match is None or "?" in url[:start] or "#" in url[:start]:
        return None
    return url[start + 1 : match.end()]


@lru_cache(1_000)
def names_scene_object(base: str, name: str) -> bool:
    """Whether a URL that has this before and after its generation's folder is its object's, and nothing besides."""
    return "?" not in base and "#" not in base and _SCENE_KEY.fullmatch(name) is not None


class SigningWindow:
    """Signs the links of one window of time, the number-th since 1970; they hold until its attribute ends."""

    def __init__(self, number: float, settings: SpacesSettings) -> None:
        at = datetime.fromtimestamp(number * SIGNING_WINDOW_SECONDS, UTC)
        day, stamp = at.strftime("%Y%m%d"), at.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{day}/{settings.region}/s3/aws4_request"
        key = f"AWS4{settings.secret_key}".encode()
        for part in (day, settings.region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        block = key.ljust(hashlib.sha256().block_size, b"\0")
        base = urlsplit(settings.base_url)

        self.number: Final = number
        self.ends: Final = at + timedelta(seconds=SIGNED_URL_SECONDS)
        self._base = f"{base.scheme}://{base.netloc}{base.path}"
        self._path = f"GET\n{base.path}"
        self._query = (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256"
            f"&X-Amz-Credential={quote(f'{settings.access_key}/{scope}', safe='')}"
            f"&X-Amz-Date={stamp}&X-Amz-Expires={SIGNED_URL_SECONDS}&X-Amz-SignedHeaders=host"
        )
        self._headers = f"host:{base.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
        # HMAC (RFC 2104), spelt out and begun: a page has hundreds of links, and the module hmac takes twice the time.
        scoped = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n".encode()
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + scoped)
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def url(self, path: str, asked: str = "") -> str:
        """A signed URL of the object at this path of the bucket ("/generations/..."), quoted as URLs have it.

        asked is what else its query asks of the store.
        """
        query = self._query
        # What is signed is sorted, where upper case comes first; in the URL botocore puts it in front.
        signed, query = (f"{query}&{asked}", f"{asked}&{query}") if asked else (query, query)
        request = hashlib.sha256(f"{self._path}{path}\n{signed}\n{self._headers}".encode())
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(request.hexdigest().encode())
        outer.update(inner.digest())
        return f"{self._base}{path}?{query}&X-Amz-Signature={outer.hexdigest()}"
