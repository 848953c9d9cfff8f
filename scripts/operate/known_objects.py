"""KnownObjects: what the record knows of the bucket's objects, asked as history_migrate, who is shown every row."""

from collections.abc import Iterable, Iterator
from typing import LiteralString
from uuid import UUID

import psycopg

from generation_history.errors import NotConfigured
from generation_history.ids import as_uuid
from generation_history.storage.keys import owned_key
from scripts.operate.migrate import one_line

_ROWS = """
    select v.generation_id::text, s.id::text, u.url
    from scenes s
    join variants v on v.id = s.variant_id
    join generations g on g.id = v.generation_id
    cross join lateral (
        values (s.video_url), (s.thumbnail_url)
        union
        select unnest(array[a.video_url, a.thumbnail_url]) from attempts a where a.scene_id = s.id
    ) u (url)
    where u.url is not null
"""
_ROWS_OF_GENERATION = _ROWS + " and v.generation_id = %(generation_id)s"
# A purge removes objects before rows.
_ROWS_THAT_STAY = _ROWS_OF_GENERATION + " and g.purging_since is null"
_READY_ARCHIVES = "select key, 'archive ' || id from archives where state = 'ready'"
_READY_ARCHIVE = "select 1 from archives where state = 'ready' and key = %(key)s"
# One that is to be built may be there already, because its builder died before it could say so; one that is to be
# removed may be there still.
_ARCHIVE = "select 1 from archives where key = %(key)s"
_AT_WORK = """
    select 1 from jobs j join scenes s on s.id = j.scene_id join variants v on v.id = s.variant_id
    where v.generation_id = %(generation_id)s
"""
# A paid job that came late for a deleted generation: its video may be there, and its row goes on with that once the
# generation is restored. The provider may have no copy any more.
_UNFETCHED = """
    select 1 from attempts a join scenes s on s.id = a.scene_id join variants v on v.id = s.variant_id
    where v.generation_id = %(generation_id)s and a.outcome = 'late' and a.video_url is null
"""
_GENERATIONS = "select id from generations where id = any (%s)"


class KnownObjects:
    """The record's knowledge of objects; NotConfigured unless this login sees every row.

    Whoever is shown no row would take every object for an orphan.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        connection.execute("set row_security = off")
        try:
            connection.execute("select from scenes limit 1")
        except psycopg.errors.InsufficientPrivilege as error:
            raise NotConfigured(f"MIGRATE_DATABASE_URL must be of history_migrate: {one_line(error)}") from None

    def keys(self) -> dict[str, str]:
        """Every key that a row names, and whose it is."""
        scenes = dict(_keys(self._connection.execute(_ROWS)))
        return scenes | dict(self._connection.execute(_READY_ARCHIVES).fetchall())

    def generations(self, ids: Iterable[UUID]) -> set[UUID]:
        """Those of these generations that have a row."""
        return {row[0] for row in self._connection.execute(_GENERATIONS, [list(ids)])}

    def is_missed(self, key: str) -> bool:
        """Whether a row that stays still names the key."""
        return self._names(key, _ROWS_THAT_STAY, _READY_ARCHIVE)

    def is_needed(self, key: str) -> bool:
        """Whether a row names the key, or a worker may be about to write it once more, or will be one day."""
        params = {"generation_id": generation_of(key)}
        is_wanted = any(self._connection.execute(query, params).fetchone() for query in (_AT_WORK, _UNFETCHED))
        return is_wanted or self._names(key, _ROWS_OF_GENERATION, _ARCHIVE)

    def _names(self, key: str, rows: LiteralString, archive: LiteralString) -> bool:
        cursor = self._connection.execute(rows, {"generation_id": generation_of(key)})
        return any(other == key for other, _ in _keys(cursor)) or bool(
            self._connection.execute(archive, {"key": key}).fetchone()
        )


def generation_of(key: str) -> UUID | None:
    """The generation in whose folder an object lies, None where that is no generation's."""
    return as_uuid(key.split("/")[1])


def _keys(rows: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
    for generation_id, scene_id, url in rows:
        key = owned_key(url, generation_id)
        if key is not None:
            yield key, f"scene {scene_id}"
