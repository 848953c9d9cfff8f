"""What tests of an import share: an older installation beside ours, and a run of the import."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from generation_history.importing.importer import Options, import_history
from generation_history.importing.report import Report
from generation_history.storage.object_store import ObjectStore
from tests.support.old_installation import OldInstallation


@pytest.fixture
def old(db, store: ObjectStore, film: bytes, tmp_path: Path) -> Iterator[OldInstallation]:
    """An older installation in a schema of the same database; the bucket has nothing under sessions/ yet."""
    for key, _ in list(store.keys("sessions/")):
        store.delete(key)
    file = tmp_path / "object"

    def put(key: str, content: bytes) -> None:
        file.write_bytes(content)
        store.put(key, file, content_type="video/mp4")

    with psycopg.connect(db.admin, autocommit=True) as connection:
        made = OldInstallation(connection, put, film, tmp_path / "logs")
        made.create()
        yield made


@pytest.fixture
def run(db, owner: str, old: OldInstallation) -> Callable[..., Report]:
    """An import; what a test says differs from the usual."""

    def make(*, path: Path | None = None, progress=lambda *_: None, **otherwise) -> Report:
        usual = {
            "source_url": db.migrate,
            "source_setting": "--schema",
            "schema": old.schema,
            "owner_id": UUID(owner),
            "logs": old.logs if old.logs.exists() else None,
            "apply": True,
        }
        options = Options(**(usual | otherwise))
        with Report(run="apply" if options.apply else "dry run", path=path) as report:
            import_history(options, db.migrate, report, progress)
        return report

    return make
