"""POST /history/generations: records a generation, and submits its scenes where prompts come with it."""

from typing import Annotated, Self

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Body, Header
from pydantic import Field, model_validator

from generation_history import limits
from generation_history.api.app import handler, history, ok
from generation_history.api.request_models import Cost, MetadataKinds, Prompts, Wanted
from generation_history.api.response_schemas import answers
from generation_history.models import VariantType
from generation_history.needs import needs
from generation_history.record.generation_manager import IdempotencyKey

NEEDS = needs("record", "owners")
router = Router()
main = handler(router)

KeyHeader = Annotated[
    str | None,
    Header(alias="Idempotency-Key", max_length=limits.MAX_IDEMPOTENCY_KEY, pattern="^[!-~]([ -~]*[!-~])?$"),
]


class NewGeneration(Wanted):
    """A generation to record; with prompts, also to make."""

    source_video_url: str = Field(min_length=1, max_length=limits.MAX_SOURCE_URL)
    source_video_type: str = Field(default="url", min_length=1, max_length=50)
    variant_types: list[VariantType] = Field(
        default_factory=list[VariantType], max_length=4, json_schema_extra={"uniqueItems": True}
    )
    cost_estimate: Cost | None = None
    prompts: dict[VariantType, Prompts] | None = None
    metadata: MetadataKinds | None = None

    @model_validator(mode="after")
    def _names_its_variants(self) -> Self:
        if self.prompts and not self.variant_types:
            self.variant_types = list(self.prompts)
        if not self.variant_types:
            raise ValueError("variant_types or prompts must name one or more variants")
        if self.prompts and sorted(self.variant_types) != sorted(self.prompts):
            raise ValueError("variant_types and prompts must name the same variants")
        return self


@router.post("/history/generations", responses=answers(202, generation_id=str))
def create_generation(body: Annotated[NewGeneration, Body()], idempotency_key: KeyHeader = None) -> Response[str]:
    """202 with the new generation's id; with prompts its scenes are queued for the provider, each once.

    Under an Idempotency-Key the same request is recorded once, and answered alike however often it comes.
    """
    metadata = body.metadata.model_dump() if body.metadata else None
    # As it came: a default that is added one day makes no other request of one that is tried again.
    identity = IdempotencyKey(idempotency_key, router.current_event.json_body) if idempotency_key else None
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
            once=identity,
        )
    else:
        generation = history().create_generation(
            body.source_video_url,
            body.source_video_type,
            body.variant_types,
            body.cost_estimate,
            start=True,
            metadata=metadata,
            once=identity,
        )
    return ok(202, generation_id=generation["id"])


@router.post("/clone", responses=answers(202, generation_id=str))
def clone(body: Annotated[NewGeneration, Body()], idempotency_key: KeyHeader = None) -> Response[str]:
    """The same by the name that the front end has for it, where a gateway can route that here."""
    return create_generation(body, idempotency_key)
