"""What is measured: each endpoint with each filter, at any depth, and how every way is asked for the same."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, LiteralString
from urllib.parse import urlencode

from generation_history.ids import short_id
from generation_history.record.stats import stats_of
from scripts.benchmarks.reading import calls, outlines
from scripts.benchmarks.reading.calls import Request
from scripts.benchmarks.reading.fill import BIG_OWNER, COMMON_WORD, RARE_TYPE, RARE_WORD
from scripts.benchmarks.reading.outlines import Outline
from scripts.benchmarks.reading.place import Place
from scripts.benchmarks.reading.ways import Page, Plain, Way

#: Neighbouring pages that take turns where a list is read deep in it: together they have more links than an instance
#: keeps signed, so that each is signed anew. The first page of a list comes again and again, as in life.
TURNS = 30


@dataclass(frozen=True)
class Ask:
    """One call, how another way is asked for the same, and how to see that they agree."""

    request: Request
    outline_by: Callable[[Way], Outline]
    #: What the function's answer says, and what the floor's rows do.
    outline_answer: Callable[[Mapping[str, Any]], Outline]
    outline_rows: Callable[[Sequence[Mapping[str, Any]]], Outline]
    owner: uuid.UUID = BIG_OWNER


@dataclass(frozen=True)
class Case:
    """A kind of call; its asks take turns."""

    name: str
    asks: Sequence[Ask]
    #: Whether it makes a page of signed URLs.
    signs: bool = False
    #: Whether it may take longer among more generations.
    may_grow: bool = False


@dataclass(frozen=True)
class Filter:
    """What a list is narrowed to: as its query string has it, and what it means."""

    query: str = ""
    where: LiteralString = "true"
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])


_ALL = Filter()
_COMPLETED = Filter("status=completed", "status = 'completed'")
_PROCESSING = Filter("status=processing", "status = 'processing'")
_UNFINISHED = Filter("status=pending,processing", "status in ('pending', 'processing')")


def _of_type(variant_type: str) -> Filter:
    where = "%(variant_type)s = any (variant_types)"
    return Filter(f"variant_type={variant_type}", where, {"variant_type": variant_type})


def _with_word(word: str) -> Filter:
    return Filter(f"q={word}", "source_video_url ilike %(pattern)s", {"pattern": f"%{word}%"})


def _with_short_id(generation_id: uuid.UUID) -> Filter:
    short = short_id(generation_id)
    return Filter(f"q={short}", "right(id::text, 8) = %(short_id)s", {"short_id": short})


def _between(plain: Plain) -> Filter:
    """The fifth of the big owner's generations in the middle of its list."""
    count = plain.count(Page(BIG_OWNER, 0))
    newest, oldest = (plain.position(Page(BIG_OWNER, 0, skip=count * part // 10))[0] for part in (4, 6))
    query = urlencode({"created_from": oldest, "created_to": newest})
    return Filter(query, "created_at between %(oldest)s and %(newest)s", {"oldest": oldest, "newest": newest})


def cases(place: Place, plain: Plain, small_owner: uuid.UUID) -> list[Case]:
    """Every case, over what this database holds."""
    generation_id, variant_id, scene_id = _in_the_middle(plain)
    lists = _Lists(place, plain)
    return [
        lists.first("list 20"),
        lists.first("list 50", limit=50),
        lists.first("list 20, a small owner", owner=small_owner),
        lists.first("list 20, status=completed", _COMPLETED),
        lists.first("list 20, status=processing", _PROCESSING),
        lists.first("list 20, status=pending,processing", _UNFINISHED),
        lists.first("list 20, variant_type=medium", _of_type("medium")),
        lists.first(f"list 20, variant_type={RARE_TYPE} (rare)", _of_type(RARE_TYPE)),
        lists.first("list 20, created_from, created_to", _between(plain)),
        *(lists.deep("list 20", depth) for depth in (1, 50, 90)),
        lists.deep("list 50", 50, limit=50),
        lists.deep("list 20, status=completed", 50, _COMPLETED),
        lists.deep("list 20, status=pending,processing", 90, _UNFINISHED),
        lists.deep("list 20, variant_type=medium", 90, _of_type("medium")),
        lists.first("library 20", _COMPLETED, function="library"),
        *(lists.deep("library 20", depth, _COMPLETED, function="library") for depth in (50, 90)),
        lists.first(f"list 20, q={RARE_WORD} (rare)", _with_word(RARE_WORD), may_grow=True),
        lists.first(f"list 20, q={COMMON_WORD} (common)", _with_word(COMMON_WORD), may_grow=True),
        lists.first("list 20, q=short id", _with_short_id(generation_id), may_grow=True),
        Case("detail", [_detail(generation_id)], signs=True),
        Case("variants", [_variants(generation_id)], signs=True),
        Case("scenes of a variant", [_scenes(variant_id)], signs=True),
        Case("link to a video", [_video(scene_id)]),
        Case("stats", [_stats(BIG_OWNER)]),
        Case("stats, a small owner", [_stats(small_owner)]),
    ]


# ---------------------------------------------------------------- lists


class _Lists:
    """Cases of the two lists; the library is the list of what is completed, and has no status to ask for."""

    def __init__(self, place: Place, plain: Plain) -> None:
        self._place = place
        self._plain = plain

    def first(
        self,
        name: str,
        case_filter: Filter = _ALL,
        *,
        limit: int = 20,
        owner: uuid.UUID = BIG_OWNER,
        function: str = "generations",
        may_grow: bool = False,
    ) -> Case:
        """The first page."""
        page = Page(owner, limit, case_filter.where, case_filter.parameters)
        query = _query(case_filter, function, f"limit={limit}")
        return Case(name, [_page(function, page, query)], signs=True, may_grow=may_grow)

    def deep(
        self, name: str, depth: int, case_filter: Filter = _ALL, *, limit: int = 20, function: str = "generations"
    ) -> Case:
        """Pages from so many percent of the list on, asked for by cursor."""
        count = self._plain.count(Page(BIG_OWNER, 0, case_filter.where, case_filter.parameters))
        position = count * depth // 100
        query = _query(case_filter, function, "limit=1", f"offset={position - 1}")
        asks: list[Ask] = []
        while position < count and len(asks) < TURNS:
            cursor = self._next_cursor(function, query)
            query = _query(case_filter, function, f"limit={limit}", f"cursor={cursor}")
            asks.append(
                _page(function, Page(BIG_OWNER, limit, case_filter.where, case_filter.parameters, position), query)
            )
            position += limit
        return Case(f"{name}, cursor at {depth} %", asks, signs=True)

    def _next_cursor(self, function: str, query: str) -> str:
        return calls.answer(calls.handler(Request(function, query=query), BIG_OWNER, self._place.api))["next_cursor"]


def _query(case_filter: Filter, function: str, *pairs: str) -> str:
    filter_pair = "" if function == "library" else case_filter.query
    return "&".join(part for part in (filter_pair, *pairs) if part)


def _page(function: str, page: Page, query: str) -> Ask:
    def outline_answer(answer: Mapping[str, Any]) -> Outline:
        items = answer[function]
        if answer["count"] != len(items):
            raise AssertionError(f"count is {answer['count']} for {len(items)} items")
        return outlines.generations(items)

    return Ask(
        Request(function, query=query),
        lambda way: way.page(page),
        outline_answer,
        # One more is asked for than is shown: it tells whether there are more.
        lambda rows: outlines.generations(calls.records(rows)[: page.limit]),
        page.owner,
    )


# ---------------------------------------------------------------- single records


def _in_the_middle(plain: Plain) -> tuple[uuid.UUID, uuid.UUID, uuid.UUID]:
    """The ids of a completed generation of the big owner's that has its attempts, of a variant and of a scene of it."""
    completed = Page(BIG_OWNER, 100, _COMPLETED.where)
    middle_page = Page(BIG_OWNER, 100, _COMPLETED.where, skip=plain.count(completed) // 2)
    generation_id = plain.one_with_attempts(middle_page)
    (variant_id, (scene_id, *_)), *_ = plain.variants(generation_id)
    return generation_id, uuid.UUID(variant_id), uuid.UUID(scene_id)


def _detail(generation_id: uuid.UUID) -> Ask:
    return Ask(
        Request("generations", f"/{generation_id}"),
        lambda way: way.generation(generation_id),
        lambda answer: outlines.generation(answer["generation"]),
        lambda rows: outlines.generation(calls.records(rows)[0]),
    )


def _variants(generation_id: uuid.UUID) -> Ask:
    return Ask(
        Request("generations", f"/{generation_id}/variants"),
        lambda way: way.variants(generation_id),
        lambda answer: outlines.variants(answer["variants"]),
        lambda rows: outlines.variants(calls.records(rows)[0]["variants"]),
    )


def _scenes(variant_id: uuid.UUID) -> Ask:
    return Ask(
        Request("variants", f"/{variant_id}/scenes"),
        lambda way: way.scenes(variant_id),
        lambda answer: outlines.scenes(answer["scenes"]),
        lambda rows: outlines.scenes(calls.records(rows)[0]["scenes"]),
    )


def _video(scene_id: uuid.UUID) -> Ask:
    return Ask(
        Request("scenes", f"/{scene_id}/video"),
        lambda way: way.video(scene_id),
        lambda answer: outlines.place(answer["location"]),
        lambda rows: outlines.place(calls.records(rows)[0]["video_url"]),
    )


def _stats(owner: uuid.UUID) -> Ask:
    return Ask(
        Request("stats"),
        lambda way: way.stats(owner),
        lambda answer: outlines.stats(answer["stats"]),
        lambda rows: outlines.stats(stats_of([*map(dict, rows)], datetime.now(UTC).date())),
        owner,
    )
