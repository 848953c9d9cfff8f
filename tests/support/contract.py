"""docs/openapi.json as a judge: whether an answer is one that its operation may give, and has nothing beside it."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).resolve().parents[2] / "docs/openapi.json").read_text("utf-8"))
JSON = "application/json"


def closed(part: Any) -> Any:
    """The schemas with no other names than theirs; published they are open, so that a client may meet newer ones."""
    if isinstance(part, dict):
        made = {name: closed(value) for name, value in part.items()}
        return {"additionalProperties": False, **made} if {"type", "properties"} <= set(made) else made
    return [closed(value) for value in part] if isinstance(part, list) else part


_COMPONENTS = closed(DOCUMENT["components"])


def judge(schema: dict[str, Any]) -> Any:
    """Validates by a schema of the document."""
    return jsonschema_rs.validator_for({**closed(schema), "components": _COMPONENTS}, validate_formats=True)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The path, method and rest of each operation."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """The operation that a request is; HEAD is GET."""
    method = "get" if method.upper() == "HEAD" else method.lower()
    for template, its_method, operation in operations():
        if its_method == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path.rstrip("/")):
            return operation
    return None


def response_of(operation: dict[str, Any], status: int) -> dict[str, Any] | None:
    """What the operation says of a status."""
    response = operation["responses"].get(str(status))
    if response and "$ref" in response:
        return DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return response


@cache
def _judge_of(name: str, status: int) -> Any:
    """Of an operation's answer; of every error where the request is no operation."""
    operation = next((operation for _, _, operation in operations() if operation["operationId"] == name), None)
    response = operation and response_of(operation, status)
    return judge(response["content"][JSON]["schema"] if response else {"$ref": "#/components/schemas/Error"})


def conforms(method: str, path: str, status: int, headers: dict[str, str], body: str) -> None:
    """Fails where the document does not allow this answer."""
    if method.upper() == "OPTIONS":
        return
    operation = operation_of(method, path)
    if operation:
        response = response_of(operation, status)
        assert response, f"{method} {path} may not answer {status}: {body}"
        assert {name.lower() for name in response.get("headers", {})} <= set(headers)
        if not response.get("content"):
            assert not body
            return
        assert headers["content-type"] in response["content"]
    if method.upper() == "HEAD":
        return
    name = operation["operationId"] if operation else ""
    wrong = next(iter(_judge_of(name, status).iter_errors(json.loads(body))), None)
    assert wrong is None, f"{method} {path} answers {status} off its schema: {wrong}"
