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
from generation_history.importing.report import TABLES, Decisions, Line
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
#: What a row belongs to. Without its id, and without this, no row has a place.
_LINKS: Final = {"variants": "generation_id", "scenes": "variant_id", "generation_metadata": "generation_id"}
_READ: Final = {
    "generations": (*_GENERATIONS, *_TIMES),
    "variants": (*_VARIANTS, *_TIMES),
    "scenes": (*_SCENES, *_TIMES),
    "generation_metadata": (*METADATA_KINDS, *_TIMES[:2]),
}
#: By column, the types that its values are taken of as they are, and the one that others are cast to.
_COSTS: Final = (("numeric",), "numeric")
_NUMBERS: Final = (("int2", "int4", "int8"), "bigint")
_TYPES: Final[dict[str, tuple[tuple[str, ...], LiteralString]]] = {
    **dict.fromkeys(("id", "generation_id", "variant_id"), (("uuid",), "uuid")),
    **dict.fromkeys(("cost_estimate", "actual_cost"), _COSTS),
    **dict.fromkeys(("total_variants", "scenes_completed", "total_scenes"), _NUMBERS),
    **dict.fromkeys(("scene_number", "duration", "file_size"), _NUMBERS),
    "variant_types": (("_text", "_varchar"), "text[]"),
}
_EVENTS_TABLE: Final = "events"
_EVENT_COLUMNS: Final = ("session_id", "message", "data")
#: Also of tables that this login may not read, which have to be told.
_COLUMN_TYPES: LiteralString = """
    select c.relname, a.attname, t.typname
    from pg_class c join pg_attribute a on a.attrelid = c.oid join pg_type t on t.oid = a.atttypid
    where c.relnamespace = (select oid from pg_namespace where nspname = %s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
        and a.attnum > 0 and not a.attisdropped
"""
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
        self._types: dict[tuple[str, str], str] = {}

    def check(self) -> None:
        """NotConfigured unless all four tables are there, are the older installation's, and show all their rows.

        Each row has to have an id of its own.
        """
        self._types = {
            (table, column): kind for table, column, kind in self._connection.execute(_COLUMN_TYPES, [self._name])
        }
        missing = [table for table in TABLES if table not in {table for table, _ in self._types}]
        missing += [
            f"{table}.{column}"
            for table in TABLES
            for column in ("id", _LINKS.get(table, "id"))
            if table not in missing and (table, column) not in self._types
        ]
        if missing:
            named = ", ".join(dict.fromkeys(missing))
            raise NotConfigured(f"{self._setting}: the schema {self._name} has no {named} to read")
        if ("generations", "owner_id") in self._types:
            raise NotConfigured(f"{self._setting}: the tables of the schema {self._name} are this product's own")
        self._check_rows_are_shown()
        for table in TABLES:
            self._check_ids(table)

    def _check_rows_are_shown(self) -> None:
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

    def _check_ids(self, table: str) -> None:
        """A table that was copied may have lost its key, and have rows twice."""
        query = sql.SQL("select id from {}.{} group by id having count(*) > 1 or id is null limit 1")
        found = self._connection.execute(query.format(self._schema, sql.Identifier(table))).fetchone()
        if found is not None:
            odd = "rows without an id" if found[0] is None else f"several rows with the id {found[0]}"
            raise NotConfigured(f"{self._setting}: {self._name}.{table} has {odd}: mend that first")

    def odd_columns(self) -> Iterator[Line]:
        """A line for each column that is not there, or is of another type than its values are taken of."""
        told = Decisions()
        for table, columns in _READ.items():
            for column in columns:
                kind, (kinds, cast) = self._types.get((table, column)), _TYPES.get(column, ((), "text"))
                if kind is None:
                    told.note("column_missing", table, column)
                elif kinds and kind not in kinds:
                    told.note("column_cast", table, column, kind, cast)
        missing = [column for column in _EVENT_COLUMNS if (_EVENTS_TABLE, column) not in self._types]
        if any(table == _EVENTS_TABLE for table, _ in self._types):
            for column in missing:
                told.note("events_unread", _EVENTS_TABLE, column)
        yield from told.lines

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
        known = [sql.SQL("{} as {}").format(self._value(table, name), sql.Identifier(name)) for name in columns]
        times = _TIMES if table != "generation_metadata" else _TIMES[:2]
        known += [sql.SQL(_TIME).format(self._value(table, time), sql.Identifier(time)) for time in times]
        if table == "generation_metadata":
            known += [
                sql.SQL(_KIND).format(self._value(table, kind), sql.Identifier(kind), sql.Identifier(f"{kind}_text"))
                for kind in METADATA_KINDS
            ]
        query = sql.SQL(
            "select {} as id, {}::uuid as generation_id, {} from {}.{} t {} where {} is not null order by 2, {}, 1"
        ).format(
            self._value(table, "id"),
            sql.SQL(generation_id),
            sql.SQL(", ").join(known),
            self._schema,
            sql.Identifier(table),
            sql.SQL("join {}.variants v on v.id = t.variant_id" if table == "scenes" else "").format(self._schema),
            sql.SQL(generation_id),
            self._value(table, "created_at"),
        )
        with self._connection.cursor(f"read_{table}", row_factory=dict_row) as cursor:
            cursor.itersize = READ_ROWS
            cursor.execute(query)
            yield from cursor

    def _value(self, table: str, column: str) -> sql.Composable:
        """The column's value as the importer takes it; null where there is no such column."""
        kinds, cast = _TYPES.get(column, ((), "text"))
        kind = self._types.get((table, column))
        name = sql.Identifier("t", column)
        if kind is None:
            return sql.SQL("null::timestamptz" if column in _TIMES else f"null::{cast}")
        return sql.SQL("{}::" + cast).format(name) if kinds and kind not in kinds else name

    def orphans(self) -> Iterator[tuple[str, UUID, UUID]]:
        """Table, id and what it names as its own, of the rows whose generation or variant is not there."""
        for table, query in _ORPHANS.items():
            for row_id, parent in self._connection.execute(sql.SQL(query).format(self._schema)):
                yield table, row_id, parent

    def session_events(self) -> Iterator[tuple[str, str]]:
        """Session and text of the events that may tell a session's generation; none where there is no such table."""
        if not {(_EVENTS_TABLE, column) for column in _EVENT_COLUMNS} <= set(self._types):
            return
        try:
            yield from self._connection.execute(sql.SQL(_EVENTS).format(self._schema))
        except psycopg.errors.InsufficientPrivilege as error:
            raise NotConfigured(
                f"{self._setting}: this login may not read every row of {self._name}.events, which tell which"
                f" generation a video under sessions/ is of ({' '.join(str(error).split())})"
            ) from None


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
