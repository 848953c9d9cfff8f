"""What is this machine's fault says nothing of a video: it is tried again, for as long as anybody has the video."""

import errno
import mmap
import os
import stat
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
import urllib3.exceptions

from generation_history.errors import JobGone, MachineFault, SceneFailure
from generation_history.files import machine_faults, temp_space
from generation_history.files.temp_space import TEMP_SPACE, TempSpace
from generation_history.media import ffmpeg
from generation_history.providers import http
from generation_history.providers.sora import SoraProvider
from tests.support.fakes import MP4
from tests.support.scripted_server import answer, head, raw

REAL_OPEN = Path.open


@pytest.fixture(autouse=True)
def _no_files_of_other_tests(monkeypatch):
    monkeypatch.setattr(TEMP_SPACE, "_reserved", {})
    monkeypatch.setattr(TEMP_SPACE, "_settled", set())


@pytest.fixture
def binary(tmp_path, monkeypatch):
    """Makes a shell script the binary; nobody says that it works."""

    def binary(script: str) -> None:
        path = tmp_path / "binary"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(stat.S_IRWXU)
        monkeypatch.setattr(ffmpeg, "executable", lambda: str(path))

    return binary


@pytest.fixture
def survives(scenes, scripted, film):
    """Guarantees that a scene waits with its job, past its deadline too, and that its video comes home afterwards."""

    def survives(mend, *, match: str) -> None:
        (scene_id,) = [row[0] for row in scenes.db.rows("select scene_id::text from jobs")]
        scenes.step()
        scenes.pass_deadline()
        scenes.step(2)
        step, _, said = scenes.job(scene_id)
        assert step == "store"
        assert match in said
        mend()
        scenes.step()
        assert scenes.ended(scene_id) == ("completed", None)
        assert scenes.read(scene_id)["thumbnail_url"]

    return survives


BROKEN_BINARIES = {
    "killed by the kernel": "kill -9 $$",
    "stopped by the platform": "kill -15 $$",
    "hung up on": "kill -1 $$",
    "asked to stop": "echo 'Exiting normally, received signal 15.' >&2; exit 255",
    "without room for its log": "echo 'No space left on device' >&2; exit 228",
    "without memory": "echo 'Cannot allocate memory' >&2; exit 244",
    "silent": "exit 1",
    "silent and content": "exit 0",
}


@pytest.mark.parametrize("script", BROKEN_BINARIES.values(), ids=BROKEN_BINARIES.keys())
def test_an_ffmpeg_that_does_not_work_fails_no_video(scenes, binary, survives, monkeypatch, script):
    real = ffmpeg.executable()
    binary(script)
    scenes.accepted()

    survives(lambda: monkeypatch.setattr(ffmpeg, "executable", lambda: real), match="ffmpeg")


@pytest.mark.parametrize(
    "spoil", [lambda path: path.chmod(0o600), Path.unlink, lambda path: path.write_bytes(b"\x7fELF")]
)
def test_a_binary_that_cannot_be_run_fails_no_video(scenes, binary, survives, monkeypatch, tmp_path, spoil):
    real = ffmpeg.executable()
    binary("exit 0")
    spoil(tmp_path / "binary")
    scenes.accepted()

    survives(lambda: monkeypatch.setattr(ffmpeg, "executable", lambda: real), match="ffmpeg")


def test_an_ffmpeg_that_is_not_installed_fails_no_video(scenes, survives, monkeypatch):
    real = ffmpeg.find_spec
    monkeypatch.setattr(ffmpeg, "find_spec", lambda _: None)
    ffmpeg._executable.cache_clear()
    scenes.accepted()

    survives(lambda: monkeypatch.setattr(ffmpeg, "find_spec", real), match="not installed")


def no_fork(code):
    def fail(*_, **__):
        raise OSError(code, "x")

    return fail


def no_memory(*_, **__):
    raise MemoryError


@pytest.mark.parametrize("fail", [no_fork(errno.ENOMEM), no_fork(errno.EAGAIN), no_fork(errno.EMFILE), no_memory])
def test_a_machine_that_starts_no_process_fails_no_video(scenes, survives, monkeypatch, fail):
    with monkeypatch.context() as broken:
        broken.setattr(subprocess, "Popen", fail)
        scenes.accepted()

        survives(broken.undo, match="cannot run ffmpeg")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.EACCES])
@pytest.mark.parametrize("what", ["*.mp4", "*.jpg"])
def test_a_temporary_folder_that_cannot_be_written_fails_no_video(scenes, survives, monkeypatch, code, what):
    def refuse(path, mode="r", *arguments, **others):
        if path.match(what) and path.parent.name == "generation-history" and mode in {"xb", "wb"}:
            raise OSError(code, os.strerror(code), str(path))
        return REAL_OPEN(path, mode, *arguments, **others)

    scenes.accepted()
    with monkeypatch.context() as broken:
        broken.setattr(Path, "open", refuse)

        survives(broken.undo, match=os.strerror(code))


class Failing:
    """A file that can be opened, and then neither read nor written."""

    def __init__(self, path):
        path.touch()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read(self, _size=-1):
        raise OSError(errno.EIO, "x")

    def write(self, _content):
        raise OSError(errno.ESTALE, "x")


def test_a_disk_that_cannot_be_read_again_fails_no_video(tmp_path, monkeypatch):
    """What cannot be read is the end of the file, for ffmpeg."""
    video = tmp_path / "video.mp4"
    video.write_bytes(MP4)
    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Failing(path))

    with pytest.raises(MachineFault, match="cannot read the video: Input/output error"):
        ffmpeg.inspect(video, tmp_path / "thumbnail.jpg")


def test_a_disk_that_fails_in_mid_download_is_no_broken_download(scripted, tmp_path, monkeypatch):
    """Whatever its error is: it was not the network's."""
    scripted.script(answer(200, MP4, kind="video/mp4"))
    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Failing(path))

    with pytest.raises(MachineFault, match="cannot write the video: Stale file handle"):
        SoraProvider(scripted.base_url, "sk-x").fetch(f"{scripted.base_url}/videos/1/content", tmp_path / "video.mp4")


def test_a_thumbnail_that_cannot_be_written_says_nothing_of_the_video(tmp_path, film):
    video = tmp_path / "video.mp4"
    video.write_bytes(film)

    with pytest.raises(MachineFault, match="cannot write a thumbnail"):
        ffmpeg.inspect(video, tmp_path / "gone" / "thumbnail.jpg")


def test_a_machine_without_memory_says_nothing_of_a_file(tmp_path, monkeypatch):
    video = tmp_path / "video.mp4"
    video.write_bytes(MP4)
    monkeypatch.setattr(mmap, "mmap", no_fork(errno.ENOMEM))

    with pytest.raises(MachineFault, match="cannot find memory"):
        ffmpeg.inspect(video, tmp_path / "thumbnail.jpg")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a tmpfs")
@pytest.mark.parametrize("spare_kb", [0, 4, 64])
def test_a_full_temporary_folder_fails_no_video(scenes, scripted, tmp_path, monkeypatch, survives, film, spare_kb):
    small = tmp_path / "small"
    small.mkdir()
    size = (len(film) + 4095) // 4096 * 4 + spare_kb
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(small)], check=True)
    try:
        with monkeypatch.context() as full:
            full.setattr("tempfile.tempdir", str(small))
            scenes.accepted()

            survives(full.undo, match="room")
    finally:
        subprocess.run(["/bin/umount", str(small)], check=True)


def test_a_folder_that_cannot_be_cleaned_is_in_no_other_steps_way(scenes, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", no_fork(errno.ENOSPC))

    scene_id = scenes.accepted()

    assert scenes.job(scene_id)[0] == "poll"


def test_a_video_that_could_not_be_inspected_outlives_the_providers_copy(
    scenes, scripted, binary, survives, monkeypatch
):
    """It came whole: so it is stored, and inspected when that is possible again."""
    real = ffmpeg.executable()
    binary("kill -9 $$")
    scenes.accepted()
    scenes.step()
    scripted.script(answer(404))

    survives(lambda: monkeypatch.setattr(ffmpeg, "executable", lambda: real), match="signal 9")


def test_a_step_that_failed_leaves_no_file_and_no_room_taken(scenes, binary, tmp_path):
    binary("kill -9 $$")
    scenes.accepted()

    scenes.step(3)

    assert list((tmp_path / "generation-history").iterdir()) == []
    assert TEMP_SPACE._reserved == {}


def test_a_network_error_for_want_of_files_is_no_broken_download(scenes, scripted, survives, monkeypatch):
    def too_many(*_, **__):
        cause = urllib3.exceptions.NewConnectionError(None, "x")
        cause.__cause__ = OSError(errno.EMFILE, "x")
        raise requests.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/", cause))

    scenes.accepted()
    with monkeypatch.context() as broken:
        broken.setattr(http.Session, "get", too_many)

        survives(broken.undo, match="cannot download: Too many open files")


@pytest.mark.parametrize("error", [ConnectionResetError(errno.ECONNRESET, "x"), TimeoutError(), ValueError()])
def test_an_error_of_the_network_is_not_this_machines(error):
    assert machine_faults.shortage(requests.ConnectionError(error)) is None


def test_an_error_that_is_its_own_reason_is_looked_at_once():
    error = OSError(errno.ECONNRESET, "x")
    error.__context__ = other = ValueError(error)
    other.__context__ = error

    assert machine_faults.shortage(error) is None


# ---------------------------------------------------------------- the room of the temporary folder


@pytest.fixture
def space(monkeypatch):
    monkeypatch.setattr(temp_space, "MAX_TEMP_BYTES", 100)
    return TempSpace()


def test_files_get_no_more_room_together_than_there_is(space, tmp_path):
    space.reserve(tmp_path / "a", 60, max_size=100, deadline=0)

    with pytest.raises(MachineFault, match="no room for 41 bytes: other videos"):
        space.reserve(tmp_path / "b", 41, max_size=100, deadline=0)

    space.reserve(tmp_path / "b", 40, max_size=100, deadline=0)


def test_a_file_that_never_fits_is_not_waited_for(space, tmp_path):
    space.reserve(tmp_path / "a", 60, max_size=100, deadline=0)

    with pytest.raises(MachineFault, match="it is full"):
        space.reserve(tmp_path / "b", 101, max_size=100, deadline=float("inf"))


def test_a_file_of_unknown_size_gets_all_that_it_may_become(space, tmp_path):
    space.reserve(tmp_path / "a", None, max_size=70, deadline=0)
    space.reserve(tmp_path / "b", 30, max_size=70, deadline=0)

    with pytest.raises(MachineFault):
        space.reserve(tmp_path / "c", 1, max_size=70, deadline=0)


def test_a_file_of_unknown_size_is_content_with_a_small_folder(space, tmp_path):
    space.reserve(tmp_path / "a", None, max_size=1000, deadline=0)


def test_a_file_waits_until_another_one_is_gone(space, tmp_path, monkeypatch):
    monkeypatch.setattr(temp_space, "RECHECK_SECONDS", 600)
    space.reserve(tmp_path / "a", 60, max_size=100, deadline=0)
    waiting = threading.Thread(
        target=space.reserve, args=(tmp_path / "b", 60), kwargs={"max_size": 100, "deadline": float("inf")}
    )
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()

    space.release(tmp_path / "a")

    waiting.join(5)
    assert space._reserved == {tmp_path / "b": 60}


def test_a_file_that_is_written_takes_its_size_until_it_is_removed(space, tmp_path):
    space.reserve(tmp_path / "a", None, max_size=100, deadline=0)
    (tmp_path / "a").write_bytes(bytes(30))
    space.settle(tmp_path / "a")
    space.reserve(tmp_path / "b", 70, max_size=100, deadline=0)
    with pytest.raises(MachineFault):
        space.reserve(tmp_path / "c", 1, max_size=100, deadline=0)

    (tmp_path / "a").unlink()

    space.reserve(tmp_path / "c", 30, max_size=100, deadline=0)


def test_what_others_have_in_the_folder_is_not_handed_out(space, tmp_path, monkeypatch):
    """And what our own files have there already is not counted twice."""
    monkeypatch.setattr(temp_space, "SPARE_BYTES", 10)
    monkeypatch.setattr(temp_space.shutil, "disk_usage", lambda _: SimpleNamespace(total=1000, free=50))
    (tmp_path / "a").write_bytes(bytes(30))

    with pytest.raises(MachineFault, match="it is full"):
        space.reserve(tmp_path / "a", 41, max_size=100, deadline=0)
    space.reserve(tmp_path / "a", 40, max_size=100, deadline=0)
    space.reserve(tmp_path / "b", 30, max_size=100, deadline=0)


def test_a_download_reserves_what_it_announces_until_its_step_is_over(
    videos, scripted, film, monkeypatch, generation_factory, spaces
):
    monkeypatch.setenv("SORA_BASE_URL", scripted.base_url)
    scripted.script(answer(200, film, kind="video/mp4"))
    taken = []
    inspect = ffmpeg.inspect
    monkeypatch.setattr(
        ffmpeg, "inspect", lambda *paths: (taken.extend(TEMP_SPACE._reserved.values()), inspect(*paths))[1]
    )

    videos.process_and_store_video(
        f"{scripted.base_url}/videos/1/content", "sk-x", generation_factory()["id"], "soft", 1
    )

    assert (taken, TEMP_SPACE._reserved) == ([len(film)], {})


@pytest.mark.parametrize(
    "given", [answer(404), raw(head(200, {"Content-Type": "video/mp4", "Content-Length": 99}) + MP4)]
)
def test_a_download_that_fails_takes_no_room(videos, scripted, monkeypatch, given):
    monkeypatch.setenv("SORA_BASE_URL", scripted.base_url)
    scripted.script(given)

    with pytest.raises((JobGone, SceneFailure)):
        videos.download_sora_video(f"{scripted.base_url}/videos/1/content", "sk-x")

    assert TEMP_SPACE._reserved == {}
