"""An older installation's own reader of its record, which is in the database that SUPABASE_URL names here."""

import os
from typing import Any

import psycopg
from psycopg.rows import dict_row


class GenerationManager:
    def list_generations(self) -> list[dict[str, Any]]:
        return self._rows("select * from generations order by created_at desc, id")

    def get_generation(self, generation_id: str) -> dict[str, Any] | None:
        found = self._rows("select * from generations where id = %s", generation_id)
        for generation in found:
            generation["variants"] = self._rows("select * from variants where generation_id = %s", generation_id)
            for variant in generation["variants"]:
                variant["scenes"] = self._rows("select * from scenes where variant_id = %s", variant["id"])
        return found[0] if found else None

    def _rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        with psycopg.connect(os.environ["SUPABASE_URL"], row_factory=dict_row) as connection:
            return connection.execute(query, parameters).fetchall()
