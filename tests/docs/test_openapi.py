"""docs/openapi.json is what the routes say, is OpenAPI, and shows an example of everything."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import pytest
from aws_lambda_powertools.event_handler.api_gateway import Response, Router
from aws_lambda_powertools.event_handler.openapi.models import OpenAPI
from aws_lambda_powertools.event_handler.openapi.params import Query

from generation_history.api.app import resolver, routes_of
from generation_history.api.flask_adapter import routers
from generation_history.api.response_schemas import answers, refuses
from generation_history.errors import ArchiveFailed, Conflict
from scripts.release import openapi
from tests.support.contract import DOCUMENT, JSON, judge, operations, response_of

OPERATIONS = [
    pytest.param(path, method, operation, id=operation["operationId"]) for path, method, operation in operations()
]
every_operation = pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.release.openapi", *arguments]
    return subprocess.run(command, cwd=openapi.ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_the_committed_document_is_what_the_routes_say():
    """In a process of its own, so that nothing a test imported adds to it."""
    assert (check("--check").stderr, check("--check").returncode) == ("", 0)


@pytest.mark.parametrize("committed", [None, "{}\n"])
def test_a_document_that_is_not_is_told_with_the_one_command_to_run(
    committed: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    document = tmp_path / "openapi.json"
    if committed:
        document.write_text(committed)
    monkeypatch.setattr(openapi, "DOCUMENT", document)
    monkeypatch.setattr(sys, "argv", ["openapi", "--check"])

    assert openapi.main() == 1
    assert capsys.readouterr().err == "docs/openapi.json is not what the routes say: run scripts/openapi\n"

    monkeypatch.setattr(sys, "argv", ["openapi"])
    assert openapi.main() == 0
    assert json.loads(document.read_text("utf-8"))["paths"].keys() == DOCUMENT["paths"].keys()


def test_it_is_openapi_3_1_without_anything_that_leads_nowhere():
    assert OpenAPI.model_validate(DOCUMENT).openapi.startswith("3.1")
    text = json.dumps(DOCUMENT)
    used = {tuple(name.split("/")) for name in re.findall(r'"#/components/(\w+/\w+)"', text)}
    there = {(kind, name) for kind in ("schemas", "responses") for name in DOCUMENT["components"][kind]}
    assert used == there
    assert "#/" not in re.sub(r'"#/components/\w+/\w+"', "", text)
    assert "422" not in text


def test_every_module_of_functions_is_in_it_and_every_route_says_what_it_answers():
    for route in routes_of(resolver(*openapi.every_router())):
        name = route.func.__name__
        assert DOCUMENT["paths"][route.openapi_path][route.method.lower()]["operationId"] == name
        assert any("body" in answered for answered in (route.responses or {}).values()), (
            f"{name}: responses=answers(...)"
        )


def test_operations_have_names_of_their_own():
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)


def test_what_is_no_ones_record_is_opened_by_something_else():
    own = {path: operation["security"] for path, _, operation in operations() if "security" in operation}
    assert own == {"/ops/health": [{"monitor": []}], "/sora/webhook": [{"signature": []}]}
    assert DOCUMENT["security"] == [{"bearer": []}]


def test_a_route_says_all_there_is_to_say_by_declaring_its_answers():
    router = Router()

    @router.post(
        "/history/things/<thing_id>/make",
        responses=answers(200, 201, name=str, made_at=str | None)
        | answers(202, left=int)
        | {204: {"headers": ["ETag"]}}
        | refuses(Conflict, ArchiveFailed),
    )
    def make_thing(thing_id: UUID, dry: Annotated[bool | None, Query()] = None) -> Response[str]:
        """A thing that is made.

        Or not.
        """
        raise AssertionError((thing_id, dry))

    made = openapi.document([router])
    operation = made["paths"]["/history/things/{thing_id}/make"]["post"]
    answered = {status: response.get("content", {}).get(JSON) for status, response in operation["responses"].items()}

    assert (operation["operationId"], operation["tags"]) == ("make_thing", ["things"])
    assert (operation["summary"], operation["description"]) == ("A thing that is made", "Or not.")
    assert {parameter["name"]: parameter["schema"]["type"] for parameter in operation["parameters"]} == {
        "thing_id": "string",
        "dry": "boolean",
    }
    assert set(answered) == {"200", "201", "202", "204", "400", "401", "403", "404", "409", "500", "503"}
    assert answered["200"] == answered["201"] == {"schema": {"$ref": "#/components/schemas/MakeThingAnswer"}}
    assert answered["202"] == {"schema": {"$ref": "#/components/schemas/MakeThingAnswer202"}}
    assert "content" not in operation["responses"]["204"]
    assert set(operation["responses"]["204"]["headers"]) == {"ETag"}
    properties = made["components"]["schemas"]["MakeThingAnswer"]["properties"]
    assert properties["made_at"]["anyOf"] == [{"type": "string", "format": "date-time"}, {"type": "null"}]
    refused = made["components"]["responses"]["ErrorArchiveFailedOrConflict"]["content"][JSON]["schema"]
    assert refused["allOf"][1] == {"properties": {"code": {"enum": ["archive_failed", "conflict"]}}}


# ---------------------------------------------------------------- errors


def test_the_codes_of_an_error_are_a_closed_set():
    told = {code for error in openapi.answered_errors() for code in error.codes()}
    assert set(DOCUMENT["components"]["schemas"]["Error"]["properties"]["code"]["enum"]) == told
    assert told.isdisjoint({"held", "lease_lost", "provider_error"})


@every_operation
def test_every_operation_may_answer_what_every_route_may(path: str, method: str, operation: dict):
    statuses = {int(status) for status in operation["responses"]}
    assert {400, 401, 500, 503} <= statuses
    assert ("{" not in path) or 404 in statuses
    assert ("requestBody" not in operation) or 413 in statuses
    assert any(status < 400 for status in statuses)
    for status in statuses:
        if status >= 400 and status != 503:
            schema = response_of(operation, status)["content"][JSON]["schema"]
            codes = {code for error in openapi.answered_errors() if error.status == status for code in error.codes()}
            assert set(schema["allOf"][1]["properties"]["code"]["enum"]) <= codes


# ---------------------------------------------------------------- examples


@every_operation
def test_every_operation_shows_an_example_of_its_request_and_its_answer(path: str, method: str, operation: dict):
    """docs/examples/<operationId>.json: {"parameters", "request", "answers": {status: body}, "headers"}."""
    wanted = f"docs/examples/{operation['operationId']}.json"
    for parameter in operation.get("parameters", []):
        if parameter["required"]:
            assert judge(parameter["schema"]).is_valid(parameter["example"]), wanted
    if "requestBody" in operation:
        content = operation["requestBody"]["content"][JSON]
        assert judge(content["schema"]).is_valid(content["example"]), wanted
    for status in operation["responses"]:
        response = response_of(operation, int(status))
        content = response.get("content", {}).get(JSON, {"example": None, "schema": {"type": "null"}})
        shown = [content["example"]] if "example" in content else []
        shown += [example["value"] for example in content.get("examples", {}).values()]
        assert shown or status == "503", wanted
        for example in shown:
            assert next(iter(judge(content["schema"]).iter_errors(example)), None) is None, wanted
        for header in response.get("headers", {}).values():
            assert judge(header["schema"]).is_valid(header["example"]), wanted


def test_every_example_belongs_to_an_operation():
    names = {operation["operationId"] for _, _, operation in operations()} | {"errors"}
    assert {path.stem for path in openapi.EXAMPLES.iterdir()} == names
    sentences = json.loads((openapi.EXAMPLES / "errors.json").read_text("utf-8"))
    assert set(sentences) == {code for error in openapi.answered_errors() for code in error.codes()}


# ---------------------------------------------------------------- what it costs


def test_a_call_pays_nothing_for_it():
    """Schemas of answers are made when the document is: no route has any when it is called."""
    for router in routers("history"):
        for route in routes_of(resolver(router)):
            assert route.dependant.response_extra_models == []
