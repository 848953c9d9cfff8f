"""register_history_api(app): a Flask server answers /api/history as the functions do, and keeps what is its own."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import requests
from flask import Flask, jsonify, request
from flask.testing import FlaskClient
from history_api import register_history_api
from werkzeug.serving import make_server

from generation_history.api.app import MAX_BODY_BYTES
from generation_history.record.generation_manager import GenerationManager
from tests.support.contract import conforms, operations

Server = Callable[[], FlaskClient]


@pytest.fixture
def app() -> Flask:
    """An ad cloner's server as it was: with routes, an error page and hooks of its own."""
    made = Flask("ad_cloner")

    @made.post("/api/clone")
    def clone():
        return jsonify(cloning=request.json["url"]), 201

    @made.get("/api/<path:other>")
    def everything_else(other: str):
        return f"ad cloner: {other}"

    @made.errorhandler(404)
    def not_found(_error: Exception):
        return "ad cloner has no such page", 404

    register_history_api(made)
    return made


@pytest.fixture
def client(db, open_to_one: str, app: Flask) -> FlaskClient:
    return app.test_client()


def test_a_server_keeps_its_own_routes(client: FlaskClient):
    assert (client.post("/api/clone", json={"url": "x"}).status_code, client.get("/api/clone").status_code) == (
        201,
        200,
    )
    assert client.post("/api/clone", json={"url": "x"}).json == {"cloning": "x"}
    for path in ("/api/historical", "/api/history-of-ads", "/api/ops/health", "/api/sora/webhook"):
        assert client.get(path).text == f"ad cloner: {path.removeprefix('/api/')}"
    for path in ("/", "/history/stats", "/apis/history/stats"):
        assert client.get(path).text == "ad cloner has no such page"
    assert client.post("/api/sora/webhook").status_code == 405


def test_nothing_else_is_mounted(app: Flask):
    before = {rule.rule for rule in Flask("ad_cloner").url_map.iter_rules()}
    own = {"/api/clone", "/api/<path:other>"}

    assert {rule.rule for rule in app.url_map.iter_rules()} - before - own == {
        "/api/history",
        "/api/history/<path:rest>",
    }


def test_every_operation_is_answered_as_the_function_answers_it(client: FlaskClient, call, stored, generation_factory):
    made = stored(generation_factory(2, ["soft", "ultra"]))
    ids = {
        "generation_id": made["id"],
        "variant_id": made["variants"][0]["id"],
        "scene_id": made["variants"][0]["scenes"][0]["id"],
    }
    kind = {"kind": "original_analysis", "attempt": "1"}
    for path, method, operation in operations():
        if not path.startswith("/history/"):
            continue
        given = path.format(**(ids if method == "get" else dict.fromkeys(ids, str(uuid4()))), **kind)
        _, _, function, *rest = given.split("/")
        body = {} if method == "get" else {"json": {"nothing": "of this"}}

        answer = client.open(f"/api{given}", method=method, **body)
        expected = call(
            function, "".join(f"/{part}" for part in rest), method=method.upper(), body=body.get("json", "")
        )

        told = answer.json | ({"request_id": expected.request_id} if "request_id" in answer.json else {})
        assert (answer.status_code, told) == (expected.status, expected.json), path
        headers = {name.lower(): value for name, value in answer.headers.items()}
        told = expected.headers_but_for_packing
        assert {name: headers[name].replace("-gzip", "") for name in told} == told, path
        assert str(answer.status_code) in operation["responses"]


def test_a_pipeline_can_record_and_read_through_it(client: FlaskClient, manager: GenerationManager):
    body = {"source_video_url": "https://video.example/ünï", "prompts": {"soft": ["a"]}}

    made = client.post("/api/history/generations", json=body)

    assert made.status_code == 202
    listed = client.get("/api/history/generations?limit=5&status=processing").json
    assert [generation["id"] for generation in listed["generations"]] == [made.json["generation_id"]]
    assert listed["generations"][0]["source_video_url"] == body["source_video_url"]
    assert client.delete(f"/api/history/generations/{made.json['generation_id']}").json["success"]
    assert manager.list_generations() == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/history", 404, "not_found"),
        ("GET", "/api/history/", 404, "not_found"),
        ("GET", "/api/history/nothing", 404, "not_found"),
        ("GET", "/api/history/generations/x", 400, "invalid_value"),
        ("GET", "/api/history/generations?limit=x", 400, "invalid_value"),
        ("GET", "/api/history/stats%2F..%2Flibrary", 404, "not_found"),
        ("PUT", "/api/history/generations", 405, "method_not_allowed"),
        ("PATCH", "/api/history/stats", 405, "method_not_allowed"),
        ("POST", "/api/history/generations", 400, "invalid_value"),
    ],
)
def test_what_is_refused_is_refused_as_the_functions_do(client: FlaskClient, method: str, path: str, status, code: str):
    answer = client.open(path, method=method)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    conforms(
        method, path.removeprefix("/api").partition("?")[0], status, {"content-type": answer.content_type}, answer.text
    )


def test_head_and_a_trailing_slash_are_answered(client: FlaskClient):
    head = client.head("/api/history/stats/")

    assert (head.status_code, head.data) == (200, b"")
    assert client.get("/api/history/stats/").json["success"]


def test_a_long_body_is_not_read_to_its_end(client: FlaskClient):
    answer = client.post(
        "/api/history/generations", data=b'"' + b"x" * (2 * MAX_BODY_BYTES), content_type="application/json"
    )

    assert (answer.status_code, answer.json["code"]) == (413, "too_large")


def test_a_body_that_a_hook_of_the_server_has_read_is_there_all_the_same(app: Flask, client: FlaskClient):
    seen: list[bytes] = []
    app.before_request(lambda: seen.append(request.get_data()))

    body = {"source_video_url": "x", "variant_types": ["soft"]}

    assert client.post("/api/history/generations", json=body).status_code == 202
    assert len(seen) == 1


def test_without_access_configured_everything_is_closed(client: FlaskClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HISTORY_ACCESS")

    assert client.get("/api/history/stats").status_code == 503
    assert client.post("/api/clone", json={"url": "x"}).status_code == 201


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    """The app behind a real server, which answers each request in a thread of its own."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_calls_of_several_owners_at_once_never_mix(url: str, db, by_token, generation_factory):
    """Powertools keeps the current event on a class, which all threads share."""
    owners = {owner: by_token(sub=owner) for owner in (str(uuid4()) for _ in range(6))}
    for owner in owners:
        generation_factory(1, by=GenerationManager(owner), source_video_url=f"https://video.example/{owner}")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def ask(number: int) -> None:
        owner = list(owners)[number % len(owners)]
        query = {"limit": 1 + number % 9, **({} if number % 3 else {"bad": owner})}
        answer = requests.get(f"{url}/api/history/generations", params=query, headers=owners[owner], timeout=30)
        if number % 3:
            [generation] = answer.json()["generations"]
            assert generation["source_video_url"] == f"https://video.example/{owner}"
        else:
            assert (answer.status_code, "'bad'" in answer.json()["error"]) == (400, True)

    try:
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(ask, range(180)))
    finally:
        sys.setswitchinterval(interval)


def test_flask_is_asked_for_by_whoever_registers_and_nobody_else():
    code = "import sys, history_api, generation_history.api.flask_adapter\nprint('flask' in sys.modules)"
    answer = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)

    assert (answer.stdout, answer.stderr) == ("False\n", "")
