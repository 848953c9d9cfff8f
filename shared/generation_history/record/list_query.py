"""A page of generations as one statement, whose cost does not depend on how deep in the list the page lies."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from generation_history.db.database import Statement
from generation_history.models import STATUSES
from generation_history.record.columns import SLIM_SCENE, variants_json

#: created_at and id of a generation: the page begins after it.
Position = tuple[datetime, UUID]

_LAST_ID: Final = UUID(int=2**128 - 1)

_WITHIN: Final = """
    (%(created_from)s::timestamptz is null or g.created_at >= %(created_from)s)
    and (%(after_time)s::timestamptz is null or (g.created_at, g.id) < (%(after_time)s, %(after_id)s::uuid))
"""


def _records(item: LiteralString, page: LiteralString) -> LiteralString:
    return (
        "select r.id::text as id, row_to_json(r)::text as record from (select "
        + item
        + ", "
        + variants_json(SLIM_SCENE)
        + " as variants from ("
        + page
        + ") g order by g.created_at desc, g.id desc) r"
    )


_ALL: Final = (
    "select g.* from generations g where g.deleted_at is null and"
    + _WITHIN
    + "order by g.created_at desc, g.id desc limit %(limit)s offset %(offset)s"
)
# Each status is read in order from the position on, and no further than a page.
_OF_STATUSES: Final = (
    """
    select g.* from unnest(%(statuses)s::text[]) asked (status) cross join lateral (
        select * from generations g
        where g.deleted_at is null and g.status = asked.status
            and (%(variant_type)s::text is null or g.variant_types @> array[%(variant_type)s::text])
            and"""
    + _WITHIN
    + """
        order by g.created_at desc, g.id desc limit %(limit)s::bigint + %(offset)s
    ) g
    order by g.created_at desc, g.id desc limit %(limit)s offset %(offset)s
    """
)
_SEARCH_RESULTS: Final = """
    select g.* from search_generations(%(q)s, %(statuses)s, %(variant_type)s, %(created_from)s, %(after_time)s,
        %(after_id)s, %(limit)s, %(offset)s) found (id) join generations g on g.id = found.id
"""


def page_statement(
    item: LiteralString,
    *,
    limit: int,
    offset: int,
    status: str | None,
    statuses: Sequence[str] | None,
    variant_type: str | None,
    created_from: datetime | None,
    created_to: datetime | None,
    q: str | None,
    after: Position | None,
) -> Statement:
    """The statement of a page, newest first: each generation's id and its record, which is JSON text.

    item is the columns that a record has of its generation (columns.py); its variants and their scenes come with it.
    """
    wanted_statuses = sorted(set(statuses or ())) if status is None else [status]
    # The end of a range is a position like any other. As one more condition it would be looked for from the newest on.
    positions = [position for position in (after, created_to and (created_to, _LAST_ID)) if position]
    after_time, after_id = min(positions, default=(None, None))
    page = {
        "limit": limit,
        "offset": offset,
        "variant_type": variant_type,
        "created_from": created_from,
        "after_time": after_time,
        "after_id": after_id,
        "q": q,
        "statuses": wanted_statuses or None,
    }
    if q is not None:
        return _records(item, _SEARCH_RESULTS), page
    if wanted_statuses or variant_type is not None:
        return _records(item, _OF_STATUSES), {**page, "statuses": wanted_statuses or list(STATUSES)}
    return _records(item, _ALL), page
