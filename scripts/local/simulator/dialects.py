"""How each server that speaks `/v1/videos` does it: OpenAI as documented, its relatives as read in their source."""

import base64
import secrets
import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.client import responses
from typing import Any, ClassVar, Literal, cast

from flask import Request

from scripts.local.simulator.create_request import read_fields
from scripts.local.simulator.directives import MODERATION_BLOCKED
from scripts.local.simulator.errors import ApiError
from scripts.local.simulator.job import Job
from scripts.local.simulator.render_queue import SUFFIXES, Variant

MannerName = Literal["openai", "litellm", "vllm-omni", "sglang"]
HOUR = 3600


class Manner:
    """OpenAI's own; a relative overrides what it does differently."""

    name: ClassVar[str] = "sora"
    retry_after_in_body: ClassVar[bool] = False
    #: Whether its jobs outlive a restart.
    remembers = True
    deletes = True

    def new_id(self) -> str:
        """An id that no other job has."""
        return "video_" + secrets.token_hex(24)

    def fields(self, request: Request) -> Mapping[str, object]:
        """The fields of a request to create a job."""
        return read_fields(request)

    def video(self, job: Job, now: float) -> Mapping[str, Any]:
        """A job as it is shown at this moment."""
        return cast("Mapping[str, Any]", job.as_video(now))

    def retrieved(self, job: Job, now: float) -> tuple[Mapping[str, Any], int]:
        """The answer about one job, and its HTTP status."""
        return self.video(job, now), 200

    def page(self, videos: Sequence[Mapping[str, Any]], *, has_more: bool) -> Mapping[str, Any]:
        """The answer to a request for the list."""
        ids = {"first_id": videos[0]["id"] if videos else None, "last_id": videos[-1]["id"] if videos else None}
        return {"object": "list", "data": videos, **ids, "has_more": has_more}

    def variant(self, name: str | None) -> Variant:
        """Which of a job's files `?variant=` means."""
        if name is None or name in SUFFIXES:
            return name or "video"
        problem = f"expected one of {', '.join(SUFFIXES)}, got {name!r}"
        raise ApiError(400, f"Invalid value for 'variant': {problem}.", param="variant", code="invalid_value")

    def check_content(self, job: Job, now: float) -> None:
        """Guarantees that the job has content to download."""
        match job.status(now):
            case "completed" if job.is_expired(now):
                lifetime = _duration(job.expires_after)
                raise ApiError(404, f"The video is no longer available. Downloads expire after {lifetime}.")
            case "completed":
                pass
            case "failed":
                raise ApiError(404, "Video generation failed, so there is nothing to download.")
            case "queued" | "in_progress":
                raise ApiError(404, "Video is not ready yet, use GET /v1/videos/{video_id} to check status.")

    def envelope(self, error: ApiError) -> Mapping[str, Any]:
        """The body of an error."""
        return {"error": {"message": error.message, "type": _kind(error), "param": error.param, "code": error.code}}

    def retired(self) -> ApiError:
        """The answer to a POST for a model that is gone."""
        return ApiError(404, "The model does not exist, or you do not have access to it.", code="model_not_found")

    def no_balance(self) -> ApiError:
        """The answer to a POST of an account that is empty."""
        return ApiError(400, "Billing hard limit has been reached.", code="billing_hard_limit_reached")


class LiteLLM(Manner):
    """A proxy in front of Veo: it says little of a job, and `completed` of one whose prompt was blocked."""

    deletes = False

    def new_id(self) -> str:
        """A long id in base64, which has to be escaped in a path."""
        plain_id = f"litellm:custom_llm_provider:gemini;model_id:veo;video_id:operations/{secrets.token_hex(16)}"
        return "video_" + base64.b64encode(plain_id.encode()).decode()

    def video(self, job: Job, now: float) -> Mapping[str, Any]:
        """Only id, status and error are told; queued and in progress are one."""
        fields = super().video(job, now)
        shown_fields = {"id": job.id, "object": "video", "status": fields["status"], "error": fields["error"]}
        if fields["status"] in {"queued", "in_progress"}:
            shown_fields["status"] = "processing"
        elif _is_blocked(job):
            shown_fields |= {"status": "completed", "error": None}
        return dict.fromkeys(fields) | shown_fields

    def variant(self, name: str | None) -> Variant:  # noqa: ARG002
        """The video, whatever is asked for."""
        return "video"

    def check_content(self, job: Job, now: float) -> None:
        """What is not there breaks inside the proxy, which is a 500."""
        match job.status(now):
            case "completed":
                super().check_content(job, now)
            case "failed":
                raise ApiError(500, "litellm.APIConnectionError: No response data in completed operation")
            case "queued" | "in_progress":
                raise ApiError(500, "litellm.APIConnectionError: Video generation is not complete yet.")

    def envelope(self, error: ApiError) -> Mapping[str, Any]:
        """The code is the HTTP status, as a text."""
        kind, code = _kind(error), str(error.status)
        return {"error": {"message": error.message, "type": kind, "param": error.param, "code": code}}


class VllmOmni(Manner):
    """A server of open models: it takes forms only, and forgets its jobs when it ends."""

    remembers = False

    def new_id(self) -> str:
        """An id that no other job has."""
        return f"video_gen_{uuid.uuid4().hex}"

    def fields(self, request: Request) -> Mapping[str, object]:
        """The fields of a form: a JSON body has none."""
        return request.form

    def video(self, job: Job, now: float) -> Mapping[str, Any]:
        """The code of an error is a number."""
        fields = super().video(job, now)
        if fields["error"] is None:
            return fields
        code = 400 if _is_blocked(job) else 500
        return {**fields, "error": {"code": code, "message": fields["error"]["message"]}}

    def retrieved(self, job: Job, now: float) -> tuple[Mapping[str, Any], int]:
        """A failed job comes with the HTTP status that is its error's code."""
        video = self.video(job, now)
        return video, video["error"]["code"] if video["error"] else 200

    def variant(self, name: str | None) -> Variant:  # noqa: ARG002
        """The video, whatever is asked for."""
        return "video"

    def check_content(self, job: Job, now: float) -> None:
        """A failed job's content is a 422."""
        if job.status(now) == "failed":
            raise ApiError(422, "Video generation failed. Check job status for error details.")
        super().check_content(job, now)

    def envelope(self, error: ApiError) -> Mapping[str, Any]:
        """The code is the HTTP status, as a number."""
        kind = responses.get(error.status, "Error")
        return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.status}}


class SGLang(Manner):
    """A server of open models that never tells a prompt, and does not say whether a list goes on."""

    def new_id(self) -> str:
        """An id that no other job has."""
        return str(uuid.uuid4())

    def fields(self, request: Request) -> Mapping[str, object]:
        """Here seconds may be a number too."""
        fields = read_fields(request)
        seconds = fields.get("seconds")
        return {**fields, "seconds": str(seconds)} if isinstance(seconds, int) else fields

    def video(self, job: Job, now: float) -> Mapping[str, Any]:
        """Seconds is a number, an error has no code, and the prompt is left out."""
        fields: dict[str, Any] = {**super().video(job, now), "seconds": int(job.seconds), "quality": "standard"}
        del fields["prompt"]
        if error := fields["error"]:
            fields["error"] = {"message": error["message"]}
        return fields

    def page(self, videos: Sequence[Mapping[str, Any]], *, has_more: bool) -> Mapping[str, Any]:  # noqa: ARG002
        """Only what is on the page."""
        return {"object": "list", "data": videos}

    def variant(self, name: str | None) -> Variant:
        """An index into a job's outputs, of which there is one."""
        if name is not None and not name.isdecimal():
            raise ApiError(400, f"Unsupported video content variant: {name!r}")
        if int(name or 0):
            raise ApiError(404, "Video output not found")
        return "video"

    def envelope(self, error: ApiError) -> Mapping[str, Any]:
        """FastAPI's own."""
        return {"detail": error.message}


MANNERS: Mapping[MannerName, Manner] = {
    "openai": Manner(),
    "litellm": LiteLLM(),
    "vllm-omni": VllmOmni(),
    "sglang": SGLang(),
}


def _is_blocked(job: Job) -> bool:
    return job.error_code == MODERATION_BLOCKED[0]


def _kind(error: ApiError) -> str:
    return "server_error" if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"


def _duration(seconds: float) -> str:
    return f"{seconds / HOUR:g} hours" if seconds >= HOUR else f"{seconds:g} seconds"
