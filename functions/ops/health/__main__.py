"""The function /ops/health, for an uptime monitor: opened by HEALTH_TOKEN alone."""

from ops.health.get_health import main

__all__ = ["main"]
