"""The warm instances of each function: processes that are kept between calls, one call at a time each."""

import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, cast

from scripts.local.host import launcher
from scripts.local.host.project import Function

NAMESPACE = "local"
MAX_INSTANCES = 4


class Instance:
    """One process of a function; it ends with its host, because its input does."""

    def __init__(self, function: Function, log: IO[bytes]) -> None:
        name = f"/{NAMESPACE}/{function.package}/{function.name}"
        self._log_name = Path(log.name).name
        # Isolated: the interpreter itself, not the virtual environment's, whose packages would be found too.
        isolated = [str(Path(sys.executable).resolve()), "-I", launcher.__file__]
        start = isolated if function.isolated else [sys.executable, "-m", launcher.__name__]
        self._process = subprocess.Popen(
            [*start, str(function.main), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=dict(function.environment),
            # A terminal's Ctrl-C is for the host.
            start_new_session=True,
        )

    def call(self, event: Mapping[str, Any], *, timeout: float) -> dict[str, Any]:
        """The function's answer; {"error"} if it died or was still at it after timeout seconds, and then it is gone."""
        call = {"event": event, "activation_id": uuid.uuid4().hex, "deadline": time.time() + timeout}
        killer = threading.Timer(timeout, self._process.kill)
        killer.start()
        try:
            stdin, stdout = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
            stdin.write(json.dumps(call).encode() + b"\n")
            stdin.flush()
            line = stdout.readline()
        except OSError:
            line = b""
        finally:
            killer.cancel()
        if line:
            return json.loads(line)
        # It is ending: the next call must not be given to it.
        self._process.kill()
        self._process.wait()
        return {"error": f"it ended without an answer; {self._log_name} tells why"}

    @property
    def is_alive(self) -> bool:
        """Whether it can take another call."""
        return self._process.poll() is None

    def end(self) -> None:
        """Guarantees that the process is gone."""
        self._process.kill()
        self._process.communicate()


class Pool:
    """The instances of one function: as many as calls at once, up to MAX_INSTANCES."""

    def __init__(self, function: Function, logs: Path) -> None:
        self.function = function
        self._log = (logs / f"{function.package}-{function.name}.log").open("ab")
        self._idle: list[Instance] = []
        self._instances: list[Instance] = []
        self._lock = threading.Lock()
        self._calls = ThreadPoolExecutor(MAX_INSTANCES, f"{function.package}-{function.name}")
        self._running = 0
        self._closed = False

    def call(self, event: Mapping[str, Any]) -> "Future[dict[str, Any]]":
        """The answer to come."""
        return self._calls.submit(self._call, event)

    @property
    def is_busy(self) -> bool:
        """Whether another call would have to wait for one that is running."""
        with self._lock:
            return self._running >= MAX_INSTANCES

    def _call(self, event: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            self._running += 1
            instance = self._idle.pop() if self._idle else None
        try:
            if instance is None or not instance.is_alive:
                instance = Instance(self.function, self._log)
                with self._lock:
                    self._instances.append(instance)
                    closed = self._closed
                if closed:
                    # It came to be while the others were ended, and nobody else would end it.
                    instance.end()
                    return {"error": "the host has ended"}
            return instance.call(event, timeout=self.function.timeout)
        finally:
            with self._lock:
                self._running -= 1
                if instance is not None:
                    self._idle.append(instance)

    def close(self) -> None:
        """Guarantees that no instance is left; calls still running end without an answer."""
        with self._lock:
            self._closed = True
            instances = list(self._instances)
        for instance in instances:
            instance.end()
        self._calls.shutdown(cancel_futures=True)
        self._log.close()
