"""What the documents say is what the code does."""

import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from generation_history.models import FAILURE_CODES
from generation_history.provider_kinds import KINDS
from scripts.local import stack
from scripts.local.host.project import read_project
from scripts.release.build import project_yml
from scripts.release.openapi import answered_errors
from tests.support.contract import JSON, judge, operations, response_of

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] if ".venv" not in path.parts]
OPERATIONS = (ROOT / "docs/operations.md").read_text("utf-8")
API = (ROOT / "docs/api.md").read_text("utf-8")


def settings_in_code() -> set[str]:
    modules = (ROOT / "shared/generation_history").glob("*settings.py")
    named = {name for path in modules for name in re.findall(r'"([A-Z][A-Z_]{4,})"', path.read_text("utf-8"))}
    return named | {name for kind in KINDS.values() for name in kind.settings}


def test_every_setting_is_explained_and_every_explained_setting_exists():
    rows = re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \|", OPERATIONS, re.MULTILINE)
    explained = {name for row in rows for name in re.findall("[A-Z_]+", row)}
    assert explained == settings_in_code()


def test_project_yml_hands_functions_only_settings_that_exist():
    used = set(re.findall(r"\$\{(\w+)\}", project_yml()))
    assert used <= settings_in_code()


def test_the_example_of_settings_has_every_one_and_none_else():
    example = (ROOT / ".env.example").read_text("utf-8")
    names = re.findall(r"^([A-Z_]+)=.+$", example, re.MULTILINE)
    assert sorted(names) == sorted(settings_in_code())
    assert set(re.findall(r"\$\{(\w+)\}", project_yml())) <= set(names)


def test_the_local_stack_knows_every_variable_of_project_yml():
    """An unset one would keep it from starting."""
    used = set(re.findall(r"\$\{(\w+)\}", project_yml()))
    text = (ROOT / "scripts/local/stack.py").read_text("utf-8")
    assert {name for name in used if f'"{name}"' not in text and name not in stack.UNUSED} == set()


def test_every_function_of_the_checkout_is_deployed_and_none_else():
    deployed = {function.main for function in read_project(dict.fromkeys(settings_in_code(), "x"))}
    assert deployed == set(ROOT.glob("functions/*/*/__main__.py"))


def documented_endpoints() -> dict[tuple[str, str], str]:
    """By method and path, the query that docs/api.md writes after it."""
    rows = re.findall(r"^\| `([A-Z]+) (/[^`?]*)\??([^`]*)` \|", API, re.MULTILINE)
    return {(method, re.sub(r"{\w+}", "{id}", path)): query for method, path, query in rows}


def test_the_api_document_lists_exactly_the_operations_there_are():
    there = {(method.upper(), re.sub(r"{\w+}", "{id}", path)) for path, method, _ in operations()}
    assert set(documented_endpoints()) == there


def test_the_api_document_names_every_parameter_of_a_query_and_none_else():
    for path, method, operation in operations():
        written = documented_endpoints()[method.upper(), re.sub(r"{\w+}", "{id}", path)]
        known = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}
        assert set(re.findall(r"(\w+)(?:=[^&]*)?", written)) == known, path
        for parameter in operation.get("parameters", []):
            default = parameter["schema"].get("default")
            assert default is None or f"{parameter['name']}={json.dumps(default)}" in written.split("&"), path


def test_the_api_document_lists_exactly_the_errors_there_are():
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", API.partition("## Errors")[2], re.MULTILINE)
    assert {(int(status), code) for status, code in rows} == {
        (error.status, code) for error in answered_errors() for code in error.codes()
    }
    assert len(rows) == len(set(rows))


def test_what_the_api_document_shows_as_json_is_what_its_operation_takes_or_answers():
    """The operation is the one named last before it."""
    blocks = list(re.finditer(r"```json\n(.*?)```", API, re.DOTALL))
    assert blocks
    for block in blocks:
        method, path = re.findall(r"`([A-Z]+) (/[^`?]*)[^`]*`", API[: block.start()])[-1]
        [operation] = [
            operation
            for template, its_method, operation in operations()
            if (its_method.upper(), re.sub(r"{\w+}", "{id}", template)) == (method, re.sub(r"{\w+}", "{id}", path))
        ]
        contents = [operation["requestBody"]["content"][JSON]] if "requestBody" in operation else []
        answered = [response_of(operation, int(status)).get("content", {}) for status in operation["responses"]]
        contents += [content[JSON] for content in answered if content]
        shown = json.loads(block[1])
        assert any(judge(content["schema"]).is_valid(shown) for content in contents), block[1]


def test_every_failure_code_is_explained_and_known_to_the_database():
    explained = re.findall(r"^\| `([a-z_]+)` \|", OPERATIONS.partition("## When a scene fails")[2], re.MULTILINE)
    migration = (ROOT / "migrations/001_generation_history.sql").read_text("utf-8")
    listed = re.search(r"check \(error_code in \((.*?)\)\)", migration, re.DOTALL)
    assert sorted(explained) == sorted(FAILURE_CODES)
    assert sorted(re.findall(r"'(\w+)'", listed[1])) == sorted(FAILURE_CODES)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize(
    "lock",
    [*ROOT.glob("*.txt"), *ROOT.glob("layers/*/*.txt"), *ROOT.glob("container/*.txt")],
    ids=lambda path: path.parent.name + path.name,
)
def test_lock_files_carry_versions_and_hashes_and_no_addresses(lock: Path):
    lines = lock.read_text("utf-8").splitlines()
    assert not [line for line in lines if "://" in line]
    packages = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert packages
    assert all("==" in line for line in packages)
    assert sum("--hash=sha256:" in line for line in lines) >= len(packages)


def test_the_layers_pin_what_the_tests_ran_with():
    def pins(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==(\S+)", path.read_text("utf-8"), re.MULTILINE))

    tested = pins(ROOT / "requirements-dev.txt")
    for layer in ("data", "media"):
        deployed = pins(ROOT / f"layers/{layer}/requirements.txt")
        assert {name: tested.get(name) for name in deployed} == deployed


def test_the_package_requires_just_what_the_layers_carry():
    """So that an ad cloner that installs it gets everything it imports."""

    def names(requirements: Iterable[str]) -> set[str]:
        return {match[0].lower() for line in requirements if (match := re.match(r"[\w.-]+", line))}

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    layers = [path.read_text("utf-8") for path in ROOT.glob("layers/*/requirements.in")]
    required = [*project["dependencies"], *project["optional-dependencies"]["jwks"]]
    assert names(required) == names("\n".join(layers).splitlines())
