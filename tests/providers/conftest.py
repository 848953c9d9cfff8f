"""One simulator for a module's tests of the five kinds, whose clock a test moves."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator
from tests.scripts.conftest import Clock
from tests.support.kind_providers import KEY, KindUnderTest
from tests.support.kinds import KindsClient

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def _five_kinds(tmp_path_factory: pytest.TempPathFactory, film: bytes) -> Iterator[tuple[str, Clock]]:
    """A job is queued for 10 seconds of the clock, and renders for 10 more."""
    folder = tmp_path_factory.mktemp("kinds")
    path = folder / "film.mp4"
    path.write_bytes(film)
    timing, clock = Timing(queue_seconds=10, render_seconds=10, expires_seconds=3600), Clock()
    with simulator(folder / "data", api_key=KEY, timing=timing, clock=clock, content=path) as base_url:
        yield base_url.removesuffix("/v1"), clock


@pytest.fixture
def make_kind(_five_kinds: tuple[str, Clock]) -> Iterator[Callable[[str], KindUnderTest]]:
    """Any kind at the module's simulator, which has no faults and its usual switches again afterwards."""
    root, clock = _five_kinds
    client = KindsClient(root, key=KEY)
    switches = client.control("GET", "switches")

    def make(name: str) -> KindUnderTest:
        return KindUnderTest(name, root, clock, client, _NUMBERS)

    yield make
    client.set_faults({})
    client.switch(**switches)
