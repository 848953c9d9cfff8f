"""A page costs the same wherever in the list it lies: counted in blocks that Postgres looks at, not in time."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import psycopg
import pytest

from generation_history.ids import short_id
from generation_history.record.columns import GENERATION
from generation_history.record.list_query import page_statement

GENERATIONS = 6_000
LIMIT = 21
#: Twenty-one rows, the ways down to them in each of four statuses, and their variants: none there are.
MAX_BLOCKS = 500
FILL = """
    insert into generations (id, owner_id, source_video_url, source_video_type, status, total_variants, variant_types,
                             created_at, completed_at)
    select gen_random_uuid(), case when n %% 10 < 6 then %(owner)s else gen_random_uuid() end,
           'https://video.example/' || md5(n::text), 'url', s.status, 2,
           array[case when n %% 97 = 0 then 'ultra' else 'soft' end, 'medium'],
           timestamptz '2026-01-01' + n * interval '1 hour', case when s.status = 'completed' then now() end
    from generate_series(1, %(number)s) n,
         lateral (select (array['completed', 'completed', 'completed', 'processing', 'failed', 'pending'])
                         [1 + abs(hashint4(n)) %% 6] as status) s
"""
EVERYTHING: dict[str, Any] = dict.fromkeys(
    ("status", "statuses", "variant_type", "created_from", "created_to", "q", "after")
)


@pytest.fixture
def blocks(db, owner: str) -> Callable[..., int]:
    """How many blocks a page takes to read for the owner of most of many generations."""
    with psycopg.connect(db.admin, autocommit=True) as connection:
        connection.execute(FILL, {"owner": owner, "number": GENERATIONS})
        connection.execute("vacuum analyze generations")

    def count(**asked: Any) -> int:
        query, parameters = page_statement(GENERATION, limit=LIMIT, offset=0, **{**EVERYTHING, **asked})
        with psycopg.connect(db.api) as connection:
            connection.execute("select set_config('app.owner_id', %s, true)", [owner])
            # Once before: what a new connection has to look up first is not counted.
            connection.execute(query, parameters)
            explain = "explain (analyze, buffers, format json) " + query
            [[plan]] = connection.execute(explain, parameters).fetchall()
        return plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"]

    return count


def deep(share: float) -> datetime:
    """A time before which this share of the list lies."""
    start = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    return start + timedelta(hours=GENERATIONS * share)


def test_no_filter_and_no_depth_costs_more_than_a_page(blocks):
    statuses = (None, ["completed"], ["failed"], ["completed", "failed"], ["pending", "processing", "failed"])
    for asked, kind in product(statuses, (None, "soft", "ultra")):
        for share in (1.0, 0.5, 0.35):
            filters = {"statuses": asked, "variant_type": kind}
            after = (deep(share), UUID(int=0))
            ranged = {"created_from": deep(share - 0.3), "created_to": deep(share)}
            assert blocks(**filters, after=after) < MAX_BLOCKS, (filters, after)
            assert blocks(**filters, **ranged) < MAX_BLOCKS, (filters, ranged)


def test_a_search_for_an_id_costs_no_more(blocks, db, owner: str):
    assert blocks(q="0" * 8) < MAX_BLOCKS
    [[generation_id]] = db.rows(
        "select id::text from generations where owner_id = %s order by created_at limit 1", owner
    )
    for q in (short_id(generation_id), generation_id[:8], generation_id):
        for statuses, kind in product((None, ["completed", "failed"]), (None, "soft", "ultra")):
            assert blocks(q=q, statuses=statuses, variant_type=kind) < MAX_BLOCKS, q


def test_a_search_for_what_is_rare_costs_no_more(blocks):
    for statuses, kind in product((None, ["completed", "failed"]), (None, "soft", "ultra")):
        assert blocks(q="d41d8cd98", statuses=statuses, variant_type=kind) < MAX_BLOCKS
