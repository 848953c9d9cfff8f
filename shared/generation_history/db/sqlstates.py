"""What an error of the database says of the transaction and of its connection: one table by SQLSTATE, with reasons.

psycopg's own classes do not tell: a standby's "read-only" (25006) is an InternalError there, as a bug of ours would be.
"""

from dataclasses import dataclass
from typing import Final

import psycopg


@dataclass(frozen=True)
class Treatment:
    """What follows.

    is_retryable: the same transaction may succeed on another try, soon. drops_connection: its connection is not to
    serve the next one. is_late: it was ended because it took, or waited, too long.
    """

    is_retryable: bool = False
    drops_connection: bool = False
    is_late: bool = False


#: The connection, or the server behind it, is not one to work with: another one may be.
_ELSEWHERE: Final = Treatment(is_retryable=True, drops_connection=True)
#: The transaction was in the way of another one; its connection is as good as before.
_AT_ONCE: Final = Treatment(is_retryable=True)
#: It has waited as long as a caller waits; three times that is too long.
_LATE: Final = Treatment(is_late=True)
_LATE_AND_CUT_OFF: Final = Treatment(is_late=True, drops_connection=True)
#: The statement or its values are at fault: it would fail again.
_FINAL: Final = Treatment()

#: By SQLSTATE or its class, the first two characters. Whatever is not here is final.
_TREATMENTS: Final[dict[str, Treatment]] = {
    # Lost connections, and nearly all that PgBouncer says in its own name: no server, too many clients, a restart.
    "08": _ELSEWHERE,
    # A session that takes no writes (25006: a standby, a primary that was demoted, a read-only moment), or that is in
    # another state than we left it in (25001, 25P02), or was ended because it stood still (25P03).
    "25": _ELSEWHERE,
    # transaction_timeout.
    "25P04": _LATE_AND_CUT_OFF,
    # Prepared statements and cursors that a pooler's session has or lacks: somebody else's.
    "26": _ELSEWHERE,
    "34": _ELSEWHERE,
    "42P03": _ELSEWHERE,
    "42P05": _ELSEWHERE,
    # Logins and databases come back in the middle of a failover or of a restore.
    "28": _ELSEWHERE,
    "3D": _ELSEWHERE,
    # Deadlocks, serialization failures, conflicts with recovery.
    "40": _AT_ONCE,
    # Too many connections, no memory, no disk.
    "53": _ELSEWHERE,
    # Not in the state for it: "recovery is in progress", "is being accessed".
    "55": _ELSEWHERE,
    # lock_timeout.
    "55P03": _LATE,
    # Shut down, crashed, starting up, the database dropped, the session too long idle.
    "57": _ELSEWHERE,
    # statement_timeout, or somebody cancelled it.
    "57014": _LATE,
    # The operating system: a file cannot be read.
    "58": _ELSEWHERE,
    # The snapshot is too old.
    "72": _AT_ONCE,
    # The server's configuration cannot be read.
    "F0": _ELSEWHERE,
}
_VALUES: Final = (psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError)
_ENDS_THE_SESSION: Final = frozenset({"FATAL", "PANIC"})


def treatment(error: BaseException) -> Treatment:
    """What to do after this error; what is no error of the database's or its driver's is final."""
    if not isinstance(error, psycopg.Error):
        return _FINAL
    state = error.sqlstate
    if state is None:
        # The driver's own: a value that cannot be sent, or else a connection that broke or could not be made. One that
        # breaks while its answers are read is a plain DatabaseError to psycopg.
        return _FINAL if isinstance(error, _VALUES) else _ELSEWHERE
    entry = _TREATMENTS.get(state) or _TREATMENTS.get(state[:2])
    if entry is None and error.diag.severity_nonlocalized in _ENDS_THE_SESSION:
        # Some poolers and proxies say everything as XX000: what it ended is the connection.
        return _ELSEWHERE
    return entry or _FINAL


def takes_no_writes(error: BaseException) -> bool:
    """Whether the session, or its server, takes no writes (25006)."""
    return isinstance(error, psycopg.errors.ReadOnlySqlTransaction)
