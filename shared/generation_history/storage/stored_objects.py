"""StoredObjects: what is done to objects that are in the bucket already: listed with sizes, copied, made private."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from generation_history.errors import StorageError
from generation_history.settings import SpacesSettings
from generation_history.storage.object_store import (
    ATTEMPTS,
    CACHE_CONTROL,
    CONNECT_SECONDS,
    READ_SECONDS,
)
from generation_history.storage.s3_client import NoAcls, S3Client, UnknownOperation

#: By the end of a key. Others than ours put thumbnails as videos.
CONTENT_TYPES: Final = {".mp4": "video/mp4", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


@dataclass(frozen=True)
class StoredObject:
    """An object as a list names it."""

    key: str
    size: int
    modified: datetime


class StoredObjects:
    """One bucket. Failures are those of ObjectStore: StorageError, StoreRefused, FileNotFoundError."""

    def __init__(self, settings: SpacesSettings) -> None:
        self._settings = settings
        self._client = S3Client(settings, connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS, attempts=ATTEMPTS)

    def url(self, key: str) -> str:
        """The plain URL of an object, as kept in a row."""
        return f"{self._settings.base_url}/{quote(key, safe='/~')}"

    def objects(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """The objects whose keys start with the prefix and come after that key, in the order of their keys."""
        where: dict[str, str] = {"StartAfter": after} if after else {}
        while True:
            page = self._client.call("list_objects_v2", Prefix=prefix, **where)
            for found in page.get("Contents", []):
                if not found["Key"].startswith(prefix):
                    raise self._failure(f"listed other objects than those under {prefix}")
                yield StoredObject(found["Key"], found["Size"], found["LastModified"])
            if not page.get("IsTruncated"):
                return
            token = page.get("NextContinuationToken")
            if token is None or token == where.get("ContinuationToken"):
                raise self._failure("does not go on with a list of objects")
            where = {"ContinuationToken": token}

    def copy(self, source: StoredObject, key: str) -> None:
        """Guarantees that this key has the bytes of the source, and is as private as a new object of the bucket."""
        self._copy(source.key, key)
        copied = next((found for found in self.objects(key) if found.key == key), None)
        if copied is None or copied.size != source.size:
            raise self._failure(f"does not hold all of {key}, though it said so")

    def make_private(self, key: str) -> None:
        """Guarantees that no ACL of the object's own opens it to everyone.

        A bucket without ACLs has none to take away. A store that knows no ACLs of objects makes the object anew.
        """
        try:
            self._client.call("put_object_acl", Key=key, ACL="private")
        except NoAcls:
            return
        except UnknownOperation:
            self._copy(key, key)

    def _copy(self, source: str, key: str) -> None:
        # "REPLACE": without it an object cannot be copied onto itself, and the type would be what others said it is.
        told: dict[str, Any] = {"CacheControl": CACHE_CONTROL, "MetadataDirective": "REPLACE"}
        told["ContentType"] = CONTENT_TYPES.get(f".{key.rpartition('.')[2].lower()}", "application/octet-stream")
        self._client.call("copy_object", Key=key, CopySource={"Bucket": self._settings.bucket, "Key": source}, **told)

    def _failure(self, what: str) -> StorageError:
        return StorageError(f"DO_SPACES_ENDPOINT: {self._settings.endpoint} {what}")
