"""Lists of a bucket's objects: every page of a list, to its end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from generation_history.errors import StorageError


@dataclass(frozen=True)
class StoredObject:
    """An object as a list names it; its size in bytes."""

    key: str
    size: int
    modified: datetime


def list_objects(
    read_page: Callable[..., Any], failure: Callable[[str], StorageError], *, after: str = ""
) -> Iterator[StoredObject]:
    """The objects of all pages whose keys come after that key, in the order of their keys.

    read_page takes the params of list_objects_v2 that tell pages apart, and answers for what a page says.
    """
    page_params = {"StartAfter": after} if after else {}
    while True:
        page = read_page(**page_params)
        for entry in page.get("Contents", []):
            yield StoredObject(entry["Key"], entry["Size"], entry["LastModified"])
        if not page["IsTruncated"]:
            return
        token = page.get("NextContinuationToken")
        if token is None or token == page_params.get("ContinuationToken"):
            raise failure("does not go on with a list of objects")
        page_params = {"ContinuationToken": token}
