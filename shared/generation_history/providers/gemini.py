"""GeminiProvider: Gemini Omni's interactions, https://ai.google.dev/gemini-api/docs/interactions.

Gemini keeps no list. A refusal of what is asked for is an interaction that is completed and has no video.
"""

import base64
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, cast
from urllib.parse import quote

import requests
from requests.auth import AuthBase

from generation_history.errors import JobGone, NotAllowed, NotSent, ProviderUnavailable, Rejected
from generation_history.provider_kinds import GEMINI
from generation_history.providers import VideoJob, VideoRequest
from generation_history.providers.catalogue import Model, put
from generation_history.providers.http import KeyHeader
from generation_history.providers.json_provider import JsonProvider
from generation_history.providers.json_server import GONE, Answer, Post
from generation_history.providers.plain_values import moment, text
from generation_history.urls import parse_url

#: From its making until its files are removed.
LIFE: Final = timedelta(hours=48)
#: How Gemini says that it knows no such interaction, with HTTP 400.
_UNKNOWN_ID: Final = "invalid interaction name"
_CALLBACK: Final = "webhook_config"
#: HTTP 429 is also what it answers to too many calls at once.
_NO_CREDIT: Final = "prepayment credits"
_STATUSES: Final = {
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "incomplete": "failed",
    "requires_action": "failed",
    "budget_exceeded": "failed",
}


class GeminiProvider(JsonProvider):
    """Gemini for one key."""

    KIND = GEMINI

    @staticmethod
    def _auth(key: str) -> AuthBase:
        return KeyHeader("x-goog-api-key", key)

    def _post_of(self, request: VideoRequest, model: Model, attempt_token: str) -> Post:
        body = {"model": model.provider_model, "background": True, **model.body(request)}
        put(body, "response_format.type", "video")
        put(body, "response_format.delivery", "uri")
        if (image := request.image) is not None:
            data = base64.b64encode(image.content).decode()
            body["input"] = [
                {"type": "image", "data": data, "mime_type": image.media_type},
                {"type": "text", "text": request.prompt},
            ]
        if (callback := self._callback(attempt_token)) is not None:
            body["webhook_config"] = {"uris": [callback], "user_metadata": {"attempt": attempt_token}}
        return Post(f"{self.base_url}/interactions", body)

    def _posted(self, answer: Answer) -> VideoJob | None:
        job_id = answer.fields.get("id")
        return VideoJob(job_id, text(answer.fields.get("status")) or "queued") if isinstance(job_id, str) else None

    def _poll(self, job_id: str) -> tuple[VideoJob, str | None]:
        answer = self._server.call("GET", self._url(job_id))
        if answer.only_accepts:
            return VideoJob(job_id, "running"), None
        word = answer.fields.get("status")
        if not answer.ok or not isinstance(word, str):
            if _UNKNOWN_ID in self._server.reason(answer).lower():
                raise JobGone(f"{self._server.host} knows no such interaction")
            raise self._server.refusal(answer)
        if answer.fields.get("id", job_id) != job_id:
            raise ProviderUnavailable(f"{self._server.host} answered with another interaction than was asked for")
        status, url = _STATUSES.get(word, word), None
        code = message = None
        if status == "completed" and (url := self._video_url(answer.fields)) is None:
            status, code, message = "failed", "moderation_blocked", "Gemini completed it without a video"
        elif status in {"failed", "cancelled"}:
            words = self._server.reason(answer)
            message = f"Gemini ended it as {word}" if words.startswith("HTTP ") else words
        created_at = moment(answer.fields.get("created") or answer.fields.get("created_at"))
        job = VideoJob(
            job_id,
            status,
            created_at=created_at,
            expires_at=created_at and created_at + LIFE,
            error_code=code,
            error_message=message,
            answer=self._server.kept(answer) if status == "failed" else None,
        )
        return job, url

    def _video_url(self, fields: Mapping[str, Any]) -> str | None:
        for step in _objects(fields.get("steps")):
            for part in _objects(step.get("content")):
                uri = part.get("uri")
                if part.get("type") == "video" and isinstance(uri, str) and uri:
                    return uri if "://" in uri else f"{parse_url(self.base_url).origin}/{uri.lstrip('/')}"
        return None

    def _refusal_for_good(
        self, answer: Answer, request: VideoRequest, words: str, kept: str | None
    ) -> NotSent | NotAllowed | Rejected:
        if self.calls_back and answer.status == requests.codes.bad_request and _CALLBACK in words:
            # Nothing was started. Without a callback only the next event is missed, never a video.
            self.calls_back = False
            setting = self._server.url_setting
            return NotSent(f"{setting}: {self.base_url} takes no {_CALLBACK}: posted again without it", answer=kept)
        return super()._refusal_for_good(answer, request, words, kept)

    def _says_no_credit(self, answer: Answer, reason: str) -> bool:
        return super()._says_no_credit(answer, reason) or (
            answer.status == requests.codes.too_many_requests and _NO_CREDIT in reason.lower()
        )

    def cancel(self, job_id: str) -> None:
        """Asks Gemini to end the interaction."""
        self._asked_to_cancel(self._server.call("POST", f"{self._url(job_id)}/cancel"))

    def is_gone(self) -> bool:
        """Whether it has no interactions at all: an id that nobody has is refused otherwise."""
        answer = self._server.call("GET", self._url("none"))
        if answer.ok or _UNKNOWN_ID in self._server.reason(answer).lower():
            return False
        if answer.status in GONE:
            return True
        raise self._server.refusal(answer)

    def _url(self, job_id: str) -> str:
        return f"{self.base_url}/interactions/{quote(job_id, safe='')}"


def _objects(value: object) -> list[Mapping[str, Any]]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Mapping[str, Any]", item) for item in items if isinstance(item, dict)]
