"""PATCH /history/generations/{id}: how it went and what it cost, as its pipeline reports."""

from typing import Annotated, Self
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Body
from pydantic import Field, model_validator

from generation_history import limits
from generation_history.api.app import handler, history, ok
from generation_history.api.request_models import Cost, JsonObject
from generation_history.api.response_schemas import answers
from generation_history.models import Generation, Status
from generation_history.needs import needs

NEEDS = needs("record", "owners")
router = Router()
main = handler(router)


class Report(JsonObject):
    """A status that stands, with its reason, or a cost, or both."""

    status: Status | None = None
    error_message: str | None = Field(default=None, min_length=1, max_length=limits.MAX_ERROR_MESSAGE)
    actual_cost: Cost | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.status is None and self.actual_cost is None:
            raise ValueError("status or actual_cost must be given")
        if self.status is None and self.error_message is not None:
            raise ValueError("error_message comes with a status only")
        return self


@router.route("/history/generations/<generation_id>", method="PATCH", responses=answers(generation=Generation))
def update_generation(generation_id: UUID, body: Annotated[Report, Body()]) -> Response[str]:
    """The generation's own row as it is now; what a failed one had not submitted is cancelled."""
    if body.status is not None:
        generation = history().update_generation_status(
            str(generation_id), body.status, body.error_message, body.actual_cost
        )
    else:
        generation = history().report_cost(str(generation_id), body.actual_cost)
    return ok(generation=generation)
