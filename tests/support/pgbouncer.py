"""A PgBouncer in transaction mode before a Postgres, with one connection to it for each login."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scripts.local import ports, process

READY_S = 20
_CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server_port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = 1
max_client_conn = 100
"""


def program() -> str | None:
    return shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


@contextmanager
def pgbouncer(folder: Path, *, server_port: int, passwords: Mapping[str, str]) -> Iterator[int]:
    """The port of a pooler that lets these logins through."""
    folder.mkdir()
    port, log, users, configuration = ports.free_port(), folder / "log", folder / "users", folder / "ini"
    users.write_text("".join(f'"{login}" "{password}"\n' for login, password in passwords.items()))
    configuration.write_text(_CONFIGURATION.format(server_port=server_port, port=port, users=users))
    child: subprocess.Popen[bytes] = process.start([program() or "", str(configuration)], log=log, as_nobody=True)
    try:
        process.wait_until(lambda: not ports.is_free(port), process=child, log=log, timeout=READY_S)
        yield port
    finally:
        process.stop(child, timeout=5)
