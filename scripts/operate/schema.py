"""Write migrations/schema.sql: the whole present schema, table by table, as pg_dump tells it.

A database that lasts as long as the command has every migration applied to it. With --check nothing is written.
"""

import argparse
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from scripts.local.postgres import BINARIES
from scripts.local.scratch import scratch
from scripts.operate.migrate import SCHEMA

HEADER = "-- The present schema, made by scripts/schema from all migrations. It is for reading and is never applied.\n"
DUMP_SECONDS = 60

_ENTRY = re.compile(r"^--\n-- Name: (.+); Type: ([A-Z ]+); Schema: .*\n--\n", re.MULTILINE)
#: A dump's own settings, and where it ends.
_SETTING = re.compile(r"^SET .*;\n", re.MULTILINE)
_END = "\n--\n-- PostgreSQL database dump complete\n"
#: What stands in a table's own part, in this order; keys stand in the table itself.
_PARTS = ("TABLE", "VIEW", "INDEX", "TRIGGER", "ROW SECURITY", "POLICY", "ACL")
_KEYS = ("CONSTRAINT", "FK CONSTRAINT")


@dataclass(frozen=True)
class Entry:
    """One object of a dump: its name and type as pg_dump writes them, and its statements."""

    name: str
    type: str
    sql: str

    @property
    def owner(self) -> str:
        """The name of the table, view or function that it belongs to, else its own."""
        if self.type == "INDEX" and (table := re.search(r" ON (?:ONLY )?(\w+) ", self.sql)):
            return table[1]
        name = self.name
        if self.type in {"ACL", "COMMENT"}:
            name = re.sub(r"^(?:TABLE|COLUMN|FUNCTION) ", "", name)
        return re.split(r"[ .(]", name, maxsplit=1)[0]


def dump(url: str, *, binaries: Path = BINARIES) -> str:
    """What pg_dump tells of a database's schema; the program has to be of the server's version or a newer one."""
    command = [str(binaries / "pg_dump"), "--schema-only", "--no-owner", f"--dbname={url}"]
    return subprocess.run(command, capture_output=True, check=True, text=True, timeout=DUMP_SECONDS).stdout


def oldest_first(url: str) -> list[str]:
    """The names of all tables, views and functions, in the order in which the migrations made them."""
    query = """
        select relname as name, oid from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
        union all
        select proname, oid from pg_proc where pronamespace = 'public'::regnamespace
        order by oid
    """
    with psycopg.connect(url) as connection:
        return [name for name, _ in connection.execute(query)]


def arrange(dump_text: str, order: Sequence[str]) -> str:
    """A dump's text for reading: each table with all that belongs to it, then the functions, in this order of names.

    What belongs to neither stands before them. Only a dump's settings and the extensions' comments are left out.
    """
    entries = _entries(dump_text)
    tables = {entry.name for entry in entries if entry.type in {"TABLE", "VIEW"}}
    functions = {entry.owner for entry in entries if entry.type == "FUNCTION"}
    parts: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        owner = entry.owner if entry.owner in tables | functions else ""
        parts[owner].append(entry)
    texts = [HEADER, _statements(parts[""])]
    texts += [_rule(name) + _table(parts[name]) for name in order if name in tables]
    texts += [_rule("functions"), *(_statements(parts[name]) for name in order if name in functions)]
    return "\n".join(texts)


def _entries(dump_text: str) -> list[Entry]:
    """The entries in the order of the dump, which is by name. All that is ours is in public, so that is not said."""
    _, *fields = _ENTRY.split(dump_text.partition(_END)[0])
    entries = [Entry(*fields[index : index + 3]) for index in range(0, len(fields), 3)]
    return [
        Entry(entry.name, entry.type, _policy(_SETTING.sub("", entry.sql.replace("public.", ""))).strip() + "\n")
        for entry in entries
        if not (entry.type == "COMMENT" and entry.name.startswith("EXTENSION "))
    ]


def _policy(sql: str) -> str:
    """The statement with a policy's logins by name: a dump has them in the order in which the server made them."""
    return re.sub(
        r"^(CREATE POLICY .* TO )(\w+(?:, \w+)+)",
        lambda policy: policy[1] + ", ".join(sorted(policy[2].split(", "))),
        sql,
        flags=re.MULTILINE,
    )


def _table(entries: Iterable[Entry]) -> str:
    by_type: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_type[entry.type].append(entry)
    keys = [entry for kind in _KEYS for entry in by_type.pop(kind, [])]
    by_type["TABLE"] = [_with_keys(table, keys) for table in by_type["TABLE"]]
    kinds = [*_PARTS, *(kind for kind in by_type if kind not in _PARTS)]
    return "\n".join(_statements(by_type[kind]) for kind in kinds if by_type[kind])


def _with_keys(table: Entry, keys: Iterable[Entry]) -> Entry:
    """The table's statement with its keys inside, where its author wrote them."""
    columns, end, options = table.sql.rpartition("\n)")
    added = [re.sub(r"^ALTER TABLE ONLY \w+\s+ADD (.*);\n$", r",\n    \1", key.sql, flags=re.DOTALL) for key in keys]
    return Entry(table.name, table.type, "".join([columns, *added, end, options]))


def _statements(entries: Sequence[Entry]) -> str:
    """The statements one below the other; rights to columns are told once for each table and login."""
    text = "".join(entry.sql for entry in entries)
    columns: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for grant in re.finditer(r"^GRANT (\w+\(.*\)) ON TABLE (\w+) TO (\w+);\n", text, re.MULTILINE):
        for right, column in re.findall(r"(\w+)\((\w+)\)", grant[1]):
            columns[right, grant[2], grant[3]].append(column)
    text = re.sub(r"^GRANT \w+\(.*\) ON TABLE \w+ TO \w+;\n", "", text, flags=re.MULTILINE)
    return text + "".join(
        f"GRANT {right} ({', '.join(names)}) ON TABLE {table} TO {login};\n"
        for (right, table, login), names in columns.items()
    )


def _rule(title: str) -> str:
    return f"-- ---------------------------------------------------------------- {title}\n\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when the file is written, or is what it should be; 1 when --check found another one."""
    parser = argparse.ArgumentParser(prog="scripts/schema", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file is not up to date")
    check = parser.parse_args(arguments).check
    with scratch() as database:
        text = arrange(dump(database.admin), oldest_first(database.admin))
    if not check:
        SCHEMA.write_text(text, "utf-8")
    elif not SCHEMA.exists() or SCHEMA.read_text("utf-8") != text:
        print("migrations/schema.sql is not what the migrations make: run scripts/schema", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
