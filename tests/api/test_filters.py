"""Filters: whatever is asked for together, a list has exactly what a look at every row would find, in order."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest

pytestmark = pytest.mark.usefixtures("db", "open_to_one")

STATUSES = ("pending", "processing", "completed", "failed")
TYPES = ("soft", "medium", "aggressive", "ultra")
START = datetime(2026, 11, 1, tzinfo=UTC)
LISTS = ("generations", "library")
INSERT = """
    insert into generations (id, owner_id, source_video_url, source_video_type, status, total_variants, variant_types,
                             created_at, completed_at, deleted_at, purge_at)
    values (%s, %s, %s, 'url', %s, cardinality(%s::text[]), %s, %s, case when %s = 'completed' then now() end, %s, %s)
"""


@dataclass(frozen=True)
class Row:
    """One generation, for a naive look at it."""

    id: str
    source: str
    status: str
    types: tuple[str, ...]
    made_at: datetime

    def is_asked_for(self, asked: dict[str, Any]) -> bool:
        return (
            self.status in asked.get("status", STATUSES)
            and asked.get("variant_type", self.types[0]) in self.types
            and asked.get("created_from", self.made_at) <= self.made_at <= asked.get("created_to", self.made_at)
            and asked.get("q", "").lower() in self.source.lower()
        )


@pytest.fixture
def insert(db, owner: str) -> Callable[..., Row]:
    """Inserts one generation; what a test does not say is usual."""

    def run(
        source: str = "https://video.example/ad",
        status: str = "completed",
        types: tuple[str, ...] = ("soft",),
        made_at: datetime = START,
        *,
        of: str = owner,
        deleted: bool = False,
    ) -> Row:
        row = Row(str(uuid4()), source, status, types, made_at)
        gone = START if deleted else None
        db.rows(INSERT, row.id, of, source, status, [*types], [*types], made_at, status, gone, gone)
        return row

    return run


@pytest.fixture
def rows(insert) -> list[Row]:
    """Generations at random, newest first, several made at the same moment, beside deleted ones and a stranger's."""
    chance = random.Random(4)
    made: list[Row] = []
    for number in range(100):
        kind, elsewhere = number % 10, {"of": str(UUID(int=1))}
        row = insert(
            f"https://video.example/{chance.choice(['Summer', 'winter', 'SPRING', 'ü%_x'])}-{chance.randrange(20)}",
            chance.choice(STATUSES),
            tuple(chance.sample(TYPES, chance.randint(1, 4))),
            START + timedelta(hours=chance.randrange(96)),
            deleted=kind == 1,
            **(elsewhere if kind == 0 else {}),
        )
        made += [row] if kind > 1 else []
    return sorted(made, key=lambda row: (row.made_at, UUID(row.id)), reverse=True)


def query(asked: dict[str, Any], **more: object) -> str:
    """The query string that asks for it."""
    status = [("status", ",".join(asked["status"]))] if "status" in asked else []
    plain = {name: value for name, value in asked.items() if name != "status"}
    return urlencode([*status, *plain.items(), *more.items()])


@pytest.fixture
def walk(call) -> Callable[..., list[str]]:
    """All ids that a list has for what is asked, page after page by cursor or offset."""

    def ids(function: str, asked: dict[str, Any], *, way: str = "cursor", limit: int = 100) -> list[str]:
        met: list[str] = []
        onward: dict[str, object] = {}
        while True:
            page = call(function, query=query(asked, limit=limit, **onward)).json
            met += [item["id"] for item in page[function]]
            if page[f"next_{way}"] is None:
                return met
            onward = {way: page[f"next_{way}"]}

    return ids


def at_random(seed: int) -> dict[str, Any]:
    """Some filters with some values."""
    chance = random.Random(seed)
    moments = sorted(START + timedelta(hours=chance.randrange(-5, 100)) for _ in range(2))
    every = {
        "status": chance.sample(STATUSES, chance.randint(1, 4)),
        "variant_type": chance.choice(TYPES),
        "created_from": moments[0],
        "created_to": moments[1],
        "q": chance.choice(["summer", "WINT", "example", "%_x", "nowhere", "Ü%_", "spring-3", "/ü%"]),
    }
    return {name: every[name] for name in chance.sample(sorted(every), chance.randint(0, 5))}


# ---------------------------------------------------------------- together


@pytest.mark.parametrize("function", LISTS)
def test_a_list_has_exactly_what_a_look_at_every_row_finds(rows: list[Row], walk, function: str):
    for seed in range(40):
        asked = at_random(seed)
        if function == "library":
            asked.pop("status", None)
        narrowed = {**asked, "status": ["completed"]} if function == "library" else asked
        expected = [row.id for row in rows if row.is_asked_for(narrowed)]

        for way, limit in (("cursor", 100), ("cursor", 7), ("offset", 5)):
            assert walk(function, asked, way=way, limit=limit) == expected, (asked, way, limit)


# ---------------------------------------------------------------- one by one


def test_several_statuses_may_be_listed_or_repeated(call, insert):
    made = {status: insert(status=status).id for status in STATUSES}

    for asked in ("status=failed,pending", "status=failed&status=pending", "status=pending,failed,failed"):
        found = {item["id"] for item in call("generations", query=asked).json["generations"]}
        assert found == {made["failed"], made["pending"]}


def test_a_day_is_that_day_from_beginning_to_end(insert, walk):
    day = timedelta(days=1)
    inside = [insert(made_at=made_at).id for made_at in (START + day - timedelta(microseconds=1), START)]
    insert(made_at=START - timedelta(microseconds=1))
    insert(made_at=START + day)

    for function in LISTS:
        assert walk(function, {"created_from": "2026-11-01", "created_to": "2026-11-01"}) == inside


def test_a_range_of_times_has_both_its_ends(insert, walk):
    at = "2026-11-01T14:30:00.123456+02:30"
    found = insert(made_at=datetime.fromisoformat(at)).id

    assert walk("generations", {"created_from": at, "created_to": at}) == [found]
    assert walk("generations", {"created_from": "2026-11-01T12:00:00.123457Z"}) == []
    assert walk("generations", {"created_to": "2026-11-01T12:00:00.123455Z"}) == []


def test_a_range_that_ends_before_it_begins_is_empty(rows: list[Row], walk):
    for function in LISTS:
        assert walk(function, {"created_from": "2026-11-03", "created_to": "2026-11-02"}) == []


def test_a_cursor_goes_on_within_its_range(rows: list[Row], walk):
    asked = {"created_from": START + timedelta(hours=20), "created_to": START + timedelta(hours=60)}

    assert walk("generations", asked, limit=1) == [row.id for row in rows if row.is_asked_for(asked)]


# ---------------------------------------------------------------- search


@pytest.mark.parametrize(
    "letters", ["100%", "%%%", "a_b", "___", r"\\\\", r"\%!", r"b\c", r"%_\\", "'; --", "$1 ", "  x", "{0}", "%(q)s"]
)
def test_what_is_searched_for_is_meant_letter_by_letter(insert, walk, letters: str):
    found = insert(f"https://video.example/{letters}.mp4").id
    for other in ("100x", "axb", "abc", "anything at all", "b/c", "\\", "%", "_"):
        insert(f"https://video.example/{other}.mp4")

    assert walk("generations", {"q": letters}) == walk("library", {"q": letters}) == [found]


@pytest.mark.parametrize("asked", ["ÜBERALL", "überall", "berA", "video.example/über", "script-only"])
def test_a_search_finds_parts_of_any_source_in_capitals_or_not(insert, walk, asked: str):
    made = {source: insert(source).id for source in ("https://Video.example/Überall.mp4", "script-only-mode")}

    [found] = [id_ for source, id_ in made.items() if asked.lower() in source.lower()]
    assert walk("generations", {"q": asked}) == [found]


def test_a_search_finds_nothing_of_others(insert, walk):
    insert("https://secret.example/their-campaign.mp4", of=str(uuid4()))

    for asked in ("secret.example", "their-campaign", "https://"):
        assert walk("generations", {"q": asked}) == walk("library", {"q": asked}) == []


@pytest.mark.parametrize("q", ["q=abc&q=def", "q=ab%2Ccd"])
def test_a_search_for_two_things_is_no_search_for_the_first(call, insert, q: str):
    insert("https://video.example/abc.mp4")
    insert("https://video.example/ab,cd.mp4")

    answer = call("generations", query=q)

    assert answer.status == 400 or [item["source_video_url"][-9:] for item in answer.json["generations"]] == [
        "ab,cd.mp4"
    ]


# ---------------------------------------------------------------- cursors


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("function", LISTS)
def test_a_cursor_is_good_for_its_own_filters_only(call, function: str):
    asks = [
        "",
        "variant_type=soft",
        "variant_type=medium",
        "q=example",
        "q=video",
        "created_from=2026-11-01",
        "created_from=2026-11-01T00:00:00Z",
        "created_to=2026-11-20",
    ] + (["status=completed", "status=completed,failed"] if function == "generations" else [])
    cursors = {asked: call(function, query=f"limit=1&{asked}").json["next_cursor"] for asked in asks}

    for asked in asks:
        for bound, cursor in cursors.items():
            answer = call(function, query=f"limit=1&{asked}&cursor={cursor}")
            if bound == asked:
                assert answer.status == 200
            else:
                assert "other filters" in answer.refused(400, "invalid_value")


@pytest.mark.usefixtures("rows")
def test_the_order_in_which_statuses_are_named_is_the_same_filter(call):
    cursor = call("generations", query="limit=1&status=failed,completed").json["next_cursor"]

    assert call("generations", query=f"limit=1&status=completed&status=failed&cursor={cursor}").status == 200
