"""What MIGRATING.md says beside its commands is so."""

import re

import pytest
import yaml

from generation_history.errors import Conflict, InvalidValue, NotFound
from generation_history.pipeline_integrator import PipelineIntegrator
from tests.docs.test_migrating import GUIDE, INSTALLING, OLD_MODULES, PROCESSES, SETTINGS, names_in
from tests.support.guide import ROOT

NOWHERE = "018f0000-0000-7000-8000-000000000000"


def test_each_step_of_the_checklist_leads_to_its_heading():
    headings = re.findall(r"^## (.*)$", GUIDE.text, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    linked = re.findall(r"\]\(#([^)]*)\)", GUIDE.text)
    assert set(linked) <= anchors
    assert {heading for heading in anchors if heading[0].isdigit()} <= set(linked)


def test_the_guide_deletes_just_the_modules_that_the_package_replaces():
    (block,) = GUIDE.blocks(INSTALLING, "sh")
    (deleted,) = re.findall(r"^rm (.*)$", block, re.MULTILINE)
    assert set(deleted.split()) == OLD_MODULES == {path.name for path in (ROOT / "shared").glob("*.py")}


def test_each_script_that_the_guide_names_exists_and_each_setting_is_one():
    for name in set(re.findall(r"generation-history/scripts/([\w-]+)", GUIDE.text)):
        assert (ROOT / "scripts" / name).is_file(), name
    explained = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/operations.md").read_text("utf-8"), re.MULTILINE))
    for block in GUIDE.blocks(SETTINGS, "dotenv"):
        assert set(names_in(block)) <= explained


def test_what_the_guide_does_in_a_container_is_what_its_commands_do():
    (dockerfile,) = GUIDE.blocks(INSTALLING, "dockerfile")
    copied, installed = dockerfile.splitlines()
    assert copied == "COPY generation-history generation-history"
    assert re.fullmatch(r"RUN pip install .* \./generation-history", installed)
    (ignored,) = GUIDE.blocks(INSTALLING, "text")
    assert {"**/.env", "**/admin.env"} <= set(ignored.split())
    theirs = yaml.safe_load((ROOT / "container/compose.yaml").read_text("utf-8"))["services"]
    for name, service in yaml.safe_load(GUIDE.blocks(PROCESSES, "yaml")[0])["services"].items():
        assert service["command"] == theirs[name]["command"]


def test_what_python_does_otherwise_is_as_the_guide_says(manager, spaces, sora):
    integrator = PipelineIntegrator()
    one = integrator.start_generation("https://video.example/ad", "url", ["extreme"], None)
    made = integrator.create_scene_records(one, "extreme", ["a"])
    (variant,) = manager.get_generation(one)["variants"]
    refused = {
        NotFound: [
            lambda: integrator.save_analysis_metadata(NOWHERE, {}),
            lambda: integrator.mark_generation_failed(NOWHERE, "no"),
        ],
        Conflict: [
            lambda: integrator.create_scene_records(one, "extreme", ["b"]),
            lambda: manager.create_variant(one, variant["variant_type"]),
            lambda: manager.create_scene(variant["id"], 1, "b"),
        ],
        InvalidValue: [
            lambda: manager.update_generation_status(one, "done"),
            lambda: manager.create_scene(variant["id"], 0, "b"),
            lambda: manager.list_generations(offset=-1),
        ],
    }
    for error, calls in refused.items():
        for call in calls:
            with pytest.raises(error):
                call()

    assert integrator.create_scene_records(one, "extreme", ["a"]) == made
    assert (variant["variant_type"], variant["given_type"]) == ("ultra", "extreme")
    assert manager.delete_generation(NOWHERE) is False
    assert "1 of 1" in (manager.update_generation_status(one, "completed")["error_message"] or "")
    assert manager.update_generation_status(one, "failed", "no")["completed_at"] is None
    videos = integrator.video_manager
    assert videos.cleanup_temp_directory() == 0
    assert not hasattr(integrator.gen_manager, "supabase")
    assert not [name for name in ("temp_dir", "spaces") if hasattr(videos, name)]
