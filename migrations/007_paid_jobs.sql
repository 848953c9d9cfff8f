-- Whatever a provider has accepted belongs to its own attempt, for ever: also what came too late to be the scene's, what
-- another scene has already, and what nobody understood. What came late is fetched as well, and may be taken.

-- ---------------------------------------------------------------- what an attempt keeps

alter table attempts
    -- What the provider said, as it came, where that was not understood or could not be the scene's.
    add column answer         text constraint attempts_answer_length check (length(answer) <= 4000),
    -- The lease under which its last POST was intended; an intent in the bucket has the same (intents.py).
    add column post_token     uuid,
    -- POSTs that provably made no job, although the bucket could not be told so.
    add column unsent_posts   uuid[] not null default '{}',
    -- Prompt, model, size and seconds: two attempts with the same one ask for the same.
    add column request_sha256 text,
    -- What its job made, once that is stored.
    add column video_url      text,
    add column thumbnail_url  text,
    add column duration       integer,
    add column resolution     varchar(50),
    add column file_size      bigint,
    drop constraint attempts_outcome,
    -- late: accepted, when the scene had gone on already.
    add constraint attempts_outcome check (outcome in (
        'intended', 'not_sent', 'accepted', 'adopted', 'late', 'stored', 'failed'
    ));
-- POSTs whose jobs nobody knows: whoever looks for one must know that another might be meant.
create index attempts_without_a_job on attempts (provider_base_url, intended_at)
    where sora_video_id is null and outcome in ('intended', 'failed');
create index attempts_late on attempts (scene_id) where outcome = 'late';

-- The attempt that is worked on, where that is not the scene's own: its video is fetched beside the scene's.
alter table jobs add column attempt integer;

grant update (answer, post_token, unsent_posts, request_sha256) on attempts to history_worker;
grant update (video_url, thumbnail_url, duration, resolution, file_size) on attempts to history_api, history_worker;
grant update (attempt) on jobs to history_api, history_worker;

-- ---------------------------------------------------------------- the answer to a POST

-- Raises lease_lost unless the answer to the POST of the scene's own attempt is still waited for, whoever has the lease:
-- there was one POST, so whoever has its answer is right, and whoever looks for its job meanwhile is fenced by what is
-- written. An earlier attempt's answer takes nobody's place.
create or replace function hold_intent(p_scene_id uuid, p_attempt integer, p_sora_video_id text) returns void
language plpgsql as $$
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

-- The scene goes on with the provider job of this attempt, whatever it was about to do: the job is paid for.
create function resume_attempt(p_scene_id uuid, p_attempt integer) returns void language plpgsql as $$
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

-- The video of an attempt that is not the scene's own is fetched beside the scene's, which stays as it is.
create function fetch_attempt(p_scene_id uuid, p_attempt integer) returns void language sql as $$
    insert into jobs (scene_id, owner_id, step, attempt)
    select id, owner_id, 'poll', p_attempt from scenes where id = p_scene_id
    on conflict (scene_id) do nothing;
$$;

-- What came late is not lost: before another POST, and after every end, the scene goes on with it, or it is fetched
-- beside the scene's own video. Returns whether there is such a one to go on with now.
create function go_on_with_late_attempt(p_scene_id uuid) returns boolean language plpgsql as $$
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

-- Keeps an accepted job that is not, or not any more, what the scene waits for. Returns what became of it: "known" where
-- the attempt has it already, "resumed" where the scene goes on with it, "late" where the attempt keeps it until the
-- scene is over, "taken" where another attempt has a job of this id, or it is none that a row can name: then it
-- stands in the attempt's answer. "gone" where there is no such attempt, because its generation was purged.
create function keep_late_answer(p_scene_id uuid, p_attempt integer, p_sora_video_id text, p_answer text,
                                 p_new_attempt_id uuid) returns text language plpgsql as $$
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
    return case when go_on_with_late_attempt(p_scene_id) then 'resumed' else 'late' end;
end $$;

-- keep_late_answer has its place; whoever is deployed still and calls this one loses nothing by it.
create or replace function take_late_answer(p_scene_id uuid, p_attempt integer, p_sora_video_id text) returns void
language plpgsql as $$
begin
    if keep_late_answer(p_scene_id, p_attempt, p_sora_video_id, null, gen_random_uuid()) in ('taken', 'gone') then
        raise exception 'the answer for scene % came too late', p_scene_id using errcode = 'GH001';
    end if;
end $$;

-- ---------------------------------------------------------------- a person decides

-- Makes a failed scene pending again. What is paid for is fetched before anything is paid anew: a job that came late,
-- then the scene's own, unless the provider itself has said that it is over (p_submits). When it expires is no such word:
-- clocks differ. While the outcome of a POST is open, nothing is done: two jobs would be paid for.
create or replace function retry_scene(p_scene_id uuid, p_submits text[]) returns void language plpgsql as $$
declare
    v_scene scenes;
    v_step text;
    v_submits boolean;
    v_resumes boolean;
begin
    perform open_generation(
        (select v.generation_id from scenes s join variants v on v.id = s.variant_id where s.id = p_scene_id), 'scene');
    select * into v_scene from scenes where id = p_scene_id;
    select step into v_step from jobs where scene_id = p_scene_id;
    if v_scene.status <> 'failed' then
        raise exception 'only a failed scene can be retried, this one is %', v_scene.status using errcode = 'GH002';
    elsif v_step = 'find' then
        raise exception 'this scene is being submitted: what comes of that is not known yet' using errcode = 'GH002';
    elsif go_on_with_late_attempt(p_scene_id) then
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

-- The number of the scene's next attempt: none that there was is used again.
create function next_attempt(p_scene_id uuid) returns integer language sql stable as $$
    select 1 + greatest(s.attempt, (select max(a.attempt) from attempts a where a.scene_id = s.id))
    from scenes s where s.id = p_scene_id;
$$;

-- The scene has the video of this attempt, where that is stored; what it had stays with its own attempt. Where it is not
-- stored yet it is fetched: a failed scene goes on with it, a completed one keeps what it has until it is called again.
create function use_attempt(p_scene_id uuid, p_attempt integer) returns void language plpgsql as $$
declare
    v_scene scenes;
    v_attempt attempts;
begin
    perform open_generation(
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

-- As before, but that the job of a late attempt is taken by naming it, and that no attempt's number is used twice.
create or replace function record_provider_job(p_scene_id uuid, p_attempt_id uuid, p_video_id text) returns void
language plpgsql as $$
declare
    v_scene scenes;
    v_repeats boolean;
    v_adopts boolean;
    v_late integer;
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

-- As before, and what was accepted while the generation was deleted is fetched before anything is posted.
create or replace function restore_generation(p_generation_id uuid) returns boolean language plpgsql as $$
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
    perform go_on_with_late_attempt(s.id)
    from variants v join scenes s on s.variant_id = v.id
    where v.generation_id = p_generation_id and exists (
        select from attempts a where a.scene_id = s.id and a.outcome = 'late');
    perform roll_up(p_generation_id);
    return true;
end $$;
