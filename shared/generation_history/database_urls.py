"""Addresses of databases as they are set: what libpq understands is taken, what other tools mean is refused by name.

Nothing here repeats any part of a value but the names of its parameters: whatever is misread may be the password.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

from psycopg import ProgrammingError, conninfo, pq

from generation_history.errors import NotConfigured

EXAMPLE: Final = "postgresql://login:password@host/name"
_URL: Final = re.compile(
    r"(?P<scheme>[a-z0-9+.-]+)(?P<jdbc>:postgresql)?:(?P<rest>//[^?]*)(?:\?(?P<query>.*))?", re.IGNORECASE | re.DOTALL
)
_PORTS: Final = re.compile(r"(\d{0,5})(,\d{0,5})*")
_MAX_PORT: Final = 65_535
#: Parameters that libpq has another word for.
_LIBPQ_SPELLINGS: Final = {
    "ssl": "sslmode=require",
    "sslaccept": "sslmode",
    "tls": "sslmode=require",
    "sslcert_path": "sslcert",
    "username": "the login before the @",
    "database": "the name after the host",
    "encoding": "nothing, it is UTF-8",
}
#: Parameters that have a meaning here only with these values.
_ALLOWED_VALUES: Final = {
    "sslmode": {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
    "target_session_attrs": {"any", "read-write", "primary"},
    "client_encoding": {"utf8", "utf-8", "unicode", "auto"},
    # Another protocol altogether.
    "replication": {"false", "off", "0", "no"},
}


@lru_cache(maxsize=16)
def checked(setting: str, value: str) -> str:
    """The value, which names a host, a socket's folder or a service, and nothing that libpq would misread."""
    example = f"{setting} must be a URL like {EXAMPLE}, with special characters of the password as %40 for @"
    if url := _URL.fullmatch(value):
        _refuse_others_schemes(setting, url["scheme"], is_jdbc=bool(url["jdbc"]))
        # A password that has one of these as it is ends there, and its rest is taken for a host or a parameter.
        authority = url["rest"][2:].partition("/")[0]
        if "#" in value or value.count("@") != authority.count("@") or value.count("@") > 1:
            raise NotConfigured(example)
        _refuse_others_parameters(setting, url["query"] or "")
    try:
        params = conninfo.conninfo_to_dict(value)
    except ProgrammingError:
        raise NotConfigured(example) from None
    if not _is_an_address(params):
        raise NotConfigured(example)
    for parameter, values in _ALLOWED_VALUES.items():
        if str(params.get(parameter, next(iter(values)))).lower() not in values:
            raise NotConfigured(f"{setting}: {parameter} must be one of {', '.join(sorted(values))}")
    return value


def _refuse_others_schemes(setting: str, scheme: str, *, is_jdbc: bool) -> None:
    if is_jdbc or scheme.lower() == "jdbc":
        raise NotConfigured(
            f"{setting} is JDBC's: write postgresql:// for jdbc:postgresql://, with login:password@ before the host"
        )
    base, _, driver = scheme.lower().partition("+")
    if base in {"postgres", "postgresql"} and driver:
        raise NotConfigured(f"{setting} is SQLAlchemy's: write postgresql:// without +{driver}")


def _refuse_others_parameters(setting: str, query: str) -> None:
    """Other tools' own parameters, as Prisma's schema and pgbouncer: libpq would refuse the whole URL for one."""
    for pair in filter(None, query.split("&")):
        parameter, equals, _ = pair.partition("=")
        parameter = unquote(parameter)
        if not equals or not re.fullmatch("[A-Za-z0-9_.-]{1,40}", parameter):
            # It may be the rest of a password.
            continue
        if parameter not in _libpq_parameters() and (parameter, pair) != ("ssl", "ssl=true"):
            hint = f"; write {_LIBPQ_SPELLINGS[parameter.lower()]}" if parameter.lower() in _LIBPQ_SPELLINGS else ""
            raise NotConfigured(
                f"{setting} has the parameter {parameter}, which is another tool's: take it out{hint}. "
                f"It must be a URL like {EXAMPLE}"
            )


def _libpq_parameters() -> frozenset[str]:
    return frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())


def _is_an_address(params: Mapping[str, Any]) -> bool:
    hosts = str(params.get("host") or params.get("hostaddr") or "")
    ports = str(params.get("port") or "")
    if not (hosts or params.get("service")) or not _PORTS.fullmatch(ports):
        return False
    if any(port and not 0 < int(port) <= _MAX_PORT for port in ports.split(",")):
        return False
    if ports.count(",") not in {0, hosts.count(",")}:
        return False
    # A host's name, an address, or a folder: anything else is a part of something else.
    return all(re.fullmatch(r"[\w.:%-]+|[/@][^\s@]*", host) for host in hosts.split(",") if hosts)
