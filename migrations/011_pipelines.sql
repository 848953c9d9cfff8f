-- What a pipeline says is kept: the word that it has for a variant, and that it called completed what is not.

-- ---------------------------------------------------------------- a pipeline's own word for a level

-- The word that the pipeline gave for the level, where that is none of ours: variant_type is the nearest then.
alter table variants add column given_type text
    constraint variants_given_type check (length(given_type) <= 50);

-- ---------------------------------------------------------------- completed by its caller

-- A generation that its caller called completed says in its error_message what is missing, unless the caller said
-- something of its own: scenes that are open, or that there is no video at all.
create function note_missing_videos(p_generation_id uuid) returns void language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
declare
    v_scenes bigint;
    v_videos bigint;
    v_open bigint;
    v_note text;
begin
    perform from generations
    where id = p_generation_id and status = 'completed' and status_set_by_caller
        and (error_message is null or error_message like 'completed by its caller%');
    if not found then
        return;
    end if;
    select count(*), count(*) filter (where s.status = 'completed'),
        count(*) filter (where s.status in ('pending', 'processing'))
    into v_scenes, v_videos, v_open
    from scenes s join variants v on v.id = s.variant_id where v.generation_id = p_generation_id;
    if v_open > 0 or v_videos = 0 then
        v_note := 'completed by its caller' || case when v_videos = 0 then ' without a video' else '' end || ': '
            || case when v_scenes = 0 then 'no scene was recorded'
                when v_open > 0 then format('%s of %s scenes are open', v_open, v_scenes)
                else format('%s of %s scenes failed', v_scenes - v_videos, v_scenes) end;
    end if;
    update generations set error_message = v_note where id = p_generation_id and error_message is distinct from v_note;
end $$;

-- As before, and what a caller called completed is noted anew.
do $$
declare
    v_definition text := pg_get_functiondef('roll_up(uuid)'::regprocedure);
begin
    execute regexp_replace(v_definition, 'end (\$\w*\$\s*)$', E'\n    perform note_missing_videos(p_generation_id);\nend \\1');
end $$;

-- ---------------------------------------------------------------- open scenes of what is over

-- Few scenes are open at any time, however many there are.
create index scenes_open on scenes (updated_at) where status in ('pending', 'processing');

-- As before, and the open scenes of a generation that is over end as well: its caller called it completed or failed
-- and never said what became of them. Returns how many generations had not changed for a day.
create or replace function fail_stale_generations(p_limit integer) returns integer language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    v_id uuid;
    v_found integer := 0;
begin
    for v_id in
        select g.id from generations g
        where g.updated_at < now() - interval '1 day'
            and g.id = any (array(
                select id from generations
                where status in ('pending', 'processing') and updated_at < now() - interval '1 day'
                union
                select v.generation_id from scenes s join variants v on v.id = s.variant_id
                where s.status in ('pending', 'processing') and s.updated_at < now() - interval '1 day'))
            and not exists (
                select from variants v left join scenes s on s.variant_id = v.id left join jobs j on j.scene_id = s.id
                where v.generation_id = g.id and (j.scene_id is not null
                    or v.updated_at > now() - interval '1 day' or s.updated_at > now() - interval '1 day'))
        order by g.updated_at limit p_limit for update skip locked
    loop
        update scenes s set status = 'failed', error_code = 'abandoned', error_message = 'nobody touched it for a day'
        from variants v
        where v.id = s.variant_id and v.generation_id = v_id and s.status in ('pending', 'processing');
        -- Neither the scenes nor the variants that were announced and never recorded are waited for any more.
        insert into variants (id, generation_id, owner_id, variant_type, total_scenes)
        select gen_random_uuid(), g.id, g.owner_id, announced, 0
        from generations g, unnest(g.variant_types) announced where g.id = v_id
        on conflict (generation_id, variant_type) do nothing;
        with recorded as (
            select v.id, count(s.id) as scenes, count(*) filter (where s.status = 'completed') as completed
            from variants v left join scenes s on s.variant_id = v.id
            where v.generation_id = v_id and v.status in ('pending', 'processing')
            group by v.id
        )
        update variants v
        set total_scenes = r.scenes, scenes_completed = r.completed,
            status = case when r.scenes = 0 then 'failed' else v.status end,
            error_message = case when r.scenes = 0 then 'abandoned: nobody touched it for a day' end
        from recorded r where v.id = r.id;
        perform roll_up(v_id);
        update generations set status = 'failed', error_message = 'abandoned: nobody touched it for a day'
        where id = v_id and status in ('pending', 'processing');
        v_found := v_found + 1;
    end loop;
    return v_found;
end $$;
