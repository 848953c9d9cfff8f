"""fal's queue: a POST is accepted whatever is in it, a failure is COMPLETED, and the list has only what has started."""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from flask import Blueprint, Response, jsonify, request

from scripts.local.simulator.create_request import CreateRequest
from scripts.local.simulator.directives import CANCELLED, ENDED, MISSING, MODERATION_BLOCKED, read_directives
from scripts.local.simulator.errors import ApiError
from scripts.local.simulator.job import Job
from scripts.local.simulator.kind import Event, Kind, Occasion, as_json, iso, read_body, same_key
from scripts.local.simulator.models import FAL, Input, check_input
from scripts.local.simulator.service import short_prompt

LARGEST_PAGE = 100
BAD_INPUT = "bad_input"
_FLAGGED = {
    "loc": ["prompt"],
    "msg": "The content could not be processed because it was flagged by a content checker.",
    "type": "content_policy_violation",
}
#: Failures that only the result tells, with a 4xx and a `detail`.
_TOLD_BY_RESULT = {BAD_INPUT, MODERATION_BLOCKED[0], MISSING[0]}


class Fal(Kind):
    """`/fal` is queue.fal.run, `/fal-api/v1` api.fal.ai, `/fal-jwks.json` the keys of its webhooks."""

    name = "fal"
    prefixes = ("fal", "fal-api", "fal-jwks.json")
    content_seconds = 1e9
    #: Thirty tries after the first.
    webhook_waits: ClassVar[Sequence[float]] = tuple(min(2.0**number, 600.0) for number in range(30))

    def routes(self) -> Blueprint:
        """The queue, the list by time, the files, and the keys."""
        routes = Blueprint(self.name, __name__)
        job_path = "/fal/<owner>/<app>/requests/<request_id>"
        routes.add_url_rule("/fal/<path:endpoint_id>", "create", self._create, methods=["POST"])
        routes.add_url_rule(f"{job_path}/status", "retrieve", self._status)
        routes.add_url_rule(job_path, "result", self._result)
        routes.add_url_rule(f"{job_path}/cancel", "cancel", self._cancel, methods=["PUT"])
        routes.add_url_rule("/fal-api/v1/models/requests/by-endpoint", "list", self._list)
        routes.add_url_rule("/fal-api/v1/models/pricing", "pricing", self._pricing)
        routes.add_url_rule("/cdn/fal/<request_id>/video.mp4", "content", self._content)
        routes.add_url_rule("/fal-jwks.json", "keys", self.service.keys.fal_jwks)
        return routes

    def check_key(self, api_key: str) -> None:
        """The key comes as `Authorization: Key ...`."""
        match = re.fullmatch("Key (.+)", request.headers.get("Authorization", ""))
        if not same_key(match and match[1], api_key):
            raise ApiError(401, "Authentication is required to access this application.")

    def prompt(self, body: Mapping[str, Any]) -> str:
        """The input is the whole body."""
        return short_prompt(body, "prompt")

    def envelope(self, error: ApiError) -> Mapping[str, Any]:
        """Either a text, or what is wrong with each field."""
        if not error.problems:
            return {"detail": error.message}
        return {
            "detail": [
                {"loc": ["body", *each["loc"]], "msg": each["msg"], "type": each["type"]} for each in error.problems
            ]
        }

    def retired(self) -> ApiError:
        """The answer for an endpoint that there is not, or no longer."""
        return ApiError(404, f'Application "{request.path.removeprefix("/fal/")}" not found')

    def no_balance(self) -> ApiError:
        """The account is locked."""
        return ApiError(
            403, "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
        )

    def not_found(self) -> ApiError:
        """There is no such request."""
        return ApiError(404, "Request not found")

    def occasions(self, job: Job) -> Sequence[Occasion]:  # noqa: ARG002
        """Its end alone."""
        return ("completed",)

    def event(self, job: Job, occasion: Occasion, url: str) -> Event:  # noqa: ARG002
        """The result, or why there is none; signed over its digest."""
        failure = _failure(job)
        body: dict[str, Any] = {"request_id": job.id, "gateway_request_id": job.id}
        if failure is None:
            body |= {"status": "OK", "payload": self._output(job)}
        else:
            payload = self.envelope(failure) if job.error_code in _TOLD_BY_RESULT else None
            body |= {"status": "ERROR", "error": failure.message, "payload": payload}
        content = as_json(body)
        return Event(content, self.service.keys.fal_headers(job.id, content, self.service.jobs.clock()))

    def _create(self, endpoint_id: str) -> Response:
        model = FAL.get(endpoint_id)
        if model is None:
            raise self.retired()
        body: object = request.get_json(force=True, silent=True)
        if not isinstance(body, dict):
            raise ApiError(422, "Invalid JSON body")
        fields = read_body()
        picture, failure = self._picture(endpoint_id, model, fields)
        owner, app = (self._alias(model) or endpoint_id).split("/")[:2]
        origin = self.service.origin(
            self.name,
            lives=self.content_seconds,
            path=f"{owner}/{app}",
            listed=request.headers.get("X-Fal-Store-IO") != "0",
            webhook=request.args.get("fal_webhook"),
        )
        job = self.service.create(origin, str(uuid.uuid4()), picture, failure=failure)
        response = jsonify({"status": "IN_QUEUE", "request_id": job.id, **self._urls(job), "queue_position": 0})
        response.headers["x-fal-request-id"] = job.id
        return response

    def _alias(self, model: type[Input]) -> str | None:
        return model.alias if self.service.switches.fal_alias else None

    def _picture(
        self, endpoint_id: str, model: type[Input], fields: Mapping[str, Any]
    ) -> tuple[CreateRequest, tuple[str, str] | None]:
        """What is to be rendered, and the failure of a job whose input is wrong: that shows later."""
        if not self.service.switches.fal_kling_resolution or "kling" not in endpoint_id:
            checked_fields = fields
        else:
            checked_fields = {name: value for name, value in fields.items() if name != "resolution"}
        try:
            checked = check_input(model, checked_fields, status=422)
        except ApiError as error:
            return CreateRequest(self.prompt(fields), endpoint_id, "5", "1280x720"), (
                BAD_INPUT,
                json.dumps(error.problems),
            )
        prompt = self.prompt(fields)
        failure = read_directives(prompt).rejection
        return checked.picture(endpoint_id, prompt), failure

    def _find_at(self, owner: str, app: str, request_id: str) -> Job:
        job = self.find(request_id)
        if job.detail("path") != f"{owner}/{app}":
            raise self.not_found()
        return job

    def _status(self, owner: str, app: str, request_id: str) -> tuple[Mapping[str, Any], int]:
        job = self._find_at(owner, app, request_id)
        shown = {"request_id": job.id, **self._urls(job)}
        match job.status(self.service.jobs.clock()):
            case "queued":
                return {"status": "IN_QUEUE", "queue_position": 0, **shown}, 202
            case "in_progress":
                return {"status": "IN_PROGRESS", "logs": None, **shown}, 202
            case "completed" | "failed":
                shown |= {"status": "COMPLETED", "logs": None, "metrics": {"inference_time": 1.0}}
        failure = _failure(job)
        if failure is not None and job.error_code not in _TOLD_BY_RESULT:
            shown |= {"error": failure.message, "error_type": failure.code}
        return shown, 200

    def _result(self, owner: str, app: str, request_id: str) -> Response:
        job = self._find_at(owner, app, request_id)
        if not job.is_over(self.service.jobs.clock()):
            raise ApiError(400, "Request is still in progress")
        failure = _failure(job)
        if failure is not None and job.error_code != MISSING[0]:
            raise failure
        response = jsonify(self._output(job))
        response.headers["x-fal-request-id"] = job.id
        if self.service.switches.fal_billing_header:
            response.headers["x-fal-billable-units"] = f"{_units(job):g}"
        return response

    def _pricing(self) -> Mapping[str, Any]:
        """What a unit of each endpoint costs."""
        asked = request.args.getlist("endpoint_id")
        return {
            "prices": [
                {
                    "endpoint_id": endpoint_id,
                    "unit_price": FAL[endpoint_id].usd_per_unit,
                    "unit": "seconds",
                    "currency": "USD",
                }
                for endpoint_id in asked
                if endpoint_id in FAL
            ],
            "has_more": False,
            "next_cursor": None,
        }

    def _cancel(self, owner: str, app: str, request_id: str) -> tuple[Mapping[str, Any], int]:
        job = self.service.jobs.get(request_id, kind=self.name)
        if job is None or job.detail("path") != f"{owner}/{app}":
            return {"status": "NOT_FOUND"}, 404
        if self.service.cancel(job):
            return {"status": "CANCELLATION_REQUESTED"}, 202
        return {"status": "ALREADY_COMPLETED"}, 400

    def _list(self) -> Mapping[str, Any]:
        """What has started, newest first, by the time it was sent."""
        limit, offset = _number("limit", 50, LARGEST_PAGE), _number("cursor", 0, 10**9)
        endpoint_id = request.args.get("endpoint_id")
        if not endpoint_id:
            raise ApiError(422, "endpoint_id is required")
        now = self.service.jobs.clock()
        start, end = _moment("start", 0.0), _moment("end", now)
        end = min(end, now - self.service.omitted_seconds())
        jobs = [
            job
            for job in self.service.jobs.of_kind(self.name)
            if job.model == endpoint_id and job.detail("listed") and start <= job.created_at <= end
            if self.service.switches.fal_lists_queued or now >= job.starts_at
        ]
        page, rest = jobs[offset : offset + limit], jobs[offset + limit :]
        cursor = str(offset + limit) if rest else None
        return {"items": [self._item(job, now) for job in page], "has_more": bool(rest), "next_cursor": cursor}

    def _item(self, job: Job, now: float) -> Mapping[str, Any]:
        item: dict[str, Any] = {"request_id": job.id, "endpoint_id": job.model, "sent_at": iso(job.created_at)}
        if now >= job.starts_at:
            item["started_at"] = iso(job.starts_at)
        if job.is_over(now):
            item["ended_at"] = iso(job.finished_at())
        if "payloads" in request.args.get("expand", "").split(","):
            is_completed = job.status(now) == "completed"
            item |= {"json_input": json.loads(job.body), "json_output": self._output(job) if is_completed else None}
        return item

    def _content(self, request_id: str) -> Response:
        self.refuse_keys()
        return self.send_content(self.find(request_id))

    def _urls(self, job: Job) -> Mapping[str, str]:
        """The paths of the job: they have its owner and app, and drop the rest of its endpoint."""
        url = f"{self.service.base_url}/fal/{job.detail('path')}/requests/{job.id}"
        return {"response_url": url, "status_url": f"{url}/status", "cancel_url": f"{url}/cancel"}

    def _output(self, job: Job) -> Mapping[str, Any]:
        if job.error_code == MISSING[0]:
            return {"video": None, "seed": job.seq}
        file = {
            "url": self.content_url(job),
            "content_type": "video/mp4",
            "file_name": "video.mp4",
            "file_size": self.service.studio.file(job, "video").stat().st_size,
        }
        return {"video": file, "seed": job.seq}


def _units(job: Job) -> float:
    """What is billed of the job."""
    model, fields = FAL[job.model], json.loads(job.body)
    return model.model_validate({name: fields[name] for name in model.model_fields if name in fields}).units()


def _failure(job: Job) -> ApiError | None:
    """Why the job has no video, as its result says it."""
    if job.error_code is None:
        return None
    message = job.error_message or ""
    if job.error_code == BAD_INPUT:
        return ApiError(422, "Unprocessable Entity", problems=json.loads(message))
    errors = {
        MODERATION_BLOCKED[0]: ApiError(422, "Unprocessable Entity", problems=[_FLAGGED]),
        CANCELLED: ApiError(499, "Request was cancelled by the client.", code="client_cancelled"),
        ENDED: ApiError(500, "The request ended.", code=message),
    }
    return errors.get(job.error_code, ApiError(500, message, code="internal_server_error"))


def _number(name: str, default: int, most: int) -> int:
    text = request.args.get(name, str(default))
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) > most:
        raise ApiError(422, f"{name} is not a whole number up to {most}")
    return int(text)


def _moment(name: str, default: float) -> float:
    text = request.args.get(name)
    if text is None:
        return default
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ApiError(422, f"{name} is no time in ISO 8601") from None
