"""Child processes that do not outlive the process that started them."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_LOG_BYTES = 5_000_000
_QUOTED_BYTES = 20_000
_QUOTED_LINES = 30
_POLL_S = 0.02

# A death signal set before the uid changes is lost, and nobody may not enter a checkout below a 0700 folder without
# dac_override; setpriv sets all of it in the order that works.
_AS_NOBODY = [
    *("--reuid=65534", "--regid=65534", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
]

# A parent that ends before the death signal is set would go unnoticed.
_UNLESS_ORPHANED = '[ "$PPID" = "$1" ] && shift && exec "$@"'


class StartError(RuntimeError):
    """A child ended too early or was not ready in time; the message closes with the last lines of its log."""


def start(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    as_nobody: bool = False,
    death_signal: signal.Signals = signal.SIGKILL,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """A running child that gets `death_signal` when its parent is gone, however the parent ended.

    Its parent is the THREAD that called this (prctl(2), PR_SET_PDEATHSIG): call from one that lives as long as the
    child shall, best the main thread.

    The child has a session of its own, so a terminal's Ctrl-C reaches only the parent, which then stops it in order.
    What it prints is appended to `log`; `env` replaces the environment. `as_nobody` matters to root only.
    """
    _begin_anew_when_long(log)
    with log.open("ab") as output:
        return subprocess.Popen(
            [*_guard(death_signal, as_nobody=as_nobody), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=env,
            cwd=cwd,
        )


def wait_until(ready: Callable[[], bool], *, process: subprocess.Popen[bytes], log: Path, timeout: float) -> None:
    """Returns once `ready()`; raises StartError if the child ends before, or if `timeout` seconds pass."""
    deadline = time.monotonic() + timeout
    while not ready():
        if process.poll() is not None:
            raise StartError(f"Ended with code {process.returncode}. {_quote(log)}")
        if time.monotonic() > deadline:
            raise StartError(f"Not ready after {timeout:g} s. {_quote(log)}")
        time.sleep(_POLL_S)


def run(command: Sequence[str], *, log: Path, timeout: float, as_nobody: bool = False) -> None:
    """Returns once the command has ended with code 0; raises StartError for any other, or after `timeout` seconds."""
    process = start(command, log=log, as_nobody=as_nobody)
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise StartError(f"Not ready after {timeout:g} s. {_quote(log)}") from None
    finally:
        stop(process, timeout=0)
    if code:
        raise StartError(f"Ended with code {code}. {_quote(log)}")


def stop(process: subprocess.Popen[bytes], *, sig: signal.Signals = signal.SIGTERM, timeout: float) -> None:
    """Returns once the child is gone: its process group gets `sig` and, `timeout` seconds later, SIGKILL."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, sig)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _guard(death_signal: signal.Signals, *, as_nobody: bool) -> list[str]:
    """What a command line begins with, so that the command dies with this process."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StartError("The program setpriv is missing: install util-linux.")
    identity = _AS_NOBODY if as_nobody and os.geteuid() == 0 else []
    death = ["--pdeathsig", death_signal.name.removeprefix("SIG")]
    return [setpriv, *identity, *death, "/bin/sh", "-c", _UNLESS_ORPHANED, "sh", str(os.getpid())]


def _begin_anew_when_long(log: Path) -> None:
    """Moves a log of several megabytes aside, over the one moved aside before."""
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.old"))


def _quote(log: Path) -> str:
    """The last lines of a log, introduced by its path."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _QUOTED_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join([f"{log} ends with:", *lines[-_QUOTED_LINES:]])
