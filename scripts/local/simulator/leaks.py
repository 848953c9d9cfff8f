"""Every key that was shown where none may be; kept, so that a test can say that there was none."""

from typing import TypedDict

from scripts.local.simulator.jobs import Jobs

_SCHEMA = """
    create table if not exists leaks (
        seq integer primary key autoincrement, kind text not null, header text not null, path text not null
    )
"""


class Leak(TypedDict):
    """A key in a request that must have none: whose host it was, the header, and the path."""

    kind: str
    header: str
    path: str


class Leaks:
    """The leaks of one data folder."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        with jobs.transaction() as connection:
            connection.execute(_SCHEMA)

    def add(self, leak: Leak) -> None:
        """The leak is kept."""
        with self._jobs.transaction() as connection:
            connection.execute("insert into leaks (kind, header, path) values (:kind, :header, :path)", leak)

    def every(self) -> list[Leak]:
        """Every leak there ever was, oldest first."""
        with self._jobs.transaction() as connection:
            rows = connection.execute("select kind, header, path from leaks order by seq").fetchall()
        return [Leak(**dict(row)) for row in rows]
