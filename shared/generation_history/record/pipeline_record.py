"""PipelineRecord: a pipeline's writes, which end no pipeline: each is recorded now, or is in the spool file."""

import logging
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from numbers import Real
from typing import Any, Final, TypeVar, cast
from uuid import UUID

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from generation_history import settings
from generation_history.errors import Conflict, HistoryError, InvalidValue, NotFound, Unavailable
from generation_history.ids import as_uuid, derived_id
from generation_history.models import Generation, Scene
from generation_history.record.generation_manager import GenerationManager, IdempotencyKey
from generation_history.record.levels import given_type
from generation_history.record.spool import AWAY, Entry, Spool

logger = logging.getLogger(__name__)

T = TypeVar("T")
#: Waits between two tries, with jitter, grow up to so many seconds.
MAX_PAUSE_SECONDS: Final = 5.0


class PipelineRecord:
    """One owner's record, as a pipeline writes it.

    A database that is away is waited for, HISTORY_PIPELINE_WAIT_SECONDS in all of one outage; then writes go to the
    spool file. Each call that reaches the database first records what is in there, in order.
    """

    def __init__(self, manager: GenerationManager) -> None:
        self.manager: Final = manager
        self._wait_seconds = settings.pipeline_wait_seconds()
        self._spool = Spool(settings.spool_file())
        self._away_since: float | None = None

    def write(self, call: str, generation_id: str, **arguments: Any) -> Any | None:
        """What the call of the record returns; None where it could not be recorded now, and is in the spool file.

        What the record refuses is raised. Unavailable also where neither takes it.
        """
        return self._write(Entry.of(self.manager.owner_id, generation_id, call, **arguments))

    def _write(self, entry: Entry) -> Any | None:
        try:
            return self.read(lambda: _CALLS[entry.call](self.manager, self.manager, entry, None))
        except AWAY as error:
            self._spool_entry(entry, error)
            return None

    def write_or_log(self, call: str, generation_id: str, **arguments: Any) -> None:
        """The same of what nothing else depends on: what cannot be recorded is kept beside the spool file, and logged.

        Only that there is no such generation is raised.
        """
        entry = Entry.of(self.manager.owner_id, generation_id, call, **arguments)
        try:
            self._write(entry)
        except (NotFound, Conflict):
            raise
        except HistoryError as error:
            self._refuse(entry, error)

    def _refuse(self, entry: Entry, error: HistoryError) -> None:
        try:
            self._spool.refuse(entry, error)
        except OSError:
            logger.exception("%s of generation %s is lost: %s", entry.call, entry.generation_id, error)

    def read(self, function: Callable[[], T]) -> T:
        """What the function returns, after what is in the spool file; a database that is away is waited for."""

        def attempt() -> T:
            self._replay_all()
            return function()

        retry = Retrying(
            retry=retry_if_exception_type(Unavailable),
            stop=stop_after_delay(self._seconds_left()),
            wait=wait_random_exponential(multiplier=0.2, max=MAX_PAUSE_SECONDS),
            before_sleep=self._log_waiting,
            reraise=True,
        )
        try:
            result = retry(attempt)
        except AWAY:
            self._away_since = self._away_since or time.monotonic()
            raise
        self._away_since = None
        return result

    def _seconds_left(self) -> float:
        if self._away_since is None:
            return self._wait_seconds
        return max(0.0, self._wait_seconds - (time.monotonic() - self._away_since))

    def _log_waiting(self, state: RetryCallState) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            error = state.outcome and state.outcome.exception()
            logger.warning("the pipeline waits up to %d s for the database: %s", self._wait_seconds, error)

    def _replay_all(self) -> None:
        try:
            if recorded_count := self._spool.replay(self.manager.owner_id, self._replay):
                logger.warning("%d writes of %s are recorded now", recorded_count, self._spool.path)
        except OSError as error:
            logger.error("HISTORY_SPOOL_FILE: %s cannot be read: %s", self._spool.path, error)  # noqa: TRY400

    def _replay(self, entry: Entry) -> None:
        key = IdempotencyKey(entry.key, "")
        _CALLS[entry.call](self.manager, self.manager.once(entry.key, entry.generation_id), entry, key)

    def _spool_entry(self, entry: Entry, error: HistoryError) -> None:
        try:
            self._spool.append(entry)
        except OSError as disk_error:
            raise Unavailable(
                f"{error}; HISTORY_SPOOL_FILE: {self._spool.path} cannot be written either: {disk_error}"
            ) from error
        logger.error(
            "%s of generation %s could not be recorded and is kept in %s, until a later call records it: %s",
            entry.call,
            entry.generation_id,
            self._spool.path,
            error,
        )


class PipelineManager(GenerationManager):
    """The record as a pipeline has it at hand: how its generation went is not lost either."""

    def __init__(self, record: PipelineRecord) -> None:
        super().__init__(record.manager.owner_id)
        self._record = record

    def update_generation_status(
        self, generation_id: str, status: str, error_message: str | None = None, actual_cost: float | None = None
    ) -> Generation:
        """As GenerationManager's; of a generation that is in the spool file with it, no more than is known here."""
        cost = float(actual_cost) if isinstance(actual_cost, (Real, Decimal)) else actual_cost
        arguments = {"status": status, "error_message": error_message, "actual_cost": cost}
        record = self._record.write("update_generation_status", generation_id, **arguments)
        return record or cast("Generation", {"id": str(generation_id), **arguments})


def scene_id_of(generation_id: str, variant_type: str, scene_number: int) -> UUID:
    """The id of a scene that a pipeline records: the same whenever it asks, with a database or without."""
    generation = as_uuid(generation_id)
    if generation is None:
        raise NotFound("no such generation")
    return derived_id(generation, f"{variant_type}/{scene_number}")


# ---------------------------------------------------------------- the calls

# Each reads by the first manager and writes by the second, in one transaction, once under the key where there is one.


def _create_generation(
    manager: GenerationManager, _writer: object, entry: Entry, key: IdempotencyKey | None
) -> Generation:
    # A generation that is not there yet cannot be locked: its own statement comes before the key's.
    return manager.create_generation(**entry.arguments, generation_id=entry.generation_id, start=True, once=key)


def _save_metadata(_: GenerationManager, writer: GenerationManager, entry: Entry, _key: object) -> object:
    return writer.save_metadata(entry.generation_id, **entry.arguments)


def _create_scenes(reader: GenerationManager, writer: GenerationManager, entry: Entry, _key: object) -> object:
    word, prompts = entry.arguments["variant_type"], entry.arguments["prompts"]
    ids = [scene_id_of(entry.generation_id, word, number) for number in range(1, len(prompts) + 1)]
    variant_id = str(reader.variant_id(entry.generation_id, word))
    return writer.create_variant_scenes(variant_id, prompts, submit=entry.arguments["submit"], ids=ids)


def _update_status(_: GenerationManager, writer: GenerationManager, entry: Entry, _key: object) -> object:
    return writer.update_generation_status(entry.generation_id, **entry.arguments)


def _record_provider_job(reader: GenerationManager, writer: GenerationManager, entry: Entry, _key: object) -> Scene:
    arguments = entry.arguments
    scene = _find_scene(reader, entry)
    if (scene.get("generation_id"), scene["scene_number"]) != (
        entry.generation_id,
        arguments["scene_number"],
    ) or not _is_of_level(reader, scene, arguments["variant_type"]):
        raise InvalidValue("this scene is not the one of that generation_id, variant_type and scene_number")
    if scene["status"] == "completed":
        if scene["sora_video_id"] != arguments["sora_video_id"]:
            raise Conflict(f"this scene is completed already, with the video {scene['sora_video_id']}")
        return scene
    return writer.record_provider_job(
        scene["id"],
        arguments["sora_video_id"],
        base_url=arguments["base_url"],
        # Who could not record it has not fetched it either.
        hold_seconds=arguments["hold_seconds"] if reader is writer else 0,
    )


def _find_scene(reader: GenerationManager, entry: Entry) -> Scene:
    """The scene of this id; or of its place, where it had been recorded under another id than a pipeline's."""
    arguments = entry.arguments
    try:
        return reader.get_scene(arguments["scene_id"])
    except NotFound:
        place = entry.generation_id, arguments["variant_type"], arguments["scene_number"]
        if as_uuid(arguments["scene_id"]) != scene_id_of(*place):
            raise
        scenes = reader.get_variant_scenes(str(reader.variant_id(*place[:2])))
        found = next((scene for scene in scenes if scene["scene_number"] == place[2]), None)
        if found is None:
            raise
        return reader.get_scene(found["id"])


def _is_of_level(reader: GenerationManager, scene: Scene, word: str) -> bool:
    if scene.get("variant_type") == word:
        return True
    variant, _ = reader.get_variant(scene["variant_id"], limit=0)
    return variant["given_type"] is not None and variant["given_type"] == given_type(word)


_CALLS: Final[Mapping[str, Callable[[GenerationManager, GenerationManager, Entry, IdempotencyKey | None], object]]] = {
    "create_generation": _create_generation,
    "save_metadata": _save_metadata,
    "create_scenes": _create_scenes,
    "update_generation_status": _update_status,
    "record_provider_job": _record_provider_job,
}
