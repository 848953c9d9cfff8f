"""The simulator's memory: jobs and the count of POSTs, in SQLite; a killed process forgets nothing it answered."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

from scripts.local.simulator.create_request import CreateRequest
from scripts.local.simulator.directives import CANCELLED, Directives
from scripts.local.simulator.job import Job

Order = Literal["asc", "desc"]
#: What became of a POST: a job, and its whole answer; no job, said in an answer that leaves no doubt (refused, busy: a
#: 429); anything else went wrong before the job was made, or after it.
Answer = Literal["accepted", "refused", "busy", "fault_before", "fault_after"]

# A deleted job keeps its row: it is still a valid `after`, so a list may be paged while it is emptied.
_SCHEMA = """
    create table if not exists jobs (
        seq integer primary key autoincrement,
        id text not null unique,
        prompt text not null,
        model text not null,
        seconds text not null,
        size text not null,
        created_at real not null,
        starts_at real not null,
        finishes_at real not null,
        expires_after real not null,
        error_code text,
        error_message text,
        rendered_at real,
        deleted integer not null default 0,
        kind text not null default 'sora',
        body text not null default '',
        details text not null default '{}'
    );
    create index if not exists jobs_in_order on jobs (created_at, seq);
    create table if not exists posts (
        prompt text primary key,
        accepted integer not null default 0,
        rejected integer not null default 0
    );
    create table if not exists arrivals (
        seq integer primary key autoincrement,
        prompt text not null,
        arrived_at real not null,
        answer text,
        job_id text,
        kind text not null default 'sora'
    );
"""
#: What a folder of an earlier version lacks.
_ADDED = {
    "jobs": {
        "kind": "text not null default 'sora'",
        "body": "text not null default ''",
        "details": "text not null default '{}'",
    },
    "arrivals": {"kind": "text not null default 'sora'"},
}
_INSERT = """
    insert into jobs (id, prompt, model, seconds, size, created_at, starts_at, finishes_at, expires_after,
        error_code, error_message, kind, body, details)
    values (:id, :prompt, :model, :seconds, :size, :now, :starts_at, :finishes_at, :expires_after,
        :error_code, :error_message, :kind, :body, :details)
"""
_COUNT_ACCEPTED = """
    insert into posts (prompt, accepted) values (?, 1) on conflict (prompt) do update set accepted = accepted + 1
"""
_COUNT_REJECTED = """
    insert into posts (prompt, rejected) values (?, 1) on conflict (prompt) do update set rejected = rejected + 1
"""
_GET = "select * from jobs where id = ?"
_UNRENDERED = "select * from jobs where rendered_at is null and error_code is null and not deleted order by seq"
_PAGE: dict[Order, str] = {
    "asc": """
        select * from jobs
        where not deleted and kind = 'sora'
          and (:after is null or (created_at, seq) > (select created_at, seq from jobs where id = :after))
        order by created_at, seq limit :limit
    """,
    "desc": """
        select * from jobs
        where not deleted and kind = 'sora'
          and (:after is null or (created_at, seq) < (select created_at, seq from jobs where id = :after))
        order by created_at desc, seq desc limit :limit
    """,
}


@dataclass(frozen=True)
class Timing:
    """How long a job is queued, renders, and can be downloaded after that, in seconds."""

    queue_seconds: float = 0.3
    render_seconds: float = 1.0
    expires_seconds: float = 3600.0


@dataclass(frozen=True)
class Origin:
    """Where a job comes from: its kind, the body of its POST as it came, and for how long its content lives."""

    kind: str = "sora"
    body: str = ""
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    #: None: as long as the simulator's timing says.
    lives: float | None = None


_OF_VIDEOS = Origin()


class Posts(TypedDict):
    """How often each prompt was POSTed: accepted as a job, and refused with a 400."""

    posts: dict[str, int]
    total: int
    rejected: dict[str, int]


class Arrival(TypedDict):
    """One POST as it came; without an answer as long as it has none, or for ever if the process died in it."""

    kind: str
    prompt: str
    arrived_at: float
    answer: Answer | None
    job_id: str | None


class Jobs:
    """The jobs of one data folder; safe to share between threads, one process at a time."""

    def __init__(self, database: Path, *, timing: Timing, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._timing = timing
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(database, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("pragma journal_mode = wal")
        # Enough for a killed process; only a machine losing power could lose the last commits.
        self._connection.execute("pragma synchronous = normal")
        self._connection.executescript(_SCHEMA)
        for table, columns in _ADDED.items():
            present = {row["name"] for row in self._connection.execute(f"pragma table_info({table})")}
            for name, definition in columns.items():
                if name not in present:
                    self._connection.execute(f"alter table {table} add column {name} {definition}")

    def add(self, job_id: str, request: CreateRequest, directives: Directives, origin: Origin = _OF_VIDEOS) -> Job:
        """The new job of this id, stored with its POST in one transaction: it is answered only after both are kept."""
        error_code, error_message = directives.failure or (None, None)
        with self.transaction() as connection:
            now = self.clock()
            starts_at = now + self._timing.queue_seconds
            lives = self._timing.expires_seconds if origin.lives is None else origin.lives
            expires_after = directives.expires_after
            connection.execute(
                _INSERT,
                {
                    **vars(request),
                    "id": job_id,
                    "now": now,
                    "starts_at": starts_at,
                    "finishes_at": starts_at + self._timing.render_seconds + directives.delay,
                    "expires_after": lives if expires_after is None else expires_after,
                    "error_code": error_code,
                    "error_message": error_message,
                    "kind": origin.kind,
                    "body": origin.body,
                    "details": json.dumps(origin.details),
                },
            )
            connection.execute(_COUNT_ACCEPTED, [request.prompt])
            return _job(connection.execute(_GET, [job_id]).fetchone())

    def count_rejected(self, prompt: str) -> None:
        """The POST of this prompt counts as refused; a body without one counts under the empty prompt."""
        with self.transaction() as connection:
            connection.execute(_COUNT_REJECTED, [prompt])

    def arrived(self, prompt: str, *, kind: str) -> int:
        """The number of a POST that came now, kept before anything is done about it."""
        with self.transaction() as connection:
            cursor = connection.execute(
                "insert into arrivals (kind, prompt, arrived_at) values (?, ?, ?)", [kind, prompt, self.clock()]
            )
        return int(cursor.lastrowid or 0)

    def answered(self, arrival: int, answer: Answer, *, job_id: str | None) -> None:
        """What became of that POST is known, and about to be said."""
        with self.transaction() as connection:
            connection.execute("update arrivals set answer = ?, job_id = ? where seq = ?", [answer, job_id, arrival])

    def get(self, job_id: str, *, kind: str = "sora") -> Job | None:
        """This kind's job of this id, or None if there is none or it was deleted."""
        with self.transaction() as connection:
            row = connection.execute(_GET, [job_id]).fetchone()
        return None if row is None or row["deleted"] or row["kind"] != kind else _job(row)

    def numbered(self, seq: int, *, kind: str) -> Job | None:
        """This kind's job of this number, or None if there is none or it was deleted."""
        with self.transaction() as connection:
            row = connection.execute(
                "select * from jobs where seq = ? and kind = ? and not deleted", [seq, kind]
            ).fetchone()
        return None if row is None else _job(row)

    def of_kind(self, kind: str) -> list[Job]:
        """This kind's jobs that were not deleted, newest first."""
        with self.transaction() as connection:
            rows = connection.execute(
                "select * from jobs where kind = ? and not deleted order by created_at desc, seq desc", [kind]
            ).fetchall()
        return [_job(row) for row in rows]

    def page(self, *, limit: int, order: Order, after: str | None) -> tuple[list[Job], bool] | None:
        """Up to `limit` jobs by creation and whether more follow; None if `after` was never a job."""
        with self.transaction() as connection:
            if after is not None and connection.execute(_GET, [after]).fetchone() is None:
                return None
            rows = connection.execute(_PAGE[order], {"after": after, "limit": limit + 1}).fetchall()
        return [_job(row) for row in rows[:limit]], len(rows) > limit

    def every(self) -> list[Job]:
        """Every job there ever was, even a deleted one, oldest first."""
        with self.transaction() as connection:
            rows = connection.execute("select * from jobs order by seq").fetchall()
        return [_job(row) for row in rows]

    def forget(self) -> list[Job]:
        """The jobs that were known and are no more; the count of POSTs stays."""
        with self.transaction() as connection:
            rows = connection.execute("select * from jobs where not deleted and kind = 'sora'").fetchall()
            connection.execute("update jobs set deleted = 1 where kind = 'sora'")
        return [_job(row) for row in rows]

    def unrendered(self) -> list[Job]:
        """The jobs that still need a video, oldest first."""
        with self.transaction() as connection:
            rows = connection.execute(_UNRENDERED).fetchall()
        return [_job(row) for row in rows]

    def rendered(self, job_id: str) -> bool:
        """Whether the job still wants the video that exists from now on; False if it was deleted meanwhile."""
        with self.transaction() as connection:
            return _changed(
                connection.execute(
                    "update jobs set rendered_at = ? where id = ? and not deleted", [self.clock(), job_id]
                )
            )

    def failed(self, job_id: str, code: str, message: str) -> None:
        """The job ends failed, at the time it would have been completed."""
        with self.transaction() as connection:
            connection.execute(
                "update jobs set error_code = ?, error_message = ? where id = ?", [code, message, job_id]
            )

    def cancel(self, job_id: str) -> bool:
        """Whether the job was not over yet; it is now, as cancelled."""
        now = self.clock()
        with self.transaction() as connection:
            job = _job(connection.execute(_GET, [job_id]).fetchone())
            if job.is_over(now):
                return False
            connection.execute(
                "update jobs set error_code = ?, starts_at = ?, finishes_at = ? where id = ?",
                [CANCELLED, min(job.starts_at, now), now, job_id],
            )
        return True

    def hurry(self, job_id: str) -> None:
        """The job is planned to be over by now."""
        with self.transaction() as connection:
            connection.execute(
                "update jobs set starts_at = created_at, finishes_at = created_at where id = ?", [job_id]
            )

    def delete(self, job_id: str) -> bool:
        """Whether there was such a job; from now on there is none."""
        with self.transaction() as connection:
            return _changed(connection.execute("update jobs set deleted = 1 where id = ? and not deleted", [job_id]))

    def posts(self) -> Posts:
        """Every POST ever counted, by prompt."""
        with self.transaction() as connection:
            rows = connection.execute("select prompt, accepted, rejected from posts order by rowid").fetchall()
        accepted = {prompt: count for prompt, count, _ in rows if count}
        rejected_counts = {prompt: count for prompt, _, count in rows if count}
        return Posts(posts=accepted, total=sum(accepted.values()), rejected=rejected_counts)

    def arrivals(self) -> list[Arrival]:
        """Every POST that ever came, also one that made no job, oldest first."""
        with self.transaction() as connection:
            rows = connection.execute(
                "select kind, prompt, arrived_at, answer, job_id from arrivals order by seq"
            ).fetchall()
        return [Arrival(**dict(row)) for row in rows]

    def close(self) -> None:
        """The database is closed; its files hold everything."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """What is done in the block is kept whole or not at all."""
        with self._lock, self._connection:
            yield self._connection


def _job(row: sqlite3.Row) -> Job:
    return Job(**dict(row))


def _changed(cursor: sqlite3.Cursor) -> bool:
    return cursor.rowcount == 1
