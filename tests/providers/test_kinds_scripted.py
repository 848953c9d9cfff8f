"""What the kinds may answer that the simulator does not: each answer as a test scripts it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from generation_history.errors import (
    JobGone,
    NoCredit,
    NotAllowed,
    NotSent,
    OutcomeUnknown,
    ProviderUnavailable,
    Rejected,
    SceneFailure,
)
from generation_history.kind_settings import ServerSettings
from generation_history.provider_kinds import KINDS
from generation_history.providers import FirstFrame, VideoRequest
from generation_history.providers.catalogue import catalogue
from generation_history.providers.factory import JSON_KINDS
from generation_history.providers.json_provider import JsonProvider
from generation_history.providers.sora import SoraProvider
from tests.support.fakes import MP4
from tests.support.kind_providers import REQUESTS, TOKEN
from tests.support.scripted_server import LOOPBACK, Request, ScriptedServer, answer, hang_up, raw

KEY = "key-0123456789-abcdef"
WEBHOOK = "https://history.example/api/sora/webhook"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
WINDOW = {"since": NOW - timedelta(hours=1), "until": NOW + timedelta(hours=1)}
OTHERS = tuple(JSON_KINDS)
VIDEO = answer(200, MP4, kind="video/mp4")


def make(kind: str, server: ScriptedServer, *, webhook_url: str | None = None, hosts: tuple[str, ...] = ()):
    others = dict.fromkeys(KINDS[kind].other_urls or {}, f"{server.base_url}/api")
    settings = ServerSettings(server.base_url, KEY, frozenset(hosts), others)
    return JSON_KINDS[kind](settings, catalogue, webhook_url=webhook_url)


@pytest.fixture
def provider(request: pytest.FixtureRequest, scripted: ScriptedServer) -> JsonProvider:
    return make(request.param, scripted, hosts=(LOOPBACK,))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "video.mp4"


def of(*names: str):
    return pytest.mark.parametrize("provider", names, indirect=True)


def wanted(kind: str, **otherwise: object) -> VideoRequest:
    return replace(REQUESTS[kind], prompt="a cat", **otherwise)


def submit(provider: JsonProvider):
    return provider.submit(wanted(provider.name), attempt_token=TOKEN)


IDS = {"fal": "minimax/h3-max/requests/r1", "replicate": "p1", "runway": "t1", "gemini": "v1_" + "x" * 300}


# ---------------------------------------------------------------- the POST


def posted_to(provider: JsonProvider, scripted: ScriptedServer) -> Request:
    """The one POST, whose answer says nothing."""
    scripted.script(answer(500))
    with pytest.raises(OutcomeUnknown):
        submit(provider)
    (request,) = scripted.requests
    return request


def test_fals_post_has_the_input_alone_and_turns_its_own_repeating_off(scripted):
    request = posted_to(make("fal", scripted, webhook_url=WEBHOOK), scripted)
    url = urlsplit(request.target)

    assert (request.method, url.path) == ("POST", "/v1/minimax/h3-max/text-to-video")
    assert parse_qs(url.query) == {"fal_webhook": [f"{WEBHOOK}/fal?attempt={TOKEN}"]}
    assert request.headers["authorization"] == f"Key {KEY}"
    assert (request.headers["x-fal-no-retry"], request.headers["x-app-fal-disable-fallback"]) == ("1", "true")
    assert "x-fal-store-io" not in request.headers
    assert json.loads(request.body) == {
        "prompt": "a cat",
        "duration": 5,
        "aspect_ratio": "16:9",
        "resolution": "480P",
    }


def test_replicates_post_has_the_version_and_asks_for_the_last_event(scripted):
    request = posted_to(make("replicate", scripted, webhook_url=WEBHOOK), scripted)

    assert (request.method, request.target) == ("POST", "/v1/predictions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "prefer" not in request.headers
    assert json.loads(request.body) == {
        "version": "bytedance/seedance-2.0",
        "input": {"prompt": "a cat", "duration": 4, "aspect_ratio": "16:9", "resolution": "480p"},
        "webhook": f"{WEBHOOK}/replicate?attempt={TOKEN}",
        "webhook_events_filter": ["completed"],
    }


def test_runways_post_names_the_version_of_the_api_and_calls_nobody_back(scripted):
    request = posted_to(make("runway", scripted, webhook_url=WEBHOOK), scripted)

    assert (request.method, request.target) == ("POST", "/v1/text_to_video")
    assert request.headers["x-runway-version"] == "2024-11-06"
    assert json.loads(request.body) == {
        "model": "gen4.5",
        "promptText": "a cat",
        "ratio": "1280:720",
        "duration": 2,
    }


def test_geminis_post_has_one_credential_and_the_token_as_metadata(scripted):
    request = posted_to(make("gemini", scripted, webhook_url=WEBHOOK), scripted)

    assert (request.method, request.target) == ("POST", "/v1/interactions")
    assert request.headers["x-goog-api-key"] == KEY
    assert "authorization" not in request.headers
    assert json.loads(request.body) == {
        "model": "gemini-omni-1.2-flash",
        "background": True,
        "input": "a cat",
        "response_format": {
            "type": "video",
            "delivery": "uri",
            "aspect_ratio": "16:9",
            "resolution": "360p",
            "duration": "3s",
        },
        "webhook_config": {"uris": [f"{WEBHOOK}/gemini?attempt={TOKEN}"], "user_metadata": {"attempt": TOKEN}},
    }


@of(*OTHERS)
def test_without_a_url_to_call_back_none_is_named(provider, scripted):
    request = posted_to(provider, scripted)

    assert "webhook" not in request.target + request.body.decode()
    assert not provider.calls_back


@of(*OTHERS)
@pytest.mark.parametrize(
    "reply",
    [
        hang_up,
        answer(302, {"id": "1"}, Location="/elsewhere"),
        answer(200, b"{", kind="application/json"),
        answer(200, {"id": None, "request_id": None}),
        answer(200, {"id": "", "request_id": ""}),
        answer(200, []),
        answer(204),
        answer(408, {"detail": "timeout"}),
        answer(425),
        answer(502, {"id": "1", "request_id": "1", "status_url": "x"}),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        raw(b"SSH-2.0-OpenSSH\r\n"),
    ],
)
def test_an_answer_without_a_job_leaves_the_outcome_unknown_after_one_post(provider, scripted, reply):
    scripted.script(reply)

    with pytest.raises(OutcomeUnknown):
        submit(provider)

    assert len(scripted.requests) == 1


@of(*OTHERS)
@pytest.mark.parametrize(
    ("header", "body", "seconds"),
    [
        ("7", {"detail": "busy"}, 7),
        (None, {"detail": "busy", "retry_after": 9}, 9),
        ("soon", {}, None),
        (None, [], None),
    ],
)
def test_a_429_has_no_job_whether_the_header_or_the_body_says_when(provider, scripted, header, body, seconds):
    scripted.script(answer(429, body, Retry_After=header))

    with pytest.raises(NotSent) as raised:
        submit(provider)

    assert raised.value.retry_after == seconds


LOCKED = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
CREDIT = [
    ("fal", 403, {"detail": LOCKED}, NoCredit),
    ("fal", 403, {"detail": "User is locked. Reason: TOP_UP."}, NoCredit),
    ("fal", 403, {"detail": "User is locked. Reason: Admin lock. Please contact support@fal.ai"}, NotAllowed),
    ("replicate", 402, {"title": "Insufficient credit", "detail": "Go to billing", "status": 402}, NoCredit),
    ("replicate", 401, {"title": "Unauthenticated", "detail": "no", "status": 401}, NotAllowed),
    ("runway", 400, {"error": "You do not have enough credits to run this task."}, NoCredit),
    ("runway", 400, {"error": "Validation of body failed", "issues": []}, Rejected),
    ("gemini", 429, [{"error": {"code": 429, "message": "Your prepayment credits are depleted."}}], NoCredit),
    ("gemini", 429, [{"error": {"code": 429, "message": "Quota exceeded for requests per minute"}}], NotSent),
    (
        "gemini",
        400,
        [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}],
        NotAllowed,
    ),
    ("gemini", 403, {"error": {"code": 403, "message": "Method doesn't allow unregistered callers."}}, NotAllowed),
]


@pytest.mark.parametrize(("provider", "status", "body", "error"), CREDIT, indirect=["provider"])
def test_an_empty_account_a_refused_key_and_a_refused_request_are_told_apart(provider, scripted, status, body, error):
    scripted.script(answer(status, body))

    with pytest.raises(error) as raised:
        submit(provider)

    assert type(raised.value) is error


@of("gemini")
def test_gemini_that_takes_no_callback_is_posted_to_without_one(scripted, provider):
    """The refusal started nothing: the attempt is posted again, and nobody waits for an event."""
    gemini = make("gemini", scripted, webhook_url=WEBHOOK)
    refusal = 'Invalid JSON payload received. Unknown name "webhook_config": Cannot find field.'
    scripted.script(
        answer(400, [{"error": {"code": 400, "message": refusal}}]), answer(200, {"id": "v1_a", "status": "queued"})
    )
    with pytest.raises(NotSent, match="GEMINI_BASE_URL"):
        submit(gemini)

    assert submit(gemini).id == "v1_a"
    assert not gemini.calls_back
    assert "webhook_config" not in json.loads(scripted.requests[1].body)


def test_fals_job_without_a_path_below_the_queue_is_nobodys(scripted):
    fal = make("fal", scripted)
    for url in (None, "https://elsewhere.example/a/b/requests/r1/status", f"{scripted.base_url}/requests/r1/status"):
        scripted.script(answer(200, {"request_id": "r1", "status_url": url}))

        with pytest.raises(OutcomeUnknown):
            submit(fal)


# ---------------------------------------------------------------- polls


@of(*OTHERS)
@pytest.mark.parametrize("body", [b"", {}, {"message": "still at it"}, b"accepted"])
def test_a_202_without_a_word_means_still_running(provider, scripted, body):
    scripted.script(answer(202, body))

    assert provider.poll(IDS[provider.name]).status not in {"completed", "failed", "cancelled", "expired"}


@of("replicate", "runway", "gemini")
def test_an_answer_about_another_job_is_not_believed(provider, scripted):
    words = {"replicate": "succeeded", "runway": "SUCCEEDED", "gemini": "completed"}
    scripted.script(answer(200, {"id": "another", "status": words[provider.name], "output": ["https://x.example/v"]}))

    with pytest.raises(ProviderUnavailable):
        provider.poll(IDS[provider.name])


@of(*OTHERS)
@pytest.mark.parametrize("reply", [answer(500), answer(502, b"<html>"), answer(200, b"<html>"), hang_up, answer(429)])
def test_a_poll_without_an_answer_says_nothing_of_the_job(provider, scripted, reply):
    scripted.script(reply)

    with pytest.raises(ProviderUnavailable):
        provider.poll(IDS[provider.name])


FAL_STATUS = {"status": "COMPLETED", "request_id": "r1"}
DETAIL = [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation"}]
PLAIN_DETAIL = [{"loc": ["body", "duration"], "msg": "too long", "type": "less_than_equal"}]


@of("fal")
@pytest.mark.parametrize(
    ("status", "body", "ended", "code"),
    [
        (422, {"detail": DETAIL}, "failed", "moderation_blocked"),
        (422, {"detail": PLAIN_DETAIL}, "failed", None),
        (400, {"detail": "Could not read the image"}, "failed", None),
        (499, {"detail": "Request was cancelled by the client."}, "cancelled", None),
        (200, {"video": None}, "failed", None),
        (200, {"video": {}}, "failed", None),
        (200, {"video": {"url": "https://v3.fal.media/v.mp4"}}, "completed", None),
    ],
)
def test_fals_result_says_how_a_completed_request_ended(provider, scripted, status, body, ended, code):
    scripted.script(
        {"/v1/minimax/h3-max/requests/r1/status": answer(200, FAL_STATUS)},
        {"/v1/minimax/h3-max/requests/r1": raw(_raw(status, body))},
    )
    job = provider.poll(IDS["fal"])

    assert (job.status, job.error_code) == (ended, code)


def _raw(status: int, body: object) -> bytes:
    content = json.dumps(body).encode()
    return f"HTTP/1.1 {status} Reason\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content


@of("fal")
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {}),
        (404, {"error": "no such route"}),
        (422, {"detail": []}),
        (422, {"detail": [{"loc": []}]}),
        (429, {}),
        (500, {}),
        (503, {"detail": "overloaded"}),
        (200, b"<html>"),
    ],
)
def test_a_result_without_a_well_formed_reason_says_nothing_of_the_request(provider, scripted, status, body):
    scripted.script(answer(200, FAL_STATUS), answer(status, body))

    with pytest.raises(ProviderUnavailable):
        provider.poll(IDS["fal"])


@of("fal")
@pytest.mark.parametrize(
    ("fields", "ended"),
    [
        ({"error": "it broke", "error_type": "internal_server_error"}, "failed"),
        ({"error": "it was cancelled", "error_type": "client_cancelled"}, "cancelled"),
        ({"error": "flagged", "error_type": "content_policy_violation"}, "failed"),
    ],
)
def test_fals_status_may_say_the_end_itself(provider, scripted, fields, ended):
    scripted.script(answer(200, FAL_STATUS | fields))
    job = provider.poll(IDS["fal"])

    assert job.status == ended
    assert (job.error_code == "moderation_blocked") == (fields["error_type"] == "content_policy_violation")
    assert len(scripted.requests) == 1


@of("fal")
def test_a_word_of_moderation_in_another_text_is_no_moderation(provider, scripted):
    detail = [{"loc": ["body", "x"], "msg": "unexpected field content_policy_violation", "type": "extra_forbidden"}]
    scripted.script(answer(200, FAL_STATUS), answer(422, {"detail": detail}))

    assert provider.poll(IDS["fal"]).error_code is None


@of("fal")
@pytest.mark.parametrize(
    "prices",
    [
        answer(403),
        hang_up,
        answer(200, b"<html>"),
        answer(200, {"prices": []}),
        answer(200, {"prices": [{"endpoint_id": "minimax/h3-max/text-to-video", "unit_price": 1, "currency": "EUR"}]}),
    ],
)
def test_units_without_a_price_are_no_cost_and_no_error(provider, scripted, prices):
    result = answer(200, {"video": {"url": "https://v3.fal.media/v.mp4"}}, x_fal_billable_units="3.008")
    scripted.script(answer(200, FAL_STATUS), result, prices)
    job = provider.poll(IDS["fal"])

    assert (job.status, job.cost) == ("completed", None)


OUTPUTS = [
    "https://replicate.delivery/x/v.mp4",
    ["https://replicate.delivery/x/v.mp4", "https://replicate.delivery/x/w.mp4"],
    {"video": "https://replicate.delivery/x/v.mp4", "seed": 1},
    {"seed": 1, "files": ["https://replicate.delivery/x/v.mp4"]},
]


@of("replicate")
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_predictions_output_is_a_url_or_a_list_or_an_object_of_some(provider, scripted, output, target):
    output = json.loads(json.dumps(output).replace("https://replicate.delivery", scripted.base_url))
    scripted.script(answer(200, {"id": "p1", "status": "succeeded", "output": output}), VIDEO)

    assert provider.fetch_video("p1", target) == len(MP4)
    assert scripted.requests[1].target == "/v1/x/v.mp4"


@of("replicate")
@pytest.mark.parametrize("error", ["... (E005)", "Input was flagged as sensitive.", "NSFW content detected"])
def test_replicates_words_for_what_is_not_allowed(provider, scripted, error):
    scripted.script(answer(200, {"id": "p1", "status": "failed", "error": error, "output": None}))

    assert provider.poll("p1").error_code == "moderation_blocked"


@of("replicate")
def test_data_that_was_removed_says_nothing_of_a_prediction_that_failed(provider, scripted):
    scripted.script(answer(200, {"id": "p1", "status": "failed", "error": "it broke", "data_removed": True}))
    job = provider.poll("p1")

    assert (job.status, job.error_message) == ("failed", "it broke")


@of("runway")
@pytest.mark.parametrize("word", ["PENDING", "THROTTLED", "RUNNING"])
def test_a_throttled_task_is_one_that_was_accepted(provider, scripted, word):
    scripted.script(answer(200, {"id": "t1", "status": word}))

    assert provider.poll("t1").status == word


@of("runway")
def test_a_task_that_is_over_is_never_deleted(provider, scripted):
    for word in ("SUCCEEDED", "FAILED", "CANCELLED"):
        scripted.script(answer(200, {"id": "t1", "status": word, "output": ["https://x.example/v.mp4"]}))
        provider.cancel("t1")

    assert {request.method for request in scripted.requests} == {"GET"}


@of("gemini")
def test_geminis_word_for_an_id_that_nobody_has_is_a_400_in_an_array(provider, scripted):
    scripted.script(answer(400, [{"error": {"code": 400, "message": "Invalid interaction name", "status": "X"}}]))

    with pytest.raises(JobGone):
        provider.poll(IDS["gemini"])


@of("gemini")
def test_geminis_complaint_of_two_credentials_says_nothing_of_the_job(provider, scripted):
    words = "Multiple authentication credentials received. Please pass only one."
    scripted.script(answer(400, [{"error": {"code": 400, "message": words}}]))

    with pytest.raises(ProviderUnavailable, match="Multiple authentication"):
        provider.poll(IDS["gemini"])


# ---------------------------------------------------------------- lists


def listed(items: list[object], **more: object):
    return answer(200, {"items": items, "results": items, **more})


def entry(kind: str, number: int, **otherwise: object) -> dict[str, object]:
    model = catalogue().models[REQUESTS[kind].model]
    body = model.body(wanted(kind))
    made = (NOW + timedelta(seconds=number)).isoformat()
    if kind == "fal":
        return {"request_id": f"r{number}", "sent_at": made, "json_input": body} | otherwise
    usual = {"id": f"p{number}", "status": "processing", "created_at": made, "version": "hidden"}
    return usual | {"model": "bytedance/seedance-2.0", "input": body["input"]} | otherwise


@of("fal")
def test_fals_list_is_read_to_its_last_page(provider, scripted):
    def reply(request: Request):
        if "/requests/r" in request.target:
            return answer(202, {"status": "IN_PROGRESS"})
        page = parse_qs(urlsplit(request.target).query).get("cursor", ["0"])[0]
        items = [entry("fal", int(page)), entry("fal", 9, request_id=f"x{page}", json_input={"prompt": "other"})]
        return listed(items, has_more=page != "2", next_cursor=str(int(page) + 1))

    scripted.answer_by(reply)
    jobs = provider.find(wanted("fal"), **WINDOW)

    assert [job.id for job in jobs] == [f"minimax/h3-max/requests/r{number}" for number in range(3)]


@of("replicate")
def test_replicates_list_is_read_to_its_last_page(provider, scripted):
    scripted.script(
        listed([entry("replicate", 2), 7, {}], next=f"{scripted.base_url}/predictions?cursor=a"),
        listed([entry("replicate", 1), entry("replicate", 3, input={"prompt": "other"})], next=None),
    )

    assert [job.id for job in provider.find(wanted("replicate"), **WINDOW)] == ["p2", "p1"]
    assert scripted.requests[1].target == "/v1/predictions?cursor=a"


@of("replicate")
@pytest.mark.parametrize("url", ["https://evil.example/v1/predictions?cursor=a", "//evil.example/", "ftp://x/", "x y"])
def test_a_next_page_of_another_host_is_not_asked(provider, scripted, url):
    scripted.script(listed([entry("replicate", 1)], next=url))

    with pytest.raises(ProviderUnavailable):
        provider.find(wanted("replicate"), **WINDOW)

    assert len(scripted.requests) == 1


@of("fal", "replicate")
def test_a_list_without_an_end_is_given_up(provider, scripted):
    scripted.script(listed([], has_more=True, next_cursor="a", next=f"{scripted.base_url}/predictions?cursor=a"))

    with pytest.raises(ProviderUnavailable):
        provider.find(wanted(provider.name), **WINDOW)


@of("fal")
def test_a_listed_request_that_nothing_knows_is_told_to_a_person(provider, scripted):
    scripted.answer_by(
        lambda request: answer(404, {"detail": "no"}) if "/requests/r" in request.target else listed([entry("fal", 1)])
    )

    with pytest.raises(ProviderUnavailable, match="r1"):
        provider.find(wanted("fal"), **WINDOW)


@pytest.mark.parametrize("provider", ["replicate"], indirect=True)
def test_a_job_with_an_image_is_found_though_the_link_to_it_was_signed_anew(provider, scripted):
    image = FirstFrame("images/one.png", "image/png")
    body = {**entry("replicate", 1)["input"], "image": "https://store.example/bucket/images/one.png?signature=old"}
    other = {**body, "image": "https://store.example/bucket/images/two.png?signature=old"}
    scripted.script(listed([entry("replicate", 1, input=body), entry("replicate", 2, input=other)]))

    assert [job.id for job in provider.find(wanted("replicate", image=image), **WINDOW)] == ["p1"]


# ---------------------------------------------------------------- videos, and who sees the key


def completed(kind: str, url: str):
    """The answers that tell of a video at this URL."""
    match kind:
        case "fal":
            return [answer(200, FAL_STATUS), answer(200, {"video": {"url": url}})]
        case "replicate":
            return [answer(200, {"id": "p1", "status": "succeeded", "output": url})]
        case "runway":
            return [answer(200, {"id": "t1", "status": "SUCCEEDED", "output": [url]})]
        case _:
            content = [{"type": "text", "text": "x"}, {"type": "video", "uri": url}]
            steps = [{"type": "thought"}, {"type": "model_output", "content": content}]
            return [answer(200, {"id": IDS["gemini"], "status": "completed", "steps": steps})]


@pytest.fixture
def other() -> ScriptedServer:
    """Another server of files: as far as HTTP knows, another origin."""
    with ScriptedServer() as server:
        server.script(VIDEO)
        yield server


def shown(request: Request) -> set[str]:
    return {name for name in ("authorization", "x-goog-api-key") if name in request.headers}


@of("fal", "runway")
def test_a_host_of_files_never_sees_the_key(provider, scripted, other, target):
    scripted.script(*completed(provider.name, f"{other.base_url}/v.mp4"))

    assert provider.fetch_video(IDS[provider.name], target) == len(MP4)
    assert [shown(request) for request in other.requests] == [set()]


@of("fal", "runway")
@pytest.mark.parametrize("status", [401, 403])
def test_a_host_of_files_that_asks_for_the_key_does_not_get_it(provider, scripted, other, target, status):
    scripted.answer_by(_replies(provider.name, f"{other.base_url}/v.mp4"))
    other.script(answer(status))

    with pytest.raises(SceneFailure):
        provider.fetch_video(IDS[provider.name], target)
    assert [shown(request) for request in other.requests] == [set(), set()]


def _replies(kind: str, url: str):
    replies = completed(kind, url)
    return lambda request: replies[-1] if not request.target.endswith("/status") else replies[0]


@of("replicate")
def test_a_host_that_refuses_is_asked_once_more_with_the_key(provider, scripted, other, target):
    scripted.script(*completed("replicate", f"{other.base_url}/v.mp4"))
    other.script(answer(401), VIDEO)

    assert provider.fetch_video("p1", target) == len(MP4)
    assert [shown(request) for request in other.requests] == [set(), {"authorization"}]


@of("replicate")
def test_the_key_does_not_follow_a_redirect(provider, scripted, other, target):
    scripted.script(*completed("replicate", f"{scripted.base_url}/v.mp4"), answer(401))
    scripted.script(
        *completed("replicate", f"{scripted.base_url}/v.mp4"),
        answer(401),
        answer(302, Location=f"{other.base_url}/v.mp4"),
    )

    assert provider.fetch_video("p1", target) == len(MP4)
    assert [shown(request) for request in other.requests] == [set()]


@of("gemini")
def test_geminis_file_is_fetched_with_the_key_from_its_own_host_and_a_redirect_sees_none(
    provider, scripted, other, target
):
    scripted.script(
        *completed("gemini", "/v1beta/files/f1:download?alt=media"), answer(302, Location=f"{other.base_url}/v.mp4")
    )

    assert provider.fetch_video(IDS["gemini"], target) == len(MP4)
    assert scripted.requests[1].target == "/v1beta/files/f1:download?alt=media"
    assert shown(scripted.requests[1]) == {"x-goog-api-key"}
    assert [shown(request) for request in other.requests] == [set()]


@of("gemini")
def test_geminis_file_on_another_host_is_fetched_without_the_key(provider, scripted, other, target):
    scripted.script(*completed("gemini", f"{other.base_url.replace(LOOPBACK, 'localhost')}/v.mp4"))
    settings = ServerSettings(scripted.base_url, KEY, frozenset({"localhost"}), {})
    gemini = JSON_KINDS["gemini"](settings, catalogue)

    assert gemini.fetch_video(IDS["gemini"], target) == len(MP4)
    assert [shown(request) for request in other.requests] == [set()]
    assert provider.name == "gemini"


@of(*OTHERS)
@pytest.mark.parametrize(
    "url", ["https://evil.example/v.mp4", "http://user@evil.example/v", "file:///etc/passwd", "x y"]
)
def test_a_url_that_leads_elsewhere_is_not_followed(provider, scripted, url, target):
    scripted.answer_by(_replies(provider.name, url))

    with pytest.raises((NotAllowed, SceneFailure)) as raised:
        provider.fetch_video(IDS[provider.name], target)

    assert not target.exists()
    if url.startswith("https://evil"):
        assert KINDS[provider.name].hosts_setting in str(raised.value)


@of(*OTHERS)
def test_a_redirect_to_a_host_that_is_not_named_is_not_followed(provider, scripted, target):
    replies = _replies(provider.name, f"{scripted.base_url}/v.mp4")
    scripted.answer_by(
        lambda request: (
            answer(302, Location="https://evil.example/v.mp4") if request.target == "/v1/v.mp4" else replies(request)
        )
    )

    with pytest.raises(NotAllowed, match=KINDS[provider.name].hosts_setting):
        provider.fetch_video(IDS[provider.name], target)


@of(*OTHERS)
def test_a_base_url_that_is_not_the_kinds_is_said_by_its_setting(provider, scripted):
    scripted.script(answer(404, b"<html>Not found</html>", kind="text/html"))

    assert provider.is_gone()
    with pytest.raises(ProviderUnavailable, match=KINDS[provider.name].url_setting):
        provider.check()


@of(*OTHERS)
def test_a_key_that_is_refused_is_said_by_its_setting_at_the_check(provider, scripted):
    scripted.script(answer(401, {"detail": "no"}))

    with pytest.raises(NotAllowed, match=KINDS[provider.name].key_setting):
        provider.check()


# ---------------------------------------------------------------- first frames

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20
IMAGE = FirstFrame("images/one.png", "image/png", "https://store.example/b/images/one.png?signature=s", PNG)


def test_soras_first_frame_is_a_file_of_the_form(scripted):
    scripted.script(answer(200, {"id": "video_1", "status": "queued"}))
    SoraProvider(scripted.base_url, KEY).submit(VideoRequest("a cat", "sora-2", "720x1280", 8, image=IMAGE))
    (request,) = scripted.requests

    assert request.form() == {"prompt": "a cat", "model": "sora-2", "size": "720x1280", "seconds": "8"}
    assert b'name="input_reference"; filename="one.png"\r\nContent-Type: image/png\r\n\r\n' + PNG in request.body


@pytest.mark.parametrize("kind", ["replicate", "runway", "gemini"])
def test_a_first_frame_is_where_the_kind_has_it(kind, scripted):
    scripted.script(answer(500))
    with pytest.raises(OutcomeUnknown):
        make(kind, scripted).submit(wanted(kind, image=IMAGE), attempt_token=TOKEN)
    (request,) = scripted.requests
    body = json.loads(request.body)

    match kind:
        case "replicate":
            assert body["input"]["image"] == IMAGE.url
        case "runway":
            assert request.target == "/v1/image_to_video"
            assert body["promptImage"] == IMAGE.url
        case _:
            assert body["input"] == [
                {"type": "image", "data": "iVBORw0KGgowMDAwMDAwMDAwMDAwMDAwMDAwMA==", "mime_type": "image/png"},
                {"type": "text", "text": "a cat"},
            ]
