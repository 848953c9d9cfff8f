"""The same request gets the same answer as a raw event of DigitalOcean, from API Gateway, and at a function's own URL.

DigitalOcean calls the function that its path begins with; on AWS each endpoint module is a Lambda of its own.
"""

import base64
import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest

from tests.fixtures.calls import Answer
from tests.support.contract import operations

pytestmark = pytest.mark.usefixtures("db", "open_to_one")

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"
IDS = ("generation_id", "variant_id", "scene_id", "attempt", "kind")
MODULES = sorted(
    ".".join(path.relative_to(FUNCTIONS).with_suffix("").parts)
    for path in FUNCTIONS.glob("*/*/*.py")
    if path.stem != "__main__"
)


@dataclass
class LambdaContext:
    """What the Lambda runtime hands over beside the event."""

    function_name: str
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:history"

    def get_remaining_time_in_millis(self) -> int:
        return 29_500


@dataclass
class Request:
    """One request, as each platform may carry it."""

    module: str
    method: str
    path: str
    query: str = ""
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def to_lambda(self, event: dict[str, Any]) -> Answer:
        context = LambdaContext(self.module.replace(".", "-"))
        return Answer(importlib.import_module(self.module).main(event, context), context.aws_request_id)


def as_raw(request: Request, call: Callable) -> Answer:
    package, function, *rest = request.path.strip("/").split("/")
    text = request.body.decode("utf-8") if request.headers.get("content-type") == "application/json" else ""
    binary = base64.b64encode(request.body).decode() if request.body and not text else ""
    return call(
        f"{package}/{function}",
        "".join(f"/{part}" for part in rest),
        method=request.method,
        query=request.query,
        body=text or binary,
        base64=bool(binary),
        headers=request.headers,
    )


def _payload_v2(request: Request, *, path: str, host: str, stage: str = "$default", route: str) -> dict[str, Any]:
    """Payload format 2.0, which API Gateway and function URLs share, as both were captured."""
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    is_text = request.headers.get("content-type") == "application/json"
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": request.query,
        "cookies": ["_ga=GA1.1.1390", "session=eyJhbGciOi"],
        "headers": {
            "accept": "*/*",
            "accept-encoding": "br, gzip",
            "content-length": str(len(request.body)),
            "host": host,
            "user-agent": "curl/8.5.0",
            "x-amzn-trace-id": "Root=1-68d7512d-1c8190480d2f6e5a0b3c4d5e",
            "x-forwarded-for": "203.0.113.7",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
            **request.headers,
        },
        **({"queryStringParameters": parameters} if parameters else {}),
        "requestContext": {
            "accountId": "123456789012",
            "apiId": host.partition(".")[0],
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "curl/8.5.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route,
            "stage": stage,
            "time": "25/Nov/2026:01:32:45 +0000",
            "timeEpoch": 1795570365715,
        },
        **(
            {"body": request.body.decode() if is_text else base64.b64encode(request.body).decode()}
            if request.body
            else {}
        ),
        "isBase64Encoded": bool(request.body) and not is_text,
    }


GATEWAY, OWN_DOMAIN, FUNCTION_URL = (
    "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
    "ads.example",
    "qv7txe2mnrkzh5bx4a0.lambda-url.us-east-1.on.aws",
)


def as_http_api(request: Request, _call: Callable) -> Answer:
    event = _payload_v2(request, path=f"/api{request.path}", host=GATEWAY, route=f"{request.method} /api/{{proxy+}}")
    event["pathParameters"] = {"proxy": request.path.removeprefix("/")}
    return request.to_lambda(event)


def as_http_api_with_a_stage(request: Request, _call: Callable) -> Answer:
    """A stage that has a name begins the path."""
    return request.to_lambda(
        _payload_v2(request, path=f"/history{request.path}", host=GATEWAY, stage="history", route="$default")
    )


def as_http_api_with_a_stage_at_its_own_domain(request: Request, _call: Callable) -> Answer:
    """There the mapping names the stage, and the path is without it."""
    return request.to_lambda(_payload_v2(request, path=request.path, host=OWN_DOMAIN, stage="hist", route="$default"))


def as_function_url(request: Request, _call: Callable) -> Answer:
    event = _payload_v2(request, path=request.path, host=FUNCTION_URL, route="$default")
    event["requestContext"]["accountId"] = "anonymous"
    return request.to_lambda(event)


PLATFORMS = [
    as_raw,
    as_http_api,
    as_http_api_with_a_stage,
    as_http_api_with_a_stage_at_its_own_domain,
    as_function_url,
]


@pytest.fixture
def everywhere(call) -> Callable[..., Answer]:
    """The answer to a request, which must be the same on every platform but for the id it is logged under."""

    def ask(module: str, method: str, path: str, **more: Any) -> Answer:
        request = Request(module, method, path, **more)
        platforms = PLATFORMS if path.count("/") > 1 else PLATFORMS[1:]  # DigitalOcean has no shorter ones
        answers = [platform(request, call) for platform in platforms]
        for platform, answer in zip(platforms, answers, strict=True):
            told = {**answers[0].json, **({"request_id": answer.request_id} if "request_id" in answer.json else {})}
            expected = (answers[0].status, answers[0].headers_but_for_packing, told)
            assert (answer.status, answer.headers_but_for_packing, answer.json) == expected, platform.__name__
        return answers[0]

    return ask


JSON = {"content-type": "application/json"}


def test_every_operation_is_some_modules_and_answers_the_same_everywhere(
    everywhere, stored, generation_factory, monkeypatch: pytest.MonkeyPatch
):
    """What only one call may change (creating, deleting, ...) is asked with values that are refused."""
    monkeypatch.setenv("HEALTH_TOKEN", "x")  # too short, which is said everywhere
    made = stored(generation_factory(2, ["soft", "ultra"]))
    ids = {
        "generation_id": made["id"],
        "variant_id": made["variants"][0]["id"],
        "scene_id": made["variants"][0]["scenes"][0]["id"],
    }
    for path, method, operation in operations():
        [module] = [name for name in MODULES if operation["operationId"] in vars(importlib.import_module(name))]
        given = ids if method == "get" else dict.fromkeys(ids, str(uuid4()))
        body = b'{"nothing": "of this"}' if method in {"post", "patch", "put"} else b""

        answer = everywhere(
            module,
            method.upper(),
            path.format(**given, kind="original_analysis", attempt="1"),
            body=body,
            headers=JSON if body else {},
        )

        assert str(answer.status) in operation["responses"], path
        not_there = path == "/ops/health" or path.endswith(("/download", "/metadata/{kind}"))
        assert answer.status < 400 or method != "get" or not_there, (path, answer.returned)


LIST = "history.generations.list_generations"


@pytest.mark.parametrize(
    "query",
    [
        "limit=1",
        "limit=1&_=1700000000",
        "limit=1&limit=x",
        "limit=x,1",
        "status=completed&status=failed",
        "status=completed%2Cfailed",
        "status=",
        "status",
        "limits=1",
        "limit=%31",
        "limit=+1",
        "cursor=%F0%9F%98%80",
        "cursor=a%2Bb+c%26d",
        "offset=1&offset=1",
        "%6Cimit=1",
    ],
)
def test_a_query_is_read_the_same_everywhere(everywhere, generation_factory, query: str):
    generation_factory(1)

    assert everywhere(LIST, "GET", "/history/generations", query=query).status in {200, 400}


@pytest.mark.parametrize("method", ["HEAD", "PUT", "TRACE"])
@pytest.mark.parametrize("path", ["/history/stats", "/history/stats/", "/history/stats/x"])
def test_a_path_and_a_method_are_read_the_same_everywhere(call, path: str, method: str):
    request = Request("history.stats.get_stats", method, path)
    answers = [
        (answer.status, answer.headers_but_for_packing)
        for answer in (platform(request, call) for platform in PLATFORMS)
    ]

    assert len({(status, *headers.items()) for status, headers in answers}) == 1


@pytest.mark.parametrize(
    "body",
    [
        '{"source_video_url": "", "variant_types": ["soft"]}',
        '{"source_video_url": "ünï \U0001f600", "variant_types": []}',
        '"text"',
        "{",
        "",
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream", "text/plain"])
def test_a_body_is_read_the_same_everywhere(everywhere, body: str, kind: str, db):
    """As text or, where the platform takes it for bytes, in base64."""
    module = "history.generations.create_generation"

    answer = everywhere(module, "POST", "/history/generations", body=body.encode(), headers={"content-type": kind})

    assert answer.refused(400, "invalid_value")
    assert db.everything() == []


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.__name__)
def test_what_is_posted_is_recorded_wherever_it_arrives(platform, call, manager, generation_factory):
    body = {"source_video_url": "https://video.example/ünï", "prompts": {"soft": ["a"]}}
    posted = Request(
        "history.generations.create_generation",
        "POST",
        "/history/generations",
        body=json.dumps(body, ensure_ascii=False).encode(),
        headers=JSON,
    )
    made = platform(posted, call).json["generation_id"]
    assert manager.get_generation(made)["source_video_url"] == body["source_video_url"]

    deleted = Request("history.generations.delete_generation", "DELETE", f"/history/generations/{made}")
    assert platform(deleted, call).status == 200
    assert manager.get_generation(made) is None

    restored = Request("history.generations.restore_generation", "POST", f"/history/generations/{made}/restore")
    assert platform(restored, call).status == 200
    assert manager.get_generation(made)["id"] == made


def test_a_lambda_answers_the_routes_of_its_own_module_only(generation_factory):
    made = generation_factory(1)
    event = Request(LIST, "GET", f"/history/generations/{made['id']}")

    assert as_function_url(event, None).refused(404, "not_found")


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_main_that_either_platform_can_call(module: str):
    """DigitalOcean counts its arguments in __code__, and calls a decorated one with nothing."""
    main = importlib.import_module(module).main

    assert main.__code__.co_varnames[: main.__code__.co_argcount] == ("event", "context")
    assert not main.__code__.co_flags & 0x0C  # no *args, no **kwargs


@pytest.mark.parametrize(
    "event",
    [
        {"version": "1.0", "path": "/history/stats", "httpMethod": "GET", "requestContext": {"stage": "prod"}},
        {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]},
        {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}},
    ],
)
def test_another_kind_of_event_is_refused(event: dict[str, Any]):
    request = Request("history.stats.get_stats", "GET", "/history/stats")

    assert request.to_lambda(event).refused(400, "invalid_value") == "this function answers HTTP only"


# ---------------------------------------------------------------- where a path begins


def asked_at(path: str, **where: str) -> Answer:
    request = Request("history.stats.get_stats", "GET", path)
    return request.to_lambda(_payload_v2(request, path=path, **{"host": GATEWAY, "route": "$default", **where}))


@pytest.mark.parametrize("stage", ["history", "stats", "clone", "prod-1", "api"])
def test_a_stage_begins_the_path_once_whatever_its_name(stage: str):
    assert asked_at(f"/{stage}/history/stats", stage=stage).status == 200
    assert asked_at(f"/{stage}/api/history/stats", stage=stage).status == 200
    twice = f"/{stage}/{stage}/{stage}/history/stats"
    assert asked_at(twice, stage=stage).refused(404, "not_found")


@pytest.mark.parametrize("key", ["", "/v1/ads", "/history", "/api", "/stats", "/history/api"])
def test_a_mapping_at_ones_own_domain_may_have_any_key(key: str):
    """The event has it in its path and nowhere else."""
    for stage in ("$default", "history", "api"):
        for path in (f"{key}/history/stats", f"{key}/api/history/stats", f"{key}/{stage}/history/stats/"):
            assert asked_at(path, stage=stage, host=OWN_DOMAIN).status == 200, path


def test_a_path_is_known_by_every_function_there_is():
    for path, _, _ in operations():
        known = asked_at(f"/ads{path.format(**dict.fromkeys(IDS, 'x'))}", host=OWN_DOMAIN)
        assert path.startswith("/history/stats") or known.json["error"].startswith("there is nothing at /" + path[1:5])


@pytest.mark.parametrize("path", ["/x/history/stats", "/history/x/history/stats", "/stats", "//history/stats"])
def test_at_a_host_of_the_platform_nothing_else_begins_a_path(path: str):
    """Whoever guards a path in front of it would be passed by."""
    for host in (GATEWAY, FUNCTION_URL):
        assert asked_at(path, host=host).refused(404, "not_found")


@pytest.mark.parametrize("path", ["/history/generations/clone", "/history/library/history/stats", "/ops/health/x"])
def test_a_path_that_begins_with_a_function_is_that_functions(path: str):
    assert asked_at(path, host=OWN_DOMAIN).refused(404, "not_found")


def test_a_query_is_what_stands_in_the_url_whatever_a_gateway_made_of_it():
    request = Request(LIST, "GET", "/history/generations", query="limit=1")
    event = _payload_v2(request, path=request.path, host=GATEWAY, route="$default")

    assert request.to_lambda(event | {"queryStringParameters": {"limit": "x", "y": "z"}}).status == 200
