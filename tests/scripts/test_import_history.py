"""scripts/import-history: what a person types, and what is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.operate import import_history as command
from tests.importing.conftest import old as old  # noqa: PLC0414 - the fixture
from tests.support.old_installation import OldInstallation

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _settings(db, spaces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGRATE_DATABASE_URL", db.migrate)


def test_what_would_come_is_told_and_then_what_came(old: OldInstallation, owner: str, db, capsys, tmp_path):
    old.whole()
    old.whole("extreme")

    assert command.main(["--schema", "old", "--report", str(tmp_path / "report.csv")]) == 0
    dry = capsys.readouterr()
    assert command.main(["--schema", "old", "--report", str(tmp_path / "report.csv"), "--apply"]) == 0
    done = capsys.readouterr()

    assert "would come" in dry.out
    assert "nothing was changed: --apply does it" in dry.out
    assert "no_known_variant_type" in done.out
    assert "2 of 2 generations" in done.err
    runs = [line.partition(",")[0] for line in (tmp_path / "report.csv").read_text().splitlines()]
    assert runs == ["run", *["dry run"] * 3, *["apply"] * 3]
    assert db.rows("select owner_id::text from generations") == [(owner,)]


def test_from_another_server_for_a_named_owner_with_a_type_that_is_mapped(old: OldInstallation, db):
    old.whole("extreme")
    someone = "018f0000-0000-7000-8000-000000000000"

    done = command.main(
        ["--from", db.admin, "--schema", "old", "--owner", someone, "--map", "Extreme=ultra", "--no-bucket", "--apply"]
    )

    assert done == 0
    assert db.rows("select owner_id::text, variant_types from generations") == [(someone, ["ultra"])]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name the older installation's tables"),
        (["--schema", "public"], "name the older installation's tables"),
        (["--schema", "old"], "HISTORY_OWNER_ID is not set"),
        (["--schema", "old", "--owner", "me"], "--owner must be a UUID"),
        (["--schema", "old", "--map", "extreme=huge"], "--map must be like extreme=ultra"),
        (["--from", "jdbc:postgresql://host/name"], "--from is JDBC's"),
        (
            ["--from", "postgresql://a:secret@127.0.0.1:1/x", "--owner", "018f0000-0000-7000-8000-000000000000"],
            "--from:",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name_on_one_line(db, arguments: list[str], told: str, capsys, monkeypatch):
    if "--map" in arguments:
        monkeypatch.setenv("HISTORY_OWNER_ID", "018f0000-0000-7000-8000-000000000000")

    assert command.main(arguments) == 1

    (first,) = capsys.readouterr().err.splitlines()
    assert first.startswith("scripts/import-history: ")
    assert told in first
    assert "secret" not in first


def test_what_ends_a_run_is_one_line_and_nothing_that_a_terminal_obeys(
    old: OldInstallation, monkeypatch, owner, capsys
):
    old.whole("\x1b[31mred\nand more")
    assert command.main(["--schema", "old"]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "[31mred" in told

    def interrupted(*given: object) -> None:
        given[-1](1, 2)
        raise KeyboardInterrupt

    monkeypatch.setattr("generation_history.importing.command.import_history", interrupted)
    assert command.main(["--schema", "old"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "scripts/import-history: interrupted"
    assert command.main(["--schema", "old", "--apply"]) == 130
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "scripts/import-history: interrupted",
        "scripts/import-history: what was told as done is here; the same command does the rest",
    ]


def test_the_command_is_one_that_can_be_typed():
    asked = [sys.executable, "-m", "scripts.operate.import_history", "--help"]

    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "--apply" in told
    assert (ROOT / "scripts/import-history").stat().st_mode & 0o111


def test_the_command_line_imports_by_the_same_command():
    asked = [sys.executable, "-m", "generation_history.cli", "import", "--help"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.startswith("usage: generation-history import")
    assert "--report" in done.stdout
