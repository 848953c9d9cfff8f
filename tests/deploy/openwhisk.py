"""As much of an OpenWhisk API as the deployer talks to: it keeps what is put."""

import base64
import json
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "stub:key"


@dataclass
class OpenWhisk:
    """What was put, by its name: packages, and actions as package/action; every request in order."""

    url: str = ""
    packages: dict[str, Any] = field(default_factory=dict)
    actions: dict[str, Any] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def zip_of(self, action: str) -> bytes:
        """The code that was uploaded for package/action."""
        return base64.b64decode(self.actions[action]["exec"]["code"])

    def environment_of(self, action: str) -> dict[str, str]:
        """What the platform puts into the process's environment."""
        return {one["key"]: one["value"] for one in self.actions[action].get("parameters", []) if one.get("init")}


@contextmanager
def openwhisk() -> Generator[OpenWhisk]:
    """A server on loopback until the block ends."""
    kept = OpenWhisk()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(kept))
    kept.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(kept: OpenWhisk) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_PUT(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        do_POST = do_PUT  # noqa: N815 - the name that the server looks for

        def _answer(self, body: Any) -> None:
            kept.requests.append(f"{self.command} {self.path}")
            status, answer = _call(kept, self.command, self.path.partition("?")[0], body)
            encoded = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    return Handler


def _call(kept: OpenWhisk, method: str, path: str, body: Any) -> tuple[int, Any]:
    if path == "/api/v1/namespaces":
        return 200, ["fn-test"]
    found = re.fullmatch(r"/api/v1/namespaces/[^/]+/(packages|actions)/(.+)", path)
    if not found:
        return (200, {"runtimes": {}}) if path.rstrip("/") == "/api/v1" else (404, {"error": "not found"})
    where = kept.packages if found[1] == "packages" else kept.actions
    if method == "GET":
        return (200, where[found[2]]) if found[2] in where else (404, {"error": "not found"})
    where[found[2]] = {**body, "name": found[2].rsplit("/", 1)[-1], "namespace": "fn-test", "version": "0.0.1"}
    return 200, where[found[2]]
