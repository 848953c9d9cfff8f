"""The kinds that one simulator speaks beside `/v1/videos`, and which of them a path belongs to."""

from collections.abc import Mapping

from scripts.local.simulator.fal import Fal
from scripts.local.simulator.gemini import Gemini
from scripts.local.simulator.kind import Kind
from scripts.local.simulator.replicate import Replicate
from scripts.local.simulator.runway import Runway
from scripts.local.simulator.service import Service


def all_kinds(service: Service) -> Mapping[str, Kind]:
    """Every kind on this service, by name."""
    return {kind.name: kind for kind in (Fal(service), Replicate(service), Runway(service), Gemini(service))}


def kind_of(path: str, kinds: Mapping[str, Kind]) -> Kind | None:
    """The kind that answers at this path; None for /v1/videos and all that is nobody's."""
    first, _, rest = path.removeprefix("/").partition("/")
    if first == "cdn":
        return kinds.get(rest.partition("/")[0])
    return next((kind for kind in kinds.values() if first in kind.prefixes), None)
