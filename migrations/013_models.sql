-- A scene may be asked of several kinds of providers, each with models of its own: what is asked for besides the model,
-- the size and the length, an operator's own models, and which attempt an event of a provider is about.

alter table scenes
    add sound boolean,
    add seed bigint constraint scenes_seed check (seed between 0 and 4294967295),
    add image_key text constraint scenes_image_key check (length(image_key) between 1 and 500);
grant update (sound, seed, image_key) on scenes to history_api, history_worker;

alter table attempts add sound boolean, add seed bigint, add image_key text;
grant update (sound, seed, image_key) on attempts to history_worker;

-- An operator's models, beside those that the package has, and before those of the same name.
create table video_models (
    name text primary key constraint video_models_name check (length(name) between 1 and 200),
    definition jsonb not null,
    changed_at timestamptz not null default now(),
    constraint video_models_definition check (definition ->> 'name' = name)
);
alter table video_models enable row level security;
create policy everyone on video_models to history_api, history_worker using (true);
grant select on video_models to history_api, history_worker;

-- The token of the attempt that a delivery is about, where its provider was told one.
alter table deliveries add attempt_token uuid;
create index deliveries_attempt_token on deliveries (attempt_token) where attempt_token is not null;
