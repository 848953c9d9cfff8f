"""The video of a finished job, from the URL that a poll told of; the key is shown to hosts by the kind's rule alone."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import requests
from requests.auth import AuthBase

from generation_history.errors import JobGone, NotAllowed, SceneFailure
from generation_history.files import mp4
from generation_history.provider_kinds import KeyPolicy
from generation_history.providers import VideoJob, download
from generation_history.providers.answers import parse
from generation_history.providers.http import Bearer, get_across_redirects, read_answer
from generation_history.providers.json_server import GONE, REFUSED_KEY, JsonServer
from generation_history.providers.reasons import reason
from generation_history.urls import UnclearUrl, parse_url

#: A content URL that a poll has just told of is used without asking for it again.
KNOWN_URL_SECONDS = 30.0
_KNOWN_URLS = 256
#: After these the content URL may have run out: a new poll may tell another one.
_RAN_OUT: Final = frozenset({401, 403, 404, 410})


class Content:
    """The videos of one server's jobs; thread-safe."""

    def __init__(self, server: JsonServer, poll: Callable[[str], VideoJob]) -> None:
        self._server = server
        self._poll = poll
        self._hosts = server.settings.download_hosts
        self._urls: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, job_id: str, url: str) -> None:
        """Guarantees that a fetch() soon after uses this URL."""
        with self._lock:
            self._urls[job_id] = (time.monotonic(), url)
            while len(self._urls) > _KNOWN_URLS:
                self._urls.popitem(last=False)

    def fetch(self, job_id: str, target: Path, *, seconds: float | None) -> int:
        """The size of the finished job's video, now at target, as download.fetch() guarantees it.

        Where the content URL has run out, the server is asked once more for another one.
        """
        ends_at = time.monotonic() + (download.DOWNLOAD_SECONDS if seconds is None else seconds)
        try:
            return self._download(self._url(job_id), target, ends_at)
        except _RanOutError:
            self._forget(job_id)
        try:
            return self._download(self._url(job_id), target, ends_at)
        except _RanOutError as refusal:
            self._forget(job_id)
            if refusal.status in GONE:
                raise JobGone(f"the video is not there: HTTP {refusal.status}") from None
            raise SceneFailure("download_failed", f"the video is refused: HTTP {refusal.status}") from None

    def _url(self, job_id: str) -> str:
        if (url := self._known(job_id)) is not None:
            return url
        job = self._poll(job_id)
        if (url := self._known(job_id)) is None:
            raise SceneFailure("download_failed", f"the provider says {job.status} and names no video")
        return url

    def _known(self, job_id: str) -> str | None:
        with self._lock:
            seen_at, url = self._urls.get(job_id, (0.0, None))
        return url if url is not None and time.monotonic() - seen_at < KNOWN_URL_SECONDS else None

    def _forget(self, job_id: str) -> None:
        with self._lock:
            self._urls.pop(job_id, None)

    def _download(self, text: str, target: Path, ends_at: float) -> int:
        setting, policy = self._server.kind.hosts_setting, self._server.kind.key_policy
        try:
            url = parse_url(text)
        except UnclearUrl as error:
            raise SceneFailure("download_failed", f"the provider names a video at what is refused: {error}") from None
        if not self._may_be_at(url.host):
            raise NotAllowed(f"the video is at {url.host}, which {setting} does not name")
        # A key that is always shown is for the server itself.
        shown: KeyPolicy = "never" if policy == "always" and url.host != self._server.host else policy

        def get(auth: AuthBase) -> requests.Response:
            session = self._server.session
            return get_across_redirects(session, url, auth=auth, may_be_at=self._may_be_at, setting=setting)

        def open_response() -> requests.Response:
            response = get(self._server.auth if shown == "always" else Bearer(None))
            if shown == "after a refusal" and response.status_code in REFUSED_KEY:
                response.close()
                response = get(self._server.auth)
            return response

        seconds = max(0.1, ends_at - time.monotonic())
        trusted_hosts = self._server.trusted_hosts
        return download.fetch(open_response, self._check, target, seconds=seconds, trusted_hosts=trusted_hosts)

    def _check(self, response: requests.Response) -> bytes:
        """The first bytes of what may be a video, whatever it is called; an error says what it is not."""
        if response.status_code in _RAN_OUT:
            raise _RanOutError(response.status_code)
        key = self._server.settings.key
        if not response.ok:
            words = reason(parse(read_answer(response)), key=key) or f"HTTP {response.status_code}"
            raise SceneFailure("download_failed", words)
        head = download.first_bytes(response)
        if mp4.may_begin(head):
            return head
        media_type = response.headers.get("Content-Type", "nothing").partition(";")[0]
        words = reason(parse(head + read_answer(response)), key=key) or "it begins as no mp4 does"
        raise SceneFailure("invalid_video", f"the provider sent {media_type}, not a video: {words}")

    def _may_be_at(self, host: str) -> bool:
        if host == self._server.host or host in self._hosts:
            return True
        return any(host.endswith(name[1:]) for name in self._hosts if name.startswith("*."))


class _RanOutError(SceneFailure):
    """The content URL is refused, or there is nothing at it any more."""

    def __init__(self, status: int) -> None:
        super().__init__("download_failed", f"HTTP {status}")
        self.status = status
