"""ReplicateProvider: predictions of Replicate, https://replicate.com/docs/reference/http.

An hour after its end a prediction's video, and what it was asked for, are removed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast
from urllib.parse import quote

from requests.auth import AuthBase

from generation_history.errors import ProviderUnavailable
from generation_history.provider_kinds import REPLICATE
from generation_history.providers import FirstFrame, VideoJob, VideoRequest
from generation_history.providers.catalogue import Model, put
from generation_history.providers.http import Bearer
from generation_history.providers.json_provider import JsonProvider, says_the_same
from generation_history.providers.json_server import Answer, Post
from generation_history.providers.plain_values import moment, text
from generation_history.providers.words import is_moderation
from generation_history.urls import UnclearUrl, parse_url

MAX_LIST_PAGES: Final = 20
#: From its end until the video is removed.
LIFE: Final = timedelta(hours=1)
#: What Replicate's models say of what is not allowed.
_MODERATION: Final = ("(e005)", "flagged as sensitive", "nsfw")
_STATUSES: Final = {"succeeded": "completed", "failed": "failed", "canceled": "cancelled", "aborted": "failed"}


class ReplicateProvider(JsonProvider):
    """Replicate for one token."""

    KIND = REPLICATE

    @staticmethod
    def _auth(key: str) -> AuthBase:
        return Bearer(key)

    def _post_of(self, request: VideoRequest, model: Model, attempt_token: str) -> Post:
        body = _body(request, model)
        if (callback := self._callback(attempt_token)) is not None:
            body |= {"webhook": callback, "webhook_events_filter": ["completed"]}
        return Post(f"{self.base_url}/predictions", body)

    def _posted(self, answer: Answer) -> VideoJob | None:
        job_id = answer.fields.get("id")
        return self._job(job_id, answer.fields) if isinstance(job_id, str) else None

    def find(self, request: VideoRequest, *, since: datetime, until: datetime) -> Sequence[VideoJob]:
        """The predictions of just this model and input within these times; after their hour they hide their input."""
        wanted = _body(request, self._model(request))
        url, query = f"{self.base_url}/predictions", {"created_after": since.isoformat()}
        query["created_before"] = until.isoformat()
        jobs: list[VideoJob] = []
        for _ in range(MAX_LIST_PAGES):
            page = self._server.get(url, query).fields
            items = page.get("results")
            if not isinstance(items, list):
                raise ProviderUnavailable(f"{self._server.host} answered with no list of predictions")
            predictions = [
                cast("Mapping[str, Any]", item) for item in cast("list[object]", items) if isinstance(item, dict)
            ]
            jobs += [
                self._job(str(fields["id"]), fields)
                for fields in predictions
                if isinstance(fields.get("id"), str) and _is_of(fields, wanted, request.image)
            ]
            times = [created_at for fields in predictions if (created_at := moment(fields.get("created_at")))]
            next_url = page.get("next")
            if not isinstance(next_url, str) or not next_url or (times and min(times) < since):
                return [job for job in jobs if job.created_at and since <= job.created_at <= until]
            url, query = self._checked_next(next_url), {}
        raise ProviderUnavailable(f"{self._server.host} lists more predictions than can be looked through")

    def _checked_next(self, next_url: str) -> str:
        try:
            url = parse_url(next_url)
        except UnclearUrl as error:
            raise ProviderUnavailable(f"{self._server.host} names a next page that is refused: {error}") from None
        if url.origin != parse_url(self.base_url).origin:
            raise ProviderUnavailable(f"{self._server.host} names a next page at {url.host}")
        return url.text

    def _poll(self, job_id: str) -> tuple[VideoJob, str | None]:
        answer = self._server.get(self._url(job_id))
        if answer.only_accepts:
            return VideoJob(job_id, "running"), None
        fields = answer.fields
        if fields.get("id") != job_id:
            raise ProviderUnavailable(f"{self._server.host} answered with another prediction than was asked for")
        job = self._job(job_id, fields)
        return job, _video_url(fields.get("output")) if job.status == "completed" else None

    def _job(self, job_id: str, fields: Mapping[str, Any]) -> VideoJob:
        word = text(fields.get("status")) or ""
        status, message = _STATUSES.get(word, word), text(fields.get("error"))
        if fields.get("data_removed") is True and status == "completed":
            status, message = "expired", "Replicate has removed its video"
        elif status == "completed" and _video_url(fields.get("output")) is None:
            status, message = "failed", "Replicate completed it without a video"
        elif word == "aborted":
            message = message or "Replicate aborted it before it began"
        moderated = status == "failed" and message is not None and _is_moderated(message)
        created_at = moment(fields.get("created_at"))
        ended_at = moment(fields.get("completed_at")) or created_at
        return VideoJob(
            job_id,
            status,
            created_at=created_at,
            expires_at=ended_at and ended_at + LIFE,
            error_code="moderation_blocked" if moderated else None,
            error_message=message if status in {"failed", "cancelled", "expired"} else None,
        )

    def _says_moderated(self, answer: Answer, reason: str) -> bool:
        return super()._says_moderated(answer, reason) or _is_moderated(reason)

    def cancel(self, job_id: str) -> None:
        """Asks Replicate to end the prediction."""
        self._asked_to_cancel(self._server.call("POST", f"{self._url(job_id)}/cancel"))

    def is_gone(self) -> bool:
        """Whether there is no list of predictions any more."""
        return self._has_nothing_at(f"{self.base_url}/predictions")

    def _url(self, job_id: str) -> str:
        return f"{self.base_url}/predictions/{quote(job_id, safe='')}"


def _body(request: VideoRequest, model: Model) -> dict[str, Any]:
    body = model.body(request)
    if request.image is not None and model.image is not None:
        put(body, model.image, request.image.url)
    name = model.image_model or model.provider_model if request.image else model.provider_model
    return {"version": name, **body}


def _is_of(fields: Mapping[str, Any], wanted: Mapping[str, Any], image: FirstFrame | None) -> bool:
    names = {fields.get("model"), fields.get("version"), f"{fields.get('model')}:{fields.get('version')}"}
    return wanted["version"] in names and says_the_same(fields.get("input"), wanted["input"], image)


def _is_moderated(message: str) -> bool:
    return is_moderation(message) or any(words in message.lower() for words in _MODERATION)


def _video_url(output: object) -> str | None:
    """The first URL in a prediction's output, which is one, a list of some, or an object with one or a list."""
    if isinstance(output, str):
        return output if "://" in output else None
    values: list[object] = []
    if isinstance(output, dict):
        values = list(cast("Mapping[str, object]", output).values())
    elif isinstance(output, list):
        values = cast("list[object]", output)
    return next((url for value in values if (url := _video_url(value)) is not None), None)
