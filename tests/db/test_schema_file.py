"""migrations/schema.sql is the schema that the migrations make, whole, and on every PostgreSQL the same."""

import re
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from scripts.local.postgres import Postgres
from scripts.operate import schema as command
from scripts.operate.create_logins import create_logins
from scripts.operate.migrate import SCHEMA, migrate
from scripts.operate.schema import HEADER, arrange, dump, oldest_first
from tests.conftest import PASSWORDS

OTHERS = sorted(Path("/usr/lib/postgresql").glob("1[567]/bin"))


def written() -> str:
    return SCHEMA.read_text("utf-8")


def made(url: str, binaries: Path = command.BINARIES) -> str:
    return arrange(dump(url, binaries=binaries), oldest_first(url))


def test_the_file_is_what_the_migrations_make(postgres: Postgres, template: str):
    assert written() == made(postgres.url(template, "postgres", "postgres")), "run scripts/schema"


def test_the_file_says_first_where_it_comes_from_and_that_it_is_never_applied():
    assert written().startswith(HEADER)
    assert "scripts/schema" in HEADER
    assert "never applied" in HEADER


@pytest.mark.slow
@pytest.mark.skipif(not OTHERS, reason="PostgreSQL 15 to 17 are not here: install the package postgresql-15")
def test_an_older_postgresql_tells_the_same(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("older") / "data"
    with Postgres(folder, password="postgres", binaries=OTHERS[0], settings={"fsync": "off"}) as server:
        create_logins(server.admin_url, PASSWORDS)
        migrate(server.url("postgres", "history_migrate", PASSWORDS["history_migrate"]))

        assert written() == made(server.admin_url, OTHERS[0])


def test_everything_that_the_migrations_made_stands_in_the_file_with_its_table(db):
    """Asked of the catalogs, as pg_dump itself is not."""
    parts = re.split(r"^-- -+ (\w+)\n", written(), flags=re.MULTILINE)
    told = {name: set(re.findall(r"\w+", text)) for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    objects = db.rows("""
        with ours as (
            select oid, relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
        )
        select relname, attname from ours join pg_attribute on attrelid = ours.oid and attnum > 0 and not attisdropped
        union all
        select relname, conname from ours join pg_constraint on conrelid = ours.oid and contype <> 'n'
        union all
        select relname, indexrelid::regclass::text from ours join pg_index on indrelid = ours.oid
        union all
        select relname, tgname from ours join pg_trigger on tgrelid = ours.oid and not tgisinternal
        union all
        select relname, polname from ours join pg_policy on polrelid = ours.oid
        union all
        select relname, 'ROW' from ours join pg_class using (oid, relname) where relrowsecurity
        union all
        select 'functions', proname from pg_proc p where pronamespace = 'public'::regnamespace and not exists (
            select from pg_depend where classid = 'pg_proc'::regclass and objid = p.oid and deptype = 'e')
    """)

    assert [(table, name) for table, name in objects if name not in told[table]] == []
    assert {table for table, _ in objects} == told.keys()


def test_every_right_that_was_given_stands_in_the_file(db):
    """Those to tables and columns, of both logins; a file that left one out would tell of a login that may less."""
    given = db.rows("""
        select grantee, table_name, privilege_type, null from information_schema.role_table_grants
        where grantee in ('history_api', 'history_worker')
        union all
        select grantee, table_name, privilege_type, column_name from information_schema.column_privileges c
        where grantee in ('history_api', 'history_worker') and not has_table_privilege(
            c.grantee, format('public.%%I', table_name), privilege_type)
    """)
    told = set()
    for rights, columns, table, login in re.findall(
        r"^GRANT ([A-Z,]+)(?: \((.*)\))? ON TABLE (\w+) TO (\w+);$", written(), re.MULTILINE
    ):
        for right in rights.split(","):
            told |= {(login, table, right, column) for column in (columns.split(", ") if columns else [None])}

    assert told == set(given)
    assert len(told) > 100


def test_what_no_migration_has_made_yet_is_kept_as_well():
    """A type stands first, a comment with its table."""
    dumped = """
--
-- Name: mood; Type: TYPE; Schema: public; Owner: -
--

CREATE TYPE public.mood AS ENUM ('calm');


SET default_table_access_method = heap;

--
-- Name: a; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.a (
    x public.mood
);


--
-- Name: COLUMN a.x; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.a.x IS 'of the day';


--
-- Name: a a_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.a
    ADD CONSTRAINT a_key UNIQUE (x);


--
-- PostgreSQL database dump complete
--
"""

    assert arrange(dumped, ["a"]) == (
        HEADER
        + """
CREATE TYPE mood AS ENUM ('calm');

-- ---------------------------------------------------------------- a

CREATE TABLE a (
    x mood,
    CONSTRAINT a_key UNIQUE (x)
);

COMMENT ON COLUMN a.x IS 'of the day';

-- ---------------------------------------------------------------- functions

"""
    )


def test_the_logins_of_a_policy_stand_by_name():
    """A dump has them in the order in which the server's logins were made, which is no part of the schema."""
    dumped = """
--
-- Name: a own; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY own ON public.a TO history_worker, history_api USING (true);
"""

    assert "\nCREATE POLICY own ON a TO history_api, history_worker USING (true);\n" in arrange(dumped, [])


def test_the_command_checks_and_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys, template, postgres):
    file = tmp_path / "schema.sql"
    monkeypatch.setattr(command, "SCHEMA", file)
    here = SimpleNamespace(admin=postgres.url(template, "postgres", "postgres"))
    monkeypatch.setattr(command, "scratch", lambda: nullcontext(here))

    assert command.main(["--check"]) == 1
    assert capsys.readouterr().err == "migrations/schema.sql is not what the migrations make: run scripts/schema\n"
    assert not file.exists()
    assert command.main([]) == 0
    assert file.read_text("utf-8") == written()
    assert command.main(["--check"]) == 0
    file.write_text(written() + "\n")
    assert command.main(["--check"]) == 1


def test_a_change_to_the_schema_is_a_change_to_the_file(db):
    with psycopg.connect(db.admin) as connection:
        connection.execute("alter table pulses add column extra integer")

    assert made(db.admin) != written()
