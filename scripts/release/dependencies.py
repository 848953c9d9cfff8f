"""Whether each dependency is imported, and each import is of a dependency: of the package, the layers and the tools.

deptry reads pyproject.toml, or requirements files where it finds no [project]; so it is run once for each, with the
exceptions that [tool.deptry] in pyproject.toml has for all of them. A list that nothing is imported from
(requirements-aws.in, requirements-sdks.in, requirements-uv.in) has an environment of its own: each package is looked
for in the file that runs or imports it.
"""

import json
import re
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from scripts.local.host.project import ROOT

DEPTRY: Final = Path(sysconfig.get_path("scripts"), "deptry")
DEPLOYED: Final = ("shared", "functions")
LAYERS: Final = "layers/data/requirements.in,layers/media/requirements.in"
TOOLS: Final = "requirements-dev.in"
#: In no function's zip: what it imports is in the package's extra, and in no layer.
COMMAND_LINE: Final = "shared/generation_history/cli"
#: By requirements file: its packages' commands or modules, and the files of which one runs or imports them.
COMMANDS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "requirements-aws.in": {
        "aws-sam-translator": ("samtranslator", "tests/deploy/test_aws.py"),
        "cfn-lint": ("cfn-lint", "tests/deploy/test_aws.py"),
    },
    "requirements-sdks.in": {
        "fal-client": ("import fal_client", "tests/support/sdks/drive_fal.py"),
        "google-genai": ("from google import genai", "tests/support/sdks/drive_gemini.py"),
        "replicate": ("import replicate", "tests/support/sdks/drive_replicate.py"),
        "runwayml": ("import runwayml", "tests/support/sdks/drive_runway.py"),
    },
    "requirements-uv.in": {"uv": (".venv/bin/uv", "scripts/setup.sh")},
}


def main(root: Path = ROOT) -> int:
    """1 if a dependency is not used, or something is used that is none; deptry and this say which."""
    project_text = (root / "pyproject.toml").read_text("utf-8")
    exceptions = tomllib.loads(project_text)["tool"]["deptry"]
    failures = [_deptry(root, *DEPLOYED), *_of_requirements(root, exceptions)]
    unused = sorted(_unused_commands(root))
    for name in unused:
        print(f"{name} is used nowhere", file=sys.stderr)
    return int(any(failures) or bool(unused))


def _of_requirements(root: Path, exceptions: Mapping[str, Any]) -> Iterator[int]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "pyproject.toml")
        config.write_text("\n".join(_lines(exceptions)), "utf-8")
        options = ("--config", config, "--requirements-files-dev", "/dev/null", "--requirements-files")
        yield _deptry(root, *DEPLOYED, "--extend-exclude", COMMAND_LINE, *options, LAYERS)
        yield _deptry(root, *DEPLOYED, "scripts", "tests", *options, TOOLS)


def _lines(exceptions: Mapping[str, Any]) -> Iterator[str]:
    """The table of the exceptions, as TOML: it has lists of texts, alone or in tables."""
    tables = {name: cast("dict[str, Any]", value) for name, value in exceptions.items() if isinstance(value, dict)}
    yield "[tool.deptry]"
    yield from (f"{name} = {json.dumps(value)}" for name, value in exceptions.items() if name not in tables)
    for table, values in tables.items():
        yield f"[tool.deptry.{table}]"
        yield from (f"{name} = {json.dumps(value)}" for name, value in values.items())


def _deptry(root: Path, *arguments: object) -> int:
    result = subprocess.run(
        [DEPTRY, "--no-ansi", *map(str, arguments)], cwd=root, capture_output=True, text=True, check=False
    )
    if result.returncode:
        print(result.stderr, end="", file=sys.stderr)
    return result.returncode


def _unused_commands(root: Path) -> Iterator[str]:
    for file, commands in COMMANDS.items():
        for line in (root / file).read_text("utf-8").splitlines():
            match = re.match(r"[\w.-]+", line)
            if match is None:
                continue
            command, user = commands.get(match[0], ("", ""))
            if not command or command not in (root / user).read_text("utf-8"):
                yield f"{file}: {match[0]}"


if __name__ == "__main__":
    sys.exit(main())
