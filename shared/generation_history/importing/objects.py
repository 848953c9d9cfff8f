"""Objects: what the bucket holds of a generation, where its rows' URLs lead, and which objects are to be copied."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal
from urllib.parse import unquote
from uuid import UUID

from generation_history.storage.keys import owned_key, scene_key, thumbnail_key
from generation_history.storage.listing import StoredObject
from generation_history.storage.object_store import ObjectStore

#: Of fewer generations each is listed by itself: between the first and the last there may be the whole bucket.
_FEW: Final = 20


@dataclass(frozen=True)
class Place:
    """Where a URL leads: to an object under a key of ours, to one that was missing there, or to somewhere else."""

    where: Literal["ours", "moved", "missing", "unasked", "elsewhere"]
    url: str
    size: int | None = None
    attempt: int = 1

    @property
    def is_stored(self) -> bool:
        """Whether the object is in the bucket, or is copied there."""
        return self.where in {"ours", "moved"}


class GenerationObjects:
    """What the bucket holds of one generation; of a bucket that is not asked nothing is known."""

    def __init__(
        self,
        generation_id: UUID,
        found: Mapping[str, StoredObject] | None,
        url_of: Callable[[str], str],
        sessions: Mapping[str, StoredObject],
    ) -> None:
        self._generation_id = str(generation_id)
        self._found = found
        self._url_of = url_of
        self._sessions = sessions
        self._named: set[str] = set()
        #: What is to be copied, and the key that it gets.
        self.copies: list[tuple[StoredObject, str]] = []

    def name(self, urls: Iterable[str | None]) -> None:
        """These URLs are of rows: what they name is not overwritten."""
        keys = (owned_key(url, self._generation_id) for url in urls if url)
        self._named.update(key for key in keys if key is not None)

    def place_video(self, url: str, variant_type: str, number: int) -> Place:
        """Where a scene's video is, from now on."""
        return self._place(url) or self._moved(url, variant_type, number)

    def place_thumbnail(self, url: str, video: Place) -> Place:
        """Where the thumbnail of a video is, from now on."""
        placed = self._place(url)
        if placed is not None:
            return placed
        source, key = self._named_object(url), owned_key(video.url, self._generation_id)
        if source is None or key is None:
            return Place("elsewhere", url)
        return self._copy(source, thumbnail_key(key))

    def take(self, source: StoredObject, variant_type: str, number: int) -> Place:
        """Where a video from elsewhere in the bucket is, once it is copied."""
        attempt, key = self._free(variant_type, number, source)
        return self._copy(source, key, attempt)

    @property
    def all(self) -> list[str]:
        """The keys of all that the bucket has of this generation, and will have."""
        return sorted({*(self._found or ()), *(key for _, key in self.copies)})

    @property
    def unnamed(self) -> list[str]:
        """The keys of what no row names."""
        copied = {source.key for source, _ in self.copies} | {key for _, key in self.copies}
        return sorted(set(self._found or ()) - self._named - copied)

    def _place(self, url: str) -> Place | None:
        """Where an owned key's object is, or that the URL leads elsewhere; None for an object under another key."""
        key = owned_key(url, self._generation_id)
        if key is not None:
            if self._found is None:
                return Place("unasked", url)
            found = self._found.get(key)
            return Place("ours", url, found.size) if found else Place("missing", url)
        return Place("elsewhere", url) if self._named_object(url) is None else None

    def _named_object(self, url: str) -> StoredObject | None:
        """The object under another key of this generation, or of a session: no link would be signed for it."""
        path = url.partition("?")[0].partition("#")[0]
        for folder, objects in ((f"/generations/{self._generation_id}/", self._found), ("/sessions/", self._sessions)):
            start = path.find(folder)
            if start >= 0 and objects:
                return objects.get(unquote(path[start + 1 :]))
        return None

    def _moved(self, url: str, variant_type: str, number: int) -> Place:
        source = self._named_object(url)
        return Place("elsewhere", url) if source is None else self.take(source, variant_type, number)

    def _copy(self, source: StoredObject, key: str, attempt: int = 1) -> Place:
        self._named.add(key)
        self.copies.append((source, key))
        return Place("moved", self._url_of(key), source.size, attempt)

    def _free(self, variant_type: str, number: int, source: StoredObject) -> tuple[int, str]:
        """The first attempt's key that has no object, or that of a run that died between copying and recording."""
        for attempt in count(1):
            key = scene_key(self._generation_id, variant_type, number, attempt=attempt)
            there = (self._found or {}).get(key)
            if key not in self._named and (there is None or there.size == source.size):
                return attempt, key
        raise AssertionError("there is always another attempt")


class BucketObjects:
    """The bucket's objects of generations, a batch at a time."""

    def __init__(self, bucket: ObjectStore | None, sessions: Mapping[str, StoredObject]) -> None:
        """The sessions' objects, by their keys, may be any generation's."""
        self._bucket = bucket
        self._sessions = sessions

    def of(self, ids: Sequence[UUID]) -> dict[UUID, GenerationObjects]:
        """What the bucket holds of each of these, whose ids are in order."""
        bucket = self._bucket
        if bucket is None:
            return {one: GenerationObjects(one, None, str, {}) for one in ids}
        found: dict[UUID, dict[str, StoredObject]] = {one: {} for one in ids}
        by_name = {str(one): objects for one, objects in found.items()}
        for listed in self._listed(bucket, ids):
            objects = by_name.get(listed.key.split("/")[1])
            if objects is not None:
                objects[listed.key] = listed
        return {one: GenerationObjects(one, objects, bucket.url, self._sessions) for one, objects in found.items()}

    def _listed(self, bucket: ObjectStore, ids: Sequence[UUID]) -> Iterable[StoredObject]:
        if len(ids) <= _FEW:
            for one in ids:
                yield from bucket.objects(f"generations/{one}/")
            return
        # In the order of keys, which is that of ids: one list leads from the first to the last.
        # SeaweedFS leaves out what lies under a folder that it is to begin after, so that begins after the id before.
        before, last = UUID(int=max(0, ids[0].int - 1)), f"generations/{ids[-1]}/"
        for listed in bucket.objects("generations/", after=f"generations/{before}"):
            if listed.key > last and not listed.key.startswith(last):
                return
            yield listed
