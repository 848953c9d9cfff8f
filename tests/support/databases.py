"""Databases for tests, each as the template is: used again, emptied, unless its test changed more than rows."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from scripts.local.postgres import Postgres

#: What tells a test's database that its schema was touched (every DDL statement fires it), and empties it. What the
#: migrations themselves recorded is put back; whatever has a file of more than nothing was written to.
_TESTING = """
    create schema testing;
    grant usage on schema testing to public;
    create table testing.prices as table public.prices;
    create table testing.schema_migrations as table public.schema_migrations;
    create sequence testing.ddl;
    create function testing.note_ddl() returns event_trigger language plpgsql security definer
        set search_path = pg_catalog as $$ begin perform nextval('testing.ddl'); end $$;
    create function testing.clean() returns boolean language plpgsql as $$
    declare
        written text;
    begin
        if (select is_called from testing.ddl) then
            return false;
        end if;
        select string_agg(oid::regclass::text, ', ') into written
        from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and pg_relation_size(oid) > 0
            and relname not in ('prices', 'schema_migrations');
        if written is not null then
            execute 'truncate ' || written || ' restart identity cascade';
        end if;
        if exists (table public.prices except table testing.prices)
            or (select count(*) from public.prices) <> (select count(*) from testing.prices) then
            truncate public.prices restart identity;
            insert into public.prices table testing.prices;
        end if;
        return not exists (table public.schema_migrations except table testing.schema_migrations);
    end $$;
    create event trigger testing_ddl on ddl_command_end execute function testing.note_ddl();
    create event trigger testing_drop on sql_drop execute function testing.note_ddl();
"""
_IN_USE = """
    select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""
#: All that may be changed of a database from outside it, and that it is the same one still.
_OUTSIDE = """
    select oid, datacl::text, datconnlimit, datallowconn, (select array_agg(setconfig::text || setrole::text)
        from pg_db_role_setting where setdatabase = d.oid) from pg_database d where datname = %s
"""


class Databases:
    """Hands out databases that are as the template is. Each has a name that no other has had."""

    def __init__(self, server: Postgres, template: str) -> None:
        self._server = server
        self._template = f"{template}_of_tests"
        self._admin = psycopg.connect(server.admin_url, autocommit=True)
        self._clean: list[str] = []
        self._admin.execute(f"create database {self._template} template {template}")
        with psycopg.connect(self._url(self._template), autocommit=True) as connection:
            connection.execute(_TESTING)

    def _url(self, name: str) -> str:
        return self._server.url(name, "postgres", "postgres")

    @contextmanager
    def one(self) -> Iterator[str]:
        """The name of a database that is the caller's until the block ends."""
        name = self._take()
        before = self._outside(name)
        try:
            yield name
        finally:
            if self._outside(name) == before and self._is_cleaned(name):
                self._clean.append(name)
            else:
                self._admin.execute(f"drop database if exists {name} with (force)")

    def _take(self) -> str:
        name = f"test_{uuid.uuid4().hex}"
        if self._clean:
            # What a process remembers of a database, it remembers by its URL.
            self._admin.execute(f"alter database {self._clean.pop()} rename to {name}")
        else:
            # A copy of its files, and not of every page by way of the log, takes a quarter of the time.
            self._admin.execute(f"create database {name} template {self._template} strategy file_copy")
        return name

    def _outside(self, name: str) -> list[tuple]:
        return self._admin.execute(_OUTSIDE, [name]).fetchall()

    def _is_cleaned(self, name: str) -> bool:
        with psycopg.connect(self._url(name), autocommit=True) as connection:
            connection.execute(_IN_USE)
            return connection.execute("select testing.clean()").fetchall() == [(True,)]

    def close(self) -> None:
        self._admin.close()
