"""What the documents say is what the code does."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from generation_history.models import FAILURE_CODES
from scripts.local.host.project import read_project

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] if ".venv" not in path.parts]
OPERATIONS = (ROOT / "docs/operations.md").read_text("utf-8")


def settings_in_code() -> set[str]:
    return set(re.findall(r'"([A-Z][A-Z_]{4,})"', (ROOT / "shared/generation_history/settings.py").read_text("utf-8")))


def test_every_setting_is_explained_and_every_explained_setting_exists():
    explained = set(re.findall(r"^\| `([A-Z_]+)` \|", OPERATIONS, re.MULTILINE))
    assert explained == settings_in_code()


def test_project_yml_hands_functions_only_settings_that_exist():
    used = set(re.findall(r"\$\{(\w+)\}", (ROOT / "project.yml").read_text("utf-8")))
    assert used <= settings_in_code()


def test_the_local_stack_knows_every_variable_of_project_yml():
    """An unset one would keep it from starting."""
    used = set(re.findall(r"\$\{(\w+)\}", (ROOT / "project.yml").read_text("utf-8")))
    stack = (ROOT / "scripts/local/stack.py").read_text("utf-8")
    assert {name for name in used if f'"{name}"' not in stack} == set()


def test_every_function_of_the_checkout_is_deployed_and_none_else():
    deployed = {function.main for function in read_project(dict.fromkeys(settings_in_code(), "x"))}
    assert deployed == set(ROOT.glob("functions/*/*/__main__.py"))


def test_the_api_document_lists_exactly_the_routes_there_are():
    documented = set(
        re.findall(r"^\| `(GET|POST|DELETE) (/[^`?]*)", (ROOT / "docs/api.md").read_text("utf-8"), re.MULTILINE)
    )
    routes = set()
    for path in ROOT.glob("functions/*/*/*.py"):
        if path.stem != "__main__":
            module = importlib.import_module(".".join(path.relative_to(ROOT / "functions").with_suffix("").parts))
            for rule, methods, *_ in module.router._routes:
                routes |= {(method, re.sub(r"<\w+>", "{id}", rule)) for method in methods}
    assert documented == routes


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
    "lock", [*ROOT.glob("*.txt"), *ROOT.glob("layers/*/*.txt")], ids=lambda path: path.parent.name + path.name
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


@pytest.mark.slow
def test_installing_the_package_gives_the_new_and_the_old_import_names(tmp_path: Path):
    """As an ad cloner gets them: from the built package alone, without the checkout."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--target", tmp_path, ROOT], check=True, timeout=120)
    (site_packages,) = [path for path in sys.path if path.endswith("site-packages")]
    program = f"""
import sys
sys.path = [path for path in sys.path if not path.startswith({str(ROOT)!r})] + [{str(tmp_path)!r}, {site_packages!r}]
import generation_history
from generation_history import GenerationManager, PipelineIntegrator, VideoStorageManager
import generation_manager, pipeline_integrator, video_storage_manager
assert generation_history.__file__.startswith({str(tmp_path)!r}), generation_history.__file__
assert generation_manager.GenerationManager is GenerationManager
assert pipeline_integrator.PipelineIntegrator is PipelineIntegrator
assert video_storage_manager.VideoStorageManager is VideoStorageManager
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True, timeout=60)
