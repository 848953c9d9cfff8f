"""Intents: what was posted, told by the bucket, also when Postgres has forgotten it.

A database that fails over to a replica without the last transactions, or is restored from a backup, does not know what
was posted since. So an intent of every attempt lies in the bucket before its POST is made, and its job's id after the
answer. They outlive their generation: an old backup may still hold its rows.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Final, Literal
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from generation_history.errors import StorageError
from generation_history.providers import VideoRequest
from generation_history.storage.object_store import ObjectStore

PREFIX: Final = "intents/"
#: An intent has some 700; an id of a job may have thousands.
MAX_BYTES: Final = 64 * 1024

#: posted: somebody was about to make the POST, and no answer is known. no_job: it provably made none.
Outcome = Literal["posted", "accepted", "no_job"]


@dataclass(frozen=True)
class Intent:
    """One attempt's POST: whose it is, what it asked of whom and when, and what came of it as far as is known."""

    scene_id: UUID
    attempt: int
    owner_id: UUID
    generation_id: UUID
    #: The lease under which it was made: another try of the same attempt has another one.
    token: UUID
    provider: str
    base_url: str
    model: str
    size: str
    seconds: int
    request_sha256: str
    #: By the database's clock: a machine's own may be off.
    intended_at: datetime
    outcome: Outcome = "posted"
    #: The provider's job, once it is accepted.
    job_id: str | None = None
    reason: str | None = None
    #: Its generation is gone for good.
    purged: bool = False

    @property
    def key(self) -> str:
        """Where it lies in the bucket."""
        return key_of_intent(self.generation_id, self.scene_id, self.attempt)


class Intents:
    """The intents of all attempts, in the bucket; a StorageError where that cannot be used."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def read(self, generation_id: UUID, scene_id: UUID, attempt: int) -> Intent | None:
        """The attempt's intent, None where it was never about to be posted."""
        return self.read_key(key_of_intent(generation_id, scene_id, attempt))

    def read_key(self, key: str) -> Intent | None:
        """The intent at this key, None where there is none."""
        body = self._store.get_bytes(key, most_bytes=MAX_BYTES)
        return None if body is None else _parsed(key, body)

    def write(self, intent: Intent) -> None:
        """Guarantees that this is the attempt's intent from now on."""
        self._store.put_bytes(intent.key, _json().dump_json(intent), content_type="application/json")

    def list_keys(self, generation_id: UUID | None = None) -> Iterator[tuple[str, datetime]]:
        """The key of every intent, or of a generation's, and when it was written last."""
        yield from self._store.keys(PREFIX if generation_id is None else f"{PREFIX}{generation_id}/")

    def read_later(self, generation_id: UUID, scene_id: UUID, attempt: int) -> Iterator[Intent]:
        """The intents of the scene's later attempts."""
        prefix = f"{PREFIX}{generation_id}/{scene_id}/"
        for key, _ in list(self._store.keys(prefix)):
            number = key.removeprefix(prefix).partition(".")[0]
            if number.isdecimal() and int(number) > attempt and (intent := self.read_key(key)):
                yield intent

    def mark_purged(self, generation_id: UUID) -> None:
        """Guarantees that what the bucket knows of the generation's POSTs says that nothing more is wanted of them.

        What a provider said of them goes with the generation.
        """
        for key, _ in list(self.list_keys(generation_id)):
            intent = self.read_key(key)
            if intent is not None and not intent.purged:
                self.write(replace(intent, purged=True, reason=None))


def key_of_intent(generation_id: UUID, scene_id: UUID, attempt: int) -> str:
    """The key of an attempt's intent."""
    return f"{PREFIX}{generation_id}/{scene_id}/{attempt}.json"


def fingerprint(request: VideoRequest) -> str:
    """A hash that is the same only for requests that ask for the same. The hash does not tell the prompt."""
    fields: list[object] = [request.prompt, request.model, request.size, request.seconds]
    if (choices := (request.sound, request.seed, request.image and request.image.key)) != (None, None, None):
        fields += choices
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()


@cache
def _json() -> TypeAdapter[Intent]:
    # Made when it is needed: most functions never post.
    return TypeAdapter(Intent)


def _parsed(key: str, body: bytes) -> Intent:
    """The intent that these bytes are; an error for anything else: who cannot read it must not post."""
    try:
        intent = _json().validate_json(body)
    except ValidationError:
        intent = None
    if intent is None or intent.key != key:
        raise StorageError(f"DO_SPACES_BUCKET: {key} in the bucket is no intent")
    return intent
