"""A proof that cannot fail proves nothing: each thing that it is about is broken once, and found."""

from pathlib import Path

import pytest
import requests

from generation_history.errors import OutcomeUnknown
from generation_history.object_store import key_of
from generation_history.providers import VideoJob, VideoRequest
from generation_history.providers.sora import SoraProvider
from generation_history.worker import Worker
from scripts.proof import Proof, prove
from tests.conftest import PROVIDER_KEY
from tests.crash.conftest import Place


@pytest.fixture
def done(place: Place, worker: Worker) -> Place:
    """A place where all is well, with one scene."""
    place.record("one")
    place.finish(worker)
    assert place.proof().completed == 1
    return place


def video_key(place: Place) -> str:
    (generation,) = place.rows("select id::text from generations")
    key = key_of(place.scene()["video_url"], generation[0])
    assert key is not None
    return key


def pay_again(place: Place, _other: Path) -> None:
    form = {"prompt": place.scene()["sora_prompt"], "model": "sora-2", "size": "160x288", "seconds": "1"}
    url, key = f"{place.provider_url}/videos", {"Authorization": f"Bearer {PROVIDER_KEY}"}
    requests.post(url, data=form, headers=key, timeout=5).raise_for_status()


def post_again_in_vain(place: Place, other: Path) -> None:
    """No second job is made, but it might have been."""
    place.faults(create={"status": 500, "times": 1})
    with pytest.raises(requests.HTTPError):
        pay_again(place, other)


def post_what_nobody_asked_for(place: Place, other: Path) -> None:
    place.rows("update attempts set intended_at = now() + interval '1 day'")
    pay_again(place, other)


def deny_the_post(place: Place, _other: Path) -> None:
    place.rows("alter table attempts disable trigger attempts_keep_their_job")
    place.rows("update attempts set outcome = 'not_sent', sora_video_id = null")


def forget_the_id(place: Place, _other: Path) -> None:
    place.rows("alter table attempts disable trigger attempts_keep_their_job")
    place.rows("update attempts set sora_video_id = null")


def lose_the_video(place: Place, _other: Path) -> None:
    place.store.delete(video_key(place))


def swap_the_video(place: Place, other: Path) -> None:
    place.store.put(video_key(place), other, content_type="video/mp4")


def forget_the_thumbnail(place: Place, _other: Path) -> None:
    place.rows("update scenes set thumbnail_url = null")


def miscalculate(place: Place, _other: Path) -> None:
    place.rows("update generations set actual_cost = actual_cost + 0.01")


def forget_the_price(place: Place, _other: Path) -> None:
    place.rows("delete from prices")


def miscount(place: Place, _other: Path) -> None:
    place.rows("update variants set scenes_completed = 0")


def miscount_the_statistics(place: Place, _other: Path) -> None:
    place.rows("update stat_deltas set videos = videos + 1")
    place.rows("update owner_day_stats set videos = videos + 1")


def leave_a_lease(place: Place, _other: Path) -> None:
    place.rows("""
        insert into jobs (scene_id, owner_id, step, lease_token)
        select id, owner_id, 'store', gen_random_uuid() from scenes
    """)


#: What must be 0.
FIGURES = list(vars(Proof()))[list(vars(Proof())).index("unfinished_scenes") : -1]
BREAKS = {
    pay_again: {"double_posts", "lost_jobs"},
    post_again_in_vain: {"double_posts"},
    post_what_nobody_asked_for: {"double_posts", "lost_jobs"},
    deny_the_post: {"untold_posts", "lost_jobs", "unfinished_scenes", "wrong_costs"},
    forget_the_id: {"lost_jobs", "wrong_costs"},
    lose_the_video: {"missing"},
    swap_the_video: {"wrong_objects"},
    forget_the_thumbnail: {"orphans"},
    miscount: {"wrong_totals"},
    miscalculate: {"wrong_costs"},
    forget_the_price: {"wrong_costs"},
    miscount_the_statistics: {"wrong_totals"},
    leave_a_lease: {"jobs_left", "leases_left"},
}


@pytest.mark.parametrize("breaking", BREAKS, ids=lambda breaking: breaking.__name__)
def test_what_is_broken_is_found(done: Place, breaking, tmp_path: Path):
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    breaking(done, other)

    proof = prove(done.admin_url, done.store, done.provider_url)

    assert {name for name in FIGURES if getattr(proof, name)} == BREAKS[breaking]
    assert not proof.holds


def test_a_post_that_provably_made_no_job_may_be_made_again(done: Place, tmp_path: Path):
    done.faults(create={"status": 429, "times": 1})
    with pytest.raises(requests.HTTPError):
        pay_again(done, tmp_path)

    proof = done.proof()
    assert (proof.posts, proof.refused_posts, proof.attempts) == (1, 1, 1)


def test_a_worker_that_posts_again_after_an_unaccepted_500_is_caught(
    place: Place, worker: Worker, monkeypatch: pytest.MonkeyPatch
):
    """One job is made and kept, and all the same it was luck that it was one."""
    post = SoraProvider.submit

    def careless(self: SoraProvider, request: VideoRequest) -> VideoJob:
        try:
            return post(self, request)
        except OutcomeUnknown:
            return post(self, request)

    monkeypatch.setattr(SoraProvider, "submit", careless)
    place.faults(create={"status": 500, "times": 1})
    place.record("one")
    place.finish(worker)

    proof = prove(place.admin_url, place.store, place.provider_url)
    assert (proof.completed, proof.provider_jobs, proof.attempts, proof.posts) == (1, 1, 1, 2)
    assert {name for name in FIGURES if getattr(proof, name)} == {"double_posts"}
