"""RunwayProvider: tasks of Runway, https://docs.dev.runwayml.com/api.

Runway keeps no list and calls nobody back: what became of a POST without an answer is for a person to find out. Its
URLs run out and are told anew by each poll.
"""

from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import quote

import requests
from requests.auth import AuthBase

from generation_history.errors import ProviderUnavailable
from generation_history.provider_kinds import RUNWAY
from generation_history.providers import VideoJob, VideoRequest
from generation_history.providers.catalogue import Model, put
from generation_history.providers.http import Bearer
from generation_history.providers.json_provider import JsonProvider
from generation_history.providers.json_server import Answer, Post, dollars
from generation_history.providers.plain_values import text

VERSION: Final = "2024-11-06"
USD_PER_CREDIT: Final = "0.01"
_STATUSES: Final = {"SUCCEEDED": "completed", "FAILED": "failed", "CANCELLED": "cancelled"}
_NO_CREDIT: Final = "enough credits"


class _Auth(Bearer):
    """Every call names the version of the API besides."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["X-Runway-Version"] = VERSION
        return super().__call__(request)


class RunwayProvider(JsonProvider):
    """Runway for one key."""

    KIND = RUNWAY

    @staticmethod
    def _auth(key: str) -> AuthBase:
        return _Auth(key)

    def _post_of(self, request: VideoRequest, model: Model, attempt_token: str) -> Post:  # noqa: ARG002 - it calls nobody back
        body = {"model": model.provider_model, **model.body(request)}
        if request.image is None or model.image is None:
            return Post(f"{self.base_url}/text_to_video", body)
        put(body, model.image, request.image.url)
        return Post(f"{self.base_url}/image_to_video", body)

    def _posted(self, answer: Answer) -> VideoJob | None:
        job_id = answer.fields.get("id")
        return VideoJob(job_id, "PENDING") if isinstance(job_id, str) else None

    def _poll(self, job_id: str) -> tuple[VideoJob, str | None]:
        answer = self._server.get(self._url(job_id))
        if answer.only_accepts:
            return VideoJob(job_id, "running"), None
        fields, word = answer.fields, answer.fields.get("status")
        if fields.get("id") != job_id or not isinstance(word, str):
            raise ProviderUnavailable(f"{self._server.host} answered with no task, or another than was asked for")
        status, message, url = _STATUSES.get(word, word), text(fields.get("failure")), None
        code = text(fields.get("failureCode"))
        if status == "completed" and (url := _first_url(fields.get("output"))) is None:
            status, message = "failed", "Runway completed it without a video"
        is_over = status in {"failed", "cancelled"}
        job = VideoJob(
            job_id,
            status,
            progress=_percent(fields.get("progress")),
            error_code="moderation_blocked" if code and code.startswith("SAFETY") else code,
            error_message=(message or code) if is_over else None,
            cost=_cost(fields),
        )
        return job, url

    def _says_no_credit(self, answer: Answer, reason: str) -> bool:
        return super()._says_no_credit(answer, reason) or (
            answer.status == requests.codes.bad_request and _NO_CREDIT in reason.lower()
        )

    def cancel(self, job_id: str) -> None:
        """Asks Runway to end the task, unless it is over: the same call would delete it then, with its video."""
        if self.poll(job_id).status not in _STATUSES.values():
            self._asked_to_cancel(self._server.call("DELETE", self._url(job_id)))

    def is_gone(self) -> bool:
        """Whether it does not even know whose key this is."""
        return self._has_nothing_at(f"{self.base_url}/organization")

    def _url(self, job_id: str) -> str:
        return f"{self.base_url}/tasks/{quote(job_id, safe='')}"


def _first_url(output: object) -> str | None:
    first = cast("list[object]", output)[0] if isinstance(output, list) and output else None
    return first if isinstance(first, str) else None


def _percent(progress: object) -> int | None:
    return round(progress * 100) if isinstance(progress, (int, float)) and 0 <= progress <= 1 else None


def _cost(fields: Mapping[str, Any]) -> Any:
    cost = fields.get("cost")
    return (
        dollars(cast("Mapping[str, Any]", cost).get("credits"), each=USD_PER_CREDIT) if isinstance(cost, dict) else None
    )
