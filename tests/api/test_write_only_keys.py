"""A key that may write and not read is told which rows its writes were about, and nothing that is recorded there."""

import json
import re
from typing import Any

import pytest
from flask import Flask

from generation_history.api import api_keys
from generation_history.api.acknowledgement import ACKNOWLEDGED, RECORDS
from generation_history.api.flask_adapter import register_history_api
from generation_history.archives.archives import Archives
from generation_history.record.generation_manager import GenerationManager
from scripts.operate.api_key import create
from tests.api.test_ownership import BODIES, NAMES, ROUTES, Asked, Route

#: What is recorded of a generation and no writer needs to be told.
RECORDED = ("soft scene 1", "a cat", "video_old", "scene_1", "https://", "http://", "sora_prompt", "actual_cost")
WRITES = [route for route in ROUTES if route[1] != "GET"]
ALLOWED = {"success", *ACKNOWLEDGED, *(f"{name}_id" for name in RECORDS)}


@pytest.fixture
def owner_id(owner: str) -> str:
    return owner


@pytest.fixture
def write_only(db, owner: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("HISTORY_ACCESS", "api-key")
    monkeypatch.setattr(api_keys, "_cached", {})
    _, key = create(db.migrate, owner, "a test", ["write"], None)
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
def record(db, owner: str, generation_factory, spaces) -> dict[str, str]:
    """The ids of a generation whose first scene is stored and whose second has failed."""
    manager = GenerationManager(owner)
    made = generation_factory(2, by=manager)
    variant = made["variants"][0]
    first, second = variant["scenes"]
    base = f"{spaces.base_url}/generations/{made['id']}/soft/scene_1"
    links = {"video_url": f"{base}.mp4", "thumbnail_url": f"{base}_thumb.jpg"}
    manager.update_scene(first["id"], sora_video_id="video_old", status="completed", **links)
    manager.update_scene(second["id"], status="failed", error_code="submit_unknown")
    manager.save_metadata(made["id"], {"hook": "a cat"})
    Archives(manager.owner_id).ask(made["id"])
    return {"generation_id": made["id"], "variant_id": variant["id"], "scene_id": second["id"]}


def is_told_no_more(body: dict[str, Any]) -> bool:
    text = json.dumps(body)
    known = {"success", "error", "code", "request_id"} if body["success"] is False else ALLOWED
    return set(body) <= known and not any(recorded in text for recorded in RECORDED)


@pytest.mark.parametrize("route", WRITES, ids=" ".join)
def test_a_write_tells_no_more_than_ids_and_statuses(call, record, write_only, route: Route, db):
    asked = Asked(call, record)
    if route[2].endswith("/use"):
        [[asked.record["scene_id"]]] = db.rows("select scene_id::text from attempts where sora_video_id is not null")
    if route[2].endswith("/restore"):
        call("generations", f"/{record['generation_id']}", method="DELETE", headers=write_only)
    if route[2].endswith("/download"):
        ready = "state = 'ready', size = 5, ready_at = now(), expires_at = now() + interval '1 day'"
        db.rows(f"update archives set {ready}")

    first, again = asked(route, write_only), asked(route, write_only)

    assert first.status in {200, 201, 202} or route[2] == "/clone", first.returned
    for answer in (first, again):
        assert is_told_no_more(answer.json), answer.returned


def test_what_it_is_told_is_what_it_needs_to_go_on(call, record, write_only):
    asked = Asked(call, record)

    reported = asked(("generations", "PATCH", "/history/generations/<generation_id>"), write_only)
    retried = asked(("scenes", "POST", "/history/scenes/<scene_id>/retry"), write_only)

    assert reported.json == {"success": True, "generation_id": record["generation_id"], "status": "failed"}
    assert retried.json == {"success": True, "scene_id": record["scene_id"], "status": "pending"}


def test_a_repeat_and_a_refusal_tell_no_more(call, record, write_only):
    body = BODIES["POST", "/history/generations"]
    headers = {**write_only, "Idempotency-Key": "a"}
    first, again = (call("generations", method="POST", body=body, headers=headers) for _ in range(2))
    other = call("generations", method="POST", body=body | {"cost_estimate": 1}, headers=headers)
    scenes = f"/{record['variant_id']}/scenes"
    guessed = call("variants", scenes, method="POST", body={"prompts": ["a guess"]}, headers=write_only)

    assert first.json == again.json == {"success": True, "generation_id": first.json["generation_id"]}
    assert (other.status, guessed.status) == (409, 409)
    assert is_told_no_more(other.json)
    assert is_told_no_more(guessed.json)


def test_a_flask_server_tells_no_more_either(record, write_only):
    app = Flask("ad_cloner")
    register_history_api(app)
    for _, method, path in WRITES:
        asked = re.sub(r"<(\w+)>", lambda match: (record | NAMES)[match[1]], path)
        body = BODIES.get((method, path), "")
        sent = {"json": body} if isinstance(body, dict) else {}
        if path != "/clone":
            answer = app.test_client().open(f"/api{asked}", method=method, headers=write_only, **sent)
            assert is_told_no_more(answer.json), (path, answer.text)
