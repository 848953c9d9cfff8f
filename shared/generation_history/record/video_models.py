"""VideoModels: the models that can be asked for, ours and an operator's, as the database has them now."""

import time
from uuid import UUID

from generation_history.db.database import Database
from generation_history.errors import InvalidValue, NotConfigured
from generation_history.providers.catalogue import Catalogue, catalogue

#: How long an operator's change takes to be seen by a process that runs.
KEPT_SECONDS = 60.0


class VideoModels:
    """The catalogue, read anew after KEPT_SECONDS; each login may read it."""

    def __init__(self, db: Database, owner_id: UUID | None = None) -> None:
        self._db = db
        self._owner_id = owner_id
        self._read_at = 0.0
        self._catalogue = Catalogue([])

    def catalogue(self) -> Catalogue:
        """All models by their full names; NotConfigured, for which work waits, where an entry cannot be read."""
        if not self._catalogue.models or time.monotonic() - self._read_at > KEPT_SECONDS:
            rows = self._db.run(self._owner_id, ("select definition from video_models order by name", {}))
            try:
                self._catalogue = catalogue(row["definition"] for row in rows)
            except InvalidValue as error:
                raise NotConfigured(f"the table video_models has an entry that cannot be read: {error}") from None
            self._read_at = time.monotonic()
        return self._catalogue
