"""PipelineIntegrator: what an ad cloner's pipeline calls."""

from collections.abc import Sequence
from typing import Any

from generation_history import settings
from generation_history.errors import Conflict, InvalidValue, JobGone, SceneFailure
from generation_history.media.video_storage_manager import VideoStorageManager
from generation_history.models import FailureCode, Scene
from generation_history.record.generation_manager import GenerationManager


class PipelineIntegrator:
    """Records a pipeline's run step by step; the owner is the setting HISTORY_OWNER_ID.

    Recording never submits: a provider is asked for a video only after create_scene_records(..., submit=True).
    """

    def __init__(
        self, *, gen_manager: GenerationManager | None = None, video_manager: VideoStorageManager | None = None
    ) -> None:
        self.gen_manager = gen_manager or GenerationManager()
        self.video_manager = video_manager or VideoStorageManager()

    def start_generation(
        self,
        source_video_url: str,
        source_video_type: str,
        variant_types: Sequence[str],
        cost_estimate: float | None,
    ) -> str:
        """The id of a new generation, processing, whose variants exist; cost_estimate is in US dollars."""
        generation = self.gen_manager.create_generation(
            source_video_url, source_video_type, variant_types, cost_estimate, start=True
        )
        return generation["id"]

    def save_analysis_metadata(self, generation_id: str, analysis: Any) -> None:
        """Keeps what was seen in the source video."""
        self.gen_manager.save_metadata(generation_id, original_analysis=analysis)

    def save_transformation_metadata(self, generation_id: str, transformation: Any) -> None:
        """Keeps how the source was changed."""
        self.gen_manager.save_metadata(generation_id, transformation_data=transformation)

    def save_prompts_metadata(self, generation_id: str, prompts: Any) -> None:
        """Keeps the prompts."""
        self.gen_manager.save_metadata(generation_id, prompts_data=prompts)

    def save_evaluation_metadata(self, generation_id: str, evaluation: Any) -> None:
        """Keeps how the results were judged."""
        self.gen_manager.save_metadata(generation_id, evaluation_data=evaluation)

    def create_scene_records(
        self, generation_id: str, variant_type: str, prompts: Sequence[str], *, submit: bool = False
    ) -> list[str]:
        """The ids of the variant's scenes, one a prompt, in order.

        With submit a poller posts each of them to the provider, once; without, the caller does, and then calls
        process_sora_video. The same call again returns the same ids; other prompts are a Conflict.
        """
        scenes = self.gen_manager.create_scenes(generation_id, variant_type, prompts, submit=submit)
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

        A repeat changes nothing. A failure is recorded with its code, then raised.
        """
        scene = self.gen_manager.get_scene(scene_id)
        if (scene.get("generation_id"), scene.get("variant_type"), scene["scene_number"]) != (
            str(generation_id),
            variant_type,
            scene_number,
        ):
            raise InvalidValue("this scene is not the one of that generation_id, variant_type and scene_number")
        if scene["status"] == "completed":
            if scene["sora_video_id"] != sora_video_id:
                raise Conflict(f"this scene is completed already, with the video {scene['sora_video_id']}")
            return scene
        status = "processing" if scene["status"] == "pending" else None
        self.gen_manager.update_scene(scene_id, sora_video_id=sora_video_id, status=status)
        try:
            video_url, thumbnail_url, metadata = self.video_manager.process_and_store_video(
                sora_content_url,
                settings.provider_key(),
                generation_id,
                variant_type,
                scene_number,
                attempt=scene["attempt"],
            )
        except Exception as error:
            self.gen_manager.update_scene(
                scene_id, status="failed", error_message=str(error), error_code=_failure_code(error)
            )
            raise
        return self.gen_manager.update_scene(
            scene_id,
            sora_status="completed",
            video_url=video_url,
            thumbnail_url=thumbnail_url,
            duration=metadata["duration"],
            resolution=metadata["resolution"],
            file_size=metadata["file_size"],
            status="completed",
            error_message=metadata.get("thumbnail_error"),
        )

    def mark_generation_failed(self, generation_id: str, error_message: str) -> None:
        """The generation is failed, and stays so; videos still coming are stored all the same."""
        self.gen_manager.update_generation_status(generation_id, "failed", error_message)


def _failure_code(error: Exception) -> FailureCode:
    if isinstance(error, SceneFailure):
        return error.failure_code
    return "not_found" if isinstance(error, JobGone) else "download_failed"
