"""A download is asked of the provider that made the job, with that provider's own key and no other."""

import ast
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

import generation_history
from generation_history.errors import NotConfigured
from generation_history.providers import factory
from generation_history.providers.factory import Providers
from generation_history.providers.fal import FalProvider
from generation_history.providers.sora import SoraProvider
from tests.support.fakes import FakeProvider
from tests.support.scripted_server import ScriptedServer, answer

PACKAGE = Path(generation_history.__file__).parent

MODELS = {"sora": "sora-2", "fal": "fal:minimax/h3-max/text-to-video"}


@dataclass
class KeyedProvider(FakeProvider):
    """A provider in memory of a kind and with a key of its own, whose videos a real server hands out."""

    key: str = ""

    def fetch_video(self, job_id: str, target: Path, *, seconds: float | None = None) -> int:
        return SoraProvider(self.base_url, self.key).fetch_video(job_id, target, seconds=seconds)


@dataclass
class FilmProvider(FakeProvider):
    """A provider that no URL and no key leads to."""

    film: bytes = b""

    def fetch_video(self, job_id: str, target: Path, *, seconds: float | None = None) -> int:  # noqa: ARG002
        return target.write_bytes(self.film)


@pytest.fixture
def two(film: bytes) -> Iterator[list[tuple[ScriptedServer, KeyedProvider]]]:
    """Two servers and what asks them, each with another key."""
    with ExitStack() as servers:
        made: list[tuple[ScriptedServer, KeyedProvider]] = []
        for kind in ("sora", "fal"):
            server = servers.enter_context(ScriptedServer())
            server.script(answer(200, film, kind="video/mp4"))
            made.append((server, KeyedProvider(server.base_url, name=kind, key=f"sk-of-{kind}")))
        yield made


def test_each_download_carries_the_key_of_the_provider_that_made_the_job(scenes, two):
    ids = []
    for first, second in (two, two[::-1]):
        ids.append(scenes.add(f"a scene of {first[1].name}", model=MODELS[first[1].name]))
        scenes.step(providers=Providers([first[1], second[1]]))
    scenes.step(2, providers=Providers([provider for _, provider in two]))

    assert [scenes.ended(scene_id) for scene_id in ids] == [("completed", None)] * 2
    for server, provider in two:
        shown = {request.headers.get("authorization") for request in server.requests}
        assert shown == {f"Bearer {provider.key}"}


def test_the_worker_makes_no_provider_and_knows_no_key(scenes, film, monkeypatch):
    """What it was given is what it asks, whatever the settings say."""

    def made(*_: object, **__: object) -> None:
        raise AssertionError("a provider was made")

    monkeypatch.setattr(SoraProvider, "__init__", made)
    monkeypatch.delenv("SORA_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    scene_id = scenes.add()

    scenes.step(2, providers=Providers([FilmProvider("film:", film=film)]))

    assert scenes.ended(scene_id) == ("completed", None)


def test_the_factory_gives_each_kind_its_own_key_and_new_jobs_to_the_first(monkeypatch):
    monkeypatch.setenv("SORA_BASE_URL", "https://one.test/v1 https://two.test/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sora")
    monkeypatch.setenv("FAL_KEY", "fal-key")
    monkeypatch.setenv("FAL_BASE_URL", "https://three.test")

    made = factory.from_settings()

    assert made.base_urls == ["https://one.test/v1", "https://two.test/v1", "https://three.test"]
    assert made.first.base_url == "https://one.test/v1"
    fal = made.find("https://three.test")
    assert fal is made.find("https://three.test", kind="fal") is made.of_model(MODELS["fal"])
    assert isinstance(fal, FalProvider)
    assert made.find("https://three.test", kind="sora") is None
    assert made.find("https://four.test") is None
    assert made.find(None) is made.first


def test_two_kinds_cannot_have_the_same_server():
    """A job's server is known by its URL."""
    with pytest.raises(NotConfigured):
        Providers([FakeProvider("https://one.test", name="a"), FakeProvider("https://one.test", name="b")])


@pytest.mark.parametrize(
    ("folder", "above"),
    [
        ("work", {"providers.sora"}),
        ("providers", {"media", "work", "archives", "record", "api"}),
        ("media", {"work", "archives", "record", "api", "providers.http"}),
    ],
)
def test_imports_run_one_way(folder: str, above: set[str]):
    """The worker is given its providers, and a provider knows nothing of what is done with its videos."""
    imported = {
        name
        for path in (PACKAGE / folder).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
        for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
    }
    inner = {name.removeprefix("generation_history.") for name in imported}

    assert not [name for name in inner for other in above if name == other or name.startswith(f"{other}.")]
