"""The function /ops/health, for an uptime monitor: opened by HEALTH_TOKEN alone."""

from collections.abc import Mapping
from typing import Any

from generation_history import logs, settings
from generation_history.access import bears
from generation_history.endpoint import Context, answer, resolver
from generation_history.errors import NotAuthenticated
from ops.health import get_health

logs.configure()
_app = resolver(get_health.router)


def main(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """The answer to one call."""
    return answer(_app, event, context, admit=_admit)


def _admit(headers: Mapping[str, str]) -> None:
    if not bears(headers, settings.health_token()):
        raise NotAuthenticated("the health endpoint asks for HEALTH_TOKEN: Authorization: Bearer <token>")
