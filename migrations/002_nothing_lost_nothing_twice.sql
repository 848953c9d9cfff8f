-- What keeps the first two promises under fire: prices and limits before a POST, webhook deliveries, the state of each
-- provider, a pulse of what runs on a schedule, restore and purge.

-- ---------------------------------------------------------------- prices and cost

-- What a rendered second costs, as data: provider is the host of the server's base URL; size may be * for any.
create table prices (
    provider       text not null,
    model          text not null,
    size           text not null,
    -- Bounded, so that no sum of costs overflows; NaN counts as more than any number.
    usd_per_second numeric(10, 5) not null constraint prices_usd_per_second check (usd_per_second between 0 and 100),
    valid_from     timestamptz not null,
    valid_to       timestamptz not null default 'infinity',
    source         text not null constraint prices_source check (source <> ''),
    constraint prices_pkey primary key (provider, model, size, valid_from),
    constraint prices_validity check (valid_from < valid_to)
);

insert into prices (provider, model, size, usd_per_second, valid_from, valid_to, source)
select 'api.openai.com', model, size, usd, '2025-10-06', '2026-09-24', 'OpenAI''s last price list; retired 24 September 2026'
from (values
    ('sora-2', '*', 0.10),
    ('sora-2-pro', '720x1280', 0.30), ('sora-2-pro', '1280x720', 0.30),
    ('sora-2-pro', '1024x1792', 0.50), ('sora-2-pro', '1792x1024', 0.50),
    ('sora-2-pro', '1080x1920', 0.70), ('sora-2-pro', '1920x1080', 0.70)
) last_known (model, size, usd);

-- US dollars for a video of so many seconds asked for now, null where no price is known.
create function cost_of(p_provider text, p_model text, p_size text, p_seconds integer) returns numeric
language sql stable as $$
    select usd_per_second * p_seconds
    from prices
    where provider = p_provider and model = p_model and size in (p_size, '*') and now() >= valid_from and now() < valid_to
    order by size = '*', valid_from desc
    limit 1
$$;

-- What the attempt costs if it is rendered, by the price when it was posted; null is unknown.
alter table attempts add column cost numeric(12, 5);
-- A cost that a caller reported stands.
alter table generations add column actual_cost_reported boolean not null default false;

-- A generation's actual cost is what was rendered, and unknown as soon as the cost of anything rendered is.
create function roll_up_cost(p_generation_id uuid) returns void language sql as $$
    update generations g
    set actual_cost = c.cost
    from (
        select case when bool_and(a.cost is not null) then round(sum(a.cost), 2) end as cost
        from variants v
        join scenes s on s.variant_id = v.id
        left join attempts a on a.scene_id = s.id and a.rendered_at is not null
        where v.generation_id = p_generation_id and (s.status = 'completed' or a.id is not null)
    ) c
    where g.id = p_generation_id and not g.actual_cost_reported and g.actual_cost is distinct from c.cost
$$;

-- ---------------------------------------------------------------- limits on spending

-- One row a POST, also of those that made no job (their cost is 0): what the limits count. It outlives a purge of what it
-- was for, so that no budget comes back by deleting.
create table posts (
    -- Of the lease under which it was made: one lease makes one POST, so the same transaction done twice counts once.
    lease_token uuid constraint posts_pkey primary key,
    scene_id    uuid not null,
    attempt     integer not null,
    owner_id    uuid not null,
    cost        numeric(12, 5),
    at          timestamptz not null default now()
);
create index posts_at on posts (at);
create index posts_owner_at on posts (owner_id, at);
create index posts_scene_id on posts (scene_id);
create index attempts_failed_at on attempts (finished_at) where error_code is not null;
-- Accepted jobs expire, so they are claimed before anything new is posted.
create index jobs_accepted_run_at on jobs (run_at) where step <> 'submit';
create index jobs_submit_run_at on jobs (run_at) where step = 'submit';
drop index jobs_run_at;
-- The soonest end of anything that is still to be fetched, for whoever watches.
alter table jobs add column expires_at timestamptz;

-- Raises "held" with the reason unless one more POST is within the limits (null: none). Submissions take turns here, so
-- that two of them cannot both be the last one.
create function admit_submission(p_owner_id uuid, p_cost numeric, p_most_running integer, p_most_per_minute integer,
                                 p_usd_per_owner_and_day numeric, p_scene_id uuid default null,
                                 p_lease_token uuid default null) returns void language plpgsql as $$
declare
    v_spent numeric;
begin
    if p_most_running is null and p_most_per_minute is null and p_usd_per_owner_and_day is null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('admit_submission'));
    if (select count(*) from jobs where step in ('find', 'poll') and scene_id is distinct from p_scene_id)
        >= p_most_running then
        raise exception 'SORA_MAX_RUNNING: % jobs are running', p_most_running using errcode = 'GH004';
    end if;
    if (select count(*) from posts where at > now() - interval '1 minute' and lease_token is distinct from p_lease_token)
        >= p_most_per_minute then
        raise exception 'SORA_MAX_PER_MINUTE: % were posted within a minute', p_most_per_minute using errcode = 'GH004';
    end if;
    if p_usd_per_owner_and_day is not null then
        if p_cost is null then
            raise exception 'SPEND_LIMIT_PER_OWNER_DAY: there is no price for this video, so the limit cannot be kept'
                using errcode = 'GH004';
        end if;
        select coalesce(sum(cost), 0) into v_spent
        from posts
        where owner_id = p_owner_id and at >= date_trunc('day', now(), 'UTC')
            and lease_token is distinct from p_lease_token;
        if v_spent + p_cost > p_usd_per_owner_and_day then
            raise exception 'SPEND_LIMIT_PER_OWNER_DAY: % of % US dollars are spent today', round(v_spent, 2),
                p_usd_per_owner_and_day using errcode = 'GH004';
        end if;
    end if;
end $$;

-- ---------------------------------------------------------------- guards

-- How many workers in a row died with the job's lease: a step that kills its worker must come to an end as well.
alter table jobs add column deaths integer not null default 0;

-- Raises lease_lost unless a POST may be made for the scene now: nobody ended it or recorded a job for it meanwhile.
create function may_post(p_scene_id uuid) returns void language plpgsql as $$
begin
    perform from scenes where id = p_scene_id and status in ('pending', 'processing') and sora_video_id is null;
    if not found then
        raise exception 'scene % has a video or an end already', p_scene_id using errcode = 'GH001';
    end if;
end $$;

-- Raises lease_lost unless the answer to the attempt's POST is still waited for, whoever has the lease: there was one
-- POST, so whoever has its answer is right, and whoever looks for its job meanwhile is fenced by what is written.
create function hold_intent(p_scene_id uuid, p_attempt integer, p_sora_video_id text) returns void
language plpgsql as $$
begin
    perform from jobs j join attempts a on a.scene_id = j.scene_id and a.attempt = p_attempt
    where j.scene_id = p_scene_id
        and (j.step = 'find' and a.sora_video_id is null or a.sora_video_id = p_sora_video_id)
    for update of j;
    if not found then
        raise exception 'the answer for scene % came too late', p_scene_id using errcode = 'GH001';
    end if;
end $$;

-- The answer to a POST that was given up as submit_unknown meanwhile: its worker stood still. The job is paid for, so
-- the scene is pending again and waits for it. Raises lease_lost where anything else has happened since.
create function take_late_answer(p_scene_id uuid, p_attempt integer, p_sora_video_id text) returns void
language plpgsql as $$
begin
    update attempts a
    set outcome = 'accepted', sora_video_id = p_sora_video_id, accepted_at = now(), finished_at = null,
        error_code = null, error_message = null
    from scenes s
    where a.scene_id = p_scene_id and a.attempt = p_attempt and a.sora_video_id is null
        and s.id = p_scene_id and s.attempt = p_attempt and s.status = 'failed' and s.error_code = 'submit_unknown';
    if not found then
        raise exception 'the answer for scene % came too late', p_scene_id using errcode = 'GH001';
    end if;
    update scenes set sora_video_id = p_sora_video_id where id = p_scene_id;
    perform retry_scene(p_scene_id, '{}');
end $$;

-- What a worker knows to be the attempt's job stays so, and while a POST is under way nobody else names one: the id of
-- a paid job would be lost.
create function keep_the_job_of_an_attempt() returns trigger language plpgsql as $$
begin
    raise exception 'this scene''s job is known already, or is being submitted' using errcode = 'GH002';
end $$;

create trigger attempts_keep_their_job before update of sora_video_id on attempts
    for each row when (
        old.provider_base_url is not null and new.sora_video_id is distinct from old.sora_video_id
        and (old.sora_video_id is not null or old.outcome = 'intended' and new.outcome = 'intended'))
    execute function keep_the_job_of_an_attempt();

-- ---------------------------------------------------------------- webhooks

-- One row a delivery, so that a repeat changes nothing. An event may come before its job's id is known to us.
create table deliveries (
    webhook_id    text constraint deliveries_pkey primary key,
    type          text not null,
    sora_video_id text not null,
    received_at   timestamptz not null default now()
);
create index deliveries_sora_video_id on deliveries (sora_video_id);
create index deliveries_received_at on deliveries (received_at);

-- ---------------------------------------------------------------- what operators watch

create table provider_states (
    base_url   text constraint provider_states_pkey primary key,
    state      text not null constraint provider_states_state check (state in ('ok', 'refused', 'gone', 'unreachable')),
    reason     text,
    since      timestamptz not null default now()
);

create table pulses (
    name text constraint pulses_pkey primary key,
    at   timestamptz not null default now()
);

-- ---------------------------------------------------------------- delete, restore, purge

alter table generations
    add column purge_at timestamptz,
    add column purging_since timestamptz,
    add constraint generations_purge_at check ((purge_at is null) = (deleted_at is null)),
    add constraint generations_purging_since check (purging_since is null or deleted_at is not null);
create index generations_purge_at on generations (purge_at) where purge_at is not null;

-- Fences what is due to be purged: its jobs are gone, so no worker can write another row of it. Returns how many.
create function begin_purge(p_limit integer) returns integer language plpgsql
security definer set search_path = pg_catalog, public as $$
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
    return cardinality(v_ids);
end $$;

-- Those fenced so long ago that no worker can still be uploading for them. Their objects go first, then their rows.
create function purgeable(p_limit integer, p_fenced_seconds integer, p_but uuid[]) returns table (id uuid)
language sql stable security definer set search_path = pg_catalog, public as $$
    select g.id from generations g
    where g.purge_at <= now() and g.purging_since < now() - make_interval(secs => p_fenced_seconds)
        and g.id <> all (p_but)
    order by g.purge_at limit p_limit
$$;

-- Deletes the rows of what is fenced, all its parts with it, and nothing else. Returns whether there was any.
create function purge_generation(p_generation_id uuid) returns boolean language plpgsql
security definer set search_path = pg_catalog, public as $$
begin
    delete from generations where id = p_generation_id and purging_since is not null;
    return found;
end $$;

-- Undoes a deletion, unless the purge has begun: what it had cancelled is queued again. Returns whether it did.
create function restore_generation(p_generation_id uuid) returns boolean language plpgsql as $$
declare
    v_deleted_at timestamptz;
begin
    perform lock_generation(p_generation_id);
    select deleted_at into v_deleted_at from generations
    where id = p_generation_id and deleted_at is not null and purging_since is null;
    if not found then
        return false;
    end if;
    update generations set deleted_at = null, purge_at = null where id = p_generation_id;
    with again as (
        update scenes s set status = 'pending', error_code = null, error_message = null
        from variants v join generations g on g.id = v.generation_id
        where v.id = s.variant_id and g.id = p_generation_id and s.error_code = 'cancelled'
            -- Cancelled with the deletion or after it; what was cancelled before was never to be submitted.
            and s.updated_at >= v_deleted_at
            -- What a caller failed stays so, and costs nothing more.
            and not (g.status_set_by_caller and g.status = 'failed')
        returning s.id, s.owner_id
    )
    insert into jobs (scene_id, owner_id, step) select id, owner_id, 'submit' from again
    on conflict (scene_id) do nothing;
    perform roll_up(p_generation_id);
    return true;
end $$;

-- ---------------------------------------------------------------- who may do what

alter table prices enable row level security;
alter table posts enable row level security;
alter table deliveries enable row level security;
alter table provider_states enable row level security;
alter table pulses enable row level security;
create policy everyone on prices to history_api, history_worker using (true);
create policy worker on posts to history_worker using (true);
create policy worker on deliveries to history_worker using (true);
create policy worker on provider_states to history_worker using (true);
create policy worker on pulses to history_worker using (true);

grant select on prices to history_api, history_worker;
grant select, insert, delete on posts, deliveries to history_worker;
grant update (cost) on posts to history_worker;
grant select, insert, update, delete on provider_states to history_worker;
grant select, insert, update on pulses to history_worker;
grant update (cost) on attempts to history_worker;
grant insert on jobs to history_worker;
grant update (expires_at, deaths) on jobs to history_worker;
grant update (purge_at, actual_cost_reported) on generations to history_api;

revoke execute on function begin_purge, purgeable, purge_generation from public;
grant execute on function begin_purge, purgeable, purge_generation to history_worker;
