"""What fal's own client gets from a simulator: `drive_fal.py BASE_URL KEY` prints it as JSON."""

import json
import sys
import time

import fal_client
from fal_client import client as fal

BASE_URL, KEY = sys.argv[1:]
MODEL = "minimax/h3-max/text-to-video"
# Its https is fixed.
fal.QUEUE_URL_FORMAT = f"{BASE_URL}/fal/"


def failure(handle) -> list:
    """The status and the text of the error that is this job's result."""
    try:
        return ["ok", handle.get(interval=0.05)]
    except fal_client.FalClientHTTPError as error:
        return [error.status_code, error.message]


def main() -> dict:
    client = fal_client.SyncClient(key=KEY)
    handle = client.submit(MODEL, {"prompt": "a cat", "duration": 5, "seed": 1}, webhook_url="http://127.0.0.1:9/t")
    statuses = [type(status).__name__ for status in handle.iter_events(interval=0.01)]
    running = client.submit(MODEL, {"prompt": "a dog [delay=600]"})
    while not isinstance(running.status(), fal_client.InProgress):
        time.sleep(0.01)
    running.cancel()
    alias = client.submit("google/gemini-omni-flash", {"prompt": "a fish [fail]"})
    while not isinstance(alias.status(), fal_client.Completed):
        time.sleep(0.01)
    failed = alias.status()
    return {
        "request_id": handle.request_id,
        "statuses": statuses,
        "result": handle.get(),
        "by_id": client.result(MODEL, handle.request_id),
        "bad_input": failure(client.submit(MODEL, {"prompt": "a cow", "duration": 4})),
        "moderated": failure(client.submit(MODEL, {"prompt": "a cow [moderate]"})),
        "cancelled": failure(running),
        "failed": [failed.error, failed.error_type],
        "alias": alias.status_url,
    }


print(json.dumps(main()))
