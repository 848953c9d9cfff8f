"""A real worker process that kills itself right after a named step, or works until it is killed: started as a module.

The steps are wrapped from outside, here; the code that is deployed knows nothing of them.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from generation_history import ffmpeg
from generation_history.object_store import ObjectStore
from generation_history.providers import sora
from generation_history.providers.sora import SoraProvider
from generation_history.work_queue import WorkQueue
from scripts import poller


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


def die_in_the_download() -> None:
    """Half of the first piece reaches the file, then the process ends."""
    pieces = sora.chunks

    def halved(response: Any) -> Any:
        if not (response.headers.get("Content-Type") or "").startswith("video/"):
            yield from pieces(response)
            return
        for piece in pieces(response):
            yield piece[: len(piece) // 2]
            die()

    sora.chunks = halved


def uploads(kind: str) -> Callable[..., bool]:
    return lambda *_arguments, content_type, **_named: content_type == kind


STEPS: dict[str, Callable[[], None]] = {
    "the claim": lambda: die_after(WorkQueue, "claim"),
    "the intent": lambda: die_after(WorkQueue, "intend"),
    "the answer to the POST": lambda: die_after(SoraProvider, "submit"),
    "the id was stored": lambda: die_after(WorkQueue, "accept"),
    "it was seen to be ready": lambda: die_after(WorkQueue, "observed", when=lambda *_a, step, **_n: step == "store"),
    "half of the download": die_in_the_download,
    "the thumbnail was made": lambda: die_after(ffmpeg, "inspect"),
    "the video was uploaded": lambda: die_after(ObjectStore, "put", when=uploads("video/mp4")),
    "the thumbnail was uploaded": lambda: die_after(ObjectStore, "put", when=uploads("image/jpeg")),
    "the row": lambda: die_after(WorkQueue, "complete"),
}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        STEPS[sys.argv[1]]()
    poller.main()
