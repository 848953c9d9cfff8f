"""Simulators of the kinds, whose clock a test moves and whose every video is the same few bytes."""

from collections.abc import Iterator

import pytest

from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator
from tests.support.kinds import KindsClient

KEY = "key-of-the-simulator"
FILM = b"\0" * 4000


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.25

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kinds(tmp_path, clock: Clock) -> Iterator[KindsClient]:
    """A job is queued for 10 seconds of the clock, and renders for 10 more."""
    film = tmp_path / "film.mp4"
    film.write_bytes(FILM)
    timing = Timing(queue_seconds=10, render_seconds=10, expires_seconds=3600)
    with simulator(tmp_path / "data", api_key=KEY, timing=timing, clock=clock, content=film) as base_url:
        yield KindsClient(base_url, key=KEY)
