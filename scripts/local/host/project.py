"""What project.yml deploys: its functions with their limits, environment and schedule."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

ROOT = Path(__file__).resolve().parents[3]
#: What a function may have in project.yml: any other key ends a deploy.
KEYS = {
    *("name", "file", "runtime", "main", "binary", "web", "webSecure", "environment", "parameters", "annotations"),
    *("limits", "triggers", "sequence", "docker"),
}
#: Of a namespace, as long as triggers are a preview.
MAX_TRIGGERS = 3
MAX_TIMEOUT_MS = 900_000
MEMORIES_MB = range(128, 1025)
MAX_ENVIRONMENT_BYTES = 1_000_000
#: No names of months and days.
_CRON = re.compile(r"[\d*/,-]+(?: [\d*/,-]+){4}")


class ProjectError(ValueError):
    """project.yml cannot be deployed; the text says why."""


@dataclass(frozen=True)
class Function:
    """One deployed function; timeout in seconds, crons as written.

    main is the file whose main answers. Isolated, it finds what lies beside it and nothing of this checkout.
    """

    package: str
    name: str
    main: Path
    web: bool
    timeout: float
    environment: Mapping[str, str]
    crons: tuple[str, ...]
    isolated: bool = False
    #: Whether OPTIONS and all of CORS are its own; else the platform answers with its own.
    answers_options: bool = True


def read_project(environment: Mapping[str, str], path: Path = ROOT / "project.yml") -> list[Function]:
    """The functions, with the templates of project.yml filled in as the deployer does: as text, none of them empty.

    ProjectError for what the platform would refuse, or take for something else.
    """

    def fill(match: re.Match[str]) -> str:
        value = environment.get(match[1], "")
        if not value:
            raise ProjectError(f"project.yml needs {match[1]}, which is unset or empty")
        return value.replace("'", "''")

    lines = [line for line in path.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\$\{(\w+)\}", fill, "\n".join(lines))
    project = cast("dict[str, Any]", yaml.safe_load(text))
    functions = [
        _function(package["name"], function) for package in project["packages"] for function in package["functions"]
    ]
    if sum(len(function.crons) for function in functions) > MAX_TRIGGERS:
        raise ProjectError(f"project.yml has more than {MAX_TRIGGERS} triggers, which is all that a namespace has")
    return functions


def _function(package: str, function: dict[str, Any]) -> Function:
    _check(f"{package}/{function['name']}", function)
    return Function(
        package=package,
        name=function["name"],
        main=ROOT / "functions" / package / function["name"] / "__main__.py",
        web=function.get("web") == "raw",
        timeout=function["limits"]["timeout"] / 1000,
        environment=function.get("environment", {}),
        crons=_crons(function),
        answers_options=function.get("annotations", {}).get("web-custom-options") is True,
    )


def _crons(function: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(trigger["sourceDetails"]["cron"] for trigger in function.get("triggers", []))


def _check(name: str, function: Mapping[str, Any]) -> None:
    environment: Mapping[object, object] = function.get("environment", {})
    limits = function["limits"]
    problems = {
        f"the keys {', '.join(sorted(function.keys() - KEYS))}": not function.keys() <= KEYS,
        "a variable that is no text": not all(isinstance(value, str) for value in environment.values()),
        "more variables than a function has": len(json.dumps(environment).encode()) > MAX_ENVIRONMENT_BYTES,
        "a timeout that the platform does not have": not 0 < limits["timeout"] <= MAX_TIMEOUT_MS,
        "a memory that the platform does not have": limits["memory"] not in MEMORIES_MB,
        "a cron that is not five fields of numbers": not all(map(_CRON.fullmatch, _crons(function))),
    }
    for problem, applies in problems.items():
        if applies:
            raise ProjectError(f"project.yml: {name} has {problem}")
