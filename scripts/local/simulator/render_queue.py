"""Where jobs become files: rendered in the background from the moment they are accepted, until they are."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal

from scripts.local.simulator.directives import PROVIDER_ERROR
from scripts.local.simulator.job import Job
from scripts.local.simulator.jobs import Jobs
from scripts.local.simulator.render import Renderer, RenderError, RenderStopped

Variant = Literal["video", "thumbnail", "spritesheet"]

WORKERS = 2
SUFFIXES: dict[Variant, str] = {"video": ".mp4", "thumbnail": ".webp", "spritesheet": ".jpg"}


class Studio:
    """The files of one data folder and the two threads that make them; what a killed process left open is made anew.

    With `content`, a file that is every job's video, there is nothing to make.
    """

    def __init__(self, folder: Path, jobs: Jobs, *, content: Path | None = None) -> None:
        self._folder = folder
        self._jobs = jobs
        self._content = content
        self._renderer = Renderer()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="render")
        for part in folder.glob("*.part.*"):
            part.unlink(missing_ok=True)
        for job in jobs.unrendered():
            self.start(job)

    def start(self, job: Job) -> None:
        """The job's video is under way; a job that is to fail needs none."""
        if job.error_code is None and self._content is not None:
            self._jobs.rendered(job.id)
        elif job.error_code is None:
            # A pool that is closing takes no more; the stored job is started by the next process.
            with suppress(RuntimeError):
                self._pool.submit(self._render, job)

    def file(self, job: Job, variant: Variant) -> Path:
        """The finished job's file of this variant; thumbnail and spritesheet are made when first asked for."""
        video = self._content or self._path(job, "video")
        target = video if variant == "video" else self._path(job, variant)
        if target.exists():
            return target
        match variant:
            case "thumbnail":
                self._renderer.thumbnail(target, video, seconds=job.seconds)
            case "spritesheet":
                self._renderer.spritesheet(target, video, seconds=job.seconds)
            case "video":
                raise FileNotFoundError(target)
        return target

    def forget(self, job: Job) -> None:
        """No file of the job is left."""
        for variant in SUFFIXES:
            self._path(job, variant).unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is rendering any more; what was unfinished is made by the next process."""
        self._renderer.stop()
        self._pool.shutdown(cancel_futures=True)

    def _render(self, job: Job) -> None:
        try:
            self._renderer.video(self._path(job, "video"), prompt=job.prompt, size=job.size, seconds=job.seconds)
        except RenderStopped:
            return
        except (RenderError, OSError) as error:
            self._jobs.failed(job.id, PROVIDER_ERROR[0], f"{PROVIDER_ERROR[1]} {error}")
            return
        if not self._jobs.rendered(job.id):
            self.forget(job)

    def _path(self, job: Job, variant: Variant) -> Path:
        return self._folder / f"{job.id}{SUFFIXES[variant]}"
