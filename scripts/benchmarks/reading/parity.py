"""Whether every way of asking answers the same: a fast answer that is wrong is none."""

from scripts.benchmarks.reading import calls
from scripts.benchmarks.reading.calls import Floor
from scripts.benchmarks.reading.cases import Ask, Case
from scripts.benchmarks.reading.outlines import Outline
from scripts.benchmarks.reading.ways import OldWay, Plain


class NoParityError(AssertionError):
    """Two ways of asking for the same answered differently; the text says which and where."""


def check(case: Case, api_url: str, plain: Plain, old_way: OldWay) -> None:
    """Returns if function, floor, plain query and old way agree on ids, order and counts; else raises NoParityError."""
    for ask in case.asks:
        _check(case.name, ask, api_url, plain, old_way)


def _check(name: str, ask: Ask, api_url: str, plain: Plain, old_way: OldWay) -> None:
    call = calls.handler(ask.request, ask.owner, api_url)
    outlines = {"the function": ask.outline_answer(calls.answer(call)), "the old way": ask.outline_by(old_way)}
    with Floor(call, api_url) as floor:
        outlines["the floor"] = ask.outline_rows(floor.rows())
    expected = ask.outline_by(plain)
    if not expected:
        raise NoParityError(f"{name}: there is nothing to answer, so nothing is compared")
    for way, outline in outlines.items():
        if outline != expected:
            raise NoParityError(f"{name}: {way} and the plain query differ: {_difference(outline, expected)}")


def _difference(outline: Outline, expected: Outline) -> str:
    if len(outline) != len(expected):
        return f"{len(outline)} against {len(expected)} items"
    number = next(number for number, pair in enumerate(zip(outline, expected, strict=True)) if pair[0] != pair[1])
    return f"at {number}, {outline[number]} against {expected[number]}"
