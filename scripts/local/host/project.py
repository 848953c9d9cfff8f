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
    """One deployed function; timeout in seconds, crons as written."""

    package: str
    name: str
    web: bool
    timeout: float
    environment: Mapping[str, str]
    crons: tuple[str, ...]

    @property
    def main(self) -> Path:
        """The file whose main answers."""
        return ROOT / "functions" / self.package / self.name / "__main__.py"


def read_project(environment: Mapping[str, str], path: Path = ROOT / "project.yml") -> list[Function]:
    """The functions, with the templates of project.yml filled in as the deployer does: as text, none of them empty."""

    def fill(match: re.Match[str]) -> str:
        value = environment.get(match[1], "")
        if not value:
            raise ProjectError(f"project.yml needs {match[1]}, which is unset or empty")
        return value.replace("'", "''")

    text = re.sub(r"\$\{(\w+)\}", fill, path.read_text("utf-8"))
    project = cast("dict[str, Any]", yaml.safe_load(text))
    return [
        _function(package["name"], function) for package in project["packages"] for function in package["functions"]
    ]


def _function(package: str, function: dict[str, Any]) -> Function:
    return Function(
        package=package,
        name=function["name"],
        web=function.get("web") == "raw",
        timeout=function["limits"]["timeout"] / 1000,
        environment=function.get("environment", {}),
        crons=tuple(trigger["sourceDetails"]["cron"] for trigger in function.get("triggers", [])),
    )
