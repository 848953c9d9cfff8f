"""ArchiveQueue: claim, finish, put off, give up: the only SQL on archives while they are built, and when they end.

Every write of a builder holds the archive's lease; LeaseLost means that nothing was written.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, LiteralString
from uuid import UUID

from generation_history.archives.archives import Contents
from generation_history.backoff import backoff
from generation_history.db.database import Database
from generation_history.errors import LeaseLost
from generation_history.models import ArchiveFailureCode
from generation_history.recordable import recordable

#: An archive, or why there is none, is kept this long.
RETENTION_DAYS: Final = 7


@dataclass(frozen=True)
class Build:
    """A claimed archive: what is to be built, under which key, and by whose lease."""

    id: UUID
    generation_id: UUID
    lease_token: UUID
    key: str
    contents: Contents
    tries: int
    overdue: bool
    error_message: str | None


class ArchiveQueue:
    """The archives of all owners, as the login history_worker sees them."""

    def __init__(self, db: Database, *, lease_seconds: int) -> None:
        self._db = db
        self._lease_seconds = lease_seconds

    # ------------------------------------------------------------ building

    def claim(self) -> Build | None:
        """The archive that is due the longest, leased to us for lease_seconds; None where none is due."""
        claim = """
            update archives
            set state = 'building', run_at = now() + make_interval(secs => %(lease_seconds)s),
                lease_token = gen_random_uuid(), tries = tries + 1, videos_done = 0, bytes_done = 0
            where id = any (array(
                select id from archives where state in ('queued', 'building') and run_at <= now()
                order by run_at limit 1 for update skip locked))
            returning id, generation_id, lease_token, key, contents, tries, deadline < now() as overdue, error_message
        """
        rows = self._db.run(None, (claim, {"lease_seconds": self._lease_seconds}))
        return Build(**rows[0]) if rows else None

    def extend(self, build: Build, *, videos_done: int, bytes_done: int) -> None:
        """The lease is lease_seconds long again, and whoever asks is told how far it got."""
        update = """
            update archives set run_at = now() + make_interval(secs => %(lease_seconds)s),
                videos_done = %(videos_done)s, bytes_done = %(bytes_done)s
            where id = %(id)s and lease_token = %(lease_token)s
            returning id
        """
        progress = {"videos_done": videos_done, "bytes_done": bytes_done}
        self._write(build, update, lease_seconds=self._lease_seconds, **progress)

    def finish(self, build: Build, *, size: int) -> None:
        """The archive is ready, and is kept for RETENTION_DAYS."""
        update = """
            update archives set state = 'ready', lease_token = null, size = %(size)s, videos_done = videos,
                error_message = null, ready_at = now(), expires_at = now() + make_interval(days => %(days)s)
            where id = %(id)s and lease_token = %(lease_token)s
            returning id
        """
        self._write(build, update, size=size, days=RETENTION_DAYS)

    def put_off(self, build: Build, reason: str) -> None:
        """It is due again later, after a wait that grows with each try."""
        update = """
            update archives set state = 'queued', lease_token = null, error_message = %(reason)s,
                run_at = now() + make_interval(secs => %(wait)s)
            where id = %(id)s and lease_token = %(lease_token)s
            returning id
        """
        self._write(build, update, reason=recordable(reason), wait=backoff(build.tries))

    def give_up(self, build: Build, code: ArchiveFailureCode, reason: str) -> None:
        """It is failed for this reason, until somebody asks for it again."""
        update = """
            update archives set state = 'failed', lease_token = null, error_code = %(code)s,
                error_message = %(reason)s, expires_at = now() + make_interval(days => %(days)s)
            where id = %(id)s and lease_token = %(lease_token)s
            returning id
        """
        self._write(build, update, code=code, reason=recordable(reason), days=RETENTION_DAYS)

    def _write(self, build: Build, statement: LiteralString, **values: Any) -> None:
        parameters = values | {"id": build.id, "lease_token": build.lease_token}
        if not self._db.run(None, (statement, parameters)):
            raise LeaseLost(f"the lease on archive {build.id} was lost")


class ExpiredArchives:
    """What the purge removes of the archives of all owners, as the login history_worker sees them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def removable(self, limit: int, *, excluded: Iterable[UUID] = ()) -> list[tuple[UUID, str]]:
        """Id and key of archives that are nobody's any more: their time is over, or another was asked for instead."""
        end = """
            update archives set state = 'removing'
            where id = any (array(
                select id from archives where state in ('ready', 'failed') and expires_at <= now()
                order by expires_at limit %(limit)s for update skip locked))
        """
        query = """
            select id, key from archives
            where state = 'removing' and id <> all (%(excluded)s) order by id limit %(limit)s
        """
        params = {"limit": limit, "excluded": list(excluded)}
        return [(row["id"], row["key"]) for row in self._db.run(None, (end, params), (query, params))]

    def remove(self, archive_id: UUID) -> bool:
        """Whether the row of an archive whose object is gone is gone now, and was not before."""
        return self._db.run(None, ("select remove_archive(%(id)s) as gone", {"id": archive_id}))[0]["gone"]
