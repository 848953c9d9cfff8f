"""scripts/build: the same bytes each time, the same files for both platforms, within budgets."""

import hashlib
import json
import lzma
import os
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.local.host.project import ROOT, read_project
from scripts.release import build as building
from scripts.release.cold_start import ColdStart, cold_start
from tests.deploy.conftest import Build

BUILD_AGAIN = "import sys; from pathlib import Path; from scripts.release.build import build; build(Path(sys.argv[1]))"


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in ("digitalocean", "aws", "manifest.json")
        for path in sorted([*(folder / name).rglob("*"), folder / name])
        if path.is_file()
    }


def contents(path: Path, *, below: str = "") -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name.removeprefix(below): hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def test_the_same_input_gives_the_same_bytes(built: Build, tmp_path: Path):
    """Elsewhere, at another time of another zone, for another user."""
    environment = os.environ | {"TZ": "Pacific/Auckland", "PYTHONHASHSEED": "7", "LC_ALL": "C"}
    other = tmp_path / "quite" / "another place"
    subprocess.run([sys.executable, "-c", BUILD_AGAIN, other], cwd=ROOT, env=environment, check=True, umask=0o077)

    assert hashes(other) == hashes(built.folder)


def test_what_is_packed_is_packed_the_same_each_time_and_unpacks_to_itself(tmp_path: Path):
    binary = tmp_path / "binary"
    binary.write_bytes(bytes(range(256)) * 5000)
    first, again = (building.packed(binary, tmp_path / kept) for kept in ("one", "two"))

    assert first.read_bytes() == again.read_bytes()
    assert lzma.decompress(first.read_bytes()) == binary.read_bytes()


def test_every_function_of_project_yml_is_built_and_none_else(built: Build):
    environment = dict.fromkeys(_templates(built), "x")
    assert {each.name for each in built.functions} == {f"{one.package}/{one.name}" for one in read_project(environment)}


def _templates(built: Build) -> list[str]:
    text = (built.folder / "digitalocean/project.yml").read_text()
    return [part.split("}")[0] for part in text.split("${")[1:]]


def test_both_platforms_carry_the_same_files_of_a_layer(built: Build):
    manifest = json.loads((built.folder / "manifest.json").read_text())["files"]
    for layer in ("data", "media"):
        assert contents(built.folder / f"aws/layers/{layer}.zip", below="python/") == manifest[layer]
    assert contents(built.folder / "aws/functions.zip") == manifest["functions"]
    everything = {**manifest["data"], **manifest["media"], **manifest["functions"]}
    for each in built.functions:
        carried = contents(each.path)
        del carried["__main__.py"]
        assert carried.items() <= everything.items(), each.name


def test_the_poller_alone_carries_ffmpeg_and_only_who_takes_tokens_verifies_them(built: Build):
    names = {each.name: zipfile.ZipFile(each.path).namelist() for each in built.functions}
    having = {
        part: {function for function, files in names.items() if any(part in file for file in files)}
        for part in ("imageio_ffmpeg/binaries", "boto3/", "cryptography/")
    }
    assert having["imageio_ffmpeg/binaries"] == {"sora/poller"}
    assert having["boto3/"] == {"sora/poller", "ops/purge"}
    assert having["cryptography/"] == {each.name for each in built.functions if each.name.startswith("history/")}


def test_the_command_line_and_its_libraries_are_in_no_zip(built: Build):
    zips = [*(each.path for each in built.functions), *(built.folder / "aws").rglob("*.zip")]
    names = {name.removeprefix("python/") for path in zips for name in zipfile.ZipFile(path).namelist()}

    assert "generation_history/settings.py" in names
    assert [name for name in names if name.startswith(("generation_history/cli/", "click/", "rich/"))] == []


def test_bytecode_comes_along_and_names_no_place_of_this_machine(built: Build):
    with zipfile.ZipFile(built.functions[0].path) as archive:
        code = archive.read("generation_history/__pycache__/settings.cpython-311.pyc")
    # Flags: hash-based, and never checked against the source (PEP 552).
    assert int.from_bytes(code[4:8], "little") == 0b01
    assert str(built.folder).encode() not in code
    assert str(ROOT).encode() not in code


def test_everything_is_within_its_budget_and_starts_within_its_memory(built: Build):
    for each in built.functions:
        cold = cold_start(each.path)
        assert list(building.check(each, cold)) == []
        said = str(cold.answer.get("body", cold.answer))
        assert "is not set" in said or cold.answer["statusCode"] == 405, said


@pytest.mark.parametrize("broken", ["zipped", "memory"])
def test_a_budget_that_is_broken_is_said(built: Build, broken: str):
    each = replace(built.functions[0], **{broken: 99_000_000 if broken == "zipped" else 1})

    (said,) = building.check(each, ColdStart(milliseconds=1, megabytes=100, answer={}))

    assert said.startswith("history/")
    assert "99.0 MB zipped" in said or "100 MB, and is given 1" in said


def test_the_checkout_itself_cannot_be_deployed_and_it_says_how(deploy, tmp_path: Path):
    """Other folders than packages/ are nothing to the platform."""
    from tests.deploy.openwhisk import openwhisk  # noqa: PLC0415

    (tmp_path / "root").mkdir()
    (tmp_path / "root/project.yml").write_bytes((ROOT / "project.yml").read_bytes())
    with openwhisk() as platform:
        names = {part.split("}")[0] for part in building.project_yml().split("${")[1:]}
        done = deploy(tmp_path / "root", platform, dict.fromkeys(names, "x"), tmp_path / "env")

    assert done.returncode == 1
    assert "run_scripts_deploy_instead" in done.stderr
    assert platform.actions == {}


def test_a_build_takes_no_clock_for_its_bytes(built: Build):
    with zipfile.ZipFile(built.functions[0].path) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {building.EPOCH}
    assert time.gmtime().tm_year > building.EPOCH[0]
