"""What the settings name: connections to the database and to the bucket are made here and nowhere else."""

from functools import cache

from generation_history import settings
from generation_history.db import database
from generation_history.db.database import Database
from generation_history.settings import SpacesSettings
from generation_history.storage.object_store import ObjectStore


def record_database() -> Database:
    """The record of owners, as the login history_api; the process's one Database of DATABASE_URL."""
    return database.connect(settings.database_url(), setting="DATABASE_URL")


def work_database() -> Database:
    """The work of all owners, as the login history_worker; the process's one Database of WORKER_DATABASE_URL."""
    return database.connect(settings.worker_database_url(), setting="WORKER_DATABASE_URL")


def object_store() -> ObjectStore:
    """The bucket; the same ObjectStore as long as its settings are the same."""
    return _object_store(settings.spaces())


@cache
def _object_store(spaces: SpacesSettings) -> ObjectStore:
    return ObjectStore(spaces)
