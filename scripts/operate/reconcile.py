"""Compare the rows with the objects, both ways; --apply removes what no row knows, and records paid jobs that none has.

An object without a row may be one whose row is about to be written, so only what is older than a day counts, and it is
looked at again the moment before it is removed. A row without its object is told and never changed: a person decides.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import LiteralString
from uuid import UUID

import psycopg
import requests

from generation_history import bootstrap, settings
from generation_history.errors import HistoryError, NotConfigured
from generation_history.ids import as_uuid
from generation_history.storage.keys import owned_key
from generation_history.storage.object_store import ObjectStore
from generation_history.work.intents import Intents
from scripts.operate.forgotten_posts import Unreadable, ended_long_ago, find_forgotten, recover
from scripts.operate.migrate import connect, one_line

OLDER_THAN = timedelta(days=1)
PREFIX = "generations/"
TIMEOUT_SECONDS = 10

_ROWS = """
    select v.generation_id::text, s.id::text, u.url
    from scenes s
    join variants v on v.id = s.variant_id
    join generations g on g.id = v.generation_id
    cross join lateral (
        values (s.video_url), (s.thumbnail_url)
        union
        select unnest(array[a.video_url, a.thumbnail_url]) from attempts a where a.scene_id = s.id
    ) u (url)
    where u.url is not null
"""
_ROWS_OF_GENERATION = _ROWS + " and v.generation_id = %(generation_id)s"
# A purge removes objects before rows.
_ROWS_THAT_STAY = _ROWS_OF_GENERATION + " and g.purging_since is null"
_READY_ARCHIVES = "select key, 'archive ' || id from archives where state = 'ready'"
_READY_ARCHIVE = "select 1 from archives where state = 'ready' and key = %(key)s"
# One that is to be built may be there already, because its builder died before it could say so; one that is to be
# removed may be there still.
_ARCHIVE = "select 1 from archives where key = %(key)s"
_AT_WORK = """
    select 1 from jobs j join scenes s on s.id = j.scene_id join variants v on v.id = s.variant_id
    where v.generation_id = %(generation_id)s
"""
# A paid job that came late for a deleted generation: its video may be there, and its row goes on with that once the
# generation is restored. The provider may have no copy any more.
_UNFETCHED = """
    select 1 from attempts a join scenes s on s.id = a.scene_id join variants v on v.id = s.variant_id
    where v.generation_id = %(generation_id)s and a.outcome = 'late' and a.video_url is null
"""


@dataclass
class Report:
    """What a comparison found, and what was done about it."""

    orphans: int = 0
    removed: int = 0
    missing: int = 0
    uploads: int = 0
    aborted: int = 0
    forgotten: int = 0
    recovered: int = 0
    unknown: int = 0
    #: One of the objects, whichever; None where there is none.
    an_object: str | None = field(default=None, compare=False)

    @property
    def agrees(self) -> bool:
        """Whether rows and objects agree now."""
        is_mended = (self.orphans, self.uploads, self.forgotten) == (self.removed, self.aborted, self.recovered)
        return is_mended and not self.missing and not self.unknown


def reconcile(url: str, store: ObjectStore, *, apply: bool = False, older_than: timedelta = OLDER_THAN) -> Report:
    """What differs between rows and objects; with apply, orphans and unfinished uploads are gone."""
    report = Report()
    with connect(url) as connection:
        _see_all_rows(connection)
        known_keys = dict(_keys(connection.execute(_ROWS))) | dict(connection.execute(_READY_ARCHIVES).fetchall())
        paid_generations = _reconcile_posts(connection, Intents(store), report, apply=apply, older_than=older_than)
        found_keys: set[str] = set()
        for key, modified_at in store.keys(PREFIX):
            found_keys.add(key)
            report.an_object = key
            # What is there may be what was paid for, and its row is what is missing.
            if (
                key not in known_keys
                and _generation_id(key) not in paid_generations
                and modified_at < datetime.now(UTC) - older_than
            ):
                _orphan(connection, store, key, modified_at, report, apply=apply)
        for key in sorted(known_keys.keys() - found_keys):
            if store.modified(key) is None and _is_known(connection, key, rows=_ROWS_THAT_STAY, archive=_READY_ARCHIVE):
                report.missing += 1
                print(f"missing  {key}  of {known_keys[key]}")
    for key, upload_id, started_at in list(store.unfinished_uploads(PREFIX)):
        if started_at < datetime.now(UTC) - older_than:
            report.uploads += 1
            print(f"upload   {key}  never finished, begun {started_at:%Y-%m-%d %H:%M}")
            if apply:
                store.abort_upload(key, upload_id)
                report.aborted += 1
    for key in list(ended_long_ago(Intents(store))) if apply else []:
        store.delete(key)
    return report


def _reconcile_posts(
    connection: psycopg.Connection, intents: Intents, report: Report, *, apply: bool, older_than: timedelta
) -> set[UUID | None]:
    """The generations with paid jobs that the database has forgotten: it failed over, or was restored from a backup."""
    paid_generations: set[UUID | None] = set()
    for post in list(find_forgotten(connection, intents)):
        is_old = post.written_at < datetime.now(UTC) - older_than
        if isinstance(post, Unreadable):
            if is_old:
                report.unknown += 1
                print(f"unread   {post.key}  {post.reason}")
            continue
        intent = post.intent
        paid_generations.add(intent.generation_id)
        subject = "POST without an answer" if intent.job_id is None else f"job {intent.job_id}"
        place = f"of scene {intent.scene_id}, attempt {intent.attempt}, generation {intent.generation_id}"
        if post.kind == "unknown":
            if is_old:
                report.unknown += 1
                owner = f"owner {intent.owner_id}, posted {intent.intended_at:%Y-%m-%d %H:%M}"
                print(f"unknown  {intent.base_url} {subject}  {place}: the scene has no row, {owner}")
            continue
        report.forgotten += 1
        print(f"paid     {intent.base_url} {subject}  {place}, which does not know it")
        if apply:
            recover(connection, intent)
            report.recovered += 1
    return paid_generations


def _see_all_rows(connection: psycopg.Connection) -> None:
    """An error unless this login sees every row: whoever is shown no row would take every object for an orphan."""
    connection.execute("set row_security = off")
    try:
        connection.execute("select from scenes limit 1")
    except psycopg.errors.InsufficientPrivilege as error:
        raise NotConfigured(f"MIGRATE_DATABASE_URL must be of history_migrate: {one_line(error)}") from None


def _keys(rows: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
    for generation_id, scene_id, url in rows:
        key = owned_key(url, generation_id)
        if key is not None:
            yield key, f"scene {scene_id}"


def _orphan(
    connection: psycopg.Connection, store: ObjectStore, key: str, modified_at: datetime, report: Report, *, apply: bool
) -> None:
    # Again, now: its row may have been written, or the object anew, since the lists were read.
    if store.modified(key) != modified_at or _is_known(connection, key) or _is_wanted(connection, key):
        return
    report.orphans += 1
    print(f"orphan   {key}  {modified_at:%Y-%m-%d %H:%M}")
    if apply:
        store.delete(key)
        report.removed += 1


def _is_known(
    connection: psycopg.Connection,
    key: str,
    *,
    rows: LiteralString = _ROWS_OF_GENERATION,
    archive: LiteralString = _ARCHIVE,
) -> bool:
    cursor = connection.execute(rows, {"generation_id": _generation_id(key)})
    return any(other == key for other, _ in _keys(cursor)) or bool(connection.execute(archive, {"key": key}).fetchone())


def _is_wanted(connection: psycopg.Connection, key: str) -> bool:
    """Whether a worker may be about to write this object once more, and then its row, or will be one day."""
    params = {"generation_id": _generation_id(key)}
    return any(connection.execute(query, params).fetchone() for query in (_AT_WORK, _UNFETCHED))


def _generation_id(key: str) -> UUID | None:
    return as_uuid(key.split("/")[1])


def _opens_to_anyone(url: str) -> bool:
    """Whether a URL without a signature answers with the object."""
    try:
        with requests.get(url, stream=True, allow_redirects=False, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status_code == requests.codes.ok
    except requests.RequestException:
        return False


def main() -> int:
    """0 when rows and objects agree in the end, 1 when they do not or could not be compared."""
    parser = argparse.ArgumentParser(prog="scripts/reconcile", description=__doc__)
    parser.add_argument("--apply", action="store_true", help="remove orphans and abort unfinished uploads")
    arguments = parser.parse_args()
    try:
        url = settings.migrate_database_url()
        store = bootstrap.object_store()
        report = reconcile(url, store, apply=arguments.apply)
    except (HistoryError, psycopg.Error) as error:
        print(f"scripts/reconcile: {one_line(error)}", file=sys.stderr)
        return 1
    if report.an_object and _opens_to_anyone(store.url(report.an_object)):
        warning = (
            "DO_SPACES_BUCKET: whoever has an object's URL can read it without a signature; make the bucket private"
        )
        print(f"scripts/reconcile: {warning}", file=sys.stderr)
    print(
        f"{report.orphans} orphans ({report.removed} removed), {report.missing} missing, "
        f"{report.uploads} unfinished uploads ({report.aborted} aborted), "
        f"{report.forgotten} forgotten paid jobs ({report.recovered} recorded), {report.unknown} without a row"
    )
    return 0 if report.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
