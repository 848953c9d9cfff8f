"""A dependency that nothing uses fails scripts/check, in whichever list it stands; so does an import of none."""

import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.release import dependencies

ROOT = Path(__file__).resolve().parents[2]
LISTS = ("layers/data/requirements.in", "layers/media/requirements.in", "requirements-dev.in")
COMMANDS = ("requirements-aws.in", "requirements-sdks.in", "requirements-uv.in")
#: Installed, and imported by nothing of ours.
UNUSED = "graphql-core"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what is looked at."""
    for folder in (*dependencies.DEPLOYED, "scripts", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    for file in ("pyproject.toml", *LISTS, *COMMANDS):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


@pytest.fixture
def change(checkout: Path) -> Callable[..., None]:
    """Puts one text in the place of another that a file has, once or more often."""

    def run(file: str, old: str, new: str) -> None:
        text = (checkout / file).read_text("utf-8")
        assert re.search(old, text, re.MULTILINE)
        (checkout / file).write_text(re.sub(old, new, text, flags=re.MULTILINE), "utf-8")

    return run


def test_what_there_is_passes(checkout, capfd):
    assert dependencies.main(checkout) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("file", [*LISTS, *COMMANDS])
def test_one_more_line_fails_by_its_name(checkout, capfd, file):
    with (checkout / file).open("a", encoding="utf-8") as lines:
        lines.write(f"{UNUSED}\n")

    assert dependencies.main(checkout) == 1
    told = capfd.readouterr().err
    assert UNUSED in told
    assert file in told


def test_one_more_dependency_of_the_package_fails_by_its_name(checkout, change, capfd):
    change("pyproject.toml", "^dependencies = \\[$", f'dependencies = [\n    "{UNUSED}",')

    assert dependencies.main(checkout) == 1
    assert f"pyproject.toml: DEP002 '{UNUSED}'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("file", "line", "told"),
    [
        ("pyproject.toml", '^    "tenacity.*\n', "'tenacity'"),
        ("layers/data/requirements.in", "^tenacity\n", "'tenacity'"),
        ("layers/media/requirements.in", "^requests\n", "'requests'"),
        ("pyproject.toml", "^cli = .*\n", "'rich'"),
        ("requirements-dev.in", "^click\n", "'click'"),
        ("requirements-dev.in", "^localstack-client\n", "'localstack_client'"),
        ("requirements-dev.in", "^moto.*\n", "'moto'"),
    ],
)
def test_one_line_less_fails_by_what_is_imported(checkout, change, capfd, file, line, told):
    change(file, line, "")

    assert dependencies.main(checkout) == 1
    assert told in capfd.readouterr().err


def test_a_library_of_the_command_line_is_none_of_the_functions(checkout, capfd):
    (checkout / "shared/generation_history/api/more.py").write_text("import click\n")

    assert dependencies.main(checkout) == 1
    assert "api/more.py" in capfd.readouterr().err


@pytest.mark.parametrize(("folder", "told"), [("shared", "'nowhere'"), ("tests", "'nowhere'")])
def test_an_import_of_what_is_not_installed_fails(checkout, capfd, folder, told):
    (checkout / folder / "more.py").write_text("import nowhere\n")

    assert dependencies.main(checkout) == 1
    assert told in capfd.readouterr().err


def test_a_command_that_is_run_no_more_fails(checkout, change, capfd):
    change("tests/deploy/test_aws.py", "cfn-lint", "another")

    assert dependencies.main(checkout) == 1
    assert "requirements-aws.in: cfn-lint is used nowhere" in capfd.readouterr().err


def test_every_exception_is_needed(checkout, change, capfd):
    exceptions = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["deptry"]["per_rule_ignores"]
    change("pyproject.toml", r"^\[tool.deptry.per_rule_ignores\]\n(.*\n)*?(?=\[)", "")

    assert dependencies.main(checkout) == 1
    told = re.findall(r"(DEP00\d) '(.*?)'", capfd.readouterr().err)
    assert set(told) == {(rule, name) for rule, names in exceptions.items() for name in names}
