"""Copies within the bucket, made by the store itself: no bytes come here, unless nothing else proves the copy."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from generation_history.storage import etags
from generation_history.storage.object_store import CACHE_CONTROL, ObjectStore

#: What is larger is copied in parts: a store answers no single call about more than 5 GB, nor one that takes minutes.
MAX_SINGLE_BYTES: Final = 512 * 1024 * 1024
#: Of a copy in parts. A store takes 10,000 parts, so an object may have 5 TB, as anywhere.
PART_BYTES: Final = 512 * 1024 * 1024


def copy_object(
    store: ObjectStore,
    source: str,
    target: str,
    *,
    content_type: str | None = None,
    most_single_bytes: int = MAX_SINGLE_BYTES,
    part_bytes: int = PART_BYTES,
) -> None:
    """Guarantees that the target's object provably holds the source's bytes, under the source's content type or this.

    FileNotFoundError where there is no source; a StorageError where the store fails or the copy is another.
    """
    size = store.size(source)
    if size is None:
        raise FileNotFoundError(f"there is no object {source}")
    original = store.client.call("head_object", Key=source)
    if size > most_single_bytes:
        kind = content_type or original.get("ContentType") or "application/octet-stream"
        _copy_in_parts(store, source, target, size, kind, part_bytes)
    else:
        # The store copies its headers unless they are replaced, but no ACL: the copy is as private as a new object.
        headers = {"MetadataDirective": "REPLACE", "ContentType": content_type, "CacheControl": CACHE_CONTROL}
        replaced = headers if content_type else {}
        store.client.call("copy_object", Key=target, CopySource=store.client.copy_source(source), **replaced)
    if store.size(target) != size:
        raise store.client.failure(f"does not hold all of {target}, though it copied {source} there")
    copy = store.client.call("head_object", Key=target)
    if not _have_same_tag(original, copy) and _sha256(store, source) != _sha256(store, target):
        raise store.client.failure(f"holds other bytes as {target} than as {source}, which it copied there")


def _copy_in_parts(store: ObjectStore, source: str, target: str, size: int, content_type: str, part_bytes: int) -> None:
    upload_id = store.begin_upload(target, content_type=content_type)
    try:
        tags: list[str] = []
        for number, start in enumerate(range(0, size, part_bytes), 1):
            part = {"UploadId": upload_id, "PartNumber": number, "CopySource": store.client.copy_source(source)}
            part["CopySourceRange"] = f"bytes={start}-{min(start + part_bytes, size) - 1}"
            answer = store.client.call("upload_part_copy", Key=target, **part)
            tags.append(answer["CopyPartResult"]["ETag"])
        store.finish_upload(target, upload_id, tags, size)
    except BaseException:
        store.abort_upload(target, upload_id)
        raise


def _have_same_tag(original: Mapping[str, Any], copy: Mapping[str, Any]) -> bool:
    """Whether the copy has the tag that the store made of the original's bytes."""
    tag = etags.plain(original.get("ETag"))
    return etags.is_md5(tag) and etags.plain(copy.get("ETag")) == tag


def _sha256(store: ObjectStore, key: str) -> bytes:
    sha256 = hashlib.sha256()
    with store.read(key) as (_, pieces):
        for piece in pieces:
            sha256.update(piece)
    return sha256.digest()
