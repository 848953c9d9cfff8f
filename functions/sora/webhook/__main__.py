"""The function /sora/webhook: a provider's deliveries; their signature is their token."""

from sora.webhook.receive_delivery import main

__all__ = ["main"]
