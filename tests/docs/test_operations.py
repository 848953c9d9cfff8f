"""docs/operations.md: the SQL that it has an operator run does what it says, as the login that it names."""

import re
import textwrap
from pathlib import Path

import psycopg
import pytest

OPERATIONS = (Path(__file__).resolve().parents[2] / "docs/operations.md").read_text("utf-8")


@pytest.fixture
def blocks() -> list[str]:
    return [textwrap.dedent(block) for block in re.findall(r"```sql\n(.*?)```", OPERATIONS, re.DOTALL)]


def test_what_waits_to_be_submitted_is_listed_over_all_owners(db, owner: str, generation_factory, blocks):
    generation_factory(1, submit=True)
    (block,) = [block for block in blocks if "jobs" in block]

    with psycopg.connect(db.migrate) as connection:
        [(found_owner, _, prompt)] = connection.execute(block).fetchall()

    assert (str(found_owner), prompt) == (owner, "soft scene 1")


def test_a_price_is_added(db, blocks):
    (block,) = [block for block in blocks if "prices" in block]

    with psycopg.connect(db.migrate) as connection:
        connection.execute(block)

    assert db.rows("select count(*) from prices where provider = 'gateway.example'") == [(1,)]
