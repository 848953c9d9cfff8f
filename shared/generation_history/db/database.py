"""One connection for each call at a time; each call is one transaction under its owner, in one round trip."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import conninfo
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from generation_history.db import constraint_errors, sqlstates
from generation_history.db.one_write import Connection, Row
from generation_history.errors import (
    HistoryError,
    NotConfigured,
    Unavailable,
)
from generation_history.json_codec import from_json

Statement = tuple[LiteralString, Mapping[str, Any]]

CONNECT_TIMEOUT_SECONDS = 5
ATTEMPTS = 3
#: After so long no other attempt begins: a web call has 30 s.
LAST_ATTEMPT_SECONDS = 10
#: A transaction that stands still for so long is in everybody's way; one that works is never so old
#: (LOGIN_SETTINGS of scripts/create-logins: transaction_timeout, which servers before 17 do not know).
STALLED_SECONDS = 30
_KNOWS_TRANSACTION_TIMEOUT = 170_000
#: A host that vanished is noticed within about half a minute, while it is waited for as while it is written to.
_TCP: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# Every statement of ours fits the newest migration: what it does not find, an older database lacks.
_NOT_MIGRATED = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction)

# What the functions of migrations/ raise.

# A pooler hands on sessions that anyone with the login's password may have used before, whatever he set or made there.
# So each transaction resets what is set and gives back what locks are held, and finds tables in public before temporary
# ones. Read-only is not undone: it may be the operator's, or a standby's.
_BEGIN: tuple[LiteralString, ...] = ("begin isolation level read committed", "reset all")
_ACT_AS: LiteralString = """
    select pg_catalog.set_config('app.owner_id', %s, true),
        pg_catalog.set_config('search_path', 'pg_catalog, public, pg_temp', true), pg_catalog.pg_advisory_unlock_all()
"""
_END_OUR_SESSION: LiteralString = """
    select pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())
    where pg_catalog.current_setting('transaction_read_only') = 'on'
"""
# Of this login alone: what another's sessions do is not shown to it. Between two messages of a client that stopped, the
# server waits for it without any timeout running; a client that takes no more of an answer is the same.
_END_STALLED: LiteralString = """
    select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity
    where datname = current_database() and pid <> pg_catalog.pg_backend_pid()
        and wait_event in ('ClientRead', 'ClientWrite')
        and xact_start < now() - pg_catalog.make_interval(secs => %s)
"""


class Database:
    """Runs statements under an owner; knows nothing of what they mean."""

    def __init__(
        self, url: str, *, setting: str, preface: Sequence[Statement] = (), idle: list[Connection] | None = None
    ) -> None:
        self._url = url
        self._setting = setting
        # As many as there were calls at once. Not one for each thread: a server may have a new thread for every call.
        self._idle: list[Connection] = [] if idle is None else idle
        self._preface = preface

    def prefaced(self, *statements: Statement) -> "Database":
        """The same database: each of its transactions begins with these statements, whose rows nobody is told."""
        return Database(self._url, setting=self._setting, preface=statements, idle=self._idle)

    def run(self, owner_id: UUID | None, *statements: Statement) -> list[Row]:
        """The rows of the last statement; all of them ran as run_each() does."""
        return self.run_each(owner_id, *statements)[-1]

    def run_each(self, owner_id: UUID | None, *statements: Statement) -> list[list[Row]]:
        """The rows of each statement; all of them ran in one transaction under this owner, in one round trip.

        The owner is told to row level security for this transaction alone. A database that went away or takes no
        writes, or a deadlock, is tried again, so statements must be harmless to repeat: they may have been done when
        the connection broke. Errors come as ours (errors.py).
        """
        retry = Retrying(
            retry=retry_if_exception(lambda error: sqlstates.treatment(error).is_retryable),
            stop=stop_after_attempt(ATTEMPTS) | stop_after_delay(LAST_ATTEMPT_SECONDS),
            wait=wait_random_exponential(multiplier=0.1, max=1),
        )
        try:
            return retry(self._transaction, owner_id, (*self._preface, *statements))[len(self._preface) :]
        except RetryError as error:
            raise self._unavailable(error.last_attempt.exception()) from None
        except psycopg.Error as error:
            raise self._translate(error) from error

    def _transaction(self, owner_id: UUID | None, statements: Sequence[Statement]) -> list[list[Row]]:
        connection = self._take()
        try:
            with connection.one_write():
                for statement in _BEGIN:
                    connection.execute(statement)
                connection.execute(_ACT_AS, [str(owner_id or "")])
                cursors = [connection.execute(query, parameters) for query, parameters in statements]
                connection.execute("commit")
            return [cursor.fetchall() if cursor.description else [] for cursor in cursors]
        except BaseException as error:
            self._recover(connection, error)
            raise
        finally:
            self._give_back(connection)

    def _give_back(self, connection: Connection) -> None:
        # What a standby shows gets older and older once its primary has moved: the next call looks for another.
        if not connection.closed and connection.info.parameter_status("in_hot_standby") == "on":
            connection.close()
        if not connection.closed:
            self._idle.append(connection)

    def _take(self) -> Connection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect()
            if not connection.closed:
                return connection

    def _connect(self) -> Connection:
        try:
            params = conninfo.conninfo_to_dict(self._url)
            connection = Connection.connect(
                self._url,
                autocommit=True,
                # A pooler in transaction mode breaks prepared statements.
                prepare_threshold=None,
                row_factory=dict_row,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                application_name="generation-history",
                client_encoding="UTF8",
                # Of several hosts the first may be the standby.
                target_session_attrs=params.get("target_session_attrs") or _any_or_primary(params),
                **_TCP,
            )
        except psycopg.ProgrammingError:
            # Its text may repeat the URL, and with it the password.
            raise NotConfigured(f"{self._setting} is not a URL like postgresql://login:password@host/name") from None
        set_json_loads(from_json, connection)
        try:
            self._require_utf8(connection)
            self._require_isolation(connection)
            if connection.info.server_version < _KNOWS_TRANSACTION_TIMEOUT:
                _end_stalled(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _require_utf8(self, connection: Connection) -> None:
        encoding = connection.info.parameter_status("server_encoding")
        if encoding not in {None, "UTF8"}:
            raise NotConfigured(f"{self._setting}: {_not_utf8(str(encoding))}")

    def _require_isolation(self, connection: Connection) -> None:
        """Refuse a login that row level security does not bind: it would be shown everyone's rows as its own."""
        cursor = connection.execute(
            "select pg_catalog.row_security_active('public.generations') as bound, current_user as login"
        )
        row = cursor.fetchone()
        if row is None or not row["bound"]:
            login = row and row["login"]
            raise NotConfigured(f"{self._setting}: row level security does not bind the login {login}; name another")

    def _recover(self, connection: Connection, error: BaseException) -> None:
        """Leave a connection that may serve the next transaction, or none."""
        try:
            if sqlstates.treatment(error).drops_connection:
                if sqlstates.takes_no_writes(error):
                    connection.rollback()
                    # Behind a pooler, closing our end leaves it to the next one.
                    connection.execute(_END_OUR_SESSION)
            else:
                connection.rollback()
                if sqlstates.treatment(error).is_late:
                    # Whatever was waited for may have been waiting for a client that is not there any more.
                    _end_stalled(connection)
                return
        except psycopg.Error:
            pass
        connection.close()
        # The idle ones were lost with it, and would cost each attempt of the retry.
        self.close()

    def _translate(self, error: psycopg.Error) -> HistoryError:
        message = _first_line(error)
        if isinstance(error, _NOT_MIGRATED):
            return NotConfigured(f"{self._setting}: the database is not migrated (scripts/migrate): {message}")
        if isinstance(error, psycopg.errors.InsufficientPrivilege) and "row-level security" not in message:
            return NotConfigured(f"{self._setting} names a login that may not do this: {message}")
        return constraint_errors.meaning(error, message)

    def _unavailable(self, error: BaseException | None) -> Unavailable:
        return Unavailable(f"{self._setting}: the database at {self._host()} cannot be used now: {_first_line(error)}")

    def _host(self) -> str:
        try:
            params = conninfo.conninfo_to_dict(self._url)
        except psycopg.ProgrammingError:
            return "an unreadable address"
        return f"{params.get('host') or params.get('hostaddr')}:{params.get('port') or 5432}"

    def close(self) -> None:
        """Guarantees that no connection is left open but those of calls under way."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


def _not_utf8(encoding: str) -> str:
    """What to say of a database in this encoding: prompts and names in any language would not fit into it."""
    return (
        f"the database is in {encoding}, not in UTF8: make another one, "
        "with create database NAME encoding 'UTF8' locale 'C.UTF-8' template template0"
    )


def _any_or_primary(params: Mapping[str, Any]) -> str:
    has_several_hosts = "," in str(params.get("host") or params.get("hostaddr") or "")
    return "primary" if has_several_hosts else "any"


def _end_stalled(connection: Connection) -> None:
    connection.execute(_END_STALLED, [STALLED_SECONDS])


@cache
def connect(url: str, *, setting: str) -> Database:
    """The process's one Database of this URL, kept between the calls of a warm instance."""
    return Database(url, setting=setting)


def _first_line(error: BaseException | None) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
