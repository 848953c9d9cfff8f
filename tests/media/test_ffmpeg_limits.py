"""The binary is held to its limits, whatever it does, and leaves nothing behind; a stand-in for it misbehaves."""

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from pathlib import Path

import psutil
import pytest

from generation_history.errors import MachineFault, NotConfigured, SceneFailure
from generation_history.files.bounded_process import Run
from generation_history.media import ffmpeg
from tests.support import films

#: What ffmpeg says of a good video, as soon as it has opened it.
SEEN = """cat >&2 <<END
  Duration: 00:00:02.00, start: 0.000000, bitrate: 42 kb/s
  Stream #0:0[0x1](und): Video: h264 (High), yuv420p(progressive), 160x90 [SAR 1:1 DAR 16:9], 35 kb/s, 24 fps
END
"""
#: The picture is what it writes to its standard output.
PICTURE = "picture=/dev/stdout\n"


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Makes a shell script the binary, which is taken for one that works."""
    monkeypatch.setattr(ffmpeg, "_prove_machine", lambda _: None)

    def stand_in(script: str) -> None:
        path = tmp_path / "stand-in"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(ffmpeg, "executable", lambda: str(path))

    return stand_in


@pytest.fixture
def inspect(tmp_path):
    """Inspects some file; whatever comes of it, no process and no file is left, unless a good picture was made."""
    video, picture = tmp_path / "video.mp4", tmp_path / "picture.jpg"

    def inspect() -> ffmpeg.Inspection:
        files, processes = set(tmp_path.iterdir()), set(psutil.Process().children(recursive=True))
        try:
            inspection = ffmpeg.inspect(video, picture)
        finally:
            assert set(psutil.Process().children(recursive=True)) <= processes
        assert set(tmp_path.iterdir()) == files | ({picture} if inspection.thumbnail_error is None else set())
        return inspection

    return inspect


def test_a_stand_in_that_behaves_is_believed(stand_in, inspect):
    """So the failures below are the limits'."""
    stand_in(SEEN + PICTURE + 'echo picture > "$picture"')

    assert inspect() == ffmpeg.Inspection(2.0, "160x90", None)


def test_a_binary_that_hangs_is_stopped(stand_in, inspect, monkeypatch):
    monkeypatch.setattr(ffmpeg, "TIMEOUT_SECONDS", 0.2)
    stand_in("exec sleep 600")

    with pytest.raises(MachineFault, match="did not finish within"):
        inspect()


def test_a_picture_that_waits_for_a_busy_machine_is_no_judgement(stand_in, inspect, monkeypatch):
    monkeypatch.setattr(ffmpeg, "TIMEOUT_SECONDS", 0.5)
    stand_in(SEEN + PICTURE + 'case "$*" in *framecrc*) exit 0;; esac; echo half > "$picture"; exec sleep 600')

    with pytest.raises(MachineFault, match="did not finish within"):
        inspect()


def ended(**how: object) -> Run:
    usual = {"status": None, "signal": None, "cpu_seconds": 0.1, "timed_out": False, "cut_off": False}
    return Run(**(usual | how), output=b"", log="")


@pytest.mark.parametrize(
    "how",
    [
        {"status": 0},
        {"status": 1},
        {"signal": 9, "cpu_seconds": ffmpeg.CPU_SECONDS - 0.5},
        {"signal": 9, "timed_out": True, "cpu_seconds": ffmpeg.CPU_SECONDS * 0.6},
        {"signal": 9, "cut_off": True},
        *({"signal": number} for number in (signal.SIGXCPU, signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE)),
    ],
)
def test_a_run_that_met_its_own_end_is_the_files_fault(how):
    assert ffmpeg._machine_fault(ended(**how)) is None


@pytest.mark.parametrize(
    "how",
    [
        {"status": 126},
        {"status": 127},
        {"status": 255},
        {"signal": 9, "cpu_seconds": ffmpeg.CPU_SECONDS / 2},
        {"signal": 9, "timed_out": True, "cpu_seconds": ffmpeg.CPU_SECONDS * 0.4},
        *(
            {"signal": number}
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGBUS, signal.SIGILL)
        ),
    ],
)
def test_a_run_that_was_ended_from_outside_is_this_machines_fault(how):
    assert ffmpeg._machine_fault(ended(**how))


def test_a_binary_that_ignores_being_asked_to_end_is_stopped_all_the_same(stand_in, inspect, monkeypatch):
    monkeypatch.setattr(ffmpeg, "TIMEOUT_SECONDS", 0.2)
    stand_in("trap '' TERM INT XFSZ XCPU HUP; while :; do :; done")

    with pytest.raises(MachineFault, match="did not finish within"):
        inspect()


def test_a_binary_that_spins_runs_out_of_its_processor_time(stand_in, inspect, monkeypatch):
    monkeypatch.setattr(ffmpeg, "CPU_SECONDS", 1)
    stand_in(SEEN + "while :; do :; done")

    assert "stopped by signal" in inspect().thumbnail_error


@pytest.mark.parametrize("megabytes", [16, 512])
def test_a_binary_gets_no_more_memory_than_its_limit(stand_in, inspect, monkeypatch, megabytes):
    monkeypatch.setattr(ffmpeg, "MEMORY_BYTES", 256 * 1024**2)
    grow = f"{sys.executable} -c 'bytearray({megabytes} * 1024**2)' && echo picture > \"$picture\""
    stand_in(SEEN + PICTURE + grow)

    assert (inspect().thumbnail_error is None) == (megabytes == 16)


def test_a_film_that_asks_for_more_memory_than_a_function_has_is_kept_without_a_picture(tmp_path):
    """With the limit as it is shipped: sixteen frames of 8192x8192 to look back at are a gigabyte."""
    video = films.film(tmp_path / "film.mp4", ("red", 1), size="8192x8192", rate=4, refs=16, level="6.2")

    inspection = ffmpeg.inspect(video, tmp_path / "picture.jpg")

    assert inspection.resolution == "8192x8192"
    assert inspection.thumbnail_error


@pytest.mark.parametrize("size", ["720x1280", "1080x1920", "3840x2160"])
def test_a_film_of_any_usual_size_has_a_picture_within_the_limits(tmp_path, size):
    video = films.film(tmp_path / "film.mp4", ("red", 1.5), size=size, rate=8)

    assert ffmpeg.inspect(video, tmp_path / "picture.jpg") == ffmpeg.Inspection(1.5, size, None)


@pytest.mark.parametrize("line", ["y", "a long line " * 10_000, ""])
def test_what_a_binary_says_without_end_is_cut_off(stand_in, inspect, line):
    stand_in(f"exec yes '{line}' >&2")

    with pytest.raises(SceneFailure, match="no video") as raised:
        inspect()

    assert len(str(raised.value)) < 500


def test_a_binary_that_ignores_the_limit_on_files_still_cannot_write_any(stand_in, inspect, tmp_path, monkeypatch):
    monkeypatch.setattr(ffmpeg, "TIMEOUT_SECONDS", 1)
    largest = tmp_path / "largest"
    largest.touch()
    stand_in(f"trap '' XFSZ; cat /dev/zero > {largest}; exec sleep 600")

    with pytest.raises(MachineFault):
        inspect()

    assert largest.stat().st_size == 0


def test_a_picture_without_end_is_cut_off_and_removed(stand_in, inspect):
    stand_in(SEEN + PICTURE + 'exec cat /dev/zero > "$picture"')

    assert "wrote too much" in inspect().thumbnail_error


@pytest.mark.parametrize("script", ["", "echo > /dev/null", ': > "$picture"'])
def test_a_picture_that_is_missing_or_empty_is_none(stand_in, inspect, script):
    stand_in(SEEN + PICTURE + script)

    assert "made no thumbnail" in inspect().thumbnail_error


def test_a_picture_of_no_video_is_removed(stand_in, inspect):
    stand_in(PICTURE + 'echo picture > "$picture"')

    with pytest.raises(SceneFailure):
        inspect()


def test_a_binary_that_fails_leaves_no_picture(stand_in, inspect):
    stand_in(SEEN + PICTURE + 'echo half > "$picture"; echo Conversion failed! >&2; exit 1')

    assert inspect().thumbnail_error.endswith("Conversion failed!")


def test_the_binary_learns_nothing_of_our_settings(stand_in, inspect, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    stand_in(SEEN + "env >&2; exit 1")

    assert "sk-secret" not in inspect().thumbnail_error


# ---------------------------------------------------------------- which binary


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """An imageio_ffmpeg whose binary lost its exec bit."""
    real = ffmpeg.executable()
    binary = tmp_path / "bundle" / "binaries" / "ffmpeg-linux-x86_64-v7"
    binary.parent.mkdir(parents=True)
    binary.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
    binary.chmod(0o644)
    spec = ModuleSpec("imageio_ffmpeg", None, is_package=True)
    spec.submodule_search_locations = [str(binary.parent.parent)]
    monkeypatch.setattr(ffmpeg, "find_spec", lambda _: spec)
    ffmpeg._executable.cache_clear()
    yield binary
    ffmpeg._executable.cache_clear()


def test_a_binary_without_its_exec_bit_is_copied_and_works(bundle, tmp_path):
    assert not os.access(bundle, os.X_OK)

    inspection = ffmpeg.inspect(films.film(tmp_path / "video.mp4"), tmp_path / "picture.jpg")

    assert inspection.thumbnail_error is None


def test_a_binary_is_copied_once_for_all_threads(bundle, tmp_path):
    before = set(tmp_path.iterdir())
    together = threading.Barrier(8)

    def ask(_: int) -> str:
        together.wait()
        return ffmpeg.executable()

    with ThreadPoolExecutor(8) as threads:
        asked = set(threads.map(ask, range(8)))

    assert len(asked) == 1
    assert set(tmp_path.iterdir()) - before == {Path(name) for name in asked}


def test_a_binary_that_can_be_run_is_not_copied(bundle):
    bundle.chmod(0o755)

    assert ffmpeg.executable() == str(bundle)


def test_a_missing_binary_names_the_package(bundle):
    bundle.unlink()

    with pytest.raises(NotConfigured, match="imageio-ffmpeg"):
        ffmpeg.executable()
