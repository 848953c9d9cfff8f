"""Replicate's predictions: wrong input is refused at once, and an hour after its end a prediction has lost its data."""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, cast
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from scripts.local.simulator.directives import CANCELLED, ENDED, MISSING, MODERATION_BLOCKED, read_directives
from scripts.local.simulator.errors import ApiError
from scripts.local.simulator.job import Job
from scripts.local.simulator.kind import Event, Kind, Occasion, as_json, bearer_key, iso, read_body, same_key, title
from scripts.local.simulator.models import REPLICATE, check_input
from scripts.local.simulator.service import short_prompt

PAGE = 100
HOUR = 3600
#: What a body may have beside `version`.
_FIELDS = {"version", "input", "webhook", "webhook_events_filter", "stream"}
_EVENTS = {"start", "output", "logs", "completed"}
_ERRORS = {
    MODERATION_BLOCKED[
        0
    ]: "The input or output was flagged as sensitive. Please try again with different inputs. (E005)"
}


class Replicate(Kind):
    """`/replicate/v1` is api.replicate.com/v1."""

    name = "replicate"
    prefixes = ("replicate",)
    retry_after_in_body = True
    content_seconds = HOUR
    #: The last event is tried for about a minute.
    webhook_waits: ClassVar[Sequence[float]] = (2, 4, 8, 16, 30)

    def routes(self) -> Blueprint:
        """Predictions, the key of their webhooks, and the files."""
        routes = Blueprint(self.name, __name__)
        path = "/replicate/v1/predictions"
        routes.add_url_rule(path, "create", self._create, methods=["POST"])
        official = "/replicate/v1/models/<owner>/<model_name>/predictions"
        routes.add_url_rule(official, "create", self._create, methods=["POST"])
        routes.add_url_rule(path, "list", self._list)
        routes.add_url_rule(f"{path}/<prediction_id>", "retrieve", self._shown)
        routes.add_url_rule(f"{path}/<prediction_id>/cancel", "cancel", self._cancel, methods=["POST"])
        routes.add_url_rule("/replicate/v1/webhooks/default/secret", "secret", self._secret)
        routes.add_url_rule("/cdn/replicate/<prediction_id>/video.mp4", "content", self._content)
        return routes

    def check_key(self, api_key: str) -> None:
        """The key comes as `Authorization: Bearer ...`."""
        if not same_key(bearer_key(), api_key):
            raise ApiError(401, "You did not pass a valid authentication token")

    def prompt(self, body: Mapping[str, Any]) -> str:
        """The prompt is a part of the input."""
        return short_prompt(body.get("input"), "prompt")

    def envelope(self, error: ApiError) -> Mapping[str, Any]:
        """A title, a text and the status; of an input, what is wrong with each field; of a 429, how long to wait."""
        shown: dict[str, Any] = {"title": title(error.status), "detail": error.message, "status": error.status}
        if error.problems:
            fields = [
                {"type": each["type"], "field": ".".join(map(str, each["loc"])), "description": each["msg"]}
                for each in error.problems
            ]
            shown |= {
                "title": "Input validation failed",
                "detail": "\n".join(f"- {each['field']}: {each['description']}" for each in fields),
                "invalid_fields": fields,
            }
        return shown if error.retry_after is None else {**shown, "retry_after": error.retry_after}

    def retired(self) -> ApiError:
        """The answer for a model that there is not, or no longer."""
        return ApiError(404, "The requested resource could not be found.")

    def no_balance(self) -> ApiError:
        """Nobody pays."""
        return ApiError(
            402,
            "You have insufficient credit to run this model. Go to https://replicate.com/account/billing to top up.",
        )

    def not_found(self) -> ApiError:
        """There is no such prediction."""
        return ApiError(404, "The requested resource could not be found.")

    def occasions(self, job: Job) -> Sequence[Occasion]:
        """Its start and its end, as far as the POST wants to know of them."""
        occasions: tuple[Occasion, ...] = ("start", "completed")
        return [occasion for occasion in occasions if occasion in job.detail("events")]

    def event(self, job: Job, occasion: Occasion, url: str) -> Event:  # noqa: ARG002
        """The whole prediction, with its input."""
        body = as_json(self._prediction(job))
        message_id = f"msg_{job.id}_{occasion}"
        return Event(body, self.service.keys.replicate_headers(message_id, body, self.service.jobs.clock()))

    def _create(self, owner: str | None = None, model_name: str | None = None) -> tuple[Mapping[str, Any], int]:
        body = read_body()
        if owner is not None:
            body = {"version": f"{owner}/{model_name}", **body}
        problems = _problems(body)
        if problems:
            raise ApiError(422, "Input validation failed", problems=problems)
        model = _named(str(body["version"]))
        if model is None:
            if owner is not None:
                raise self.retired()
            raise ApiError(
                422, "The specified version does not exist (or perhaps you don't have permission to use it?)"
            )
        checked = check_input(REPLICATE[model], body.get("input"), status=422)
        prompt = self.prompt(body)
        rejection = read_directives(prompt).rejection
        if rejection is not None:
            raise ApiError(422, rejection[1], problems=[{"type": "invalid", "loc": ["prompt"], "msg": rejection[1]}])
        origin = self.service.origin(
            self.name,
            lives=self.content_seconds,
            version=body["version"],
            webhook=body.get("webhook"),
            events=body.get("webhook_events_filter", sorted(_EVENTS)),
        )
        job = self.service.create(origin, _new_id(), checked.picture(model, prompt))
        return self._prediction(job), 201

    def _shown(self, prediction_id: str) -> Mapping[str, Any]:
        return self._prediction(self.find(prediction_id))

    def _list(self) -> Mapping[str, Any]:
        """A hundred at a time, newest first, of those made in the time that is asked for."""
        after, before = _moment("created_after", 0.0), _moment("created_before", 1e12)
        before = min(before, self.service.jobs.clock() - self.service.omitted_seconds())
        cursor = int(request.args.get("cursor", 10**12))
        jobs = [
            job
            for job in self.service.jobs.of_kind(self.name)
            if after <= job.created_at <= before and job.seq < cursor
        ]
        return {
            "previous": None,
            "next": self._next(jobs[PAGE - 1]) if len(jobs) > PAGE else None,
            "results": [self._prediction(job) for job in jobs[:PAGE]],
        }

    def _next(self, last: Job) -> str:
        query = {**request.args.to_dict(), "cursor": str(last.seq)}
        return f"{request.base_url}?{urlencode(query)}"

    def _cancel(self, prediction_id: str) -> Mapping[str, Any]:
        self.service.cancel(self.find(prediction_id))
        return self._shown(prediction_id)

    def _secret(self) -> Mapping[str, str]:
        return {"key": self.service.keys.replicate_secret()}

    def _content(self, prediction_id: str) -> Response:
        api_key = self.service.api_key
        if not self.service.switches.replicate_content_key:
            self.refuse_keys()
        elif api_key is not None and not same_key(bearer_key(), api_key):
            raise ApiError(401, "You did not pass a valid authentication token")
        return self.send_content(self.find(prediction_id))

    def _prediction(self, job: Job) -> Mapping[str, Any]:
        now = self.service.jobs.clock()
        status = _status(job, now)
        is_over = job.is_over(now)
        is_removed = is_over and now >= job.finished_at() + job.expires_after
        body = json.loads(job.body)
        has_output = status == "succeeded" and job.error_code is None and not is_removed
        url = f"{self.service.base_url}/replicate/v1/predictions/{job.id}"
        return {
            "id": job.id,
            "model": job.model,
            "version": "hidden" if "/" in job.detail("version") else _version(job.model),
            "input": None if is_removed else body["input"],
            "logs": "",
            "output": self.content_url(job) if has_output else None,
            "data_removed": is_removed,
            "error": _error(job) if status in {"failed", "aborted"} else None,
            "source": "api",
            "status": status,
            "created_at": iso(job.created_at),
            "started_at": iso(job.starts_at) if now >= job.starts_at else None,
            "completed_at": iso(job.finished_at()) if is_over else None,
            "urls": {"get": url, "cancel": f"{url}/cancel"},
            "metrics": {"predict_time": job.finished_at() - job.starts_at} if is_over else {},
        }


def _problems(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What is wrong with the body around the input."""
    problems: list[Mapping[str, Any]] = [
        {"type": "unknown_field", "loc": [name], "msg": f"Additional property {name} is not allowed"}
        for name in body
        if name not in _FIELDS
    ]
    problems += [
        {"type": "required", "loc": [name], "msg": f"{name} is required"}
        for name in ("version", "input")
        if name not in body
    ]
    events: object = body.get("webhook_events_filter", [])
    if not isinstance(events, list) or not _EVENTS.issuperset(map(str, cast("list[object]", events))):
        problems.append({"type": "invalid", "loc": ["webhook_events_filter"], "msg": "unknown event"})
    return problems


def _named(version: str) -> str | None:
    """The model that a version names: its name, its name with a version, or the version alone."""
    if version in REPLICATE:
        return version
    name, _, number = version.rpartition(":")
    return next((each for each in REPLICATE if name in {"", each} and number == _version(each)), None)


def _version(model: str) -> str:
    return hashlib.sha256(model.encode()).hexdigest()


def _status(job: Job, now: float) -> str:
    status = job.status(now)
    if status != "failed":
        return {"queued": "starting", "in_progress": "processing", "completed": "succeeded"}[status]
    statuses = {CANCELLED: "canceled", ENDED: job.error_message or "", MISSING[0]: "succeeded"}
    return statuses.get(job.error_code or "", "failed")


def _error(job: Job) -> str:
    return _ERRORS.get(job.error_code or "", job.error_message or "")


def _new_id() -> str:
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(26))


def _moment(name: str, default: float) -> float:
    text = request.args.get(name)
    if text is None:
        return default
    if re.fullmatch(r"[0-9-]{10}T[0-9:.]+(Z|[+-][0-9:]+)", text) is None:
        raise ApiError(400, f"{name} is no time in ISO 8601")
    return datetime.fromisoformat(text).timestamp()
