"""Runway's tasks: unknown fields are refused, costs are in every answer, and each look at a task has fresh URLs."""

import base64
import binascii
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

import jwt
from flask import Blueprint, Response, request

from scripts.local.simulator.directives import CANCELLED, ENDED, MISSING, MODERATION_BLOCKED, read_directives
from scripts.local.simulator.errors import ApiError
from scripts.local.simulator.job import Job
from scripts.local.simulator.kind import Kind, bearer_key, iso, read_body, same_key
from scripts.local.simulator.models import RUNWAY, check_input
from scripts.local.simulator.service import short_prompt

VERSION = "2024-11-06"
DAY = 86_400
PROMPT_UNITS = 1000
IMAGE_BYTES = 5 * 1024 * 1024
#: Signs the URLs of files; it proves nothing to anybody, and its JWTs look like Runway's.
_URL_KEY = "the simulator's own key for URLs of files"
_FLAGGED = {"failure": "Text prompt did not pass moderation.", "failureCode": "SAFETY.INPUT.TEXT"}
_BROKEN = "INTERNAL.BAD_OUTPUT.CODE01"


class Runway(Kind):
    """`/runway/v1` is api.dev.runwayml.com/v1."""

    name: ClassVar[str] = "runway"
    prefixes: ClassVar[tuple[str, ...]] = ("runway",)
    #: How long a URL of a file lives; a task lives longer, and gives new ones.
    content_seconds: ClassVar[float] = DAY

    def routes(self) -> Blueprint:
        """Two ways to ask for a video, the tasks, and the files."""
        routes = Blueprint(self.name, __name__)
        routes.add_url_rule(f"/runway/v1/<any({','.join(RUNWAY)}):way>", "create", self._create, methods=["POST"])
        routes.add_url_rule("/runway/v1/tasks/<task_id>", "retrieve", self._task)
        routes.add_url_rule("/runway/v1/tasks/<task_id>", "cancel", self._delete, methods=["DELETE"])
        routes.add_url_rule("/runway/v1/organization", "organization", self._organization)
        routes.add_url_rule("/cdn/runway/<task_id>/video.mp4", "content", self._content)
        return routes

    def check_key(self, api_key: str) -> None:
        """The key comes as `Authorization: Bearer ...`, with the version of the API beside it."""
        if not same_key(bearer_key(), api_key):
            raise ApiError(401, "The API key you provided is invalid.")
        if request.headers.get("X-Runway-Version") != VERSION:
            raise ApiError(400, f"The X-Runway-Version header has to be {VERSION}.")

    def prompt(self, body: Mapping[str, Any]) -> str:
        """A field of the body."""
        return short_prompt(body, "promptText")

    def envelope(self, error: ApiError) -> Mapping[str, Any]:
        """A text, and what is wrong with each field."""
        if not error.problems:
            return {"error": error.message}
        issues = [
            {"code": _issue(each["type"]), "path": list(each["loc"]), "message": each["msg"]} for each in error.problems
        ]
        return {"error": "Validation of body failed", "issues": issues}

    def retired(self) -> ApiError:
        """The answer for a model that there is not, or no longer."""
        return ApiError(404, "This model is no longer available.")

    def no_balance(self) -> ApiError:
        """The account has no credits left."""
        return ApiError(400, "You do not have enough credits to run this task.")

    def not_found(self) -> ApiError:
        """There is no such task."""
        return ApiError(404, "Task not found.")

    def _organization(self) -> Mapping[str, Any]:
        """Whose key it is, and what is left."""
        return {"creditBalance": 100_000, "tier": {"maxMonthlyCreditSpend": 100_000, "models": {}}, "usage": {}}

    def _create(self, way: str) -> Mapping[str, Any]:
        body = read_body()
        models = RUNWAY[way]
        if body.get("model") not in models:
            problem = {"type": "literal_error", "loc": ["model"], "msg": f"expected one of {', '.join(models)}"}
            raise ApiError(400, "Validation of body failed", problems=[problem])
        checked = check_input(models[body["model"]], body, status=400)
        prompt = self.prompt(body)
        problems = [
            *([_too_big("promptText")] if len(prompt.encode("utf-16-le")) > 2 * PROMPT_UNITS else []),
            *([_too_big("promptImage")] if _image_bytes(body.get("promptImage", "")) > IMAGE_BYTES else []),
        ]
        if problems:
            raise ApiError(400, "Validation of body failed", problems=problems)
        if rejection := read_directives(prompt).rejection:
            raise ApiError(400, rejection[1])
        credits_asked = checked.seconds() * checked.credits_per_second
        origin = self.service.origin(self.name, lives=self.content_seconds, credits=credits_asked)
        job = self.service.create(origin, str(uuid.uuid4()), checked.picture(body["model"], prompt))
        return {"id": job.id, "estimatedCost": {"credits": credits_asked}}

    def _task(self, task_id: str) -> Mapping[str, Any]:
        job = self.find(task_id)
        now = self.service.jobs.clock()
        shown: dict[str, Any] = {"id": job.id, "createdAt": iso(job.created_at)}
        estimate = {"estimatedCost": {"credits": job.detail("credits")}}
        match job.status(now):
            case "queued":
                return {**shown, "status": "PENDING", **estimate}
            case "in_progress":
                return {**shown, "status": "RUNNING", **estimate, "progress": job.progress(now) / 100}
            case "completed":
                return {**shown, "status": "SUCCEEDED", **_cost(job.detail("credits")), "output": [self._url(job, now)]}
            case "failed":
                return {**shown, **_end(job)}

    def _delete(self, task_id: str) -> tuple[str, int]:
        """A running task is cancelled, one that is over deleted; there is none of either afterwards."""
        job = self.find(task_id)
        if self.service.cancel(job) and read_directives(job.prompt).unstoppable:
            return "", 204
        self.service.jobs.delete(job.id)
        self.service.studio.forget(job)
        return "", 204

    def _url(self, job: Job, now: float) -> str:
        """A URL that is open to everybody until it expires."""
        token = jwt.encode({"sub": job.id, "exp": int(now + job.expires_after)}, _URL_KEY, algorithm="HS256")
        return f"{self.content_url(job)}?_jwt={token}"

    def _content(self, task_id: str) -> Response:
        self.refuse_keys()
        job = self.find(task_id)
        try:
            # Its own clock says whether a URL is still good.
            options: Any = {"verify_exp": False}
            claims = jwt.decode(request.args.get("_jwt", ""), _URL_KEY, algorithms=["HS256"], options=options)
        except jwt.InvalidTokenError:
            raise ApiError(401, "The URL is not signed.") from None
        if claims["sub"] != job.id or self.service.jobs.clock() >= claims["exp"]:
            raise ApiError(401, "The URL has expired.")
        if job.status(self.service.jobs.clock()) != "completed":
            raise self.not_found()
        return self.service.send(job)


def _end(job: Job) -> Mapping[str, Any]:
    """How a task that has no video ended; only one that was refused for its content is paid for."""
    paid = _cost(job.detail("credits"))
    ends: Mapping[str | None, Mapping[str, Any]] = {
        CANCELLED: {"status": "CANCELLED", **_cost(0)},
        ENDED: {"status": job.error_message, **_cost(0)},
        MISSING[0]: {"status": "SUCCEEDED", **paid, "output": []},
        MODERATION_BLOCKED[0]: {"status": "FAILED", **paid, **_FLAGGED},
    }
    broken = {"status": "FAILED", **_cost(0), "failure": job.error_message or "", "failureCode": _BROKEN}
    return ends.get(job.error_code, broken)


def _cost(number: int) -> Mapping[str, Any]:
    return {"cost": {"credits": number}}


def _issue(problem: str) -> str:
    return "unrecognized_keys" if problem == "extra_forbidden" else problem


def _too_big(name: str) -> Mapping[str, Any]:
    return {"type": "too_big", "loc": [name], "msg": f"{name} is too big"}


def _image_bytes(image: str) -> int:
    """How many bytes of image a data URI has; of any other URL none."""
    if not image.startswith("data:"):
        return 0
    try:
        return len(base64.b64decode(image.partition(",")[2], validate=True))
    except binascii.Error:
        raise ApiError(400, "promptImage is not base64.") from None
