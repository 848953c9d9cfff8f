-- Archives: a generation as one zip in the store, made by the poller because somebody asked for it.

-- What an archive holds is settled when it is asked for, and its key names it by fingerprint: whoever builds it, however
-- often and however late, writes the same bytes to the same key. Asked for again after it failed or ended, a new row is
-- made, with a key of its own, so that the purge of the old one is in nobody's way.
create table archives (
    id            uuid constraint archives_pkey primary key,
    generation_id uuid not null constraint archives_generation_id_fkey references generations on delete cascade,
    owner_id      uuid not null,
    fingerprint   text not null constraint archives_fingerprint check (fingerprint ~ '^[0-9a-f]{32}$'),
    -- Nobody can write another one, so a link can be signed for it without another look.
    key           text not null generated always as (
        'generations/' || generation_id::text || '/archives/' || id::text || '.' || fingerprint || '.zip') stored,
    -- As text: a manifest reads best in the order it was written in.
    contents      json not null,
    state         text not null default 'queued' constraint archives_state check (
        state in ('queued', 'building', 'ready', 'failed', 'removing')
    ),
    -- As in jobs: when it is due, and while it is being built, until when it is its builder's.
    run_at        timestamptz not null default now(),
    lease_token   uuid,
    tries         integer not null default 0,
    deadline      timestamptz not null default now() + interval '1 hour',
    videos        integer not null constraint archives_videos check (videos > 0),
    videos_done   integer not null default 0,
    bytes         bigint not null constraint archives_bytes check (bytes >= 0),
    bytes_done    bigint not null default 0,
    size          bigint constraint archives_size check (size > 0),
    error_code    text constraint archives_error_code check (
        error_code in ('video_missing', 'video_changed', 'storage_failed', 'timed_out')
    ),
    error_message text,
    created_at    timestamptz not null default now(),
    -- Not the transaction's time: askers take turns, and the last one counts.
    requested_at  timestamptz not null default clock_timestamp(),
    ready_at      timestamptz,
    -- When the purge takes it.
    expires_at    timestamptz,
    constraint archives_leased_while_built check ((state = 'building') = (lease_token is not null)),
    constraint archives_ready check (state <> 'ready' or (size is not null and ready_at is not null)),
    constraint archives_failed check (state <> 'failed' or (error_code is not null and error_message is not null)),
    constraint archives_expires_at check ((state in ('ready', 'failed')) <= (expires_at is not null))
);

create index archives_generation_id on archives (generation_id, requested_at desc);
-- One of a kind, but for those on their way out.
create unique index archives_asked_for on archives (generation_id, fingerprint) where state <> 'removing';
create index archives_run_at on archives (run_at) where state in ('queued', 'building');
create index archives_expires_at on archives (expires_at) where state in ('ready', 'failed');
create index archives_removing on archives (id) where state = 'removing';

-- A purge fences builders as it fences workers: what is being built for the generation is nobody's any more. Its objects
-- go with the generation's.
create function fence_archives() returns trigger language plpgsql as $$
begin
    delete from archives where generation_id = new.id;
    return null;
end $$;

create trigger generations_fence_archives after update of purging_since on generations
    for each row when (old.purging_since is null and new.purging_since is not null) execute function fence_archives();

-- Deletes the row of an archive whose object is gone. Returns whether there was one.
create function remove_archive(p_id uuid) returns boolean language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    delete from archives where id = p_id and state = 'removing';
    return found;
end $$;

-- ---------------------------------------------------------------- who may do what

alter table archives enable row level security;
create policy own on archives to history_api
    using (owner_id = nullif(current_setting('app.owner_id', true), '')::uuid);
create policy every on archives to history_worker using (true);
-- A foreign key does not look through row level security.
create policy on_own_generation on archives as restrictive for insert to history_api
    with check (exists (select from generations g where g.id = generation_id));

grant select, insert (id, generation_id, owner_id, fingerprint, contents, videos, bytes), update (state, requested_at)
    on archives to history_api;
grant select, update (state, run_at, lease_token, tries, videos_done, bytes_done, size, error_code, error_message,
    ready_at, expires_at) on archives to history_worker;

revoke execute on function remove_archive from public;
grant execute on function remove_archive to history_worker;
