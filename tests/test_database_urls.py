"""DATABASE_URL and its like: what libpq understands is taken, what is another tool's is refused by its name."""

import re

import pytest
from psycopg import conninfo

from generation_history import settings
from generation_history.errors import NotConfigured

SECRET = "s3cr3t-w0rd"
LOGIN = f"history_api:{SECRET}"


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        (f"postgresql://{LOGIN}@db.example/name", "db.example", None),
        (f"postgres://{LOGIN}@db.example:25060/name?sslmode=require", "db.example", "25060"),
        (f"postgresql://{LOGIN}@db.example/name?sslmode=verify-full&sslrootcert=system", "db.example", None),
        (f"postgresql://{LOGIN}@one.example:5432,two.example:5433/name", "one.example,two.example", "5432,5433"),
        (f"postgresql://{LOGIN}@one.example,two.example/name?target_session_attrs=primary", None, None),
        (f"postgresql://{LOGIN}@[2001:db8::1]:5432/name", "2001:db8::1", "5432"),
        (f"postgresql://{LOGIN}@[::1],[::2]/name", "::1,::2", None),
        (f"postgresql://{LOGIN}@/name?host=/var/run/postgresql", "/var/run/postgresql", None),
        (f"postgresql://{LOGIN}@%2Fvar%2Frun%2Fpostgresql/name", "/var/run/postgresql", None),
        (f"postgresql:///name?host=db.example&user=history_api&password={SECRET}", "db.example", None),
        (f"postgresql://{LOGIN}@ep-x-pooler.neon.example/name?sslmode=require&channel_binding=require", None, None),
        (f"postgresql://{LOGIN}@db.example/name?options=-c%20geqo%3Doff&application_name=x", "db.example", None),
        ("postgresql://history_api:p%40s%2Fs%3Aw%23%25%3F@db.example/name", "db.example", None),
        (f"host=db.example port=5432 dbname=name user=history_api password='{SECRET} x'", "db.example", "5432"),
        ("service=history", None, None),
        ("postgresql:///?service=history", None, None),
    ],
)
def test_what_libpq_understands_is_taken(monkeypatch: pytest.MonkeyPatch, url: str, host: str | None, port: str | None):
    monkeypatch.setenv("DATABASE_URL", url)

    assert settings.database_url() == url
    named = conninfo.conninfo_to_dict(url)
    assert host in {None, named.get("host")}
    assert port in {None, named.get("port")}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql+psycopg2://{LOGIN}@host/name", "without +psycopg2"),
        (f"postgresql+asyncpg://{LOGIN}@host/name", "without +asyncpg"),
        (f"jdbc:postgresql://host/name?user=history_api&password={SECRET}", "JDBC"),
        (f"postgresql://{LOGIN}@host/name?schema=public&connection_limit=1", "parameter schema"),
        (f"postgresql://{LOGIN}@host/name?sslmode=require&pgbouncer=true", "parameter pgbouncer"),
        (f"postgresql://{LOGIN}@host/name?connection_limit=1", "parameter connection_limit"),
        (f"postgresql://{LOGIN}@host/name?pool_max_conns=1", "parameter pool_max_conns"),
        (f"postgresql://{LOGIN}@host/name?currentSchema=public", "parameter currentSchema"),
        (f"postgresql://{LOGIN}@host/name?ssl=require", "sslmode=require"),
        (f"postgresql://{LOGIN}@host/name?sslmode=required", "sslmode must be one of"),
        (f"postgresql://{LOGIN}@one,two/name?target_session_attrs=standby", "target_session_attrs must be one of"),
        (f"postgresql://{LOGIN}@host/name?client_encoding=latin1", "client_encoding must be one of"),
        (f"postgresql://{LOGIN}@host/name?replication=database", "replication must be one of"),
        (f"mysql://{LOGIN}@host/name", "postgresql://login:password@host/name"),
        (f"https://{LOGIN}@host/name", "postgresql://login:password@host/name"),
        (f'"postgresql://{LOGIN}@host/name"', "quotes around its value"),
        (f"psql postgresql://{LOGIN}@host/name", "postgresql://login:password@host/name"),
        (f"postgresql://{LOGIN}@one:1,two:{SECRET}/name", "postgresql://login:password@host/name"),
        (f"postgresql://{LOGIN}@one:1,two:2,three:3:4/name", "postgresql://login:password@host/name"),
        (f"postgresql://{LOGIN}@host:0/name", "postgresql://login:password@host/name"),
        (f"postgresql://{LOGIN}@host:65536/name", "postgresql://login:password@host/name"),
        (f"postgresql://{LOGIN}@/name", "postgresql://login:password@host/name"),
        (f"postgresql:///name?user=history_api&password={SECRET}", "postgresql://login:password@host/name"),
        (f"postgresql://history_api:pass@{SECRET}@host/name", "postgresql://login:password@host/name"),
        (f"postgresql://history_api:{SECRET}/word@host/name", "postgresql://login:password@host/name"),
        (f"postgresql://history_api:{SECRET}#word@host/name", "postgresql://login:password@host/name"),
        (f"postgresql://history_api:word?{SECRET}=1@host/name", "postgresql://login:password@host/name"),
        (f"postgresql://history_api:100%{SECRET}@host/name", "postgresql://login:password@host/name"),
        (f"postgresql://history_api:{SECRET}@[host/name", "postgresql://login:password@host/name"),
        (f"password={SECRET} nonsense", "postgresql://login:password@host/name"),
        (f"host=db port={SECRET}", "postgresql://login:password@host/name"),
        ("name", "postgresql://login:password@host/name"),
    ],
)
def test_what_is_another_tools_or_cannot_be_read_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, url: str, said: str
):
    """In one line that names the setting, says what to do, and repeats nothing that may be the password."""
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(NotConfigured, match=r"^DATABASE_URL[^\n]+$") as refused:
        settings.database_url()

    assert said in str(refused.value)
    assert not re.search(SECRET, str(refused.value), re.IGNORECASE)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
