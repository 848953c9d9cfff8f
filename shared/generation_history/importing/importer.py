"""Importer: one run of an import, from the first generation to the last, a batch at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from uuid import UUID

from generation_history import bootstrap
from generation_history.errors import StoreRefused
from generation_history.importing.generation import Mapper, NewGeneration, changed_at, refuse_all
from generation_history.importing.objects import BucketObjects, GenerationObjects
from generation_history.importing.report import Decisions, Line, Report
from generation_history.importing.sessions import PREFIX, Links, SessionVideos, videos_left
from generation_history.importing.source import OldGeneration, Source, open_source
from generation_history.importing.target import Known, Target, by_table, open_target
from generation_history.models import VariantType
from generation_history.storage.listing import StoredObject
from generation_history.storage.object_store import ObjectStore
from generation_history.storage.stored_objects import copy_stored, make_private

#: Generations in one transaction: a death costs no more work than this.
BATCH = 1_000
#: Calls of the store at once.
STORE_CALLS = 10

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Options:
    """What is imported: from where, for whom, and how odd types are taken."""

    source_url: str
    source_setting: str
    schema: str
    owner_id: UUID
    mapped: Mapping[str, VariantType] = field(default_factory=dict[str, VariantType])
    logs: Path | None = None
    ask_bucket: bool = True
    apply: bool = False


def import_history(options: Options, target_url: str, report: Report, progress: Progress) -> None:
    """What the older installation recorded is here, as the report says; without apply nothing is changed.

    Errors that a person has to mend are raised. What was committed before stays, and the next run does the rest.
    """
    bucket = bootstrap.object_store() if options.ask_bucket else None
    with (
        open_target(target_url) as target,
        open_source(options.source_url, options.schema, setting=options.source_setting) as source,
    ):
        sessions = _find_sessions(options, source, bucket)
        importer = Importer(options, target, bucket, sessions, report)
        importer.run(source, progress)


def _find_sessions(options: Options, source: Source, bucket: ObjectStore | None) -> SessionVideos:
    links, videos = Links(), SessionVideos()
    if options.logs is not None:
        links.add_logs(options.logs)
    for session, text in source.session_events():
        links.add_text(session, text)
    if bucket is not None:
        videos.find(bucket.objects(PREFIX), links)
    return videos


class Importer:
    """Moves the older installation's generations in."""

    def __init__(
        self,
        options: Options,
        target: Target,
        bucket: ObjectStore | None,
        sessions: SessionVideos,
        report: Report,
    ) -> None:
        self._options = options
        self._target = target
        self._bucket = bucket
        self._objects = BucketObjects(bucket, sessions.objects)
        self._sessions = sessions
        self._report = report
        self._mapper = Mapper(options.owner_id, options.mapped)

    def run(self, source: Source, progress: Progress) -> None:
        """Every row of the source is here or has a line, when this returns."""
        self._report.there.update(source.counts())
        self._report.add(source.odd_columns())
        self._report.add(self._sessions.lines)
        done = 0
        for batch in _batches(source.generations()):
            self._import(batch)
            done += len(batch)
            progress(done, self._report.there["generations"])
        self._report.add(_orphans(source))
        self._report.add(self._sessions.left())
        if self._options.apply:
            self._target.merge_stats()

    def _import(self, batch: list[OldGeneration]) -> None:
        known = self._target.known([old.id for old in batch])
        lines = [line for old in batch if old.id in known for line in self._of_known(old, known[old.id])]
        videos = {old.id: self._sessions.of(old.id) for old in batch if not self._is_ours(known.get(old.id))}
        lines += self._late_videos([one for one, how in known.items() if self._is_ours(how)])
        new = [old for old in batch if old.id not in known]
        objects = self._objects.of([old.id for old in new]) if new else {}
        made: list[NewGeneration] = []
        refused_ids = [old.id for old in batch if old.id in known and not self._is_ours(known[old.id])]
        for old in new:
            mapped = self._mapper.map(old, objects[old.id], videos[old.id])
            if isinstance(mapped, NewGeneration):
                made.append(mapped)
            else:
                lines += mapped
                refused_ids.append(old.id)
        olds = {old.id: old for old in new}

        def before_commit(taken: list[NewGeneration], refused: list[tuple[NewGeneration, str]]) -> None:
            told = [line for one in taken for line in one.lines]
            told += [line for one, why in refused for line in refuse_all(olds[one.id], "refused_by_database", why)]
            left = {one: videos[one] for one in (*refused_ids, *(one.id for one, _ in refused))}
            told += videos_left(left, "session_refused")
            if self._options.apply:
                told += self._settle_objects({one.id: one.objects for one in taken})
            self._report.add([*lines, *told])
            self._report.came.update(by_table(taken))

        self._target.fill(made, self._options.owner_id, before_commit, apply=self._options.apply)

    def _is_ours(self, known: Known | None) -> bool:
        """Whether this owner's import has brought it before."""
        return known is not None and known.owner_id == self._options.owner_id

    def _of_known(self, old: OldGeneration, known: Known) -> list[Line]:
        """What is to be told of a generation that is here, or was: nothing, if all is as it was."""
        if known.owner_id is None:
            return refuse_all(old, "there_already", None)
        if not self._is_ours(known):
            return refuse_all(old, "imported_for_another", known.owner_id)
        self._report.there_before.update(old.counted())
        told = Decisions(old.id)
        now = sum(old.counted().values()), changed_at(old)
        if now != (known.source_rows, known.source_changed_at):
            told.note("changed_since", "generations", old.id, known.source_changed_at, now[1])
        return told.lines

    def _late_videos(self, ids: Sequence[UUID]) -> list[Line]:
        """Scenes of generations that are here get the videos that nobody knew to be theirs."""
        videos = {one: found for one in sorted(ids) if (found := self._sessions.of(one))}
        if not videos:
            return []
        objects = self._objects.of(list(videos))
        found, lines = self._target.late_videos(videos, objects)
        lines += [one.line for one in found]
        if self._options.apply and found:
            lines += self._settle_objects({one.generation_id: objects[one.generation_id] for one in found})
            self._target.complete(found)
        return lines

    def _settle_objects(self, generations: Mapping[UUID, GenerationObjects]) -> list[Line]:
        """The copies are made, and then all objects of the generations are private; a line for what is not."""
        bucket = self._bucket
        if bucket is None:
            return []
        with ThreadPoolExecutor(STORE_CALLS, "import") as pool:
            copies = [copy for objects in generations.values() for copy in objects.copies]
            list(pool.map(partial(_copy, bucket), copies))
            keys = [(one, key) for one, objects in generations.items() for key in objects.all]
            told = list(pool.map(partial(_make_private, bucket), keys))
        return [line for lines in told for line in lines]


def _copy(bucket: ObjectStore, copy: tuple[StoredObject, str]) -> None:
    copy_stored(bucket, *copy)


def _make_private(bucket: ObjectStore, named: tuple[UUID, str]) -> list[Line]:
    generation_id, key = named
    told = Decisions(generation_id)
    try:
        make_private(bucket, key)
    except (StoreRefused, FileNotFoundError) as refusal:
        told.note("not_private", "objects", key, refusal)
    return told.lines


def _orphans(source: Source) -> Iterator[Line]:
    for table, row_id, parent in source.orphans():
        told = Decisions()
        told.refuse("orphan", table, {"id": row_id}, parent)
        yield from told.lines


def _batches(generations: Iterable[OldGeneration]) -> Iterator[list[OldGeneration]]:
    remaining = iter(generations)
    while batch := list(islice(remaining, BATCH)):
        yield batch
