"""The columns of the record as reads show them, and a generation's variants and scenes as one JSON array."""

from typing import Final, LiteralString

# A page is cut and signed as text (paging.py, publishing.py): a generation has id and created_at in it, and in a slim
# scene thumbnail_url follows video_url.

GENERATION: Final = """
    g.id, right(g.id::text, 8) as short_id, g.source_video_url, g.source_video_type, g.status, g.total_variants,
    g.variant_types, g.cost_estimate, g.actual_cost, g.error_message, g.created_at, g.updated_at, g.completed_at
"""
#: A generation as the library shows it.
LIBRARY_ITEM: Final = """
    g.id, right(g.id::text, 8) as short_id, g.source_video_url, g.created_at, g.completed_at, g.total_variants,
    g.variant_types, (
        select count(*) from variants v join scenes s on s.variant_id = v.id
        where v.generation_id = g.id and s.status = 'completed'
    ) as total_videos
"""
VARIANT: Final = """
    v.id, v.generation_id, v.variant_type, v.given_type, v.status, v.scenes_completed, v.total_scenes,
    v.error_message, v.created_at, v.updated_at, v.completed_at
"""
SLIM_SCENE: Final = """
    s.id, s.variant_id, s.scene_number, s.sora_video_id, s.sora_status, s.video_url, s.thumbnail_url, s.duration,
    s.resolution, s.file_size, s.status, s.error_message, s.error_code, s.attempt, s.created_at, s.updated_at,
    s.completed_at
"""
SCENE: Final = SLIM_SCENE + ", s.sora_prompt, s.provider, s.provider_base_url, s.model, s.size, s.seconds, s.expires_at"
_VARIANT_ORDER: Final = "array_position(array['soft', 'medium', 'aggressive', 'ultra'], v.variant_type::text)"


def variants_json(scene_columns: LiteralString) -> LiteralString:
    """A subquery: the variants of generation g in order, each with its scenes, as one JSON array."""
    return (
        "(select coalesce(json_agg(row_to_json(t)), '[]') from (select " + VARIANT + ", (select"
        " coalesce(json_agg(row_to_json(x)), '[]') from (select " + scene_columns + " from scenes s"
        " where s.variant_id = v.id order by s.scene_number) x) as scenes"
        " from variants v where v.generation_id = g.id order by " + _VARIANT_ORDER + ") t)"
    )
