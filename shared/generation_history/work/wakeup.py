"""Waking the poller before its schedule does: a courtesy, never needed, so no failure of it is an error."""

import base64
import logging
from contextlib import suppress
from functools import partial
from typing import Any, cast

from generation_history import http_client, settings
from generation_history.errors import NotConfigured
from generation_history.settings import WakeSettings
from generation_history.time_limit import within

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 3
MAX_ANSWER_BYTES = 64 * 1024


def wake_poller() -> None:
    """The poller is called, where that is configured; this takes no longer than the time limit, and never fails."""
    try:
        configured = settings.wake()
    except NotConfigured as error:
        logger.error("the poller cannot be woken: %s", error)  # noqa: TRY400
        return
    if configured.url or configured.lambda_name:
        with suppress(TimeoutError):
            within(TIMEOUT_SECONDS, partial(_call, configured))


def _call(configured: WakeSettings) -> None:
    try:
        if configured.url:
            _call_action(configured)
        elif configured.lambda_name:
            _invoke_lambda(configured.lambda_name)
    except Exception as error:  # noqa: BLE001 - the schedule does it soon, whatever went wrong here
        logger.warning("the poller could not be woken: %s", _reason(error))


def _reason(error: Exception) -> str:
    """AWS's own word for a refusal ("AccessDeniedException"), of which boto3 may know no class; else the class."""
    answer: Any = getattr(error, "response", None)
    try:
        return str(answer["Error"]["Code"])
    except (LookupError, TypeError):
        return type(error).__name__


def _call_action(configured: WakeSettings) -> None:
    """DigitalOcean's REST call of another function, which answers 202 at once."""
    token = base64.b64encode(configured.key.encode()).decode()
    http_client.call(
        f"{configured.url}?blocking=false",
        seconds=TIMEOUT_SECONDS,
        most_bytes=MAX_ANSWER_BYTES,
        method="POST",
        headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
        body=b"{}",
    )


def _invoke_lambda(name: str) -> None:
    # Late: Lambda brings boto3 with it, DigitalOcean's webhook function does without.
    from boto3.session import Session  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    config = Config(connect_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS, retries={"total_max_attempts": 1})
    client = cast("Any", Session()).client("lambda", config=config)
    client.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
