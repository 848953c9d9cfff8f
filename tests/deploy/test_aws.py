"""The AWS artifacts: a valid template with every route and no more rights than needed, and handlers that do the job."""

import json
import os
import re
import subprocess
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import requests
import yaml
from standardwebhooks import Webhook

from scripts.local.host.project import ROOT
from scripts.local.stack import Options, stack
from scripts.release.template import MAX_REFERENCES, POLLERS, SCHEDULES, SECRETS, template
from tests.deploy.conftest import Build, failing_total, forget_the_environment
from tests.deploy.lambda_runtime import Lambda, can_isolate, unpack

PATIENCE_SECONDS = 60
#: Of whoever runs the tests: what reaches the registries. A running stack has forgotten it.
ENVIRONMENT = dict(os.environ)
TRANSLATE = """
import json, sys, yaml
from unittest.mock import Mock
from samtranslator.translator.transform import transform
print(json.dumps(transform(yaml.safe_load(open(sys.argv[1])), {}, Mock(load=lambda: {}))))
"""


def with_aws_tools(*command: str) -> str:
    """What a command printed that needs requirements-aws.txt."""
    uv = [str(ROOT / ".venv/bin/uv"), "run", "--quiet", "--no-project", "--isolated"]
    done = subprocess.run(
        [*uv, "--with-requirements", str(ROOT / "requirements-aws.txt"), *command],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT | {"AWS_DEFAULT_REGION": "eu-central-1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The template as CloudFormation gets it from SAM; the local files are somewhere in a bucket by then."""
    text = re.sub(r": (build/aws/\S+)", r": s3://bucket/\1", (ROOT / "template.yaml").read_text())
    path = tmp_path_factory.mktemp("sam") / "template.yaml"
    path.write_text(text)
    return json.loads(with_aws_tools("python", "-c", TRANSLATE, str(path)))


def test_cfn_lint_finds_nothing():
    with_aws_tools("cfn-lint", str(ROOT / "template.yaml"))


def functions() -> dict[str, dict[str, Any]]:
    resources = template()["Resources"]
    return {name: one["Properties"] for name, one in resources.items() if one["Type"].endswith("::Function")}


def routes() -> set[tuple[str, str]]:
    events = [event for function in functions().values() for event in function["Events"].values()]
    return {(one["Properties"]["Method"], one["Properties"]["Path"]) for one in events if one["Type"] == "HttpApi"}


def test_every_route_of_the_api_is_there_with_head_and_preflight():
    paths = json.loads((ROOT / "docs/openapi.json").read_text())["paths"]
    wanted = {
        (method.upper(), f"/api{path}")
        for path, operations in paths.items()
        for method in operations
        if method in {"get", "post", "patch", "put", "delete"}
    }
    wanted |= {("HEAD", path) for method, path in wanted if method == "GET"}
    wanted |= {("OPTIONS", path) for _, path in wanted}

    assert routes() == wanted
    assert ("POST", "/api/clone") in routes()


def test_each_route_goes_to_one_function_alone():
    events = [
        (event["Properties"]["Method"], event["Properties"]["Path"])
        for function in functions().values()
        for event in function["Events"].values()
        if event["Type"] == "HttpApi"
    ]
    assert len(events) == len(set(events))


def test_a_role_may_call_the_poller_or_nothing(translated):
    allowed = {
        json.dumps(statement["Action"]): (statement["Resource"], name)
        for name, resource in translated["Resources"].items()
        if resource["Type"] == "AWS::IAM::Role"
        for policy in resource["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
    }
    assert set(allowed) == {'["lambda:InvokeFunction"]'}
    assert "Poller" in json.dumps([resource for resource, _ in allowed.values()])
    assert '"*"' not in json.dumps([resource for resource, _ in allowed.values()])


def test_no_secret_stands_in_the_template_and_each_function_has_its_own_settings_alone():
    for name, function in functions().items():
        for setting, value in function["Environment"]["Variables"].items():
            if setting in SECRETS:
                assert value["Fn::Sub"].startswith("{{resolve:secretsmanager:"), (name, setting)
            else:
                assert value.keys() == {"Ref"}, (name, setting)
    assert "OPENAI_API_KEY" not in functions()["ListGenerations"]["Environment"]["Variables"]
    assert "WORKER_DATABASE_URL" not in functions()["ListGenerations"]["Environment"]["Variables"]
    assert "DO_SPACES_SECRET_KEY" not in functions()["GetStats"]["Environment"]["Variables"]


def test_a_stack_takes_so_many_references_to_secrets():
    """CloudFormation takes 60 dynamic references in a template."""
    assert 0 < (ROOT / "template.yaml").read_text().count("{{resolve:") <= MAX_REFERENCES


def test_a_default_of_the_template_is_no_secret_and_no_sketch():
    parameters = template()["Parameters"]
    assert not {one["Description"] for one in parameters.values()} & SECRETS
    assert "Default" not in parameters["SoraBaseUrl"]
    assert parameters["SoraSubmitting"]["Default"] == "on"


def test_how_many_pollers_there_are_at_once_is_a_parameter(translated):
    assert translated["Resources"]["Poller"]["Properties"]["ReservedConcurrentExecutions"] == {"Ref": "Pollers"}
    assert translated["Parameters"]["Pollers"]["Default"] == POLLERS


def test_the_schedules_are_those_of_project_yml(translated):
    rules = {
        resource["Properties"]["ScheduleExpression"]
        for resource in translated["Resources"].values()
        if resource["Type"] == "AWS::Events::Rule"
    }
    assert rules == set(SCHEDULES.values())
    assert "cron: '17 * * * *'" in (ROOT / "project.yml").read_text()


def test_every_handler_is_in_the_build(built: Build):
    manifest = json.loads((built.folder / "manifest.json").read_text())["files"]["functions"]
    for function in functions().values():
        assert f"{function['Handler'].removesuffix('.main').replace('.', '/')}.py" in manifest


# ---------------------------------------------------------------- the main job


@pytest.fixture(scope="module")
def place(built: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lambda")
    unpack(built.folder, folder)
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of a database, a store and a provider; no function is hosted beside those under test."""
    with mock.patch.dict("os.environ"):
        forget_the_environment()
        options = Options(tmp_path_factory.mktemp("aws") / "state", render_seconds=0.1, deploy=lambda _: [])
        with stack(options) as running:
            yield dict(running.environment)


@pytest.fixture(scope="module")
def function(place: Path, settings: dict[str, str]) -> Iterator[Any]:
    """Functions by their names in the template, each started once, with the settings that the template gives it."""
    started: dict[str, Lambda] = {}

    def get(name: str) -> Lambda:
        if name not in started:
            properties = functions()[name]
            own = {key: settings[key] for key in properties["Environment"]["Variables"] if key in settings}
            started[name] = Lambda(place, properties["Handler"], own)
        return started[name]

    yield get
    for one in started.values():
        one.__exit__()


def http(
    method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, query: str = ""
) -> dict[str, Any]:
    """An event of an HTTP API (payload format 2.0)."""
    text = body if isinstance(body, str) else json.dumps(body) if body is not None else None
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": "application/json", **(headers or {})},
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default", "requestId": "r"},
        "isBase64Encoded": False,
        **({"body": text} if text is not None else {}),
    }


def test_the_main_job_runs_from_the_artifacts(function, settings):
    prompts = {"soft": [f"one {uuid.uuid4()}", f"two {uuid.uuid4()}"]}
    body = {"source_video_url": "https://video.example/ad.mp4", "source_video_type": "url", "prompts": prompts}
    created = function("CreateGeneration")(http("POST", "/api/clone", body))
    assert created["statusCode"] == 202, created
    made = json.loads(created["body"])["generation_id"]

    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        assert "error" not in function("Poller")({}, seconds=300)
        read = function("GetGeneration")(http("GET", f"/api/history/generations/{made}"))
        generation = json.loads(read["body"])["generation"]
        if generation["status"] in {"completed", "failed"}:
            break
        assert time.monotonic() < deadline, generation
    (variant,) = generation["variants"]
    assert [scene["status"] for scene in variant["scenes"]] == ["completed", "completed"], generation
    assert requests.get(variant["scenes"][0]["video_url"], timeout=10).content[4:8] == b"ftyp"

    for name, path, key in (
        ("ListGenerations", "/api/history/generations", "generations"),
        ("ListLibrary", "/api/history/library", "library"),
        ("GetStats", "/api/history/stats", "stats"),
        ("ListScenes", f"/api/history/variants/{variant['id']}/scenes", "scenes"),
        ("ListVariants", f"/api/history/generations/{made}/variants", "variants"),
    ):
        answer = function(name)(http("GET", path))
        assert answer["statusCode"] == 200, (name, answer)
        assert json.loads(answer["body"])[key]
    at, webhook_id = datetime.now(UTC), f"wh_{uuid.uuid4()}"
    event = json.dumps({"type": "video.completed", "data": {"id": variant["scenes"][0]["sora_video_id"]}})
    signed = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(settings["OPENAI_WEBHOOK_SECRET"]).sign(webhook_id, at, event),
    }
    taken = function("ReceiveDelivery")(http("POST", "/api/sora/webhook", event, headers=signed))
    assert json.loads(taken["body"])["new"] is True
    token = {"authorization": f"Bearer {settings['HEALTH_TOKEN']}"}
    assert function("GetHealth")(http("GET", "/api/ops/health", headers=token))["statusCode"] == 200
    assert function("DeleteGeneration")(http("DELETE", f"/api/history/generations/{made}"))["statusCode"] == 200
    assert function("GetGeneration")(http("GET", f"/api/history/generations/{made}"))["statusCode"] == 404
    assert "purged" in function("Purge")({}, seconds=60)


def test_a_preflight_knows_all_that_may_be_done_at_a_path(function):
    answer = function("GenerationsPreflight")(http("OPTIONS", "/api/history/generations"))

    assert answer["statusCode"] == 204
    assert {"GET", "POST"} <= set(answer["headers"]["Allow"].split(", "))


def test_a_missing_setting_is_503_and_named(place: Path, settings):
    handler = functions()["ListGenerations"]["Handler"]
    given = {"HISTORY_ACCESS": "single-owner", "HISTORY_OWNER_ID": settings["HISTORY_OWNER_ID"]}
    with Lambda(place, handler, given) as one:
        answer = one(http("GET", "/api/history/generations"))

    assert answer["statusCode"] == 503
    assert "DATABASE_URL" in answer["body"]


WRITING = """
import os, sys
def main(event, context):
    written = []
    for folder in ["/tmp", "/var/tmp", "/dev/shm", "/etc", "/mnt", *sys.path, os.getcwd(), os.path.expanduser("~")]:
        try:
            with open(os.path.join(folder, "written"), "w") as file:
                file.write("x")
            written.append(folder)
        except OSError:
            pass
    return written
"""


def test_nothing_can_be_written_but_below_tmp(place: Path):
    """So that what passes here, passes on Lambda."""
    if not can_isolate():
        pytest.skip("here only root can make a file system of its own for a function")
    (place / "image/writing.py").write_text(WRITING)
    with Lambda(place, "writing.main", {}) as one:
        assert one({}) == ["/tmp"]  # noqa: S108


def test_what_nobody_thought_of_is_500_and_the_log_says_what(function, place: Path, settings):
    with failing_total(settings["MIGRATE_DATABASE_URL"]) as said:
        answer = function("ListGenerations")(http("GET", "/api/history/generations"))

    told = json.loads(answer["body"])
    assert (answer["statusCode"], told["code"]) == (500, "internal")
    assert said not in answer["body"]
    logged = (place / "log").read_text()
    assert said in logged
    assert told["request_id"] in logged


def test_an_answer_stays_within_a_megabyte(function):
    source = {"source_video_url": "https://video.example/large", "source_video_type": "url"}
    body = {**source, "variant_types": ["soft", "medium"]}
    created = function("CreateGeneration")(http("POST", "/api/history/generations", body))
    made = json.loads(created["body"])["generation_id"]
    variants = function("ListVariants")(http("GET", f"/api/history/generations/{made}/variants"))
    for variant in json.loads(variants["body"])["variants"]:
        prompts = {"prompts": [f"{n}" + "x" * 17_000 for n in range(50)]}
        added = function("CreateScenes")(http("POST", f"/api/history/variants/{variant['id']}/scenes", prompts))
        assert added["statusCode"] == 201, added

    answer = function("GetGeneration")(http("GET", f"/api/history/generations/{made}"))

    assert answer["statusCode"] == 200
    assert len(json.dumps(answer)) < 1_000_000
    assert json.loads(answer["body"])["generation"]["prompts_omitted"] is True


@pytest.mark.parametrize("event", [{}, {"version": "2.0"}, {"rawPath": 5, "requestContext": {}}])
def test_an_event_that_is_none_is_answered(function, event):
    assert function("ListGenerations")(event)["statusCode"] >= 400


def test_a_poller_whose_time_is_nearly_over_ends_in_time(function):
    began = time.monotonic()

    assert "error" not in function("Poller")({}, seconds=11)

    assert time.monotonic() - began < 11


def test_the_template_is_read_as_it_is_written():
    assert yaml.safe_load((ROOT / "template.yaml").read_text()) == json.loads(json.dumps(template()))
