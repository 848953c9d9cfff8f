"""A proof that cannot fail proves nothing: each thing that it is about is broken once, and found."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from pydantic import TypeAdapter

from generation_history.errors import OutcomeUnknown
from generation_history.providers import VideoJob, VideoRequest
from generation_history.providers.sora import SoraProvider
from generation_history.storage.keys import owned_key
from generation_history.storage.quarantine import Quarantine
from generation_history.work.intents import Intent, Intents
from generation_history.work.worker import Worker
from scripts.chaos.payments import read_payments
from scripts.chaos.proof import Proof, prove
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
    key = owned_key(place.scene()["video_url"], generation[0])
    assert key is not None
    return key


def late_key(place: Place) -> str:
    ((generation, url),) = place.rows(
        "select g.id::text, a.video_url from generations g, attempts a where a.attempt = 2"
    )
    key = owned_key(url, generation)
    assert key is not None
    return key


@pytest.fixture
def done_twice(done: Place, worker: Worker) -> Place:
    """A place where all is well, with one scene, and a second paid job of it that came late."""
    pay_again(done, done.folder)
    paid = read_payments(done.admin_url, done.store, done.provider_url)
    came_at = datetime.fromtimestamp(paid.posts[-1]["arrived_at"] - 0.001, UTC)
    job_id = paid.posts[-1]["job_id"]
    done.rows("select record_late_answer(id, 1, %s, null, gen_random_uuid()) from scenes", job_id)
    done.rows("update attempts set intended_at = %s where attempt = 2", came_at)
    (intent,) = paid.intents.by_attempt.values()
    Intents(done.store).write(replace(intent, attempt=2, job_id=job_id, intended_at=came_at))
    done.finish(worker)
    proof = done.proof()
    assert (proof.completed, proof.provider_jobs, proof.attempts) == (1, 2, 2)
    return done


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
    """Neither the database nor the bucket knows of an intent before it."""
    at = datetime.now(UTC) + timedelta(days=1)
    place.rows("update attempts set intended_at = %s", at)
    change_intent(place, intended_at=at)
    pay_again(place, other)


def deny_the_post(place: Place, _other: Path) -> None:
    place.rows("alter table attempts disable trigger attempts_keep_their_job")
    place.rows("update attempts set outcome = 'not_sent', sora_video_id = null")


def forget_the_id(place: Place, _other: Path) -> None:
    place.rows("alter table attempts disable trigger attempts_keep_their_job")
    place.rows("update attempts set sora_video_id = null")


def change_intent(place: Place, **known: object) -> None:
    """The intent of the only attempt says this instead."""
    ((key, _),) = Intents(place.store).list_keys()
    intent = Intents(place.store).read_key(key)
    assert intent is not None
    body = TypeAdapter(Intent).dump_json(replace(intent, **known))
    place.store.put_bytes(key, body, content_type="application/json")


def lose_the_intent(place: Place, _other: Path) -> None:
    ((key, _),) = Intents(place.store).list_keys()
    place.store.delete(key)


def spoil_the_intent(place: Place, _other: Path) -> None:
    ((key, _),) = Intents(place.store).list_keys()
    place.store.put_bytes(key, b"<html>", content_type="application/json")


def misplace_the_intent(place: Place, _other: Path) -> None:
    change_intent(place, attempt=2)


def deny_the_post_in_the_bucket(place: Place, _other: Path) -> None:
    change_intent(place, outcome="no_job", job_id=None)


def tell_the_prompt(place: Place, _other: Path) -> None:
    change_intent(place, reason=f"refused: {place.scene()['sora_prompt']}")


def name_another_job(place: Place, _other: Path) -> None:
    change_intent(place, job_id="video_of_nobody")


def intend_something_else(place: Place, _other: Path) -> None:
    change_intent(place, request_sha256="0" * 64)


def forget_the_attempt(place: Place, _other: Path) -> None:
    """Its job is paid for, and its scene, which is there, does not know it."""
    place.rows("delete from attempts")


def forget_all_but_the_post(place: Place, _other: Path) -> None:
    """As a failover does, and the bucket denies what was paid for: nobody will ever tell of it."""
    change_intent(place, outcome="no_job", job_id=None)
    place.rows("delete from generations")


def forget_the_intent_too(place: Place, other: Path) -> None:
    lose_the_intent(place, other)
    place.rows("delete from generations")


def pay_again_for_what_is_forgotten(place: Place, other: Path) -> None:
    pay_again(place, other)
    place.rows("delete from generations")


def lose_the_video(place: Place, _other: Path) -> None:
    place.store.delete(video_key(place))


def swap_the_video(place: Place, other: Path) -> None:
    place.store.put(video_key(place), other, content_type="video/mp4")


def forget_the_thumbnail(place: Place, _other: Path) -> None:
    place.rows("update scenes set thumbnail_url = null")
    place.rows("update attempts set thumbnail_url = null")


def forget_the_thumbnail_in_one_row(place: Place, _other: Path) -> None:
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


def forget_the_late_video(place: Place, _other: Path) -> None:
    place.rows("update attempts set video_url = null, thumbnail_url = null where attempt = 2")


def lose_the_late_video(place: Place, _other: Path) -> None:
    place.store.delete(late_key(place))


def swap_the_late_video(place: Place, other: Path) -> None:
    place.store.put(late_key(place), other, content_type="video/mp4")


def leave_a_lease(place: Place, _other: Path) -> None:
    place.rows("""
        insert into jobs (scene_id, owner_id, step, lease_token)
        select id, owner_id, 'store', gen_random_uuid() from scenes
    """)


#: What must be 0.
FIGURES = list(vars(Proof()))[list(vars(Proof())).index("unfinished_scenes") : -1]
BREAKS = {
    pay_again: {"double_posts", "lost_jobs"},
    lose_the_intent: {"unintended_posts"},
    spoil_the_intent: {"unintended_posts", "wrong_intents"},
    misplace_the_intent: {"unintended_posts", "wrong_intents"},
    deny_the_post_in_the_bucket: {"wrong_intents"},
    tell_the_prompt: {"wrong_intents"},
    name_another_job: {"wrong_intents", "unrecorded_jobs"},
    intend_something_else: {"wrong_intents"},
    forget_the_attempt: {"unrecorded_jobs", "unfinished_scenes"},
    forget_all_but_the_post: {"lost_jobs", "wrong_intents", "orphans"},
    forget_the_intent_too: {"double_posts", "lost_jobs", "orphans"},
    pay_again_for_what_is_forgotten: {"double_posts", "lost_jobs"},
    post_again_in_vain: {"double_posts"},
    post_what_nobody_asked_for: {"double_posts", "lost_jobs"},
    deny_the_post: {"untold_posts", "lost_jobs", "unrecorded_jobs", "unfinished_scenes", "wrong_costs"},
    forget_the_id: {"lost_jobs", "unrecorded_jobs", "wrong_costs"},
    lose_the_video: {"missing"},
    swap_the_video: {"wrong_objects"},
    forget_the_thumbnail: {"orphans"},
    forget_the_thumbnail_in_one_row: {"wrong_objects"},
    miscount: {"wrong_totals"},
    miscalculate: {"wrong_costs"},
    forget_the_price: {"wrong_costs"},
    miscount_the_statistics: {"wrong_totals"},
    leave_a_lease: {"jobs_left", "leases_left"},
}


LATE_BREAKS = {
    lose_the_late_video: {"missing"},
    swap_the_late_video: {"wrong_objects"},
    forget_the_late_video: {"unfetched_jobs", "orphans"},
}


def broken(place: Place, breaking: Callable[[Place, Path], None], folder: Path) -> set[str]:
    """What the proof finds once this was done."""
    other = folder / "other"
    other.write_bytes(b"something else")
    breaking(place, other)
    proof = prove(place.admin_url, place.store, place.provider_url)
    assert not proof.holds
    return {name for name in FIGURES if getattr(proof, name)}


@pytest.mark.parametrize("breaking", BREAKS, ids=lambda breaking: breaking.__name__)
def test_what_is_broken_is_found(done: Place, breaking, tmp_path: Path):
    assert broken(done, breaking, tmp_path) == BREAKS[breaking]


@pytest.mark.parametrize("breaking", LATE_BREAKS, ids=lambda breaking: breaking.__name__)
def test_what_is_broken_of_a_video_that_came_late_is_found(done_twice: Place, breaking, tmp_path: Path):
    assert broken(done_twice, breaking, tmp_path) == LATE_BREAKS[breaking]


def test_what_is_in_quarantine_is_no_orphan_and_a_row_that_names_it_misses_it(done: Place):
    keys = [key for key, _ in done.store.keys("generations/")]
    copies = [Quarantine(done.store).copy_in(key, datetime.now(UTC)) for key in keys]
    assert done.proof().holds

    for key in keys:
        done.store.delete(key)
    proof = prove(done.admin_url, done.store, done.provider_url)
    assert (proof.orphans, proof.missing) == (0, len(copies))


@pytest.mark.parametrize("is_heard", [True, False])
def test_what_the_database_has_forgotten_is_told_by_the_bucket(done: Place, *, is_heard: bool):
    """As after a failover: its video stays where it is, and scripts/reconcile names its job, or its POST."""
    if not is_heard:
        change_intent(done, outcome="posted", job_id=None)
    done.rows("delete from generations")

    proof = done.proof()

    assert (proof.scenes, proof.attempts, proof.posts, proof.forgotten_attempts) == (0, 1, 1, 1)


def test_a_forgotten_scene_costs_its_generation_nothing(place: Place, worker: Worker):
    """A failover may forget the second of two scenes alone."""
    place.record("one", "two")
    place.finish(worker)
    assert place.proof().cents > 0
    place.rows("delete from scenes where sora_prompt like 'two %%'")
    place.rows("update variants set total_scenes = 1, scenes_completed = 1")
    place.rows("select roll_up(id), roll_up_cost(id) from generations")

    proof = place.proof()

    assert (proof.scenes, proof.attempts, proof.forgotten_attempts) == (1, 2, 1)


def test_a_purge_that_the_database_has_forgotten_costs_nothing(done: Place):
    """The intents were marked, and then the database failed over to before the attempt."""
    change_intent(done, purged=True)
    for key, _ in list(done.store.keys("generations/")):
        done.store.delete(key)
    done.rows("delete from attempts")
    done.rows("""
        alter table scenes disable trigger scenes_status_moves_forward;
        update scenes set completed_at = null, status = 'failed', error_code = 'cancelled', sora_video_id = null,
            video_url = null, thumbnail_url = null, duration = null, resolution = null, file_size = null;
        alter table scenes enable trigger scenes_status_moves_forward
    """)
    done.rows("update generations set deleted_at = now(), purge_at = now() + interval '1 day'")
    done.rows("select roll_up(id), roll_up_cost(id) from generations")

    proof = done.proof()

    assert (proof.scenes, proof.attempts, proof.forgotten_attempts, proof.cents) == (1, 1, 1, 0)


def test_a_post_that_was_intended_anew_after_the_database_forgot_it_is_no_other_post(done: Place):
    """Whoever came next intended it before the bucket was asked, and then the answer to the first one came."""
    done.rows("update attempts set intended_at = now() + interval '1 second'")

    assert done.proof().posts == 1


def test_what_was_purged_is_nobodys_to_tell(done: Place):
    change_intent(done, purged=True)
    for key, _ in list(done.store.keys("generations/")):
        done.store.delete(key)
    done.rows("delete from generations")

    assert done.proof().forgotten_attempts == 1


def test_a_job_of_which_the_bucket_knows_that_it_was_posted_only_is_counted(done: Place):
    change_intent(done, outcome="posted", job_id=None)

    assert done.proof().unheard_jobs == 1


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

    def careless(self: SoraProvider, request: VideoRequest, *, attempt_token: str) -> VideoJob:
        try:
            return post(self, request, attempt_token=attempt_token)
        except OutcomeUnknown:
            return post(self, request, attempt_token=attempt_token)

    monkeypatch.setattr(SoraProvider, "submit", careless)
    place.faults(create={"status": 500, "times": 1})
    place.record("one")
    place.finish(worker)

    proof = prove(place.admin_url, place.store, place.provider_url)
    assert (proof.completed, proof.provider_jobs, proof.attempts, proof.posts) == (1, 1, 1, 2)
    assert {name for name in FIGURES if getattr(proof, name)} == {"double_posts"}
