"""scripts/deploy: builds, migrates, deploys to DigitalOcean with doctl, and looks whether it works.

Where it does not, the build before, in build/previous, is deployed again: functions change one by one, and one
that fails does not undo the others. Migrations only go forward and suit the version before too. doctl must be connected
to the namespace (doctl serverless connect). No value of a setting is printed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from dotenv import dotenv_values

from generation_history import bootstrap, kind_settings
from generation_history import provider_settings as provider_checks
from generation_history import settings as checks
from generation_history.environment import UNSET
from generation_history.errors import HistoryError
from generation_history.providers import factory
from scripts.operate import migrate, smoke
from scripts.release import build
from scripts.release.build import ROOT, project_yml

#: Says of a build that it was deployed, and worked.
WORKED: Final = "worked"
DOCTL_S: Final = 900
#: No secret is shorter.
SECRET_LENGTH: Final = 8


class DeployError(Exception):
    """It was not deployed; the text says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when what is deployed works; 1 with the reason, and the build before deployed again where there is one."""
    parser = argparse.ArgumentParser(prog="scripts/deploy", description=__doc__)
    parser.add_argument("--env", type=Path, default=ROOT / ".env", help="the settings, as .env.example has them (.env)")
    parser.add_argument("--into", type=Path, default=ROOT / "build", help=argparse.SUPPRESS)
    parser.add_argument(
        "--no-migrate", action="store_true", help="leave the database as it is, to go back to an older version"
    )
    parser.add_argument("--dry-run", action="store_true", help="check the settings, and say what would be done")
    options = parser.parse_args(arguments)
    target = cast("Path", options.into)
    try:
        settings = read_settings(cast("Path", options.env))
        if options.dry_run:
            print(f"would build into {target}, migrate, deploy with doctl, and run scripts/smoke; nothing was done")
            return 0
        _look_at_the_bucket(settings)
        keep_previous(target)
        _build(target)
        if not options.no_migrate:
            _step("migrating")
            migrate.migrate(settings["MIGRATE_DATABASE_URL"])
        url = deploy(target, options.env, settings)
    except (DeployError, migrate.MigrationError) as error:
        print(f"scripts/deploy: {error}", file=sys.stderr)
        return 1
    if settings["HEALTH_TOKEN"] == UNSET:
        print("deployed; nobody looked whether the work gets done, for want of a HEALTH_TOKEN:", url)
    else:
        print("deployed, and it works:", url)
    return 0


def _look_at_the_bucket(settings: Mapping[str, str]) -> None:
    _step("looking at the bucket")
    try:
        with _in_effect(settings):
            bootstrap.object_store().check()
    except HistoryError as error:
        raise DeployError(str(error)) from None


def _build(target: Path) -> None:
    _step("building")
    if build.main(["--into", str(target)]):
        raise DeployError("the build is not within its limits")


def read_settings(env: Path) -> dict[str, str]:
    """The settings of the file; DeployError for what is missing there or cannot be right."""
    if not env.is_file():
        raise DeployError(f"there is no {env.name}: copy .env.example and fill it in")
    settings = {name: value or "" for name, value in dotenv_values(env, interpolate=False).items()}
    names = {*re.findall(r"\$\{(\w+)\}", project_yml()), "MIGRATE_DATABASE_URL"}
    missing = sorted(name for name in names if not settings.get(name))
    if missing:
        raise DeployError(f"{env.name} lacks {', '.join(missing)}; what is not used is none")
    example = dotenv_values(ROOT / ".env.example", interpolate=False)
    unfilled = sorted(name for name in names if is_sketch(settings[name]) and settings[name] == example.get(name))
    if unfilled:
        raise DeployError(f"{env.name} still has the example's {', '.join(unfilled)}")
    with _in_effect(settings):
        _check_each(settings)
    return settings


def _check_each(settings: Mapping[str, str]) -> None:
    """DeployError names the first that no function would take."""
    required = (
        *(checks.database_url, checks.worker_database_url, checks.migrate_database_url, checks.spaces, checks.access),
        *(factory.from_settings, kind_settings.default_model, provider_checks.limits),
        *(checks.worker, checks.wake, checks.cors_origins),
    )
    optional = {
        "HISTORY_OWNER_ID": checks.owner_id,
        "HEALTH_TOKEN": checks.health_token,
        "OPENAI_WEBHOOK_SECRET": provider_checks.webhook_secrets,
    }
    try:
        for check in (*required, *(check for name, check in optional.items() if settings[name] != UNSET)):
            check()
    except HistoryError as error:
        raise DeployError(str(error)) from None


@contextmanager
def _in_effect(settings: Mapping[str, str]) -> Generator[None]:
    """The settings are the environment's, for as long as it takes: doctl gets them by the file alone."""
    environment = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)


def is_sketch(value: str | None) -> bool:
    """Whether a value of .env.example stands for another: one with a word in capitals."""
    return bool(value and re.search(r"\b[A-Z_]{3,}\b", value))


def keep_previous(target: Path) -> None:
    """What was deployed last, and worked, is in previous now."""
    current, previous = target / "digitalocean", target / "previous"
    if (current / WORKED).exists():
        shutil.rmtree(previous, ignore_errors=True)
        shutil.move(current, previous)


def deploy(target: Path, env: Path, settings: Mapping[str, str]) -> str:
    """Where what was built is deployed and works; DeployError, after going back, where it does not."""
    try:
        _step("deploying")
        _doctl(settings, "serverless", "deploy", str(target / "digitalocean"), "--env", str(env))
        _step("looking whether it works")
        url = _check(settings)
    except DeployError as error:
        previous = target / "previous"
        if not previous.exists():
            raise DeployError(f"{error}; there is no build before to go back to") from None
        _step("going back to the build before")
        try:
            _doctl(settings, "serverless", "deploy", str(previous), "--env", str(env))
            _check(settings)
        except DeployError as second:
            raise DeployError(f"{error}; it was gone back, and that is not well either: {second}") from None
        raise DeployError(f"{error}; the build before is deployed again") from None
    (target / "digitalocean" / WORKED).touch()
    return url


def _check(settings: Mapping[str, str]) -> str:
    answer = _doctl(settings, "serverless", "functions", "get", "history/generations", "--url").strip()
    url = answer.removesuffix("/history/generations")
    with _in_effect(settings):
        if smoke.main([url]):
            raise DeployError("it does not work")
    return url


def _doctl(settings: Mapping[str, str], *arguments: str) -> str:
    """What doctl printed; it sees no setting but in the file."""
    try:
        result = subprocess.run(
            ["doctl", *arguments],  # noqa: S607 - whichever is on the PATH
            capture_output=True,
            text=True,
            check=False,
            timeout=DOCTL_S,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise DeployError("doctl is not installed") from None
    except subprocess.TimeoutExpired:
        raise DeployError(f"doctl {arguments[1]} took longer than {DOCTL_S} s") from None
    if result.returncode:
        lines = (result.stderr or result.stdout).strip().splitlines()
        raise DeployError(f"doctl {' '.join(arguments[:2])}: {_masked(lines[-1], settings) if lines else 'it failed'}")
    return result.stdout


def _masked(text: str, settings: Mapping[str, str]) -> str:
    """The text without the value of any setting that could be a secret."""
    for value in sorted(settings.values(), key=len, reverse=True):
        if len(value) >= SECRET_LENGTH:
            text = text.replace(value, "***")
    return text


def _step(message: str) -> None:
    print(f"{message} ...", flush=True)


if __name__ == "__main__":
    sys.exit(main())
