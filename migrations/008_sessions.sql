-- No function depends on what its caller's session has set, or has made: whoever had the session before may have been
-- anyone with the login's password. What is looked up by name is found in the database's own schema, then in ours, and in
-- temporary tables last.

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_proc p
        where p.pronamespace = 'public'::regnamespace and p.proowner = (select oid from pg_roles where rolname = current_user)
            and p.oid <> 'utc_day(timestamptz)'::regprocedure
            and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
            and not exists (select from unnest(p.proconfig) setting where setting like 'search\_path=%')
    loop
        execute format('alter function %s set search_path = pg_catalog, public, pg_temp', v_function);
    end loop;
end $$;

-- A part of other statements, which a setting would end: it is bound to what it calls here and now instead.
create or replace function utc_day(p_at timestamptz) returns date language sql immutable
return greatest((p_at at time zone 'UTC')::date, '0001-01-01'::date);
