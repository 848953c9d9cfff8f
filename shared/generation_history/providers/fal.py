"""FalProvider: fal's queue, https://docs.fal.ai/model-apis/model-endpoints/queue.

A failure is COMPLETED with an error, or shows only when the result is asked for. The id of a job is the path below the
base URL that fal's answer names: an endpoint's sub-path is not part of it, and the request's id alone cannot be polled.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, cast

import requests
from requests.auth import AuthBase

from generation_history.errors import JobGone, ProviderError, ProviderUnavailable
from generation_history.provider_kinds import FAL
from generation_history.providers import VideoJob, VideoRequest
from generation_history.providers.catalogue import Model, put
from generation_history.providers.fal_answers import (
    CANCELLED,
    UNITS_HEADER,
    is_cancelled,
    is_detail,
    is_moderated,
    listed_request,
    unit_price,
    video_url,
)
from generation_history.providers.http import KeyHeader
from generation_history.providers.json_provider import JsonProvider, says_the_same
from generation_history.providers.json_server import GONE, Answer, Post, dollars
from generation_history.providers.plain_values import text
from generation_history.urls import UnclearUrl, parse_url

LIST_PAGE: Final = 100
MAX_LIST_PAGES: Final = 20
_PART: Final = r"(?!\.+/)[\w.-]+/"
_JOB_ID = re.compile(rf"(?P<application>{_PART}({_PART})+)requests/(?P<request>[\w-]{{1,100}})", re.ASCII)
_REQUEST_ID = re.compile(r"[\w-]{1,100}", re.ASCII)
#: The account is locked: some say so for a while after their owner has paid.
_NO_CREDIT: Final = ("exhausted balance", "top_up")
#: The owner of whose applications other names are an alias, mostly.
_USUAL_OWNER: Final = "fal-ai"
_NOBODYS: Final = "00000000-0000-0000-0000-000000000000"


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

    def _says_no_credit(self, answer: Answer, reason: str) -> bool:
        return super()._says_no_credit(answer, reason) or (
            answer.status == requests.codes.forbidden and any(words in reason.lower() for words in _NO_CREDIT)
        )

    # ------------------------------------------------------------ find

    def job_id_of(self, event_id: str, request: VideoRequest) -> str:
        """The path of the request below the application that knows it, which may have another name than the endpoint.

        Where none knows it, below the endpoint's own.
        """
        applications = _applications(request, self._model(request))
        return self._located(event_id, applications) or f"{applications[0]}/requests/{event_id}"

    def _located(self, request_id: str, applications: Sequence[str]) -> str | None:
        if not _REQUEST_ID.fullmatch(request_id):
            return None
        for application in applications:
            path = f"{application}/requests/{request_id}"
            answer = self._server.call("GET", f"{self.base_url}/{path}/status")
            if answer.ok or answer.status == CANCELLED:
                return path
            if answer.status not in GONE:
                raise self._server.refusal(answer)
        return None

    def find(self, request: VideoRequest, *, since: datetime, until: datetime) -> Sequence[VideoJob]:
        """The endpoint's requests of just this body within these times; one that is still queued may be missing."""
        model = self._model(request)
        wanted = _body(request, model)
        query = {"endpoint_id": _endpoint(request, model), "start": since.isoformat(), "end": until.isoformat()}
        query |= {"limit": str(LIST_PAGE), "expand": "payloads"}
        sent: dict[str, datetime] = {}
        for _ in range(MAX_LIST_PAGES):
            page = self._server.get(self._list_url, query).fields
            items = page.get("items")
            if not isinstance(items, list):
                raise ProviderUnavailable(f"{self._server.host} answered with no list of requests")
            for item in cast("list[object]", items):
                listed = listed_request(item)
                if listed and since <= listed[1] <= until and says_the_same(listed[2], wanted, request.image):
                    sent[listed[0]] = listed[1]
            cursor = page.get("next_cursor")
            if not page.get("has_more") or not isinstance(cursor, str):
                applications = _applications(request, model)
                return [self._listed_job(request_id, sent_at, applications) for request_id, sent_at in sent.items()]
            query["cursor"] = cursor
        raise ProviderUnavailable(f"{self._server.host} lists more requests than can be looked through")

    def _listed_job(self, request_id: str, sent_at: datetime, applications: Sequence[str]) -> VideoJob:
        job_id = self._located(request_id, applications)
        if job_id is None:
            # To be looked for again, or by a person: under an id that cannot be polled its video would be lost.
            names = ", ".join(applications)
            raise ProviderUnavailable(f"{self._server.host} lists the request {request_id}, but not below {names}")
        return VideoJob(job_id, "IN_PROGRESS", created_at=sent_at)

    @property
    def _list_url(self) -> str:
        return f"{self._api_url}/models/requests/by-endpoint"

    @property
    def _api_url(self) -> str:
        return self._server.settings.other_urls["FAL_API_URL"]

    # ------------------------------------------------------------ poll

    def _poll(self, job_id: str) -> tuple[VideoJob, str | None]:
        if not _JOB_ID.fullmatch(job_id):
            raise JobGone("no request of fal's has such an id")
        answer = self._server.call("GET", f"{self.base_url}/{job_id}/status")
        if is_cancelled(answer):
            return VideoJob(job_id, "cancelled", error_message=self._server.reason(answer)), None
        if answer.only_accepts:
            return VideoJob(job_id, "IN_PROGRESS"), None
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
        if is_cancelled(answer):
            return VideoJob(job_id, "cancelled", error_message=self._server.reason(answer)), None
        if not answer.ok:
            # Only a reason as fal writes one is about the job; anything else is about a gateway before it.
            if 400 <= answer.status < 500 and is_detail(answer.fields.get("detail")):  # noqa: PLR2004
                return self._failed(job_id, answer), None
            words = self._server.reason(answer)
            raise ProviderUnavailable(f"{self._server.host}: {words}", retry_after=answer.retry_after)
        if answer.body is None:
            raise ProviderUnavailable(f"{self._server.host} answered with no result")
        url = video_url(answer.fields)
        if url is None:
            return self._failed(job_id, answer, "fal completed it without a video"), None
        return VideoJob(job_id, "completed", cost=self._cost(job_id, answer)), url

    def _failed(self, job_id: str, answer: Answer, reason: str | None = None) -> VideoJob:
        kept = self._server.kept(answer)
        return VideoJob(
            job_id,
            "failed",
            error_code="moderation_blocked" if is_moderated(answer) else text(answer.fields.get("error_type")),
            error_message=reason or self._server.reason(answer),
            answer=kept,
        )

    def _cost(self, job_id: str, answer: Answer) -> Decimal | None:
        """The billed units at the price of one; None where fal does not say both, or the endpoint is not plain."""
        units = dollars(answer.headers.get(UNITS_HEADER))
        if units is None:
            return None
        application = job_id.partition("/requests/")[0]
        endpoints = {
            model.provider_model
            for model in self._catalogue().models.values()
            if model.kind == FAL.name and application in _names(model.provider_model, model.polled_as)
        }
        prices = {self._unit_price(endpoint) for endpoint in endpoints}
        price = prices.pop() if len(prices) == 1 else None
        return None if price is None else units * price

    def _unit_price(self, endpoint: str) -> Decimal | None:
        try:
            answer = self._server.call("GET", f"{self._api_url}/models/pricing", {"endpoint_id": endpoint})
        except ProviderError:
            # What it cost is not worth a video: the catalogue's price stays.
            return None
        return unit_price(answer.fields, endpoint) if answer.ok else None

    # ------------------------------------------------------------ cancel, is_gone

    def cancel(self, job_id: str) -> None:
        """Asks fal to end the request; 400 says that it is over."""
        if not _JOB_ID.fullmatch(job_id):
            raise JobGone("no request of fal's has such an id")
        self._asked_to_cancel(self._server.call("PUT", f"{self.base_url}/{job_id}/cancel"))

    def is_gone(self) -> bool:
        """Whether the queue does not even say that it knows no such request, or there is no list of requests."""
        model = self._catalogue().default_of(FAL.name)
        if model is None:
            return False
        application = _names(model.provider_model)[0]
        answer = self._server.call("GET", f"{self.base_url}/{application}/requests/{_NOBODYS}/status")
        if answer.status in GONE and not is_detail(answer.fields.get("detail")):
            return True
        if not answer.ok and answer.status not in {*GONE, requests.codes.bad_request, requests.codes.unprocessable}:
            raise self._server.refusal(answer)
        return self._has_nothing_at(self._list_url, {"endpoint_id": model.provider_model})


def _endpoint(request: VideoRequest, model: Model) -> str:
    return model.image_model or model.provider_model if request.image else model.provider_model


def _applications(request: VideoRequest, model: Model) -> list[str]:
    """Below which names fal may know the endpoint's requests, the likeliest first."""
    return _names(_endpoint(request, model), model.polled_as)


def _names(endpoint: str, polled_as: str | None = None) -> list[str]:
    own = "/".join(endpoint.split("/")[:2])
    usual = f"{_USUAL_OWNER}/{own.partition('/')[2]}"
    return list(dict.fromkeys([*([polled_as] if polled_as else []), own, usual]))


def _body(request: VideoRequest, model: Model) -> dict[str, Any]:
    body = model.body(request)
    if request.image is not None and model.image is not None:
        put(body, model.image, request.image.url)
    return body
