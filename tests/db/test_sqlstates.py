"""What an error of the database's driver without a SQLSTATE says of its connection."""

import psycopg
import pytest

from generation_history.db.sqlstates import treatment


@pytest.mark.parametrize(
    "kind", [psycopg.DatabaseError, psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError]
)
def test_a_connection_that_broke_is_dropped_and_the_transaction_is_tried_on_another(kind: type[psycopg.Error]):
    """A plain DatabaseError is what psycopg makes of a result without a state: the server went while it answered."""
    found = treatment(kind("server closed the connection unexpectedly"))

    assert (found.is_retryable, found.drops_connection) == (True, True)


@pytest.mark.parametrize("kind", [psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError])
def test_a_value_that_cannot_be_sent_is_not_sent_again(kind: type[psycopg.Error]):
    assert not treatment(kind("cannot adapt type 'object'")).is_retryable
