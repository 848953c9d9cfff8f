"""A retry by a person: what is paid for is fetched as long as it may be had, and a new one made for a reason only."""

from collections.abc import Callable

import pytest

from generation_history.errors import Conflict
from generation_history.models import FAILURE_CODES, RETRY_SUBMITS, Scene

#: Submitted, but nothing came of it that could still be fetched. submit_unknown needs a person's word besides.
SUBMITS = sorted(RETRY_SUBMITS)
FETCHES = sorted(set(FAILURE_CODES) - RETRY_SUBMITS - {"submit_unknown", "cancelled", "abandoned"})


@pytest.fixture
def fail(db, manager, generation_factory) -> Callable[..., str]:
    """Makes a scene that failed like this, and returns its id."""

    def make(code: str | None, *, video: str | None = "video_1", expires_in: str | None = None) -> str:
        scene_id = generation_factory(1)["variants"][0]["scenes"][0]["id"]
        manager.update_scene(scene_id, sora_video_id=video, status="failed", error_message="why", error_code=code)
        db.rows(
            "update scenes set expires_at = now() + %s::interval, provider_base_url = 'https://a/v1' where id = %s",
            expires_in,
            scene_id,
        )
        return scene_id

    return make


@pytest.fixture
def steps(db) -> Callable[[], list[str]]:
    """Takes the steps that are due."""
    due = "delete from jobs where run_at <= now() and lease_token is null returning step"
    return lambda: [step for (step,) in db.rows(due)]


def is_fresh(scene: Scene) -> bool:
    """Nothing of the old attempt is left."""
    names = ("sora_video_id", "sora_status", "provider", "provider_base_url", "expires_at")
    return scene["attempt"] == 2 and not any(scene[name] for name in names)


def test_a_scene_of_which_nothing_is_left_is_submitted_anew(manager, fail, steps):
    for code in SUBMITS:
        scene = manager.retry_scene(fail(code))

        assert (scene["status"], scene["error_code"], scene["error_message"]) == ("pending", None, None)
        assert is_fresh(scene)
        assert steps() == ["submit"]


@pytest.mark.parametrize("expires_in", [None, "1 hour"])
def test_a_scene_whose_job_may_still_be_fetched_is_only_fetched(manager, fail, steps, expires_in: str | None):
    """What is paid for is not paid for twice."""
    for number, code in enumerate([*FETCHES, None, "submit_unknown", "cancelled", "abandoned"]):
        scene = manager.retry_scene(fail(code, video=f"video_{number}", expires_in=expires_in))

        assert (scene["status"], scene["error_code"], scene["error_message"]) == ("pending", None, None)
        assert (scene["attempt"], scene["sora_video_id"]) == (1, f"video_{number}")
        assert scene["provider_base_url"] == "https://a/v1"
        assert steps() == ["poll"]


def test_a_scene_whose_job_should_have_expired_is_fetched_first(manager, fail, steps):
    """Clocks differ, and providers keep videos longer than they say: only the provider's own no ends its job."""
    for number, code in enumerate(FETCHES):
        scene = manager.retry_scene(fail(code, video=f"video_{number}", expires_in="-1 second"))

        assert (scene["attempt"], scene["sora_video_id"]) == (1, f"video_{number}")
        assert steps() == ["poll"]


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_scene_with_nothing_to_fetch_and_no_reason_for_a_new_one_stays_failed(
    manager, fail, steps, *, confirmed: bool
):
    for code in (*FETCHES, None, "cancelled", "abandoned"):
        scene_id = fail(code, video=None)
        with pytest.raises(Conflict, match=str(code) if code else "without a code"):
            manager.retry_scene(scene_id, confirmed=confirmed)
        assert (manager.get_scene(scene_id)["status"], manager.get_scene(scene_id)["attempt"]) == ("failed", 1)
    assert steps() == []


def test_an_unknown_submit_is_submitted_anew_on_a_persons_word_only(manager, fail, steps):
    scene_id = fail("submit_unknown", video=None)

    with pytest.raises(Conflict, match="submit_unknown"):
        manager.retry_scene(scene_id)
    assert steps() == []
    assert is_fresh(manager.retry_scene(scene_id, confirmed=True))
    assert steps() == ["submit"]


@pytest.mark.parametrize("status", ["pending", "processing", "completed"])
def test_only_a_failed_scene_can_be_retried(manager, generation_factory, steps, status: str):
    scene_id = generation_factory(1)["variants"][0]["scenes"][0]["id"]
    manager.update_scene(scene_id, status=status)

    with pytest.raises(Conflict, match=f"only a failed scene can be retried, this one is {status}"):
        manager.retry_scene(scene_id)
    assert steps() == []


def test_a_second_retry_is_a_conflict_and_queues_nothing_more(manager, fail, steps):
    scene_id = fail("provider_failed")
    manager.retry_scene(scene_id)

    with pytest.raises(Conflict, match="this one is pending"):
        manager.retry_scene(scene_id)
    assert steps() == ["submit"]
    assert manager.get_scene(scene_id)["attempt"] == 2


def test_a_retry_makes_its_generation_unfinished_again(manager, fail):
    scene_id = fail("provider_failed")
    [generation] = manager.list_generations()
    assert (generation["status"], generation["variants"][0]["status"]) == ("failed", "failed")

    manager.retry_scene(scene_id)

    [generation] = manager.list_generations()
    assert (generation["status"], generation["variants"][0]["status"]) == ("processing", "processing")
    assert (generation["error_message"], generation["completed_at"]) == (None, None)


def test_a_leftover_job_is_taken_over_by_the_retry(db, manager, fail, steps):
    """One that waits for hours after its failures, say, must not hold the retry up."""
    scene_id = fail("download_failed")
    db.rows(
        """
        insert into jobs (scene_id, owner_id, step, failures, run_at, deadline, lease_token)
        values (%s, %s, 'store', 5, now() + interval '1 hour', now() - interval '1 hour', gen_random_uuid())
        """,
        scene_id,
        manager.owner_id,
    )

    manager.retry_scene(scene_id)

    assert db.rows("select failures, deadline > now() + interval '23 hours' from jobs") == [(0, True)]
    assert steps() == ["poll"]
