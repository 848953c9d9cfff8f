"""scripts/build: what is deployed, in build/: zips for DigitalOcean, layers and functions for AWS Lambda.

Both come from the same files, the layers' locked requirements and this checkout; build/manifest.json has the hash of
each. The same input gives the same bytes: files in order, one time for all, bytecode that does not name where it was
made. The platforms' Python writes no bytecode, so it is shipped: pycs that are never compared with their source.
"""

import argparse
import hashlib
import importlib
import json
import lzma
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml

from generation_history.needs import Need
from scripts.release.cold_start import ColdStart, cold_start

ROOT: Final = Path(__file__).parents[2]
LAYERS: Final = ROOT / "layers"
#: Where packed binaries are kept between builds, by the hash of what was packed.
PACKED: Final = ROOT / ".local" / "packed"
#: What the platforms run: the wheels and the bytecode are for it.
PYTHON: Final = (3, 11)
PLATFORM: Final = "x86_64-manylinux_2_28"
#: The earliest time that a zip can tell.
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
#: Of botocore's data: the services we call, and what every client reads.
BOTOCORE_DATA: Final = frozenset({"s3", "lambda"})
#: Never read where functions run: cryptography's build tools, and pages that show an API.
UNUSED: Final = ("cffi/", "pycparser/", "bin/", "aws_lambda_powertools/event_handler/openapi/swagger_ui/swagger-ui")
#: What verifies an identity provider's tokens: only the functions that take tokens have it on DigitalOcean.
VERIFIES_TOKENS: Final = ("cryptography", "_cffi_backend")
FFMPEG: Final = "imageio_ffmpeg"
#: Folders of the package that no function imports: its command line, and the way in from an older installation.
NOT_DEPLOYED: Final = ("cli", "importing")
#: Of the package, and imported where providers are called alone.
KIND_MODULES: Final = frozenset(
    {"fal", "fal_answers", "replicate", "runway", "gemini", "json_provider", "json_server", "content"}
)
#: Zipped, in millions of bytes: the platform takes 48, perhaps counted as base64.
BUDGET_MB, INSPECTING_BUDGET_MB = 16, 36

#: Ours come first: the platform appends the zip's folder last, behind packages of its own.
_MAIN = """import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from {package}.{function}.__main__ import main  # noqa: E402, F401
"""

Files = dict[str, Path]


@dataclass(frozen=True)
class Built:
    """One function's zip by package/name; sizes in bytes, memory is what project.yml gives it, in MB."""

    name: str
    path: Path
    zipped: int
    unzipped: int
    memory: int

    @property
    def budget(self) -> int:
        """The most millions of bytes that the zip may have."""
        return INSPECTING_BUDGET_MB if "inspection" in needs_of(*self.name.split("/")) else BUDGET_MB


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when everything is built, within its budget, and starts in the memory that it is given."""
    parser = argparse.ArgumentParser(prog="scripts/build", description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "build")
    target = cast("Path", parser.parse_args(arguments).into)
    if sys.version_info[:2] != PYTHON:
        print(f"scripts/build: the platforms run Python {PYTHON[0]}.{PYTHON[1]}, and so must this", file=sys.stderr)
        return 1
    packages = build(target)
    columns = f"{'zip MB':>7} {'budget':>7} {'unzipped MB':>12} {'cold ms':>8} {'peak MB':>8} {'given':>6}"
    print(f"{'function':<20} {columns}")
    problems: list[str] = []
    for package in packages:
        cold = cold_start(package.path)
        print(_line(package, cold), flush=True)
        problems += check(package, cold)
    for problem in problems:
        print(f"scripts/build: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _line(package: Built, cold: ColdStart) -> str:
    sizes = f"{package.zipped / 1e6:>7.1f} {package.budget:>7} {package.unzipped / 1e6:>12.1f}"
    return f"{package.name:<20} {sizes} {cold.milliseconds:>8.0f} {cold.megabytes:>8.0f} {package.memory:>6}"


def check(package: Built, cold: ColdStart) -> Iterator[str]:
    """A sentence for each limit that is broken."""
    if package.zipped > package.budget * 1_000_000:
        yield f"{package.name}: {package.zipped / 1e6:.1f} MB zipped, and may have {package.budget}"
    if cold.megabytes > package.memory:
        yield f"{package.name}: starts in {cold.megabytes:.0f} MB, and is given {package.memory}"


def build(target: Path) -> list[Built]:
    """Every function of project.yml as a zip in into/digitalocean, and into/aws, both of the same files."""
    staging = target / "staging"
    for folder in (target / "digitalocean", target / "aws", staging):
        shutil.rmtree(folder, ignore_errors=True)
    limits = _limits()
    own_files, functions = _ours(staging, sorted({name.partition("/")[0] for name in limits}))
    layers = {"data": {**_layer("data", staging), **own_files}, "media": _layer("media", staging)}
    (target / "digitalocean").mkdir(parents=True)
    (target / "digitalocean" / "project.yml").write_text(project_yml(), "utf-8")
    paths = {name: target / "digitalocean/packages" / f"{name}.zip" for name in limits}
    libraries = _libraries(layers)
    archives = {target / "aws/functions.zip": functions}
    for layer, files in layers.items():
        archives[target / "aws/layers" / f"{layer}.zip"] = {f"python/{path}": file for path, file in files.items()}
    # Nearly all of a build is deflating, which Python's threads do side by side.
    with ThreadPoolExecutor() as pool:
        zipping = pool.map(_add_to_zip, archives, archives.values())
        for name, path in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_zip_of_libraries(_libraries_for(name), libraries, staging / "zips"), path)
            _add_to_zip(path, _own_files(name, functions, staging))
        list(zipping)
    _write_manifest(target, {**layers, "functions": functions})
    return [
        Built(name, path, path.stat().st_size, _unzipped_bytes(path), limits[name]["memory"])
        for name, path in paths.items()
    ]


def _libraries(layers: Mapping[str, Files]) -> dict[str, Files]:
    """The files of the layers by what they are for."""
    data = layers["data"].items()
    media = [(path, file) for path, file in layers["media"].items() if path not in layers["data"]]
    return {
        "data": {path: file for path, file in data if not path.startswith(VERIFIES_TOKENS) and not _is_kind(path)},
        "objects": {path: file for path, file in media if not path.startswith(FFMPEG)},
        "owners": {path: file for path, file in data if path.startswith(VERIFIES_TOKENS)},
        # The poller alone inspects, and it alone calls providers.
        "inspection": {path: file for path, file in media if path.startswith(FFMPEG)}
        | {path: file for path, file in data if _is_kind(path)},
    }


def _is_kind(path: str) -> bool:
    """Whether the file is of the modules that call a provider of one kind."""
    folder, _, name = path.replace("/__pycache__", "").rpartition("/")
    return folder == "generation_history/providers" and name.partition(".")[0] in KIND_MODULES


def _libraries_for(name: str) -> tuple[str, ...]:
    """The libraries that a function carries on DigitalOcean, in the order of _libraries."""
    needs = needs_of(*name.split("/"))
    optional: tuple[Need, ...] = ("objects", "owners", "inspection")
    return ("data", *(need for need in optional if need in needs))


def _zip_of_libraries(names: tuple[str, ...], libraries: Mapping[str, Files], folder: Path) -> Path:
    """The zip of these libraries, made of the one without the last of them: each is deflated as rarely as can be."""
    path = folder / f"{'-'.join(names)}.zip"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if names[:-1]:
            shutil.copyfile(_zip_of_libraries(names[:-1], libraries, folder), path)
        _add_to_zip(path, libraries[names[-1]])
    return path


def _own_files(name: str, functions: Files, staging: Path) -> Files:
    """The files of its own package and of itself that a function carries on DigitalOcean."""
    package, function = name.split("/")
    files = {path: file for path, file in functions.items() if path.startswith(f"{package}/")}
    return {**files, "__main__.py": _main(staging, package, function)}


def modules_of(package: str, function: str) -> dict[str, Any]:
    """The modules of a function that say what they need, by name: its endpoints, or else its own main."""
    folder = ROOT / "functions" / package / function
    names = [path.stem for path in sorted(folder.glob("[a-z]*.py"))] or ["__main__"]
    return {name: importlib.import_module(name) for name in (f"{package}.{function}.{stem}" for stem in names)}


def needs_of(package: str, function: str) -> frozenset[Need]:
    """What a deployed function needs: what any of its modules does."""
    declared: list[frozenset[Need]] = [module.NEEDS for module in modules_of(package, function).values()]
    return frozenset[Need]().union(*declared)


def project_yml() -> str:
    """project.yml without its comments: a template in one of them keeps the checkout itself from being deployed."""
    lines = (ROOT / "project.yml").read_text("utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.lstrip().startswith("#"))


def _limits() -> dict[str, Mapping[str, int]]:
    """The limits of each function by package/name."""
    project = cast("dict[str, Any]", yaml.safe_load(project_yml()))
    return {
        f"{package['name']}/{function['name']}": function["limits"]
        for package in project["packages"]
        for function in package["functions"]
    }


# ---------------------------------------------------------------- files


def _layer(name: str, staging: Path) -> Files:
    """The files of a layer's requirements by their names in it, bytecode among them."""
    folder = staging / name
    subprocess.run(
        [
            *(ROOT / ".venv/bin/uv", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--target", folder),
            *("--only-binary", ":all:", "--python-platform", PLATFORM, "--python-version", "3.11"),
            *("--link-mode", "copy", "-r", LAYERS / name / "requirements.txt"),
        ],
        check=True,
    )
    (folder / ".lock").unlink(missing_ok=True)
    for service in folder.glob("botocore/data/*/"):
        if service.name not in BOTOCORE_DATA:
            shutil.rmtree(service)
    for binary in folder.glob(f"{FFMPEG}/binaries/ffmpeg-*"):
        # A quarter smaller than deflated; ffmpeg.py unpacks it on first use.
        shutil.copyfile(packed(binary), f"{binary}.xz")
        binary.unlink()
    return _compiled(folder)


def packed(binary: Path, folder: Path = PACKED) -> Path:
    """The binary as xz, which takes half a minute and is kept."""
    path = folder / f"{hashlib.sha256(binary.read_bytes()).hexdigest()}.xz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        new_path = path.with_suffix(".new")
        new_path.write_bytes(lzma.compress(binary.read_bytes(), preset=9))
        new_path.replace(path)
    return path


def _ours(staging: Path, packages: Sequence[str]) -> tuple[Files, Files]:
    """The package, which is in the data layer, and the functions' modules."""
    folders = [staging / "ours", staging / "functions"]
    ignored = shutil.ignore_patterns("__pycache__")
    own_package = folders[0] / "generation_history"
    shutil.copytree(
        ROOT / "shared/generation_history",
        own_package,
        ignore=shutil.ignore_patterns("__pycache__", *NOT_DEPLOYED),
    )
    for package in packages:
        shutil.copytree(ROOT / "functions" / package, folders[1] / package, ignore=ignored)
    own_files, functions = (_compiled(folder) for folder in folders)
    return own_files, functions


def _compiled(folder: Path) -> Files:
    # In a process of its own: the order of a set in bytecode is that of its hashes.
    compiled = subprocess.run(
        [
            *(sys.executable, "-m", "compileall", "-q", "-f", "-s", folder),
            *("--invalidation-mode", "unchecked-hash", folder),
        ],
        env={"PYTHONHASHSEED": "0"},
        check=False,
    )
    if compiled.returncode:
        raise SystemExit(f"scripts/build: not everything in {folder.name} can be compiled")
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in files.items() if _is_shipped(name)}


def _is_shipped(name: str) -> bool:
    # RECORD lists what pip would remove again; nobody does.
    file_name = name.rsplit("/", 1)[-1]
    leftover = file_name in {"RECORD", "INSTALLER", "REQUESTED"} or file_name.endswith(".pyi")
    return not leftover and not name.startswith(UNUSED)


def _main(staging: Path, package: str, function: str) -> Path:
    path = staging / "mains" / package / function / "__main__.py"
    path.parent.mkdir(parents=True)
    path.write_text(_MAIN.format(package=package, function=function), "utf-8")
    return path


def _add_to_zip(path: Path, files: Mapping[str, Path]) -> None:
    """Guarantees that the zip has these files after those that it has, by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "a") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            # What is packed already does not become smaller.
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".xz") else zipfile.ZIP_DEFLATED
            # The platform drops the exec bit anyway.
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, files[name].read_bytes(), compresslevel=9)


def _unzipped_bytes(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _write_manifest(target: Path, parts: Mapping[str, Files]) -> None:
    """What both platforms carry, by part and name, and the artifacts made of it, as sha256."""
    artifacts = sorted(path for folder in ("digitalocean", "aws") for path in (target / folder).rglob("*.zip"))
    manifest = {
        "files": {part: {name: _sha256(file) for name, file in sorted(files.items())} for part, files in parts.items()},
        "artifacts": {str(path.relative_to(target)): _sha256(path) for path in artifacts},
    }
    (target / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
