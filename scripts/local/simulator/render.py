"""The simulator's only caller of ffmpeg: mp4, thumbnail and spritesheet, each there whole or not at all."""

import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import imageio_ffmpeg

from scripts.local.simulator.picture import FRAMES_PER_SECOND, digest, filter_graph

TIMEOUT_SECONDS = 300
SPRITES = 8

_VIDEO_CODEC = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-r", str(FRAMES_PER_SECOND)]
_AUDIO_CODEC = ["-c:a", "aac", "-b:a", "64k"]


class RenderError(Exception):
    """ffmpeg could not make a file; the message says what it wrote."""


class RenderStopped(Exception):
    """The simulator closed while a file was made; nothing can be said about the file."""


class Renderer:
    """ffmpeg, one process a call; whatever it started ends with `stop`."""

    def __init__(self) -> None:
        self._binary: str = imageio_ffmpeg.get_ffmpeg_exe()
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def video(self, target: Path, *, prompt: str, size: str, seconds: str) -> None:
        """The prompt's mp4 exists: exactly this size and length, the same bytes for the same three, for no others."""
        width, height = (int(side) for side in size.split("x"))
        graph = filter_graph(prompt, width=width, height=height, seconds=int(seconds))
        streams = ["-filter_complex", graph, "-map", "[v]", "-map", "[a]"]
        # Two prompts may look alike; their digests in the file's comment differ all the same.
        file = ["-t", seconds, "-metadata", f"comment={digest(prompt).hex()}", "-movflags", "+faststart"]
        self._make(target, [*streams, *_VIDEO_CODEC, *_AUDIO_CODEC, *file])

    def thumbnail(self, target: Path, video: Path, *, seconds: str) -> None:
        """A webp of the frame in the middle of the video exists."""
        self._make(
            target,
            ["-ss", str(int(seconds) / 2), "-i", str(video), "-frames:v", "1", "-c:v", "libwebp", "-quality", "80"],
        )

    def spritesheet(self, target: Path, video: Path, *, seconds: str) -> None:
        """A jpeg of frames from the whole video, four in a row, exists."""
        tiles = f"fps={SPRITES}/{seconds},scale=w='min(iw,240)':h=-2,tile=4x{SPRITES // 4}"
        self._make(
            target,
            ["-i", str(video), "-vf", tiles, "-frames:v", "1", "-update", "1", "-pix_fmt", "yuvj420p", "-q:v", "3"],
        )

    def stop(self) -> None:
        """Every running ffmpeg is killed and no other will start."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def _make(self, target: Path, arguments: Sequence[str]) -> None:
        """The target is made under another name first, so that a file of its name is always whole."""
        part = target.with_name(f"{uuid4().hex}.part{target.suffix}")
        try:
            self._run([*arguments, str(part)])
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _run(self, arguments: Sequence[str]) -> None:
        flags = ["-nostdin", "-hide_banner", "-v", "error", "-y"]
        one_thread = ["-threads", "1", "-filter_threads", "1", "-filter_complex_threads", "1"]
        command = [self._binary, *flags, *one_thread, *arguments[:-1], "-threads", "1", arguments[-1]]
        with self._started(command) as process:
            try:
                _, output = process.communicate(timeout=TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired as late:
                process.kill()
                raise RenderError(f"ffmpeg took longer than {TIMEOUT_SECONDS} s") from late
            finally:
                with self._lock:
                    self._running.discard(process)
        if self._stopped:
            raise RenderStopped
        if process.returncode:
            raise RenderError(f"ffmpeg ended with {process.returncode}: {output.decode(errors='replace').strip()}")

    def _started(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise RenderStopped
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            self._running.add(process)
            return process
