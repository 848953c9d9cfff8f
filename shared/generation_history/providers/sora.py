"""SoraProvider: any server that speaks `/v1/videos`, and its relatives with their ways.

What they do differently was read in their released source: LiteLLM proxy, vLLM-Omni and SGLang leave fields out, answer
a failed job with an error status and the job as its body, or errors as {"detail": ...}.
"""

import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import requests

from generation_history.errors import (
    InvalidValue,
    JobGone,
    NotAllowed,
    NotConfigured,
    NotSent,
    OutcomeUnknown,
    ProviderUnavailable,
    Rejected,
    SceneFailure,
)
from generation_history.files import mp4
from generation_history.http_client import bounded
from generation_history.provider_kinds import SORA, split_model
from generation_history.providers import UnnamedAnswer, VideoJob, VideoRequest, answers, download, plain_values
from generation_history.providers.answer_parts import is_page
from generation_history.providers.http import (
    CONNECT_SECONDS,
    READ_SECONDS,
    Bearer,
    Session,
    answering,
    get_across_redirects,
    post_once,
    read_answer,
)
from generation_history.providers.reasons import error_code, reason
from generation_history.urls import UnclearUrl, as_address, is_below, parse_url

#: Looking through all pages of a list.
FIND_SECONDS = 120.0
LIST_PAGE = 100
MAX_LIST_PAGES = 20

_REFUSED_KEY = frozenset({401, 402, 403})
_GONE = frozenset({404, 410})
_OVER_WITHOUT_A_VIDEO = frozenset({"failed", "cancelled", "expired"})


class SoraProvider:
    """One `/v1/videos` server and the key to it; thread-safe."""

    name = SORA.name
    calls_back = SORA.calls_back
    lists_at_once = True

    def __init__(self, base_url: str, key: str, *, download_hosts: frozenset[str] = frozenset()) -> None:
        if not re.fullmatch("[!-~]+", key):
            # Said here: http.client would repeat the key in its complaint.
            raise NotConfigured("OPENAI_API_KEY must be of visible ASCII characters, without a space")
        try:
            self._base = parse_url(base_url)
        except UnclearUrl as error:
            raise NotConfigured(f"SORA_BASE_URL must be a plain http or https URL: {error}") from None
        self.base_url = base_url
        self._key = key
        self._download_hosts = download_hosts
        # What the operator named may be private; a name to download from must not become so by its owner's doing.
        literal_hosts = {host for host in download_hosts if host == "localhost" or as_address(host)}
        self._trusted_hosts = frozenset({self._base.host, *literal_hosts})
        self._local = threading.local()

    def submit(self, request: VideoRequest, *, attempt_token: str = "") -> VideoJob:  # noqa: ARG002 - it calls nobody back
        """The new, paid job; posted once and never again here, whatever happens."""
        # Multipart, as OpenAI's client sends it: vLLM-Omni does not read JSON.
        form: dict[str, tuple[str | None, str | bytes] | tuple[str, bytes, str]] = {
            "prompt": (None, request.prompt),
            "model": (None, split_model(request.model)[1]),
            "size": (None, request.size),
            "seconds": (None, str(request.seconds)),
        }
        if (image := request.image) is not None:
            form["input_reference"] = (image.key.rpartition("/")[2], image.content, image.media_type)
        response = post_once(
            f"{self._base.base}/videos",
            url_setting=SORA.url_setting,
            host=self._host(),
            trusted_hosts=self._trusted_hosts,
            files=form,
            auth=Bearer(self._key),
        )
        return self._submitted(response)

    def _submitted(self, response: requests.Response) -> VideoJob:
        status = response.status_code
        body = bytearray()
        try:
            answer = answers.parse(read_answer(response, body))
        except (ProviderUnavailable, requests.RequestException):
            answer = None
        job = answers.posted_job(answer, key=self._key, now=datetime.now(UTC))
        if job is not None and _accepts(status, answer, job):
            return job
        recorded_answer = self._recordable_answer(response, bytes(body), answer)
        reason = self._error_reason(answer) or f"HTTP {status}"
        if not 400 <= status < 500:  # noqa: PLR2004
            raise OutcomeUnknown(f"{self._host()} answered the POST with {reason} and no job", answer=recorded_answer)
        has_ended = job is not None and job.status in _OVER_WITHOUT_A_VIDEO
        if answers.may_name_a_job(answer) and not has_ended:
            raise OutcomeUnknown(
                f"{self._host()} refused the POST with {reason}, but names a job", answer=recorded_answer
            )
        if status == requests.codes.too_many_requests:
            raise NotSent(
                f"{self._host()} is busy: {reason}", retry_after=_retry_after(response), answer=recorded_answer
            )
        if status in _REFUSED_KEY:
            raise NotAllowed(f"OPENAI_API_KEY was refused by {self._host()}: {reason}", answer=recorded_answer)
        moderated = error_code(answer) == "moderation_blocked"
        raise Rejected(
            reason, failure_code="moderation_blocked" if moderated else "submit_rejected", answer=recorded_answer
        )

    def _recordable_answer(self, response: requests.Response, body: bytes, answer: Any) -> str | None:
        """What came of an answer that tells of no job for sure; None for nothing, and for a list of anybody's jobs."""
        if is_page(answer):
            return None
        # Some name a job there alone.
        location = response.headers.get("Location", "")
        head = plain_values.answer_text(f"Location: {location}\n".encode(), self._key) if location else ""
        content = plain_values.answer_text(body if answer is None else answer, self._key) if body else ""
        return (head + content)[: plain_values.MAX_ANSWER_LENGTH] or None

    def find(self, request: VideoRequest, *, since: datetime, until: datetime) -> list[VideoJob]:
        """The server's jobs of just this request within these times, newest first."""
        with bounded(FIND_SECONDS):
            return self._search_list(request, since, until)

    def _search_list(self, request: VideoRequest, since: datetime, until: datetime) -> list[VideoJob]:
        jobs_by_id: dict[str, VideoJob] = {}
        query = {"limit": str(LIST_PAGE), "order": "desc"}
        for _ in range(MAX_LIST_PAGES):
            _, page = self._ask("videos", query)
            jobs = {job.id: job for job in self._list(page)}
            # Pages may overlap, as jobs are made meanwhile; a server that does not page gives the same one again.
            new_ids = jobs.keys() - jobs_by_id.keys()
            jobs_by_id |= jobs
            oldest_time = min((job.created_at for job in jobs.values() if job.created_at), default=None)
            # Some do not say whether there is more: only a page without news is their end.
            if (
                not new_ids
                or cast("dict[str, Any]", page).get("has_more") is False
                or (oldest_time and oldest_time < since)
            ):
                matches = [job for job in jobs_by_id.values() if job.is_of(request)]
                return [job for job in matches if job.created_at and since <= job.created_at <= until]
            query["after"] = list(jobs)[-1]
        raise ProviderUnavailable(f"{self._host()} lists more jobs than can be looked through")

    def poll(self, job_id: str) -> VideoJob:
        """How the job of just this id stands now."""
        if plain_values.storable_id(job_id) is None:
            raise JobGone("no provider job has such an id")
        response, answer = self._ask(f"videos/{quote(job_id, safe='')}", job_id=job_id)
        job = self._polled(answer, job_id)
        if job is None and response.ok:
            unnamed = answers.unnamed_job(answer, job_id, key=self._key, now=datetime.now(UTC))
            if unnamed is not None:
                raise UnnamedAnswer(
                    f"{self._host()} answered with no job of that id: it does not say which job it is of", unnamed
                )
        if job is None:
            # What it is of may be another owner's: nothing of it is repeated.
            raise ProviderUnavailable(f"{self._host()} answered with no job, or with another one than was asked for")
        return job

    def _polled(self, answer: Any, job_id: str) -> VideoJob | None:
        return answers.polled_job(answer, job_id, key=self._key, now=datetime.now(UTC))

    def _ask(
        self, path: str, query: Mapping[str, str] | None = None, *, job_id: str | None = None
    ) -> tuple[requests.Response, Any]:
        """A good answer; or, about the job of this id, one with an error status that tells of it all the same."""
        try:
            with answering(self._trusted_hosts):
                response = self._session().get(
                    f"{self._base.base}/{path}",
                    params=dict(query or {}),
                    auth=Bearer(self._key),
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                    allow_redirects=False,
                    stream=True,
                )
                answer = answers.parse(read_answer(response))
        except requests.RequestException as error:
            raise ProviderUnavailable(
                f"SORA_BASE_URL: {self._host()} cannot be asked: {type(error).__name__}"
            ) from None
        if response.ok and answer:
            return response, answer
        # A relative answers for a failed job with an error status and the job itself.
        job = None if job_id is None else self._polled(answer, job_id)
        if job is not None and answers.tells_of_a_job(answer, job):
            return response, answer
        reason = self._error_reason(answer) or f"HTTP {response.status_code}"
        if response.status_code in _GONE:
            raise JobGone(f"{self._host()} knows no such job: {reason}")
        if response.status_code in _REFUSED_KEY:
            raise NotAllowed(f"OPENAI_API_KEY was refused by {self._host()}: {reason}")
        raise ProviderUnavailable(f"{self._host()}: {reason}", retry_after=_retry_after(response))

    def check(self) -> None:
        """Guarantees that the server lists videos and takes the key; the error names the setting to look at."""
        try:
            self._list(self._ask("videos", {"limit": "1"})[1])
        except JobGone:
            raise ProviderUnavailable(f"SORA_BASE_URL: there is no /videos at {self.base_url}") from None
        except ProviderUnavailable as error:
            raise ProviderUnavailable(f"SORA_BASE_URL: {str(error).removeprefix('SORA_BASE_URL: ')}") from None

    def is_gone(self) -> bool:
        """Whether it answers as if it had no videos at all (404, 410): then its not knowing a job says nothing."""
        try:
            self._ask("videos", {"limit": "1"})
        except JobGone:
            return True
        return False

    def job_id_of(self, event_id: str, request: VideoRequest) -> str:  # noqa: ARG002 - it is the same
        """The id of an event is the job's."""
        return event_id

    def cancel(self, job_id: str) -> None:
        """Rejected: a `/v1/videos` server has no way to end a job."""
        raise Rejected(f"{self._host()} has no way to end the job {job_id}")

    def content_url(self, job_id: str) -> str:
        """Where the finished job's video is fetched from."""
        return f"{self.base_url}/videos/{quote(job_id, safe='')}/content"

    def has(self, content_url: str) -> bool:
        """Whether this is plainly a URL of this server, below its base URL."""
        return is_below(content_url, self._base)

    def fetch(self, content_url: str, target: Path, *, seconds: float | None = None) -> int:
        """The size in bytes of the mp4 now at target, as download.fetch() guarantees it.

        InvalidValue for a URL of another server than this one. SceneFailure says what came instead of a video;
        MachineFault what this machine lacks.
        """
        if not self.has(content_url):
            raise InvalidValue(_foreign_url(content_url))
        return download.fetch(
            lambda: get_across_redirects(
                self._session(),
                parse_url(content_url),
                auth=Bearer(self._key),
                may_be_at=self._download_hosts.__contains__,
                setting="SORA_DOWNLOAD_HOSTS",
            ),
            self._check_answer,
            target,
            seconds=seconds,
            trusted_hosts=self._trusted_hosts,
        )

    def fetch_video(self, job_id: str, target: Path, *, seconds: float | None = None) -> int:
        """As fetch(), of the finished job of this id."""
        return self.fetch(self.content_url(job_id), target, seconds=seconds)

    def _check_answer(self, response: requests.Response) -> bytes:
        """The first bytes of what may be a video, whatever it is called, or none yet; an error says what it is not."""
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if response.ok and (kind.startswith("video/") or kind in {"", "application/octet-stream"}):
            return b""
        head = download.first_bytes(response) if response.ok else b""
        if mp4.may_begin(head):
            return head
        # A gateway may answer an error as 200 with a page or JSON.
        answer = answers.parse(head + read_answer(response))
        reason = self._error_reason(answer) or f"HTTP {response.status_code} and {kind or 'nothing'}"
        if response.ok:
            raise SceneFailure("invalid_video", f"the provider sent {kind}, not a video: {reason}")
        if response.status_code in _GONE:
            raise JobGone(reason)
        if response.status_code in _REFUSED_KEY:
            raise NotAllowed(f"{self._host()} refused the download: {reason}")
        raise SceneFailure("download_failed", reason)

    def _list(self, page: Any) -> list[VideoJob]:
        jobs = answers.listed_jobs(page, key=self._key, now=datetime.now(UTC))
        if jobs is None:
            raise ProviderUnavailable(f"{self._host()} answered with no list of jobs")
        return jobs

    def _error_reason(self, answer: Any) -> str | None:
        """What went wrong, in the provider's words, without our key."""
        return reason(answer, key=self._key)

    def _session(self) -> Session:
        session: Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = Session()
        return session

    def _host(self) -> str:
        return self._base.host


def _accepts(status: int, answer: Any, job: VideoJob) -> bool:
    """Whether the answer to a POST means that there is this job, and that it is ours.

    An error that comes with a job has made one; 409 may tell of somebody else's. A job that failed at once is none.
    """
    if 200 <= status < 300:  # noqa: PLR2004
        return True
    if status < 400 or status == requests.codes.conflict or not answers.tells_of_a_job(answer, job):  # noqa: PLR2004
        return False
    return status >= 500 or job.status not in _OVER_WITHOUT_A_VIDEO  # noqa: PLR2004


def _foreign_url(content_url: str) -> str:
    """What to say of a content URL that no configured server has, and which setting to change."""
    message = "the content URL is not of the server that SORA_BASE_URL names"
    try:
        base, is_video, _ = parse_url(content_url).base.partition("/videos/")
    except UnclearUrl:
        return message
    return f"{message}: if that server made the video, add it there (SORA_BASE_URL={base})" if is_video else message


def _retry_after(response: requests.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return min(float(value), 600.0) if value.isascii() and value.isdecimal() else None
