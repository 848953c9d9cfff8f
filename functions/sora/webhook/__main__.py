"""The function /sora/webhook: a provider's deliveries; their signature is their token."""

from typing import Any

from generation_history import logs
from generation_history.endpoint import Context, answer, resolver
from sora.webhook import receive_delivery

logs.configure()
_app = resolver(receive_delivery.router)


def main(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """The answer to one call."""
    return answer(_app, event, context, admit=lambda _headers: None)
