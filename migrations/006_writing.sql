-- What writing over HTTP needs: a creation is recorded once however often it is asked for, a scene's own submission is
-- brought home by the poller, and API keys say who calls.

-- ---------------------------------------------------------------- recorded once

-- One row for each Idempotency-Key of an owner, kept as long as the generation that it recorded.
create table idempotency_keys (
    owner_id       uuid not null,
    key            text not null constraint idempotency_keys_key check (length(key) between 1 and 200),
    request_sha256 text not null,
    generation_id  uuid not null
        constraint idempotency_keys_generation_id_fkey references generations on delete cascade,
    created_at     timestamptz not null default now(),
    constraint idempotency_keys_pkey primary key (owner_id, key)
);
create index idempotency_keys_generation_id on idempotency_keys (generation_id);

-- Remembers that this key has recorded this generation. Raises "repeated" with the generation that it has recorded
-- before, which undoes whatever this transaction has done; a conflict where it came with another request then. Of two
-- transactions with one key the second waits here for the first.
create function record_once(p_key text, p_request_sha256 text, p_generation_id uuid) returns void language plpgsql as $$
declare
    v_before idempotency_keys;
begin
    insert into idempotency_keys (owner_id, key, request_sha256, generation_id)
    select owner_id, p_key, p_request_sha256, id from generations where id = p_generation_id
    on conflict on constraint idempotency_keys_pkey do nothing;
    if found then
        return;
    end if;
    select k.* into v_before
    from idempotency_keys k join generations g on g.owner_id = k.owner_id
    where g.id = p_generation_id and k.key = p_key;
    if not found then
        -- Purged in this very moment: the transaction may be tried again.
        raise exception 'the key was removed meanwhile' using errcode = 'serialization_failure';
    elsif v_before.request_sha256 <> p_request_sha256 then
        raise exception 'this Idempotency-Key came with another request before' using errcode = 'GH002';
    end if;
    raise exception '%', v_before.generation_id using errcode = 'GH005';
end $$;

-- ---------------------------------------------------------------- a caller's own submission

-- Raises a conflict where any other scene, whoever owns it, has or had this provider job: naming a job must not bring
-- another's video home. Those who name the same job take turns, to the end of their transactions. It tells nothing but
-- the refusal, and that only to the owner of the scene.
create function refuse_taken_job(p_scene_id uuid, p_video_id text) returns void language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    perform from scenes
    where id = p_scene_id and owner_id = nullif(current_setting('app.owner_id', true), '')::uuid;
    if not found then
        raise exception 'no such scene' using errcode = 'GH003';
    end if;
    perform pg_advisory_xact_lock(hashtextextended(p_video_id, 7021977));
    perform from attempts where sora_video_id = p_video_id and scene_id <> p_scene_id;
    if found then
        raise exception 'another scene has this provider job already' using errcode = 'GH002';
    end if;
end $$;

-- Records that the caller has submitted the scene by itself, as this provider job, and queues it to be polled, fetched
-- and stored. Nothing is posted for it; a POST of ours that waits is given up. The same job again changes nothing.
create function record_provider_job(p_scene_id uuid, p_attempt_id uuid, p_video_id text) returns void
language plpgsql as $$
declare
    v_scene scenes;
    v_repeats boolean;
    v_adopts boolean;
begin
    perform open_generation(
        (select v.generation_id from scenes s join variants v on v.id = s.variant_id where s.id = p_scene_id), 'scene');
    select * into v_scene from scenes where id = p_scene_id;
    v_repeats := coalesce(v_scene.sora_video_id = p_video_id, false);
    if v_repeats and v_scene.status = 'completed' then
        return;
    elsif v_scene.status = 'completed' or (v_scene.status <> 'failed' and v_scene.sora_video_id <> p_video_id) then
        raise exception 'this scene is % with another provider job', v_scene.status using errcode = 'GH002';
    elsif exists (select from jobs where scene_id = p_scene_id and step = 'find') then
        raise exception 'this scene is being submitted already' using errcode = 'GH002';
    end if;
    perform from attempts where scene_id = p_scene_id and sora_video_id = p_video_id and attempt <> v_scene.attempt;
    if found then
        raise exception 'an earlier attempt at this scene had this provider job' using errcode = 'GH002';
    end if;
    perform refuse_taken_job(p_scene_id, p_video_id);

    if v_repeats and v_scene.status <> 'failed' then
        insert into jobs (scene_id, owner_id, step) values (p_scene_id, v_scene.owner_id, 'poll')
        on conflict (scene_id) do nothing;
        return;
    end if;
    if not v_repeats then
        -- After a POST whose outcome nobody knew, this is its job. Otherwise what happened before is another story.
        v_adopts := v_scene.status = 'failed' and v_scene.error_code is not distinct from 'submit_unknown';
        if not v_adopts and exists (select from attempts where scene_id = p_scene_id and attempt = v_scene.attempt) then
            v_scene.attempt := v_scene.attempt + 1;
        end if;
        insert into attempts (id, scene_id, owner_id, attempt, outcome, sora_video_id, accepted_at)
        values (p_attempt_id, p_scene_id, v_scene.owner_id, v_scene.attempt, 'accepted', p_video_id, now())
        on conflict on constraint attempts_scene_id_attempt_key do update
            set outcome = 'adopted', sora_video_id = excluded.sora_video_id, accepted_at = now(), finished_at = null,
                error_code = null, error_message = null;
        update scenes
        set sora_video_id = p_video_id, sora_status = null, expires_at = null, attempt = v_scene.attempt,
            provider = case when v_adopts then provider end,
            provider_base_url = case when v_adopts then provider_base_url end
        where id = p_scene_id;
    end if;
    update scenes
    set status = case v_scene.status when 'failed' then 'pending' else 'processing' end,
        error_code = null, error_message = null
    where id = p_scene_id;
    -- Whoever is about to post it loses the lease, and posts nothing.
    insert into jobs (scene_id, owner_id, step) values (p_scene_id, v_scene.owner_id, 'poll')
    on conflict (scene_id) do update
        set step = 'poll', run_at = now(), lease_token = null, failures = 0, last_error = null,
            deadline = excluded.deadline;
end $$;

-- ---------------------------------------------------------------- API keys

-- The key itself is nowhere: whoever reads this table cannot call.
create table api_keys (
    id           uuid constraint api_keys_pkey primary key,
    owner_id     uuid not null,
    name         text not null constraint api_keys_name check (length(name) between 1 and 100),
    sha256       bytea not null constraint api_keys_sha256_key unique
        constraint api_keys_sha256 check (octet_length(sha256) = 32),
    scopes       text[] not null
        constraint api_keys_scopes check (cardinality(scopes) >= 1 and scopes <@ array['read', 'write']),
    created_at   timestamptz not null default now(),
    last_used_at timestamptz,
    expires_at   timestamptz,
    revoked_at   timestamptz
);

-- The owner and the scopes of a live key, and nothing of any other. When it was used is kept to the hour.
create function owner_of_api_key(p_sha256 bytea) returns table (owner_id uuid, scopes text[]) language sql
security definer set search_path = pg_catalog, public, pg_temp as $$
    update api_keys set last_used_at = now()
    where id in (
        select k.id from api_keys k
        where k.sha256 = p_sha256 and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
            and (k.last_used_at is null or k.last_used_at < now() - interval '1 hour')
        for update skip locked);
    select k.owner_id, k.scopes from api_keys k
    where k.sha256 = p_sha256 and k.revoked_at is null and (k.expires_at is null or k.expires_at > now());
$$;

-- ---------------------------------------------------------------- who may do what

alter table idempotency_keys enable row level security;
alter table api_keys enable row level security;
create policy own on idempotency_keys to history_api
    using (owner_id = nullif(current_setting('app.owner_id', true), '')::uuid);
create policy on_own_generation on idempotency_keys as restrictive for insert to history_api
    with check (exists (select from generations g where g.id = generation_id));
-- Only owner_of_api_key() looks in here, and scripts/api-key, as the tables' owner.
create policy nobody on api_keys using (false);

grant select, insert on idempotency_keys to history_api;
revoke execute on function refuse_taken_job, owner_of_api_key from public;
grant execute on function refuse_taken_job, owner_of_api_key to history_api;

-- A temporary table of the caller's comes before ours unless it is named last.
alter function abandon_untouched(integer) set search_path = pg_catalog, public, pg_temp;
alter function begin_purge(integer) set search_path = pg_catalog, public, pg_temp;
alter function purgeable(integer, integer, uuid[]) set search_path = pg_catalog, public, pg_temp;
alter function purge_generation(uuid) set search_path = pg_catalog, public, pg_temp;
