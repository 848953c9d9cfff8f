"""One connection for each call at a time; each call is one transaction under its owner, in one round trip."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, LiteralString
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads
from tenacity import RetryError, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from generation_history.errors import (
    Conflict,
    Held,
    HistoryError,
    InvalidValue,
    LeaseLost,
    NotConfigured,
    NotFound,
    Repeated,
    Unavailable,
)
from generation_history.models import FAILURE_CODES
from generation_history.wire import from_json

Row = dict[str, Any]
Connection = psycopg.Connection[Row]
Statement = tuple[LiteralString, Mapping[str, Any]]

CONNECT_TIMEOUT_SECONDS = 5
ATTEMPTS = 3
_TIMEOUTS = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)
# Every statement of ours fits the newest migration: what it does not find, an older database lacks.
_NOT_MIGRATED = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction)

# What the functions of migrations/ raise.
_RAISED: dict[str, type[HistoryError]] = {
    "GH001": LeaseLost,
    "GH002": Conflict,
    "GH003": NotFound,
    "GH004": Held,
    "GH005": Repeated,
}

#: What a broken constraint means to a caller. What is not here is told by the constraint's own name.
_CONSTRAINTS: dict[str, HistoryError] = {
    "generations_source_video_url_length": InvalidValue("source_video_url must have 1 to 4096 characters"),
    "generations_variant_types": InvalidValue("variant_types must name one or more of soft, medium, aggressive, ultra"),
    "generations_status": InvalidValue("status must be one of pending, processing, completed, failed"),
    "variants_status": InvalidValue("status must be one of pending, processing, completed, failed"),
    "scenes_status": InvalidValue("status must be one of pending, processing, completed, failed"),
    "generations_cost_estimate": InvalidValue("cost_estimate must be a number from 0 up"),
    "generations_actual_cost": InvalidValue("actual_cost must be a number from 0 up"),
    "variants_variant_type": InvalidValue("variant_type must be one of soft, medium, aggressive, ultra"),
    "variants_generation_id_variant_type_key": Conflict("this generation has a variant of this type already"),
    "variants_scenes_completed": InvalidValue("scenes_completed must be from 0 to total_scenes"),
    "scenes_variant_id_scene_number_key": Conflict("this variant has a scene of this number already"),
    "attempts_sora_video_id": Conflict("another scene has this provider job already"),
    "scenes_recorded_once": Conflict("this variant has scenes with other prompts already"),
    "scenes_scene_number": InvalidValue("scene_number must be from 1 to 1000"),
    "scenes_sora_prompt_length": InvalidValue("sora_prompt must have at most 32000 characters"),
    "scenes_duration": InvalidValue("duration must be a whole number of seconds from 0 up"),
    "scenes_file_size": InvalidValue("file_size must be a number of bytes from 0 up"),
    "scenes_error_code": InvalidValue(f"error_code must be one of {', '.join(FAILURE_CODES)}"),
    "scenes_seconds": InvalidValue("seconds must be from 1 to 600"),
    "variants_generation_id_fkey": NotFound("no such generation"),
    "idempotency_keys_key": InvalidValue("an idempotency key must have 1 to 200 characters"),
    "generation_metadata_generation_id_fkey": NotFound("no such generation"),
    "scenes_variant_id_fkey": NotFound("no such variant"),
}


class Database:
    """Runs statements under an owner; knows nothing of what they mean."""

    def __init__(self, url: str, *, setting: str) -> None:
        self._url = url
        self._setting = setting
        # As many as there were calls at once. Not one for each thread: a server may have a new thread for every call.
        self._idle: list[Connection] = []

    def run(self, owner_id: UUID | None, *statements: Statement) -> list[Row]:
        """The rows of the last statement; all of them ran as run_each() does."""
        return self.run_each(owner_id, *statements)[-1]

    def run_each(self, owner_id: UUID | None, *statements: Statement) -> list[list[Row]]:
        """The rows of each statement; all of them ran in one transaction under this owner, in one round trip.

        The owner is told to row level security for this transaction alone. A database that went away, a deadlock or a
        timeout is tried again, so statements must be harmless to repeat. Errors come as ours (errors.py).
        """
        retrying = Retrying(
            retry=retry_if_exception(_is_transient),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.1, max=1),
        )
        try:
            return retrying(self._transaction, owner_id, statements)
        except RetryError as error:
            raise self._unavailable(error.last_attempt.exception()) from None
        except psycopg.Error as error:
            raise self._translate(error) from error

    def _transaction(self, owner_id: UUID | None, statements: Sequence[Statement]) -> list[list[Row]]:
        connection = self._take()
        try:
            with connection.pipeline():
                connection.execute("begin")
                connection.execute("select set_config('app.owner_id', %s, true)", [str(owner_id or "")])
                cursors = [connection.execute(query, parameters) for query, parameters in statements]
                connection.execute("commit")
            return [cursor.fetchall() if cursor.description else [] for cursor in cursors]
        except BaseException:
            self._recover(connection)
            raise
        finally:
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
            connection = Connection.connect(
                self._url,
                autocommit=True,
                # A pooler in transaction mode breaks prepared statements.
                prepare_threshold=None,
                row_factory=dict_row,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                keepalives_idle=30,
                application_name="generation-history",
            )
        except psycopg.ProgrammingError:
            # Its text may repeat the URL, and with it the password.
            raise NotConfigured(f"{self._setting} is not a URL like postgresql://login:password@host/name") from None
        set_json_loads(from_json, connection)
        try:
            self._require_isolation(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _require_isolation(self, connection: Connection) -> None:
        """Refuse a login that row level security does not bind: it would be shown everyone's rows as its own."""
        asked = connection.execute("select row_security_active('generations') as bound, current_user as login")
        row = asked.fetchone()
        if row is None or not row["bound"]:
            login = row and row["login"]
            raise NotConfigured(f"{self._setting}: row level security does not bind the login {login}; name another")

    def _recover(self, connection: Connection) -> None:
        try:
            connection.rollback()
        except psycopg.Error:
            connection.close()
            # The idle ones were lost with it, and would cost each attempt of the retry.
            self.close()

    def _translate(self, error: psycopg.Error) -> HistoryError:
        said = _first_line(error)
        if isinstance(error, _NOT_MIGRATED):
            return NotConfigured(f"{self._setting}: the database is not migrated (scripts/migrate): {said}")
        if isinstance(error, psycopg.errors.InsufficientPrivilege) and "row-level security" not in said:
            return NotConfigured(f"{self._setting} names a login that may not do this: {said}")
        return _meaning(error, said)

    def _unavailable(self, error: BaseException | None) -> Unavailable:
        return Unavailable(f"{self._setting}: the database at {self._host()} cannot be used now: {_first_line(error)}")

    def _host(self) -> str:
        try:
            parts = urlsplit(self._url)
            return f"{parts.hostname}:{parts.port or 5432}"
        except ValueError:
            return "an unreadable address"

    def close(self) -> None:
        """Guarantees that no connection is left open but those of calls under way."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


def _is_transient(error: BaseException) -> bool:
    """Whether the same transaction may succeed at once: a lost connection, a deadlock, but no timeout."""
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and not isinstance(error, _TIMEOUTS)


@cache
def connect(url: str, *, setting: str) -> Database:
    """The process's one Database of this URL, kept between the calls of a warm instance."""
    return Database(url, setting=setting)


def _meaning(error: psycopg.Error, said: str) -> HistoryError:
    constraint = error.diag.constraint_name
    if constraint in _CONSTRAINTS:
        known = _CONSTRAINTS[constraint]
        return type(known)(str(known))
    if constraint == "scenes_status_moves_forward" or isinstance(error, psycopg.IntegrityError):
        invalid = isinstance(error, (psycopg.errors.CheckViolation, psycopg.errors.NotNullViolation))
        return InvalidValue(said) if invalid and constraint != "scenes_status_moves_forward" else Conflict(said)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return NotFound("no such parent row")
    if isinstance(error, _TIMEOUTS):
        return Unavailable("the database took too long to answer")
    if isinstance(error, psycopg.DataError):
        return InvalidValue(said)
    return _RAISED.get(error.sqlstate or "", HistoryError)(said)


def _first_line(error: BaseException | None) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
