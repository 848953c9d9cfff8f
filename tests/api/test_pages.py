"""Pages: whichever way a caller walks a list, it meets every item once and in order, and comes to an end."""

import base64
import json
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generation_history.api.pagination import MAX_PAGE_BYTES, read_cursor, write_cursor
from generation_history.errors import InvalidValue

pytestmark = pytest.mark.usefixtures("db", "open_to_one")

LISTS = {"generations": "generations", "library": "library"}
LIST_FILTERS = {"list": "generations"}


@pytest.fixture
def seven(db, manager, generation_factory) -> list[str]:
    """The ids of seven completed generations, newest first; some were made at the same moment."""
    made = [generation_factory(1)["id"] for _ in range(7)]
    for number, generation_id in enumerate(made):
        manager.update_generation_status(generation_id, "completed")
        made_at = f"2026-11-0{9 - min(number, 6) // 2}T12:00:00.123456Z"
        db.rows("update generations set created_at = %s where id = %s", made_at, generation_id)
    order = "select id::text from generations order by created_at desc, id desc"
    return [generation_id for (generation_id,) in db.rows(order)]


@pytest.fixture
def walk(call) -> Callable[..., list[list[str]]]:
    """Walks a list by its cursors, or by its offsets, and returns the ids of each page."""

    def pages(function: str, way: str, query: str) -> Iterator[list[str]]:
        onward = ""
        while True:
            page = call(function, query=f"{query}{onward}").json
            items = page[LISTS[function]]
            assert page["count"] == len(items)
            yield [item["id"] for item in items]
            if page[f"next_{way}"] is None:
                return
            onward = f"&{way}={page[f'next_{way}']}"

    return lambda function, way, query="limit=3": list(pages(function, way, query))


# ---------------------------------------------------------------- walking


@pytest.mark.parametrize("way", ["cursor", "offset"])
@pytest.mark.parametrize("function", LISTS)
def test_every_item_is_met_once_and_in_order(seven: list[str], walk, function: str, way: str):
    for limit in (1, 2, 3, 6, 7, 8, 100):
        pages = walk(function, way, f"limit={limit}")
        assert pages == [seven[start : start + limit] for start in range(0, 7, limit)]


@pytest.mark.parametrize(("function", "default"), [("generations", 50), ("library", 20)])
def test_a_page_without_a_limit_has_its_usual_length(call, manager, db, function: str, default: int):
    for _ in range(2):
        manager.create_generation("x", "url", ["soft"], None)
    copy = "insert into generations (id, owner_id, source_video_url, source_video_type, total_variants, variant_types)"
    db.rows(
        f"{copy} select gen_random_uuid(), owner_id, 'x', 'url', 1, '{{soft}}' from generations, generate_series(1, 26)"
    )
    db.rows("update generations set status = 'completed', completed_at = now()")

    assert call(function).json["count"] == min(default, 54)


@pytest.mark.parametrize("way", ["cursor", "offset"])
def test_a_walk_keeps_to_its_filter(manager, seven: list[str], walk, way: str):
    for generation_id in seven[1::2]:
        manager.update_generation_status(generation_id, "failed")

    pages = walk("generations", way, "limit=2&status=failed")

    assert [generation_id for page in pages for generation_id in page] == seven[1::2]


def test_an_offset_leads_into_the_list_and_past_its_end(call, seven: list[str]):
    page = call("generations", query="offset=5&limit=10").json
    assert ([item["id"] for item in page["generations"]], page["next_offset"], page["next_cursor"]) == (
        seven[5:],
        None,
        None,
    )
    page = call("generations", query="offset=7").json
    assert (page["generations"], page["next_offset"], page["next_cursor"]) == ([], None, None)


def test_a_page_reached_by_offset_goes_on_by_cursor(call, seven: list[str]):
    first = call("generations", query="offset=2&limit=2").json

    after = call("generations", query=f"limit=2&cursor={first['next_cursor']}").json

    assert [item["id"] for item in after["generations"]] == seven[4:6]
    assert (after["next_offset"], first["next_offset"]) == (None, 4)


def test_a_cursor_goes_on_where_it_was_whatever_came_or_went(call, manager, generation_factory, seven: list[str]):
    cursor = call("generations", query="limit=3").json["next_cursor"]
    generation_factory(1)
    manager.delete_generation(seven[2])

    assert [item["id"] for item in call("generations", query=f"limit=2&cursor={cursor}").json["generations"]] == seven[
        3:5
    ]


# ---------------------------------------------------------------- large pages


@pytest.fixture
def make_large(db) -> Callable[..., None]:
    """Makes items as many bytes longer."""
    enlarge = "update generations set error_message = repeat(%s, %s) where id = %s"
    return lambda ids, size, letter="x": [db.rows(enlarge, letter, size, generation_id) for generation_id in ids]


@pytest.mark.parametrize("way", ["cursor", "offset"])
@pytest.mark.parametrize("letter", ["x", "ü"])
def test_a_page_is_cut_between_items_and_goes_on_exactly_there(
    seven: list[str], walk, make_large, way: str, letter: str
):
    """The platform carries 1 MB; Answer checks that every page stays below it."""
    make_large(seven[:5], 400_000 // len(letter.encode()), letter)

    assert walk("generations", way, "limit=6") == [seven[0:2], seven[2:4], seven[4:7]]


@pytest.mark.parametrize("way", ["cursor", "offset"])
def test_an_item_that_fills_a_page_comes_alone(seven: list[str], walk, make_large, way: str):
    make_large(seven[1:3], MAX_PAGE_BYTES + 20_000)

    assert walk("generations", way, "limit=50") == [seven[0:1], seven[1:2], seven[2:3], seven[3:]]


@pytest.mark.parametrize(("letter", "carried_as"), [("x", 1), ('"', 4)])
def test_a_page_stays_within_the_limit_with_all_that_is_around_its_items(
    call, seven: list[str], make_large, letter: str, carried_as: int
):
    """As the platform carries it: a JSON string within JSON."""

    def carried(query: str) -> int:
        return len(json.dumps(call("generations", query=query).returned["body"], ensure_ascii=False).encode())

    item = carried("limit=1")
    for spare in range(0, 2_000, 100):
        make_large(seven[:6], (MAX_PAGE_BYTES // 6 - item - spare // 6) // carried_as, letter)
        assert MAX_PAGE_BYTES * 0.8 < carried("limit=50") <= MAX_PAGE_BYTES


# ---------------------------------------------------------------- cursors


@pytest.mark.parametrize(
    ("of", "used"),
    [
        (("generations", "limit=1"), ("generations", "status=completed")),
        (("generations", "limit=1&status=completed"), ("generations", "")),
        (("generations", "limit=1&status=completed"), ("generations", "status=failed")),
        (("generations", "limit=1&status=completed"), ("library", "")),
        (("library", "limit=1"), ("generations", "")),
        (("library", "limit=1"), ("generations", "status=completed")),
    ],
)
@pytest.mark.usefixtures("seven")
def test_a_cursor_belongs_to_its_list_and_filters(call, of: tuple[str, str], used: tuple[str, str]):
    cursor = call(of[0], query=of[1]).json["next_cursor"]

    said = call(used[0], query=f"{used[1]}&cursor={cursor}").refused(400, "invalid_value")

    assert said == "cursor: it belongs to a list with other filters"


@pytest.mark.usefixtures("seven")
def test_a_cursor_is_of_letters_that_a_url_takes_as_they_are(call):
    cursor = call("generations", query="limit=1").json["next_cursor"]

    assert set(cursor) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    assert call("generations", query=f"limit=2&cursor={cursor}").json["count"] == 2


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


FINGERPRINT = json.loads(base64.urlsafe_b64decode(write_cursor(("", ""), LIST_FILTERS) + "=="))[2]


MADE_UP = [
    None,
    5,
    "text",
    [],
    {},
    [1, 2, 3],
    {"a": 1, "b": 2, "c": 3},
    [None, None, FINGERPRINT],
    [[], {}, FINGERPRINT],
    ["2026-11-01", "no uuid", FINGERPRINT],
    ["yesterday", str(uuid4()), FINGERPRINT],
    ["now", str(uuid4()), FINGERPRINT],
    ["2026-W01-1", str(uuid4()), FINGERPRINT],
    ["2026-11-01T12:00:00+00:00", f"{{{uuid4()}}}", FINGERPRINT + "x"],
    ["2026-11-01T12:00:00+00:00", f"urn:uuid:{uuid4()}", FINGERPRINT],
    ["2026-11-01T12:00:00+00:00", str(uuid4()), [FINGERPRINT]],
    ["2026-11-01T12:00:00+00:00", str(uuid4()), FINGERPRINT, "more"],
    ["2026-11-01T12:00:00+00:00\x00", str(uuid4()), FINGERPRINT],
]


def test_a_cursor_that_was_made_up_is_refused(call):
    for value in MADE_UP:
        assert call("generations", query=f"cursor={encoded(value)}").refused(400, "invalid_value"), value


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    garbage=st.text(st.characters(max_codepoint=0x7F), min_size=0, max_size=80)
    | st.binary(max_size=80).map(lambda raw: base64.urlsafe_b64encode(raw).decode())
)
def test_any_garbage_for_a_cursor_is_refused(garbage: str):
    with pytest.raises(InvalidValue, match=r"^cursor: "):
        read_cursor(garbage, LIST_FILTERS)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    when=st.datetimes(timezones=st.timezones()),
    uuid=st.uuids(),
    status=st.text() | st.none(),
    other=st.text() | st.none(),
)
def test_a_cursor_is_read_back_for_the_same_filters_only(when, uuid: UUID, status: str | None, other: str | None):
    position = (when.isoformat(), str(uuid))
    cursor = write_cursor(position, {"status": status})

    assert read_cursor(cursor, {"status": status}) == position
    if other != status:
        with pytest.raises(InvalidValue, match="other filters"):
            read_cursor(cursor, {"status": other})


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 200), letter=st.characters())
def test_a_cursor_with_one_letter_changed_is_refused_or_still_a_position(call, at: int, letter: str):
    cursor = write_cursor(("2026-11-01T12:00:00.123456+00:00", "018f0000-0000-7000-8000-000000000000"), LIST_FILTERS)
    changed = cursor[: at % len(cursor)] + letter + cursor[at % len(cursor) + 1 :]
    try:
        read = read_cursor(changed, LIST_FILTERS)
    except InvalidValue:
        return
    assert UUID(read[1])
    assert call("generations", query=f"cursor={changed}").status in {200, 400}
