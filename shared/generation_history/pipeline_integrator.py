"""PipelineIntegrator: what an ad cloner's pipeline calls."""

import logging
import math
from collections.abc import Sequence
from typing import Any, Final, cast

from generation_history import limits, provider_settings
from generation_history.errors import HistoryError
from generation_history.ids import uuid7
from generation_history.media.video_storage_manager import VideoStorageManager
from generation_history.models import MetadataKind, Scene
from generation_history.providers import factory
from generation_history.providers.download import DOWNLOAD_SECONDS
from generation_history.record.generation_manager import GenerationManager
from generation_history.record.levels import assign_levels, given_type
from generation_history.record.nearest_json import named, nearest_json
from generation_history.record.pipeline_record import PipelineManager, PipelineRecord, scene_id_of
from generation_history.record.spool import AWAY
from generation_history.recordable import recordable

logger = logging.getLogger(__name__)

#: How long a pipeline may take to fetch and store a video until a poller does: its process may be dead.
HOLD_SECONDS: Final = DOWNLOAD_SECONDS + 120


class PipelineIntegrator:
    """Records a pipeline's run step by step; the owner is the setting HISTORY_OWNER_ID.

    Recording never submits: a provider is asked for a video only after create_scene_records(..., submit=True).
    Recording ends no pipeline, either: what cannot be kept as it is, is kept in its nearest form, and what cannot be
    recorded now goes to the file HISTORY_SPOOL_FILE, from which a later call records it. The log says both.
    """

    def __init__(
        self, *, gen_manager: GenerationManager | None = None, video_manager: VideoStorageManager | None = None
    ) -> None:
        self._record = PipelineRecord(gen_manager or GenerationManager())
        self.gen_manager = gen_manager or PipelineManager(self._record)
        self.video_manager = video_manager or VideoStorageManager()

    def start_generation(
        self,
        source_video_url: str,
        source_video_type: str,
        variant_types: Sequence[str],
        cost_estimate: float | None,
    ) -> str:
        """The id of a new generation, processing, whose variants exist; cost_estimate is in US dollars.

        A word in variant_types that is no level of ours is kept beside the nearest one. The id is good for all other
        calls also while the database is away.
        """
        generation_id = str(uuid7())
        # A word alone is meant as one, and not as its letters.
        levels = assign_levels([variant_types] if isinstance(variant_types, str) else variant_types or [])
        self._record.write(
            "create_generation",
            generation_id,
            source_video_url=_nearest_text(source_video_url, "source_video_url", limits.MAX_SOURCE_URL, "(unknown)"),
            source_video_type=_nearest_text(source_video_type, "source_video_type", limits.MAX_SOURCE_TYPE, "file"),
            variant_types=list(levels),
            cost_estimate=_nearest_cost(cost_estimate),
            given_types=levels,
        )
        return generation_id

    def save_analysis_metadata(self, generation_id: str, analysis: Any) -> None:
        """Keeps what was seen in the source video."""
        self._save_metadata(generation_id, "original_analysis", analysis)

    def save_transformation_metadata(self, generation_id: str, transformation: Any) -> None:
        """Keeps how the source was changed."""
        self._save_metadata(generation_id, "transformation_data", transformation)

    def save_prompts_metadata(self, generation_id: str, prompts: Any) -> None:
        """Keeps the prompts."""
        self._save_metadata(generation_id, "prompts_data", prompts)

    def save_evaluation_metadata(self, generation_id: str, evaluation: Any) -> None:
        """Keeps how the results were judged."""
        self._save_metadata(generation_id, "evaluation_data", evaluation)

    def _save_metadata(self, generation_id: str, kind: MetadataKind, value: Any) -> None:
        form, places = nearest_json(value)
        if places:
            logger.warning("%s of generation %s is kept in its nearest form: %s", kind, generation_id, named(places))
        self._record.write_or_log("save_metadata", generation_id, **{kind: form})

    def create_scene_records(
        self, generation_id: str, variant_type: str, prompts: Sequence[str], *, submit: bool = False
    ) -> list[str]:
        """The ids of the variant's scenes, one a prompt, in order.

        With submit a poller posts each of them to the provider, once; without, the caller does, and then calls
        process_sora_video. The same call again returns the same ids; other prompts are a Conflict. Without submit a
        prompt that cannot be kept as it is, is kept in its nearest form; with submit it is refused before it is paid.
        """
        texts = list(prompts) if submit else _nearest_prompts(prompts)
        if not texts and not submit:
            return []
        word = given_type(variant_type)
        scenes = self._record.write("create_scenes", generation_id, variant_type=word, prompts=texts, submit=submit)
        if scenes is None:
            return [str(scene_id_of(generation_id, word, number)) for number in range(1, len(texts) + 1)]
        return [scene["id"] for scene in scenes]

    def process_sora_video(
        self,
        scene_id: str,
        sora_video_id: str,
        sora_content_url: str,
        generation_id: str,
        variant_type: str,
        scene_number: int,
    ) -> Scene:
        """The completed scene: its video is downloaded, stored and recorded before this returns.

        The provider's job is recorded first. What this call cannot finish, whatever it raises, the poller does. Where
        the database is away, the scene that is returned is not completed yet. A repeat changes nothing.
        """
        scene: Scene | None = self._record.write(
            "record_provider_job",
            str(generation_id),
            scene_id=str(scene_id),
            sora_video_id=sora_video_id,
            variant_type=given_type(variant_type),
            scene_number=scene_number,
            base_url=_base_url(sora_content_url),
            hold_seconds=HOLD_SECONDS,
        )
        if scene is None:
            return _unrecorded_scene(scene_id, sora_video_id, generation_id, variant_type, scene_number)
        if scene["status"] == "completed":
            return scene
        try:
            video_url, thumbnail_url, metadata = self.video_manager.process_and_store_video(
                sora_content_url,
                provider_settings.provider_key(),
                generation_id,
                scene.get("variant_type", "medium"),
                scene_number,
                attempt=scene["attempt"],
            )
        except Exception as error:
            self._leave_to_the_poller(scene, error)
            raise
        try:
            return self._record.read(
                lambda: self._record.manager.complete_provider_job(scene["id"], video_url, thumbnail_url, metadata)
            )
        except AWAY:
            logger.exception("scene %s: the video is stored, and the poller records it", scene["id"])
            return scene

    def _leave_to_the_poller(self, scene: Scene, error: Exception) -> None:
        reason = recordable(str(error))
        logger.error("scene %s: the poller fetches its video, because this call could not: %s", scene["id"], reason)
        try:
            self._record.read(lambda: self._record.manager.release_provider_job(scene["id"], reason))
        except HistoryError:
            logger.exception("scene %s: the poller fetches its video in %.0f s", scene["id"], HOLD_SECONDS)

    def mark_generation_failed(self, generation_id: str, error_message: str) -> None:
        """The generation is failed, and stays so; videos still coming are stored all the same."""
        message = recordable(str(error_message), limits.MAX_ERROR_MESSAGE)
        self._record.write_or_log(
            "update_generation_status", generation_id, status="failed", error_message=message, actual_cost=None
        )


def _nearest_text(value: object, name: str, max_characters: int, default: str) -> str:
    text = default if value is None or value == "" else recordable(str(value), max_characters) or default
    if text != value:
        logger.warning("%s is kept in its nearest form: of %d characters", name, len(text))
    return text


def _nearest_prompts(prompts: Sequence[str]) -> list[str]:
    return [
        _nearest_text(prompt, f"prompt {number}", limits.MAX_PROMPT, "(empty)")
        for number, prompt in enumerate(prompts, 1)
    ]


def _nearest_cost(cost: float | None) -> float | None:
    try:
        is_kept = cost is None or 0 <= cost <= limits.MAX_DOLLARS
    except TypeError:
        is_kept = False
    if not is_kept:
        logger.warning("cost_estimate is kept as unknown: it must be a number from 0 up")
    # As one kind of number: the spool file has no other.
    return float(cost) if is_kept and cost is not None and math.isfinite(cost) else None


def _base_url(content_url: str) -> str | None:
    """The server that has the provider's job, where the settings tell."""
    try:
        return factory.base_url_of(content_url)
    except (HistoryError, ValueError):
        return None


def _unrecorded_scene(
    scene_id: str, sora_video_id: str, generation_id: str, variant_type: str, scene_number: int
) -> Scene:
    """A scene of which no more is known than what its caller said."""
    unknown = dict.fromkeys(Scene.__required_keys__)
    known = {
        "id": str(scene_id),
        "generation_id": str(generation_id),
        "variant_type": variant_type,
        "scene_number": scene_number,
        "sora_video_id": sora_video_id,
        "status": "processing",
    }
    return cast("Scene", unknown | known)
