"""Costs: the price of a provider job by the table prices, and the budget that a POST is held to, as SQL and its params.

The prices themselves are rows, with the time for which each is valid (docs/operations.md). A job keeps the price of the
moment at which its POST was intended.
"""

from typing import Any, Final, LiteralString
from urllib.parse import urlsplit

from generation_history.provider_settings import Limits
from generation_history.providers import VideoRequest
from generation_history.providers.catalogue import Model

NO_LIMITS: Final = Limits()

#: The US dollars that the requested job costs by the prices of now; null where there is no such price. The table's
#: prices go before the catalogue's.
COST: Final[LiteralString] = (
    "coalesce(cost_of(%(host)s, %(model)s, %(size)s, %(seconds)s), %(catalogue_cost)s::numeric)"
)
#: Throttled where one of the limits holds this owner's POST back.
RESERVE_BUDGET: Final[LiteralString] = f"""
    select reserve_budget(%(owner_id)s, {COST}, %(most_running)s::integer, %(most_per_minute)s::integer,
        %(usd_per_owner_and_day)s::numeric, %(scene_id)s, %(lease_token)s)
"""


def cost_params(base_url: str, request: VideoRequest, model: Model | None = None) -> dict[str, Any]:
    """The params of COST; a server's prices are found by its host, or else in the catalogue's entry of the model."""
    return {
        "catalogue_cost": model and model.cost(request),
        "host": urlsplit(base_url).hostname,
        "model": request.model,
        "size": request.size,
        "seconds": request.seconds,
    }


def budget_params(limits: Limits) -> dict[str, Any]:
    """The params of RESERVE_BUDGET that are of the limits."""
    return {
        "most_running": limits.most_running,
        "most_per_minute": limits.most_per_minute,
        "usd_per_owner_and_day": limits.usd_per_owner_and_day,
    }
