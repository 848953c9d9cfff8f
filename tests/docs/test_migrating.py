"""MIGRATING.md: an older installation goes through its commands as they stand, works afterwards, and goes back."""

import csv
import re
import shutil
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4
from zipfile import ZipFile

import psycopg
import pytest
import requests
import yaml

from generation_history.settings import SpacesSettings
from generation_history.storage.object_store import ObjectStore
from scripts.local import ports
from tests.conftest import PROVIDER_KEY, TestDatabase
from tests.support.guide import ROOT, Guide, shell, wait_for
from tests.support.old_installation import TABLES, OldInstallation
from tests.support.older_server import Older, is_public, publish

GUIDE = Guide(ROOT / "MIGRATING.md")
OLD_MODULES = {"generation_manager.py", "video_storage_manager.py", "pipeline_integrator.py", "history_api.py"}
BEFORE, INSTALLING, SETTINGS = (
    "## 1. Before you begin",
    "## 2. Delete four files, install the package",
    "## 3. Settings",
)
DATABASE, OLD_DATABASE = "## 4. The new database", "### If it must be the old database"
IMPORT, PIPELINE, SERVER = "## 5. Import", "## 6. The pipeline", "## 7. The server"
PROCESSES, BACK = "## 8. Poller and purge", "## Going back"


@pytest.fixture
def older(
    postgres, template, spaces: SpacesSettings, store: ObjectStore, film: bytes, tmp_path: Path
) -> Iterator[Older]:
    """It is filled with odd generations, and stands still; template: the logins are there."""
    for prefix in ("sessions/", "generations/"):
        for key, _ in list(store.keys(prefix)):
            store.delete(key)
    name, file = f"older_{uuid4().hex}", tmp_path / "object"
    public = ObjectStore(spaces)

    def put(key: str, content: bytes) -> None:
        file.write_bytes(content)
        store.put(key, file, content_type="video/mp4")
        publish(public, key)

    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {name}")
        url = postgres.url(name, "postgres", "postgres")
        folder = Path(shutil.copytree(Path(__file__).with_name("old_server"), tmp_path / "old"))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("drop schema public")
            record = OldInstallation(connection, put, film, folder / "output/logs", schema="public")
            record.create("postgres")
            made = Older(folder, url, record, shell(folder), ports.free_port())
            made.write_settings({"SUPABASE_URL": url, "OPENAI_API_KEY": "old", "PORT": str(made.port)})
            yield made
        admin.execute(f"drop database {name} with (force)")


@pytest.fixture
def settings(older: Older, blank: TestDatabase, spaces: SpacesSettings, sora: str) -> dict[str, str]:
    """What the owner writes for what the guide leaves open."""
    return {
        # A shell would end it at the "&".
        "DATABASE_URL": f"{blank.api}?connect_timeout=10&application_name=ads",
        "WORKER_DATABASE_URL": blank.worker,
        "SORA_BASE_URL": sora,
        "OPENAI_API_KEY": PROVIDER_KEY,
        "DO_SPACES_ACCESS_KEY": spaces.access_key,
        "DO_SPACES_SECRET_KEY": spaces.secret_key,
        "DO_SPACES_BUCKET": spaces.bucket,
        "DO_SPACES_REGION": spaces.region,
        "HISTORY_OWNER_ID": str(uuid4()),
        "HISTORY_ACCESS": "single-owner",
        "HISTORY_SPOOL_FILE": str(older.folder.parent / "spool.jsonl"),
        "ADMIN_DATABASE_URL": blank.admin,
        "MIGRATE_DATABASE_URL": blank.migrate,
    }


def names_in(block: str) -> list[str]:
    return [line.partition("=")[0] for line in block.splitlines()]


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# ---------------------------------------------------------------- the way there and back


@pytest.mark.slow
def test_an_older_installation_moves_in_by_the_guides_commands_and_back(
    older: Older, settings: dict[str, str], blank: TestDatabase, spaces: SpacesSettings, tmp_path: Path
):
    older.record.fill()
    rows_before = older.rows()
    with older.served():
        seen_before = older.ask("history/generations")["generations"]
    assert len(seen_before) == len(older.record.named)

    stop_and_copy(older, tmp_path)
    install(older, tmp_path)
    write_settings(older, settings, spaces)
    for block in GUIDE.blocks(DATABASE, "sh"):
        older.shell.run(block)
    import_all(older, blank)
    mend_the_pipeline(older)
    with older.served() as server, processes(older) as poller:
        look(older)
        answers_otherwise(older)
        other_pages_can_do_nothing(older)
        cloned = clone(older, server)
        the_front_end_shows(older, cloned)
        submitted(older, settings, cloned, poller)
        download(older, cloned)
    assert older.rows() == rows_before

    go_back(older, spaces)
    with older.served():
        assert older.ask("history/generations")["generations"] == seen_before
        for generation in seen_before[:3]:
            assert older.ask(f"history/generations/{generation['id']}")["generation"]["variants"]
    assert older.rows() == rows_before


def stop_and_copy(older: Older, tmp_path: Path) -> None:
    (block,) = GUIDE.blocks(BEFORE, "sh")
    older.shell.run(block.replace("postgresql://postgres:PASSWORD@HOST:5432/postgres", older.url))
    listed = older.shell.run("pg_restore --list ../old-record.dump")
    assert all(f"TABLE DATA public {table}" in listed for table in TABLES)
    assert (tmp_path / "before-generation-history/generation_manager.py").is_file()


def install(older: Older, tmp_path: Path) -> None:
    (block,) = GUIDE.blocks(INSTALLING, "sh")
    place = older.shell.run(block)
    assert not Path(place.strip()).is_relative_to(older.folder)
    assert (tmp_path / "pip.log").read_text("utf-8") == "install ./generation-history[cli]\n"
    assert not [name for name in OLD_MODULES if (older.folder / name).exists()]


def write_settings(older: Older, settings: dict[str, str], spaces: SpacesSettings) -> None:
    server, admin = (names_in(block) for block in GUIDE.blocks(SETTINGS, "dotenv"))
    assert {*server, *admin} == set(settings)
    own = {"DO_SPACES_ENDPOINT": spaces.endpoint, "SORA_SIZE": "160x288", "SORA_SECONDS": "1"}
    often = {"POLLER_INTERVAL_SECONDS": "1"}
    older.write_settings({**older.settings(), **{name: settings[name] for name in server}, **own, **often})
    (older.folder / "admin.env").write_text("".join(f"{name}={settings[name]}\n" for name in admin), "utf-8")


def import_all(older: Older, blank: TestDatabase) -> None:
    dry, apply = GUIDE.blocks(IMPORT, "sh")
    assert "nothing was changed" in older.shell.run(dry)
    assert blank.rows("select count(*) from generations") == [(0,)]
    older.shell.run(apply)
    here = {(table, row_id) for table in TABLES for (row_id,) in blank.rows(f"select id from {table}")}
    lines = lines_of(older.folder / "import-done.csv")
    refused = {(line["table"], UUID(line["id"])) for line in lines if line["kind"] == "refused"}
    assert here | refused == set(older.record.rows())
    reasons = set(re.findall(r"^\| `(\w+)`:", GUIDE.section(IMPORT), re.MULTILINE))
    assert reasons <= {line["reason"] for line in lines_of(older.folder / "import-dry.csv")}


def mend_the_pipeline(older: Older) -> None:
    _, base_url, keys = GUIDE.blocks(PIPELINE, "python")
    (register,) = GUIDE.blocks(SERVER, "python")
    older.replace("sora_client.py", "self.base_url =", base_url)
    older.replace("sora_client.py", "return result", f"{keys}return result")
    older.replace("server.py", "register_history_api(app)", register)


@contextmanager
def processes(older: Older) -> Generator[subprocess.Popen[bytes]]:
    """The guide's services run beside the server; the poller is handed on."""
    services = yaml.safe_load(GUIDE.blocks(PROCESSES, "yaml")[0])["services"]
    assert {service["env_file"] for service in services.values()} == {".env"}
    with (
        older.shell.running(*services["poller"]["command"], settings=older.settings()) as poller,
        older.shell.running(*services["purge"]["command"], settings=older.settings()),
    ):
        yield poller


def look(older: Older) -> None:
    api_key, block = GUIDE.blocks(SERVER, "sh")
    assert "ghk_" in older.shell.run(api_key)
    block = block.replace("http://127.0.0.1:8080/api", older.api)
    answered = older.shell.run(
        re.sub(r"^curl --fail ", "curl --fail --silent --show-error ", block, flags=re.MULTILINE)
    )
    assert '"total_generations":51' in answered
    assert requests.get(f"http://127.0.0.1:{older.port}/history/", timeout=30).text.startswith("<!doctype html>")


def answers_otherwise(older: Older) -> None:
    """What the guide says of each call that is answered otherwise than by the older installation."""
    rows = re.findall(
        r"^\| `(GET|DELETE) /api/(\S+)` \| (\d+) \| (\d+) \|", GUIDE.section("### Over HTTP"), re.MULTILINE
    )
    assert len(rows) == 10
    answers = [requests.request(method, f"{older.api}/{path}", timeout=30) for method, path, *_ in rows]
    assert [answer.status_code for answer in answers] == [int(new) for *_, new in rows]
    assert answers[-1].json()["error"] == "no such generation"


def other_pages_can_do_nothing(older: Older) -> None:
    """The server opens its own routes to every origin, as it did."""
    page = {"origin": "https://elsewhere.example", "sec-fetch-site": "cross-site"}
    one = older.record.named["bare"]
    answer = requests.delete(f"{older.api}/history/generations/{one}", headers=page, timeout=30)
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (403, False)
    assert "access-control-allow-origin" in requests.options(f"{older.api}/clone", headers=page, timeout=30).headers


def clone(older: Older, server: subprocess.Popen[bytes]) -> str:
    """The id of a generation that the old pipeline has made, its videos stored by its own calls."""
    body = {"url": "https://video.example/new", "aggression_level": "soft"}
    cloned = requests.post(f"{older.api}/clone", json=body, timeout=30).json()["generation_id"]
    wait_for(server, lambda: older.ask(f"history/generations/{cloned}")["generation"]["status"] == "completed")
    return cloned


def the_front_end_shows(older: Older, cloned: str) -> None:
    detail = older.ask(f"history/generations/{cloned}")["generation"]
    (variant,) = detail["variants"]
    assert [(scene["status"], scene["attempt"]) for scene in variant["scenes"]] == [("completed", 1)] * 2
    assert (detail["error_message"], detail["actual_cost"]) == (None, 0.96)
    assert detail["metadata"]["original_analysis"]["hook"] == "fast"
    newest = older.ask("history/generations?limit=20")["generations"][0]
    assert (newest["id"], newest["variants"][0]["scenes_completed"]) == (cloned, 2)
    imported = str(older.record.named["session by log"])
    library = {item["id"]: item for item in older.ask("history/library?limit=100")["library"]}
    assert {cloned, imported} <= set(library)
    for scene in [*variant["scenes"], *library[imported]["variants"][0]["scenes"]]:
        assert requests.get(scene["video_url"], timeout=30).ok
    assert requests.get(variant["scenes"][0]["thumbnail_url"], timeout=30).headers["content-type"] == "image/jpeg"
    stats = older.ask("history/stats")["stats"]
    assert stats["total_generations"] == 52


def submitted(older: Older, settings: dict[str, str], cloned: str, poller: subprocess.Popen[bytes]) -> None:
    """The guide's better way: the poller submits, and ends the generation."""
    (block, *_) = GUIDE.blocks(PIPELINE, "python")
    program = f"""
from dotenv import load_dotenv
load_dotenv()
from pipeline_integrator import PipelineIntegrator
integrator, level, prompts = PipelineIntegrator(), "ultra", ["the opening"]
generation_id = integrator.start_generation("https://video.example/new", "url", [level], 0.77)
{block}
print(generation_id)
"""
    (older.folder / "submit.py").write_text(program, "utf-8")
    generation_id = older.shell.run("python submit.py").strip()
    path = f"history/generations/{generation_id}"
    wait_for(poller, lambda: older.ask(path)["generation"]["status"] == "completed")
    (variant,) = older.ask(path)["generation"]["variants"]
    assert [scene["status"] for scene in variant["scenes"]] == ["completed"]


def download(older: Older, cloned: str) -> None:
    (block,) = GUIDE.blocks(PROCESSES, "sh")
    older.shell.run(block.replace("GENERATION", cloned))
    (archive,) = (older.folder / "videos").glob("*.zip")
    with ZipFile(archive) as videos:
        assert len([name for name in videos.namelist() if name.endswith(".mp4")]) == 2


def go_back(older: Older, spaces: SpacesSettings) -> None:
    bucket = ObjectStore(spaces)
    stored = older.record.named["bare"]
    key = f"generations/{stored}/soft/scene_1.mp4"
    assert not is_public(bucket, key)
    (program,) = GUIDE.blocks(BACK, "python")
    (older.folder / "back.py").write_text(program, "utf-8")
    older.shell.run("python back.py")
    assert is_public(bucket, key)
    (block,) = GUIDE.blocks(BACK, "sh")
    older.shell.run(block)
    assert all((older.folder / name).is_file() for name in OLD_MODULES)
    assert "HISTORY_ACCESS" not in older.settings()


# ---------------------------------------------------------------- in the old database itself


@pytest.mark.slow
def test_the_old_tables_may_be_moved_aside_in_their_own_database(
    older: Older, settings: dict[str, str], spaces: SpacesSettings
):
    one = older.record.whole()
    older.record.connection.execute(
        "create function public.update_updated_at_column() returns trigger language plpgsql as"
        " $$ begin new.updated_at = now(); return new; end $$"
    )
    logins = {name: value for name, value in settings.items() if name.endswith("DATABASE_URL")}
    database = older.url.rpartition("/")[2]
    settings |= {name: f"{value.rpartition('/')[0]}/{database}" for name, value in logins.items()}
    write_settings(older, settings, spaces)
    older.shell.environment["OLD_DATABASE_URL"] = older.url
    move, grant = GUIDE.blocks(OLD_DATABASE, "sql")
    (make,) = GUIDE.blocks(DATABASE, "sh")
    sourced, created, migrated = make.splitlines()
    _, apply = GUIDE.blocks(IMPORT, "sh")

    for commands in (sourced, psql(move), created, migrated, psql(grant)):
        older.shell.run(commands)
    (older.folder / "output/logs").mkdir(parents=True)
    older.shell.run(apply.replace('--from "$OLD_DATABASE_URL"', "--schema old"))

    connection = older.record.connection
    assert connection.execute("select id, owner_id::text from public.generations").fetchall() == [
        (one, settings["HISTORY_OWNER_ID"])
    ]
    assert connection.execute("select id from old.generations").fetchall() == [(one,)]


def psql(statements: str) -> str:
    return f'psql --quiet --set ON_ERROR_STOP=1 "$ADMIN_DATABASE_URL" <<"END"\n{statements}END'
