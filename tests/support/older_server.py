"""An older installation as a whole: a folder with its server, settings and logs, beside its record and its objects."""

import re
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from generation_history.storage.object_store import ObjectStore
from scripts.local import ports
from tests.support.guide import Shell, wait_for
from tests.support.old_installation import TABLES, OldInstallation

EVERYONE = "http://acs.amazonaws.com/groups/global/AllUsers"


@dataclass
class Older:
    """An older installation: its folder with code, settings and logs, its database, its objects."""

    folder: Path
    url: str
    record: OldInstallation
    shell: Shell
    port: int

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def rows(self) -> list[tuple]:
        """Every old row as it is."""
        query = " union all ".join(f"select t::text from {self.record.schema}.{table} t" for table in TABLES)
        return self.record.connection.execute(f"{query} order by 1").fetchall()

    def write_settings(self, values: dict[str, str]) -> None:
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()), "utf-8")

    def settings(self) -> dict[str, str]:
        lines = (self.folder / ".env").read_text("utf-8").splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    def replace(self, file: str, line: str, block: str) -> None:
        """The one line of the file is the block now, indented as the line was."""
        path = self.folder / file
        text, count = re.subn(
            rf"^( *){re.escape(line)}.*$",
            lambda found: "\n".join(found[1] + each for each in block.splitlines()),
            path.read_text("utf-8"),
            flags=re.MULTILINE,
        )
        assert count == 1, (file, line)
        path.write_text(text, "utf-8")

    @contextmanager
    def served(self) -> Generator[subprocess.Popen[bytes]]:
        """The server that is in the folder answers."""
        with self.shell.running("python", "server.py") as server:
            wait_for(server, lambda: not ports.is_free(self.port))
            yield server

    def ask(self, path: str) -> dict[str, Any]:
        """What the server answers to the old front end, which has no token and is a page of this server."""
        answer = requests.get(f"{self.api}/{path}", headers={"sec-fetch-site": "same-origin"}, timeout=30)
        assert answer.ok, answer.text
        return answer.json()


def publish(bucket: ObjectStore, key: str) -> None:
    """Makes an object public, as the older installation did."""
    bucket.client.call("put_object_acl", Key=key, ACL="public-read")


def is_public(bucket: ObjectStore, key: str) -> bool:
    grants = bucket.client.call("get_object_acl", Key=key)["Grants"]
    return any(grant["Grantee"].get("URI") == EVERYONE for grant in grants)
