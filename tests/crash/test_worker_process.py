"""A worker's process is killed right after each step; the next one finishes the work: nothing lost or paid twice."""

import signal
from pathlib import Path

import pytest

from generation_history.record.generation_manager import GenerationManager
from tests.crash.conftest import Place
from tests.crash.worker_process import STEPS
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"),
]

#: The steps between which the downloaded file lies in the temporary folder.
WITH_A_FILE = {
    "half of the download",
    "the thumbnail was made",
    "the video was uploaded",
    "the thumbnail was uploaded",
}
DIED = -signal.SIGKILL
PATIENCE_SECONDS = 20


def temp_files(place: Place) -> set[Path]:
    return set((place.folder / "generation-history").glob("*"))


@pytest.mark.parametrize("step", [step for step in STEPS if step != "the intent"])
def test_a_worker_killed_after_any_step_is_followed_by_one_that_finishes_the_work(place: Place, step: str):
    place.record(step)
    assert place.start_worker(step).wait(PATIENCE_SECONDS) == DIED, place.log()
    left_behind = temp_files(place)
    place.start_worker()
    place.wait_until_idle(seconds=PATIENCE_SECONDS)

    proof = place.proof()
    assert (proof.completed, proof.provider_jobs) == (1, 1)
    assert place.scene()["attempt"] == 1
    assert place.scene()["thumbnail_url"] is not None
    # What the dead one had begun to download is in nobody's way, and its follower left nothing beside it.
    assert temp_files(place) == left_behind
    assert bool(left_behind) == (step in WITH_A_FILE)


def test_a_worker_killed_between_intent_and_post_leaves_the_decision_to_a_person(place: Place):
    (scene,) = place.record("the intent")
    assert place.start_worker("the intent").wait(PATIENCE_SECONDS) == DIED, place.log()
    place.start_worker()
    place.wait_until_idle(seconds=PATIENCE_SECONDS)

    proof = place.proof()
    assert (proof.failed, proof.provider_jobs) == ({"submit_unknown": 1}, 0)

    GenerationManager().retry_scene(scene, confirmed=True)
    place.wait_until_idle(seconds=PATIENCE_SECONDS)

    proof = place.proof()
    assert (proof.completed, proof.provider_jobs) == (1, 1)
    assert place.scene()["attempt"] == 2


def test_a_worker_killed_after_the_row_had_nothing_left_to_do(place: Place):
    place.record("the row")
    assert place.start_worker("the row").wait(PATIENCE_SECONDS) == DIED, place.log()

    assert place.proof().completed == 1


IN_THE_WAY = [
    {"status": 404},
    {"status": 502},
]


@pytest.mark.parametrize("fault", IN_THE_WAY, ids=["gone", "out of order"])
def test_a_video_that_was_stored_before_it_expired_is_kept_though_its_worker_died(
    place: Place, fault: dict[str, object]
):
    place.record("[expire=2]")
    assert place.start_worker("the video was uploaded").wait(PATIENCE_SECONDS) == DIED, place.log()
    place.faults(content=fault)
    place.start_worker()
    eventually(lambda: place.rows("select 1 from scenes where expires_at < now()"))
    place.wait_until_done(seconds=PATIENCE_SECONDS)

    assert place.proof().completed == 1
    assert place.scene()["thumbnail_url"] is not None
