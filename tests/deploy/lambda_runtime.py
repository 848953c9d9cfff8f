"""Lambda functions from the built artifacts, run by the real Runtime Interface Client on a loopback Runtime API."""

import functools
import importlib.util
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

PATIENCE_SECONDS = 60
CLIENT = ("awslambdaric", "simplejson", "snapshot_restore_py")
#: Runs a command as Lambda does: nothing can be written but below /tmp, which is empty and its own.
SANDBOX = """
mount --make-rprivate /
mount --bind "$1" /mnt
mount -t tmpfs tmpfs /tmp
mount -t tmpfs -o ro tmpfs /dev/shm
mount -o remount,bind,ro /mnt
mount -o remount,bind,ro /
cd /mnt/task
shift
exec "$@"
"""
SEEN_AT = Path("/mnt")
UNSHARE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "sh", "-ec"]


def unpack(build: Path, into: Path) -> None:
    """What Lambda has of the build: layers below opt, and the functions' own files."""
    for artifact, folder in (("layers/data", "opt"), ("layers/media", "opt"), ("functions", "task")):
        with zipfile.ZipFile(build / "aws" / f"{artifact}.zip") as archive:
            archive.extractall(into / folder)
    # The client is part of the platform's image; nothing else of ours is to be found there.
    (into / "image").mkdir()
    for name in CLIENT:
        package = Path(importlib.util.find_spec(name).origin).parent
        shutil.copytree(package, into / "image" / name)
    for library in Path(importlib.util.find_spec("awslambdaric").origin).parents[1].glob("runtime_client*.so"):
        shutil.copy(library, into / "image")


@functools.cache
def can_isolate() -> bool:
    """Whether a function can have its own view of the file system: as root, or where everyone may make namespaces."""
    tried = subprocess.run([*UNSHARE, "mount -t tmpfs tmpfs /tmp"], capture_output=True, check=False)
    return tried.returncode == 0


class Lambda:
    """One warm function: its handler as in template.yaml, its environment, and what it may still take."""

    def __init__(self, place: Path, handler: str, settings: Mapping[str, str]) -> None:
        self._events: queue.Queue[tuple[str, Any, float] | None] = queue.Queue()
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _runtime_api(self._events, self._answers))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05])
        self._thread.start()
        isolated = can_isolate()
        seen = SEEN_AT if isolated else place
        path = os.pathsep.join(str(seen / part) for part in ("image", "task", "opt/python"))
        environment = {
            **settings,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": path,
            "LAMBDA_TASK_ROOT": str(seen / "task"),
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": handler,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_REGION": "eu-central-1",
            "_HANDLER": handler,
        }
        self._log = (place / "log").open("ab")
        self._process = subprocess.Popen(
            [
                *([*UNSHARE, SANDBOX, "sh", str(place)] if isolated else []),
                *[str(Path(sys.executable).resolve()), "-S", "-m", "awslambdaric", handler],
            ],
            cwd=place / "task",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __call__(self, event: Mapping[str, Any], *, seconds: float = 29) -> dict[str, Any]:
        """The answer; {"errorType", "errorMessage"} as Lambda has it where the function failed."""
        self._events.put((uuid.uuid4().hex, event, time.time() + seconds))
        return self._answers.get(timeout=PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._events.put(None)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._log.close()


def _runtime_api(events: queue.Queue, answers: queue.Queue) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """/runtime/invocation/next: waits for a call."""
            call = events.get()
            if call is None:
                self.close_connection = True
                return
            request_id, event, deadline = call
            self._answer(
                json.dumps(event).encode(),
                {
                    "Lambda-Runtime-Aws-Request-Id": request_id,
                    "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:0:function:test",
                    # Without these the client breaks off.
                    "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000",
                    "Content-Type": "application/json",
                },
            )

        def do_POST(self) -> None:
            """.../response and .../error."""
            answers.put(json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0))))
            self._answer(b"{}", {}, status=202)

        def _answer(self, body: bytes, headers: Mapping[str, str], *, status: int = 200) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    return Handler
