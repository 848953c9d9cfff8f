"""docs/openapi.json against the functions: whatever it allows or forbids to ask, no answer is a 500 or off its schema.

Schemathesis makes the requests; the local host's gateway takes them to the functions as the platform does.
"""

import base64
import importlib
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance
from standardwebhooks import Webhook

from generation_history.work.monitoring import Monitoring
from scripts.local.host.gateway import create_gateway
from scripts.local.host.project import Function, read_project
from tests.docs.test_docs import settings_in_code
from tests.fixtures.calls import Context
from tests.support.contract import DOCUMENT, closed

EXAMPLES = 40
SECRET = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0"
MONITOR = "a-token-for-the-monitor"
#: What no schema can say: sentences that refuse a request which keeps to its schema.
BEYOND_SCHEMA = (
    "cursor: not one that this list gave",
    "variant_types or prompts must name one or more variants",
    "variant_types and prompts must name the same variants",
    "NUL character",
    "a printable text",
    "it must be a day like",
    "error_message comes with a status only",
    "status or actual_cost must be given",
    "evaluation_data must be given",
    "it is nested deeper",
)


@dataclass
class InProcess:
    """A function where the host has a pool of processes; what is to be signed is signed as a provider does."""

    function: Function

    def call(self, event: dict[str, Any]) -> "Future[dict[str, Any]]":
        if event["http"]["headers"].pop("x-sign-me", None):
            event["http"]["headers"] |= _signature(event["http"])
        name = f"{self.function.package}/{self.function.name}"
        main = importlib.import_module(f"{name.replace('/', '.')}.__main__").main
        done: Future[dict[str, Any]] = Future()
        done.set_result(main(event, Context(f"/ns/{name}")))
        return done


def _signature(http: dict[str, Any]) -> dict[str, str]:
    raw = base64.b64decode(http["body"]) if http["isBase64Encoded"] else http["body"].encode()
    now = datetime.now(UTC)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, raw.decode(errors="replace")),
    }


SCHEMA = schemathesis.openapi.from_dict(closed(DOCUMENT))
SCHEMA.config.generation.update(with_security_parameters=False)
SCHEMA.app = create_gateway(
    {
        (function.package, function.name): InProcess(function)
        for function in read_project(dict.fromkeys(settings_in_code(), "x"))
    },
    Path(),
)


@pytest.fixture
def ids(open_to_one: str, manager, generation_factory) -> dict[str, str]:
    """Of a generation with a stored video; beside it there are a few more."""
    generation_factory(1, ["aggressive"])
    generation_factory(2, ["soft", "ultra"], source_video_url="https://video.example/ünï", submit=True)
    made = generation_factory(3, ["medium", "ultra"])
    scene = made["variants"][0]["scenes"][0]["id"]
    url = f"https://soraking-videos.nyc3.digitaloceanspaces.com/generations/{made['id']}/medium/scene_1"
    manager.update_scene(scene, video_url=f"{url}.mp4", thumbnail_url=f"{url}_thumb.jpg", status="completed")
    return {"generation_id": made["id"], "variant_id": made["variants"][0]["id"], "scene_id": scene}


@pytest.fixture
def credentials(
    owner: str, by_token, worker_db, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, dict[str, str]]]:
    """By package, the headers that open it."""
    health, webhook = (
        importlib.import_module("ops.health.get_health")._monitoring,
        importlib.import_module("sora.webhook.receive_delivery")._deliveries,
    )
    health.cache_clear()
    webhook.cache_clear()
    for name, value in {
        "HEALTH_TOKEN": MONITOR,
        "OPENAI_WEBHOOK_SECRET": SECRET,
        "DO_SPACES_ACCESS_KEY": "key",
        "DO_SPACES_SECRET_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    Monitoring(worker_db).heartbeat("poller")
    yield {
        "history": {"Authorization": by_token(sub=owner)["authorization"]},
        "ops": {"Authorization": f"Bearer {MONITOR}"},
        "sora": {"x-sign-me": "yes"},
    }
    health.cache_clear()
    webhook.cache_clear()


@pytest.mark.slow
# DigitalOcean, whose events these are, knows /clone as the function's own path.
@SCHEMA.exclude(path="/clone").parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_every_answer_is_of_its_schema(case: schemathesis.Case, ids, credentials):
    for name, value in case.path_parameters.items():
        if _is_uuid(value) and UUID(value).int % 2:
            case.path_parameters[name] = ids[name]
    package = case.path.split("/")[1]
    headers = credentials.get(package, credentials["history"])

    answer = case.call(base_url="http://localhost/api", headers=headers)

    excluded = [ignored_auth] if package == "sora" else []  # which repeats a call that we sign again
    if answer.status_code == 400 and any(sentence in answer.text for sentence in BEYOND_SCHEMA):
        excluded.append(positive_data_acceptance)
    case.validate_response(answer, headers=headers, excluded_checks=excluded, transport_kwargs={"headers": headers})


def _is_uuid(value: object) -> bool:
    try:
        return bool(UUID(str(value)))
    except ValueError:
        return False
