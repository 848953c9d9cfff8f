"""The workflows: least permissions, bounded, nothing foreign that is not pinned, no secret on a command line."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request) -> dict:
    return yaml.safe_load(request.param.read_text("utf-8"))


def steps(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_there_is_one_to_test_and_one_to_deploy():
    assert [path.stem for path in WORKFLOWS] == ["deploy", "test"]


def test_it_may_read_the_repository_and_nothing_more(workflow):
    assert workflow["permissions"] == {"contents": "read"}


def test_every_job_is_bounded(workflow):
    assert all(0 < job["timeout-minutes"] <= 120 for job in workflow["jobs"].values())


def test_a_foreign_action_is_pinned_to_a_commit(workflow):
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert all(re.search(r"@[0-9a-f]{40}$", one) for one in used)


def test_what_comes_from_outside_reaches_a_script_by_its_environment_alone(workflow):
    """In a script's text it would be part of the script; a secret would show in the log."""
    assert [step["run"] for step in steps(workflow) if "${{" in step.get("run", "")] == []


def test_what_is_downloaded_is_checked(workflow):
    for step in steps(workflow):
        if "curl" in step.get("run", ""):
            assert "sha256sum --check --strict" in step["run"]


def test_a_deployment_is_tested_first_and_comes_from_a_tag_alone():
    deploy = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text("utf-8"))
    runs = [step.get("run", "") for step in deploy["jobs"]["deploy"]["steps"]]
    where = [
        next(at for at, run in enumerate(runs) if text in run)
        for text in (".ci/run", "serverless connect", "scripts/deploy")
    ]

    assert where == sorted(where)
    # YAML reads the word on as true.
    assert deploy[True] == {"push": {"tags": ["v*"]}}
