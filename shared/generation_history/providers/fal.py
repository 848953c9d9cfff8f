"""FalProvider: fal's queue, https://docs.fal.ai/model-apis/model-endpoints/queue.

A failure is COMPLETED with an error, or shows only when the result is asked for. The id of a job is the path below the
base URL that fal's answer names: an endpoint's sub-path is not part of it, and the request's id alone cannot be polled.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from requests.auth import AuthBase

from generation_history.errors import JobGone, ProviderUnavailable
from generation_history.provider_kinds import FAL
from generation_history.providers import VideoJob, VideoRequest
from generation_history.providers.catalogue import Model, put
from generation_history.providers.http import KeyHeader
from generation_history.providers.json_provider import JsonProvider, without_urls_query
from generation_history.providers.json_server import Answer, Post
from generation_history.providers.plain_values import moment, text
from generation_history.urls import UnclearUrl, parse_url

LIST_PAGE: Final = 100
MAX_LIST_PAGES: Final = 20
#: Nobody waits for the answer any more: it was cancelled.
CANCELLED: Final = 499
_JOB_ID = re.compile(r"(?P<app>[\w.-]+(/[\w.-]+)+)/requests/(?P<request>[\w-]+)", re.ASCII)
_REQUEST_ID = re.compile(r"[\w-]{1,100}", re.ASCII)
_MODERATION: Final = "content_policy_violation"


class FalProvider(JsonProvider):
    """fal's queue for one key."""

    KIND = FAL
    #: A request that is queued is not in the list yet, as far as is known.
    lists_at_once = False

    @staticmethod
    def _auth(key: str) -> AuthBase:
        return KeyHeader("Authorization", f"Key {key}")

    def _post_of(self, request: VideoRequest, model: Model, attempt_token: str) -> Post:
        callback = self._callback(attempt_token)
        return Post(
            f"{self.base_url}/{_endpoint(request, model)}",
            _body(request, model),
            query={"fal_webhook": callback} if callback else {},
            # fal would run it again by itself, or let another model answer.
            headers={"X-Fal-No-Retry": "1", "x-app-fal-disable-fallback": "true"},
        )

    def _posted(self, answer: Answer) -> VideoJob | None:
        request_id, status_url = answer.fields.get("request_id"), answer.fields.get("status_url")
        if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
            return None
        job_id = self._path_of(status_url) if isinstance(status_url, str) else None
        # Without the path the job cannot be polled: nobody knows what became of it then.
        return None if job_id is None else VideoJob(job_id, text(answer.fields.get("status")) or "IN_QUEUE")

    def _path_of(self, status_url: str) -> str | None:
        base = parse_url(self.base_url)
        try:
            url = parse_url(status_url)
        except UnclearUrl:
            return None
        path = url.path.removeprefix(base.path.rstrip("/")).strip("/").removesuffix("/status")
        return path if url.origin == base.origin and _JOB_ID.fullmatch(path) else None

    def job_id_of(self, event_id: str, request: VideoRequest) -> str:
        """The path of the request under its endpoint's application."""
        application = "/".join(_endpoint(request, self._model(request)).split("/")[:2])
        return f"{application}/requests/{event_id}"

    def find(self, request: VideoRequest, *, since: datetime, until: datetime) -> Sequence[VideoJob]:
        """The endpoint's requests of just this body within these times; one that is still queued may be missing."""
        model = self._model(request)
        wanted, endpoint = without_urls_query(_body(request, model)), _endpoint(request, model)
        query = {"endpoint_id": endpoint, "start": since.isoformat(), "end": until.isoformat()}
        query |= {"limit": str(LIST_PAGE), "expand": "payloads"}
        jobs: list[VideoJob] = []
        for _ in range(MAX_LIST_PAGES):
            page = self._server.get(self._list_url, query).fields
            items = page.get("items")
            if not isinstance(items, list):
                raise ProviderUnavailable(f"{self._server.host} answered with no list of requests")
            for item in cast("list[object]", items):
                fields: Mapping[str, Any] = cast("Mapping[str, Any]", item) if isinstance(item, dict) else {}
                request_id, sent_at = fields.get("request_id"), moment(fields.get("sent_at"))
                if without_urls_query(fields.get("json_input")) == wanted and isinstance(request_id, str) and sent_at:
                    jobs.append(VideoJob(self.job_id_of(request_id, request), "IN_PROGRESS", created_at=sent_at))
            cursor = page.get("next_cursor")
            if not page.get("has_more") or not isinstance(cursor, str):
                return [job for job in jobs if job.created_at and since <= job.created_at <= until]
            query["cursor"] = cursor
        raise ProviderUnavailable(f"{self._server.host} lists more requests than can be looked through")

    @property
    def _list_url(self) -> str:
        return f"{self._server.settings.other_urls['FAL_API_URL']}/models/requests/by-endpoint"

    def _poll(self, job_id: str) -> tuple[VideoJob, str | None]:
        if not _JOB_ID.fullmatch(job_id):
            raise JobGone("no request of fal's has such an id")
        answer = self._server.call("GET", f"{self.base_url}/{job_id}/status")
        if answer.status == CANCELLED:
            return VideoJob(job_id, "cancelled", error_message=self._server.reason(answer)), None
        status = answer.fields.get("status")
        if not answer.ok or not isinstance(status, str):
            raise self._server.refusal(answer)
        if status != "COMPLETED":
            return VideoJob(job_id, status), None
        if answer.fields.get("error"):
            return self._failed(job_id, answer), None
        return self._result(job_id)

    def _result(self, job_id: str) -> tuple[VideoJob, str | None]:
        answer = self._server.call("GET", f"{self.base_url}/{job_id}")
        if answer.status == CANCELLED:
            return VideoJob(job_id, "cancelled", error_message=self._server.reason(answer)), None
        if not answer.ok:
            # Only a reason as fal writes one is about the job; anything else is about a gateway before it.
            if 400 <= answer.status < 500 and _is_detail(answer.fields.get("detail")):  # noqa: PLR2004
                return self._failed(job_id, answer), None
            words = self._server.reason(answer)
            raise ProviderUnavailable(f"{self._server.host}: {words}", retry_after=answer.retry_after)
        url = _video_url(answer.fields)
        if url is None:
            return self._failed(job_id, answer, "fal completed it without a video"), None
        return VideoJob(job_id, "completed"), url

    def _failed(self, job_id: str, answer: Answer, reason: str | None = None) -> VideoJob:
        kept = self._server.kept(answer)
        moderated = _MODERATION in (kept or "")
        return VideoJob(
            job_id,
            "failed",
            error_code="moderation_blocked" if moderated else text(answer.fields.get("error_type")),
            error_message=reason or self._server.reason(answer),
            answer=kept,
        )

    def cancel(self, job_id: str) -> None:
        """Asks fal to end the request; 400 says that it is over."""
        if not _JOB_ID.fullmatch(job_id):
            raise JobGone("no request of fal's has such an id")
        self._asked_to_cancel(self._server.call("PUT", f"{self.base_url}/{job_id}/cancel"))

    def is_gone(self) -> bool:
        """Whether there is no list of requests any more."""
        model = self._catalogue().default_of(FAL.name)
        return model is not None and self._has_nothing_at(self._list_url, {"endpoint_id": model.provider_model})


def _endpoint(request: VideoRequest, model: Model) -> str:
    return model.image_model or model.provider_model if request.image else model.provider_model


def _body(request: VideoRequest, model: Model) -> dict[str, Any]:
    body = model.body(request)
    if request.image is not None and model.image is not None:
        put(body, model.image, request.image.url)
    return body


def _is_detail(detail: object) -> bool:
    if isinstance(detail, list):
        items = cast("list[object]", detail)
        return bool(items) and all(isinstance(item, dict) and "msg" in item for item in items)
    return isinstance(detail, str) and bool(detail.strip())


def _video_url(fields: Mapping[str, Any]) -> str | None:
    video = fields.get("video")
    url = cast("Mapping[str, Any]", video).get("url") if isinstance(video, dict) else video
    return url if isinstance(url, str) else None
