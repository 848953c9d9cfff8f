"""Every endpoint there is, asked with another owner's ids: not found, as if they were nobody's, and nothing changed.

The endpoints are those that the deployed functions answer: a new one that is not told here how to be asked fails.
"""

import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from generation_history.api.app import resolver, routes_of
from generation_history.archives.archives import Archives
from generation_history.record.generation_manager import GenerationManager

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions/history"
#: Function, method and path.
Route = tuple[str, str, str]

#: A good body of each endpoint that takes one.
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/history/generations"): {"source_video_url": "x", "variant_types": ["soft"]},
    ("POST", "/clone"): {"source_video_url": "x", "variant_types": ["soft"]},
    ("PATCH", "/history/generations/<generation_id>"): {"status": "failed", "actual_cost": 1},
    ("PATCH", "/history/generations/<generation_id>/metadata"): {"evaluation_data": 1},
    ("POST", "/history/generations/<generation_id>/restore"): "",
    ("POST", "/history/generations/<generation_id>/download"): "",
    ("POST", "/history/variants/<variant_id>/scenes"): {"prompts": ["soft scene 1", "soft scene 2"], "submit": True},
    ("POST", "/history/scenes/<scene_id>/retry"): {"confirmed": True},
    ("POST", "/history/scenes/<scene_id>/video"): {"sora_video_id": "video_new"},
    ("POST", "/history/scenes/<scene_id>/attempts/<attempt>/use"): "",
}


def routes() -> list[Route]:
    """What the endpoint modules say they answer."""
    found = []
    for path in sorted(FUNCTIONS.glob("*/*.py")):
        if path.stem != "__main__":
            router = importlib.import_module(f"history.{path.parent.name}.{path.stem}").router
            found += [(path.parent.name, method, rule) for rule, methods, *_ in router._routes for method in methods]
    return found


ROUTES = routes()
BY_ID = [route for route in ROUTES if "<" in route[2]]
IDS = {"generation_id", "variant_id", "scene_id"}
#: The same for everybody.
NAMES = {"attempt": "1", "kind": "original_analysis"}


class Asked:
    """A call of one route: with the ids of a record, by someone."""

    def __init__(self, call: Callable[..., Any], record: dict[str, str]) -> None:
        self._call = call
        self.record = record

    def __call__(self, route: Route, headers: dict[str, str], ids: dict[str, str] | None = None) -> Any:
        function, method, path = route
        known = (self.record if ids is None else ids) | NAMES
        asked = re.sub(r"<(\w+)>", lambda match: known[match[1]], path)
        body = BODIES.get((method, path), "")
        return self._call(
            function, asked.partition(f"/history/{function}")[2], method=method, body=body, headers=headers
        )


@pytest.fixture
def owner_id() -> str:
    return str(uuid4())


@pytest.fixture
def theirs(db, owner_id: str, by_token) -> dict[str, str]:
    return by_token(sub=owner_id)


@pytest.fixture
def strangers(by_token) -> dict[str, str]:
    return by_token(sub=str(uuid4()))


@pytest.fixture
def asked(call, owner_id: str, generation_factory, spaces, theirs) -> Asked:
    """Calls about a generation of the owner's, whose first scene is stored and whose second has failed."""
    manager = GenerationManager(owner_id)
    made = generation_factory(2, by=manager)
    variant = made["variants"][0]
    first, second = variant["scenes"]
    base = f"{spaces.base_url}/generations/{made['id']}/soft/scene_1"
    links = {"video_url": f"{base}.mp4", "thumbnail_url": f"{base}_thumb.jpg"}
    manager.update_scene(first["id"], sora_video_id="video_old", status="completed", **links)
    manager.update_scene(second["id"], status="failed", error_code="submit_unknown")
    manager.save_metadata(made["id"], {"hook": "a cat"})
    Archives(UUID(owner_id)).ask(made["id"])
    ids = {"generation_id": made["id"], "variant_id": variant["id"], "scene_id": first["id"]}
    return Asked(call, ids)


def test_every_endpoint_is_known_to_these_tests():
    """Whoever adds one says here how it is asked."""
    deployed = []
    for path in FUNCTIONS.glob("*/__main__.py"):
        main = importlib.import_module(f"history.{path.parent.name}.__main__").main
        routers = inspect.getclosurevars(main).nonlocals["app"].__wrapped__
        resolved = routes_of(resolver(*inspect.getclosurevars(routers).nonlocals["routers"]))
        deployed += [(path.parent.name, route.method, route.path) for route in resolved]
    assert sorted(deployed) == sorted(ROUTES)
    named = {name for *_, path in ROUTES for name in re.findall(r"<(\w+)>", path)}
    assert named <= IDS | NAMES.keys()
    needed = {(method, path) for _, method, path in ROUTES if method not in {"GET", "DELETE"}}
    assert needed == set(BODIES)


@pytest.mark.parametrize("route", BY_ID, ids=" ".join)
def test_another_owners_id_is_as_good_as_nobodys_and_nothing_is_changed(
    asked: Asked, db, theirs, strangers, route: Route
):
    if route[2].endswith("/restore"):
        asked._call("generations", f"/{asked.record['generation_id']}", method="DELETE", headers=theirs)
    before = db.everything()

    told = asked(route, strangers)
    nobodys = asked(route, strangers, {name: str(uuid4()) for name in IDS})

    assert told.refused(404, "not_found") == nobodys.refused(404, "not_found")
    assert db.everything() == before
    # It was not the call that was wrong.
    assert asked(route, theirs).status != 404


@pytest.mark.parametrize("route", [route for route in ROUTES if "<" not in route[2]], ids=" ".join)
def test_what_belongs_to_nobody_in_particular_shows_and_changes_only_ones_own(
    asked: Asked, db, owner_id: str, theirs, strangers, route: Route
):
    tables = ("generations", "variants", "scenes", "generation_metadata", "jobs", "attempts")
    rows = " union all ".join(f"select t::text from {table} t where owner_id = %(o)s" for table in tables)
    before = db.rows(rows.replace("%(o)s", f"'{owner_id}'"))

    told = asked(route, strangers)

    assert told.status in {200, 202, 404}
    for named in (*asked.record.values(), owner_id, "a cat", "video_old", "scene_1"):
        assert named not in told.returned["body"]
    assert db.rows(rows.replace("%(o)s", f"'{owner_id}'")) == before


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_without_a_token_every_endpoint_is_closed(asked: Asked, db, route: Route):
    before = db.everything()

    assert asked(route, {}).refused(401, "not_authenticated")
    assert db.everything() == before
