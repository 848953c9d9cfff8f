"""What a test, a soak or a person asks the simulator besides its API, without a key: `/simulator/...`."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, request

from scripts.local.simulator.faults import Faults
from scripts.local.simulator.jobs import Posts
from scripts.local.simulator.kind import read_body
from scripts.local.simulator.service import Service
from scripts.local.simulator.webhooks import Webhooks

NAME = "simulator"


def control(service: Service, faults: Faults, webhooks: Webhooks) -> Blueprint:
    """The routes that look at the jobs, and that look at and change the faults and the switches."""
    routes = Blueprint(NAME, __name__, url_prefix="/simulator")
    _show(routes, service)
    _change(routes, service, faults)
    _tell(routes, webhooks)
    return routes


def _show(routes: Blueprint, service: Service) -> None:
    """The routes that only look."""
    jobs = service.jobs

    @routes.get("/posts")
    def count_posts() -> Posts:
        return jobs.posts()

    @routes.get("/arrivals")
    def list_arrivals() -> dict[str, Any]:
        return {"arrivals": jobs.arrivals()}

    @routes.get("/jobs")
    def list_jobs() -> dict[str, Any]:
        now = jobs.clock()
        return {
            "jobs": [
                {
                    "id": job.id,
                    "kind": job.kind,
                    "prompt": job.prompt,
                    "model": job.model,
                    "size": job.size,
                    "seconds": job.seconds,
                    "created_at": int(job.created_at),
                    "status": "gone" if job.deleted else job.status(now),
                    "body": job.body,
                    "headers": job.detail("headers") or {},
                }
                for job in jobs.every()
            ]
        }

    @routes.get("/leaks")
    def list_leaks() -> Mapping[str, Any]:
        return {"leaks": service.leaks.every()}


def _change(routes: Blueprint, service: Service, faults: Faults) -> None:
    """The routes of what can be changed."""

    @routes.get("/faults")
    def show_faults() -> Mapping[str, Any]:
        return faults.as_json()

    @routes.put("/faults")
    def replace_faults() -> Mapping[str, Any]:
        faults.replace(request.get_json(force=True))
        return faults.as_json()

    @routes.delete("/faults")
    def clear_faults() -> Mapping[str, Any]:
        faults.replace({})
        return faults.as_json()

    @routes.get("/switches")
    def show_switches() -> Mapping[str, Any]:
        return service.switches.model_dump()

    @routes.put("/switches")
    def change_switches() -> Mapping[str, Any]:
        service.switches.change(read_body())
        return service.switches.model_dump()

    @routes.post("/rotate")
    def rotate_keys() -> Mapping[str, Any]:
        service.keys.rotate()
        return {}


def _tell(routes: Blueprint, webhooks: Webhooks) -> None:
    """The routes of the webhooks."""

    @routes.get("/webhooks")
    def list_deliveries() -> Mapping[str, Any]:
        return {"webhooks": webhooks.every()}

    @routes.post("/webhooks")
    def send_again() -> Mapping[str, Any]:
        return {"statuses": webhooks.send_again(request.args["job_id"])}
