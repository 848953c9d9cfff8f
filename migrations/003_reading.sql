-- What lists are read by: their filters at any depth, and the search over the source video.

-- Both are trusted: history_migrate may make them as it may create in this database (scripts/create-logins).
create extension if not exists pg_trgm with schema public;
create extension if not exists btree_gin with schema public;

-- ---------------------------------------------------------------- indexes

create index generations_owner_source on generations using gin (owner_id, source_video_url gin_trgm_ops)
    where deleted_at is null;
-- One for each type, so that also a rare one is read in order from any position.
create index generations_soft on generations (owner_id, status, created_at desc, id desc)
    where deleted_at is null and variant_types @> array['soft'];
create index generations_medium on generations (owner_id, status, created_at desc, id desc)
    where deleted_at is null and variant_types @> array['medium'];
create index generations_aggressive on generations (owner_id, status, created_at desc, id desc)
    where deleted_at is null and variant_types @> array['aggressive'];
create index generations_ultra on generations (owner_id, status, created_at desc, id desc)
    where deleted_at is null and variant_types @> array['ultra'];

-- ---------------------------------------------------------------- search

-- A page of the owner's generations whose source_video_url contains p_q, whatever the case, newest first, after the
-- position (p_after_time, p_after_id). Null is no filter.
-- ILIKE is not leakproof, so under row level security no index would serve it: this looks past the policies, and reads
-- the owner from the transaction as they do. pg_temp comes last, or a caller's own tables would come first.
create function search_generations(p_q text, p_statuses text[], p_variant_type text, p_created_from timestamptz,
                                   p_after_time timestamptz, p_after_id uuid, p_limit bigint, p_offset bigint)
returns setof uuid language plpgsql stable rows 100 security definer set search_path = pg_catalog, public, pg_temp
-- The plan depends on how frequent p_q is.
set plan_cache_mode = force_custom_plan as $$
declare
    v_owner_id uuid := nullif(current_setting('app.owner_id', true), '')::uuid;
    v_pattern text := '%' || regexp_replace(p_q, '([\\%_])', '\\\1', 'g') || '%';
begin
    return query
        select g.id from generations g
        where g.owner_id = v_owner_id and g.deleted_at is null
            and g.source_video_url ilike v_pattern
            and (p_statuses is null or g.status = any (p_statuses))
            and (p_variant_type is null or g.variant_types @> array[p_variant_type])
            and (p_created_from is null or g.created_at >= p_created_from)
            and (p_after_time is null or (g.created_at, g.id) < (p_after_time, p_after_id))
        order by g.created_at desc, g.id desc limit p_limit offset p_offset;
end $$;

revoke execute on function search_generations from public;
grant execute on function search_generations to history_api;
