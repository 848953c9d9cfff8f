-- The record: generations, their variants, the variants' scenes, and what the pipeline knew about them.
-- Every table carries its owner and is closed by row level security to everyone else: see the policies at the end.
-- The logins history_api and history_worker exist already (scripts/create-logins).

-- ---------------------------------------------------------------- tables

create table generations (
    id                   uuid constraint generations_pkey primary key,
    owner_id             uuid not null,
    source_video_url     text not null
        constraint generations_source_video_url_length check (length(source_video_url) between 1 and 4096),
    source_video_type    varchar(50) not null,
    status               varchar(50) not null default 'pending'
        constraint generations_status check (status in ('pending', 'processing', 'completed', 'failed')),
    -- A completed or failed that a caller set stands; otherwise roll_up() derives the status from the scenes.
    status_set_by_caller boolean not null default false,
    total_variants       integer not null,
    variant_types        text[] not null
        constraint generations_variant_types check (
            cardinality(variant_types) = total_variants
            and total_variants >= 1
            and variant_types <@ array['soft', 'medium', 'aggressive', 'ultra']
        ),
    cost_estimate        numeric(10, 2)
        constraint generations_cost_estimate check (cost_estimate >= 0 and cost_estimate <> 'NaN'),
    actual_cost          numeric(10, 2)
        constraint generations_actual_cost check (actual_cost >= 0 and actual_cost <> 'NaN'),
    error_message        text,
    created_at           timestamptz not null default now(),
    updated_at           timestamptz not null default now(),
    completed_at         timestamptz,
    deleted_at           timestamptz,
    constraint generations_completed_at check ((status = 'completed') = (completed_at is not null))
);

create table variants (
    id                   uuid constraint variants_pkey primary key,
    generation_id        uuid not null constraint variants_generation_id_fkey references generations on delete cascade,
    owner_id             uuid not null,
    variant_type         varchar(50) not null
        constraint variants_variant_type check (variant_type in ('soft', 'medium', 'aggressive', 'ultra')),
    status               varchar(50) not null default 'pending'
        constraint variants_status check (status in ('pending', 'processing', 'completed', 'failed')),
    status_set_by_caller boolean not null default false,
    scenes_completed     integer not null default 0,
    total_scenes         integer not null default 4,
    error_message        text,
    created_at           timestamptz not null default now(),
    updated_at           timestamptz not null default now(),
    completed_at         timestamptz,
    constraint variants_generation_id_variant_type_key unique (generation_id, variant_type),
    constraint variants_scenes_completed check (scenes_completed between 0 and total_scenes),
    constraint variants_completed_at check ((status = 'completed') = (completed_at is not null))
);

create table scenes (
    id                uuid constraint scenes_pkey primary key,
    variant_id        uuid not null constraint scenes_variant_id_fkey references variants on delete cascade,
    owner_id          uuid not null,
    scene_number      integer not null constraint scenes_scene_number check (scene_number between 1 and 1000),
    sora_prompt       text not null constraint scenes_sora_prompt_length check (length(sora_prompt) <= 32000),
    sora_video_id     text,
    sora_status       varchar(50),
    video_url         text,
    thumbnail_url     text,
    duration          integer constraint scenes_duration check (duration >= 0),
    resolution        varchar(50),
    file_size         bigint constraint scenes_file_size check (file_size >= 0),
    status            varchar(50) not null default 'pending'
        constraint scenes_status check (status in ('pending', 'processing', 'completed', 'failed')),
    error_message     text,
    error_code        text constraint scenes_error_code check (error_code in (
        'moderation_blocked', 'provider_failed', 'provider_gone', 'expired', 'not_found', 'download_failed',
        'invalid_video', 'storage_failed', 'timed_out', 'submit_unknown', 'submit_rejected', 'cancelled', 'abandoned'
    )),
    -- What it is, or was, submitted with: polling with today's settings would ask the wrong server about a paid job.
    provider          text,
    provider_base_url text,
    model             text,
    size              text,
    seconds           integer constraint scenes_seconds check (seconds between 1 and 600),
    expires_at        timestamptz,
    attempt           integer not null default 1 constraint scenes_attempt check (attempt >= 1),
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    completed_at      timestamptz,
    constraint scenes_variant_id_scene_number_key unique (variant_id, scene_number),
    constraint scenes_error_code_of_failed check (error_code is null or status = 'failed'),
    constraint scenes_completed_at check ((status = 'completed') = (completed_at is not null))
) with (fillfactor = 85);

create table generation_metadata (
    id                  uuid constraint generation_metadata_pkey primary key,
    generation_id       uuid not null
        constraint generation_metadata_generation_id_fkey references generations on delete cascade
        constraint generation_metadata_generation_id_key unique,
    owner_id            uuid not null,
    original_analysis   jsonb,
    transformation_data jsonb,
    prompts_data        jsonb,
    evaluation_data     jsonb,
    created_at          timestamptz not null default now(),
    updated_at          timestamptz not null default now()
);

-- Work that is due, one row a scene that still needs any. run_at is also the lease's expiry: an abandoned job comes
-- back by itself. step says what to do next; "find" means a POST may have happened, so none is made again.
create table jobs (
    scene_id    uuid constraint jobs_pkey primary key constraint jobs_scene_id_fkey references scenes on delete cascade,
    owner_id    uuid not null,
    step        text not null constraint jobs_step check (step in ('submit', 'find', 'poll', 'store')),
    run_at      timestamptz not null default now(),
    lease_token uuid,
    failures    integer not null default 0,
    last_error  text,
    deadline    timestamptz not null default now() + interval '24 hours',
    created_at  timestamptz not null default now()
);

-- What happened to a scene, one row for each provider job it asked for.
create table attempts (
    id                uuid constraint attempts_pkey primary key,
    scene_id          uuid not null constraint attempts_scene_id_fkey references scenes on delete cascade,
    owner_id          uuid not null,
    attempt           integer not null,
    outcome           text not null constraint attempts_outcome check (outcome in (
        'intended', 'not_sent', 'accepted', 'adopted', 'stored', 'failed'
    )),
    provider          text,
    provider_base_url text,
    model             text,
    size              text,
    seconds           integer,
    sora_video_id     text,
    intended_at       timestamptz,
    accepted_at       timestamptz,
    rendered_at       timestamptz,
    finished_at       timestamptz,
    error_code        text,
    error_message     text,
    created_at        timestamptz not null default now(),
    constraint attempts_scene_id_attempt_key unique (scene_id, attempt)
);

-- ---------------------------------------------------------------- indexes

create index generations_owner_created on generations (owner_id, created_at desc, id desc) where deleted_at is null;
create index generations_owner_status_created on generations (owner_id, status, created_at desc, id desc)
    where deleted_at is null;
create index generations_unfinished on generations (updated_at) where status in ('pending', 'processing');
-- variants (generation_id), scenes (variant_id) and attempts (scene_id) are served by their unique constraints.
-- No index on scenes.status: its updates stay HOT.
create index jobs_run_at on jobs (run_at);
-- A provider job belongs to one scene, and adoption asks whether it is taken. What a caller submitted by itself names
-- no server, and may be named twice.
create unique index attempts_sora_video_id on attempts (sora_video_id, provider_base_url)
    where sora_video_id is not null;

-- ---------------------------------------------------------------- triggers

create function set_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end $$;

create trigger generations_updated_at before update on generations
    for each row when (old.* is distinct from new.*) execute function set_updated_at();
create trigger variants_updated_at before update on variants
    for each row when (old.* is distinct from new.*) execute function set_updated_at();
create trigger scenes_updated_at before update on scenes
    for each row when (old.* is distinct from new.*) execute function set_updated_at();
create trigger generation_metadata_updated_at before update on generation_metadata
    for each row when (old.* is distinct from new.*) execute function set_updated_at();

-- pending -> processing -> completed | failed, and failed -> pending (a retry) or completed (its video came home after
-- all). Whoever writes, a scene moves no other way.
create function check_scene_status() returns trigger language plpgsql as $$
begin
    if old.status = 'completed'
        or (old.status = 'processing' and new.status = 'pending')
        or (old.status = 'failed' and new.status = 'processing')
    then
        raise exception 'a scene cannot go from % to %', old.status, new.status
            using errcode = 'check_violation', constraint = 'scenes_status_moves_forward', table = 'scenes';
    end if;
    return new;
end $$;

create trigger scenes_status_moves_forward before update of status on scenes
    for each row when (old.status is distinct from new.status) execute function check_scene_status();

-- ---------------------------------------------------------------- functions

-- Whoever touches several rows of a generation locks the generation first: writers of one generation take turns,
-- and no two of them can wait for each other.
create function lock_generation(p_generation_id uuid) returns void language sql as $$
    select from generations where id = p_generation_id for update;
$$;

create function lock_generation_of_scene(p_scene_id uuid) returns void language sql as $$
    select from generations
    where id = (
        select v.generation_id from scenes s join variants v on v.id = s.variant_id where s.id = p_scene_id
    )
    for update;
$$;

-- Locks the generation for its owner to add to: nothing is added to one that is not there, or not any more.
create function open_generation(p_generation_id uuid, p_what text) returns void language plpgsql as $$
begin
    perform lock_generation(p_generation_id);
    perform from generations where id = p_generation_id and deleted_at is null;
    if not found then
        raise exception 'no such %', p_what using errcode = 'GH003';
    end if;
end $$;

-- Raises lease_lost unless the job is still leased under this token. Later statements of the transaction are then safe:
-- the row stays locked to the end.
create function hold_lease(p_scene_id uuid, p_lease_token uuid) returns void language plpgsql as $$
begin
    perform from jobs where scene_id = p_scene_id and lease_token = p_lease_token for update;
    if not found then
        raise exception 'the lease on scene % was lost', p_scene_id using errcode = 'GH001';
    end if;
end $$;

-- Derives the variants' and the generation's progress and status from the scenes, under the generation's lock, so that
-- it is right whoever finishes last. Recounting a handful of rows cannot drift, as a counter could.
-- Its statements look rows up by key, so one plan serves every owner, whatever the login says of plans.
create function roll_up(p_generation_id uuid) returns void language plpgsql set plan_cache_mode = force_generic_plan as $$
begin
    perform lock_generation(p_generation_id);

    with counted as (
        select variant_id,
               count(*) as recorded,
               count(*) filter (where status = 'completed') as completed,
               count(*) filter (where status = 'failed') as failed,
               count(*) filter (where status <> 'pending') as begun
        from scenes
        where variant_id = any (array(select id from variants where generation_id = p_generation_id))
        group by variant_id
    ), derived as (
        select v.id, c.completed, c.failed, greatest(v.total_scenes, c.recorded) as total,
               case when v.status_set_by_caller then v.status
                    when c.completed + c.failed < greatest(v.total_scenes, c.recorded)
                        then case when c.begun = 0 and v.status = 'pending' then 'pending' else 'processing' end
                    when c.failed = 0 then 'completed'
                    else 'failed' end as status,
               case when v.status_set_by_caller then v.error_message
                    when c.failed > 0
                        then format('%s of %s scenes failed', c.failed, greatest(v.total_scenes, c.recorded)) end as message
        from counted c join variants v on v.id = c.variant_id
    )
    update variants v
    set total_scenes = d.total, scenes_completed = d.completed, status = d.status, error_message = d.message,
        completed_at = case when d.status = 'completed' then coalesce(v.completed_at, now()) end
    from derived d
    where v.id = d.id
        and (v.total_scenes, v.scenes_completed, v.status, v.error_message)
            is distinct from (d.total, d.completed, d.status, d.message);

    with counted as (
        select count(*) as recorded,
               count(*) filter (where status = 'completed') as completed,
               count(*) filter (where status = 'processing') as running,
               count(*) filter (where status = 'failed') as failed,
               count(*) filter (where status <> 'pending') as begun
        from scenes
        where variant_id = any (array(select id from variants where generation_id = p_generation_id))
    ), expected as (
        -- Variants may be made one by one, and one that a caller ended may have scenes still coming.
        select sum(v.total_scenes) as scenes,
               bool_and(v.status in ('completed', 'failed')) and count(*) >= g.total_variants as over
        from generations g join variants v on v.generation_id = g.id
        where g.id = p_generation_id
        group by g.id
    ), derived as (
        select g.id,
               case when not e.over or c.running > 0
                        then case when c.begun = 0 and g.status = 'pending' then 'pending' else 'processing' end
                    when c.completed > 0 then 'completed'
                    else 'failed' end as status,
               case when c.failed > 0 then format('%s of %s scenes failed', c.failed, e.scenes) end as message
        from generations g, counted c, expected e
        where g.id = p_generation_id and not g.status_set_by_caller and c.recorded > 0
    )
    update generations g
    set status = d.status, error_message = d.message,
        completed_at = case when d.status = 'completed' then coalesce(g.completed_at, now()) end
    from derived d
    where g.id = d.id and (g.status, g.error_message) is distinct from (d.status, d.message);
end $$;

create function roll_up_scene(p_scene_id uuid) returns void language sql as $$
    select roll_up(v.generation_id) from scenes s join variants v on v.id = s.variant_id where s.id = p_scene_id;
$$;

-- Records a variant's scenes, one a prompt, and queues those to be submitted that never were. Recording the same
-- prompts again adds nothing; other prompts are refused, so a pipeline that starts over cannot pay twice. What is asked for
-- may come later than the prompts, with the order to submit.
create function record_scenes(p_variant_id uuid, p_ids uuid[], p_prompts text[], p_submit boolean,
                              p_model text, p_size text, p_seconds integer) returns void language plpgsql as $$
begin
    perform open_generation((select generation_id from variants where id = p_variant_id), 'variant');
    if not exists (select from scenes where variant_id = p_variant_id) then
        insert into scenes (id, variant_id, owner_id, scene_number, sora_prompt, model, size, seconds)
        select p.id, v.id, v.owner_id, p.number, p.prompt, p_model, p_size, p_seconds
        from unnest(p_ids, p_prompts) with ordinality p (id, prompt, number), variants v
        where v.id = p_variant_id;
    elsif array(select sora_prompt from scenes where variant_id = p_variant_id order by scene_number) <> p_prompts then
        raise exception 'this variant has scenes with other prompts already'
            using errcode = 'unique_violation', constraint = 'scenes_recorded_once', table = 'scenes';
    else
        update scenes s
        set model = coalesce(p_model, model), size = coalesce(p_size, size), seconds = coalesce(p_seconds, seconds)
        where s.variant_id = p_variant_id and s.status = 'pending' and s.sora_video_id is null
            and not exists (select from attempts a where a.scene_id = s.id)
            and (coalesce(p_model, model), coalesce(p_size, size), coalesce(p_seconds, seconds))
                is distinct from (model, size, seconds);
    end if;
    update variants set total_scenes = cardinality(p_prompts) where id = p_variant_id;
    if p_submit then
        insert into jobs (scene_id, owner_id, step)
        select s.id, s.owner_id, 'submit'
        from scenes s
        where s.variant_id = p_variant_id and s.status = 'pending' and s.sora_video_id is null
            and not exists (select from attempts a where a.scene_id = s.id)
        on conflict do nothing;
    end if;
end $$;

-- Makes a failed scene pending again. While its provider job may still be fetched it is only fetched; a new attempt is
-- queued after a failure that p_submits names, or when what the provider had is expired by now.
create function retry_scene(p_scene_id uuid, p_submits text[]) returns void language plpgsql as $$
declare
    v_scene scenes;
    v_submits boolean;
    v_resumes boolean;
begin
    perform open_generation(
        (select v.generation_id from scenes s join variants v on v.id = s.variant_id where s.id = p_scene_id), 'scene');
    select * into v_scene from scenes where id = p_scene_id;
    if v_scene.status <> 'failed' then
        raise exception 'only a failed scene can be retried, this one is %', v_scene.status using errcode = 'GH002';
    end if;
    v_submits := coalesce(v_scene.error_code = any (p_submits), false) or coalesce(v_scene.expires_at <= now(), false);
    v_resumes := not v_submits and v_scene.sora_video_id is not null;
    if not (v_submits or v_resumes) then
        raise exception 'there is nothing to fetch and no reason for a new attempt after %',
            coalesce(v_scene.error_code, 'a failure without a code') using errcode = 'GH002';
    end if;
    update scenes
    set status = 'pending', error_code = null, error_message = null,
        attempt = case when v_resumes then attempt else attempt + 1 end,
        sora_video_id = case when v_resumes then sora_video_id end,
        sora_status = case when v_resumes then sora_status end,
        provider = case when v_resumes then provider end,
        provider_base_url = case when v_resumes then provider_base_url end,
        expires_at = case when v_resumes then expires_at end
    where id = p_scene_id;
    insert into jobs (scene_id, owner_id, step)
    values (p_scene_id, v_scene.owner_id, case when v_resumes then 'poll' else 'submit' end)
    on conflict (scene_id) do update
        set step = excluded.step, run_at = now(), lease_token = null, failures = 0, last_error = null,
            deadline = excluded.deadline;
end $$;

-- Ends what nobody touched for a day and nothing is being done for, so that nothing stays "processing" for ever: with
-- the scenes it has, so that what is stored is shown. Returns how many generations. It looks across owners, so it runs
-- as the tables' owner, for history_worker alone.
create function abandon_untouched(p_limit integer) returns integer language plpgsql
security definer set search_path = pg_catalog, public as $$
declare
    v_id uuid;
    v_found integer := 0;
begin
    for v_id in
        select g.id from generations g
        where g.status in ('pending', 'processing') and g.updated_at < now() - interval '1 day'
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

-- ---------------------------------------------------------------- who may do what

-- An owner's transaction names it with set_config('app.owner_id', ..., true). nullif: a pooled connection that had one
-- before answers '' instead of null.
alter table generations enable row level security;
alter table variants enable row level security;
alter table scenes enable row level security;
alter table generation_metadata enable row level security;
alter table jobs enable row level security;
alter table attempts enable row level security;

create policy own on generations to history_api, history_worker
    using (owner_id = nullif(current_setting('app.owner_id', true), '')::uuid);
create policy own on variants to history_api, history_worker
    using (owner_id = nullif(current_setting('app.owner_id', true), '')::uuid);
create policy own on scenes to history_api, history_worker
    using (owner_id = nullif(current_setting('app.owner_id', true), '')::uuid);
create policy own on generation_metadata to history_api, history_worker
    using (owner_id = nullif(current_setting('app.owner_id', true), '')::uuid);
create policy own on jobs to history_api
    using (owner_id = nullif(current_setting('app.owner_id', true), '')::uuid);
create policy own on attempts to history_api
    using (owner_id = nullif(current_setting('app.owner_id', true), '')::uuid);
-- A claim takes whatever is due, and adoption must know every job that is taken, whoever owns it.
create policy every on jobs to history_worker using (true);
create policy every on attempts to history_worker using (true);

-- A foreign key does not look through row level security: without these an owner could hang rows on another's parent.
create policy on_own_generation on variants as restrictive for insert to history_api
    with check (exists (select from generations g where g.id = generation_id));
create policy on_own_variant on scenes as restrictive for insert to history_api
    with check (exists (select from variants v where v.id = variant_id));
create policy on_own_generation on generation_metadata as restrictive for insert to history_api
    with check (exists (select from generations g where g.id = generation_id));
create policy on_own_scene on jobs as restrictive for insert to history_api
    with check (exists (select from scenes s where s.id = scene_id));
create policy on_own_scene on attempts as restrictive for insert to history_api
    with check (exists (select from scenes s where s.id = scene_id));

revoke execute on function abandon_untouched from public;
grant execute on function abandon_untouched to history_worker;
grant usage on schema public to history_api, history_worker;
grant select, insert on generations, variants, scenes, generation_metadata, jobs, attempts to history_api;
grant select on generations, variants, scenes, jobs, attempts to history_worker;
grant insert on attempts to history_worker;
-- Never id, owner_id or a parent: a row stays where it was made.
grant update (status, status_set_by_caller, actual_cost, error_message, completed_at, deleted_at)
    on generations to history_api;
grant update (status, status_set_by_caller, actual_cost, error_message, completed_at) on generations to history_worker;
grant update (status, status_set_by_caller, scenes_completed, total_scenes, error_message, completed_at)
    on variants to history_api, history_worker;
grant update (sora_video_id, sora_status, video_url, thumbnail_url, duration, resolution, file_size, status,
    error_message, error_code, provider, provider_base_url, model, size, seconds, expires_at, attempt, completed_at)
    on scenes to history_api, history_worker;
grant update (original_analysis, transformation_data, prompts_data, evaluation_data) on generation_metadata to history_api;
grant update (step, run_at, lease_token, failures, last_error, deadline), delete on jobs to history_api, history_worker;
grant update (outcome, provider, provider_base_url, model, size, seconds, sora_video_id, intended_at, accepted_at,
    rendered_at, finished_at, error_code, error_message) on attempts to history_api, history_worker;
