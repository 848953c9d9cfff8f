"""MetadataWriter: how a generation's metadata is recorded; a part of GenerationManager's SQL."""

import json
import re
from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from generation_history.db.database import Statement
from generation_history.errors import InvalidValue
from generation_history.ids import uuid7
from generation_history.models import METADATA_KINDS, MetadataRow
from generation_history.record.generation_reader import GenerationReader, row_id
from generation_history.record.validation import shallow


class MetadataWriter(GenerationReader):
    """The metadata of one owner's generations, to write; GenerationManager says how."""

    def save_metadata(
        self,
        generation_id: str,
        original_analysis: Any = None,
        transformation_data: Any = None,
        prompts_data: Any = None,
        evaluation_data: Any = None,
    ) -> MetadataRow:
        """The generation's metadata with what was given replaced; a kind that is None stays as it was."""
        generation_uuid = row_id(generation_id, "generation")
        kinds: dict[str, Any] = dict(
            zip(METADATA_KINDS, (original_analysis, transformation_data, prompts_data, evaluation_data), strict=True)
        )
        query: Statement = (
            """
            select row_to_json(r) as record from (
                select m.id, m.generation_id, m.original_analysis, m.transformation_data, m.prompts_data,
                       m.evaluation_data, m.created_at, m.updated_at
                from generation_metadata m join generations g on g.id = m.generation_id
                where m.generation_id = %(id)s and g.deleted_at is null) r
            """,
            {"id": generation_uuid},
        )
        lock: Statement = ("select lock_live_generation(%(id)s, 'generation')", {"id": generation_uuid})
        return cast(
            "MetadataRow", self._record_of("generation", lock, self._metadata_statement(generation_uuid, kinds), query)
        )

    def _metadata_statement(self, generation_id: UUID, kinds: Mapping[str, Any]) -> Statement:
        upsert = """
            insert into generation_metadata
                (id, generation_id, owner_id, original_analysis, transformation_data, prompts_data, evaluation_data)
            values (%(id)s, %(generation_id)s, %(owner_id)s, %(original_analysis)s::jsonb,
                %(transformation_data)s::jsonb, %(prompts_data)s::jsonb, %(evaluation_data)s::jsonb)
            on conflict on constraint generation_metadata_generation_id_key do update set
                original_analysis = coalesce(excluded.original_analysis, generation_metadata.original_analysis),
                transformation_data = coalesce(excluded.transformation_data, generation_metadata.transformation_data),
                prompts_data = coalesce(excluded.prompts_data, generation_metadata.prompts_data),
                evaluation_data = coalesce(excluded.evaluation_data, generation_metadata.evaluation_data)
        """
        for kind in kinds:
            if kind not in METADATA_KINDS:
                raise InvalidValue(f"metadata is of the kinds {', '.join(METADATA_KINDS)}, not {kind!r}")
        values = {kind: _json(kind, kinds.get(kind)) for kind in METADATA_KINDS}
        return upsert, {"id": uuid7(), "generation_id": generation_id, "owner_id": self.owner_id, **values}


def _json(name: str, value: Any) -> str | None:
    if value is None:
        return None
    try:
        # As it is, not escaped: so lone surrogates show here, which Postgres would refuse without a name.
        text = json.dumps(shallow(value), allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"{name} cannot be kept as JSON: {error}") from None
    if re.search(r"(?<!\\)(?:\\\\)*\\u0000", text):
        raise InvalidValue(f"{name} cannot be kept as JSON: it has a NUL character")
    return text
