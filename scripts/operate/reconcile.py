"""Compare the rows with the objects, both ways; --apply moves orphans to quarantine and records forgotten paid jobs.

First everything is listed and decided, then it is done, and each object is looked at again the moment before. An object
without a row may be one whose row is about to be written, so only what is older than a day counts. Nothing is done
while the record knows nothing of most generations whose objects lie in the bucket, nor, without --really, about more
than one in ten objects. An orphan lies in quarantine for 30 days, where --restore finds it. A row without its
object is told and never changed: a person decides.
"""

import argparse
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import requests

from generation_history import bootstrap, settings
from generation_history.errors import HistoryError, InternalError
from generation_history.ids import as_uuid
from generation_history.storage.object_store import ObjectStore
from generation_history.storage.quarantine import PREFIX as QUARANTINE
from generation_history.storage.quarantine import Quarantine
from generation_history.work.intents import Intents
from scripts.operate.forgotten_posts import (
    Forgotten,
    Unreadable,
    ended_long_ago,
    find_forgotten,
    generation_of_intent,
    recover,
)
from scripts.operate.known_objects import KnownObjects, generation_of
from scripts.operate.migrate import connect, one_line

OLDER_THAN = timedelta(days=1)
PREFIX = "generations/"
TIMEOUT_SECONDS = 10
#: More than one orphan in so many objects is rather a wrong database than a lost row.
OBJECTS_PER_ORPHAN = 10


class Refused(InternalError):
    """Nothing was done; the text says why, and begins with the reason's name."""


@dataclass
class Report:
    """What a comparison found, and what was done about it."""

    orphans: int = 0
    moved: int = 0
    missing: int = 0
    uploads: int = 0
    aborted: int = 0
    forgotten: int = 0
    recovered: int = 0
    unknown: int = 0
    #: One of the objects, whichever; None where there is none.
    an_object: str | None = field(default=None, compare=False)
    #: Why --apply would do nothing; None where it would do all of it.
    refusal: str | None = field(default=None, compare=False)

    @property
    def agrees(self) -> bool:
        """Whether rows and objects agree now."""
        is_mended = (self.orphans, self.uploads, self.forgotten) == (self.moved, self.aborted, self.recovered)
        return is_mended and not self.missing and not self.unknown


def reconcile(
    url: str, store: ObjectStore, *, apply: bool = False, really: bool = False, older_than: timedelta = OLDER_THAN
) -> Report:
    """What differs between rows and objects; with apply, orphans are in quarantine and unfinished uploads are gone.

    Refused where apply may do nothing; really lets it act on more than one in ten objects.
    """
    with connect(url) as connection:
        comparison = Comparison(connection, store, older_than)
        report = comparison.report
        report.refusal = comparison.refusal(really=really)
        if apply and report.refusal:
            raise Refused(report.refusal)
        if apply:
            comparison.apply()
    return report


class Comparison:
    """Rows and objects compared, and printed where they differ. Only apply() changes anything."""

    def __init__(self, connection: psycopg.Connection, store: ObjectStore, older_than: timedelta) -> None:
        self.report = Report()
        self._connection = connection
        self._store = store
        self._intents = Intents(store)
        self._known = KnownObjects(connection)
        self._now = datetime.now(UTC)
        self._before = self._now - older_than
        known_keys = self._known.keys()
        self._forgotten, paid_generations = self._compare_posts()
        objects = self._list_objects()
        self._object_count = len(objects)
        self._old_folders = {key.split("/")[1] for key, modified_at in objects.items() if modified_at < self._before}
        self._orphans = {
            key: modified_at
            for key, modified_at in objects.items()
            # What is there may be what was paid for, and its row is what is missing.
            if key not in known_keys
            and generation_of(key) not in paid_generations
            and self._is_orphan(key, modified_at)
        }
        for key, modified_at in self._orphans.items():
            self.report.orphans += 1
            print(f"orphan   {key}  {modified_at:%Y-%m-%d %H:%M}")
        self._list_missing({key: known_keys[key] for key in sorted(known_keys.keys() - objects.keys())})
        self._uploads = self._list_uploads()

    # ------------------------------------------------------------ deciding

    def _compare_posts(self) -> tuple[list[Forgotten], set[UUID | None]]:
        """Paid jobs that the database has forgotten, as it failed over or is a backup's; their generations.

        Those of a generation that has no row are told and not recorded.
        """
        forgotten: list[Forgotten] = []
        paid_generations: set[UUID | None] = set()
        for post in list(find_forgotten(self._connection, self._intents)):
            is_old = post.written_at < self._before
            if isinstance(post, Unreadable):
                if is_old:
                    self.report.unknown += 1
                    print(f"unread   {post.key}  {post.reason}")
                continue
            intent = post.intent
            paid_generations.add(intent.generation_id)
            subject = "POST without an answer" if intent.job_id is None else f"job {intent.job_id}"
            place = f"of scene {intent.scene_id}, attempt {intent.attempt}, generation {intent.generation_id}"
            if post.kind == "unknown":
                if is_old:
                    self.report.unknown += 1
                    owner = f"owner {intent.owner_id}, posted {intent.intended_at:%Y-%m-%d %H:%M}"
                    print(f"unknown  {intent.base_url} {subject}  {place}: the scene has no row, {owner}")
                continue
            self.report.forgotten += 1
            print(f"paid     {intent.base_url} {subject}  {place}, which does not know it")
            forgotten.append(post)
        return forgotten, paid_generations

    def _list_objects(self) -> dict[str, datetime]:
        objects = dict(self._store.keys(PREFIX))
        self.report.an_object = next(reversed(objects), None)
        return objects

    def _is_orphan(self, key: str, modified_at: datetime) -> bool:
        """Whether an object is old, the same as when it was listed, and still needed by no row."""
        return (
            modified_at < self._before and self._store.modified(key) == modified_at and not self._known.is_needed(key)
        )

    def _list_missing(self, owners: dict[str, str]) -> None:
        missing = [key for key in owners if self._store.modified(key) is None and self._known.is_missed(key)]
        quarantined = {entry.original_key for entry in Quarantine(self._store).entries()} if missing else set[str]()
        for key in missing:
            self.report.missing += 1
            hint = ": it is in quarantine, --restore brings it back" if key in quarantined else ""
            print(f"missing  {key}  of {owners[key]}{hint}")

    def _list_uploads(self) -> list[tuple[str, str]]:
        uploads: list[tuple[str, str]] = []
        for key, upload_id, started_at in [
            upload for prefix in (PREFIX, QUARANTINE) for upload in self._store.unfinished_uploads(prefix)
        ]:
            if started_at < self._before:
                self.report.uploads += 1
                print(f"upload   {key}  never finished, begun {started_at:%Y-%m-%d %H:%M}")
                uploads.append((key, upload_id))
        return uploads

    def refusal(self, *, really: bool) -> str | None:
        """Why nothing may be done, beginning with the reason's name; None where all of it may be done."""
        folders, known = self._count_generations()
        if 2 * known < folders:
            return (
                f"record_unknown: the record knows {known} of the {folders} generations whose objects lie in the"
                " bucket; nothing was touched. Is MIGRATE_DATABASE_URL of this bucket's deployment, and is all of an"
                " older installation imported?"
            )
        if self.report.orphans * OBJECTS_PER_ORPHAN > self._object_count and not really:
            return (
                f"many_orphans: {self.report.orphans} of {self._object_count} objects would go, more than one in"
                f" {OBJECTS_PER_ORPHAN}; nothing was touched. --really moves them all the same"
            )
        return None

    def _count_generations(self) -> tuple[int, int]:
        """The number of folders with old objects, and of those whose generation has a row.

        A generation that has no row and for which something was posted counts as neither: the bucket itself knows it.
        """
        by_id = {generation: folder for folder in self._old_folders if (generation := as_uuid(folder))}
        known = {by_id[generation] for generation in self._known.generations(by_id)}
        posted = {
            by_id.get(generation) for key, _ in self._intents.list_keys() if (generation := generation_of_intent(key))
        }
        return len(self._old_folders - (posted - known)), len(known)

    # ------------------------------------------------------------ doing

    def apply(self) -> None:
        """Guarantees that what was found is mended, as far as it is still so."""
        for post in self._forgotten:
            recover(self._connection, post.intent)
            self.report.recovered += 1
        for key, modified_at in self._orphans.items():
            if self._move(key, modified_at):
                self.report.moved += 1
            else:
                self.report.orphans -= 1
                print(f"kept     {key}  is no orphan any more")
        for key, upload_id in self._uploads:
            self._store.abort_upload(key, upload_id)
            self.report.aborted += 1
        for key in list(ended_long_ago(self._intents)):
            self._store.delete(key)

    def _move(self, key: str, modified_at: datetime) -> bool:
        """Whether the object is in quarantine now; one that turns out to be no orphan, or to be gone, is left alone."""
        if not self._is_orphan(key, modified_at):
            return False
        copy = Quarantine(self._store).copy_in(key, self._now)
        # To copy takes its time.
        if not self._is_orphan(key, modified_at):
            self._store.delete(copy)
            return False
        self._store.delete(key)
        return True


def _opens_to_anyone(url: str) -> bool:
    """Whether a URL without a signature answers with the object."""
    try:
        with requests.get(url, stream=True, allow_redirects=False, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status_code == requests.codes.ok
    except requests.RequestException:
        return False


def _compare(*, apply: bool, really: bool) -> int:
    url = settings.migrate_database_url()
    store = bootstrap.object_store()
    report = reconcile(url, store, apply=apply, really=really)
    if report.an_object and _opens_to_anyone(store.url(report.an_object)):
        _complain(
            "DO_SPACES_BUCKET: whoever has an object's URL can read it without a signature; make the bucket private"
        )
    if report.refusal:
        _complain(f"--apply would be refused: {report.refusal}")
    print(
        f"{report.orphans} orphans ({report.moved} moved to quarantine), {report.missing} missing, "
        f"{report.uploads} unfinished uploads ({report.aborted} aborted), "
        f"{report.forgotten} forgotten paid jobs ({report.recovered} recorded), {report.unknown} without a row"
    )
    return 0 if report.agrees else 1


def _restore(key: str) -> int:
    restored = 0
    for original_key in Quarantine(bootstrap.object_store()).restore(key):
        restored += 1
        print(f"restored {original_key}")
    if not restored:
        raise Refused(f"not_in_quarantine: there is nothing of {key}")
    return 0


def _complain(text: str) -> None:
    print(f"scripts/reconcile: {text}", file=sys.stderr)


def main() -> int:
    """0 when rows and objects agree in the end, 1 when they do not or could not be compared."""
    parser = argparse.ArgumentParser(prog="scripts/reconcile", description=__doc__)
    parser.add_argument("--apply", action="store_true", help="move orphans to quarantine, abort unfinished uploads")
    parser.add_argument("--really", action="store_true", help="with --apply: also if that is over one in ten objects")
    parser.add_argument("--restore", metavar="KEY", help="bring the object of this key back; all of KEY/ with a slash")
    arguments = parser.parse_args()
    if arguments.restore and (arguments.apply or arguments.really):
        parser.error("--restore goes alone")
    try:
        if arguments.restore:
            return _restore(arguments.restore)
        return _compare(apply=arguments.apply, really=arguments.really)
    except (HistoryError, psycopg.Error, FileNotFoundError) as error:
        _complain(one_line(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
