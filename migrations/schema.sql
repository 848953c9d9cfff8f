-- The present schema, made by scripts/schema from all migrations. It is for reading and is never applied.

CREATE EXTENSION IF NOT EXISTS btree_gin WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
GRANT ALL ON SCHEMA public TO history_migrate;

-- ---------------------------------------------------------------- schema_migrations

CREATE TABLE schema_migrations (
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT schema_migrations_pkey PRIMARY KEY (name)
);

-- ---------------------------------------------------------------- generations

CREATE TABLE generations (
    id uuid NOT NULL,
    owner_id uuid NOT NULL,
    source_video_url text NOT NULL,
    source_video_type character varying(50) NOT NULL,
    status character varying(50) DEFAULT 'pending'::character varying NOT NULL,
    status_set_by_caller boolean DEFAULT false NOT NULL,
    total_variants integer NOT NULL,
    variant_types text[] NOT NULL,
    cost_estimate numeric(10,2),
    actual_cost numeric(10,2),
    error_message text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone,
    deleted_at timestamp with time zone,
    actual_cost_reported boolean DEFAULT false NOT NULL,
    purge_at timestamp with time zone,
    purging_since timestamp with time zone,
    CONSTRAINT generations_actual_cost CHECK (((actual_cost >= (0)::numeric) AND (actual_cost <> 'NaN'::numeric))),
    CONSTRAINT generations_completed_at CHECK ((((status)::text = 'completed'::text) = (completed_at IS NOT NULL))),
    CONSTRAINT generations_cost_estimate CHECK (((cost_estimate >= (0)::numeric) AND (cost_estimate <> 'NaN'::numeric))),
    CONSTRAINT generations_purge_at CHECK (((purge_at IS NULL) = (deleted_at IS NULL))),
    CONSTRAINT generations_purging_since CHECK (((purging_since IS NULL) OR (deleted_at IS NOT NULL))),
    CONSTRAINT generations_source_video_url_length CHECK (((length(source_video_url) >= 1) AND (length(source_video_url) <= 4096))),
    CONSTRAINT generations_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'processing'::character varying, 'completed'::character varying, 'failed'::character varying])::text[]))),
    CONSTRAINT generations_variant_types CHECK (((cardinality(variant_types) = total_variants) AND (total_variants >= 1) AND (variant_types <@ ARRAY['soft'::text, 'medium'::text, 'aggressive'::text, 'ultra'::text]))),
    CONSTRAINT generations_pkey PRIMARY KEY (id)
);

CREATE INDEX generations_aggressive ON generations USING btree (owner_id, status, created_at DESC, id DESC) WHERE ((deleted_at IS NULL) AND (variant_types @> ARRAY['aggressive'::text]));
CREATE INDEX generations_medium ON generations USING btree (owner_id, status, created_at DESC, id DESC) WHERE ((deleted_at IS NULL) AND (variant_types @> ARRAY['medium'::text]));
CREATE INDEX generations_owner_created ON generations USING btree (owner_id, created_at DESC, id DESC) WHERE (deleted_at IS NULL);
CREATE INDEX generations_owner_source ON generations USING gin (owner_id, source_video_url gin_trgm_ops) WHERE (deleted_at IS NULL);
CREATE INDEX generations_owner_status_created ON generations USING btree (owner_id, status, created_at DESC, id DESC) WHERE (deleted_at IS NULL);
CREATE INDEX generations_purge_at ON generations USING btree (purge_at) WHERE (purge_at IS NOT NULL);
CREATE INDEX generations_short_id ON generations USING btree (owner_id, "right"((id)::text, 8)) WHERE (deleted_at IS NULL);
CREATE INDEX generations_soft ON generations USING btree (owner_id, status, created_at DESC, id DESC) WHERE ((deleted_at IS NULL) AND (variant_types @> ARRAY['soft'::text]));
CREATE INDEX generations_ultra ON generations USING btree (owner_id, status, created_at DESC, id DESC) WHERE ((deleted_at IS NULL) AND (variant_types @> ARRAY['ultra'::text]));
CREATE INDEX generations_unfinished ON generations USING btree (updated_at) WHERE ((status)::text = ANY ((ARRAY['pending'::character varying, 'processing'::character varying])::text[]));

CREATE TRIGGER generations_delta_delete BEFORE DELETE ON generations FOR EACH ROW WHEN ((old.deleted_at IS NULL)) EXECUTE FUNCTION generation_delta();
CREATE TRIGGER generations_delta_insert AFTER INSERT ON generations FOR EACH ROW EXECUTE FUNCTION generation_delta();
CREATE TRIGGER generations_delta_update AFTER UPDATE ON generations FOR EACH ROW WHEN ((((old.deleted_at IS NULL) OR (new.deleted_at IS NULL)) AND (((((((old.status)::text IS DISTINCT FROM (new.status)::text) OR (old.actual_cost IS DISTINCT FROM new.actual_cost)) OR (old.cost_estimate IS DISTINCT FROM new.cost_estimate)) OR ((old.deleted_at IS NULL) IS DISTINCT FROM (new.deleted_at IS NULL))) OR (old.owner_id IS DISTINCT FROM new.owner_id)) OR (old.created_at IS DISTINCT FROM new.created_at)))) EXECUTE FUNCTION generation_delta();
CREATE TRIGGER generations_fence_archives AFTER UPDATE OF purging_since ON generations FOR EACH ROW WHEN (((old.purging_since IS NULL) AND (new.purging_since IS NOT NULL))) EXECUTE FUNCTION delete_archives_of_purge();
CREATE TRIGGER generations_updated_at BEFORE UPDATE ON generations FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION set_updated_at();

ALTER TABLE generations ENABLE ROW LEVEL SECURITY;

CREATE POLICY own ON generations TO history_api, history_worker USING ((owner_id = (NULLIF(current_setting('app.owner_id'::text, true), ''::text))::uuid));

GRANT SELECT,INSERT ON TABLE generations TO history_api;
GRANT SELECT ON TABLE generations TO history_worker;
GRANT UPDATE (status, status_set_by_caller, actual_cost, error_message, completed_at, deleted_at, actual_cost_reported, purge_at) ON TABLE generations TO history_api;
GRANT UPDATE (status, status_set_by_caller, actual_cost, error_message, completed_at) ON TABLE generations TO history_worker;

-- ---------------------------------------------------------------- variants

CREATE TABLE variants (
    id uuid NOT NULL,
    generation_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    variant_type character varying(50) NOT NULL,
    status character varying(50) DEFAULT 'pending'::character varying NOT NULL,
    status_set_by_caller boolean DEFAULT false NOT NULL,
    scenes_completed integer DEFAULT 0 NOT NULL,
    total_scenes integer DEFAULT 4 NOT NULL,
    error_message text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone,
    given_type text,
    CONSTRAINT variants_completed_at CHECK ((((status)::text = 'completed'::text) = (completed_at IS NOT NULL))),
    CONSTRAINT variants_given_type CHECK ((length(given_type) <= 50)),
    CONSTRAINT variants_scenes_completed CHECK (((scenes_completed >= 0) AND (scenes_completed <= total_scenes))),
    CONSTRAINT variants_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'processing'::character varying, 'completed'::character varying, 'failed'::character varying])::text[]))),
    CONSTRAINT variants_variant_type CHECK (((variant_type)::text = ANY ((ARRAY['soft'::character varying, 'medium'::character varying, 'aggressive'::character varying, 'ultra'::character varying])::text[]))),
    CONSTRAINT variants_generation_id_variant_type_key UNIQUE (generation_id, variant_type),
    CONSTRAINT variants_pkey PRIMARY KEY (id),
    CONSTRAINT variants_generation_id_fkey FOREIGN KEY (generation_id) REFERENCES generations(id) ON DELETE CASCADE
);

CREATE TRIGGER variants_delta_delete AFTER DELETE ON variants FOR EACH ROW EXECUTE FUNCTION variant_delta();
CREATE TRIGGER variants_delta_insert AFTER INSERT ON variants FOR EACH ROW EXECUTE FUNCTION variant_delta();
CREATE TRIGGER variants_delta_update AFTER UPDATE ON variants FOR EACH ROW WHEN (((old.status)::text <> (new.status)::text)) EXECUTE FUNCTION variant_delta();
CREATE TRIGGER variants_scenes_first BEFORE DELETE ON variants FOR EACH ROW EXECUTE FUNCTION delete_scenes_first();
CREATE TRIGGER variants_updated_at BEFORE UPDATE ON variants FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION set_updated_at();

ALTER TABLE variants ENABLE ROW LEVEL SECURITY;

CREATE POLICY on_own_generation ON variants AS RESTRICTIVE FOR INSERT TO history_api WITH CHECK ((EXISTS ( SELECT
   FROM generations g
  WHERE (g.id = variants.generation_id))));
CREATE POLICY own ON variants TO history_api, history_worker USING ((owner_id = (NULLIF(current_setting('app.owner_id'::text, true), ''::text))::uuid));

GRANT SELECT,INSERT ON TABLE variants TO history_api;
GRANT SELECT ON TABLE variants TO history_worker;
GRANT UPDATE (status, status_set_by_caller, scenes_completed, total_scenes, error_message, completed_at) ON TABLE variants TO history_api;
GRANT UPDATE (status, status_set_by_caller, scenes_completed, total_scenes, error_message, completed_at) ON TABLE variants TO history_worker;

-- ---------------------------------------------------------------- scenes

CREATE TABLE scenes (
    id uuid NOT NULL,
    variant_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    scene_number integer NOT NULL,
    sora_prompt text NOT NULL,
    sora_video_id text,
    sora_status character varying(50),
    video_url text,
    thumbnail_url text,
    duration integer,
    resolution character varying(50),
    file_size bigint,
    status character varying(50) DEFAULT 'pending'::character varying NOT NULL,
    error_message text,
    error_code text,
    provider text,
    provider_base_url text,
    model text,
    size text,
    seconds integer,
    expires_at timestamp with time zone,
    attempt integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone,
    sound boolean,
    seed bigint,
    image_key text,
    CONSTRAINT scenes_attempt CHECK ((attempt >= 1)),
    CONSTRAINT scenes_completed_at CHECK ((((status)::text = 'completed'::text) = (completed_at IS NOT NULL))),
    CONSTRAINT scenes_duration CHECK ((duration >= 0)),
    CONSTRAINT scenes_error_code CHECK ((error_code = ANY (ARRAY['moderation_blocked'::text, 'provider_failed'::text, 'provider_gone'::text, 'expired'::text, 'not_found'::text, 'download_failed'::text, 'invalid_video'::text, 'storage_failed'::text, 'timed_out'::text, 'submit_unknown'::text, 'submit_rejected'::text, 'cancelled'::text, 'abandoned'::text]))),
    CONSTRAINT scenes_error_code_of_failed CHECK (((error_code IS NULL) OR ((status)::text = 'failed'::text))),
    CONSTRAINT scenes_file_size CHECK ((file_size >= 0)),
    CONSTRAINT scenes_image_key CHECK (((length(image_key) >= 1) AND (length(image_key) <= 500))),
    CONSTRAINT scenes_scene_number CHECK (((scene_number >= 1) AND (scene_number <= 1000))),
    CONSTRAINT scenes_seconds CHECK (((seconds >= 1) AND (seconds <= 600))),
    CONSTRAINT scenes_seed CHECK (((seed >= 0) AND (seed <= '4294967295'::bigint))),
    CONSTRAINT scenes_sora_prompt_length CHECK ((length(sora_prompt) <= 32000)),
    CONSTRAINT scenes_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'processing'::character varying, 'completed'::character varying, 'failed'::character varying])::text[]))),
    CONSTRAINT scenes_pkey PRIMARY KEY (id),
    CONSTRAINT scenes_variant_id_scene_number_key UNIQUE (variant_id, scene_number),
    CONSTRAINT scenes_variant_id_fkey FOREIGN KEY (variant_id) REFERENCES variants(id) ON DELETE CASCADE
)
WITH (fillfactor='85');

CREATE INDEX scenes_open ON scenes USING btree (updated_at) WHERE ((status)::text = ANY ((ARRAY['pending'::character varying, 'processing'::character varying])::text[]));

CREATE TRIGGER scenes_attempts_first BEFORE DELETE ON scenes FOR EACH ROW EXECUTE FUNCTION delete_attempts_first();
CREATE TRIGGER scenes_delta_delete AFTER DELETE ON scenes FOR EACH ROW WHEN (((old.status)::text = ANY ((ARRAY['completed'::character varying, 'failed'::character varying])::text[]))) EXECUTE FUNCTION scene_delta();
CREATE TRIGGER scenes_delta_insert AFTER INSERT ON scenes FOR EACH ROW WHEN (((new.status)::text = ANY ((ARRAY['completed'::character varying, 'failed'::character varying])::text[]))) EXECUTE FUNCTION scene_delta();
CREATE TRIGGER scenes_delta_update AFTER UPDATE ON scenes FOR EACH ROW WHEN (((((old.status)::text = ANY ((ARRAY['completed'::character varying, 'failed'::character varying])::text[])) OR ((new.status)::text = ANY ((ARRAY['completed'::character varying, 'failed'::character varying])::text[]))) AND (((((old.status)::text IS DISTINCT FROM (new.status)::text) OR (old.error_code IS DISTINCT FROM new.error_code)) OR (old.file_size IS DISTINCT FROM new.file_size)) OR (old.duration IS DISTINCT FROM new.duration)))) EXECUTE FUNCTION scene_delta();
CREATE TRIGGER scenes_status_moves_forward BEFORE UPDATE OF status ON scenes FOR EACH ROW WHEN (((old.status)::text IS DISTINCT FROM (new.status)::text)) EXECUTE FUNCTION check_scene_status();
CREATE TRIGGER scenes_updated_at BEFORE UPDATE ON scenes FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION set_updated_at();

ALTER TABLE scenes ENABLE ROW LEVEL SECURITY;

CREATE POLICY on_own_variant ON scenes AS RESTRICTIVE FOR INSERT TO history_api WITH CHECK ((EXISTS ( SELECT
   FROM variants v
  WHERE (v.id = scenes.variant_id))));
CREATE POLICY own ON scenes TO history_api, history_worker USING ((owner_id = (NULLIF(current_setting('app.owner_id'::text, true), ''::text))::uuid));

GRANT SELECT,INSERT ON TABLE scenes TO history_api;
GRANT SELECT ON TABLE scenes TO history_worker;
GRANT UPDATE (sora_video_id, sora_status, video_url, thumbnail_url, duration, resolution, file_size, status, error_message, error_code, provider, provider_base_url, model, size, seconds, expires_at, attempt, completed_at, sound, seed, image_key) ON TABLE scenes TO history_api;
GRANT UPDATE (sora_video_id, sora_status, video_url, thumbnail_url, duration, resolution, file_size, status, error_message, error_code, provider, provider_base_url, model, size, seconds, expires_at, attempt, completed_at, sound, seed, image_key) ON TABLE scenes TO history_worker;

-- ---------------------------------------------------------------- generation_metadata

CREATE TABLE generation_metadata (
    id uuid NOT NULL,
    generation_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    original_analysis jsonb,
    transformation_data jsonb,
    prompts_data jsonb,
    evaluation_data jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT generation_metadata_generation_id_key UNIQUE (generation_id),
    CONSTRAINT generation_metadata_pkey PRIMARY KEY (id),
    CONSTRAINT generation_metadata_generation_id_fkey FOREIGN KEY (generation_id) REFERENCES generations(id) ON DELETE CASCADE
);

CREATE TRIGGER generation_metadata_updated_at BEFORE UPDATE ON generation_metadata FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION set_updated_at();

ALTER TABLE generation_metadata ENABLE ROW LEVEL SECURITY;

CREATE POLICY on_own_generation ON generation_metadata AS RESTRICTIVE FOR INSERT TO history_api WITH CHECK ((EXISTS ( SELECT
   FROM generations g
  WHERE (g.id = generation_metadata.generation_id))));
CREATE POLICY own ON generation_metadata TO history_api, history_worker USING ((owner_id = (NULLIF(current_setting('app.owner_id'::text, true), ''::text))::uuid));

GRANT SELECT,INSERT ON TABLE generation_metadata TO history_api;
GRANT UPDATE (original_analysis, transformation_data, prompts_data, evaluation_data) ON TABLE generation_metadata TO history_api;

-- ---------------------------------------------------------------- jobs

CREATE TABLE jobs (
    scene_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    step text NOT NULL,
    run_at timestamp with time zone DEFAULT now() NOT NULL,
    lease_token uuid,
    failures integer DEFAULT 0 NOT NULL,
    last_error text,
    deadline timestamp with time zone DEFAULT (now() + '24:00:00'::interval) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    deaths integer DEFAULT 0 NOT NULL,
    attempt integer,
    CONSTRAINT jobs_step CHECK ((step = ANY (ARRAY['submit'::text, 'find'::text, 'poll'::text, 'store'::text]))),
    CONSTRAINT jobs_pkey PRIMARY KEY (scene_id),
    CONSTRAINT jobs_scene_id_fkey FOREIGN KEY (scene_id) REFERENCES scenes(id) ON DELETE CASCADE
);

CREATE INDEX jobs_accepted_run_at ON jobs USING btree (run_at) WHERE (step <> 'submit'::text);
CREATE INDEX jobs_submit_run_at ON jobs USING btree (run_at) WHERE (step = 'submit'::text);

ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;

CREATE POLICY every ON jobs TO history_worker USING (true);
CREATE POLICY on_own_scene ON jobs AS RESTRICTIVE FOR INSERT TO history_api WITH CHECK ((EXISTS ( SELECT
   FROM scenes s
  WHERE (s.id = jobs.scene_id))));
CREATE POLICY own ON jobs TO history_api USING ((owner_id = (NULLIF(current_setting('app.owner_id'::text, true), ''::text))::uuid));

GRANT SELECT,INSERT,DELETE ON TABLE jobs TO history_api;
GRANT SELECT,INSERT,DELETE ON TABLE jobs TO history_worker;
GRANT UPDATE (step, run_at, lease_token, failures, last_error, deadline, attempt) ON TABLE jobs TO history_api;
GRANT UPDATE (step, run_at, lease_token, failures, last_error, deadline, expires_at, deaths, attempt) ON TABLE jobs TO history_worker;

-- ---------------------------------------------------------------- attempts

CREATE TABLE attempts (
    id uuid NOT NULL,
    scene_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    attempt integer NOT NULL,
    outcome text NOT NULL,
    provider text,
    provider_base_url text,
    model text,
    size text,
    seconds integer,
    sora_video_id text,
    intended_at timestamp with time zone,
    accepted_at timestamp with time zone,
    rendered_at timestamp with time zone,
    finished_at timestamp with time zone,
    error_code text,
    error_message text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    cost numeric(12,5),
    answer text,
    post_token uuid,
    unsent_posts uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    request_sha256 text,
    video_url text,
    thumbnail_url text,
    duration integer,
    resolution character varying(50),
    file_size bigint,
    sound boolean,
    seed bigint,
    image_key text,
    CONSTRAINT attempts_answer_length CHECK ((length(answer) <= 4000)),
    CONSTRAINT attempts_outcome CHECK ((outcome = ANY (ARRAY['intended'::text, 'not_sent'::text, 'accepted'::text, 'adopted'::text, 'late'::text, 'stored'::text, 'failed'::text]))),
    CONSTRAINT attempts_pkey PRIMARY KEY (id),
    CONSTRAINT attempts_scene_id_attempt_key UNIQUE (scene_id, attempt),
    CONSTRAINT attempts_scene_id_fkey FOREIGN KEY (scene_id) REFERENCES scenes(id) ON DELETE CASCADE
);

CREATE INDEX attempts_failed_at ON attempts USING btree (finished_at) WHERE (error_code IS NOT NULL);
CREATE INDEX attempts_late ON attempts USING btree (scene_id) WHERE (outcome = 'late'::text);
CREATE UNIQUE INDEX attempts_sora_video_id ON attempts USING btree (sora_video_id, provider_base_url) WHERE (sora_video_id IS NOT NULL);
CREATE INDEX attempts_without_a_job ON attempts USING btree (provider_base_url, intended_at) WHERE ((sora_video_id IS NULL) AND (outcome = ANY (ARRAY['intended'::text, 'failed'::text])));

CREATE TRIGGER attempts_delta_delete BEFORE DELETE ON attempts FOR EACH ROW WHEN ((old.rendered_at IS NOT NULL)) EXECUTE FUNCTION attempt_delta();
CREATE TRIGGER attempts_delta_insert AFTER INSERT ON attempts FOR EACH ROW WHEN ((new.rendered_at IS NOT NULL)) EXECUTE FUNCTION attempt_delta();
CREATE TRIGGER attempts_delta_update BEFORE UPDATE ON attempts FOR EACH ROW WHEN (((((old.rendered_at IS NULL) IS DISTINCT FROM (new.rendered_at IS NULL)) OR (old.cost IS DISTINCT FROM new.cost)) AND ((old.rendered_at IS NOT NULL) OR (new.rendered_at IS NOT NULL)))) EXECUTE FUNCTION attempt_delta();
CREATE TRIGGER attempts_keep_their_job BEFORE UPDATE OF sora_video_id ON attempts FOR EACH ROW WHEN (((old.provider_base_url IS NOT NULL) AND (new.sora_video_id IS DISTINCT FROM old.sora_video_id) AND ((old.sora_video_id IS NOT NULL) OR ((old.outcome = 'intended'::text) AND (new.outcome = 'intended'::text))))) EXECUTE FUNCTION refuse_job_change();

ALTER TABLE attempts ENABLE ROW LEVEL SECURITY;

CREATE POLICY every ON attempts TO history_worker USING (true);
CREATE POLICY on_own_scene ON attempts AS RESTRICTIVE FOR INSERT TO history_api WITH CHECK ((EXISTS ( SELECT
   FROM scenes s
  WHERE (s.id = attempts.scene_id))));
CREATE POLICY own ON attempts TO history_api USING ((owner_id = (NULLIF(current_setting('app.owner_id'::text, true), ''::text))::uuid));

GRANT SELECT,INSERT ON TABLE attempts TO history_api;
GRANT SELECT,INSERT ON TABLE attempts TO history_worker;
GRANT UPDATE (outcome, provider, provider_base_url, model, size, seconds, sora_video_id, intended_at, accepted_at, rendered_at, finished_at, error_code, error_message, video_url, thumbnail_url, duration, resolution, file_size) ON TABLE attempts TO history_api;
GRANT UPDATE (outcome, provider, provider_base_url, model, size, seconds, sora_video_id, intended_at, accepted_at, rendered_at, finished_at, error_code, error_message, cost, answer, post_token, unsent_posts, request_sha256, video_url, thumbnail_url, duration, resolution, file_size, sound, seed, image_key) ON TABLE attempts TO history_worker;

-- ---------------------------------------------------------------- prices

CREATE TABLE prices (
    provider text NOT NULL,
    model text NOT NULL,
    size text NOT NULL,
    usd_per_second numeric(10,5) NOT NULL,
    valid_from timestamp with time zone NOT NULL,
    valid_to timestamp with time zone DEFAULT 'infinity'::timestamp with time zone NOT NULL,
    source text NOT NULL,
    CONSTRAINT prices_source CHECK ((source <> ''::text)),
    CONSTRAINT prices_usd_per_second CHECK (((usd_per_second >= (0)::numeric) AND (usd_per_second <= (100)::numeric))),
    CONSTRAINT prices_validity CHECK ((valid_from < valid_to)),
    CONSTRAINT prices_pkey PRIMARY KEY (provider, model, size, valid_from)
);

ALTER TABLE prices ENABLE ROW LEVEL SECURITY;

CREATE POLICY everyone ON prices TO history_api, history_worker USING (true);

GRANT SELECT ON TABLE prices TO history_api;
GRANT SELECT ON TABLE prices TO history_worker;

-- ---------------------------------------------------------------- posts

CREATE TABLE posts (
    lease_token uuid NOT NULL,
    scene_id uuid NOT NULL,
    attempt integer NOT NULL,
    owner_id uuid NOT NULL,
    cost numeric(12,5),
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT posts_pkey PRIMARY KEY (lease_token)
);

CREATE INDEX posts_at ON posts USING btree (at);
CREATE INDEX posts_owner_at ON posts USING btree (owner_id, at);
CREATE INDEX posts_scene_id ON posts USING btree (scene_id);

ALTER TABLE posts ENABLE ROW LEVEL SECURITY;

CREATE POLICY worker ON posts TO history_worker USING (true);

GRANT SELECT,INSERT,DELETE ON TABLE posts TO history_worker;
GRANT UPDATE (cost) ON TABLE posts TO history_worker;

-- ---------------------------------------------------------------- deliveries

CREATE TABLE deliveries (
    webhook_id text NOT NULL,
    type text NOT NULL,
    sora_video_id text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    attempt_token uuid,
    CONSTRAINT deliveries_pkey PRIMARY KEY (webhook_id)
);

CREATE INDEX deliveries_attempt_token ON deliveries USING btree (attempt_token) WHERE (attempt_token IS NOT NULL);
CREATE INDEX deliveries_received_at ON deliveries USING btree (received_at);
CREATE INDEX deliveries_sora_video_id ON deliveries USING btree (sora_video_id);

ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY;

CREATE POLICY worker ON deliveries TO history_worker USING (true);

GRANT SELECT,INSERT,DELETE ON TABLE deliveries TO history_worker;

-- ---------------------------------------------------------------- provider_states

CREATE TABLE provider_states (
    base_url text NOT NULL,
    state text NOT NULL,
    reason text,
    since timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT provider_states_state CHECK ((state = ANY (ARRAY['ok'::text, 'refused'::text, 'gone'::text, 'unreachable'::text]))),
    CONSTRAINT provider_states_pkey PRIMARY KEY (base_url)
);

ALTER TABLE provider_states ENABLE ROW LEVEL SECURITY;

CREATE POLICY worker ON provider_states TO history_worker USING (true);

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE provider_states TO history_worker;

-- ---------------------------------------------------------------- pulses

CREATE TABLE pulses (
    name text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT pulses_pkey PRIMARY KEY (name)
);

ALTER TABLE pulses ENABLE ROW LEVEL SECURITY;

CREATE POLICY worker ON pulses TO history_worker USING (true);

GRANT SELECT,INSERT,UPDATE ON TABLE pulses TO history_worker;

-- ---------------------------------------------------------------- owner_day_stats

CREATE TABLE owner_day_stats (
    owner_id uuid NOT NULL,
    day date NOT NULL,
    kind text NOT NULL,
    pending bigint DEFAULT 0 NOT NULL,
    processing bigint DEFAULT 0 NOT NULL,
    completed bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    cost numeric DEFAULT 0 NOT NULL,
    cost_unknown bigint DEFAULT 0 NOT NULL,
    estimated_cost numeric DEFAULT 0 NOT NULL,
    estimate_unknown bigint DEFAULT 0 NOT NULL,
    videos bigint DEFAULT 0 NOT NULL,
    scenes_failed bigint DEFAULT 0 NOT NULL,
    bytes numeric DEFAULT 0 NOT NULL,
    seconds bigint DEFAULT 0 NOT NULL,
    CONSTRAINT owner_day_stats_kind CHECK ((kind = ANY (ARRAY['generation'::text, 'soft'::text, 'medium'::text, 'aggressive'::text, 'ultra'::text]))),
    CONSTRAINT owner_day_stats_pkey PRIMARY KEY (owner_id, day, kind)
)
WITH (fillfactor='70');

ALTER TABLE owner_day_stats ENABLE ROW LEVEL SECURITY;

CREATE POLICY own ON owner_day_stats TO history_api USING ((owner_id = (NULLIF(current_setting('app.owner_id'::text, true), ''::text))::uuid));

GRANT SELECT ON TABLE owner_day_stats TO history_api;

-- ---------------------------------------------------------------- stat_deltas

CREATE TABLE stat_deltas (
    owner_id uuid NOT NULL,
    day date NOT NULL,
    kind text NOT NULL,
    pending bigint DEFAULT 0 NOT NULL,
    processing bigint DEFAULT 0 NOT NULL,
    completed bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    cost numeric DEFAULT 0 NOT NULL,
    cost_unknown bigint DEFAULT 0 NOT NULL,
    estimated_cost numeric DEFAULT 0 NOT NULL,
    estimate_unknown bigint DEFAULT 0 NOT NULL,
    videos bigint DEFAULT 0 NOT NULL,
    scenes_failed bigint DEFAULT 0 NOT NULL,
    bytes numeric DEFAULT 0 NOT NULL,
    seconds bigint DEFAULT 0 NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000');

CREATE INDEX stat_deltas_owner_id ON stat_deltas USING btree (owner_id);

ALTER TABLE stat_deltas ENABLE ROW LEVEL SECURITY;

CREATE POLICY own ON stat_deltas TO history_api USING ((owner_id = (NULLIF(current_setting('app.owner_id'::text, true), ''::text))::uuid));

GRANT SELECT ON TABLE stat_deltas TO history_api;

-- ---------------------------------------------------------------- stat_parts

CREATE VIEW stat_parts AS
 SELECT variants.generation_id,
    variants.variant_type AS kind,
    (((variants.status)::text = 'pending'::text))::integer AS pending,
    (((variants.status)::text = 'processing'::text))::integer AS processing,
    (((variants.status)::text = 'completed'::text))::integer AS completed,
    (((variants.status)::text = 'failed'::text))::integer AS failed,
    (0)::numeric AS cost,
    0 AS cost_unknown,
    0 AS videos,
    0 AS scenes_failed,
    (0)::bigint AS bytes,
    0 AS seconds
   FROM variants
UNION ALL
 SELECT v.generation_id,
    v.variant_type AS kind,
    0 AS pending,
    0 AS processing,
    0 AS completed,
    0 AS failed,
    0 AS cost,
    ((((s.status)::text = 'completed'::text) AND (NOT (EXISTS ( SELECT
           FROM attempts a
          WHERE ((a.scene_id = s.id) AND (a.rendered_at IS NOT NULL)))))))::integer AS cost_unknown,
    (((s.status)::text = 'completed'::text))::integer AS videos,
    ((((s.status)::text = 'failed'::text) AND (s.error_code IS DISTINCT FROM 'cancelled'::text)))::integer AS scenes_failed,
        CASE s.status
            WHEN 'completed'::text THEN COALESCE(s.file_size, (0)::bigint)
            ELSE (0)::bigint
        END AS bytes,
        CASE s.status
            WHEN 'completed'::text THEN COALESCE(s.duration, 0)
            ELSE 0
        END AS seconds
   FROM (scenes s
     JOIN variants v ON ((v.id = s.variant_id)))
  WHERE ((s.status)::text = ANY ((ARRAY['completed'::character varying, 'failed'::character varying])::text[]))
UNION ALL
 SELECT v.generation_id,
    v.variant_type AS kind,
    0 AS pending,
    0 AS processing,
    0 AS completed,
    0 AS failed,
    COALESCE(a.cost, (0)::numeric) AS cost,
    ((a.cost IS NULL))::integer AS cost_unknown,
    0 AS videos,
    0 AS scenes_failed,
    0 AS bytes,
    0 AS seconds
   FROM ((attempts a
     JOIN scenes s ON ((s.id = a.scene_id)))
     JOIN variants v ON ((v.id = s.variant_id)))
  WHERE (a.rendered_at IS NOT NULL);

-- ---------------------------------------------------------------- archives

CREATE TABLE archives (
    id uuid NOT NULL,
    generation_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    fingerprint text NOT NULL,
    key text GENERATED ALWAYS AS ((((((('generations/'::text || (generation_id)::text) || '/archives/'::text) || (id)::text) || '.'::text) || fingerprint) || '.zip'::text)) STORED NOT NULL,
    contents json NOT NULL,
    state text DEFAULT 'queued'::text NOT NULL,
    run_at timestamp with time zone DEFAULT now() NOT NULL,
    lease_token uuid,
    tries integer DEFAULT 0 NOT NULL,
    deadline timestamp with time zone DEFAULT (now() + '01:00:00'::interval) NOT NULL,
    videos integer NOT NULL,
    videos_done integer DEFAULT 0 NOT NULL,
    bytes bigint NOT NULL,
    bytes_done bigint DEFAULT 0 NOT NULL,
    size bigint,
    error_code text,
    error_message text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    requested_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    ready_at timestamp with time zone,
    expires_at timestamp with time zone,
    CONSTRAINT archives_bytes CHECK ((bytes >= 0)),
    CONSTRAINT archives_error_code CHECK ((error_code = ANY (ARRAY['video_missing'::text, 'video_changed'::text, 'storage_failed'::text, 'timed_out'::text]))),
    CONSTRAINT archives_expires_at CHECK (((state = ANY (ARRAY['ready'::text, 'failed'::text])) <= (expires_at IS NOT NULL))),
    CONSTRAINT archives_failed CHECK (((state <> 'failed'::text) OR ((error_code IS NOT NULL) AND (error_message IS NOT NULL)))),
    CONSTRAINT archives_fingerprint CHECK ((fingerprint ~ '^[0-9a-f]{32}$'::text)),
    CONSTRAINT archives_leased_while_built CHECK (((state = 'building'::text) = (lease_token IS NOT NULL))),
    CONSTRAINT archives_ready CHECK (((state <> 'ready'::text) OR ((size IS NOT NULL) AND (ready_at IS NOT NULL)))),
    CONSTRAINT archives_size CHECK ((size > 0)),
    CONSTRAINT archives_state CHECK ((state = ANY (ARRAY['queued'::text, 'building'::text, 'ready'::text, 'failed'::text, 'removing'::text]))),
    CONSTRAINT archives_videos CHECK ((videos > 0)),
    CONSTRAINT archives_pkey PRIMARY KEY (id),
    CONSTRAINT archives_generation_id_fkey FOREIGN KEY (generation_id) REFERENCES generations(id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX archives_asked_for ON archives USING btree (generation_id, fingerprint) WHERE (state <> 'removing'::text);
CREATE INDEX archives_expires_at ON archives USING btree (expires_at) WHERE (state = ANY (ARRAY['ready'::text, 'failed'::text]));
CREATE INDEX archives_generation_id ON archives USING btree (generation_id, requested_at DESC);
CREATE INDEX archives_removing ON archives USING btree (id) WHERE (state = 'removing'::text);
CREATE INDEX archives_run_at ON archives USING btree (run_at) WHERE (state = ANY (ARRAY['queued'::text, 'building'::text]));

ALTER TABLE archives ENABLE ROW LEVEL SECURITY;

CREATE POLICY every ON archives TO history_worker USING (true);
CREATE POLICY on_own_generation ON archives AS RESTRICTIVE FOR INSERT TO history_api WITH CHECK ((EXISTS ( SELECT
   FROM generations g
  WHERE (g.id = archives.generation_id))));
CREATE POLICY own ON archives TO history_api USING ((owner_id = (NULLIF(current_setting('app.owner_id'::text, true), ''::text))::uuid));

GRANT SELECT ON TABLE archives TO history_api;
GRANT SELECT ON TABLE archives TO history_worker;
GRANT INSERT (id, generation_id, owner_id, fingerprint, contents, videos, bytes) ON TABLE archives TO history_api;
GRANT UPDATE (state, requested_at) ON TABLE archives TO history_api;
GRANT UPDATE (state, run_at, lease_token, tries, videos_done, bytes_done, size, error_code, error_message, ready_at, expires_at) ON TABLE archives TO history_worker;

-- ---------------------------------------------------------------- idempotency_keys

CREATE TABLE idempotency_keys (
    owner_id uuid NOT NULL,
    key text NOT NULL,
    request_sha256 text NOT NULL,
    generation_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_keys_key CHECK (((length(key) >= 1) AND (length(key) <= 200))),
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (owner_id, key),
    CONSTRAINT idempotency_keys_generation_id_fkey FOREIGN KEY (generation_id) REFERENCES generations(id) ON DELETE CASCADE
);

CREATE INDEX idempotency_keys_generation_id ON idempotency_keys USING btree (generation_id);

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;

CREATE POLICY on_own_generation ON idempotency_keys AS RESTRICTIVE FOR INSERT TO history_api WITH CHECK ((EXISTS ( SELECT
   FROM generations g
  WHERE (g.id = idempotency_keys.generation_id))));
CREATE POLICY own ON idempotency_keys TO history_api USING ((owner_id = (NULLIF(current_setting('app.owner_id'::text, true), ''::text))::uuid));

GRANT SELECT,INSERT ON TABLE idempotency_keys TO history_api;

-- ---------------------------------------------------------------- api_keys

CREATE TABLE api_keys (
    id uuid NOT NULL,
    owner_id uuid NOT NULL,
    name text NOT NULL,
    sha256 bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_used_at timestamp with time zone,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_name CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT api_keys_scopes CHECK (((cardinality(scopes) >= 1) AND (scopes <@ ARRAY['read'::text, 'write'::text]))),
    CONSTRAINT api_keys_sha256 CHECK ((octet_length(sha256) = 32)),
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_sha256_key UNIQUE (sha256)
);

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;

CREATE POLICY nobody ON api_keys USING (false);

-- ---------------------------------------------------------------- imported_generations

CREATE TABLE imported_generations (
    generation_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    source_rows integer NOT NULL,
    source_changed_at timestamp with time zone NOT NULL,
    imported_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT imported_generations_pkey PRIMARY KEY (generation_id)
);

ALTER TABLE imported_generations ENABLE ROW LEVEL SECURITY;

CREATE POLICY nobody ON imported_generations USING (false);

-- ---------------------------------------------------------------- inspections

CREATE TABLE inspections (
    scene_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    run_at timestamp with time zone DEFAULT now() NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    last_error text,
    CONSTRAINT inspections_pkey PRIMARY KEY (scene_id),
    CONSTRAINT inspections_scene_id_fkey FOREIGN KEY (scene_id) REFERENCES scenes(id) ON DELETE CASCADE
);

CREATE INDEX inspections_run_at ON inspections USING btree (run_at);

ALTER TABLE inspections ENABLE ROW LEVEL SECURITY;

CREATE POLICY every ON inspections TO history_worker USING (true);

GRANT SELECT,DELETE ON TABLE inspections TO history_worker;
GRANT UPDATE (run_at, tries, last_error) ON TABLE inspections TO history_worker;

-- ---------------------------------------------------------------- video_models

CREATE TABLE video_models (
    name text NOT NULL,
    definition jsonb NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT video_models_definition CHECK (((definition ->> 'name'::text) = name)),
    CONSTRAINT video_models_name CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT video_models_pkey PRIMARY KEY (name)
);

ALTER TABLE video_models ENABLE ROW LEVEL SECURITY;

CREATE POLICY everyone ON video_models TO history_api, history_worker USING (true);

GRANT SELECT ON TABLE video_models TO history_api;
GRANT SELECT ON TABLE video_models TO history_worker;

-- ---------------------------------------------------------------- functions


CREATE FUNCTION set_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    new.updated_at := now();
    return new;
end $$;

CREATE FUNCTION check_scene_status() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION lock_generation(p_generation_id uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    select from generations where id = p_generation_id for update;
$$;

CREATE FUNCTION lock_generation_of_scene(p_scene_id uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    select from generations
    where id = (
        select v.generation_id from scenes s join variants v on v.id = s.variant_id where s.id = p_scene_id
    )
    for update;
$$;

CREATE FUNCTION lock_live_generation(p_generation_id uuid, p_what text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    perform lock_generation(p_generation_id);
    perform from generations where id = p_generation_id and deleted_at is null;
    if not found then
        raise exception 'no such %', p_what using errcode = 'GH003';
    end if;
end $$;

CREATE FUNCTION check_lease(p_scene_id uuid, p_lease_token uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    perform from jobs where scene_id = p_scene_id and lease_token = p_lease_token for update;
    if not found then
        raise exception 'the lease on scene % was lost', p_scene_id using errcode = 'GH001';
    end if;
end $$;

CREATE FUNCTION roll_up(p_generation_id uuid) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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

    perform note_missing_videos(p_generation_id);
end $$;

CREATE FUNCTION roll_up_scene(p_scene_id uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    select roll_up(v.generation_id) from scenes s join variants v on v.id = s.variant_id where s.id = p_scene_id;
$$;

CREATE FUNCTION record_scenes(p_variant_id uuid, p_ids uuid[], p_prompts text[], p_submit boolean, p_model text, p_size text, p_seconds integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    perform lock_live_generation((select generation_id from variants where id = p_variant_id), 'variant');
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

CREATE FUNCTION retry_scene(p_scene_id uuid, p_submits text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
declare
    v_scene scenes;
    v_step text;
    v_submits boolean;
    v_resumes boolean;
begin
    perform lock_live_generation(
        (select v.generation_id from scenes s join variants v on v.id = s.variant_id where s.id = p_scene_id), 'scene');
    select * into v_scene from scenes where id = p_scene_id;
    select step into v_step from jobs where scene_id = p_scene_id;
    if v_scene.status <> 'failed' then
        raise exception 'only a failed scene can be retried, this one is %', v_scene.status using errcode = 'GH002';
    elsif v_step = 'find' then
        raise exception 'this scene is being submitted: what comes of that is not known yet' using errcode = 'GH002';
    elsif resume_late_attempt(p_scene_id) then
        return;
    end if;
    -- What a worker still asks for or fetches has not come to its end, whatever a caller said of it.
    v_submits := coalesce(v_scene.error_code = any (p_submits), false) and coalesce(v_step, 'submit') = 'submit';
    v_resumes := not v_submits and v_scene.sora_video_id is not null;
    if not (v_submits or v_resumes) then
        raise exception 'there is nothing to fetch and no reason for a new attempt after %',
            coalesce(v_scene.error_code, 'a failure without a code') using errcode = 'GH002';
    end if;
    update scenes
    set status = 'pending', error_code = null, error_message = null,
        attempt = case when v_resumes then attempt else next_attempt(p_scene_id) end,
        sora_video_id = case when v_resumes then sora_video_id end,
        sora_status = case when v_resumes then sora_status end,
        provider = case when v_resumes then provider end,
        provider_base_url = case when v_resumes then provider_base_url end,
        expires_at = case when v_resumes then expires_at end
    where id = p_scene_id;
    insert into jobs (scene_id, owner_id, step)
    values (p_scene_id, v_scene.owner_id, case when v_resumes then 'poll' else 'submit' end)
    on conflict (scene_id) do update
        set step = excluded.step, attempt = null, run_at = now(), lease_token = null, failures = 0, last_error = null,
            deadline = excluded.deadline;
end $$;

CREATE FUNCTION fail_stale_generations(p_limit integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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
REVOKE ALL ON FUNCTION fail_stale_generations(p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION fail_stale_generations(p_limit integer) TO history_worker;

CREATE FUNCTION cost_of(p_provider text, p_model text, p_size text, p_seconds integer) RETURNS numeric
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    select usd_per_second * p_seconds
    from prices
    where provider = p_provider and model = p_model and size in (p_size, '*') and now() >= valid_from and now() < valid_to
    order by size = '*', valid_from desc
    limit 1
$$;

CREATE FUNCTION roll_up_cost(p_generation_id uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION reserve_budget(p_owner_id uuid, p_cost numeric, p_most_running integer, p_most_per_minute integer, p_usd_per_owner_and_day numeric, p_scene_id uuid DEFAULT NULL::uuid, p_lease_token uuid DEFAULT NULL::uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION check_may_submit(p_scene_id uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    perform from scenes where id = p_scene_id and status in ('pending', 'processing') and sora_video_id is null;
    if not found then
        raise exception 'scene % has a video or an end already', p_scene_id using errcode = 'GH001';
    end if;
end $$;

CREATE FUNCTION check_submit_intent(p_scene_id uuid, p_attempt integer, p_sora_video_id text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    perform from jobs j
    join scenes s on s.id = j.scene_id and s.attempt = p_attempt
    join attempts a on a.scene_id = j.scene_id and a.attempt = p_attempt
    where j.scene_id = p_scene_id and coalesce(j.attempt, p_attempt) = p_attempt
        and (j.step = 'find' and a.sora_video_id is null or a.sora_video_id = p_sora_video_id)
    for update of j;
    if not found then
        raise exception 'the answer for scene % came too late', p_scene_id using errcode = 'GH001';
    end if;
end $$;

CREATE FUNCTION take_late_answer(p_scene_id uuid, p_attempt integer, p_sora_video_id text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    if record_late_answer(p_scene_id, p_attempt, p_sora_video_id, null, gen_random_uuid()) in ('taken', 'gone') then
        raise exception 'the answer for scene % came too late', p_scene_id using errcode = 'GH001';
    end if;
end $$;

CREATE FUNCTION refuse_job_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    raise exception 'this scene''s job is known already, or is being submitted' using errcode = 'GH002';
end $$;

CREATE FUNCTION begin_purge(p_limit integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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
REVOKE ALL ON FUNCTION begin_purge(p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION begin_purge(p_limit integer) TO history_worker;

CREATE FUNCTION purgeable(p_limit integer, p_fenced_seconds integer, p_but uuid[]) RETURNS TABLE(id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    select g.id from generations g
    where g.purge_at <= now() and g.purging_since < now() - make_interval(secs => p_fenced_seconds)
        and g.id <> all (p_but)
    order by g.purge_at limit p_limit
$$;
REVOKE ALL ON FUNCTION purgeable(p_limit integer, p_fenced_seconds integer, p_but uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION purgeable(p_limit integer, p_fenced_seconds integer, p_but uuid[]) TO history_worker;

CREATE FUNCTION purge_generation(p_generation_id uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    delete from generations where id = p_generation_id and purging_since is not null;
    return found;
end $$;
REVOKE ALL ON FUNCTION purge_generation(p_generation_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION purge_generation(p_generation_id uuid) TO history_worker;

CREATE FUNCTION restore_generation(p_generation_id uuid) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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
    perform resume_late_attempt(s.id)
    from variants v join scenes s on s.variant_id = v.id
    where v.generation_id = p_generation_id and exists (
        select from attempts a where a.scene_id = s.id and a.outcome = 'late');
    perform roll_up(p_generation_id);
    return true;
end $$;

CREATE FUNCTION search_generations(p_q text, p_statuses text[], p_variant_type text, p_created_from timestamp with time zone, p_after_time timestamp with time zone, p_after_id uuid, p_limit bigint, p_offset bigint) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    SET plan_cache_mode TO 'force_custom_plan'
    AS $_$
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
end $_$;
REVOKE ALL ON FUNCTION search_generations(p_q text, p_statuses text[], p_variant_type text, p_created_from timestamp with time zone, p_after_time timestamp with time zone, p_after_id uuid, p_limit bigint, p_offset bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION search_generations(p_q text, p_statuses text[], p_variant_type text, p_created_from timestamp with time zone, p_after_time timestamp with time zone, p_after_id uuid, p_limit bigint, p_offset bigint) TO history_api;

CREATE FUNCTION utc_day(p_at timestamp with time zone) RETURNS date
    LANGUAGE sql IMMUTABLE
    RETURN GREATEST(((p_at AT TIME ZONE 'UTC'::text))::date, '0001-01-01'::date);

CREATE FUNCTION generation_delta() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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
REVOKE ALL ON FUNCTION generation_delta() FROM PUBLIC;

CREATE FUNCTION variant_delta() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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
REVOKE ALL ON FUNCTION variant_delta() FROM PUBLIC;

CREATE FUNCTION scene_delta() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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
REVOKE ALL ON FUNCTION scene_delta() FROM PUBLIC;

CREATE FUNCTION attempt_delta() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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
REVOKE ALL ON FUNCTION attempt_delta() FROM PUBLIC;

CREATE FUNCTION delete_scenes_first() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    delete from scenes where variant_id = old.id;
    return old;
end $$;

CREATE FUNCTION delete_attempts_first() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    delete from attempts where scene_id = old.id;
    return old;
end $$;

CREATE FUNCTION merge_stats_deltas(p_limit integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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
REVOKE ALL ON FUNCTION merge_stats_deltas(p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION merge_stats_deltas(p_limit integer) TO history_worker;

CREATE FUNCTION recount_stats() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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
    while merge_stats_deltas(100000) > 0 loop
    end loop;
end $$;
REVOKE ALL ON FUNCTION recount_stats() FROM PUBLIC;

CREATE FUNCTION count_generations(p_statuses text[] DEFAULT NULL::text[]) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode TO 'force_generic_plan'
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION delete_archives_of_purge() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    delete from archives where generation_id = new.id;
    return null;
end $$;

CREATE FUNCTION remove_archive(p_id uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    delete from archives where id = p_id and state = 'removing';
    return found;
end $$;
REVOKE ALL ON FUNCTION remove_archive(p_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION remove_archive(p_id uuid) TO history_worker;

CREATE FUNCTION record_idempotency_key(p_key text, p_request_sha256 text, p_generation_id uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION refuse_taken_job(p_scene_id uuid, p_video_id text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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
REVOKE ALL ON FUNCTION refuse_taken_job(p_scene_id uuid, p_video_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION refuse_taken_job(p_scene_id uuid, p_video_id text) TO history_api;

CREATE FUNCTION record_provider_job(p_scene_id uuid, p_attempt_id uuid, p_video_id text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
declare
    v_scene scenes;
    v_repeats boolean;
    v_adopts boolean;
    v_late integer;
begin
    perform lock_live_generation(
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
    select attempt into v_late from attempts
    where scene_id = p_scene_id and sora_video_id = p_video_id and attempt <> v_scene.attempt and outcome = 'late';
    if found then
        perform resume_attempt(p_scene_id, v_late);
        return;
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
            v_scene.attempt := next_attempt(p_scene_id);
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
        set step = 'poll', attempt = null, run_at = now(), lease_token = null, failures = 0, last_error = null,
            deadline = excluded.deadline;
end $$;

CREATE FUNCTION owner_of_api_key(p_sha256 bytea) RETURNS TABLE(owner_id uuid, scopes text[])
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    update api_keys set last_used_at = now()
    where id in (
        select k.id from api_keys k
        where k.sha256 = p_sha256 and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
            and (k.last_used_at is null or k.last_used_at < now() - interval '1 hour')
        for update skip locked);
    select k.owner_id, k.scopes from api_keys k
    where k.sha256 = p_sha256 and k.revoked_at is null and (k.expires_at is null or k.expires_at > now());
$$;
REVOKE ALL ON FUNCTION owner_of_api_key(p_sha256 bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION owner_of_api_key(p_sha256 bytea) TO history_api;

CREATE FUNCTION resume_attempt(p_scene_id uuid, p_attempt integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    update scenes s
    set status = case s.status when 'failed' then 'pending' else s.status end, error_code = null, error_message = null,
        attempt = p_attempt, sora_video_id = a.sora_video_id, sora_status = null, expires_at = null,
        provider = coalesce(a.provider, s.provider),
        provider_base_url = coalesce(a.provider_base_url, s.provider_base_url), model = coalesce(a.model, s.model),
        size = coalesce(a.size, s.size), seconds = coalesce(a.seconds, s.seconds)
    from attempts a
    where s.id = p_scene_id and a.scene_id = s.id and a.attempt = p_attempt and a.sora_video_id is not null;
    -- Only of a late one is it known that the provider itself gave the id: a caller may have named any other.
    update attempts
    set outcome = case outcome when 'late' then 'accepted' else 'adopted' end, finished_at = null, error_code = null,
        error_message = null
    where scene_id = p_scene_id and attempt = p_attempt;
    insert into jobs (scene_id, owner_id, step) select id, owner_id, 'poll' from scenes where id = p_scene_id
    on conflict (scene_id) do update
        set step = 'poll', attempt = null, run_at = now(), lease_token = null, failures = 0, last_error = null,
            deadline = excluded.deadline;
end $$;

CREATE FUNCTION fetch_attempt(p_scene_id uuid, p_attempt integer) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    insert into jobs (scene_id, owner_id, step, attempt)
    select id, owner_id, 'poll', p_attempt from scenes where id = p_scene_id
    on conflict (scene_id) do nothing;
$$;

CREATE FUNCTION resume_late_attempt(p_scene_id uuid) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
declare
    v_scene scenes;
    v_step text;
    v_attempt integer;
begin
    select s.* into v_scene
    from scenes s join variants v on v.id = s.variant_id join generations g on g.id = v.generation_id
    where s.id = p_scene_id and g.deleted_at is null;
    select attempt into v_attempt from attempts
    where scene_id = p_scene_id and outcome = 'late' order by attempt limit 1;
    if v_scene.id is null or v_attempt is null then
        return false;
    end if;
    select step into v_step from jobs where scene_id = p_scene_id;
    if v_scene.status = 'failed' and v_step is null or v_scene.status = 'pending' and v_step = 'submit' then
        perform resume_attempt(p_scene_id, v_attempt);
        return true;
    elsif v_scene.status = 'completed' and v_step is null then
        perform fetch_attempt(p_scene_id, v_attempt);
        return true;
    end if;
    return false;
end $$;

CREATE FUNCTION record_late_answer(p_scene_id uuid, p_attempt integer, p_sora_video_id text, p_answer text, p_new_attempt_id uuid) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
declare
    v_attempt attempts;
begin
    select * into v_attempt from attempts where scene_id = p_scene_id and attempt = p_attempt for update;
    if not found then
        return 'gone';
    elsif v_attempt.sora_video_id = p_sora_video_id then
        return 'known';
    elsif octet_length(p_sora_video_id) > 2000 or exists (
        select from attempts where sora_video_id = p_sora_video_id
            and (provider_base_url = v_attempt.provider_base_url or provider_base_url is null)
    ) then
        update attempts
        set answer = left(concat_ws(E'\n', v_attempt.answer, 'job ' || p_sora_video_id, p_answer), 4000),
            error_message = left('the provider answered with the job ' || p_sora_video_id
                || case when octet_length(p_sora_video_id) > 2000 then ', which is too long to be one'
                    else ', which another attempt has already' end, 2000)
        where id = v_attempt.id;
        return 'taken';
    elsif v_attempt.sora_video_id is not null then
        -- Its place was given to another job, by a guess or by a person: this one has a row of its own.
        insert into attempts
            (id, scene_id, owner_id, attempt, outcome, provider, provider_base_url, model, size, seconds, sora_video_id,
             intended_at, accepted_at, cost, answer)
        select p_new_attempt_id, scene_id, owner_id, (select max(attempt) + 1 from attempts where scene_id = p_scene_id),
            'late', provider, provider_base_url, model, size, seconds, p_sora_video_id, intended_at, now(), cost,
            left(p_answer, 4000)
        from attempts where id = v_attempt.id;
    else
        update attempts
        set outcome = 'late', sora_video_id = p_sora_video_id, accepted_at = now(), finished_at = null,
            error_code = null, error_message = null, answer = coalesce(left(p_answer, 4000), answer)
        where id = v_attempt.id;
    end if;
    return case when resume_late_attempt(p_scene_id) then 'resumed' else 'late' end;
end $$;

CREATE FUNCTION next_attempt(p_scene_id uuid) RETURNS integer
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    select 1 + greatest(s.attempt, (select max(a.attempt) from attempts a where a.scene_id = s.id))
    from scenes s where s.id = p_scene_id;
$$;

CREATE FUNCTION use_attempt(p_scene_id uuid, p_attempt integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
declare
    v_scene scenes;
    v_attempt attempts;
begin
    perform lock_live_generation(
        (select v.generation_id from scenes s join variants v on v.id = s.variant_id where s.id = p_scene_id), 'scene');
    select * into v_scene from scenes where id = p_scene_id;
    select * into v_attempt from attempts where scene_id = p_scene_id and attempt = p_attempt;
    if not found then
        raise exception 'this scene has no attempt %', p_attempt using errcode = 'GH003';
    elsif v_attempt.sora_video_id is null then
        raise exception 'attempt % has no provider job', p_attempt using errcode = 'GH002';
    elsif exists (select from jobs where scene_id = p_scene_id) then
        raise exception 'this scene is being worked on' using errcode = 'GH002';
    elsif v_scene.status not in ('completed', 'failed') then
        raise exception 'this scene is %', v_scene.status using errcode = 'GH002';
    elsif v_scene.status = 'completed' and v_scene.attempt = p_attempt then
        return;
    elsif v_attempt.video_url is null and v_scene.status = 'failed' then
        perform resume_attempt(p_scene_id, p_attempt);
    elsif v_attempt.video_url is null then
        perform fetch_attempt(p_scene_id, p_attempt);
    else
        update attempts
        set video_url = v_scene.video_url, thumbnail_url = v_scene.thumbnail_url, duration = v_scene.duration,
            resolution = v_scene.resolution, file_size = v_scene.file_size
        where scene_id = p_scene_id and attempt = v_scene.attempt and v_scene.status = 'completed';
        update scenes
        set status = 'completed', attempt = p_attempt, sora_video_id = v_attempt.sora_video_id, sora_status = null,
            expires_at = null, provider = coalesce(v_attempt.provider, provider),
            provider_base_url = coalesce(v_attempt.provider_base_url, provider_base_url),
            model = coalesce(v_attempt.model, model), size = coalesce(v_attempt.size, size),
            seconds = coalesce(v_attempt.seconds, seconds), video_url = v_attempt.video_url,
            thumbnail_url = v_attempt.thumbnail_url, duration = v_attempt.duration, resolution = v_attempt.resolution,
            file_size = v_attempt.file_size, error_code = null, error_message = null,
            completed_at = coalesce(completed_at, now())
        where id = p_scene_id;
    end if;
end $$;

CREATE FUNCTION admit_submission(p_owner_id uuid, p_cost numeric, p_most_running integer, p_most_per_minute integer, p_usd_per_owner_and_day numeric, p_scene_id uuid DEFAULT NULL::uuid, p_lease_token uuid DEFAULT NULL::uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    RETURN reserve_budget(p_owner_id, p_cost, p_most_running, p_most_per_minute, p_usd_per_owner_and_day, p_scene_id, p_lease_token);

CREATE FUNCTION hold_lease(p_scene_id uuid, p_lease_token uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    RETURN check_lease(p_scene_id, p_lease_token);

CREATE FUNCTION hold_intent(p_scene_id uuid, p_attempt integer, p_sora_video_id text) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    RETURN check_submit_intent(p_scene_id, p_attempt, p_sora_video_id);

CREATE FUNCTION may_post(p_scene_id uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    RETURN check_may_submit(p_scene_id);

CREATE FUNCTION open_generation(p_generation_id uuid, p_what text) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    RETURN lock_live_generation(p_generation_id, p_what);

CREATE FUNCTION fold_stats(p_limit integer) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    RETURN merge_stats_deltas(p_limit);
REVOKE ALL ON FUNCTION fold_stats(p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION fold_stats(p_limit integer) TO history_worker;

CREATE FUNCTION abandon_untouched(p_limit integer) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    RETURN fail_stale_generations(p_limit);
REVOKE ALL ON FUNCTION abandon_untouched(p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION abandon_untouched(p_limit integer) TO history_worker;

CREATE FUNCTION keep_late_answer(p_scene_id uuid, p_attempt integer, p_sora_video_id text, p_answer text, p_new_attempt_id uuid) RETURNS text
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    RETURN record_late_answer(p_scene_id, p_attempt, p_sora_video_id, p_answer, p_new_attempt_id);

CREATE FUNCTION go_on_with_late_attempt(p_scene_id uuid) RETURNS boolean
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    RETURN resume_late_attempt(p_scene_id);

CREATE FUNCTION record_once(p_key text, p_request_sha256 text, p_generation_id uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    RETURN record_idempotency_key(p_key, p_request_sha256, p_generation_id);

CREATE FUNCTION note_missing_videos(p_generation_id uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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
