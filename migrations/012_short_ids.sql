-- The search finds a generation by its id, too. The last eight digits of an id are its short form: ids that were made
-- within a minute begin alike, because an id begins with its time.

create index generations_short_id on generations (owner_id, right(id::text, 8)) where deleted_at is null;

-- As before, and besides, where p_q is of eight or more digits of an id, what has an id that begins or ends with them.
-- For any other p_q the ids are compared with null, which the planner drops: the plan is the one that it was.
create or replace function search_generations(
    p_q text, p_statuses text[], p_variant_type text, p_created_from timestamptz,
    p_after_time timestamptz, p_after_id uuid, p_limit bigint, p_offset bigint)
returns setof uuid language plpgsql stable rows 100 security definer set search_path = pg_catalog, public, pg_temp
set plan_cache_mode = force_custom_plan as $$
declare
    v_owner_id uuid := nullif(current_setting('app.owner_id', true), '')::uuid;
    v_pattern text := '%' || regexp_replace(p_q, '([\\%_])', '\\\1', 'g') || '%';
    v_digits text := lower(replace(p_q, '-', ''));
    v_first_id uuid;
    v_last_id uuid;
begin
    if v_digits ~ '^[0-9a-f]{8,32}$' then
        v_first_id := rpad(v_digits, 32, '0')::uuid;
        v_last_id := rpad(v_digits, 32, 'f')::uuid;
    else
        v_digits := null;
    end if;
    return query
        select g.id from generations g
        where g.owner_id = v_owner_id and g.deleted_at is null
            and (g.source_video_url ilike v_pattern
                or g.id between v_first_id and v_last_id
                or (right(g.id::text, 8) = right(v_digits, 8) and replace(g.id::text, '-', '') like '%' || v_digits))
            and (p_statuses is null or g.status = any (p_statuses))
            and (p_variant_type is null or g.variant_types @> array[p_variant_type])
            and (p_created_from is null or g.created_at >= p_created_from)
            and (p_after_time is null or (g.created_at, g.id) < (p_after_time, p_after_id))
        order by g.created_at desc, g.id desc limit p_limit offset p_offset;
end $$;
