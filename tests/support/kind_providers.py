"""The providers of all five kinds, each pointed at one simulator."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from generation_history.kind_settings import ServerSettings
from generation_history.provider_kinds import KINDS, SORA
from generation_history.providers import VideoProvider, VideoRequest
from generation_history.providers.catalogue import Catalogue, catalogue
from generation_history.providers.factory import JSON_KINDS
from generation_history.providers.sora import SoraProvider
from tests.support.kinds import KindsClient

KEY = "key-of-the-simulator-0123456789"
FILES_HOST = "127.0.0.2"
TOKEN = "6f1b1c1e-0000-4000-8000-000000000001"

#: Where each kind is, at one simulator.
PATHS: Mapping[str, str] = {
    "sora": "/v1",
    "fal": "/fal",
    "replicate": "/replicate/v1",
    "runway": "/runway/v1",
    "gemini": "/gemini/v1beta",
}
REQUESTS: Mapping[str, VideoRequest] = {
    "sora": VideoRequest("", "sora-2", "160x288", 1),
    "fal": VideoRequest("", "fal:minimax/h3-max/text-to-video", "854x480", 5),
    "replicate": VideoRequest("", "replicate:bytedance/seedance-2.0", "854x480", 4),
    "runway": VideoRequest("", "runway:gen4.5", "1280x720", 2),
    "gemini": VideoRequest("", "gemini:gemini-omni-1.2-flash", "640x360", 3),
}
#: Nobody listens there.
NO_SUCH_SERVER = "http://127.0.0.1:9"


def make_provider(
    kind: str,
    root: str,
    *,
    key: str = KEY,
    path: str | None = None,
    download_hosts: frozenset[str] = frozenset({FILES_HOST}),
    models: Catalogue | None = None,
    webhook_url: str | None = None,
) -> VideoProvider:
    """The provider of this kind, whose server is at this root (http://host:port)."""
    base_url = root + (PATHS[kind] if path is None else path)
    if kind == SORA.name:
        return SoraProvider(base_url, key, download_hosts=download_hosts)
    others = dict.fromkeys(KINDS[kind].other_urls or {}, f"{root}/fal-api/v1")
    settings = ServerSettings(base_url=base_url, key=key, download_hosts=download_hosts, other_urls=others)
    known = models or catalogue()
    return JSON_KINDS[kind](settings, lambda: known, webhook_url=webhook_url)


@dataclass
class KindUnderTest:
    """One kind: its provider, the simulator that it talks to, and the clock that both go by."""

    name: str
    root: str
    clock: Any
    client: KindsClient
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def provider(self) -> VideoProvider:
        return make_provider(self.name, self.root)

    def provider_with(self, **otherwise: Any) -> VideoProvider:
        return make_provider(self.name, **({"root": self.root} | otherwise))

    def request(self, words: str = "a cat", **otherwise: Any) -> VideoRequest:
        """A request that nobody else makes; words may tell the simulator what becomes of it."""
        return replace(REQUESTS[self.name], prompt=f"{words} {next(self._numbers)}", **otherwise)

    def submit(self, words: str = "a cat", **otherwise: Any) -> str:
        """The id of a new job."""
        return self.provider.submit(self.request(words, **otherwise), attempt_token=TOKEN).id

    def finished(self, words: str = "a cat", **otherwise: Any) -> str:
        """The id of a job that is over."""
        job_id = self.submit(words, **otherwise)
        self.clock.move(20)
        return job_id

    def break_at(self, place: str, **fault: object) -> None:
        """From now on this place of the kind, and no other, has this fault."""
        self.client.set_faults({f"{self.name}.{place}": fault})

    def answers(self, request: VideoRequest) -> list[str]:
        """What became of each POST with this prompt that came to the simulator."""
        return [answer for _, prompt, answer in self.client.arrivals() if prompt == request.prompt]

    def leaks(self) -> list[Any]:
        """The keys that hosts have seen that must see none."""
        return self.client.control("GET", "leaks")["leaks"]

    def window(self, seconds: float = 3600) -> Mapping[str, datetime]:
        """The time around now, by the simulator's clock."""
        now = datetime.fromtimestamp(self.clock(), UTC)
        return {"since": now - timedelta(seconds=seconds), "until": now + timedelta(seconds=seconds)}
