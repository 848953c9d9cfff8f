"""Calls to the deployed functions as DigitalOcean makes them: raw events, captured once and varied by each test."""

import base64
import gzip
import importlib
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jwt
import pytest

from tests.functions.contract import conforms

#: The whole of what main() returns, as JSON: in it, the body's own quotes are escaped.
MAX_ANSWER_BYTES = 1_000_000
SECRET = "a-secret-of-at-least-thirty-two-bytes"
READING = ("generations", "variants", "scenes", "library", "stats")


@dataclass
class Context:
    """What the platform's launcher hands to main() beside the event."""

    function_name: str
    activation_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    function_version: str = "0.0.1"
    deadline: int = 1795377600000
    api_host: str = "https://faas-nyc1-2ef2e6cc.doserverless.co"
    api_key: str = ""

    def get_remaining_time_in_millis(self) -> int:
        return 29_500


def raw_event(
    method: str, path: str, query: str, headers: dict[str, Any], body: str, *, is_base64: bool
) -> dict[str, Any]:
    """An event of `web: raw`, as captured; only what it is about differs."""
    return {
        "http": {
            "headers": {
                "accept": "*/*",
                "accept-encoding": "gzip",
                "cdn-loop": "cloudflare; loops=1",
                "cf-connecting-ip": "203.0.113.7",
                "cf-visitor": '{"scheme":"https"}',
                "host": "faas-nyc1-2ef2e6cc.doserverless.co",
                "user-agent": "curl/8.5.0",
                "x-forwarded-for": "203.0.113.7",
                "x-forwarded-proto": "https",
                "x-request-id": "2f9ab0d53a8bbd1e0f4a4e5a1d2c3b4a",
                **headers,
            },
            "method": method,
            "path": path,
            "queryString": query,
            "body": body,
            "isBase64Encoded": is_base64,
        }
    }


@dataclass(frozen=True)
class Answer:
    """What a function returned, which must be what the platform carries."""

    returned: dict[str, Any]
    request_id: str

    def __post_init__(self) -> None:
        packed = "content-encoding" in self.headers and self.returned["body"]
        extra = {"isBase64Encoded"} if packed else set()
        assert set(self.returned) == {"statusCode", "headers", "body"} | extra
        assert json.loads(json.dumps(self.returned, allow_nan=False)) == self.returned
        assert len(json.dumps(self.returned, ensure_ascii=False).encode()) < MAX_ANSWER_BYTES

    @property
    def status(self) -> int:
        return self.returned["statusCode"]

    @cached_property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.returned["headers"].items()}

    @property
    def headers_but_for_packing(self) -> dict[str, str]:
        """The headers as they would be if the body travelled as it is, which is how DigitalOcean carries it."""
        headers = {name: value for name, value in self.headers.items() if name not in {"vary", "content-encoding"}}
        return headers | ({"etag": headers["etag"].replace("-gzip", "")} if "etag" in headers else {})

    @cached_property
    def json(self) -> dict[str, Any]:
        body = self.returned["body"]
        packed = self.returned.get("isBase64Encoded")
        return json.loads(gzip.decompress(base64.b64decode(body)) if packed else body)

    def refused(self, status: int, code: str) -> str:
        """The sentence of an error, which is of this status and code and has an error's shape."""
        assert (self.status, self.json.get("code")) == (status, code), self.returned
        assert set(self.json) == {"success", "error", "code", "request_id"}
        assert (self.json["success"], self.json["request_id"]) == (False, self.request_id)
        assert self.headers["content-type"].startswith("application/json")
        return self.json["error"]


Call = Callable[..., Answer]


@pytest.fixture
def call() -> Call:
    """Calls a function by its name (package/name outside history) and what follows it; a dict is sent as JSON.

    Whatever a test is about, an answer that docs/openapi.json does not allow fails it; as_documented=False is for
    errors that a test puts where they cannot come from.
    """

    def run(
        function: str,
        path: str = "",
        *,
        method: str = "GET",
        query: str = "",
        body: Any = "",
        headers: dict[str, Any] | None = None,
        base64: bool = False,
        as_documented: bool = True,
    ) -> Answer:
        kind: dict[str, Any] = {} if isinstance(body, str) else {"content-type": "application/json"}
        text = body if isinstance(body, str) else json.dumps(body)
        package, _, name = function.rpartition("/")
        package = package or "history"
        main = importlib.import_module(f"{package}.{name}.__main__").main
        context = Context(f"/fn-7b9b4cbd-6e0a-4d6f-9f0e-0123456789ab/{package}/{name}")
        event = raw_event(method, path, query, {**kind, **(headers or {})}, text, is_base64=base64)
        answer = Answer(main(event, context), context.activation_id)
        if as_documented:
            conforms(method, f"/{package}/{name}{path}", answer.status, answer.headers, answer.returned["body"])
        return answer

    return run


@pytest.fixture
def open_to_one(owner: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Access without a token, as the owner of the settings."""
    monkeypatch.setenv("HISTORY_ACCESS", "single-owner")
    return owner


@pytest.fixture
def by_token(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Access by token; makes the headers of a token with these claims, good for an hour unless they say otherwise."""
    monkeypatch.setenv("HISTORY_ACCESS", "jwt")
    monkeypatch.setenv("HISTORY_JWT_SECRET", SECRET)

    def headers(*, key: str = SECRET, algorithm: str = "HS256", **claims: Any) -> dict[str, str]:
        good = {"sub": str(uuid.uuid4()), "exp": 4102444800}
        given = {name: value for name, value in {**good, **claims}.items() if value is not None}
        return {"authorization": f"Bearer {jwt.encode(given, key, algorithm=algorithm)}"}

    return headers


@pytest.fixture
def stored(manager, store, tmp_path) -> Callable[..., dict[str, Any]]:
    """Makes a completed generation whose scenes' objects really lie in the store, and reads it back whole."""

    def make(generation: dict[str, Any]) -> dict[str, Any]:
        for variant in generation["variants"]:
            for scene in variant["scenes"]:
                key = f"generations/{generation['id']}/{variant['variant_type']}/scene_{scene['scene_number']}"
                video, thumbnail = tmp_path / "video", tmp_path / "thumbnail"
                video.write_bytes(f"video of {scene['id']}".encode())
                thumbnail.write_bytes(f"thumbnail of {scene['id']}".encode())
                manager.update_scene(
                    scene["id"],
                    video_url=store.put(f"{key}.mp4", video, content_type="video/mp4"),
                    thumbnail_url=store.put(f"{key}_thumb.jpg", thumbnail, content_type="image/jpeg"),
                    duration=8,
                    file_size=video.stat().st_size,
                    status="completed",
                )
        return manager.get_generation(generation["id"])

    return make
