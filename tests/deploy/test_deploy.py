"""scripts/deploy and scripts/smoke: in order, back on failure, nothing secret printed."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from generation_history.errors import StorageError
from generation_history.storage.object_store import ObjectStore
from scripts.operate import migrate, smoke
from scripts.release import build, deploy
from tests.deploy.conftest import Deployed
from tests.support.scripted_server import answer

SECRET = "very-secret-value"
FILLED_IN = {
    "DATABASE_URL": f"postgresql://history_api:{SECRET}@db.example:25061/pool?sslmode=require",
    "WORKER_DATABASE_URL": f"postgresql://history_worker:{SECRET}@db.example:25061/pool?sslmode=require",
    "MIGRATE_DATABASE_URL": f"postgresql://history_migrate:{SECRET}@db.example:25060/history?sslmode=require",
    "SORA_BASE_URL": "https://gateway.example/v1",
    "OPENAI_API_KEY": SECRET,
    "DO_SPACES_ACCESS_KEY": SECRET,
    "DO_SPACES_SECRET_KEY": SECRET,
    "DO_SPACES_BUCKET": "my-videos",
    "HEALTH_TOKEN": SECRET,
    "OPENAI_WEBHOOK_SECRET": SECRET,
}
DOCTL = """#!/bin/sh
echo "$@" >>"$DOCTL_LOG"
case "$*" in
*"functions get"*) echo "https://host.example/api/v1/web/fn-x/history/generations"; exit 0 ;;
esac
[ -e "$DOCTL_FAILS" ] && { rm "$DOCTL_FAILS"; echo "Error: sora/poller failed with very-secret-value" >&2; exit 1; }
exit 0
"""


@pytest.fixture
def happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What doctl, the build, the migrations and the smoke test were asked for, in order; all of them succeed."""
    log = tmp_path / "log"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/doctl").write_text(DOCTL)
    (tmp_path / "bin/doctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCTL_LOG", str(log))
    monkeypatch.setenv("DOCTL_FAILS", str(tmp_path / "fails"))
    monkeypatch.setattr(ObjectStore, "check", lambda store: note("bucket", None)(store.url("")))

    def note(what: str, answer: object) -> Callable[..., object]:
        def noted(*given: object) -> object:
            with log.open("a") as file:
                file.write(f"{what} {given[0] if what in {'smoke', 'bucket'} else ''}\n")
            return answer

        return noted

    def built(arguments: list[str]) -> int:
        (Path(arguments[1]) / "digitalocean").mkdir(parents=True, exist_ok=True)
        note("build", 0)(arguments)
        return 0

    monkeypatch.setattr(build, "main", built)
    monkeypatch.setattr(migrate, "migrate", note("migrate", []))
    monkeypatch.setattr(smoke, "main", note("smoke", 0))
    return lambda: [line.strip() for line in log.read_text().splitlines()] if log.exists() else []


def changed(text: str, others: Mapping[str, str]) -> str:
    for name, value in others.items():
        text, found = re.subn(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        assert found == 1, name
    return text


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """The example, filled in."""
    path = tmp_path / "settings"
    path.write_text(changed((deploy.ROOT / ".env.example").read_text(), FILLED_IN))
    return path


@pytest.fixture
def change(env: Path) -> Callable[..., None]:
    """Settings of the file are others."""
    return lambda **others: env.write_text(changed(env.read_text(), others))


@pytest.fixture
def run(env: Path, tmp_path: Path) -> Callable[..., int]:
    return lambda *more: deploy.main(["--env", str(env), "--into", str(tmp_path / "build"), *more])


def test_it_builds_migrates_deploys_and_looks_in_that_order(run, happened, tmp_path, env, capsys):
    assert run() == 0

    assert happened() == [
        "bucket https://my-videos.nyc3.digitaloceanspaces.com/",
        "build",
        "migrate",
        f"serverless deploy {tmp_path}/build/digitalocean --env {env}",
        "serverless functions get history/generations --url",
        "smoke ['https://host.example/api/v1/web/fn-x']",
    ]
    assert "deployed, and it works: https://host.example/api/v1/web/fn-x\n" in capsys.readouterr().out


def test_an_older_version_is_gone_back_to_without_its_migrations(run, happened):
    """It lacks the newer ones, and whoever migrates refuses a database that has them."""
    assert run("--no-migrate") == 0

    assert "migrate" not in happened()
    assert "build" in happened()


def test_a_bucket_that_cannot_be_used_is_said_before_anything_is_done(run, happened, monkeypatch, capsys):
    def refuse(_: ObjectStore) -> None:
        raise StorageError("DO_SPACES_BUCKET: there is no such bucket")

    monkeypatch.setattr(ObjectStore, "check", refuse)

    assert run() == 1

    assert "DO_SPACES_BUCKET: there is no such bucket" in capsys.readouterr().err
    assert happened() == []


def test_that_nobody_watches_is_said(run, happened, change, capsys):
    change(HEALTH_TOKEN="none")

    assert run() == 0

    assert "nobody looked whether the work gets done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("DATABASE_URL", "none"),
        ("DATABASE_URL", "mysql://x"),
        ("HISTORY_ACCESS", "jwt"),
        ("HEALTH_TOKEN", "short"),
        ("DO_SPACES_BUCKET", "Videos"),
        ("SORA_MAX_RUNNING", "many"),
        ("HISTORY_OWNER_ID", "me"),
        ("HISTORY_CORS_ORIGINS", "*"),
        ("VIDEO_PROVIDERS", "sora veo"),
        ("VIDEO_MODEL", "runway:gen4.5"),
        ("OPENAI_API_KEY", "none"),
        ("SORA_BASE_URL", "none"),
    ],
)
def test_a_setting_that_no_function_would_take_is_named_and_nothing_is_done(
    run, happened, change, setting, value, capsys
):
    change(**{setting: value})

    assert run("--dry-run") == 1

    named = {"HISTORY_ACCESS": "HISTORY_JWT_SECRET"}.get(setting, setting)
    assert named in capsys.readouterr().err
    assert happened() == []


def test_one_key_of_another_kind_is_enough_and_the_key_that_a_kind_lacks_is_named(run, happened, change, capsys):
    change(SORA_BASE_URL="none", OPENAI_API_KEY="none", OPENAI_WEBHOOK_SECRET="none", VIDEO_PROVIDERS="fal")

    assert run("--dry-run") == 1
    assert "FAL_KEY is not set" in capsys.readouterr().err

    change(FAL_KEY=SECRET)
    assert run("--dry-run") == 0
    assert happened() == []


def test_the_environment_is_as_before(run, happened, monkeypatch):
    monkeypatch.setenv("DO_SPACES_BUCKET", "another")

    assert run() == 0

    assert (os.environ["DO_SPACES_BUCKET"], os.environ.get("OPENAI_API_KEY")) == ("another", None)


def test_what_does_not_work_is_followed_by_the_build_before(run, happened, tmp_path, monkeypatch, capsys):
    assert run() == 0
    answers = iter([1, 0])
    monkeypatch.setattr(smoke, "main", lambda _: next(answers))

    assert run() == 1

    deployed = [line.split()[2].rsplit("/", 1)[-1] for line in happened() if line.startswith("serverless deploy")]
    assert deployed == ["digitalocean", "digitalocean", "previous"]
    assert "the build before is deployed again" in capsys.readouterr().err
    assert not (tmp_path / "build/digitalocean" / deploy.WORKED).exists()


def test_that_the_build_before_does_not_work_either_is_said(run, happened, monkeypatch, capsys):
    assert run() == 0
    monkeypatch.setattr(smoke, "main", lambda _: 1)

    assert run() == 1

    assert "it was gone back, and that is not well either" in capsys.readouterr().err


def test_a_deploy_that_fails_is_undone_too(run, happened, tmp_path, capsys):
    assert run() == 0
    (tmp_path / "fails").touch()

    assert run() == 1

    assert "sora/poller failed with ***; the build before is deployed again" in capsys.readouterr().err


def test_what_failed_once_is_never_gone_back_to(run, happened, tmp_path, monkeypatch):
    assert run() == 0
    with monkeypatch.context() as broken:
        broken.setattr(smoke, "main", lambda _: 1)
        assert run() == 1
        kept = (tmp_path / "build/previous").stat().st_ino

        assert run() == 1

    assert (tmp_path / "build/previous").stat().st_ino == kept


def test_the_first_that_fails_says_that_there_is_nothing_to_go_back_to(run, happened, tmp_path, capsys):
    (tmp_path / "fails").touch()

    assert run() == 1

    assert "there is no build before" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["OPENAI_API_KEY", "MIGRATE_DATABASE_URL", "SORA_MAX_RUNNING"])
def test_a_missing_setting_is_named_and_nothing_is_done(run, change, happened, missing, capsys):
    change(**{missing: ""})

    assert run() == 1

    assert missing in capsys.readouterr().err
    assert happened() == []


def test_what_was_not_filled_in_is_named(run, env, happened, capsys):
    env.write_text((deploy.ROOT / ".env.example").read_text())

    assert run() == 1

    said = capsys.readouterr().err
    assert "still has the example's DATABASE_URL, DO_SPACES_ACCESS_KEY" in said
    assert happened() == []


def test_a_missing_file_says_where_to_begin(tmp_path, capsys):
    assert deploy.main(["--env", str(tmp_path / "nowhere")]) == 1
    assert "copy .env.example" in capsys.readouterr().err


def test_no_secret_is_printed_whatever_happens(run, happened, tmp_path, capsys):
    run()
    (tmp_path / "fails").touch()
    run()

    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert SECRET not in "\n".join(happened())


def test_a_dry_run_does_nothing(run, happened):
    assert run("--dry-run") == 0
    assert happened() == []


# ---------------------------------------------------------------- smoke


def smoke_of(deployed: Deployed, monkeypatch, **settings: str) -> int:
    environment = deployed.stack.environment
    for name in ("HEALTH_TOKEN", "HISTORY_ACCESS"):
        monkeypatch.setenv(name, settings.get(name, environment[name]))
    return smoke.main([f"{deployed.stack.url}/api", "--patience", settings.get("patience", "60")])


def test_what_works_passes_every_check(deployed, monkeypatch, capsys):
    assert smoke_of(deployed, monkeypatch) == 0
    assert [line[:2] for line in capsys.readouterr().out.splitlines()] == ["ok"] * 5


def test_what_there_is_no_token_for_is_skipped_and_said(deployed, monkeypatch, capsys):
    """The first time, nobody has an API key yet."""
    assert smoke_of(deployed, monkeypatch, HEALTH_TOKEN="none", HISTORY_ACCESS="api-key") == 1

    said = capsys.readouterr().out
    assert "skipped, there is no HEALTH_TOKEN" in said
    assert "skipped, there is no SMOKE_TOKEN" in said
    assert said.count("FAILED") == 1


def test_what_is_open_that_should_not_be_is_said(deployed, monkeypatch, capsys):
    assert smoke_of(deployed, monkeypatch, HISTORY_ACCESS="jwt") == 1
    assert "FAILED  the history is closed without a token: it answers 200 instead of 401" in capsys.readouterr().out


def test_a_wrong_token_fails_the_check_it_is_for(deployed, monkeypatch, capsys):
    assert smoke_of(deployed, monkeypatch, HEALTH_TOKEN="another-token-of-nobody", patience="0") == 1
    assert "FAILED  health says that the work gets done: it answers 401" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("problems", "well"),
    [
        (["the provider https://gateway.example/v1 is gone: it answers 404"], True),
        (["the provider https://gateway.example/v1 is gone: it answers 404", "the poller has not run"], False),
        ([], False),
        (None, False),
    ],
)
def test_a_provider_that_is_down_is_no_fault_of_what_was_deployed(scripted, problems, well, monkeypatch, capsys):
    """Going back would not bring it up, and a new version may be what names another."""
    monkeypatch.setenv("HEALTH_TOKEN", "any")
    scripted.script(*[answer(503, json.dumps({"problems": problems}).encode())] * 9)

    smoke.main([scripted.base_url, "--patience", "0"])

    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith("ok") == well


def test_what_is_not_there_is_said_check_by_check(monkeypatch, capsys):
    monkeypatch.setenv("HEALTH_TOKEN", "any")
    monkeypatch.setenv("SMOKE_TOKEN", "any")
    monkeypatch.setenv("HISTORY_ACCESS", "api-key")
    assert smoke.main(["http://127.0.0.1:9", "--patience", "0"]) == 1
    assert capsys.readouterr().out.count("it cannot be reached: ConnectionError") == 5


# ---------------------------------------------------------------- what to go back to, for a fresh checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in a checkout of two tagged versions, whose build says which one it is of."""
    folder = tmp_path / "checkout"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(deploy.ROOT / "scripts/build-before", folder / "scripts")
    build_script = folder / "scripts/build"
    build_script.write_text(
        '#!/bin/sh\nmkdir -p "$2/digitalocean"\ncp "$(dirname "$0")/../version" "$2/digitalocean/"\n'
    )
    build_script.chmod(0o755)

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        who = {"GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        who |= {f"GIT_{one}_{what}": "t@example.com" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return subprocess.run(command, cwd=folder, env=who, check=True, capture_output=True, text=True)

    run("git", "init", "-q")
    for version in ("v1", "v2"):
        (folder / "version").write_text(version)
        run("git", "add", ".")
        run("git", "commit", "-qm", version)
        run("git", "tag", version)
    return run


def test_a_fresh_checkout_builds_the_version_before(checkout, tmp_path):
    checkout("scripts/build-before")

    assert (tmp_path / "checkout/build/previous/version").read_text() == "v1"
    assert checkout("git", "worktree", "list").stdout.count("\n") == 1


def test_what_was_deployed_from_here_is_kept(checkout, tmp_path):
    (tmp_path / "checkout/build/previous").mkdir(parents=True)

    checkout("scripts/build-before")

    assert list((tmp_path / "checkout/build/previous").iterdir()) == []


def test_the_first_version_has_none_before(checkout, tmp_path):
    checkout("git", "checkout", "-q", "v1")

    checkout("scripts/build-before")

    assert not (tmp_path / "checkout/build").exists()
