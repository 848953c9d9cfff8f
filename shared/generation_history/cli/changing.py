"""retry, cancel, delete and restore."""

import sys
from collections.abc import Iterable, Sequence

import click

from generation_history.cli.history import Answer, History
from generation_history.cli.id_search import find_id, whole_id
from generation_history.cli.options import generation_argument, with_record
from generation_history.cli.output import Output
from generation_history.errors import Conflict
from generation_history.models import RETRY_SUBMITS, VARIANT_TYPES

#: What the record says of a generation that a person cancelled.
CANCELLED = "cancelled"
_NOT_SURE = "submit_unknown"


@click.command()
@with_record
@generation_argument
@click.option("--variant-type", type=click.Choice(VARIANT_TYPES), help="Only this variant's scenes.")
@click.option("--scene", "numbers", type=int, multiple=True, help="Only the scenes of this number.")
@click.option(
    "--confirmed", is_flag=True, help="The provider has no job of a scene that failed as submit_unknown: post it again."
)
@click.option("--yes", is_flag=True, help="Do not ask before something is paid for.")
@click.pass_context
def retry(
    context: click.Context,
    history: History,
    out: Output,
    *,
    generation: str,
    variant_type: str | None,
    numbers: Sequence[int],
    confirmed: bool,
    yes: bool,
) -> None:
    """Try failed scenes again. What is paid for is fetched, else a new video is paid for."""
    shown = history.get_generation(find_id(history, generation))["generation"]
    variants = history.variants_of(shown)
    wanted = [variant for variant in variants if variant_type in {None, variant["variant_type"]}]
    scenes = [
        scene
        for variant in wanted
        for scene in variant["scenes"]
        if scene["status"] == "failed" and (not numbers or scene["scene_number"] in numbers)
    ]
    if not scenes:
        raise Conflict("there is no failed scene to retry")
    _agree_to_pay(scenes, confirmed=confirmed, yes=yes)
    retried, refused = _retried(history, scenes, confirmed=confirmed)
    if out.as_json:
        out.document({"success": not refused, "scenes": retried, "refused": refused})
    else:
        out.line(f"{len(retried)} of {len(scenes)} failed scenes are tried again")
        numbered = {scene["id"]: scene["scene_number"] for scene in scenes}
        for one in refused:
            out.note(f"scene {numbered[one['scene_id']]}: {one['error']}")
    context.exit(1 if refused else 0)


def _agree_to_pay(scenes: Iterable[Answer], *, confirmed: bool, yes: bool) -> None:
    """Returns once a person agreed to what the retry may cost."""
    paid = {*RETRY_SUBMITS, *([_NOT_SURE] if confirmed else [])}
    number = sum(scene["error_code"] in paid for scene in scenes)
    if not number or yes:
        return
    if not _can_ask():
        raise click.UsageError(f"{number} scenes may be paid for again: say --yes where nobody can be asked")
    click.confirm(f"{number} scenes may be paid for again. Go on?", abort=True, err=True)


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _retried(history: History, scenes: Iterable[Answer], *, confirmed: bool) -> tuple[list[Answer], list[Answer]]:
    """The scenes that are tried again, and the errors of the others; an error that is not a scene's own is raised."""
    retried: list[Answer] = []
    refused: list[Answer] = []
    for scene in scenes:
        sure = confirmed and scene["error_code"] == _NOT_SURE
        try:
            retried.append(history.retry_scene(scene["id"], confirmed=sure)["scene"])
        except Conflict as error:
            refused.append({"scene_id": scene["id"], "error": str(error), "code": error.code})
    return retried, refused


@click.command()
@with_record
@generation_argument
def cancel(history: History, out: Output, *, generation: str) -> None:
    """Cancel a generation. What is not submitted yet is never paid for, and what is paid for still comes home."""
    generation_id = find_id(history, generation)
    before = history.get_generation(generation_id)["generation"]
    if before["status"] in {"completed", "failed"}:
        raise Conflict(f"{generation_id} has ended already: it is {before['status']}")
    answer = history.fail_generation(generation_id, CANCELLED)
    if out.as_json:
        out.document(answer)
        return
    variants = history.variants_of(history.get_generation(generation_id)["generation"])
    scenes = [scene for variant in variants for scene in variant["scenes"]]
    not_paid = sum(scene["error_code"] == CANCELLED for scene in scenes)
    under_way = sum(scene["status"] in {"pending", "processing"} for scene in scenes)
    out.line(f"{generation_id} is cancelled")
    out.line(f"{not_paid} scenes were not submitted: they are cancelled for good, and cost nothing")
    out.line(f"{under_way} scenes are submitted and paid for: their videos are still fetched and stored")


@click.command()
@with_record
@generation_argument
def delete(history: History, out: Output, *, generation: str) -> None:
    """Delete a generation. It is hidden at once, and can be restored for 30 days."""
    generation_id = find_id(history, generation)
    _message(out, history.delete_generation(generation_id), f"generation-history restore {generation_id} undoes it")


@click.command()
@with_record
@generation_argument
def restore(history: History, out: Output, *, generation: str) -> None:
    """Restore a deleted generation. Its whole id names it, and what its deletion had cancelled is queued again."""
    _message(out, history.restore_generation(whole_id(generation)))


def _message(out: Output, answer: Answer, more: str = "") -> None:
    if out.as_json:
        out.document(answer)
        return
    out.line(answer.get("message", "done"))
    if more:
        out.line(more)
