"""list, show and stats: what is recorded."""

from collections.abc import Iterator
from typing import Any

import click

from generation_history.archives.download_names import source_name
from generation_history.cli.history import MAX_PAGE, Answer, Filters, History, pages
from generation_history.cli.id_search import find_id
from generation_history.cli.options import generation_argument, with_filters, with_record
from generation_history.cli.output import Output, dollars, megabytes, moment, short_moment

PAGE = 20


@click.command("list")
@with_record
@with_filters
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=PAGE, show_default=True, help="Generations a page.")
@click.option("--cursor", metavar="CURSOR", help="Go on from here: next_cursor of the page before.")
@click.option("--all", "everything", is_flag=True, help="All pages as one.")
def list_generations(
    history: History, out: Output, *, filters: Filters, limit: int, cursor: str | None, everything: bool
) -> None:
    """List generations, newest first."""
    if everything:
        answer = _joined(pages(history, filters, limit=MAX_PAGE, cursor=cursor))
    else:
        answer = history.list_page(filters, limit=limit, cursor=cursor)
    if out.as_json:
        out.document(answer)
        return
    out.table(
        ("id", "created", "status", "videos", "cost", "source"),
        (_row(generation) for generation in answer["generations"]),
    )
    if answer["next_cursor"]:
        out.note(f"{answer['count']} shown; the next page: --cursor {answer['next_cursor']}, or --all")


@click.command()
@with_record
@generation_argument
@click.option("--prompts", is_flag=True, help="Show the scenes' prompts.")
def show(history: History, out: Output, *, generation: str, prompts: bool) -> None:
    """Show one generation with its scenes."""
    answer = history.get_generation(find_id(history, generation))
    if out.as_json:
        out.document(answer)
        return
    shown = answer["generation"]
    variants = history.variants_of(shown)
    for name, value in _facts(shown):
        out.line(f"{name:<10} {value}")
    out.line("")
    out.table(
        ("variant", "scene", "status", "attempt", "seconds", "size", "why it failed"),
        (_scene_row(variant, scene) for variant in variants for scene in variant["scenes"]),
    )
    if prompts:
        for variant in variants:
            for scene in variant["scenes"]:
                out.line(f"\n{variant['variant_type']} {scene['scene_number']}", style="bold")
                out.line(scene.get("sora_prompt") or "")


@click.command()
@with_record
def stats(history: History, out: Output) -> None:
    """Show totals over all generations, by variant and by day."""
    answer = history.get_stats()
    if out.as_json:
        out.document(answer)
        return
    told = answer["stats"]
    for name, value in _totals(told):
        out.line(f"{name:<12} {value}")
    out.line("")
    out.table(
        ("variant", "variants", "completed", "failed", "videos", "seconds", "success", "rendered for", "cost unknown"),
        (
            (
                one["variant_type"],
                *(one[name] for name in ("variants", "completed", "failed", "videos", "seconds")),
                _share(one["success_rate"]),
                dollars(one["rendered_cost"]),
                one["cost_unknown"],
            )
            for one in told["by_variant"]
        ),
    )
    days = [day for day in told["by_day"] if day["generations"]]
    if days:
        out.line("")
        out.table(
            ("day (UTC)", "generations", "completed", "failed", "videos", "cost", "cost unknown"),
            (
                (
                    *(day[name] for name in ("day", "generations", "completed", "failed", "videos")),
                    dollars(day["cost"]),
                    day["cost_unknown"],
                )
                for day in days
            ),
        )


def _joined(answers: Iterator[Answer]) -> Answer:
    """All pages as one answer."""
    joined = next(answers)
    for page in answers:
        joined["generations"] += page["generations"]
    return {**joined, "count": len(joined["generations"]), "next_cursor": None, "next_offset": None}


def _row(generation: Answer) -> tuple[object, ...]:
    scenes = [scene for variant in generation["variants"] for scene in variant["scenes"]]
    announced = sum(variant["total_scenes"] for variant in generation["variants"])
    failed = sum(scene["status"] == "failed" for scene in scenes)
    videos = sum(variant["scenes_completed"] for variant in generation["variants"])
    return (
        generation["short_id"],
        short_moment(generation["created_at"]),
        generation["status"],
        f"{videos}/{max(announced, len(scenes))}" + (f", {failed} failed" if failed else ""),
        dollars(generation["actual_cost"]),
        source_name(generation["source_video_url"]),
    )


def _facts(generation: Answer) -> Iterator[tuple[str, Any]]:
    yield "id", generation["id"]
    yield "source", generation["source_video_url"]
    yield "variants", " ".join(generation["variant_types"])
    yield "status", generation["status"]
    if generation["error_message"]:
        yield "because", generation["error_message"]
    yield "created", moment(generation["created_at"])
    if generation["completed_at"]:
        yield "completed", moment(generation["completed_at"])
    yield "cost", dollars(generation["actual_cost"])
    yield "estimate", dollars(generation["cost_estimate"])
    kinds = [kind for kind, value in generation["metadata"].items() if value is not None]
    kinds += generation.get("metadata_urls", {})
    yield "metadata", ", ".join(kinds) or "none"


def _scene_row(variant: Answer, scene: Answer) -> tuple[object, ...]:
    why = ": ".join(filter(None, (scene["error_code"], scene["error_message"])))
    return (
        variant["variant_type"],
        scene["scene_number"],
        scene["status"],
        scene["attempt"],
        scene["duration"],
        megabytes(scene["file_size"]),
        why,
    )


def _totals(told: Answer) -> Iterator[tuple[str, str]]:
    by_status = ", ".join(f"{told[name]} {name}" for name in ("pending", "processing", "completed", "failed"))
    yield "generations", f"{told['total_generations']} ({by_status})"
    yield "videos", f"{told['total_videos']}, {megabytes(told['total_bytes'])}, {told['total_seconds']} s"
    yield "success", _share(told["success_rate"])
    yield "cost", f"{dollars(told['total_cost'])}, and {told['cost_unknown']} generations whose cost is unknown"
    unknown = told["estimate_unknown"]
    yield "estimated", f"{dollars(told['estimated_cost'])}, and {unknown} generations without an estimate"


def _share(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.0%}"
