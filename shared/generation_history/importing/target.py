"""Target: our tables, filled a batch at a time; a batch is there whole, remembered, or not at all."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from generation_history.errors import Conflict, NotConfigured
from generation_history.importing.generation import NewGeneration
from generation_history.importing.late_videos import LateVideo, complete_late, find_late
from generation_history.importing.objects import GenerationObjects
from generation_history.importing.report import TABLES, Line
from generation_history.importing.sessions import SessionVideo
from generation_history.importing.source import CONNECT_SECONDS, Row

SETTING: Final = "MIGRATE_DATABASE_URL"
#: Any number, the same for every import: two of them would do the same work.
_LOCK: Final = 7_021_978
_MERGE_ROWS: Final = 100_000
_IMPORTED: LiteralString = """
    select g.id, i.owner_id, i.source_rows, i.source_changed_at
    from unnest(%s::uuid[]) g (id)
    left join imported_generations i on i.generation_id = g.id
    where i.generation_id is not null or exists (select from generations where id = g.id)
"""
_REMEMBERED: Final = ("generation_id", "owner_id", "source_rows", "source_changed_at")


@dataclass(frozen=True)
class Known:
    """What is here of a generation already: who it was imported for, and how it was then; nobody, where it was not."""

    owner_id: UUID | None
    source_rows: int | None
    source_changed_at: datetime | None


@contextmanager
def open_target(url: str) -> Generator["Target"]:
    """Our tables, for one import at a time; NotConfigured where this login may not fill them."""
    try:
        connection = psycopg.connect(
            url, autocommit=True, connect_timeout=CONNECT_SECONDS, client_encoding="UTF8", prepare_threshold=None
        )
    except psycopg.ProgrammingError:
        # Its text may repeat the URL, and with it the password.
        raise NotConfigured(f"{SETTING} is not a URL like postgresql://login:password@host/name") from None
    except psycopg.Error as error:
        raise NotConfigured(f"{SETTING}: {' '.join(str(error).split())}") from None
    with connection:
        connection.execute(
            "select set_config('row_security', 'off', false), set_config('statement_timeout', '0', false),"
            " set_config('idle_in_transaction_session_timeout', '0', false), set_config('search_path', 'public', false)"
        )
        target = Target(connection)
        target.check()
        yield target


class Target:
    """The record as its owner history_migrate fills it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def check(self) -> None:
        """NotConfigured unless this database is migrated and shows all rows; Conflict while another import runs."""
        try:
            self._connection.execute("select from imported_generations, generations limit 1")
        except psycopg.errors.UndefinedTable:
            raise NotConfigured(f"{SETTING}: the database is not migrated (scripts/migrate)") from None
        except psycopg.errors.InsufficientPrivilege as error:
            raise NotConfigured(f"{SETTING} must be of history_migrate: {' '.join(str(error).split())}") from None
        locked = self._connection.execute("select pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
        if locked != (True,):
            raise Conflict("another import is running")

    def known(self, ids: Sequence[UUID]) -> dict[UUID, Known]:
        """Those of these generations that are here, or were imported and are gone again."""
        return {row[0]: Known(*row[1:]) for row in self._connection.execute(_IMPORTED, [list(ids)])}

    def late_videos(
        self, videos: Mapping[UUID, Sequence[SessionVideo]], objects: Mapping[UUID, GenerationObjects]
    ) -> tuple[list[LateVideo], list[Line]]:
        """Those of the generations' videos that scenes here have been waiting for, and a line for each that is new."""
        return find_late(self._connection, videos, objects)

    def complete(self, found: Sequence[LateVideo]) -> None:
        """The scenes are completed by their videos, which are copied."""
        complete_late(self._connection, found)

    def fill(
        self,
        generations: Sequence[NewGeneration],
        owner_id: UUID,
        before_commit: Callable[[list[NewGeneration], list[tuple[NewGeneration, str]]], None],
        *,
        apply: bool,
    ) -> None:
        """The generations are here, but for those that the database refuses; unless applied, all of it is undone.

        before_commit is told both, and by an error of it nothing is here.
        """
        with self._connection.transaction(force_rollback=not apply):
            # The triggers' plans are kept in the session: those for a table of a few rows read all of a larger one.
            self._connection.execute("discard plans")
            refused: list[tuple[NewGeneration, str]] = []
            try:
                with self._connection.transaction():
                    self._insert(generations)
            except (psycopg.DataError, psycopg.IntegrityError):
                refused = [(one, why) for one in generations if (why := self._insert_alone(one)) is not None]
            gone = {one.id for one, _ in refused}
            before_commit([one for one in generations if one.id not in gone], refused)
            self._remember([one for one in generations if one.id not in gone], owner_id)

    def _insert_alone(self, generation: NewGeneration) -> str | None:
        """Why the database refuses this one, whatever nobody thought of; None where it takes it."""
        try:
            with self._connection.transaction():
                self._insert([generation])
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            return str(error).strip().splitlines()[0]
        return None

    def _insert(self, generations: Sequence[NewGeneration]) -> None:
        for table in TABLES:
            self._copy(table, [row for one in generations for row in one.rows[table]])
        self._copy("inspections", [row for one in generations for row in one.inspections])

    def _remember(self, generations: Sequence[NewGeneration], owner_id: UUID) -> None:
        values = ((one.id, owner_id, one.source_rows, one.source_changed_at) for one in generations)
        self._copy("imported_generations", [dict(zip(_REMEMBERED, row, strict=True)) for row in values])

    def _copy(self, table: str, rows: Sequence[Row]) -> None:
        if not rows:
            return
        columns = list(rows[0])
        statement = sql.SQL("copy {} ({}) from stdin").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(list(row.values()))

    def merge_stats(self) -> None:
        """What the triggers noted is in the statistics' sums: readers need not add it up."""
        merged = _MERGE_ROWS
        while merged == _MERGE_ROWS:
            row = self._connection.execute("select merge_stats_deltas(%s)", [_MERGE_ROWS]).fetchone()
            merged = row[0] if row else 0


def by_table(generations: Iterable[NewGeneration]) -> Mapping[str, int]:
    """The number of rows by table."""
    counted: dict[str, int] = dict.fromkeys(TABLES, 0)
    for one in generations:
        for table in TABLES:
            counted[table] += len(one.rows[table])
    return counted
