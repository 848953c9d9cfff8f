"""Archives survive the death of their builder, need little memory whatever they hold, and may be of any size."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from generation_history.archives.archive_builder import ArchiveBuilder
from generation_history.archives.archive_queue import Build
from generation_history.archives.archives import Archives, contents_of
from generation_history.record.generation_manager import GenerationManager
from generation_history.storage.keys import scene_key
from generation_history.storage.multipart_upload import PART_BYTES
from generation_history.storage.object_store import PIECE_BYTES, ObjectStore
from tests.crash.conftest import ROOT, Place
from tests.crash.worker_process import ARCHIVE_STEPS
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 60
DIED = -signal.SIGKILL


def store_videos(store: ObjectStore, folder: Path, *sizes: int) -> str:
    """The id of a new generation whose stored videos have these sizes, and random bytes."""
    manager = GenerationManager()
    prompts = {"soft": [f"scene {number}" for number in range(len(sizes))]}
    made = manager.create_with_scenes("https://video.example/ad.mp4", "url", prompts, submit=False)
    for size, scene in zip(sizes, manager.get_generation(made["id"])["variants"][0]["scenes"], strict=True):
        file = folder / "video"
        file.write_bytes(os.urandom(PIECE_BYTES) * (size // PIECE_BYTES) + os.urandom(size % PIECE_BYTES))
        url = store.put(scene_key(made["id"], "soft", scene["scene_number"]), file, content_type="video/mp4")
        manager.update_scene(scene["id"], video_url=url, duration=8, file_size=size, status="completed")
    file.unlink()
    return made["id"]


# ---------------------------------------------------------------- builders that are killed


@pytest.mark.parametrize("step", ARCHIVE_STEPS)
def test_a_builder_killed_after_any_step_is_followed_by_one_that_finishes_the_archive(place: Place, step: str):
    sizes = (PART_BYTES, 1_000_001, PART_BYTES * 2)
    generation_id = store_videos(place.store, place.folder, *sizes)
    archive = Archives(GenerationManager().owner_id).ask(generation_id)

    assert place.start_worker(step).wait(PATIENCE_SECONDS) == DIED, place.log()
    begun = len(list(place.store.unfinished_uploads(archive["key"])))
    assert begun == (step in {"the beginning of its upload", "its first part", "half of its upload"})
    place.start_worker()
    eventually(lambda: place.rows("select 1 from archives where state = 'ready'"), seconds=PATIENCE_SECONDS)

    assert [key for key, _ in place.store.keys(f"generations/{generation_id}/archives/")] == [archive["key"]]
    assert list(place.store.unfinished_uploads("")) == []
    assert place.store.get(archive["key"], place.folder / "archive.zip")
    with zipfile.ZipFile(place.folder / "archive.zip") as made:
        assert made.testzip() is None
        assert [entry.file_size for entry in made.infolist()[:-1]] == list(sizes)
        assert [file["size"] for file in json.loads(made.read("manifest.json"))["files"]] == list(sizes)
    assert place.rows("select size, lease_token from archives") == [
        ((place.folder / "archive.zip").stat().st_size, None)
    ]


# ---------------------------------------------------------------- memory

_BUILD = """
import re
from pathlib import Path
from generation_history.work import poller

def kilobytes(what):
    # Not getrusage: its peak is that of whoever started us.
    return int(re.search(what + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

made = poller.from_settings()
# All that is imported and connected to only when it is first needed.
list(made._archives._store.keys("none/"))
made._scenes.run(seconds=1)
before = kilobytes("VmRSS")
assert made.run(seconds=600) == (0, 1)
print(before, kilobytes("VmHWM"))
made.close()
"""


def test_an_archive_of_400_megabytes_is_built_in_80_of_memory(place: Place):
    archived = store_videos(place.store, place.folder, *[40_000_000] * 10)
    archive = Archives(GenerationManager().owner_id).ask(archived)
    files = set(place.folder.rglob("*"))

    ran = subprocess.run(
        [sys.executable, "-c", _BUILD], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )

    assert ran.returncode == 0, ran.stderr
    before, peak = map(int, ran.stdout.split())
    print(f"400 MB archived, memory grew from {before / 1000:.0f} to {peak / 1000:.0f} MB")  # noqa: T201
    assert peak - before < 80_000
    assert (place.store.size(archive["key"]) or 0) > 400_000_000
    assert set(place.folder.rglob("*")) == files


# ---------------------------------------------------------------- Zip64


class Sparse(io.RawIOBase):
    """A file whose zeros take no room on the disk."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")

    def append(self, data: bytearray) -> None:
        if data.strip(b"\0"):
            self.file.write(data)
        else:
            self.file.truncate(self.file.seek(len(data), io.SEEK_CUR))


class EndlessStore:
    """A store that has an object of zeros of any size asked for, and keeps what is uploaded in a sparse file."""

    def __init__(self, path: Path, sizes: dict[str, int]) -> None:
        self.uploaded = Sparse(path)
        self.sizes = sizes

    @contextmanager
    def read(self, key: str) -> Iterator[tuple[int, Iterator[bytes]]]:
        size, zeros = self.sizes[key], bytes(PIECE_BYTES)
        yield size, (zeros[: size - at] for at in range(0, size, PIECE_BYTES))

    def size(self, _key: str) -> None:
        return None

    def unfinished_uploads(self, _prefix: str) -> list:
        return []

    def begin_upload(self, _key: str, *, content_type: str) -> str:
        return content_type

    def upload_part(self, _key: str, _upload_id: str, _number: int, body: bytearray) -> str:
        self.uploaded.append(body)
        return "tag"

    def finish_upload(self, *_: object) -> None:
        self.uploaded.file.close()


class Listening:
    """A queue that has one archive to build, and keeps what it is told of it."""

    def __init__(self, build: Build) -> None:
        self.due = [build]
        self.size = None

    def claim(self) -> Build | None:
        return self.due.pop() if self.due else None

    def extend(self, *_: object, **__: object) -> None:
        return

    def finish(self, _build: Build, *, size: int) -> None:
        self.size = size


def test_an_archive_of_more_than_four_gigabytes_with_one_of_more_than_four_in_it_is_read_back_whole(tmp_path: Path):
    """Lengths and offsets beyond 32 bits; entries that need no long form have none."""
    sizes = (1000, 2**32 + 12_345, 2000)
    generation_id = str(uuid4())
    keys = [scene_key(generation_id, "soft", number) for number in (1, 2, 3)]
    now = "2026-11-22T10:00:00+00:00"
    scene = {"status": "completed", "duration": 8, "resolution": None, "created_at": now, "completed_at": now}
    scenes = [
        {
            **scene,
            "id": str(number),
            "scene_number": number,
            "video_url": f"https://spaces.test/{key}",
            "file_size": size,
        }
        for number, (key, size) in enumerate(zip(keys, sizes, strict=True), 1)
    ]
    variants = [{"variant_type": "soft", "scenes": scenes}]
    contents = contents_of({"id": generation_id, "source_video_url": "script-only-mode", "variants": variants})
    build = Build(uuid4(), uuid4(), uuid4(), "x.zip", contents, 1, False, None)
    build = Build(**{**vars(build), "generation_id": generation_id})
    queue = Listening(build)
    store = EndlessStore(tmp_path / "archive.zip", dict(zip(keys, sizes, strict=True)))

    started = time.monotonic()
    assert ArchiveBuilder(queue, store, lease_seconds=60).run(seconds=600) == 1
    print(f"{sum(sizes) / 1e9:.1f} GB zipped in {time.monotonic() - started:.0f} s")  # noqa: T201

    made = tmp_path / "archive.zip"
    assert made.stat().st_size == queue.size
    assert made.stat().st_blocks * 512 < 50_000_000
    with zipfile.ZipFile(made) as archive:
        assert archive.testzip() is None
        entries = archive.infolist()
        assert [entry.file_size for entry in entries[:-1]] == list(sizes)
        assert entries[2].header_offset > 2**32
        # What a reader needs to know of an entry: 4.5 for Zip64, which only the large one and those behind it need.
        assert [entry.extract_version for entry in entries] == [20, 45, 45, 45]
