"""What a database must be like so that whoever has the password of one login reaches no more than that login's own.

Each point is one question to the catalogs, which every login may read; what it answers stands in the way.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg

OWNER: Final = "history_migrate"
USERS: Final = ("history_api", "history_worker")

# Whoever may alter the schema or everything anyway need not be kept from it.
_TRUSTED: LiteralString = """
    trusted as (
        select r.oid from pg_roles r
        where r.rolname <> all (%(users)s) and (r.rolsuper or r.rolname = %(owner)s
            or r.oid = (select nspowner from pg_namespace where nspname = 'public')
            or r.oid = (select datdba from pg_database where datname = current_database()))
    )
"""


@dataclass(frozen=True)
class Point:
    """One thing that must be so: the query names what is not, the remedy says what to do about it."""

    holds: str
    query: LiteralString
    remedy: str


UTF8: Final = Point(
    "the database is in UTF-8",
    "select pg_encoding_to_char(encoding) from pg_database where datname = current_database() and encoding <> 6",
    "make another one: create database NAME encoding 'UTF8' locale 'C.UTF-8' template template0",
)
BOUND: Final = Point(
    "the logins may do nothing but log in",
    """
    select rolname || concat_ws(' and ', case when rolsuper then ' is a superuser' end,
        case when rolbypassrls then ' bypasses row level security' end,
        case when rolcreaterole then ' may create roles' end, case when rolcreatedb then ' may create databases' end,
        case when rolreplication then ' may read all by replication' end)
    from pg_roles
    where rolname = any (%(logins)s) and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)
    """,
    "alter role LOGIN nosuperuser nobypassrls nocreaterole nocreatedb noreplication",
)
ALONE: Final = Point(
    "the logins are members of no other role",
    """
    select m.member::regrole::text || ' of ' || m.roleid::regrole::text from pg_auth_members m
    where m.member in (select oid from pg_roles where rolname = any (%(logins)s))
    """,
    "revoke ROLE from LOGIN",
)
NO_CREATE: Final = Point(
    "nobody else may create anything in the schema public",
    "with "
    + _TRUSTED
    + """
    select case a.grantee when 0 then 'public' else a.grantee::regrole::text end
    from pg_namespace n, aclexplode(n.nspacl) a
    where n.nspname = 'public' and a.privilege_type = 'CREATE' and a.grantee not in (select oid from trusted)
    """,
    "revoke create on schema public from WHOM, as the schema's owner",
)
NOTHING_FOREIGN: Final = Point(
    "the schema public has no functions or operators of others, which could stand in for the database's own",
    "with "
    + _TRUSTED
    + """
    , made as (
        select 'pg_proc'::regclass as class, oid, oid::regprocedure::text as name, proowner as owner
        from pg_proc where pronamespace = 'public'::regnamespace
        union all
        select 'pg_operator'::regclass, oid, oid::regoperator::text, oprowner
        from pg_operator where oprnamespace = 'public'::regnamespace
    )
    select name || ' of ' || owner::regrole::text from made
    where owner not in (select oid from trusted)
        and not exists (select from pg_depend where classid = class and objid = made.oid and deptype = 'e')
    order by 1
    """,
    "look at what they are for; then drop them, or move them: alter function NAME set schema ANOTHER",
)
NO_SCHEMA: Final = Point(
    "the logins may create no schema",
    """
    select rolname from pg_roles
    where rolname = any (%(users)s) and has_database_privilege(oid, current_database(), 'create')
    """,
    "revoke create on database NAME from LOGIN, and from public",
)
NO_TEMPORARY: Final = Point(
    "the logins may create no temporary tables, which a pooler would hand to the next one",
    """
    select rolname from pg_roles
    where rolname = any (%(users)s) and has_database_privilege(oid, current_database(), 'temporary')
    """,
    "revoke temporary on database NAME from public, as the database's owner",
)
NO_MORE_RIGHTS: Final = Point(
    "the logins have no rights to tables that the migrations did not give them",
    """
    select r.rolname || ' on ' || c.relname from pg_roles r, pg_class c
    where r.rolname = any (%(users)s) and c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
        and c.relowner = (select oid from pg_roles where rolname = %(owner)s)
        and has_table_privilege(r.oid, c.oid, 'truncate, references, trigger')
    union all
    select 'public on ' || c.relname from pg_class c, aclexplode(c.relacl) a
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') and a.grantee = 0
        and c.relowner = (select oid from pg_roles where rolname = %(owner)s)
    order by 1
    """,
    "revoke truncate, references, trigger on TABLE from LOGIN; revoke all on TABLE from public",
)
NO_DEFAULT_RIGHTS: Final = Point(
    "nothing new is open to the logins by default",
    """
    select distinct case a.grantee when 0 then 'public' else a.grantee::regrole::text end || ' on what '
        || d.defaclrole::regrole::text || ' makes'
    from pg_default_acl d, aclexplode(d.defaclacl) a
    where d.defaclobjtype in ('r', 'S') and d.defaclrole = (select oid from pg_roles where rolname = %(owner)s)
        and (a.grantee = 0 or a.grantee in (select oid from pg_roles where rolname = any (%(users)s)))
    """,
    "alter default privileges for role history_migrate revoke all on tables from WHOM (and in schema public)",
)
FIXED_PATHS: Final = Point(
    "every function finds its tables whatever its caller's search_path is, and nobody may call those with more rights",
    """
    select oid::regprocedure::text from pg_proc p
    where pronamespace = 'public'::regnamespace and proowner = (select oid from pg_roles where rolname = %(owner)s)
        and not exists (select from pg_depend where classid = 'pg_proc'::regclass and objid = p.oid and deptype = 'e')
        and (prosqlbody is null
                and not exists (select from unnest(proconfig) setting where setting like 'search\\_path=%%')
            or prosecdef and exists (
                select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0))
    order by 1
    """,
    "scripts/migrate; if it was done, alter function NAME set search_path = pg_catalog, public, pg_temp",
)
#: Those that scripts/create-logins mends where it may, and that nothing must be migrated without.
GUARDS: Final = (BOUND, ALONE, NO_CREATE, NOTHING_FOREIGN, NO_SCHEMA)
POINTS: Final = (UTF8, *GUARDS, NO_TEMPORARY, NO_MORE_RIGHTS, NO_DEFAULT_RIGHTS, FIXED_PATHS)


def offenders(connection: psycopg.Connection[Any], point: Point, logins: Iterable[str]) -> list[str]:
    """What is in the point's way; none where it holds."""
    names = [*logins]
    params = {"owner": OWNER, "logins": names, "users": [login for login in names if login != OWNER]}
    return [str(row[0]) for row in connection.execute(point.query, params)]


def first_open(connection: psycopg.Connection[Any], points: Iterable[Point], logins: Iterable[str]) -> str | None:
    """A sentence on the first point that does not hold, None where all do."""
    names = [*logins]
    for point in points:
        if offending := offenders(connection, point, names):
            return sentence(point, offending)
    return None


def sentence(point: Point, offending: Iterable[str]) -> str:
    """What does not hold, why, and what to do."""
    return f"it must hold that {point.holds}, but for: {', '.join(offending)}. {point.remedy}"


def other_settings(
    connection: psycopg.Connection[Any], logins: Iterable[str], expected: Mapping[str, str]
) -> list[str]:
    """How the logins' own settings differ from those they should have, in this database or in all."""
    query = """
        select r.rolname, setting from pg_roles r left join pg_db_role_setting s on s.setrole = r.oid
            and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
        left join unnest(s.setconfig) setting on true
        where r.rolname = any (%s)
    """
    settings_by_login: dict[str, dict[str, str]] = {}
    for login, setting in connection.execute(query, [[login for login in logins if login != OWNER]]):
        name, _, value = (setting or "").partition("=")
        settings_by_login.setdefault(login, {})[name.lower()] = value
    return [
        f"{login} {name} is {settings.get(name, 'not set')}, not {expected.get(name, 'the default')}"
        for login, settings in sorted(settings_by_login.items())
        for name in sorted({*settings, *(key.lower() for key in expected)} - {""})
        if settings.get(name) != expected.get(name)
    ]
