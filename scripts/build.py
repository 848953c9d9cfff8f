"""scripts/build: the functions' zips for DigitalOcean in build/digitalocean, from the layers' locked requirements.

The same input gives the same bytes: files in order, one time for all, bytecode that does not name where it was made.
The platform's Python writes no bytecode, so it is shipped: pycs that are never compared with their source.
"""

import argparse
import compileall
import lzma
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any, Final, cast

import yaml

ROOT: Final = Path(__file__).parents[1]
LAYERS: Final = ROOT / "layers"
#: What the platforms run: the wheels and the bytecode are for it.
PYTHON: Final = (3, 11)
PLATFORM: Final = "x86_64-manylinux_2_28"
#: The earliest time that a zip can tell.
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
#: Of botocore's data: the services we call, and what every client reads.
BOTOCORE_DATA: Final = frozenset({"s3", "lambda"})
#: The functions that move bytes; of these the poller alone looks into them.
MOVES_BYTES: Final = frozenset({("sora", "poller"), ("ops", "purge")})
LOOKS_INTO_THEM: Final = ("sora", "poller")
FFMPEG: Final = "imageio_ffmpeg"
#: Zipped, in millions of bytes: the platform takes 48, perhaps counted as base64.
BUDGETS: Final[Mapping[bool, int]] = {True: 36, False: 16}

#: Ours come first: the platform appends the zip's folder last, behind packages of its own.
_MAIN = """import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from {package}.{function}.__main__ import main  # noqa: E402, F401
"""


@dataclass(frozen=True)
class Built:
    """One function's zip; sizes in bytes."""

    package: str
    function: str
    path: Path
    zipped: int
    unzipped: int

    @property
    def budget(self) -> int:
        """The most bytes that the zip may have."""
        return BUDGETS[(self.package, self.function) == LOOKS_INTO_THEM] * 1_000_000


def main() -> int:
    """0 when everything is built and within its budget."""
    parser = argparse.ArgumentParser(prog="scripts/build", description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "build")
    into = cast("Path", parser.parse_args().into)
    if sys.version_info[:2] != PYTHON:
        print(f"scripts/build: the platforms run Python {PYTHON[0]}.{PYTHON[1]}, and so must this", file=sys.stderr)
        return 1
    made = build(into)
    print(f"{'function':<20} {'zip MB':>7} {'budget':>7} {'unzipped MB':>12}")
    for each in made:
        name = f"{each.package}/{each.function}"
        print(f"{name:<20} {each.zipped / 1e6:>7.1f} {each.budget / 1e6:>7.0f} {each.unzipped / 1e6:>12.1f}")
    over = [f"{each.package}/{each.function}" for each in made if each.zipped > each.budget]
    if over:
        print(f"scripts/build: over its budget: {', '.join(over)}", file=sys.stderr)
    return 1 if over else 0


def build(into: Path) -> list[Built]:
    """Every function of project.yml as a zip below into/digitalocean/packages, beside the project.yml for them."""
    target, staging = into / "digitalocean", into / "staging"
    for folder in (target, staging):
        shutil.rmtree(folder, ignore_errors=True)
    data, media = (_layer(name, staging / name) for name in ("data", "media"))
    ours = _ours(staging / "ours")
    target.mkdir(parents=True)
    shutil.copyfile(ROOT / "project.yml", target / "project.yml")
    made: list[Built] = []
    for package, function in _functions():
        files = {**data, **ours, "__main__.py": _main(staging, package, function)}
        if (package, function) in MOVES_BYTES:
            looks = (package, function) == LOOKS_INTO_THEM
            files |= {name: path for name, path in media.items() if looks or not name.startswith(FFMPEG)}
        made.append(_zip(target / "packages" / package / f"{function}.zip", files, package, function))
    return made


def _functions() -> Iterator[tuple[str, str]]:
    project = cast("dict[str, Any]", yaml.safe_load((ROOT / "project.yml").read_text("utf-8")))
    for package in project["packages"]:
        for function in package["functions"]:
            yield package["name"], function["name"]


def _layer(name: str, folder: Path) -> dict[str, Path]:
    """The files of a layer by their names in it, bytecode among them."""
    subprocess.run(
        [
            *(ROOT / ".venv/bin/uv", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--target", folder),
            *("--only-binary", ":all:", "--python-platform", PLATFORM, "--python-version", "3.11"),
            *("--link-mode", "copy", "-r", LAYERS / name / "requirements.txt"),
        ],
        check=True,
    )
    shutil.rmtree(folder / "bin", ignore_errors=True)
    (folder / ".lock").unlink(missing_ok=True)
    for service in folder.glob("botocore/data/*/"):
        if service.name not in BOTOCORE_DATA:
            shutil.rmtree(service)
    for binary in folder.glob("imageio_ffmpeg/binaries/ffmpeg-*"):
        # A quarter smaller than deflated; ffmpeg.py unpacks it on first use.
        with lzma.open(f"{binary}.xz", "wb", preset=9) as packed:
            packed.write(binary.read_bytes())
        binary.unlink()
    return _compiled(folder)


def _ours(folder: Path) -> dict[str, Path]:
    """The package and the functions' modules, as they are imported."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "shared/generation_history", folder / "generation_history", ignore=ignored)
    for package in sorted({package for package, _ in _functions()}):
        shutil.copytree(ROOT / "functions" / package, folder / package, ignore=ignored)
    return _compiled(folder)


def _compiled(folder: Path) -> dict[str, Path]:
    compiled = compileall.compile_dir(
        folder,
        quiet=1,
        force=True,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        stripdir=folder,
        workers=1,
    )
    if not compiled:
        raise SystemExit(f"scripts/build: not everything in {folder.name} can be compiled")
    return {
        str(path.relative_to(folder)): path
        for path in sorted(folder.rglob("*"))
        # RECORD lists what pip would remove again; nobody does.
        if path.is_file() and path.name not in {"RECORD", "INSTALLER", "REQUESTED"} and path.suffix != ".pyi"
    }


def _main(staging: Path, package: str, function: str) -> Path:
    path = staging / "mains" / package / function / "__main__.py"
    path.parent.mkdir(parents=True)
    path.write_text(_MAIN.format(package=package, function=function), "utf-8")
    return path


def _zip(path: Path, files: Mapping[str, Path], package: str, function: str) -> Built:
    path.parent.mkdir(parents=True, exist_ok=True)
    unzipped = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            content = files[name].read_bytes()
            unzipped += len(content)
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            # The platform drops the exec bit anyway.
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return Built(package, function, path, path.stat().st_size, unzipped)


if __name__ == "__main__":
    sys.exit(main())
