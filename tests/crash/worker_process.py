"""A real worker process that kills itself right after a named step, or works until it is killed: started as a module.

The steps are wrapped from outside, here; the code that is deployed knows nothing of them.
"""

import argparse
import os
import random
import signal
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from generation_history.archives.archive_builder import ArchiveBuilder
from generation_history.archives.archive_queue import ArchiveQueue
from generation_history.db.database import Database
from generation_history.media import ffmpeg
from generation_history.providers import download
from generation_history.providers.sora import SoraProvider
from generation_history.storage.object_store import ObjectStore
from generation_history.work.job_queue import JobQueue
from generation_history.work.submission import Submissions
from scripts.operate import poller


def die(*_arguments: Any, **_named: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(owner: Any, name: str, *, when: Callable[..., bool] = lambda *_a, **_n: True) -> None:
    done = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        result = done(*arguments, **named)
        if when(*arguments, **named):
            die()
        return result

    setattr(owner, name, wrapped)


def die_before(owner: Any, name: str) -> None:
    setattr(owner, name, die)


def die_in_the_download() -> None:
    """Half of the first piece reaches the file, then the process ends."""
    pieces = download.chunks

    def halved(response: Any) -> Any:
        if not (response.headers.get("Content-Type") or "").startswith("video/"):
            yield from pieces(response)
            return
        for piece in pieces(response):
            yield piece[: len(piece) // 2]
            die()

    download.chunks = halved


def uploads(kind: str) -> Callable[..., bool]:
    return lambda *_arguments, content_type, **_named: content_type == kind


STEPS: dict[str, Callable[[], None]] = {
    "the claim": lambda: die_after(JobQueue, "claim"),
    "the intent": lambda: die_after(Submissions, "record_submit_intent"),
    "the answer to the POST": lambda: die_after(SoraProvider, "submit"),
    "the id was stored": lambda: die_after(Submissions, "accept"),
    "it was seen to be ready": lambda: die_after(
        JobQueue, "record_observation", when=lambda *_a, step, **_n: step == "store"
    ),
    "half of the download": die_in_the_download,
    "the thumbnail was made": lambda: die_after(ffmpeg, "inspect"),
    "the video was uploaded": lambda: die_after(ObjectStore, "put", when=uploads("video/mp4")),
    "the thumbnail was uploaded": lambda: die_after(ObjectStore, "put", when=uploads("image/jpeg")),
    "the row": lambda: die_after(JobQueue, "complete"),
}
#: Of an archive. The names of both differ.
ARCHIVE_STEPS: dict[str, Callable[[], None]] = {
    "the archive's claim": lambda: die_before(ArchiveBuilder, "_build"),
    "the beginning of its upload": lambda: die_after(ObjectStore, "begin_upload"),
    "its first part": lambda: die_after(ObjectStore, "upload_part"),
    "half of its upload": lambda: die_after(ObjectStore, "upload_part", when=lambda *given, **_n: given[3] == 2),
    "its upload": lambda: die_after(ObjectStore, "finish_upload"),
    "its row": lambda: die_after(ArchiveQueue, "finish"),
}


def forget_answers(share: float) -> None:
    """Of this share of all transactions nobody hears that they were done, and so they are done again."""
    once, chance = Database._transaction, random.Random(1)

    def unheard_of(self: Database, owner: Any, statements: Sequence[Any]) -> list[dict[str, Any]]:
        rows = once(self, owner, statements)
        if chance.random() < share:
            raise psycopg.OperationalError("the answer was lost")
        return rows

    Database._transaction = unheard_of


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--die-after", choices=STEPS | ARCHIVE_STEPS)
    parser.add_argument("--forgetful", type=float, default=0.0)
    known, others = parser.parse_known_args()
    if known.die_after:
        (STEPS | ARCHIVE_STEPS)[known.die_after]()
    if known.forgetful:
        forget_answers(known.forgetful)
    poller.main(others)
