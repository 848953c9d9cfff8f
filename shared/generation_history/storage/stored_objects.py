"""What is done to objects that another program stored: they are copied under a key of ours, and made private."""

from typing import Final

from generation_history.storage.listing import StoredObject
from generation_history.storage.object_copy import copy_object
from generation_history.storage.object_store import CACHE_CONTROL, ObjectStore
from generation_history.storage.s3_client import NoAcls, UnknownOperation

#: By the end of a key. Others than ours put thumbnails as videos.
CONTENT_TYPES: Final = {".mp4": "video/mp4", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


def copy_stored(store: ObjectStore, source: StoredObject, key: str) -> None:
    """Guarantees that this key has the bytes of the source, with the type that the key tells.

    The copy is as private as a new object of the bucket.
    """
    copy_object(store, source.key, key, content_type=_content_type(key))


def make_private(store: ObjectStore, key: str) -> None:
    """Guarantees that no ACL of the object's own opens it to everyone.

    A bucket without ACLs has none to take away. A store that knows no ACLs of objects makes the object anew.
    """
    try:
        store.client.call("put_object_acl", Key=key, ACL="private")
    except NoAcls:
        return
    except UnknownOperation:
        make_anew(store, key)


def make_anew(store: ObjectStore, key: str) -> None:
    """Guarantees that the object is written once more, with its own bytes: without an ACL of its own."""
    # "REPLACE": without it an object cannot be copied onto itself.
    headers = {"MetadataDirective": "REPLACE", "ContentType": _content_type(key), "CacheControl": CACHE_CONTROL}
    store.client.call("copy_object", Key=key, CopySource=store.client.copy_source(key), **headers)


def _content_type(key: str) -> str:
    return CONTENT_TYPES.get(f".{key.rpartition('.')[2].lower()}", "application/octet-stream")
