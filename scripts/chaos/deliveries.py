"""The provider's webhooks, one for each job that ended: late, twice, out of order, forged, stale, or never."""

import base64
import json
import os
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final
from uuid import uuid4

from standardwebhooks import Webhook

from scripts.chaos.environment import Environment
from scripts.local.host.launcher import Context
from sora.webhook.__main__ import main as webhook

STALE: Final = timedelta(minutes=10)
SPOILED_SHARE = 0.1

Event = tuple[str, bytes]


class Deliveries:
    """What is sent to the webhook's function, as a gateway would hand it on."""

    def __init__(self, environment: Environment, chance: random.Random) -> None:
        self._env = environment
        self._chance = chance
        self._sent_jobs: set[str] = set()
        self._waiting: list[Event] = []
        self.counts: Counter[str] = Counter()

    def deliver(self) -> None:
        """Some of what has ended since, in any order; what is not delivered now may be, later."""
        for job in self._env.control("GET", "jobs")["jobs"]:
            if job["status"] in {"completed", "failed"} and job["id"] not in self._sent_jobs:
                self._sent_jobs.add(job["id"])
                body = {"type": f"video.{job['status']}", "data": {"id": job["id"]}, "object": "event"}
                copies = self._chance.choice((0, 1, 1, 2))
                self.counts[f"webhooks sent {('never', 'once', 'twice')[copies]}"] += 1
                self._waiting += [(f"wh_{uuid4().hex}", json.dumps(body).encode())] * copies
        self._chance.shuffle(self._waiting)
        for _ in range(self._chance.randint(0, len(self._waiting))):
            self._send(self._waiting.pop())

    def _send(self, event: Event) -> None:
        spoiling = self._chance.choice(("forged", "stale")) if self._chance.random() < SPOILED_SHARE else ""
        status = self._post(event, spoiling)
        self.counts[f"webhooks {spoiling or 'answered'} {status}"] += 1
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # As a sender does.
            self._waiting.insert(0, event)

    def _post(self, event: Event, spoiling: str) -> int:
        webhook_id, body = event
        key = os.environ["OPENAI_WEBHOOK_SECRET"] if spoiling != "forged" else _secret(b"somebody else")
        sent_at = datetime.now(UTC) - (STALE if spoiling == "stale" else timedelta())
        headers = {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(sent_at.timestamp())),
            "webhook-signature": Webhook(key).sign(webhook_id, sent_at, body.decode()),
            "content-type": "application/json",
        }
        http = {"method": "POST", "path": "", "headers": headers, "queryString": "", "body": body.decode()}
        context = Context("/history/sora/webhook", uuid4().hex, time.time() + 30)
        return int(webhook({"http": http}, context)["statusCode"])


def _secret(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()
