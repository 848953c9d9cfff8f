-- The record of an older installation comes in (scripts/import-history), and the poller looks at its videos.

-- ---------------------------------------------------------------- what was imported

-- A generation stays in here whatever becomes of its rows: one that was purged is not imported again. The last two
-- columns tell whether the older installation went on with it afterwards.
create table imported_generations (
    generation_id uuid constraint imported_generations_pkey primary key,
    owner_id uuid not null,
    source_rows integer not null,
    source_changed_at timestamptz not null,
    imported_at timestamptz not null default now()
);

alter table imported_generations enable row level security;
create policy nobody on imported_generations using (false);

-- ---------------------------------------------------------------- videos to look at

-- Stored videos whose rows lack a thumbnail, a duration or a resolution. They are no jobs: nothing expires, nobody
-- waits, and the scene is completed whatever comes of it.
create table inspections (
    scene_id uuid constraint inspections_pkey primary key
        constraint inspections_scene_id_fkey references scenes (id) on delete cascade,
    owner_id uuid not null,
    run_at timestamptz not null default now(),
    tries integer not null default 0,
    last_error text
);

create index inspections_run_at on inspections (run_at);

alter table inspections enable row level security;
create policy every on inspections to history_worker using (true);

grant select, delete on inspections to history_worker;
grant update (run_at, tries, last_error) on inspections to history_worker;

-- As before, and nothing is looked at any more of what is purged: a thumbnail would come after its objects had gone.
create or replace function begin_purge(p_limit integer) returns integer language plpgsql security definer
    set search_path = pg_catalog, public, pg_temp as $$
declare
    v_ids uuid[];
begin
    select array(
        select id from generations
        where purge_at <= now() and purging_since is null
        order by purge_at limit p_limit for update skip locked
    ) into v_ids;
    update generations set purging_since = now() where id = any (v_ids);
    delete from jobs j using scenes s, variants v
    where s.id = j.scene_id and v.id = s.variant_id and v.generation_id = any (v_ids);
    delete from inspections i using scenes s, variants v
    where s.id = i.scene_id and v.id = s.variant_id and v.generation_id = any (v_ids);
    return cardinality(v_ids);
end $$;
