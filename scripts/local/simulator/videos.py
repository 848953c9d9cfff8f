"""The routes of `/v1/videos`, as OpenAI's client calls them, in one server's manner."""

import hmac
import re
from collections.abc import Mapping
from typing import Any, cast

from flask import Blueprint, Response, g, request, send_file
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from scripts.local.simulator.create_request import PROMPT_LENGTH, CreateRequest, check_fields
from scripts.local.simulator.dialects import Manner
from scripts.local.simulator.directives import Directives, read_directives
from scripts.local.simulator.errors import ApiError
from scripts.local.simulator.job import Job
from scripts.local.simulator.jobs import Jobs, Order
from scripts.local.simulator.render_queue import Variant
from scripts.local.simulator.service import Service

LARGEST_BODY = 64 * 1024 * 1024
LARGEST_PAGE = 100
MEDIA_TYPES: dict[Variant, str] = {"video": "video/mp4", "thumbnail": "image/webp", "spritesheet": "image/jpeg"}


def videos(service: Service, manner: Manner) -> Blueprint:
    """The routes of `/v1/videos`, in this manner; an endpoint's name is the place of its faults."""
    routes = Blueprint(manner.name, __name__)
    jobs, studio = service.jobs, service.studio

    @routes.post("/v1/videos", endpoint="create")
    def create_video() -> Mapping[str, Any]:
        create_request, directives = _read_request(jobs, manner)
        job = jobs.add(manner.new_id(), create_request, directives)
        g.job_id = job.id
        studio.start(job)
        return manner.video(job, jobs.clock())

    @routes.get("/v1/videos", endpoint="list")
    def list_videos() -> Mapping[str, Any]:
        return _page(jobs, manner)

    @routes.get("/v1/videos/<job_id>", endpoint="retrieve")
    def retrieve_video(job_id: str) -> tuple[Mapping[str, Any], int]:
        return manner.retrieved(_find_job(jobs, job_id), jobs.clock())

    @routes.get("/v1/videos/<job_id>/content", endpoint="content")
    def download_content(job_id: str) -> Response:
        variant = manner.variant(request.args.get("variant"))
        job = _find_job(jobs, job_id)
        manner.check_content(job, jobs.clock())
        return service.pace.set(send_file(studio.file(job, variant), mimetype=MEDIA_TYPES[variant]), service.end_event)

    @routes.delete("/v1/videos/<job_id>", endpoint="delete")
    def delete_video(job_id: str) -> dict[str, Any]:
        if not manner.deletes:
            raise MethodNotAllowed(["GET"])
        job = _find_job(jobs, job_id)
        jobs.delete(job_id)
        studio.forget(job)
        return {"id": job_id, "object": "video.deleted", "deleted": True}

    return routes


def check_key(api_key: str) -> None:
    """Guarantees that the request has the key; else it is a 401."""
    authorization = request.authorization
    if authorization is None or authorization.type != "bearer" or not authorization.token:
        raise ApiError(401, "You didn't provide an API key in an Authorization header: Bearer YOUR_KEY.")
    if not hmac.compare_digest(authorization.token.encode(), api_key.encode()):
        raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")


def _read_request(jobs: Jobs, manner: Manner) -> tuple[CreateRequest, Directives]:
    """The request to create a job; one that is refused has been counted before its 400 is raised."""
    try:
        create_request = check_fields(manner.fields(request))
        return create_request, _require_accepted(read_directives(create_request.prompt))
    except ApiError:
        jobs.count_rejected(asked_prompt(manner))
        raise


def asked_prompt(manner: Manner) -> str:
    """The prompt of a request to create a job, as far as one can be made out."""
    try:
        prompt = str(manner.fields(request).get("prompt") or "")
    except (ApiError, HTTPException):
        return ""
    return prompt[:PROMPT_LENGTH].encode(errors="replace").decode()


def _require_accepted(directives: Directives) -> Directives:
    if directives.rejection is not None:
        code, message = directives.rejection
        raise ApiError(400, message, param="prompt", code=code)
    return directives


def _page(jobs: Jobs, manner: Manner) -> Mapping[str, Any]:
    after = request.args.get("after")
    page = jobs.page(limit=_limit(), order=_order(), after=after)
    if page is None:
        raise _not_found(str(after), param="after")
    page_jobs, has_more = page
    now = jobs.clock()
    return manner.page([manner.video(job, now) for job in page_jobs], has_more=has_more)


def _limit() -> int:
    limit = request.args.get("limit", "20")
    if not re.fullmatch("[0-9]{1,3}", limit) or int(limit) > LARGEST_PAGE:
        raise _invalid("limit", f"expected a whole number from 0 to {LARGEST_PAGE}, got {limit!r}")
    return int(limit)


def _order() -> Order:
    order = request.args.get("order", "desc")
    if order not in {"asc", "desc"}:
        raise _invalid("order", f"expected one of desc, asc, got {order!r}")
    return cast("Order", order)


def _find_job(jobs: Jobs, job_id: str) -> Job:
    job = jobs.get(job_id)
    if job is None:
        raise _not_found(job_id)
    return job


def _not_found(job_id: str, *, param: str | None = None) -> ApiError:
    return ApiError(404, f"Video with id '{job_id}' not found.", param=param)


def _invalid(name: str, problem: str) -> ApiError:
    return ApiError(400, f"Invalid value for '{name}': {problem}.", param=name, code="invalid_value")
