"""An intent of each POST lies in the bucket: what the database has forgotten is not posted again, and comes home."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import conninfo, sql

from generation_history.errors import (
    JobGone,
    NoCredit,
    NotAllowed,
    NotSent,
    OutcomeUnknown,
    Rejected,
    StorageError,
    Unavailable,
)
from generation_history.provider_settings import Limits
from generation_history.providers.catalogue import catalogue
from generation_history.providers.factory import Providers
from generation_history.work import posts, submit_step
from generation_history.work.intents import Intent, Intents
from generation_history.work.posts import Posts
from generation_history.work.purge import Purge
from generation_history.work.requests import Requests
from scripts.operate.reconcile import reconcile
from tests.support.fakes import FakeProvider, as_asked, fail_with


@pytest.fixture
def intents(store) -> Intents:
    return Intents(store)


@pytest.fixture
def intent(intents, manager, db) -> Callable[..., Intent | None]:
    """The intent of a scene's attempt, as it lies in the bucket."""
    query = "select v.generation_id from scenes s join variants v on v.id = s.variant_id where s.id = %s"

    def read(scene_id: str, attempt: int = 1) -> Intent | None:
        return intents.read(db.rows(query, scene_id)[0][0], uuid.UUID(scene_id), attempt)

    return read


@dataclass
class Unreliable:
    """Intents in the bucket, of which some writes fail: the store did or did not take them."""

    real: Intents
    failing: list[str] = field(default_factory=list)
    taken: bool = False
    #: What happens once while somebody waits for an answer.
    meanwhile: list[Callable[[], None]] = field(default_factory=list)

    def read(self, *key: object) -> Intent | None:
        found = self.real.read(*key)
        while self.meanwhile:
            self.meanwhile.pop()()
        if "read" in self.failing:
            raise StorageError("DO_SPACES_ENDPOINT: it cannot be used")
        return found

    def write(self, intent: Intent) -> None:
        fails = intent.outcome in self.failing
        if not fails or self.taken:
            self.real.write(intent)
        if fails:
            raise StorageError("DO_SPACES_ENDPOINT: it cannot be used")


@pytest.fixture
def unreliable(intents) -> Unreliable:
    return Unreliable(intents)


# ---------------------------------------------------------------- before and after a POST


def test_the_intent_lies_in_the_bucket_before_the_provider_sees_the_request(scenes, provider, intent):
    scene_id = scenes.add()
    seen = []
    provider.before_submit = lambda _: seen.append(intent(scene_id))

    scenes.step()

    assert [(found.outcome, found.job_id, found.base_url) for found in seen] == [("posted", None, provider.base_url)]
    assert (intent(scene_id).outcome, intent(scene_id).job_id) == ("accepted", "video_0")


def test_an_intent_was_made_when_the_database_says_so(scenes, intent, db):
    """A machine's own clock may be a day off, and then nobody would find the job by it."""
    scene_id = scenes.accepted()

    assert [(intent(scene_id).intended_at,)] == db.rows("select intended_at from attempts")


def test_an_intent_tells_no_prompt(scenes, intent, store):
    scene_id = scenes.accepted("a secret campaign")

    assert b"secret" not in store.get_bytes(intent(scene_id).key, most_bytes=10_000)


@pytest.mark.parametrize("taken", [True, False])
def test_without_its_intent_in_the_bucket_nothing_is_posted_and_later_it_is_once(
    scenes, provider, unreliable, *, taken: bool
):
    """The store may have taken what it would not say that it took: it means no POST."""
    scene_id = scenes.add()
    unreliable.failing, unreliable.taken = ["posted"], taken
    scenes.step(3, intents=unreliable)
    assert provider.posts == []
    assert scenes.job(scene_id)[::2] == ("submit", "DO_SPACES_ENDPOINT: it cannot be used")

    unreliable.failing = []
    scenes.step(2, intents=unreliable)

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


def test_a_bucket_that_cannot_be_asked_has_nothing_posted(scenes, provider, unreliable):
    scene_id = scenes.add()
    unreliable.failing = ["read"]

    scenes.step(intents=unreliable)

    assert provider.posts == []
    assert scenes.job(scene_id)[0] == "submit"


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"outcome": "posted"}'])
def test_an_intent_that_nobody_can_read_has_nothing_posted(scenes, provider, store, intents, body: bytes):
    scene_id = scenes.add()
    generation_id = scenes.read(scene_id)["generation_id"]
    store.put_bytes(f"intents/{generation_id}/{scene_id}/1.json", body, content_type="application/json")

    scenes.step()

    assert provider.posts == []
    assert "is no intent" in scenes.job(scene_id)[2]


@pytest.mark.parametrize("error", [NotSent("busy"), NotAllowed("key")], ids=repr)
@pytest.mark.parametrize("taken_back", [True, False])
def test_a_post_that_made_no_job_is_made_again(scenes, provider, unreliable, intent, error, *, taken_back: bool):
    scene_id = scenes.add()
    unreliable.failing = [] if taken_back else ["no_job"]
    provider.before_submit = fail_with(error)
    scenes.step(3, intents=unreliable)
    assert len(provider.posts) == 3
    assert intent(scene_id).outcome == ("no_job" if taken_back else "posted")

    provider.before_submit = lambda _: None
    scenes.step(2, intents=unreliable)

    assert scenes.ended(scene_id) == ("completed", None)


def test_a_refused_attempt_says_so_in_the_bucket(scenes, provider, intent):
    scene_id = scenes.add()
    provider.before_submit = fail_with(Rejected("no"))

    scenes.step()

    assert (intent(scene_id).outcome, intent(scene_id).reason) == ("no_job", "no")


def test_a_worker_that_stood_still_before_its_post_makes_none_and_takes_its_intent_back(
    scenes, provider, intent, monkeypatch
):
    monkeypatch.setattr(submit_step, "MAX_BUCKET_SECONDS", -1)
    scene_id = scenes.add()

    scenes.step()

    assert provider.posts == []
    assert scenes.job(scene_id) == ("submit", 1, "the worker stood still before its POST")
    assert intent(scene_id).outcome == "no_job"


# ---------------------------------------------------------------- what the database did not hear


def test_an_answer_that_the_database_never_heard_is_told_by_the_bucket(scenes, provider, submissions, monkeypatch):
    """Its list hides prompts, as some relatives' do: it could not be found there."""
    scene_id = scenes.add()
    provider.find = lambda *_, **__: []
    with monkeypatch.context() as away:
        away.setattr(submissions, "accept", fail_with(Unavailable("away")))
        away.setattr("generation_history.work.worker.Worker._seconds_left", lambda _: 0.0)
        scenes.make_worker().run(seconds=600)
    assert scenes.attempt(scene_id) == ("intended", None)
    scenes.expire_leases()

    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


@pytest.mark.parametrize("whose", ["this", "an earlier"])
def test_a_post_of_which_the_bucket_knows_that_it_made_no_job_is_made_again(
    scenes, provider, submissions, claimed, intents, whose: str
):
    """Only of this very POST: what is told of an earlier one says nothing about the last."""
    scene_id = scenes.add()
    job = claimed(scene_id)
    submissions.record_submit_intent(job, provider="fake", base_url=provider.base_url, request=as_asked())
    token = job.lease_token if whose == "this" else uuid.uuid4()
    made = posts._intent_of(job, provider, as_asked(), datetime.now(UTC))
    intents.write(replace(made, token=token, outcome="no_job", reason="busy"))
    scenes.expire_leases()

    scenes.step(3)

    assert len(provider.posts) == (whose == "this")


# ---------------------------------------------------------------- what the database has forgotten


@pytest.fixture
def backup(db, postgres) -> Iterator[Callable[[], Callable[[], None]]]:
    """Makes a backup of this test's database, and returns what restores it: all that was written since is forgotten."""
    name = conninfo.conninfo_to_dict(db.api)["dbname"]
    copies: list[str] = []
    end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"

    def run(admin: psycopg.Connection, statement: str, *names: str) -> None:
        admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def make() -> Callable[[], None]:
        copy = f"{name}_backup"
        copies.append(copy)
        with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
            admin.execute(end, [name])
            run(admin, "create database {} template {}", copy, name)
        return restore

    def restore() -> None:
        with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
            run(admin, "drop database {} with (force)", name)
            run(admin, "create database {} template {}", name, copies[-1])

    yield make
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        for copy in copies:
            run(admin, "drop database if exists {}", copy)


def test_after_a_restore_nothing_is_posted_twice_and_every_paid_job_comes_home(scenes, provider, backup):
    """As if the database were restored to just before the POSTs, to between them and their answers, and after."""
    waiting = [scenes.add(f"a cat {number}") for number in range(3)]
    restore = backup()
    scenes.step(2)
    assert len(provider.posts) == 3

    restore()
    scenes.step(3)

    assert [scenes.ended(scene_id) for scene_id in waiting] == [("completed", None)] * 3
    assert len(provider.posts) == 3


def test_after_a_restore_a_post_whose_answer_nobody_has_is_looked_for_from_when_it_was_made(
    scenes, provider, backup, db
):
    found, lost = scenes.add("a cat"), scenes.add("a dog")
    restore = backup()
    provider.after_submit = fail_with(OutcomeUnknown("no answer"))
    scenes.step()
    provider.jobs = {job_id: job for job_id, job in provider.jobs.items() if job.prompt == "a cat"}
    made_at = db.rows("select scene_id::text, intended_at from attempts")

    restore()
    scenes.step()
    for (_, before), (_, after) in zip(
        sorted(made_at), sorted(db.rows("select scene_id::text, intended_at from attempts")), strict=True
    ):
        assert abs((after - before).total_seconds()) < 5
    scenes.step(3, find_seconds=0)

    assert scenes.ended(found) == ("completed", None)
    assert scenes.ended(lost) == ("failed", "submit_unknown")
    assert len(provider.posts) == 2


def test_after_a_restore_the_next_attempt_finds_that_it_was_posted_before(scenes, provider, backup, manager):
    """The database knows of the first attempt's failure, and not that a second one was paid for."""
    scene_id = scenes.accepted(status="failed", error_message="no")
    scenes.step()
    restore = backup()
    manager.retry_scene(scene_id)
    scenes.step(2)
    assert scenes.ended(scene_id) == ("completed", None)

    restore()
    manager.retry_scene(scene_id)
    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 2


def test_a_worker_whose_intent_the_database_forgot_before_its_post_makes_none(
    scenes, provider, backup, unreliable, intent
):
    """It asked the bucket before another one, who knows nothing of it, wrote there and posted."""
    scene_id = scenes.add()
    restore = backup()
    unreliable.meanwhile = [scenes.step, restore]

    scenes.step(intents=unreliable)
    assert len(provider.posts) == 1
    assert intent(scene_id).outcome != "no_job"
    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


def test_after_a_restore_the_job_of_the_last_post_is_looked_for_not_of_one_before(
    scenes, provider, backup, submissions, claimed, db
):
    """The backup knows the attempt as it was a day before, about to make a POST that made no job."""
    scene_id = scenes.add()
    job = claimed(scene_id)
    submissions.record_submit_intent(job, provider="fake", base_url=provider.base_url, request=as_asked())
    db.rows("update attempts set intended_at = now() - interval '1 day'")
    restore = backup()
    submissions.retry_unsent(job, "busy", retry_after=None)
    provider.after_submit = fail_with(OutcomeUnknown("no answer"))
    scenes.step()
    assert len(provider.posts) == 1

    restore()
    scenes.expire_leases()
    scenes.step(3)

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


@pytest.mark.parametrize("answer", [fail_with(OutcomeUnknown("no answer")), lambda _: None], ids=["unheard", "heard"])
def test_after_a_restore_a_worker_that_died_before_it_asked_the_bucket_hides_no_job(
    scenes, provider, backup, submissions, claimed, intents, db, answer
):
    """It was posted a day ago; the database only knows that it was to be posted now."""
    scene_id, a_day_ago = scenes.add(), datetime.now(UTC) - timedelta(days=1)
    restore = backup()
    provider.after_submit = answer
    scenes.step()
    provider.change("video_0", created_at=a_day_ago)
    ((key, _),) = [found for found in intents.list_keys() if scene_id in found[0]]
    intents.write(replace(intents.read_key(key), intended_at=a_day_ago))
    restore()
    submissions.record_submit_intent(claimed(scene_id), provider="fake", base_url=provider.base_url, request=as_asked())
    scenes.expire_leases()

    scenes.step(3, find_seconds=0)

    assert scenes.ended(scene_id) == ("completed", None)
    assert db.rows("select intended_at from attempts") == [(a_day_ago,)]
    assert len(provider.posts) == 1


def test_what_is_paid_for_comes_home_also_where_its_model_would_be_refused_now(scenes, provider, backup):
    """An operator may have corrected the model's entry since."""
    definition = {
        "name": "sora:sora-2",
        "prompt": "prompt",
        "duration": {"field": "seconds", "as": "text", "from": 20, "to": 30},
        "sizes": {"720x1280": {"size": "720x1280"}},
        "default": {"size": "720x1280", "seconds": 20},
        "checked": "2026-12-01",
    }
    scene_id = scenes.add(model="sora-2", seconds=8)
    restore = backup()
    scenes.step(2)

    restore()
    scenes.step(2, requests=Requests("sora-2", models=lambda: catalogue([definition])))

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


def test_what_is_paid_for_comes_home_also_where_its_provider_takes_no_posts_now(scenes, provider, db, backup):
    paid_id = scenes.add("a paid scene")
    restore = backup()
    scenes.step(2)
    restore()
    waiting_id = scenes.add("a scene that waits")
    db.rows("update jobs set run_at = now() - interval '1 hour' where scene_id = %s", waiting_id)
    provider.before_submit = fail_with(NoCredit("pay"))

    # Of two kinds one takes no POSTs: the other's are made, so jobs of both are claimed.
    other = FakeProvider("http://other.test/v1", name="fal")
    scenes.make_worker(providers=Providers([provider, other]), concurrency=1).run(seconds=600)

    assert scenes.job(waiting_id) == ("submit", 0, "pay")
    assert scenes.attempt(paid_id) == ("accepted", next(iter(provider.jobs)))


def test_what_is_paid_for_comes_home_also_where_a_limit_would_hold_it_back_now(scenes, provider, backup):
    scene_id = scenes.add()
    restore = backup()
    scenes.step(2)

    restore()
    scenes.step(2, limits=Limits(usd_per_owner_and_day=0))

    assert scenes.ended(scene_id) == ("completed", None)


def test_a_paid_job_of_a_scene_that_the_database_takes_for_over_is_recorded_by_reconcile(
    scenes, provider, backup, manager, db, store, capsys
):
    scene_id = scenes.accepted(status="failed", error_message="no")
    scenes.step()
    restore = backup()
    manager.retry_scene(scene_id)
    scenes.step()
    restore()

    seen = reconcile(db.migrate, store)
    assert "paid     " in capsys.readouterr().out
    assert (seen.forgotten >= 1, seen.recovered) == (True, 0)
    reconcile(db.migrate, store, apply=True)
    scenes.step()

    assert scenes.ended(scene_id) == ("completed", None)
    assert scenes.attempt(scene_id) == ("stored", "video_1")
    assert len(provider.posts) == 2


def test_a_post_without_an_answer_of_a_scene_that_the_database_takes_for_over_is_looked_for(
    scenes, provider, backup, manager, db, store, capsys
):
    scene_id = scenes.accepted(status="failed", error_message="no")
    scenes.step()
    restore = backup()
    manager.retry_scene(scene_id)
    provider.after_submit = fail_with(OutcomeUnknown("no answer"))
    scenes.step()
    restore()

    reconcile(db.migrate, store, apply=True)
    assert f"POST without an answer  of scene {scene_id}, attempt 2" in capsys.readouterr().out
    scenes.step(3)

    assert scenes.ended(scene_id) == ("completed", None)
    assert scenes.attempt(scene_id) == ("stored", "video_1")
    assert reconcile(db.migrate, store).forgotten == 0
    assert len(provider.posts) == 2


def test_a_job_of_a_later_attempt_that_the_database_has_forgotten_is_not_adopted(
    scenes, provider, backup, manager, db, store
):
    """The first attempt was never answered and is looked for; what the second one was paid for is in the list."""
    answers = provider.before_submit
    scene_id = scenes.add()
    provider.before_submit = fail_with(OutcomeUnknown("no answer"))
    scenes.step()
    restore = backup()
    scenes.step(find_seconds=0)
    assert scenes.ended(scene_id) == ("failed", "submit_unknown")
    manager.retry_scene(scene_id, confirmed=True)
    provider.before_submit = answers
    scenes.step()
    restore()

    scenes.step(2)
    assert scenes.job(scene_id)[0] == "find"
    scenes.step(find_seconds=0)
    assert scenes.ended(scene_id) == ("failed", "submit_unknown")
    reconcile(db.migrate, store, apply=True)
    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert (scenes.read(scene_id)["attempt"], len(provider.posts)) == (2, 2)
    assert reconcile(db.migrate, store).forgotten == 0


def test_the_one_job_that_no_later_attempt_has_is_adopted(scenes, provider, backup, manager):
    """The database has forgotten that it was adopted, that the provider failed it, and what was posted then."""
    scene_id = scenes.add()
    answers = provider.after_submit
    provider.after_submit = fail_with(OutcomeUnknown("no answer"))
    scenes.step()
    restore = backup()
    scenes.step()
    provider.change("video_0", status="failed", error_message="no")
    scenes.step()
    provider.after_submit = answers
    manager.retry_scene(scene_id)
    scenes.step()
    restore()
    provider.change("video_0", status="completed")

    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert scenes.read(scene_id)["sora_video_id"] == "video_0"
    assert len(provider.posts) == 2


def test_each_of_two_unanswered_posts_has_the_job_of_its_turn_also_where_the_second_is_forgotten(
    scenes, provider, backup, manager, db, store
):
    scene_id = scenes.add()
    provider.after_submit = fail_with(OutcomeUnknown("no answer"))
    look = provider.before_find
    provider.before_find = fail_with(JobGone("no list now"))
    scenes.step()
    restore = backup()
    scenes.step(find_seconds=0)
    manager.retry_scene(scene_id, confirmed=True)
    scenes.step()
    restore()
    provider.before_find = look
    second = provider.jobs["video_1"].created_at + timedelta(seconds=2)
    provider.change("video_1", created_at=second, status="failed")
    provider.change("video_0", status="failed")

    scenes.step(3)
    assert scenes.read(scene_id)["sora_video_id"] == "video_0"
    reconcile(db.migrate, store, apply=True)
    scenes.step(3)

    tried = db.rows("select attempt, sora_video_id, error_code from attempts order by attempt")
    assert tried == [(1, "video_0", "provider_failed"), (2, "video_1", "provider_failed")]
    assert len(provider.posts) == 2


def test_nothing_is_adopted_while_the_bucket_cannot_be_asked(scenes, provider, monkeypatch):
    scene_id = scenes.add()
    provider.after_submit = fail_with(OutcomeUnknown("no answer"))
    scenes.step()
    with monkeypatch.context() as away:
        fail = fail_with(StorageError("DO_SPACES_ENDPOINT is away"))
        away.setattr(Posts, "later_posts", lambda _posts, job: fail(job))
        scenes.step()
    assert scenes.job(scene_id)[0::2] == ("find", "DO_SPACES_ENDPOINT is away")

    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)


def test_reconcile_begins_no_work_for_what_is_being_purged(scenes, provider, backup, manager, db, store):
    """Whoever purges has seen that nobody works for it: what came then would be left in the bucket."""
    scene_id = scenes.accepted(status="failed", error_message="no")
    scenes.step()
    generation_id = scenes.read(scene_id)["generation_id"]
    restore = backup()
    manager.retry_scene(scene_id)
    provider.after_submit = fail_with(OutcomeUnknown("no answer"))
    scenes.step()
    restore()
    manager.delete_generation(generation_id, purge=True)
    assert db.rows("select begin_purge(10)") == [(1,)]

    assert reconcile(db.migrate, store, apply=True).recovered == 0

    assert db.rows("select 1 from jobs") == []


def test_a_paid_job_that_another_attempt_has_is_not_recorded_again_and_again(
    scenes, provider, backup, manager, db, store
):
    scene_id = scenes.accepted(status="failed", error_message="no")
    scenes.step()
    restore = backup()
    manager.retry_scene(scene_id)
    scenes.step()
    restore()
    given_twice = """
        insert into attempts (id, scene_id, owner_id, attempt, outcome, sora_video_id, accepted_at)
        select gen_random_uuid(), id, owner_id, 1, 'accepted', 'video_1', now() from scenes where id = %s
    """
    db.rows(given_twice, scenes.add("a dog"))

    assert reconcile(db.migrate, store).forgotten == 0


def test_a_stored_video_that_the_database_forgot_waits_for_its_deleted_generation(
    scenes, provider, backup, manager, db, store, capsys
):
    """By the time that the generation is restored, the provider has no copy any more."""
    scene_id = scenes.add()
    generation_id = scenes.read(scene_id)["generation_id"]
    restore = backup()
    scenes.step(2)
    restore()
    manager.delete_generation(generation_id)
    provider.jobs.clear()
    reconcile(db.migrate, store, apply=True)
    assert scenes.attempt(scene_id) == ("late", "video_0")

    reconcile(db.migrate, store, older_than=timedelta())
    assert f"orphan   generations/{generation_id}" not in capsys.readouterr().out
    manager.restore_generation(generation_id)
    scenes.step(2)

    assert scenes.ended(scene_id) == ("completed", None)
    assert len(provider.posts) == 1


def test_a_post_without_an_answer_is_looked_for_also_where_the_database_knows_of_an_earlier_try(
    scenes, provider, backup, manager, db, store
):
    """Its generation is deleted before anybody looks: without it the scene would be over for good."""
    scene_id = scenes.add()
    provider.before_submit = fail_with(NotSent("busy"))
    scenes.step()
    restore = backup()
    provider.before_submit, provider.after_submit = lambda _: None, fail_with(OutcomeUnknown("no answer"))
    scenes.step()
    restore()
    generation_id = scenes.read(scene_id)["generation_id"]
    manager.delete_generation(generation_id)
    assert db.rows("select error_code from scenes") == [("cancelled",)]

    assert reconcile(db.migrate, store, apply=True).recovered == 1
    scenes.step(3)
    manager.restore_generation(generation_id)

    assert scenes.ended(scene_id) == ("completed", None)
    assert reconcile(db.migrate, store).forgotten == 0


@pytest.mark.parametrize("taken_back", [True, False])
def test_a_post_that_made_no_job_is_nothing_to_look_for(
    scenes, provider, unreliable, manager, db, store, *, taken_back: bool
):
    """Also where the bucket could not be told so: the database was."""
    scene_id = scenes.add()
    unreliable.failing = [] if taken_back else ["no_job"]
    provider.before_submit = fail_with(NotSent("busy"))
    scenes.step(intents=unreliable)
    unreliable.failing.append("posted")
    scenes.step(intents=unreliable)
    manager.delete_generation(scenes.read(scene_id)["generation_id"])

    assert reconcile(db.migrate, store).forgotten == 0


def test_a_post_that_was_given_up_is_nothing_to_look_for_again(scenes, provider, db, store):
    scene_id = scenes.add()
    provider.before_submit = fail_with(OutcomeUnknown("no answer"))
    scenes.step(3, find_seconds=0)
    assert scenes.ended(scene_id) == ("failed", "submit_unknown")

    assert reconcile(db.migrate, store).forgotten == 0


def test_a_post_without_an_answer_whose_scene_has_no_row_is_told(scenes, provider, backup, db, store, capsys):
    restore = backup()
    provider.after_submit = fail_with(OutcomeUnknown("no answer"))
    scene_id = scenes.add()
    scenes.step()
    restore()

    assert reconcile(db.migrate, store, older_than=timedelta()).unknown
    (told,) = [line for line in capsys.readouterr().out.splitlines() if scene_id in line]
    assert all(word in told for word in ("unknown", "POST without an answer", str(scenes.manager.owner_id)))


def test_a_paid_job_whose_scene_has_no_row_is_told(scenes, backup, db, store, intents, capsys):
    restore = backup()
    scene_id = scenes.accepted()
    generation_id = scenes.read(scene_id)["generation_id"]
    restore()

    report = reconcile(db.migrate, store, older_than=timedelta())

    assert not report.agrees
    told = [line for line in capsys.readouterr().out.splitlines() if generation_id in line]
    assert len(told) == 1
    assert all(word in told[0] for word in ("unknown", "video_0", scene_id, str(scenes.manager.owner_id)))


def test_a_video_whose_scene_has_no_row_is_not_taken_for_an_orphan(scenes, backup, db, store):
    """It is paid for: its row is what is missing."""
    restore = backup()
    scene_id = scenes.accepted()
    generation_id = scenes.read(scene_id)["generation_id"]
    scenes.step()
    restore()
    for key, _ in list(store.keys("generations/")):
        if generation_id not in key:
            store.delete(key)

    reconcile(db.migrate, store, apply=True, older_than=timedelta())

    assert len(list(store.keys(f"generations/{generation_id}/"))) == 2


def test_what_was_purged_is_neither_posted_again_nor_told(
    scenes, provider, backup, manager, db, store, worker_db, intents, capsys
):
    """An old backup may hold its rows still; what a provider said of it goes with it."""
    scene_id = scenes.add()
    generation_id = scenes.read(scene_id)["generation_id"]
    restore = backup()
    scenes.step(2)
    ((key, _),) = intents.list_keys(uuid.UUID(generation_id))
    intents.write(replace(intents.read_key(key), reason="what a provider says may quote a prompt"))
    manager.delete_generation(generation_id, purge=True)
    purge = Purge(worker_db, store, fenced_seconds=0)
    purge.run(seconds=60)
    db.rows("update generations set purging_since = now() - interval '1 hour'")
    purge.run(seconds=60)
    assert db.rows("select 1 from generations") == []
    assert (intents.read_key(key).purged, intents.read_key(key).reason) == (True, None)
    reconcile(db.migrate, store, older_than=timedelta())
    assert generation_id not in capsys.readouterr().out

    restore()
    scenes.step(2)

    assert len(provider.posts) == 1
