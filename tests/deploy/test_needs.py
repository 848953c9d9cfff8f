"""What a function needs of its platform is said by its modules, and project.yml hands it all of that."""

import inspect

import pytest
import yaml

from generation_history.needs import SETTINGS, settings_of
from scripts.release.build import modules_of, needs_of, project_yml

FUNCTIONS = {
    (package["name"], function["name"]): set(function["environment"])
    for package in yaml.safe_load(project_yml())["packages"]
    for function in package["functions"]
}
MODULES = {name: module for function in FUNCTIONS for name, module in modules_of(*function).items()}
#: What a module's source has that needs this.
SIGNS = {
    "links": ("SignedLinks", "download_link", "archive_link", "archive_progress", "list_page"),
    "wakeup": ("wake_poller",),
    "deliveries": ("webhook_secrets",),
    "monitor": ("health_token",),
    "record": ("history()", "list_page"),
}


@pytest.mark.parametrize("function", FUNCTIONS, ids="/".join)
def test_project_yml_hands_a_function_the_settings_that_it_needs(function: tuple[str, str]):
    assert settings_of(needs_of(*function)) - FUNCTIONS[function] == set()


@pytest.mark.parametrize("function", FUNCTIONS, ids="/".join)
def test_project_yml_hands_a_function_no_setting_that_nothing_of_its_package_needs(function: tuple[str, str]):
    """Functions of the record share one list of settings."""
    package = function[0]
    alike = [each for each in FUNCTIONS if each[0] == package] if package == "history" else [function]
    needed = set().union(*(settings_of(needs_of(*each)) for each in alike))
    assert FUNCTIONS[function] - needed == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_declares_what_it_uses(module: str):
    source = inspect.getsource(MODULES[module])
    used = {need for need, signs in SIGNS.items() if any(sign in source for sign in signs)}
    assert used - MODULES[module].NEEDS == set()
    assert {need for need in SIGNS if need in MODULES[module].NEEDS} - used == set()


def test_every_need_has_its_settings_and_is_somebodys():
    assert set().union(*(module.NEEDS for module in MODULES.values())) == set(SETTINGS)
