"""A proof that cannot fail proves nothing: each thing that it is about is broken once, and found."""

from pathlib import Path

import pytest
import requests

from generation_history.object_store import key_of
from generation_history.worker import Worker
from scripts.proof import prove
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


def forget_the_id(place: Place, _other: Path) -> None:
    place.rows("update attempts set sora_video_id = null")


def lose_the_video(place: Place, _other: Path) -> None:
    place.store.delete(video_key(place))


def swap_the_video(place: Place, other: Path) -> None:
    place.store.put(video_key(place), other, content_type="video/mp4")


def forget_the_thumbnail(place: Place, _other: Path) -> None:
    place.rows("update scenes set thumbnail_url = null")


def miscount(place: Place, _other: Path) -> None:
    place.rows("update variants set scenes_completed = 0")


def leave_a_lease(place: Place, _other: Path) -> None:
    place.rows("""
        insert into jobs (scene_id, owner_id, step, lease_token)
        select id, owner_id, 'store', gen_random_uuid() from scenes
    """)


BREAKS = {
    pay_again: {"double_posts", "lost_jobs"},
    forget_the_id: {"lost_jobs"},
    lose_the_video: {"missing"},
    swap_the_video: {"wrong_objects"},
    forget_the_thumbnail: {"orphans"},
    miscount: {"wrong_totals"},
    leave_a_lease: {"jobs_left", "leases_left"},
}


@pytest.mark.parametrize("breaking", BREAKS, ids=lambda breaking: breaking.__name__)
def test_what_is_broken_is_found(done: Place, breaking, tmp_path: Path):
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    breaking(done, other)

    proof = prove(done.admin_url, done.store, done.provider_url)

    found = {name for name, value in vars(proof).items() if isinstance(value, int) and value}
    assert found - {"scenes", "completed", "provider_jobs"} == BREAKS[breaking]
    assert not proof.holds
