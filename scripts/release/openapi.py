"""docs/openapi.json: what the routes say of themselves, as OpenAPI 3.1.

Powertools knows their parameters and bodies; their answers are those that contract.py let them declare. What it says
otherwise than this API does is set right, what every route may answer is added, and docs/examples/ has an example of
each request and answer.
"""

import inspect
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Literal, NamedTuple, cast

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.models import APIKey, HTTPBearer, SecurityScheme, Server
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from generation_history.api.acknowledgement import acknowledgement_types
from generation_history.api.app import JSON, resolver, routes_of
from generation_history.api.flask_adapter import routers
from generation_history.api.response_schemas import Responses
from generation_history.errors import (
    CallerError,
    Conflict,
    Forbidden,
    HistoryError,
    InvalidValue,
    NotAuthenticated,
    NotConfigured,
    NotFound,
    TooLarge,
    Unavailable,
)
from scripts.local.host.project import ROOT

DOCUMENT = ROOT / "docs/openapi.json"
EXAMPLES = ROOT / "docs/examples"
PACKAGES = ("history", "ops", "sora")
METHODS = ("get", "post", "put", "patch", "delete")
REFERENCE = "#/components/schemas/{model}"

TITLE = "Generation History"
DESCRIPTION = """\
Every answer is JSON with `success`. Costs are US dollars as numbers or null (unknown), times ISO 8601 with zone, sizes
bytes, durations whole seconds. HEAD answers as GET, without a body. An unknown parameter is refused, unless its name
starts with `_`; a known path with another method is 405 `method_not_allowed`, with `Allow`. docs/api.md tells the
rest."""
SERVERS = [
    Server(url="/api", description="behind a gateway, or on your own Flask server"),
    Server(url="/", description="a function's own URL"),
]
SECURITY: dict[str, SecurityScheme] = {
    "bearer": HTTPBearer(bearerFormat="JWT", description="whose record it is; a single-owner installation takes none"),
    "monitor": HTTPBearer(description="HEALTH_TOKEN"),
    "signature": APIKey.model_validate(
        {
            "name": "webhook-signature",
            "in": "header",
            "description": "Standard Webhooks: of webhook-id, webhook-timestamp and the body",
        }
    ),
}
#: What the name of a text says about it, in every record.
FORMATS = {r"id|(generation|variant|scene)_id": "uuid", r"\w+_at|since": "date-time"}

Json = dict[str, Any]


class Operation(NamedTuple):
    """One method of one path."""

    path: str
    method: str
    body: Json

    @property
    def name(self) -> str:
        """Its operationId, which names its file of examples too."""
        return self.body["operationId"]


def main() -> int:
    """1 where docs/openapi.json was asked for with --check and is not what the routes say."""
    text = json.dumps(document(every_router()), indent=2, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv[1:]:
        DOCUMENT.write_text(text, "utf-8")
    elif not DOCUMENT.is_file() or DOCUMENT.read_text("utf-8") != text:
        print("docs/openapi.json is not what the routes say: run scripts/openapi", file=sys.stderr)
        return 1
    return 0


def every_router() -> list[Router]:
    """The routers of everything that is deployed."""
    return [router for package in PACKAGES for router in routers(package)]


def document(described: Iterable[Router]) -> Json:
    """What these routers' routes say; the same routes give the same document."""
    app = resolver(*described)
    bodies: Json = {}
    errors: dict[str, dict[int, list[type[HistoryError]]]] = {}
    for route in routes_of(app):
        declared: Responses = route.responses or {}
        bodies |= _prepare(route, declared)
        errors[route.func.__name__] = _errors(route, declared)
    openapi: Json = json.loads(
        app.get_openapi_json_schema(
            title=TITLE,
            version=tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"],
            description=DESCRIPTION,
            servers=SERVERS,
            security_schemes=SECURITY,
            security=[{"bearer": []}],
        )
    )
    openapi["paths"] = {
        path: {method: openapi["paths"][path][method] for method in METHODS if method in openapi["paths"][path]}
        for path in sorted(openapi["paths"])
    }
    _name_formats(openapi)
    _describe_errors(openapi, errors)
    for operation in operations(openapi):
        if operation.name in bodies:
            operation.body["requestBody"] = _raw_body(openapi, bodies[operation.name])
        _drop_null_choices(operation)
    openapi = _tidied(openapi)
    for operation in operations(openapi):
        _show_examples(operation)
    return openapi


def operations(openapi: Json) -> Iterator[Operation]:
    """Every operation of a document."""
    for path, methods in openapi["paths"].items():
        for method, body in methods.items():
            yield Operation(path, method, body)


def answered_errors() -> list[type[HistoryError]]:
    """Every error that an answer tells as such; HistoryError itself for what has no better name."""

    def below(error: type[HistoryError]) -> Iterator[type[HistoryError]]:
        yield error
        for child in error.__subclasses__():
            yield from below(child)

    return [HistoryError, *below(CallerError)]


# ---------------------------------------------------------------- what is handed to Powertools


def _prepare(route: Any, declared: Responses) -> Json:
    """Tell the route's answers as Powertools takes them; what is left over is the type of a body it reads raw."""
    name: str = route.func.__name__
    summary, _, description = (inspect.getdoc(route.func) or "").partition("\n")
    package, *rest_of_path = route.path.split("/")[1:]
    route.operation_id = name
    route.summary = summary.rstrip(".")
    route.description = description.strip() or None
    # /clone is where a gateway may route the making of a generation.
    route.tags = [{"history": (rest_of_path or [""])[0], "clone": "generations"}.get(package, package)]
    camel = "".join(part.capitalize() for part in name.split("_"))
    types: dict[str, Any] = {}
    responses: dict[int, Any] = {}
    for status, response in declared.items():
        if "errors" in response:
            continue
        responses[status] = {"description": HTTPStatus(status).phrase, "content": {}}
        if "body" in response:
            # One type where several statuses answer the same.
            key = repr(response["body"])
            if key not in types:
                type_name = f"{camel}Answer{status if types else ''}"
                types[key] = _answer_type(type_name, response["body"], writes=_writes(route))
            responses[status]["content"][JSON] = {"model": types[key]}
        if "headers" in response:
            responses[status]["headers"] = {name: {"schema": {"type": "string"}} for name in response["headers"]}
    if route.method == "GET" and HTTPStatus.OK in responses:
        tag = {"headers": {"ETag": {"schema": {"type": "string"}, "example": '"1b88358dc745025ea383c9b1c2f7a0d4"'}}}
        responses[304] = {"description": "What If-None-Match names is still what there is", "content": {}} | tag
    extensions: Json = route.openapi_extensions or {}
    raw_body = extensions.get("requestBody")
    route.responses, route.openapi_extensions = responses, None
    return {name: raw_body} if raw_body else {}


def _answer_type(name: str, body: Json, *, writes: bool) -> Any:
    """The type of an answer; to a write, also what a caller is told of it that may not read, where that is less."""

    def named(type_name: str, fields: Json) -> Any:
        return cast("Any", TypedDict)(type_name, {"success": Literal[True], **fields})

    reduced = acknowledgement_types(body) if writes else {}
    full_type = named(name, body)
    return full_type if not reduced or reduced == body else full_type | named(f"{name}WithoutRead", reduced)


def _writes(route: Any) -> bool:
    return route.method != "GET" and route.path.startswith(("/history", "/clone"))


def _errors(route: Any, declared: Responses) -> dict[int, list[type[HistoryError]]]:
    """By status, the errors that the route may answer: those of every route, of its kind, and its own."""
    errors = [HistoryError, InvalidValue, NotAuthenticated, Forbidden, NotConfigured, Unavailable]
    if route.dependant.path_params:
        errors.append(NotFound)
    if _writes(route):
        errors.append(Conflict)
    if route.body_field:
        errors.append(TooLarge)
    for response in declared.values():
        errors += response.get("errors", [])
    by_status: dict[int, list[type[HistoryError]]] = {}
    for error in sorted(set(errors), key=lambda error: (error.status, error.code)):
        by_status.setdefault(error.status, []).append(error)
    return by_status


# ---------------------------------------------------------------- what is set right in what it made


def _describe_errors(openapi: Json, errors: dict[str, dict[int, list[type[HistoryError]]]]) -> None:
    schemas, responses = openapi["components"]["schemas"], openapi["components"].setdefault("responses", {})
    for unused in ("HTTPValidationError", "ValidationError", "ResponseValidationError"):
        schemas.pop(unused, None)
    codes = sorted({(error.status, code) for error in answered_errors() for code in error.codes()})
    schemas["Error"] = {
        "type": "object",
        "description": "What every error answers",
        "properties": {
            "success": {"const": False, "type": "boolean"},
            "error": {"type": "string", "description": "A sentence: what is wrong, and what to do about it"},
            "code": {"type": "string", "enum": list(dict.fromkeys(code for _, code in codes))},
            "request_id": {"type": "string", "description": "What the log calls this call"},
        },
        "required": ["success", "error", "code", "request_id"],
    }
    for operation in operations(openapi):
        answers = operation.body["responses"]
        answers.pop("422", None)  # here it is 400
        for status, classes in errors[operation.name].items():
            name = "Error" + "Or".join(error.__name__ for error in classes)
            responses[name] = _error_response(classes)
            documented = answers.get(str(status))
            if documented:
                content = documented["content"][JSON]
                content["schema"] = {"anyOf": [content["schema"], responses[name]["content"][JSON]["schema"]]}
            else:
                answers[str(status)] = {"$ref": f"#/components/responses/{name}"}
        for answer in answers.values():
            if answer.get("content") == {}:
                del answer["content"]
        operation.body["responses"] = dict(sorted(answers.items()))
    openapi["components"]["responses"] = dict(sorted(responses.items()))


def _error_response(classes: list[type[HistoryError]]) -> Json:
    codes = list(dict.fromkeys(code for error in classes for code in error.codes()))
    lines = [
        f"`{'`, `'.join(error.codes())}`: {(inspect.getdoc(error) or '').partition(chr(10))[0]}" for error in classes
    ]
    sentences: Json = json.loads((EXAMPLES / "errors.json").read_text("utf-8"))
    examples = {
        code: {"value": {"success": False, "error": sentences[code], "code": code, "request_id": "2f9ab0d53a8bbd1e"}}
        for code in codes
        if code in sentences
    }
    schema = {"allOf": [{"$ref": REFERENCE.format(model="Error")}, {"properties": {"code": {"enum": codes}}}]}
    return {"description": "\n".join(lines), "content": {JSON: {"schema": schema, "examples": examples}}}


def _raw_body(openapi: Json, body: Any) -> Json:
    schema = TypeAdapter(body).json_schema(ref_template=REFERENCE)
    openapi["components"]["schemas"] |= schema.pop("$defs", {})
    return {"required": True, "content": {JSON: {"schema": schema}}}


def _drop_null_choices(operation: Operation) -> None:
    """No URL can say null: a parameter is there or not."""
    for parameter in operation.body.get("parameters", []):
        choices: list[Json] = parameter["schema"].get("anyOf", [])
        non_null = [choice for choice in choices if choice.get("type") != "null"]
        if len(non_null) == 1 < len(choices):
            rest = {name: value for name, value in parameter["schema"].items() if name not in {"anyOf", "default"}}
            parameter["schema"] = non_null[0] | rest


def _tidied(part: Any, *, names: bool = False) -> Any:
    """Without the titles that pydantic makes of names, and 100.0 as 100; names: part's keys are names themselves."""
    if isinstance(part, dict):
        return {
            name: _tidied(value, names=name in {"properties", "schemas"} and not names)
            for name, value in cast("Json", part).items()
            if names or name != "title" or value == TITLE
        }
    if isinstance(part, list):
        return [_tidied(value) for value in cast("list[Any]", part)]
    return int(part) if isinstance(part, float) and part.is_integer() else part


def _name_formats(openapi: Json) -> None:
    for schema in openapi["components"]["schemas"].values():
        for name, property_ in schema.get("properties", {}).items():
            for pattern, kind in FORMATS.items():
                for choice in (property_, *property_.get("anyOf", [])):
                    if choice.get("type") == "string" and re.fullmatch(pattern, name):
                        choice["format"] = kind


def _show_examples(operation: Operation) -> None:
    path = EXAMPLES / f"{operation.name}.json"
    example_file: Json = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    for parameter in operation.body.get("parameters", []):
        if parameter["name"] in example_file.get("parameters", {}):
            parameter["example"] = example_file["parameters"][parameter["name"]]
    if "request" in example_file:
        operation.body["requestBody"]["content"][JSON]["example"] = example_file["request"]
    for status, answer in example_file.get("answers", {}).items():
        response = operation.body["responses"][status]
        response["content"][JSON]["example"] = answer
        for header, value in example_file.get("headers", {}).items():
            response["headers"][header]["example"] = value


if __name__ == "__main__":
    sys.exit(main())
