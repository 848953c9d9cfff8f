"""watch: until a generation has ended."""

import click

from generation_history.cli.history import Answer, History
from generation_history.cli.id_search import find_id
from generation_history.cli.options import generation_argument, with_record
from generation_history.cli.output import Output
from generation_history.cli.waiting import Rounds
from generation_history.errors import HistoryError, Unavailable
from generation_history.models import STATUSES

DAY_SECONDS = 24 * 3600
#: So many rounds in a row without an answer, each tried several times, are too many.
MAX_SILENT_ROUNDS = 10


@click.command()
@with_record
@generation_argument
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=DAY_SECONDS, show_default=True, help="Seconds to watch at most."
)
@click.pass_context
def watch(context: click.Context, history: History, out: Output, *, generation: str, timeout: float) -> None:
    """Watch a generation until it has ended. The exit code is 0 once it is completed, and 1 once it has failed."""
    answer = _ended(history, out, find_id(history, generation), timeout)
    ended = answer["generation"]
    if out.as_json:
        out.document(answer)
    else:
        why = f": {ended['error_message']}" if ended["error_message"] else ""
        out.line(f"{ended['status']}: {_told(_count(history.variants_of(ended)))}{why}")
    context.exit(0 if ended["status"] == "completed" else 1)


def _ended(history: History, out: Output, generation_id: str, timeout: float) -> Answer:
    """The answer that says how the generation ended; HistoryError when the time is over before."""
    rounds, silent, last = Rounds(timeout), 0, ""
    with out.count_progress() as progress:
        bar = progress.add_task("", total=None)
        for _ in rounds:
            try:
                answer = history.get_generation(generation_id)
            except Unavailable:
                silent += 1
                if silent == MAX_SILENT_ROUNDS:
                    raise
                continue
            silent = 0
            if answer["generation"]["status"] in {"completed", "failed"}:
                return answer
            counts = _count(history.variants_of(answer["generation"]))
            told = _told(counts)
            over = counts["completed"] + counts["failed"]
            progress.update(bar, description=told, completed=over, total=sum(counts.values()) or None)
            if told != last:
                rounds.look_soon()
                if progress.disable:
                    out.note(told)
            last = told
    raise HistoryError(f"{generation_id} has not ended within {timeout:g} s: {last or 'there was no answer'}")


def _count(variants: list[Answer]) -> dict[str, int]:
    """How many scenes there are, by status; those that are announced and not recorded yet are pending."""
    counts: dict[str, int] = dict.fromkeys(STATUSES, 0)
    for variant in variants:
        for scene in variant["scenes"]:
            counts[scene["status"]] += 1
        counts["pending"] += max(0, variant["total_scenes"] - len(variant["scenes"]))
    return counts


def _told(counts: dict[str, int]) -> str:
    named = [f"{number} {status}" for status, number in counts.items() if number]
    return f"scenes: {', '.join(named) or 'none yet'}"
