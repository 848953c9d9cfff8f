"""Imports of the package run one way: no circle among its modules, and none to a folder that stands above."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "shared" / "generation_history"
NAME = PACKAGE.name
#: From the ground up: a module imports those of its own folder and of folders before it. "" is the package's own
#: folder, whose modules everything stands on; the entrances of old callers stand on all but the
#: command line, which is on top.
LAYERS = (
    "",
    "files",
    "db",
    "storage",
    "bootstrap",
    "providers",
    "media",
    "record",
    "archives",
    "work",
    "importing",
    "api",
    "entrances",
    "cli",
)
ENTRANCES = {NAME, f"{NAME}.pipeline_integrator", f"{NAME}.poller", f"{NAME}.purge"}
#: The package hands names on when they are asked for: nothing is imported by that.
LAZY = {NAME}


def imported_by(path: Path, modules: set[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == NAME:
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield whole if whole in modules else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in modules)


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What each module imports of the package's others."""
    paths = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }
    return {
        module: {name for name in imported_by(path, set(paths)) if name != module} if module not in LAZY else set()
        for module, path in paths.items()
    }


def layer_of(module: str) -> str:
    if module in ENTRANCES:
        return "entrances"
    if module == f"{NAME}.bootstrap":
        return "bootstrap"
    parts = module.split(".")
    is_folder = (PACKAGE / parts[1]).is_dir()
    return parts[1] if is_folder else ""


def test_no_module_imports_one_that_stands_above_it(imports):
    upward = [
        f"{module} ({layer_of(module)}) imports {other} ({layer_of(other)})"
        for module, others in imports.items()
        for other in others
        if other != NAME and LAYERS.index(layer_of(other)) > LAYERS.index(layer_of(module))
    ]
    assert upward == []


def test_no_modules_import_each_other_in_a_circle(imports):
    def circle_from(module: str, path: tuple[str, ...]) -> tuple[str, ...] | None:
        if module in path:
            return (*path[path.index(module) :], module)
        if module in done:
            return None
        for other in imports.get(module, ()):
            if found := circle_from(other, (*path, module)):
                return found
        done.add(module)
        return None

    done: set[str] = set()
    assert [found for module in imports if (found := circle_from(module, ()))] == []


def test_every_folder_of_the_package_has_its_place(imports):
    assert {layer_of(module) for module in imports} == set(LAYERS)


def test_no_module_is_too_long_to_be_read_at_once():
    long = {str(path.relative_to(PACKAGE)): len(path.read_text("utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {name: lines for name, lines in long.items() if lines > 350} == {}


def test_connections_to_the_database_and_the_bucket_are_made_in_bootstrap_alone():
    made = re.compile(r"\bdatabase\.connect\(|\bObjectStore\(")
    folders = (PACKAGE, PACKAGE.parents[1] / "functions")
    makers = {path.name for folder in folders for path in folder.rglob("*.py") if made.search(path.read_text("utf-8"))}
    assert makers == {"bootstrap.py"}
