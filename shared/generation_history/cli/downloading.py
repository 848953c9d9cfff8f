"""download: a generation as one zip, or its videos one by one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from generation_history.archives.download_names import archive_name, video_name
from generation_history.cli.file_download import Download
from generation_history.cli.history import Answer, History
from generation_history.cli.id_search import find_id
from generation_history.cli.options import generation_argument, with_record
from generation_history.cli.output import Output, megabytes
from generation_history.cli.waiting import Rounds
from generation_history.errors import Conflict, HistoryError
from generation_history.models import VARIANT_TYPES

HOUR_SECONDS = 3600
#: A builder tells how far it is about as often.
LONGEST_PAUSE_SECONDS = 5.0


@click.command()
@with_record
@generation_argument
@click.option(
    "--into",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    show_default="this folder",
    help="The folder to write to.",
)
@click.option("--videos", is_flag=True, help="Each video as a file of its own, in place of one zip.")
@click.option("--variant-type", type=click.Choice(VARIANT_TYPES), help="Only this variant's videos, each by itself.")
@click.option("--scene", "numbers", type=int, multiple=True, help="Only the scenes of this number, each by itself.")
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=HOUR_SECONDS,
    show_default=True,
    help="Seconds to wait for the zip to be made.",
)
def download(
    history: History,
    out: Output,
    *,
    generation: str,
    into: Path,
    videos: bool,
    variant_type: str | None,
    numbers: Sequence[int],
    force: bool,
    timeout: float,
) -> None:
    """Download a generation. Its zip, or its videos one by one; what was interrupted is gone on with."""
    shown = history.get_generation(find_id(history, generation))["generation"]
    if videos or variant_type or numbers:
        files = list(_videos(history, out, shown, into, variant_type=variant_type, numbers=numbers, force=force))
    else:
        files = [_zip(history, out, shown, into, force=force, timeout=timeout)]
    if out.as_json:
        out.document({"success": True, "files": files})
        return
    for file in files:
        there = "" if file["downloaded"] else " (there already)"
        out.line(f"{file['path']}  {megabytes(file['size'])}{there}")


def _zip(history: History, out: Output, generation: Answer, into: Path, *, force: bool, timeout: float) -> Answer:
    target = into / archive_name(generation["source_video_url"])
    if target.exists() and not force:
        # Before a zip is made for nothing.
        raise HistoryError(f"{target} is there already; --force replaces it")
    links = [_made(history, out, generation["id"], timeout)]

    def link() -> str:
        # The first is new; each later attempt takes another, because a link expires.
        return links.pop() if links else history.get_archive(generation["id"])["url"]

    with out.byte_progress() as progress:
        bar = progress.add_task(target.name)
        size = Download(
            link, target, force=force, progress=lambda done, total: progress.update(bar, completed=done, total=total)
        ).run()
    return _file(target, size)


def _made(history: History, out: Output, generation_id: str, timeout: float) -> str:
    """The link to the generation's zip, once it is made."""
    answer = history.ask_for_archive(generation_id)
    with out.byte_progress() as progress:
        bar = progress.add_task("making the zip")
        for number in Rounds(timeout, longest=LONGEST_PAUSE_SECONDS):
            if number > 1:
                answer = history.get_archive(generation_id)
            if answer["status"] == "ready":
                return answer["url"]
            progress.update(bar, completed=answer["bytes_done"], total=answer["bytes"])
    raise HistoryError(f"the zip is not made within {timeout:g} s; it is still {answer['status']}, so ask again later")


def _videos(
    history: History,
    out: Output,
    generation: Answer,
    into: Path,
    *,
    variant_type: str | None,
    numbers: Sequence[int],
    force: bool,
) -> Iterator[Answer]:
    """Each video that is stored, as a file that is there now."""
    wanted = [
        (video_name(generation["source_video_url"], variant["variant_type"], scene["scene_number"]), scene)
        for variant in history.variants_of(generation)
        if variant_type in {None, variant["variant_type"]}
        for scene in variant["scenes"]
        if scene["status"] == "completed" and (not numbers or scene["scene_number"] in numbers)
    ]
    if not wanted:
        raise Conflict("no such video is stored yet")
    with out.byte_progress() as progress:
        for name, scene in wanted:
            target = into / name
            if not force and target.is_file() and target.stat().st_size == scene["file_size"]:
                yield _file(target, scene["file_size"], downloaded=False)
                continue
            bar = progress.add_task(name, total=scene["file_size"])

            def link(scene_id: str = scene["id"]) -> str:
                return history.video_link(scene_id)

            def advance(done: int, total: int | None, bar: object = bar) -> None:
                progress.update(bar, completed=done, total=total)  # pyright: ignore[reportArgumentType]

            yield _file(target, Download(link, target, force=force, progress=advance).run())


def _file(path: Path, size: int, *, downloaded: bool = True) -> Answer:
    return {"path": str(path), "size": size, "downloaded": downloaded}
