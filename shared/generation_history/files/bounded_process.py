"""A process of somebody else's code: held to its limits, its output read as it comes, and nothing of it left."""

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Final

#: An output that is longer than twice this is kept as its beginning and its end, of this size each.
EXCERPT_BYTES: Final = 128 * 1024
#: How often a process is checked for its end, once it has closed its output.
EXIT_CHECK_SECONDS: Final = 0.005
PIECE_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class Limits:
    """What a process may take: wall-clock time until this time.monotonic(), processor time, address space, output."""

    deadline: float
    cpu_seconds: int
    memory_bytes: int
    output_bytes: int
    log_bytes: int


@dataclass(frozen=True)
class Run:
    """How a process ended: its exit status or the signal that ended it, and what it had written until then.

    cut_off: it was stopped because it wrote too much; timed_out: because its wall-clock time was up.
    """

    status: int | None
    signal: int | None
    cpu_seconds: float
    timed_out: bool
    cut_off: bool
    output: bytes
    log: str

    @property
    def ended_well(self) -> bool:
        """Whether it came to a good end by itself."""
        return self.status == 0 and not self.timed_out and not self.cut_off

    @property
    def text(self) -> str:
        """The output as text: its beginning and its end, where it is long."""
        output = self.output
        if len(output) > 2 * EXCERPT_BYTES:
            output = output[:EXCERPT_BYTES] + b"\n" + output[-EXCERPT_BYTES:]
        return output.decode("utf-8", "replace")

    @property
    def end(self) -> str:
        """What is to be said of an end that was not its own."""
        if self.cut_off:
            return " (it was stopped: it wrote too much)"
        if self.timed_out:
            return " (it was stopped: it did not finish in time)"
        return f" (it was stopped by signal {self.signal})" if self.signal else ""


@dataclass
class _Output:
    """What comes through one pipe, up to so many bytes."""

    pipe: IO[bytes]
    max_bytes: int
    content: bytearray = field(default_factory=bytearray)

    def read(self) -> bool:
        """Whether there may be more."""
        piece = os.read(self.pipe.fileno(), PIECE_BYTES)
        self.content += piece
        return bool(piece)

    @property
    def too_long(self) -> bool:
        return len(self.content) > self.max_bytes


def run(command: list[str], limits: Limits) -> Run:
    """The command's whole life: when this returns, or raises, no process of it is left.

    An OSError where it cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", _limited(limits), "sh", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Each of glibc's arenas would reserve 128 MB of the address space, as many as threads meet by chance.
        env={"MALLOC_ARENA_MAX": "1"},
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - both are pipes
    assert process.stderr is not None  # noqa: S101
    with process.stdout, process.stderr:
        output, log = _Output(process.stdout, limits.output_bytes), _Output(process.stderr, limits.log_bytes)
        try:
            is_finished = _read(output, log, limits.deadline) and _ends(process.pid, limits.deadline)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            _, status, usage = os.wait4(process.pid, 0)
            code = process.returncode = os.waitstatus_to_exitcode(status)
    cut_off = output.too_long or log.too_long
    return Run(
        status=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        timed_out=not is_finished and not cut_off,
        cut_off=cut_off,
        output=bytes(output.content),
        log=log.content.decode("utf-8", "replace"),
    )


def _read(output: _Output, log: _Output, deadline: float) -> bool:
    """Whether both pipes came to their end, in time and within their sizes."""
    with selectors.DefaultSelector() as selector:
        for stream in (output, log):
            selector.register(stream.pipe, selectors.EVENT_READ, stream)
        while selector.get_map():
            seconds_left = deadline - time.monotonic()
            if seconds_left <= 0:
                return False
            for key, _ in selector.select(seconds_left):
                if not key.data.read():
                    selector.unregister(key.fileobj)
                if key.data.too_long:
                    return False
    return True


def _ends(pid: int, deadline: float) -> bool:
    """Whether the process ends by itself, in time; it is not waited for yet."""
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(EXIT_CHECK_SECONDS)
    return True


def _limited(limits: Limits) -> str:
    """A shell script that sets the limits and becomes its arguments.

    Set from outside they would come late, and code of ours between fork and exec is not safe in threads. Where the
    platform's own limits are lower, those stay. (ulimit -v counts kilobytes. No file is to be written.)
    """
    ulimits = f"-v {limits.memory_bytes // 1024}", f"-t {limits.cpu_seconds}", "-f 0", "-c 0"
    return "".join(f"ulimit {limit}\n" for limit in ulimits) + 'exec "$@"'
