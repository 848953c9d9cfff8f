"""The search looks past the policies, so it is closed by itself: hand-written SQL under the real login shows that."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest

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
