"""What the catalogue says that a model takes, the simulator's model takes: two readings of the same documentation."""

import pytest

from generation_history.kind_settings import ServerSettings
from generation_history.providers import VideoRequest
from generation_history.providers.catalogue import catalogue, ours
from generation_history.providers.factory import JSON_KINDS
from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator
from tests.support.fakes import MP4
from tests.support.kinds import KindsClient

KEY = "key-of-the-simulator"
PATHS = {"fal": "/fal", "replicate": "/replicate/v1", "runway": "/runway/v1", "gemini": "/gemini/v1beta"}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    film = tmp_path_factory.mktemp("film") / "film.mp4"
    film.write_bytes(MP4)
    timing = Timing(queue_seconds=0, render_seconds=0)
    with simulator(tmp_path_factory.mktemp("kinds"), api_key=KEY, timing=timing, content=film) as base_url:
        yield KindsClient(base_url, key=KEY)


@pytest.fixture
def provider(kinds):
    def provider(kind):
        settings = ServerSettings(
            kinds.base_url + PATHS[kind],
            KEY,
            frozenset({"127.0.0.2"}),
            {"FAL_API_URL": f"{kinds.base_url}/fal-api/v1"},
        )
        return JSON_KINDS[kind](settings, catalogue)

    return provider


@pytest.mark.parametrize("model", [model for model in ours() if model.kind in PATHS], ids=lambda model: model.name)
def test_each_size_and_the_shortest_and_longest_video_of_a_model_is_made_as_asked(kinds, provider, model, tmp_path):
    server = provider(model.kind)
    asked = [
        VideoRequest("a cat", model.name, size, seconds, seed=7 if model.seed else None)
        for size in model.sizes
        for seconds in (model.duration.choices[0], model.duration.choices[-1])
    ]
    before = len(kinds.control("GET", "jobs")["jobs"])
    jobs = [server.submit(request, attempt_token="t") for request in asked]
    made = kinds.control("GET", "jobs")["jobs"][before:]

    assert [server.poll(job.id).status for job in jobs] == ["completed"] * len(jobs)
    assert [int(job["seconds"]) for job in made] == [request.seconds for request in asked]
    assert [job["size"] for job in made] == [request.size for request in asked]
    assert server.fetch_video(jobs[0].id, tmp_path / "video.mp4") == len(MP4)
    assert kinds.control("GET", "leaks")["leaks"] == []
