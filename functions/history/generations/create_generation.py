"""POST /history/generations: records a generation, and submits its scenes where prompts come with it."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Body
from pydantic import BaseModel, ConfigDict, Field, model_validator

from generation_history.endpoint import history, ok
from generation_history.models import VariantType

router = Router()

Prompt = Annotated[str, Field(min_length=1, max_length=32_000)]


class MetadataKinds(BaseModel):
    """What the pipeline knows by now."""

    model_config = ConfigDict(extra="forbid")

    original_analysis: Any = None
    transformation_data: Any = None
    prompts_data: Any = None
    evaluation_data: Any = None


class NewGeneration(BaseModel):
    """A generation to record; with prompts, also to make."""

    model_config = ConfigDict(extra="forbid")

    source_video_url: str = Field(min_length=1, max_length=4096)
    source_video_type: str = Field(default="url", min_length=1, max_length=50)
    variant_types: list[VariantType] = Field(default_factory=list[VariantType], max_length=4)
    cost_estimate: float | None = Field(default=None, ge=0, lt=100_000_000, allow_inf_nan=False)
    prompts: dict[VariantType, Annotated[list[Prompt], Field(min_length=1, max_length=100)]] | None = None
    metadata: MetadataKinds | None = None
    model: str | None = Field(default=None, min_length=1, max_length=200)
    size: str | None = Field(default=None, pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$")
    seconds: int | None = Field(default=None, ge=1, le=600)

    @model_validator(mode="after")
    def _names_its_variants(self) -> "NewGeneration":
        if self.prompts and not self.variant_types:
            self.variant_types = list(self.prompts)
        if not self.variant_types:
            raise ValueError("variant_types or prompts must name one or more variants")
        if self.prompts and set(self.variant_types) != set(self.prompts):
            raise ValueError("variant_types and prompts must name the same variants")
        return self


@router.post("/history/generations")
def create_generation(body: Annotated[NewGeneration, Body()]) -> Response[str]:
    """202 with the new generation's id; with prompts its scenes are queued for the provider, each once."""
    metadata = body.metadata.model_dump() if body.metadata else None
    if body.prompts:
        generation = history().create_with_scenes(
            body.source_video_url,
            body.source_video_type,
            {**body.prompts},
            cost_estimate=body.cost_estimate,
            metadata=metadata,
            model=body.model,
            size=body.size,
            seconds=body.seconds,
        )
    else:
        generation = history().create_generation(
            body.source_video_url,
            body.source_video_type,
            body.variant_types,
            body.cost_estimate,
            start=True,
            metadata=metadata,
        )
    return ok(202, generation_id=generation["id"])
