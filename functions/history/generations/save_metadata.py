"""PATCH /history/generations/{id}/metadata: what the pipeline knows, kind by kind."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.params import Body

from generation_history.api.app import handler, history, ok
from generation_history.api.request_models import MetadataKinds
from generation_history.api.response_schemas import answers
from generation_history.errors import InvalidValue
from generation_history.needs import needs

NEEDS = needs("record", "owners")
router = Router()
main = handler(router)


@router.route("/history/generations/<generation_id>/metadata", method="PATCH", responses=answers(message=str))
def save_metadata(generation_id: UUID, body: Annotated[MetadataKinds, Body()]) -> Response[str]:
    """A message that each kind given is replaced; one that is null or not given stays as it was."""
    kinds = body.model_dump(exclude_none=True)
    if not kinds:
        raise InvalidValue(f"one or more of {', '.join(MetadataKinds.model_fields)} must be given")
    history().save_metadata(str(generation_id), **kinds)
    return ok(message="Metadata saved")
