"""Gemini Omni's interactions: long ids, lengths as text, and a refused prompt is completed without a video."""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

from flask import Blueprint, Response, request

from scripts.local.simulator.directives import CANCELLED, ENDED, MISSING, MODERATION_BLOCKED, read_directives
from scripts.local.simulator.errors import ApiError
from scripts.local.simulator.job import Job
from scripts.local.simulator.kind import Event, Kind, Occasion, as_json, iso, read_body, same_key
from scripts.local.simulator.models import GEMINI, Input, check_input
from scripts.local.simulator.service import short_prompt

TWO_DAYS = 172_800
#: Of an id; the real ones are about as long.
ID_LENGTH = 120
#: No price is behind it: an answer has tokens, and here they grow with the length.
TOKENS_PER_SECOND = 1000
_WORDS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
_MORE_WORDS = {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}


class _WebhookConfig(Input):
    uris: list[str]
    user_metadata: dict[str, Any] | None = None


class _Part(Input):
    type: Literal["text", "image"]
    text: str | None = None
    data: str | None = None
    mime_type: str | None = None


class _Step(Input):
    """How Google's own client wraps the parts."""

    type: Literal["user_input"]
    content: list[_Part]


class _Interaction(Input):
    """The body of a POST; what asks for something else than a video in the background is refused."""

    model: str
    input: str | list[_Part] | list[_Step]
    background: Literal[True]
    response_format: dict[str, Any]
    webhook_config: _WebhookConfig | None = None
    store: Literal[True] = True
    stream: Literal[False] = False


class Gemini(Kind):
    """`/gemini/v1` and `/gemini/v1beta` are generativelanguage.googleapis.com, `/gemini/jwks.json` its keys."""

    name: ClassVar[str] = "gemini"
    prefixes: ClassVar[tuple[str, ...]] = ("gemini",)
    open_endpoints: ClassVar[frozenset[str]] = frozenset({"keys"})
    content_seconds: ClassVar[float] = TWO_DAYS
    #: For about a day.
    webhook_waits: ClassVar[Sequence[float]] = tuple(min(2.0**number, 7200.0) for number in range(24))

    def routes(self) -> Blueprint:
        """Interactions under both versions, their files, and the keys of their webhooks."""
        routes = Blueprint(self.name, __name__)
        path = "/gemini/<any(v1,v1beta):version>/interactions"
        routes.add_url_rule(path, "create", self._create, methods=["POST"])
        routes.add_url_rule(f"{path}/<interaction_id>", "retrieve", self._retrieve)
        routes.add_url_rule(f"{path}/<interaction_id>", "delete", self._delete, methods=["DELETE"])
        routes.add_url_rule(f"{path}/<interaction_id>/cancel", "cancel", self._cancel, methods=["POST"])
        routes.add_url_rule("/gemini/v1beta/files/<name>:download", "content", self._content)
        routes.add_url_rule("/gemini/jwks.json", "keys", self.service.keys.gemini_jwks)
        return routes

    def check_key(self, api_key: str) -> None:
        """The key comes as `x-goog-api-key`, and alone."""
        if "Authorization" in request.headers or "key" in request.args:
            raise ApiError(400, "Multiple authentication credentials received. Please pass only one.")
        if "X-Goog-Api-Key" not in request.headers:
            raise ApiError(403, "Method doesn't allow unregistered callers.")
        if not same_key(request.headers["X-Goog-Api-Key"], api_key):
            raise ApiError(400, "API key not valid. Please pass a valid API key.")

    def prompt(self, body: Mapping[str, Any]) -> str:
        """The input, or the text in it."""
        return " ".join(_texts(body.get("input")))

    def envelope(self, error: ApiError) -> Mapping[str, Any] | Sequence[Any]:
        """A code, a text and a word; a 400 comes in an array."""
        message = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.problems)
        word = {**_WORDS, **_MORE_WORDS}.get(error.status, "UNKNOWN")
        shown = {"error": {"code": error.status, "message": message or error.message, "status": word}}
        return [shown] if error.status == 400 else shown  # noqa: PLR2004

    def retired(self) -> ApiError:
        """The answer for a model that there is not, or no longer."""
        return ApiError(404, "This model is not found, or is not supported for this method.")

    def no_balance(self) -> ApiError:
        """The account's prepaid credits are used up."""
        return ApiError(429, "Your prepayment credits are depleted.")

    def not_found(self) -> ApiError:
        """There is no such interaction."""
        return ApiError(400, "Invalid interaction name")

    def occasions(self, job: Job) -> Sequence[Occasion]:  # noqa: ARG002
        """Its end alone."""
        return ("completed",)

    def event(self, job: Job, occasion: Occasion, url: str) -> Event:  # noqa: ARG002
        """Which interaction is over, and the metadata that its POST gave; the signature has all of it too."""
        now = self.service.jobs.clock()
        status = _status(job, now)
        kind = status if status in {"completed", "cancelled"} else "failed"
        event: dict[str, Any] = {
            "type": f"interaction.{kind}",
            "version": "v1",
            "timestamp": iso(now),
            "data": {"id": job.id},
            "user_metadata": job.detail("user_metadata") or {},
        }
        return Event(as_json(event), self.service.keys.gemini_headers(f"evt_{job.seq}", event, url, now))

    def _create(self, version: str) -> Mapping[str, Any]:
        body = read_body()
        checked = check_input(_Interaction, body, status=400)
        asked = vars(checked)
        model = GEMINI.get(asked["model"])
        if model is None:
            raise self.retired()
        config: _WebhookConfig | None = asked["webhook_config"]
        if config is not None and version == "v1" and not self.service.switches.gemini_v1_webhooks:
            raise ApiError(400, 'Invalid JSON payload received. Unknown name "webhook_config": Cannot find field.')
        form = check_input(model, asked["response_format"], status=400)
        prompt = self.prompt(body)
        if not prompt:
            raise ApiError(400, "input has no text.")
        if rejection := read_directives(prompt).rejection:
            raise ApiError(400, rejection[1])
        origin = self.service.origin(
            self.name,
            lives=self.content_seconds,
            webhook=config.uris if config else None,
            user_metadata=config.user_metadata if config else None,
        )
        job_id = "v1_" + secrets.token_urlsafe(ID_LENGTH)[:ID_LENGTH]
        return self._interaction(self.service.create(origin, job_id, form.picture(asked["model"], prompt)))

    def _retrieve(self, version: str, interaction_id: str) -> Mapping[str, Any]:  # noqa: ARG002
        return self._interaction(self.find(interaction_id))

    def _cancel(self, version: str, interaction_id: str) -> Mapping[str, Any]:
        if not self.service.cancel(self.find(interaction_id)):
            raise ApiError(400, "The interaction is not running.")
        return self._retrieve(version, interaction_id)

    def _delete(self, version: str, interaction_id: str) -> Mapping[str, Any]:  # noqa: ARG002
        self.service.jobs.delete(self.find(interaction_id).id)
        return {}

    def _content(self, name: str) -> Response:
        number = re.fullmatch("sim([0-9]{9})", name)
        job = self.service.jobs.numbered(int(number[1]), kind=self.name) if number else None
        now = self.service.jobs.clock()
        if job is None or job.status(now) != "completed" or job.is_expired(now):
            raise ApiError(404, "The file does not exist.")
        if now < job.finished_at() + read_directives(job.prompt).lag:
            raise ApiError(404, "The file is not there yet.")
        if request.args.get("alt") != "media":
            raise ApiError(400, "alt has to be media.")
        return self.service.send(job)

    def _interaction(self, job: Job) -> Mapping[str, Any]:
        now = self.service.jobs.clock()
        status = _status(job, now)
        shown: dict[str, Any] = {
            "id": job.id,
            "object": "interaction",
            "model": job.model,
            "status": status,
            "created": iso(job.created_at),
            "updated": iso(min(now, job.finished_at())),
        }
        if status == "failed":
            shown["error"] = {"code": "internal", "message": job.error_message or ""}
        if status == "completed":
            tokens = TOKENS_PER_SECOND * int(job.seconds)
            shown["usage"] = {"total_input_tokens": 1, "total_output_tokens": tokens, "total_tokens": 1 + tokens}
            shown["steps"] = [{"type": "model_output", "content": self._output(job)}]
        return shown

    def _output(self, job: Job) -> Sequence[Mapping[str, Any]]:
        if job.error_code is not None:
            return []
        url = f"{self.service.base_url}/gemini/v1beta/files/sim{job.seq:09d}:download?alt=media"
        return [{"type": "video", "mime_type": "video/mp4", "uri": url}]


def _status(job: Job, now: float) -> str:
    status = job.status(now)
    if status != "failed":
        return status
    statuses = {
        CANCELLED: "cancelled",
        ENDED: job.error_message or "",
        MISSING[0]: "completed",
        MODERATION_BLOCKED[0]: "completed",
    }
    return statuses.get(job.error_code or "", "failed")


def _texts(asked: object) -> Iterator[str]:
    """Every text in an input: one text, or parts, or steps that have parts."""
    if isinstance(asked, str):
        yield short_prompt({"text": asked}, "text")
    for part in cast("list[object]", asked) if isinstance(asked, list) else []:
        if text := short_prompt(part, "text"):
            yield text
        if isinstance(part, dict):
            yield from _texts(cast("dict[str, object]", part).get("content"))
