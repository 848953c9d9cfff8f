"""Whatever a pipeline knew has a form that JSON and Postgres hold; what they hold anyway is as it was."""

import json
import math
import uuid
from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from generation_history.record.nearest_json import named, nearest_json
from generation_history.record.validation import shallow


class Mood(Enum):
    CALM = "calm"


class Level(IntEnum):
    HIGH = 3


@dataclass
class Actor:
    name: str
    seen: set[int]


class Model(BaseModel):
    at: datetime
    scores: tuple[float, ...]


class Array:
    """As numpy's: it says what it is by a method, and there is no numpy here."""

    def __init__(self, items: object) -> None:
        self._items = items

    def tolist(self) -> object:
        return self._items


class Number:
    def item(self) -> float:
        return 0.5


class Bare:
    def __init__(self) -> None:
        self.score = 1


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Endless:
    def tolist(self) -> object:
        return Endless()


def storable(value: object) -> bool:
    """As GenerationManager.save_metadata takes it."""
    text = json.dumps(shallow(value), allow_nan=False, ensure_ascii=False)
    text.encode()
    return "\\u0000" not in text.replace("\\\\", "")


CYCLE: list = [1]
CYCLE.append(CYCLE)
FORMS = {
    "not a number": (math.nan, "NaN"),
    "infinity": ([math.inf, -math.inf], ["Infinity", "-Infinity"]),
    "NUL": ({"a\0": "b\0"}, {"a\N{REPLACEMENT CHARACTER}": "b\N{REPLACEMENT CHARACTER}"}),
    "surrogate": ("a\ud800", "a\N{REPLACEMENT CHARACTER}"),
    "halves": ("\ud83d\ude00\0", "\U0001f600\N{REPLACEMENT CHARACTER}"),
    "set": ({3, 1, 2}, [1, 2, 3]),
    "mixed set": (frozenset({"a", 1}), [1, "a"]),
    "deque": (deque([1]), [1]),
    "bytes": (b"caf\xc3\xa9", "café"),
    "binary": (b"\xff\xfe", "//4="),
    "time": (datetime(2026, 11, 1, 12, tzinfo=UTC), "2026-11-01T12:00:00+00:00"),
    "day": ([date(2026, 11, 1)], ["2026-11-01"]),
    "duration": (timedelta(seconds=90), 90.0),
    "decimal": ([Decimal("0.1"), Decimal("0.12345678901234567890")], [0.1, "0.12345678901234567890"]),
    "decimal NaN": (Decimal("NaN"), "NaN"),
    "uuid": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "path": (Path("a/b.mp4"), "a/b.mp4"),
    "enum": ({"mood": Mood.CALM, "level": Level.HIGH}, {"mood": "calm", "level": 3}),
    "dataclass": (Actor("Ann", {1}), {"name": "Ann", "seen": [1]}),
    "model": (
        Model(at=datetime(2026, 11, 1, tzinfo=UTC), scores=(1.0, math.nan)),
        {"at": "2026-11-01T00:00:00+00:00", "scores": [1.0, "NaN"]},
    ),
    "array": (Array([[1, 2], [3.5, math.nan]]), [[1, 2], [3.5, "NaN"]]),
    "number": (Number(), 0.5),
    "names": ({1: "a", None: "b", False: "c", (1, 2): "d"}, {"1": "a", "null": "b", "false": "c", "[1, 2]": "d"}),
    "two names": ({1.5: "a", "1.5": "b"}, {"1.5": "a", "1.5 (2)": "b"}),
    "cycle": (CYCLE, [1, "(list that contains itself)"]),
    "object": (Bare(), {"score": 1}),
    "broken": ([Broken()], ["(Broken)"]),
    "class": (int, "<class 'int'>"),
    "digits": (10**5000, hex(10**5000)),
}


@pytest.mark.parametrize(("value", "form"), FORMS.values(), ids=FORMS.keys())
def test_what_json_cannot_hold_has_a_nearest_form_and_its_place_is_named(value, form):
    found, places = nearest_json(value)

    assert found == form
    assert storable(found)
    assert places


def test_places_are_named_by_where_they_are():
    _, places = nearest_json({"scenes": [{"score": 1.0}, {"score": math.nan}]})

    assert places == ["$.scenes[1].score (NaN)"]
    assert named(places * 12).endswith(" and 2 more")


@pytest.mark.parametrize("value", [Endless(), [Endless(), {1, 2}]])
def test_an_object_that_never_comes_to_an_end_has_a_form(value):
    assert storable(nearest_json(value)[0])


def test_what_is_nested_too_deep_is_cut_and_what_is_just_within_is_as_it_was():
    within: object = []
    for _ in range(99):
        within = [within]
    assert nearest_json(within) == (within, [])

    form, places = nearest_json([within])

    assert storable(form)
    assert len(places) == 1


def test_what_would_be_more_than_memory_holds_is_cut(monkeypatch):
    monkeypatch.setattr("generation_history.record.nearest_json.MAX_VALUES", 1000)
    shared: object = [1]
    for _ in range(60):
        shared = [shared, shared]

    form, places = nearest_json(shared)

    assert len(json.dumps(form)) < 1_000_000
    assert any("more than 1000 values" in place for place in places)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda children: (
        st.lists(children)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), children)
    ),
)
Pair = namedtuple("Pair", "first second")  # noqa: PYI024 - pipelines have these
anything = st.recursive(
    plain
    | st.floats()
    | st.text(st.characters(categories=["Cs", "Cc", "Lu", "So"]))
    | st.binary()
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals()
    | st.fractions()
    | st.complex_numbers()
    | st.uuids()
    | st.builds(Broken)
    | st.sampled_from([Mood.CALM, Level.HIGH, Path("a"), Bare(), Number(), Endless, object(), CYCLE, range(3)]),
    lambda children: (
        st.lists(children)
        | st.tuples(children, children)
        | st.builds(Pair, children, children)
        | st.builds(Array, children)
        | st.builds(deque, st.lists(children))
        | st.dictionaries(st.integers() | st.floats() | st.text() | st.binary() | st.none() | st.dates(), children)
        | st.builds(OrderedDict, st.dictionaries(st.text(), children))
        | st.sets(st.integers() | st.text() | st.floats() | st.frozensets(st.integers()))
    ),
)


@given(plain)
def test_plain_json_is_unchanged(value):
    form, places = nearest_json(value)

    assert form == value
    assert json.dumps(form) == json.dumps(value)
    assert places == []


@given(anything)
def test_any_value_becomes_storable_json_and_nothing_is_raised(value):
    form, _ = nearest_json(value)

    assert storable(form)
    assert nearest_json(form) == (form, [])
