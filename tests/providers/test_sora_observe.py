"""Asking about jobs: the dialect's relatives are understood, and no answer does harm."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from generation_history.errors import JobGone, NotAllowed, ProviderUnavailable
from generation_history.providers import VideoRequest
from generation_history.providers import sora as sora_module
from generation_history.providers.sora import SoraProvider
from tests.support.scripted_server import ScriptedServer, answer, endless, hang_up, head, never, raw

KEY = "sk-secret-0123456789"
WANTED = VideoRequest("a cat", "sora-2", "720x1280", 8)
MADE_AT = 1_780_000_000
AROUND = {
    "since": datetime.fromtimestamp(MADE_AT - 60, UTC),
    "until": datetime.fromtimestamp(MADE_AT + 60, UTC),
}


@pytest.fixture
def provider(scripted) -> SoraProvider:
    return SoraProvider(scripted.base_url, KEY)


def job(job_id="video_1", **known):
    made = {"id": job_id, "status": "in_progress", "prompt": "a cat", "model": "sora-2", "size": "720x1280"}
    return made | {"seconds": "8", "created_at": MADE_AT} | known


def page(*jobs, has_more=False):
    return answer(200, {"object": "list", "data": jobs, "has_more": has_more})


def queries(server):
    return [parse_qs(urlsplit(request.target).query) for request in server.requests]


# ---------------------------------------------------------------- find


def test_pages_are_asked_for_newest_first_until_there_are_no_more(provider, scripted):
    scripted.script(page(job("c"), job("b", prompt="a dog"), has_more=True), page(job("a")))

    assert [found.id for found in provider.find(WANTED, **AROUND)] == ["c", "a"]
    assert [query["order"] for query in queries(scripted)] == [["desc"], ["desc"]]
    assert [query.get("after") for query in queries(scripted)] == [None, ["b"]]


def test_a_page_older_than_the_window_is_the_last_one_asked_for(provider, scripted):
    scripted.script(page(job("b"), job("a", created_at=MADE_AT - 3600), has_more=True))

    assert [found.id for found in provider.find(WANTED, **AROUND)] == ["b"]
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("seconds", [-61, 61])
def test_a_job_made_outside_the_window_is_not_found(provider, scripted, seconds):
    scripted.script(page(job(created_at=MADE_AT + seconds)))

    assert provider.find(WANTED, **AROUND) == []


@pytest.mark.parametrize("seconds", [-60, 60])
def test_the_windows_ends_belong_to_it(provider, scripted, seconds):
    scripted.script(page(job(created_at=MADE_AT + seconds)))

    assert len(provider.find(WANTED, **AROUND)) == 1


@pytest.mark.parametrize("hidden", ["prompt", "model", "size", "seconds", "created_at"])
@pytest.mark.parametrize("how", ["null", "missing"])
def test_a_job_that_hides_what_it_was_asked_for_is_never_ours(provider, scripted, hidden, how):
    """Two scenes would both take it."""
    shown = job(**{hidden: None})
    if how == "missing":
        del shown[hidden]
    scripted.script(page(shown))

    assert provider.find(WANTED, **AROUND) == []


@pytest.mark.parametrize("seconds", [8, "8", 8.0, "8.0"])
def test_seconds_may_be_a_number_or_a_text(provider, scripted, seconds):
    scripted.script(page(job(seconds=seconds)))

    assert len(provider.find(WANTED, **AROUND)) == 1


def test_a_job_listed_on_two_pages_is_one_job(provider, scripted):
    """A list that is paged by offset moves on while jobs are made; two finds would be adopted by nobody."""
    scripted.script(page(job("b"), job("a"), has_more=True), page(job("a"), job("0", prompt="older")))

    assert [found.id for found in provider.find(WANTED, **AROUND)] == ["b", "a"]


def test_a_server_that_does_not_page_is_not_asked_for_ever(provider, scripted):
    scripted.script(page(job("a"), has_more=True))

    assert [found.id for found in provider.find(WANTED, **AROUND)] == ["a"]
    assert len(scripted.requests) == 2


@pytest.mark.parametrize("silent", [{}, {"has_more": None}])
def test_a_list_that_does_not_say_whether_it_goes_on_is_read_to_its_end(provider, scripted, silent):
    """SGLang leaves it out; taking that for the end would lose the jobs of every page but the first."""
    pages = [[job("c"), job("b")], [job("a")], []]
    scripted.script(*(answer(200, {"object": "list", "data": jobs} | silent) for jobs in pages))

    assert [found.id for found in provider.find(WANTED, **AROUND)] == ["c", "b", "a"]
    assert [query.get("after") for query in queries(scripted)] == [None, ["b"], ["a"]]


def test_a_list_too_long_to_look_through_is_no_answer(provider, scripted, monkeypatch):
    """To say "there is none" would let the scene fail though its job is there."""
    monkeypatch.setattr(sora_module, "MAX_LIST_PAGES", 3)
    scripted.script(*(page(job(f"video_{number}"), has_more=True) for number in range(4)))

    with pytest.raises(ProviderUnavailable):
        provider.find(WANTED, **AROUND)


@pytest.mark.parametrize("body", [{}, {"data": None}, {"error": "no"}, {"detail": "no"}, [], b"<html>"])
def test_an_answer_that_is_no_list_does_not_mean_that_there_is_no_job(provider, scripted, body):
    scripted.script(answer(200, body))

    with pytest.raises(ProviderUnavailable):
        provider.find(WANTED, **AROUND)


def test_items_that_are_no_jobs_are_passed_over(provider, scripted):
    scripted.script(page(None, "x", {}, {"id": 1}, {"id": "y"}, job("a")))

    assert [found.id for found in provider.find(WANTED, **AROUND)] == ["a"]


# ---------------------------------------------------------------- poll


def test_every_part_of_a_job_is_understood(provider, scripted):
    known = {"progress": 40, "expires_at": MADE_AT + 3600, "error": {"code": "c", "message": "m"}}
    scripted.script(answer(200, job(**known)))

    polled = provider.poll("video_1")

    assert (polled.id, polled.status, polled.progress, polled.seconds) == ("video_1", "in_progress", 40, 8)
    assert polled.created_at == datetime.fromtimestamp(MADE_AT, UTC)
    assert polled.expires_at == polled.created_at + timedelta(hours=1)
    assert (polled.error_code, polled.error_message) == ("c", "m")


def test_a_job_may_leave_out_all_but_id_and_status(provider, scripted):
    scripted.script(answer(200, {"id": "video_1", "status": "queued"}))

    assert provider.poll("video_1").progress is None


@pytest.mark.parametrize("status", ["queued", "processing", "expired", "pending", "völlig neu", "x" * 300])
def test_a_status_is_handed_on_as_it_is(provider, scripted, status):
    scripted.script(answer(200, job(status=status)))

    assert provider.poll("video_1").status == status


@pytest.mark.parametrize("odd", [1e400, -1, "x", [], {}, True, 10**400, "9" * 5000, 1_780_000_000_000_000])
def test_odd_values_of_what_is_not_needed_do_no_harm(provider, scripted, odd):
    body = json.dumps(job(progress=odd, expires_at=odd, created_at=odd, seconds=odd, size=odd, error=odd))
    scripted.script(answer(200, body.encode()))

    assert provider.poll("video_1").status == "in_progress"


def test_texts_that_no_database_takes_are_made_ones_that_it_does(provider, scripted):
    error = {"code": "c\0", "message": "a\0b \ud800"}
    scripted.script(answer(200, job(status="failed\0", error=error)))

    polled = provider.poll("video_1")

    assert (polled.status, polled.error_code, polled.error_message) == ("failed", "c", "ab ?")


@pytest.mark.parametrize("job_id", ["aGk/bG8+d29y+bGQ=", "a b?c#d", "../../admin", "%2F", "ünïcode"])
def test_an_id_of_any_letters_is_one_part_of_the_path(provider, scripted, job_id):
    scripted.script(answer(200, job(job_id)))

    assert provider.poll(job_id).id == job_id

    path = scripted.requests[0].target
    assert path.startswith("/v1/videos/")
    assert not set(path.removeprefix("/v1/videos/")) & set("/?#=+ ")


@pytest.mark.parametrize("status", [400, 404, 422, 500])
def test_a_failed_job_may_come_with_an_error_status(provider, scripted, status):
    """vLLM-Omni answers so, with an integer as the code."""
    scripted.script(answer(status, job(status="failed", error={"code": 500, "message": "CUDA out of memory"})))

    polled = provider.poll("video_1")

    assert (polled.status, polled.error_code, polled.error_message) == ("failed", "500", "CUDA out of memory")


@pytest.mark.parametrize("error", ["NSFW content", {"message": "NSFW content"}, {"message": "NSFW content", "code": 1}])
def test_a_failed_job_says_why_in_one_way_or_another(provider, scripted, error):
    scripted.script(answer(200, job(status="failed", error=error)))

    assert provider.poll("video_1").error_message == "NSFW content"


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("body", [{"error": {"message": "not found"}}, {"detail": "not found"}, b"", b"<html>"])
def test_a_job_that_is_not_known_is_gone(provider, scripted, status, body):
    scripted.script(answer(status, body))

    with pytest.raises(JobGone):
        provider.poll("video_1")


def test_what_sglang_says_is_read_from_detail(provider, scripted):
    scripted.script(answer(404, {"detail": "Video not found"}))

    with pytest.raises(JobGone, match="Video not found"):
        provider.poll("video_1")


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_key_names_its_setting(provider, scripted, status):
    scripted.script(answer(status, {"error": {"message": f"Incorrect API key provided: {KEY}"}}))

    with pytest.raises(NotAllowed, match="OPENAI_API_KEY") as raised:
        provider.poll("video_1")

    assert KEY not in repr(raised.value)


def test_a_busy_server_says_when_to_come_again(provider, scripted):
    scripted.script(answer(429, b"", Retry_After=7))

    with pytest.raises(ProviderUnavailable) as raised:
        provider.poll("video_1")

    assert raised.value.retry_after == 7


NO_ANSWERS = {
    "400": answer(400, {"error": {"message": "bad"}}),
    "500": answer(500),
    "503 with a page": answer(503, b"<html>", kind="text/html"),
    "nothing": answer(200, b""),
    "garbage": answer(200, b"\xff\xfe"),
    "another thing": answer(200, {"object": "model"}),
    "a redirect": answer(302, b"", Location="/elsewhere"),
    "an endless redirect": endless(b"a" * 65536, kind="text/html", status=302, Location="/elsewhere"),
    "hang up": hang_up,
    "no HTTP": raw(b"hello\r\n"),
    "truncated": raw(head(200, {"Content-Length": 500}) + b'{"id": "video_1"'),
    "a broken chunk": raw(head(200, {"Transfer-Encoding": "chunked"}) + b"zz\r\n{}\r\n0\r\n\r\n"),
    "oversized": answer(200, b'{"id": "video_1", "status": "queued", "x": "' + b"a" * 5_000_000 + b'"}'),
    "endless": endless(b"a" * 65536, kind="application/json"),
    "a deep nest": answer(200, b"[" * 200_000),
}


@pytest.mark.parametrize("given", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_any_other_answer_means_to_ask_again_later(provider, scripted, given):
    scripted.script(given)

    with pytest.raises(ProviderUnavailable):
        provider.poll("video_1")


def test_a_server_that_never_answers_is_given_up(provider, scripted, monkeypatch):
    monkeypatch.setattr(sora_module, "READ_SECONDS", 0.1)
    scripted.script(never)

    with pytest.raises(ProviderUnavailable):
        provider.poll("video_1")


def test_an_answer_that_drips_is_given_up(provider, scripted, monkeypatch):
    monkeypatch.setattr("generation_history.providers.http.ANSWER_SECONDS", 0.1)
    scripted.script(endless(b" ", kind="application/json"))

    with pytest.raises(ProviderUnavailable):
        provider.poll("video_1")


def test_a_server_that_is_not_there_is_named_by_its_setting():
    with ScriptedServer() as gone:
        base_url = gone.base_url

    with pytest.raises(ProviderUnavailable, match="SORA_BASE_URL"):
        SoraProvider(base_url, KEY).poll("video_1")
