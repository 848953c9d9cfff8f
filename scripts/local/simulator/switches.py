"""What the facts leave open about a kind: each is modelled in the stricter way, and has a switch for the other."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from scripts.local.simulator.errors import ApiError


class Switches(BaseModel):
    """The switches of one simulator, which `PUT /simulator/switches` changes while it runs."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_assignment=True)

    #: fal's list by time shows a request that has not started.
    fal_lists_queued: bool = False
    #: fal looks google/gemini-omni-flash up under another name, as it may do with any endpoint.
    fal_alias: bool = True
    #: fal says in a header of the result how many seconds it bills.
    fal_billing_header: bool = True
    #: Kling on fal takes a resolution.
    fal_kling_resolution: bool = False
    #: Replicate's files need the key; without this they are open, and a key that is shown there has leaked.
    replicate_content_key: bool = True
    #: Gemini takes a webhook_config under v1 too, and not under v1beta alone.
    gemini_v1_webhooks: bool = False

    def change(self, changes: dict[str, Any]) -> None:
        """These switches are set; an unknown one is a 400 that names it, and changes nothing."""
        try:
            new = type(self).model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            raise ApiError(400, f"Invalid switch: {name}.", param=name) from None
        for name, value in new:
            setattr(self, name, value)
