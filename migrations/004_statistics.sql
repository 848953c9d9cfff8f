-- Statistics: what an owner has, by day and by variant type, without counting it again at every read.
-- Triggers append what a change adds or takes away; fold_stats() adds that up; a read sums both in one snapshot.
-- Every writer locks the generation first (001), so a part never changes while its generation is deleted or restored.

-- So whoever writes now ends first, and whoever comes waits here, holding nothing that the triggers are made on.
lock table generations in exclusive mode;

-- ---------------------------------------------------------------- tables

-- A day's row tells of the generations created on that UTC day, and changes as they do.
create table owner_day_stats (
    owner_id         uuid not null,
    -- -infinity stands for all days: reading totals does not grow with their number.
    day              date not null,
    -- What is counted by status, and what cost is of: generations, or, over all days only, the variants of a type. What
    -- became of scenes stands with their variants' type, and again in their day's row.
    kind             text not null constraint owner_day_stats_kind check (
        kind in ('generation', 'soft', 'medium', 'aggressive', 'ultra')
    ),
    pending          bigint not null default 0,
    processing       bigint not null default 0,
    completed        bigint not null default 0,
    failed           bigint not null default 0,
    cost             numeric not null default 0,
    cost_unknown     bigint not null default 0,
    estimated_cost   numeric not null default 0,
    estimate_unknown bigint not null default 0,
    videos           bigint not null default 0,
    scenes_failed    bigint not null default 0,
    -- A caller may say that a file has up to 2^63 bytes.
    bytes            numeric not null default 0,
    seconds          bigint not null default 0,
    constraint owner_day_stats_pkey primary key (owner_id, day, kind)
) with (fillfactor = 70);

-- What is not folded yet. Rows come and go all the time.
create table stat_deltas (
    owner_id         uuid not null,
    day              date not null,
    kind             text not null,
    pending          bigint not null default 0,
    processing       bigint not null default 0,
    completed        bigint not null default 0,
    failed           bigint not null default 0,
    cost             numeric not null default 0,
    cost_unknown     bigint not null default 0,
    estimated_cost   numeric not null default 0,
    estimate_unknown bigint not null default 0,
    videos           bigint not null default 0,
    scenes_failed    bigint not null default 0,
    bytes            numeric not null default 0,
    seconds          bigint not null default 0
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
create index stat_deltas_owner_id on stat_deltas (owner_id);

-- ---------------------------------------------------------------- what counts

-- -infinity is no day here: it stands for all of them.
create function utc_day(p_at timestamptz) returns date language sql immutable as $$
    select greatest((p_at at time zone 'UTC')::date, '0001-01-01')
$$;

-- What the parts of every generation count for. A scene that was cancelled before it was submitted has not failed:
-- nothing was tried. The cost of a video that no attempt is known to have rendered is unknown.
create view stat_parts as
select generation_id, variant_type as kind,
       (status = 'pending')::int as pending, (status = 'processing')::int as processing,
       (status = 'completed')::int as completed, (status = 'failed')::int as failed,
       0::numeric as cost, 0 as cost_unknown,
       0 as videos, 0 as scenes_failed, 0::bigint as bytes, 0 as seconds
from variants
union all
select v.generation_id, v.variant_type, 0, 0, 0, 0, 0,
       (s.status = 'completed'
           and not exists (select from attempts a where a.scene_id = s.id and a.rendered_at is not null))::int,
       (s.status = 'completed')::int, (s.status = 'failed' and s.error_code is distinct from 'cancelled')::int,
       case s.status when 'completed' then coalesce(s.file_size, 0) else 0 end,
       case s.status when 'completed' then coalesce(s.duration, 0) else 0 end
from scenes s join variants v on v.id = s.variant_id
where s.status in ('completed', 'failed')
union all
select v.generation_id, v.variant_type, 0, 0, 0, 0, coalesce(a.cost, 0), (a.cost is null)::int, 0, 0, 0, 0
from attempts a join scenes s on s.id = a.scene_id join variants v on v.id = s.variant_id
where a.rendered_at is not null;

-- ---------------------------------------------------------------- what changes

-- Each of these appends the difference between the old row and the new one, where its generation is not deleted. They
-- run as the tables' owner: a login that could write deltas, or hang one of these on a table of its own, could forge
-- anyone's. pg_temp is last, so that no temporary table can stand for one of ours. Their statements look rows up by
-- key, so one plan serves every owner.

create function generation_delta() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp set plan_cache_mode = force_generic_plan as $$
begin
    insert into stat_deltas (owner_id, day, kind, pending, processing, completed, failed, cost, cost_unknown,
        estimated_cost, estimate_unknown)
    select c.owner_id, utc_day(c.created_at), 'generation', sum(c.sign * (c.status = 'pending')::int),
        sum(c.sign * (c.status = 'processing')::int), sum(c.sign * (c.status = 'completed')::int),
        sum(c.sign * (c.status = 'failed')::int), sum(c.sign * coalesce(c.actual_cost, 0)),
        sum(c.sign * (c.actual_cost is null)::int), sum(c.sign * coalesce(c.cost_estimate, 0)),
        sum(c.sign * (c.cost_estimate is null)::int)
    from (values
        (old.owner_id, old.created_at, old.deleted_at, old.status, old.actual_cost, old.cost_estimate, -1),
        (new.owner_id, new.created_at, new.deleted_at, new.status, new.actual_cost, new.cost_estimate, 1)
    ) c (owner_id, created_at, deleted_at, status, actual_cost, cost_estimate, sign)
    where c.owner_id is not null and c.deleted_at is null
    group by c.owner_id, utc_day(c.created_at);
    -- With its generation all of it goes, comes, or moves.
    if tg_op = 'DELETE' or tg_op = 'UPDATE' and (old.deleted_at is null, old.owner_id, utc_day(old.created_at))
        <> (new.deleted_at is null, new.owner_id, utc_day(new.created_at))
    then
        insert into stat_deltas (owner_id, day, kind, pending, processing, completed, failed, cost, cost_unknown,
            videos, scenes_failed, bytes, seconds)
        select c.owner_id, utc_day(c.created_at), p.kind, c.sign * p.pending, c.sign * p.processing,
            c.sign * p.completed, c.sign * p.failed, c.sign * p.cost, c.sign * p.cost_unknown, c.sign * p.videos,
            c.sign * p.scenes_failed, c.sign * p.bytes, c.sign * p.seconds
        from (values
            (old.owner_id, old.created_at, old.deleted_at, -1),
            (new.owner_id, new.created_at, new.deleted_at, 1)
        ) c (owner_id, created_at, deleted_at, sign),
        (
            select kind, sum(pending) as pending, sum(processing) as processing, sum(completed) as completed,
                sum(failed) as failed, sum(cost) as cost, sum(cost_unknown) as cost_unknown, sum(videos) as videos,
                sum(scenes_failed) as scenes_failed, sum(bytes) as bytes, sum(seconds) as seconds
            from stat_parts where generation_id = old.id
            group by kind
        ) p
        where c.owner_id is not null and c.deleted_at is null;
    end if;
    return coalesce(new, old);
end $$;

create function variant_delta() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp set plan_cache_mode = force_generic_plan as $$
begin
    insert into stat_deltas (owner_id, day, kind, pending, processing, completed, failed)
    select g.owner_id, utc_day(g.created_at), c.kind, sum(c.sign * (c.status = 'pending')::int),
        sum(c.sign * (c.status = 'processing')::int), sum(c.sign * (c.status = 'completed')::int),
        sum(c.sign * (c.status = 'failed')::int)
    from (values
        (old.generation_id, old.variant_type, old.status, -1),
        (new.generation_id, new.variant_type, new.status, 1)
    ) c (generation_id, kind, status, sign)
    join generations g on g.id = c.generation_id and g.deleted_at is null
    group by g.id, c.kind;
    return null;
end $$;

create function scene_delta() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp set plan_cache_mode = force_generic_plan as $$
begin
    insert into stat_deltas (owner_id, day, kind, cost_unknown, videos, scenes_failed, bytes, seconds)
    select g.owner_id, utc_day(g.created_at), v.variant_type,
        sum(c.sign * (c.status = 'completed'
            and not exists (select from attempts a where a.scene_id = c.id and a.rendered_at is not null))::int),
        sum(c.sign * (c.status = 'completed')::int),
        sum(c.sign * (c.status = 'failed' and c.error_code is distinct from 'cancelled')::int),
        sum(c.sign * case c.status when 'completed' then coalesce(c.file_size, 0) else 0 end),
        sum(c.sign * case c.status when 'completed' then coalesce(c.duration, 0) else 0 end)
    from (values
        (old.id, old.variant_id, old.status, old.error_code, old.file_size, old.duration, -1),
        (new.id, new.variant_id, new.status, new.error_code, new.file_size, new.duration, 1)
    ) c (id, variant_id, status, error_code, file_size, duration, sign)
    join variants v on v.id = c.variant_id
    join generations g on g.id = v.generation_id and g.deleted_at is null
    group by g.id, v.id;
    return null;
end $$;

-- Before a row is changed or deleted, not after: so each of several sees what became of those before it.
create function attempt_delta() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp set plan_cache_mode = force_generic_plan as $$
begin
    insert into stat_deltas (owner_id, day, kind, cost, cost_unknown)
    select g.owner_id, utc_day(g.created_at), v.variant_type, sum(c.sign * coalesce(c.cost, 0)),
        sum(c.sign * ((c.cost is null)::int
            -- The scene's first that is known to have rendered its video.
            - (s.status = 'completed' and not exists (
                select from attempts a where a.scene_id = s.id and a.id <> c.id and a.rendered_at is not null))::int))
    from (values
        (old.id, old.scene_id, old.rendered_at, old.cost, -1),
        (new.id, new.scene_id, new.rendered_at, new.cost, 1)
    ) c (id, scene_id, rendered_at, cost, sign)
    join scenes s on s.id = c.scene_id
    join variants v on v.id = s.variant_id
    join generations g on g.id = v.generation_id and g.deleted_at is null
    where c.rendered_at is not null
    group by g.id, v.id;
    return coalesce(new, old);
end $$;

create trigger generations_delta_insert after insert on generations
    for each row execute function generation_delta();
create trigger generations_delta_update after update on generations
    for each row when (
        (old.deleted_at is null or new.deleted_at is null)
        and (old.status, old.actual_cost, old.cost_estimate, old.deleted_at is null, old.owner_id, old.created_at)
            is distinct from
            (new.status, new.actual_cost, new.cost_estimate, new.deleted_at is null, new.owner_id, new.created_at)
    ) execute function generation_delta();
-- Before, because afterwards none of its parts is there to be counted.
create trigger generations_delta_delete before delete on generations
    for each row when (old.deleted_at is null) execute function generation_delta();

create trigger variants_delta_insert after insert on variants
    for each row execute function variant_delta();
create trigger variants_delta_update after update on variants
    for each row when (old.status <> new.status) execute function variant_delta();
create trigger variants_delta_delete after delete on variants
    for each row execute function variant_delta();

create trigger scenes_delta_insert after insert on scenes
    for each row when (new.status in ('completed', 'failed')) execute function scene_delta();
create trigger scenes_delta_update after update on scenes
    for each row when (
        (old.status in ('completed', 'failed') or new.status in ('completed', 'failed'))
        and (old.status, old.error_code, old.file_size, old.duration)
            is distinct from (new.status, new.error_code, new.file_size, new.duration)
    ) execute function scene_delta();
create trigger scenes_delta_delete after delete on scenes
    for each row when (old.status in ('completed', 'failed')) execute function scene_delta();

create trigger attempts_delta_insert after insert on attempts
    for each row when (new.rendered_at is not null) execute function attempt_delta();
create trigger attempts_delta_update before update on attempts
    for each row when (
        (old.rendered_at is null, old.cost) is distinct from (new.rendered_at is null, new.cost)
        and (old.rendered_at is not null or new.rendered_at is not null)
    ) execute function attempt_delta();
create trigger attempts_delta_delete before delete on attempts
    for each row when (old.rendered_at is not null) execute function attempt_delta();

-- Whose variant or scene is deleted alone, by hand, its parts go first, while there is still a generation to ask.
create function delete_scenes_first() returns trigger language plpgsql as $$
begin
    delete from scenes where variant_id = old.id;
    return old;
end $$;

create function delete_attempts_first() returns trigger language plpgsql as $$
begin
    delete from attempts where scene_id = old.id;
    return old;
end $$;

create trigger variants_scenes_first before delete on variants
    for each row execute function delete_scenes_first();
create trigger scenes_attempts_first before delete on scenes
    for each row execute function delete_attempts_first();

-- ---------------------------------------------------------------- folding

-- Adds at most p_limit deltas to the days they are of, and to the sums over all days. Returns how many; 0 also while
-- somebody else is folding.
create function fold_stats(p_limit integer) returns integer language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    v_folded integer;
begin
    if not pg_try_advisory_xact_lock(hashtext('fold_stats')) then
        return 0;
    end if;
    with folded as (
        delete from stat_deltas where ctid = any (array(select ctid from stat_deltas limit p_limit)) returning *
    ), added as (
        insert into owner_day_stats as o
        select f.owner_id, t.day, t.kind,
            coalesce(sum(f.pending) filter (where f.kind = t.kind), 0),
            coalesce(sum(f.processing) filter (where f.kind = t.kind), 0),
            coalesce(sum(f.completed) filter (where f.kind = t.kind), 0),
            coalesce(sum(f.failed) filter (where f.kind = t.kind), 0),
            coalesce(sum(f.cost) filter (where f.kind = t.kind), 0),
            coalesce(sum(f.cost_unknown) filter (where f.kind = t.kind), 0),
            sum(f.estimated_cost), sum(f.estimate_unknown), sum(f.videos), sum(f.scenes_failed), sum(f.bytes),
            sum(f.seconds)
        from folded f cross join lateral (values (f.day, 'generation'), ('-infinity', f.kind)) t (day, kind)
        group by f.owner_id, t.day, t.kind
        on conflict (owner_id, day, kind) do update set
            pending = o.pending + excluded.pending,
            processing = o.processing + excluded.processing,
            completed = o.completed + excluded.completed,
            failed = o.failed + excluded.failed,
            cost = o.cost + excluded.cost,
            cost_unknown = o.cost_unknown + excluded.cost_unknown,
            estimated_cost = o.estimated_cost + excluded.estimated_cost,
            estimate_unknown = o.estimate_unknown + excluded.estimate_unknown,
            videos = o.videos + excluded.videos,
            scenes_failed = o.scenes_failed + excluded.scenes_failed,
            bytes = o.bytes + excluded.bytes,
            seconds = o.seconds + excluded.seconds
    )
    select count(*) into v_folded from folded;
    return v_folded;
end $$;

-- Counts everything from the start: what was there before this migration, or was loaded while the triggers were off.
-- Nobody writes meanwhile; reads go on.
create function recount_stats() returns void language plpgsql as $$
begin
    lock table generations in exclusive mode;
    perform pg_advisory_xact_lock(hashtext('fold_stats'));
    delete from stat_deltas;
    delete from owner_day_stats;
    insert into stat_deltas (owner_id, day, kind, pending, processing, completed, failed, cost, cost_unknown,
        estimated_cost, estimate_unknown)
    select owner_id, utc_day(created_at), 'generation', count(*) filter (where status = 'pending'),
        count(*) filter (where status = 'processing'), count(*) filter (where status = 'completed'),
        count(*) filter (where status = 'failed'), coalesce(sum(actual_cost), 0),
        count(*) filter (where actual_cost is null), coalesce(sum(cost_estimate), 0),
        count(*) filter (where cost_estimate is null)
    from generations where deleted_at is null
    group by owner_id, utc_day(created_at);
    insert into stat_deltas (owner_id, day, kind, pending, processing, completed, failed, cost, cost_unknown, videos,
        scenes_failed, bytes, seconds)
    select g.owner_id, utc_day(g.created_at), p.kind, sum(p.pending), sum(p.processing), sum(p.completed),
        sum(p.failed), sum(p.cost), sum(p.cost_unknown), sum(p.videos), sum(p.scenes_failed), sum(p.bytes),
        sum(p.seconds)
    from stat_parts p join generations g on g.id = p.generation_id
    where g.deleted_at is null
    group by g.owner_id, utc_day(g.created_at), p.kind;
    while fold_stats(100000) > 0 loop
    end loop;
end $$;

select recount_stats();

-- ---------------------------------------------------------------- reading

-- The number of the owner's generations, of these statuses or of any. Row level security says whose they are.
-- In plpgsql, because that keeps the plan: it is the same for every owner, and would cost more than the sum.
create function count_generations(p_statuses text[] default null) returns bigint language plpgsql stable
set plan_cache_mode = force_generic_plan as $$
begin
    return (
        select coalesce(sum(s.number), 0)
        from (
            select pending, processing, completed, failed from owner_day_stats
            where day = '-infinity' and kind = 'generation'
            union all
            select pending, processing, completed, failed from stat_deltas where kind = 'generation'
        ) t
        cross join lateral (values
            ('pending', t.pending), ('processing', t.processing), ('completed', t.completed), ('failed', t.failed)
        ) s (status, number)
        where p_statuses is null or s.status = any (p_statuses)
    );
end $$;

-- ---------------------------------------------------------------- who may do what

alter table owner_day_stats enable row level security;
alter table stat_deltas enable row level security;
create policy own on owner_day_stats to history_api
    using (owner_id = nullif(current_setting('app.owner_id', true), '')::uuid);
create policy own on stat_deltas to history_api
    using (owner_id = nullif(current_setting('app.owner_id', true), '')::uuid);
grant select on owner_day_stats, stat_deltas to history_api;

revoke execute on function generation_delta, variant_delta, scene_delta, attempt_delta, fold_stats, recount_stats
    from public;
grant execute on function fold_stats to history_worker;
