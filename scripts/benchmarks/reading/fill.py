"""Generations by the million, made by the server itself: what each is depends on its number alone.

Each has 3 variants of 4 scenes and metadata, with ids whose time is created_at, spread evenly over the year before
now. One owner has 60 % of all, each other one about 80. Of the big owner's, 60 have the variant type ultra and 20 a
source with the word zanzibar, however many there are in all. One in a hundred is deleted; one in ten has its attempts,
which a detail alone reads.
"""

import uuid
from typing import LiteralString

import psycopg
from psycopg import sql

BIG_OWNER = uuid.UUID("b1660000-0000-4000-8000-000000000000")
COMMON_WORD = "summer"
RARE_WORD = "zanzibar"
RARE_TYPE = "ultra"
SPACES = "https://soraking-videos.nyc3.digitaloceanspaces.com"
_GENERATIONS_OF_A_SMALL_OWNER = 80

_PROMPT_WORDS = """
    slow pan across a wet street at dawn while neon signs flicker over parked cars and steam rises from the grates
    handheld camera follows young woman in yellow raincoat past market stalls close-up of hands pouring oat milk golden
    hour light soft focus lens flare shallow depth field gentle smile product bottle turns on marble table macro shot
    bubbles rising through amber glass upbeat cut to kitchen family laughing dog runs frame text fades out logo appears
"""
_SOURCE_WORDS = """
    summer winter autumn spring sale launch hook teaser promo story review unboxing before after challenge duet recipe
    travel beach mountain city night morning coffee sneaker serum lipstick shampoo vitamin protein snack soda charger
    headphones mattress blender vacuum drone camera laptop jacket denim watch ring perfume candle puzzle skincare makeup
    fitness yoga running garden kitchen office baby puppy kitten founder customer doctor influencer
"""

# Each function uses each argument once, so that the planner writes it out where it is called.
_PLAN: LiteralString = """
    create function pg_temp.draw(seed bigint, salt bigint, sides bigint) returns integer language sql immutable as $$
        select ((hashint8extended(seed, salt) & 1073741823) % sides)::integer
    $$;
    create function pg_temp.uuid7(milliseconds bigint, seed text) returns uuid language sql immutable as $$
        select (lpad(to_hex(milliseconds), 12, '0')
            || overlay(overlay(substr(md5(seed), 13) placing '7' from 1) placing '8' from 5))::uuid
    $$;

    create temporary table prompts as
    select number, string_agg(word[1 + pg_temp.draw(number * 1000 + i, 1, cardinality(word))], ' ' order by i) as prompt
    from (select {prompt_words}::text[] as word) w, generate_series(0, 1999) number, generate_series(1, 48) i
    group by number;

    create temporary table planned as
    select n, milliseconds, to_timestamp(milliseconds / 1000.0) as created_at,
           pg_temp.uuid7(milliseconds, 'g' || n) as id,
           case when rare_type or rare_source or pg_temp.draw(n, 3, 10) < 6 then {big_owner}::uuid
                else md5('owner' || pg_temp.draw(n, 4, greatest(1, {count} * 4 / 10 / {small})))::uuid end as owner_id,
           case when chance < 80 then 'completed' when chance < 92 then 'failed' when chance < 98 then 'processing'
                else 'pending' end as status,
           chance < 8 as is_flawed,
           case when rare_type then array['medium', 'aggressive', 'ultra']
                else array['soft', 'medium', 'aggressive'] end as variant_types,
           'https://cdn.' || word[1 + pg_temp.draw(n, 5, cardinality(word))] || '.example/'
               || case when rare_source then 'zanzibar' else word[1 + pg_temp.draw(n, 6, cardinality(word))] end || '-'
               || word[1 + pg_temp.draw(n, 7, cardinality(word))] || '-' || substr(md5(n::text), 1, 10) || '.mp4'
               as source_video_url,
           not (rare_type or rare_source) and pg_temp.draw(n, 8, 100) = 0 as is_deleted
    from (
        select n, started + (n - 1) * step + pg_temp.draw(n, 9, step) as milliseconds,
               pg_temp.draw(n, 2, 100) as chance,
               n % greatest(2, {count} / 60) = 0 as rare_type, n % greatest(2, {count} / 20) = 1 as rare_source
        from (
            select greatest(1, year / {count}) as step,
                   (extract(epoch from now()) * 1000)::bigint - year as started
            from (select 365 * 86400000::bigint as year) y
        ) t, generate_series(1, {count}::bigint) n
    ) numbered, (select {source_words}::text[] as word) w;
    analyze prompts, planned;

    create temporary view planned_variants as
    select n, k, milliseconds, created_at, p.id as generation_id, owner_id, variant_type, p.status as of_status,
           is_flawed, pg_temp.uuid7(milliseconds, 'v' || n || '.' || k) as id,
           case when p.status = 'completed' and is_flawed and k = 2 then 'failed'
                when p.status = 'processing' and k <> 2 then case k when 1 then 'completed' else 'pending' end
                else p.status end as status
    from planned p cross join lateral unnest(variant_types) with ordinality as kinds (variant_type, k)
    offset 0;  -- a fence: what is computed here is computed once

    create temporary view planned_scenes as
    select n, k, s, v.id as variant_id, generation_id, owner_id, variant_type, milliseconds, created_at,
           pg_temp.uuid7(milliseconds, 's' || n || '.' || k || '.' || s) as id,
           case when of_status = 'completed' and is_flawed and k = 2 and s < 4 then 'completed'
                when of_status = 'processing' and k = 2 then case when s < 3 then 'completed' else 'processing' end
                else v.status end as status
    from planned_variants v cross join generate_series(1, 4) s
    offset 0;
"""

#: The rows of each table, in the order of their ids.
_ROWS: dict[str, LiteralString] = {
    "generations": """
        select id, owner_id, source_video_url, 'url'::text as source_video_type, status, 3 as total_variants,
               variant_types, 9.60::numeric as cost_estimate,
               case when status = 'completed' and pg_temp.draw(n, 10, 10) > 0
                   then 9.60 - case when is_flawed then 0.80 else 0 end end as actual_cost,
               status = 'completed' and pg_temp.draw(n, 10, 10) > 0 as actual_cost_reported,
               case when status = 'failed' then '12 of 12 scenes failed'
                    when status = 'completed' and is_flawed then '1 of 12 scenes failed' end as error_message,
               created_at, created_at + interval '10 minutes' as updated_at,
               case when status = 'completed' then created_at + interval '10 minutes' end as completed_at,
               case when is_deleted then now() end as deleted_at,
               case when is_deleted then now() + interval '30 days' end as purge_at
        from planned
    """,
    "generation_metadata": """
        select pg_temp.uuid7(milliseconds, 'm' || n) as id, id as generation_id, owner_id,
               jsonb_build_object('hook', prompt, 'words', n % 200, 'cuts', n % 17) as original_analysis,
               jsonb_build_object('tone', 'warmer', 'seconds', 32) as transformation_data,
               created_at, created_at as updated_at
        from planned join prompts on number = n % 2000
    """,
    "variants": """
        select id, generation_id, owner_id, variant_type, status,
               case when status = 'completed' then 4 when of_status = 'completed' then 3
                    when status = 'processing' then 2 else 0 end as scenes_completed,
               4 as total_scenes,
               case when status = 'failed' then case of_status when 'failed' then '4 of 4 scenes failed'
                   else '1 of 4 scenes failed' end end as error_message,
               created_at, created_at + interval '9 minutes' as updated_at,
               case when status = 'completed' then created_at + interval '9 minutes' end as completed_at
        from planned_variants
    """,
    "scenes": """
        select id, variant_id, owner_id, s as scene_number, s || '. ' || prompt as sora_prompt,
               case when status <> 'pending' then 'video_' || replace(id::text, '-', '') end as sora_video_id,
               case when status <> 'pending' then case status when 'processing' then 'in_progress' else status end end
                   as sora_status,
               case when status = 'completed' then {spaces} || '/generations/' || generation_id || '/' || variant_type
                   || '/scene_' || s || '.mp4' end as video_url,
               case when status = 'completed' then {spaces} || '/generations/' || generation_id || '/' || variant_type
                   || '/scene_' || s || '_thumb.jpg' end as thumbnail_url,
               case when status = 'completed' then 8 end as duration,
               case when status = 'completed' then '720x1280' end as resolution,
               case when status = 'completed' then 1400000::bigint + pg_temp.draw(n * 100 + k * 10 + s, 11, 3000000) end
                   as file_size,
               status, case when status = 'failed' then 'the prompt was refused' end as error_message,
               case when status = 'failed' then 'moderation_blocked' end as error_code,
               created_at, created_at + interval '9 minutes' as updated_at,
               case when status = 'completed' then created_at + interval '9 minutes' end as completed_at
        from planned_scenes join prompts on number = (n * 12 + k * 4 + s) % 2000
    """,
    "attempts": """
        select pg_temp.uuid7(milliseconds, 'a' || n || '.' || k || '.' || s) as id, id as scene_id, owner_id,
               1 as attempt,
               case status when 'completed' then 'stored' when 'failed' then 'failed' else 'accepted' end as outcome,
               'sora'::text as provider, 'https://gateway.example/v1'::text as provider_base_url,
               'sora-2'::text as model, '720x1280'::text as size, 8 as seconds,
               'video_' || replace(id::text, '-', '') as sora_video_id, created_at as intended_at,
               created_at + interval '1 second' as accepted_at,
               case when status = 'completed' then created_at + interval '8 minutes' end as rendered_at,
               case when status <> 'processing' then created_at + interval '9 minutes' end as finished_at,
               case when status = 'failed' then 'moderation_blocked' end as error_code,
               case when status = 'failed' then 'the prompt was refused' end as error_message,
               case when status = 'completed' then 0.80 end as cost, created_at
        from planned_scenes where n % 10 = 0 and status <> 'pending'
    """,
}


def fill(admin_url: str, count: int) -> None:
    """Guarantees that the database holds these generations, and nothing else, as fresh from vacuum and analyze.

    The one session makes rows while the other one writes them, as frozen rows and with neither triggers nor, where
    the server runs with wal_level minimal, a log. Indexes are made at the end, but those that keep rows unique: they
    are met in order.
    """
    with psycopg.connect(admin_url) as source, psycopg.connect(admin_url) as target:
        literals = {"count": count, "small": _GENERATIONS_OF_A_SMALL_OWNER, "big_owner": BIG_OWNER, "spaces": SPACES}
        literals |= {"prompt_words": _PROMPT_WORDS.split(), "source_words": _SOURCE_WORDS.split()}
        filled_in = {name: sql.Literal(value) for name, value in literals.items()}
        source.execute(sql.SQL(_PLAN).format(**filled_in))
        target.execute("set local session_replication_role = replica; set local maintenance_work_mem = '1GB'")
        target.execute("truncate generations cascade")
        index_statements = _drop_indexes(target)
        for table, rows in _ROWS.items():
            _copy(source, target, table, sql.SQL(rows).format(**filled_in))
        for statement in index_statements:
            target.execute(statement)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        # No trigger counted any of it.
        connection.execute("select recount_stats()")
        connection.execute("vacuum (analyze)")


def small_owner(admin_url: str) -> uuid.UUID:
    """An owner like most: one of those with the usual number of generations."""
    query = """
        select owner_id from generations where owner_id <> %s and deleted_at is null
        group by owner_id order by abs(count(*) - %s), owner_id limit 1
    """
    with psycopg.connect(admin_url) as connection:
        row = connection.execute(query, [BIG_OWNER, _GENERATIONS_OF_A_SMALL_OWNER]).fetchone()
    if row is None:
        raise LookupError("the database has no small owner: it is not filled")
    return row[0]


def _drop_indexes(connection: psycopg.Connection) -> list[sql.SQL]:
    """Statements that make again the indexes that were dropped now: all but those of constraints."""
    query = """
        select indexrelid::regclass::text, pg_get_indexdef(indexrelid)
        from pg_index join pg_class on pg_class.oid = indexrelid
        where indrelid = any (%s::regclass[]) and not exists (select from pg_constraint where conindid = indexrelid)
    """
    indexes = connection.execute(query, [list(_ROWS)]).fetchall()
    for name, _ in indexes:
        connection.execute(sql.SQL("drop index {}").format(sql.SQL(name)))
    return [sql.SQL(definition) for _, definition in indexes]


def _copy(source: psycopg.Connection, target: psycopg.Connection, table: str, rows: sql.Composed) -> None:
    described = source.execute(sql.SQL("select * from ({}) r limit 0").format(rows)).description or []
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in described)
    copy_in = sql.SQL("copy {} ({}) from stdin (format binary, freeze)").format(sql.Identifier(table), columns)
    copy_out = sql.SQL("copy ({}) to stdout (format binary)").format(rows)
    with source.cursor().copy(copy_out) as source_copy, target.cursor().copy(copy_in) as target_copy:
        for block in source_copy:
            target_copy.write(block)
