-- Functions get the names that the field has for what they do. While a deployment rolls, both names work: what is
-- deployed still calls the old ones, which are one line each, at the end.

-- ---------------------------------------------------------------- new names

-- Raises "held" unless one more POST is within the limits on spending.
-- Its advisory lock keeps its name: transactions that began before this migration take turns with those after it.
alter function admit_submission(uuid, numeric, integer, integer, numeric, uuid, uuid) rename to reserve_budget;
-- Raises lease_lost unless the job is leased under this token.
alter function hold_lease(uuid, uuid) rename to check_lease;
-- Raises lease_lost unless the answer to the POST of the scene's own attempt is still awaited.
alter function hold_intent(uuid, integer, text) rename to check_submit_intent;
-- Raises lease_lost unless a POST may be made for the scene: it has no end and no provider job.
alter function may_post(uuid) rename to check_may_submit;
-- Locks a generation for its owner to add to; raises not_found where there is none, or it is deleted.
alter function open_generation(uuid, text) rename to lock_live_generation;
-- Adds deltas to the statistics. Its advisory lock keeps its name, as above.
alter function fold_stats(integer) rename to merge_stats_deltas;
-- Fails generations that have not changed for a day and have no job.
alter function abandon_untouched(integer) rename to fail_stale_generations;
-- Records a provider job whose id came when its scene no longer waited for it.
alter function keep_late_answer(uuid, integer, text, text, uuid) rename to record_late_answer;
-- Lets a scene go on with a provider job that came late, or has its video fetched beside the scene's own.
alter function go_on_with_late_attempt(uuid) rename to resume_late_attempt;
-- Records an Idempotency-Key with its generation; raises "repeated" where the key has one.
alter function record_once(text, text, uuid) rename to record_idempotency_key;
-- Triggers know their functions without a name, and nobody else may call these: they have no second one.
alter function fence_archives() rename to delete_archives_of_purge;
alter function keep_the_job_of_an_attempt() rename to refuse_job_change;

-- ---------------------------------------------------------------- who calls whom

-- Bodies that name a function call it by its new name; nothing else in them changes.
do $$
declare
    v_function regprocedure;
    v_old text;
    v_new text;
begin
    for v_old, v_new in values
        ('open_generation', 'lock_live_generation'),
        ('fold_stats', 'merge_stats_deltas'),
        ('keep_late_answer', 'record_late_answer'),
        ('go_on_with_late_attempt', 'resume_late_attempt')
    loop
        for v_function in
            select p.oid from pg_proc p
            where p.pronamespace = 'public'::regnamespace
                and p.proowner = (select oid from pg_roles where rolname = current_user)
                and p.prosrc ~ ('\m' || v_old || '\(')
        loop
            execute regexp_replace(pg_get_functiondef(v_function), '\m' || v_old || '\(', v_new || '(', 'g');
        end loop;
    end loop;
end $$;

-- ---------------------------------------------------------------- old names

-- A later migration drops these, and take_late_answer (007) with them, once nothing that is deployed calls them.
create function admit_submission(p_owner_id uuid, p_cost numeric, p_most_running integer, p_most_per_minute integer, p_usd_per_owner_and_day numeric, p_scene_id uuid default null, p_lease_token uuid default null) returns void language sql set search_path = pg_catalog, public, pg_temp return reserve_budget(p_owner_id, p_cost, p_most_running, p_most_per_minute, p_usd_per_owner_and_day, p_scene_id, p_lease_token);
create function hold_lease(p_scene_id uuid, p_lease_token uuid) returns void language sql set search_path = pg_catalog, public, pg_temp return check_lease(p_scene_id, p_lease_token);
create function hold_intent(p_scene_id uuid, p_attempt integer, p_sora_video_id text) returns void language sql set search_path = pg_catalog, public, pg_temp return check_submit_intent(p_scene_id, p_attempt, p_sora_video_id);
create function may_post(p_scene_id uuid) returns void language sql set search_path = pg_catalog, public, pg_temp return check_may_submit(p_scene_id);
create function open_generation(p_generation_id uuid, p_what text) returns void language sql set search_path = pg_catalog, public, pg_temp return lock_live_generation(p_generation_id, p_what);
create function fold_stats(p_limit integer) returns integer language sql security definer set search_path = pg_catalog, public, pg_temp return merge_stats_deltas(p_limit);
create function abandon_untouched(p_limit integer) returns integer language sql security definer set search_path = pg_catalog, public, pg_temp return fail_stale_generations(p_limit);
create function keep_late_answer(p_scene_id uuid, p_attempt integer, p_sora_video_id text, p_answer text, p_new_attempt_id uuid) returns text language sql set search_path = pg_catalog, public, pg_temp return record_late_answer(p_scene_id, p_attempt, p_sora_video_id, p_answer, p_new_attempt_id);
create function go_on_with_late_attempt(p_scene_id uuid) returns boolean language sql set search_path = pg_catalog, public, pg_temp return resume_late_attempt(p_scene_id);
create function record_once(p_key text, p_request_sha256 text, p_generation_id uuid) returns void language sql set search_path = pg_catalog, public, pg_temp return record_idempotency_key(p_key, p_request_sha256, p_generation_id);

revoke execute on function fold_stats, abandon_untouched from public;
grant execute on function fold_stats, abandon_untouched to history_worker;
