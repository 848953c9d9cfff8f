"""What a test, a soak or a person asks the simulator besides its API, without a key: `/simulator/...`."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, request

from scripts.local.simulator.faults import Faults
from scripts.local.simulator.jobs import Jobs, Posts

NAME = "simulator"


def control(jobs: Jobs, faults: Faults) -> Blueprint:
    """The routes that look at these jobs, and that look at and change these faults."""
    routes = Blueprint(NAME, __name__, url_prefix="/simulator")

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
                    "prompt": job.prompt,
                    "model": job.model,
                    "size": job.size,
                    "seconds": job.seconds,
                    "created_at": int(job.created_at),
                    "status": "gone" if job.deleted else job.status(now),
                }
                for job in jobs.every()
            ]
        }

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

    return routes
