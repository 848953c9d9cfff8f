"""An older installation's pipeline: it analyses, writes prompts, renders, and tells the history of each step."""

from pipeline_integrator import PipelineIntegrator
from sora_client import SoraClient


class AdCloner:
    def __init__(self, integrator: PipelineIntegrator) -> None:
        self.integrator = integrator
        self.sora = SoraClient()

    def run(self, generation_id: str, level: str) -> None:
        # As a model answered: one figure is none.
        self.integrator.save_analysis_metadata(generation_id, {"hook": "fast", "score": float("nan")})
        self.integrator.save_transformation_metadata(generation_id, {"vertical": "insurance"})
        prompts = [f"{level}, the opening", f"{level}, the end"]
        self.integrator.save_prompts_metadata(generation_id, {level: prompts})
        scene_ids = self.integrator.create_scene_records(generation_id, level, prompts)
        for number, prompt in enumerate(prompts, start=1):
            result = self.sora.render(prompt)
            if result.get("video_id") and result.get("content_url"):
                self.integrator.process_sora_video(
                    scene_ids[number - 1], result["video_id"], result["content_url"], generation_id, level, number
                )
        self.integrator.gen_manager.update_generation_status(generation_id, "completed", actual_cost=0.96)
