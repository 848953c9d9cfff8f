"""Source: the older installation's tables, read once from beginning to end in one snapshot, a generation at a time."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from generation_history.errors import NotConfigured
from generation_history.importing.report import TABLES
from generation_history.models import METADATA_KINDS

Row = dict[str, Any]

CONNECT_SECONDS = 10
#: Rows that are read at once, of each table.
READ_ROWS: Final = 2_000
#: Python knows no time outside of these years.
_TIME: LiteralString = "case when {0} between '0002-01-01' and '9998-12-31' then {0}::timestamptz end as {1}"
_TIMES: Final = ("created_at", "updated_at", "completed_at")
_GENERATIONS: Final = (
    *("source_video_url", "source_video_type", "status", "variant_types", "cost_estimate", "actual_cost"),
    *("total_variants", "error_message"),
)
_VARIANTS: Final = ("variant_type", "status", "scenes_completed", "total_scenes", "error_message")
_SCENES: Final = (
    *("scene_number", "sora_prompt", "sora_video_id", "sora_status", "video_url", "thumbnail_url", "duration"),
    *("resolution", "file_size", "status", "error_message"),
)
#: A kind of metadata is a JSON value (text of JSON), or a text that was put into JSON as such, mostly of JSON again.
_KIND: LiteralString = """
    case when jsonb_typeof({0}::jsonb) not in ('string', 'null') then {0}::jsonb::text end as {1},
    case when jsonb_typeof({0}::jsonb) = 'string' then {0}::jsonb #>> '{{}}' end as {2}
"""
_ORPHANS: Final[dict[str, LiteralString]] = {
    "variants": "select id, generation_id from {0}.variants t"
    " where not exists (select from {0}.generations g where g.id = t.generation_id)",
    "scenes": "select id, variant_id from {0}.scenes t where not exists (select from {0}.variants v"
    " join {0}.generations g on g.id = v.generation_id where v.id = t.variant_id)",
    "generation_metadata": "select id, generation_id from {0}.generation_metadata t"
    " where not exists (select from {0}.generations g where g.id = t.generation_id)",
}
#: Of a session's events, those that may tell the generation.
_EVENTS: LiteralString = """
    select session_id::text, coalesce(data::text, '') || ' ' || coalesce(message, '') from {0}.events
    where message like 'Pipeline session created%' or message like 'Generation tracking started%'
    order by session_id
"""


@dataclass(frozen=True)
class OldGeneration:
    """One generation of the older installation with all that belongs to it."""

    row: Row
    variants: list[Row]
    scenes: list[Row]
    metadata: list[Row]

    @property
    def id(self) -> UUID:
        """Its id, which stays."""
        return self.row["id"]

    def counted(self) -> dict[str, int]:
        """The number of its rows by table."""
        return dict(zip(TABLES, (1, len(self.variants), len(self.scenes), len(self.metadata)), strict=True))


@contextmanager
def open_source(url: str, schema: str, *, setting: str) -> Generator["Source"]:
    """The tables of this schema, as they are now; NotConfigured where they cannot be read whole."""
    try:
        connection = psycopg.connect(
            url, connect_timeout=CONNECT_SECONDS, client_encoding="UTF8", prepare_threshold=None
        )
    except psycopg.ProgrammingError:
        # Its text may repeat the URL, and with it the password.
        raise NotConfigured(f"{setting} is not a URL like postgresql://login:password@host/name") from None
    except psycopg.Error as error:
        raise NotConfigured(f"{setting}: {' '.join(str(error).split())}") from None
    with connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        # Rows that are hidden from this login would be lost without a word.
        connection.execute(
            "select set_config('row_security', 'off', true), set_config('statement_timeout', '0', true),"
            " set_config('idle_in_transaction_session_timeout', '0', true), set_config('timezone', 'UTC', true)"
        )
        source = Source(connection, schema, setting)
        source.check()
        yield source
        connection.rollback()


class Source:
    """The older installation's record, of one schema."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str, setting: str) -> None:
        self._connection = connection
        self._name = schema
        self._schema = sql.Identifier(schema)
        self._setting = setting

    def check(self) -> None:
        """NotConfigured unless all four tables are there, are the older installation's, and show all their rows."""
        columns = self._connection.execute(
            "select table_name, column_name from information_schema.columns where table_schema = %s", [self._name]
        ).fetchall()
        missing = [table for table in TABLES if table not in {table for table, _ in columns}]
        if missing:
            raise NotConfigured(f"{self._setting}: the schema {self._name} has no {', '.join(missing)} to read")
        if ("generations", "owner_id") in columns:
            raise NotConfigured(f"{self._setting}: the tables of the schema {self._name} are this product's own")
        try:
            for table in TABLES:
                self._connection.execute(
                    sql.SQL("select from {}.{} limit 1").format(self._schema, sql.Identifier(table))
                )
        except psycopg.errors.InsufficientPrivilege as error:
            raise NotConfigured(
                f"{self._setting}: this login is not shown every row of the schema {self._name}"
                f" ({' '.join(str(error).split())}): name the tables' owner, or make it one"
            ) from None

    def counts(self) -> dict[str, int]:
        """The number of rows by table."""
        return {table: self._count(table) for table in TABLES}

    def _count(self, table: str) -> int:
        query = sql.SQL("select count(*) from {}.{}").format(self._schema, sql.Identifier(table))
        (count,) = self._connection.execute(query).fetchone() or (0,)
        return count

    def generations(self) -> Iterator[OldGeneration]:
        """Every generation with its rows, in the order of ids; each table is read once, and sorted once."""
        variants = _Children(self._rows("variants", "t.generation_id", _VARIANTS))
        scenes = _Children(self._rows("scenes", "v.generation_id", ("variant_id", *_SCENES)))
        metadata = _Children(self._rows("generation_metadata", "t.generation_id", ()))
        for row in self._rows("generations", "t.id", _GENERATIONS):
            generation_id = row["generation_id"]
            yield OldGeneration(row, *(children.of(generation_id) for children in (variants, scenes, metadata)))

    def _rows(self, table: str, generation_id: LiteralString, columns: tuple[str, ...]) -> Iterator[Row]:
        known = [sql.SQL("t.{}").format(sql.Identifier(column)) for column in columns]
        times = _TIMES if table != "generation_metadata" else _TIMES[:2]
        known += [sql.SQL(_TIME).format(sql.Identifier("t", time), sql.Identifier(time)) for time in times]
        if table == "generation_metadata":
            known += [
                sql.SQL(_KIND).format(*map(sql.Identifier, (kind, kind, f"{kind}_text"))) for kind in METADATA_KINDS
            ]
        query = sql.SQL(
            "select t.id, {} as generation_id, {} from {}.{} t {} where {} is not null order by 2, t.created_at, t.id"
        ).format(
            sql.SQL(generation_id),
            sql.SQL(", ").join(known),
            self._schema,
            sql.Identifier(table),
            sql.SQL("join {}.variants v on v.id = t.variant_id" if table == "scenes" else "").format(self._schema),
            sql.SQL(generation_id),
        )
        with self._connection.cursor(f"read_{table}", row_factory=dict_row) as cursor:
            cursor.itersize = READ_ROWS
            cursor.execute(query)
            yield from cursor

    def orphans(self) -> Iterator[tuple[str, UUID, UUID]]:
        """Table, id and what it names as its own, of the rows whose generation or variant is not there."""
        for table, query in _ORPHANS.items():
            for row_id, parent in self._connection.execute(sql.SQL(query).format(self._schema)):
                yield table, row_id, parent

    def session_events(self) -> Iterator[tuple[str, str]]:
        """Session and text of the events that may tell a session's generation; none where there is no such table."""
        there = self._connection.execute("select to_regclass(%s)", [f'"{self._name}".events']).fetchone()
        if there and there[0] is not None:
            yield from self._connection.execute(sql.SQL(_EVENTS).format(self._schema))


class _Children:
    """The rows of one table by their generation, which is asked for in the order of ids."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def of(self, generation_id: UUID) -> list[Row]:
        """Its rows; those before it have no generation, and are told as orphans."""
        taken: list[Row] = []
        while self._next is not None and self._next["generation_id"] <= generation_id:
            if self._next["generation_id"] == generation_id:
                taken.append(self._next)
            self._next = next(self._rows, None)
        return taken
