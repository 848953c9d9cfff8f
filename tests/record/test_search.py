"""The search looks past the policies, so it is closed by itself: hand-written SQL under the real login shows that."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest

from generation_history.ids import short_id

SEARCH = "select search_generations(%s, null, null, null, null, null, 100, 0)::text"


@pytest.fixture
def api(db) -> Iterator[psycopg.Connection]:
    with psycopg.connect(db.api) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def act_as(api) -> Callable[[object], object]:
    """Names the owner, from here on to the end of the transaction."""
    return lambda owner: api.execute("select set_config('app.owner_id', %s, true)", [str(owner)])


@pytest.fixture
def search(api) -> Callable[..., set[str]]:
    """The ids that a search finds."""
    return lambda q="video.example": {row[0] for row in api.execute(SEARCH, [q])}


@pytest.fixture
def mine(manager, generation_factory) -> str:
    return generation_factory(1)["id"]


@pytest.fixture
def theirs(stranger, generation_factory) -> str:
    return generation_factory(1, by=stranger)["id"]


def test_an_owner_finds_its_own_and_nothing_else(act_as, search, manager, mine, theirs):
    act_as(manager.owner_id)

    assert search() == {mine}


@pytest.mark.usefixtures("mine", "theirs")
def test_nobody_and_a_stranger_find_nothing(api, act_as, search):
    assert search() == set()
    for owner in ("", uuid4()):
        act_as(owner)
        assert search() == set()


def test_an_owner_changed_within_a_transaction_is_the_new_one(act_as, search, manager, stranger, mine, theirs):
    act_as(manager.owner_id)
    assert search() == {mine}

    act_as(stranger.owner_id)

    assert search() == {theirs}


def test_an_owner_that_is_no_uuid_is_an_error(act_as, search):
    act_as("' or true --")

    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        search()


@pytest.mark.usefixtures("theirs")
def test_no_pattern_and_no_argument_finds_anothers(api, act_as, search, manager):
    act_as(manager.owner_id)

    for q in ("", "%", "_", "\\", "%%%", "' or true --", "example' --"):
        assert search(q) == set()
    every = "select search_generations('', array['pending', 'processing', 'completed', 'failed'], null, '-infinity',"
    assert api.execute(f"{every} 'infinity', %s, 1000, 0)", ["f" * 32]).fetchall() == []


ENDS = {
    "short id": short_id,
    "short id in capitals": lambda id_: short_id(id_).upper(),
    "end": lambda id_: id_[-13:],
    "end without hyphens": lambda id_: id_.replace("-", "")[-20:],
    "beginning": lambda id_: id_[:8],
    "longer beginning": lambda id_: id_[:20],
    "all of it": lambda id_: id_,
    "all of it without hyphens": lambda id_: id_.replace("-", ""),
}


@pytest.mark.parametrize("end_of", ENDS.values(), ids=ENDS.keys())
def test_a_generation_is_found_by_its_short_id_and_by_either_end_of_its_id(act_as, search, manager, mine, end_of):
    act_as(manager.owner_id)

    assert search(end_of(mine)) == {mine}


def test_no_end_of_an_id_finds_anothers_or_what_is_deleted(act_as, search, manager, mine, theirs):
    manager.delete_generation(mine)
    act_as(manager.owner_id)

    for end_of in ENDS.values():
        assert search(end_of(theirs)) == search(end_of(mine)) == set()


def test_what_is_no_end_of_an_id_finds_no_id(act_as, search, manager, mine):
    """Fewer than eight digits are a word like any other, and its middle names nobody."""
    act_as(manager.owner_id)

    for q in (mine[-7:], mine[:7], mine[9:23], mine + "0", f"x{short_id(mine)}", "0" * 8, "-" * 8):
        assert search(q) == set()


def test_who_is_found_by_source_and_by_id_is_found_once_and_newest_first(
    act_as, api, manager, generation_factory, mine
):
    act_as(manager.owner_id)
    other = generation_factory(1, source_video_url=f"https://video.example/{short_id(mine)}.mp4")["id"]
    manager_says = [generation["id"] for generation in manager.list_generations(q=short_id(mine))]

    assert [row[0] for row in api.execute(SEARCH, [short_id(mine)])] == [other, mine] == manager_says


def test_what_is_deleted_is_not_found(act_as, search, manager, mine):
    manager.delete_generation(mine)
    act_as(manager.owner_id)

    assert search() == set()


def test_tables_and_operators_of_the_callers_own_are_not_taken_for_ours(api, act_as, search, manager, mine, theirs):
    """A caller may make temporary ones, which would come first, and run as the tables' owner what they say."""
    api.execute("create temporary view generations as select id, owner_id from pg_catalog.pg_class, public.generations")
    api.execute("create function pg_temp.ilike_any(text, text) returns boolean language sql as 'select true'")
    api.execute("create operator pg_temp.~~* (function = pg_temp.ilike_any, leftarg = text, rightarg = text)")
    act_as(manager.owner_id)

    assert search() == {mine}
    assert search("nowhere") == set()


def test_others_than_the_api_may_not_search(db):
    with psycopg.connect(db.worker) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(SEARCH, ["example"])
