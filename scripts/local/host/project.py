"""What project.yml deploys: its functions with their limits, environment and schedule."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

ROOT = Path(__file__).resolve().parents[3]


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


def read_project(environment: Mapping[str, str], path: Path = ROOT / "project.yml") -> list[Function]:
    """The functions, with the templates of project.yml filled in as the deployer does: as text, none of them empty."""

    def fill(match: re.Match[str]) -> str:
        value = environment.get(match[1], "")
        if not value:
            raise ProjectError(f"project.yml needs {match[1]}, which is unset or empty")
        return value.replace("'", "''")

    lines = [line for line in path.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\$\{(\w+)\}", fill, "\n".join(lines))
    project = cast("dict[str, Any]", yaml.safe_load(text))
    return [
        _function(package["name"], function) for package in project["packages"] for function in package["functions"]
    ]


def _function(package: str, function: dict[str, Any]) -> Function:
    return Function(
        package=package,
        name=function["name"],
        main=ROOT / "functions" / package / function["name"] / "__main__.py",
        web=function.get("web") == "raw",
        timeout=function["limits"]["timeout"] / 1000,
        environment=function.get("environment", {}),
        crons=tuple(trigger["sourceDetails"]["cron"] for trigger in function.get("triggers", [])),
    )
