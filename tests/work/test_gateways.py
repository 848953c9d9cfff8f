"""A gateway's words end a scene as OpenAI's do, and no other owner's video comes home under another spelling."""

import re
from urllib.parse import unquote

import pytest

from generation_history.errors import InvalidValue
from generation_history.pipeline_integrator import PipelineIntegrator
from generation_history.work.worker import from_settings
from tests.support.scripted_server import answer

JOB = {"id": "video_1", "status": "queued"}


@pytest.fixture
def work(db, spaces, scripted, monkeypatch):
    """Does what there is to do, so many times, however long it would have waited."""
    monkeypatch.setenv("SORA_BASE_URL", scripted.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")

    def work(rounds):
        worker = from_settings()
        try:
            for _ in range(rounds):
                db.rows("update jobs set run_at = now() where lease_token is null")
                worker.run(seconds=600)
        finally:
            worker.close()

    return work


@pytest.fixture
def run(work, scripted, monkeypatch, manager, generation_factory, film):
    """One scene through the worker: what its provider answers to POST, GET and GET /content; the scene afterwards."""

    def go(*, post=JOB, status=200, poll=None, content=None, rounds=4):
        def serve(request):
            path = request.target.partition("?")[0]
            if request.method == "POST":
                return answer(status, post)
            if path == "/v1/videos":
                return answer(200, {"object": "list", "data": [], "has_more": False})
            if path.endswith("/content"):
                return content or answer(200, film, kind="video/mp4")
            job_id = unquote(path.rsplit("/", 1)[1])
            return answer(200, {"id": job_id, "status": "completed"} if poll is None else poll)

        monkeypatch.setattr(scripted, "_answer", lambda asked: (scripted.requests.append(asked), serve(asked))[1])
        generation = generation_factory(1, submit=True)
        work(rounds)
        assert [asked.method for asked in scripted.requests].count("POST") == 1
        return manager.get_generation(generation["id"])["variants"][0]["scenes"][0]

    return go


@pytest.mark.parametrize("word", ["succeeded", "success", "SUCCESS", "done", "complete", "COMPLETED", " completed "])
def test_a_finished_video_is_fetched(run, word):
    assert run(poll={"id": "video_1", "status": word})["status"] == "completed"


@pytest.mark.parametrize(
    ("word", "code"),
    [
        *((word, "provider_failed") for word in ("cancelled", "canceled", "error", "FAILURE", "FAILED", "rejected")),
        ("timeout", "provider_failed"),
        ("expired", "expired"),
        ("moderated", "moderation_blocked"),
    ],
)
def test_what_will_never_come_is_a_failure_at_once(run, word, code):
    scene = run(poll={"id": "video_1", "status": word, "error": {"message": "why so"}}, rounds=2)

    assert (scene["status"], scene["error_code"], scene["error_message"]) == ("failed", code, "why so")


@pytest.mark.parametrize(
    "why",
    [
        {"fail_reason": "blocked"},
        {"message": "blocked"},
        {"error_message": "blocked"},
        {"error": "blocked"},
        {"error": [{"message": "blocked"}]},
        {"error": {"code": 1301, "message": "blocked"}},
    ],
    ids=repr,
)
def test_the_reason_is_kept(run, why):
    assert "blocked" in run(poll={"id": "video_1", "status": "failed"} | why)["error_message"]


def test_a_cancelled_job_without_a_reason_says_so(run):
    assert "cancelled" in run(poll={"id": "video_1", "status": "cancelled"})["error_message"]


@pytest.mark.parametrize(
    "post", [{"task_id": "video_1"}, {"data": {"id": 7}}, [{"id": "a/b?c#d é"}], {"code": 1, "result": "1320098173"}]
)
def test_whatever_was_accepted_comes_home(run, post):
    assert run(post=post)["status"] == "completed"


@pytest.mark.parametrize("status", [402, 429, 500])
def test_a_job_that_an_error_tells_of_comes_home_and_is_not_paid_for_again(run, status):
    assert run(status=status)["status"] == "completed"


@pytest.mark.parametrize("status", [400, 402, 409, 429])
def test_an_error_that_may_have_made_a_job_is_not_posted_again(run, status):
    scene = run(post={"id": "video_1", "error": {"message": "busy"}}, status=status)

    assert (scene["status"], scene["sora_video_id"]) == ("pending", None)


@pytest.mark.parametrize("expires_at", [0, 1, 1_000_000_000, "3600", "2020-01-01T00:00:00Z", 1_600_000_000_000])
def test_an_expiry_in_another_unit_or_by_another_clock_ends_nothing(run, monkeypatch, expires_at):
    """The first download fails: that is when an expiry used to end the job."""
    poll = {"id": "video_1", "status": "completed", "expires_at": expires_at}
    monkeypatch.setattr("generation_history.work.retry_policy.MAX_REFUSALS", 2)

    scene = run(poll=poll, content=answer(503))

    assert scene["status"] == "processing"


def test_an_answer_that_names_no_job_is_believed_of_a_job_that_we_posted(run):
    assert run(poll={"status": "SUCCESSFUL"})["status"] == "completed"


def test_an_answer_that_names_no_job_is_not_believed_of_a_job_that_a_caller_named(
    run, manager, generation_factory, db, scripted
):
    mine = generation_factory(1)["variants"][0]["scenes"][0]["id"]
    manager.record_provider_job(mine, "VIDEO_1")

    assert run(poll={"status": "SUCCESSFUL"})["status"] == "completed"
    assert db.rows("select last_error from jobs where scene_id = %s and step = 'poll'", mine)[0][0].count("no job")


# ---------------------------------------------------------------- whose it is

#: What a usual nginx, or a server that does not care for case, makes the other owner's video_9.
SPELLINGS = [
    *("/video_9", "//video_9", "./video_9", "../videos/video_9", "x/../video_9", "x/./video_9", "%2e/video_9"),
    *("video_9/", "video_9?", "video_9?a=b", "video_9#", "video_9;a=b", "video_9 ", " video_9", "video_9\t"),
    *("video_9\n", "video%5f9", "video_9%20", "video_9%00", "video_9\\", ".\\video_9", "a//video_9", "vidéo_9"),
    *("video_\uff19", "video_9/.", "video_9/..", "...", "a/...", "..;/video_9", "video_9\u200b", "video_9,"),
    *("video_9&x", "video_9'"),
]


@pytest.mark.parametrize("spelling", SPELLINGS, ids=ascii)
@pytest.mark.usefixtures("spaces")
def test_an_id_that_some_server_reads_as_another_one_cannot_be_named(manager, generation_factory, db, spelling):
    generation = generation_factory(1)
    scene = generation["variants"][0]["scenes"][0]
    before = db.everything()

    for name in (
        lambda: manager.record_provider_job(scene["id"], spelling),
        lambda: manager.update_scene(scene["id"], sora_video_id=spelling),
        lambda: PipelineIntegrator(gen_manager=manager).process_sora_video(
            scene["id"], spelling, "http://x.test/v1/videos/1/content", generation["id"], "soft", 1
        ),
    ):
        with pytest.raises(InvalidValue, match=r"^sora_video_id: .*letters"):
            name()
    assert db.everything() == before


@pytest.mark.parametrize(
    "usual",
    [
        "video_68d7512d07848190b3e45da0ecbebcde",
        "00000000-0000-4000-8000-000000000000",
        "bGl0ZWxsbTpjdXN0b20/bG+tX3Byb3ZpZGVyOmdlbWluaQ==",
        "models/veo-3.1/operations/abc.123",
        "gen:7",
        ".a",
        "7",
    ],
)
def test_the_ids_of_providers_can_be_named(manager, generation_factory, usual):
    scene = generation_factory(1)["variants"][0]["scenes"][0]

    assert manager.record_provider_job(scene["id"], usual)["sora_video_id"] == usual


def test_another_owners_job_does_not_come_home_to_who_spells_its_id_in_capitals(
    run, manager, stranger, generation_factory, scripted
):
    """Its server does not care for case."""
    theirs = generation_factory(1, by=stranger)["variants"][0]["scenes"][0]["id"]
    stranger.record_provider_job(theirs, "VIDEO_1")

    assert run(poll={"id": "video_1", "status": "completed"})["status"] == "completed"

    scene = stranger.get_scene(theirs)
    assert (scene["status"], scene["video_url"], scene["sora_status"]) == ("processing", None, None)
    assert not [asked for asked in scripted.requests if re.search("VIDEO_1/content", asked.target)]


@pytest.mark.parametrize(("named", "given"), [("up_9", "video_1"), ("video_1", "up_9")])
def test_another_owners_job_does_not_come_home_by_another_of_its_ids(
    run, work, manager, stranger, generation_factory, named, given
):
    """The server knows it by both, and answers to both with both. Its owner loses nothing by that."""
    job = {"id": "video_1", "task_id": "up_9", "status": "processing"}
    mine = run(post={"task_id": given}, poll=job, rounds=1)
    theirs = generation_factory(1, by=stranger)["variants"][0]["scenes"][0]["id"]
    stranger.record_provider_job(theirs, named)
    job["status"] = "completed"

    work(2)

    scene = stranger.get_scene(theirs)
    assert (scene["status"], scene["error_code"], scene["video_url"]) == ("failed", "not_found", None)
    assert mine["sora_video_id"] == given
    assert manager.get_scene(mine["id"])["status"] == "completed"
