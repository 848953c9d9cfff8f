"""A delivery makes its job due, once; whatever else is sent to that URL is refused, quickly and by name."""

import base64
import importlib
import json
import logging
import socket
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from generation_history.providers import VideoJob
from generation_history.work import wakeup
from generation_history.work.job_queue import JobQueue
from generation_history.work.submission import Submissions
from generation_history.work.webhooks import MAX_DELIVERY_BYTES
from sora.webhook import receive_delivery
from tests.support.fakes import as_asked
from tests.support.scripted_server import answer, never, raw

SECRETS = [f"whsec_{base64.b64encode(bytes([byte]) * 32).decode()}" for byte in (1, 2)]
WAKE_KEY = "an-id:a-secret-access-key"
VIDEO = VideoJob(id="video_1", status="queued")


class Context:
    function_name = "/fn-7b9b4cbd-6e0a-4d6f-9f0e-0123456789ab/sora/webhook"
    activation_id = "2f9ab0d53a8bbd1e0f4a4e5a1d2c3b4a"

    def get_remaining_time_in_millis(self):
        return 14_500


def main(event, context):
    return importlib.import_module("sora.webhook.__main__").main(event, context)


def event_of(video_id: str = "video_1", kind: str = "video.completed", **more: object) -> str:
    return json.dumps({"id": "evt_1", "object": "event", "type": kind, "data": {"id": video_id}, **more})


def signed(body: str, webhook_id: str = "wh_1", *, secret: str = SECRETS[0], ago: float = 0) -> dict[str, str]:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, body),
    }


@pytest.fixture(autouse=True)
def _fresh_instance(monkeypatch):
    """Each test has a database of its own."""
    receive_delivery._deliveries.cache_clear()
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", " ".join(SECRETS))
    yield
    receive_delivery._deliveries.cache_clear()


@pytest.fixture
def post(call):
    """Posts this body, signed unless headers are given."""

    def send(body: str, webhook_id: str = "wh_1", *, headers=None, encoded: bool = False, **signing):
        sent = base64.b64encode(body.encode()).decode() if encoded else body
        headers = signed(body, webhook_id, **signing) if headers is None else headers
        return call("sora/webhook", method="POST", body=sent, headers=headers, base64=encoded)

    return send


@pytest.fixture
def deliver(post):
    """Whether a delivery that is taken is a new one."""

    def send(video_id: str = "video_1", webhook_id: str = "wh_1", kind: str = "video.completed") -> bool:
        taken = post(event_of(video_id, kind), webhook_id)
        assert taken.status == 200, taken.returned
        return taken.json["new"]

    return send


@pytest.fixture
def queue(worker_db) -> JobQueue:
    return JobQueue(worker_db, lease_seconds=60)


@pytest.fixture
def submissions(worker_db) -> Submissions:
    return Submissions(worker_db)


@pytest.fixture
def job(queue, submissions, generation_factory, db):
    """A job that was posted, not accepted yet."""
    generation_factory(1, submit=True)
    (claimed,) = queue.claim(1)
    submissions.record_submit_intent(claimed, provider="fake", base_url="http://p.test/v1", request=as_asked())
    return claimed


@pytest.fixture
def accepted(job, submissions, db):
    """The job is accepted as video_1 and far from due."""
    submissions.accept(job, VIDEO)
    db.rows("update jobs set run_at = now() + interval '1 hour'")
    return job


def is_due(db) -> bool:
    return db.rows("select run_at <= now() from jobs") == [(True,)]


# ---------------------------------------------------------------- what a delivery does


@pytest.mark.parametrize("secret", SECRETS)
def test_a_delivery_makes_its_scenes_job_due(post, accepted, db, secret):
    taken = post(event_of(), secret=secret)

    assert (taken.status, taken.json) == (200, {"success": True, "new": True})
    assert is_due(db)


def test_a_delivery_that_comes_again_changes_nothing(deliver, accepted, db):
    assert deliver()
    db.rows("update jobs set run_at = now() + interval '1 hour'")
    before = (db.everything(), db.rows("select * from deliveries"))

    assert not deliver()

    assert (db.everything(), db.rows("select * from deliveries")) == before


def test_an_event_before_its_jobs_id_is_known_makes_it_due_as_soon_as_it_is(deliver, job, submissions, db):
    assert deliver()
    assert not is_due(db)

    submissions.accept(job, VIDEO)

    assert is_due(db)


def test_without_an_event_a_new_job_waits_for_its_first_poll(job, deliver, submissions, db):
    deliver("video_of_someone_else")

    submissions.accept(job, VIDEO)

    assert not is_due(db)


@pytest.mark.parametrize("kind", ["video.completed", "video.failed", "video.deleted", "response.completed", "neu"])
def test_an_event_says_nothing_of_the_outcome(deliver, accepted, db, kind):
    """The provider is asked; so neither a wrong, late or reordered event nor one of an unknown type can do harm."""
    before = db.rows("select status, sora_status, error_code from scenes")

    deliver(kind=kind)

    assert db.rows("select status, sora_status, error_code from scenes") == before
    assert db.rows("select step, failures, last_error from jobs") == [("poll", 0, None)]


def test_late_events_change_nothing_of_a_finished_scene(deliver, accepted, queue, db):
    db.rows("update jobs set run_at = now()")
    (job,) = queue.claim(1)
    metadata = {"duration": 8, "resolution": "720x1280", "file_size": 9}
    queue.complete(job, video_url="https://s.test/v.mp4", thumbnail_url=None, metadata=metadata)
    before = db.everything()

    assert deliver(webhook_id="wh_2", kind="video.failed")
    assert deliver(webhook_id="wh_1", kind="video.completed")

    assert db.everything() == before


def test_an_event_leaves_a_job_alone_that_a_worker_holds(deliver, accepted, queue, db):
    db.rows("update jobs set run_at = now()")
    queue.claim(1)
    before = db.everything()

    assert deliver()

    assert db.everything() == before


def test_an_event_of_a_job_nobody_knows_is_kept(deliver, db):
    assert deliver("video_unknown")
    assert db.rows("select sora_video_id from deliveries") == [("video_unknown",)]


# ---------------------------------------------------------------- how it may come


def test_a_body_may_come_base64_encoded(post, accepted, db):
    assert post(event_of(note="schön"), encoded=True).status == 200
    assert is_due(db)


@pytest.mark.parametrize("encoded", [False, True])
def test_an_api_gateway_delivers_as_well(accepted, db, encoded):
    body = event_of(note="schön")
    event = {
        "version": "2.0",
        "routeKey": "POST /sora/webhook",
        "rawPath": "/sora/webhook",
        "rawQueryString": "",
        "headers": {name.title(): value for name, value in signed(body).items()},
        "requestContext": {"http": {"method": "POST", "path": "/sora/webhook"}, "stage": "$default"},
        "body": base64.b64encode(body.encode()).decode() if encoded else body,
        "isBase64Encoded": encoded,
    }
    assert main(event, Context())["statusCode"] == 200
    assert is_due(db)


def test_one_of_several_signatures_will_do(post, accepted, db):
    body = event_of()
    good = signed(body)
    strange = signed(body, secret=f"whsec_{base64.b64encode(b'other').decode()}")["webhook-signature"]
    both = good | {"webhook-signature": f"{strange} {good['webhook-signature']}"}

    assert post(body, headers=both).status == 200


# ---------------------------------------------------------------- what is refused


@pytest.fixture
def untouched(db, accepted):
    """Nothing changes in this test."""
    before = (db.everything(), db.rows("select * from deliveries"))
    yield
    assert (db.everything(), db.rows("select * from deliveries")) == before


@pytest.mark.parametrize("ago", [301, -302])
def test_a_delivery_of_another_time_is_refused(post, untouched, ago):
    post(event_of(), ago=ago).refused(401, "not_authenticated")


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_delivery_without_one_of_its_headers_is_refused(post, untouched, missing):
    headers = {name: value for name, value in signed(event_of()).items() if name != missing}
    post(event_of(), headers=headers).refused(401, "not_authenticated")


def test_a_strange_signature_is_refused(post, untouched):
    strange = f"whsec_{base64.b64encode(b'other').decode()}"
    post(event_of(), secret=strange).refused(401, "not_authenticated")


def test_a_changed_body_is_refused(post, untouched):
    post(event_of("video_2"), headers=signed(event_of("video_1"))).refused(401, "not_authenticated")


@pytest.mark.parametrize("length", [MAX_DELIVERY_BYTES + 1, 1_100_000])
def test_a_huge_body_is_refused(post, untouched, length):
    post("x" * length).refused(413, "too_large")


@pytest.mark.parametrize(
    "body", ["", "no JSON", "[" * 50_000, "[]", event_of("a\0b"), event_of("v" * 1001), event_of(kind="k" * 1001)]
)
def test_a_signed_body_that_is_no_delivery_is_refused(post, untouched, body):
    post(body).refused(400, "invalid_value")


@pytest.mark.parametrize("webhook_id", ["w" * 1001, "a\0b"])
def test_a_webhook_id_that_cannot_be_kept_is_refused(post, untouched, webhook_id):
    assert "webhook-id" in post(event_of(), webhook_id).refused(400, "invalid_value")


def test_it_is_posted_or_not_at_all(call):
    refused = call("sora/webhook")
    assert "POST" in refused.refused(405, "method_not_allowed")
    assert refused.headers["allow"] == "OPTIONS, POST"


@pytest.mark.parametrize("value", [None, "", "none"])
def test_nothing_is_taken_without_a_secret(post, untouched, monkeypatch, value):
    if value is None:
        monkeypatch.delenv("OPENAI_WEBHOOK_SECRET")
    else:
        monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", value)
    assert "OPENAI_WEBHOOK_SECRET" in post(event_of()).refused(503, "not_configured")


def test_a_bad_secret_is_named_and_never_shown(post, untouched, monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", f"{SECRETS[0]} whsec_not-base64-ä")

    assert "OPENAI_WEBHOOK_SECRET" in post(event_of()).refused(503, "not_configured")

    assert "not-base64" not in caplog.text
    assert SECRETS[0] not in caplog.text


# ---------------------------------------------------------------- hostile requests

_texts = st.text(max_size=40) | st.text(st.characters(codec=None), max_size=20)
_values = _texts | st.integers() | st.none() | st.booleans()
_times = st.sampled_from(["nan", "inf", "-1", "1e400", "0x10", "", "1" * 5000]) | _texts
_signatures = st.sampled_from(["v1", "v1,", "v1,=", ",", "v1, v1,", "v1a,x", "v1,é", "v1," + "A" * 9999]) | _texts
_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_deliveries = st.fixed_dictionaries({"type": _json, "data": st.fixed_dictionaries({"id": _json}) | _json})
_names = st.text(st.characters(min_codepoint=33), min_size=1, max_size=300)
_good = st.builds(event_of, _names, _names)
_bodies = st.one_of(
    _good,
    _good,
    _texts,
    _json.map(json.dumps),
    _deliveries.map(json.dumps),
    st.sampled_from(["[" * 30_000, '{"data":' * 8_000, "x" * 70_000, "\ud800", "9" * 5000, "\ufeff{}"]),
)
_headers = st.dictionaries(_texts | st.sampled_from(["content-type", "host", "authorization"]), _values, max_size=3)
_hostile = st.dictionaries(
    st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
    st.one_of(_times, _signatures, _values),
    max_size=3,
)


@st.composite
def _requests(draw) -> dict:
    """An event, often rightly signed, with anything in it."""
    body, headers = draw(_bodies), draw(_headers)
    if draw(st.booleans()):
        webhook_id = draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40) | st.just("w" * 300))
        headers |= signed(body.encode(errors="replace").decode(), webhook_id, secret=draw(st.sampled_from(SECRETS)))
        if draw(st.integers(0, 3)) == 0:
            headers |= draw(_hostile)
    else:
        headers |= draw(_hostile)
    encoded = draw(st.booleans())
    if encoded and draw(st.integers(0, 4)):
        body = base64.b64encode(body.encode(errors="replace")).decode()
    return {
        "http": {
            "headers": headers,
            "method": draw(st.sampled_from(["POST"] * 8 + ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "post", "\0"])),
            "path": draw(st.sampled_from([""] * 8 + ["/", "/..", "/%00"])),
            "queryString": draw(st.sampled_from([""] * 8 + ["_a=%ff", "a=1", "&&&=", "%"])),
            "body": body,
            "isBase64Encoded": encoded,
        }
    }


def test_whatever_is_sent_is_answered_quickly_and_never_by_an_error_of_ours(worker_db, db):
    """The database is real, so a text that it does not take would be found, too."""
    answered: dict[int, int] = {}

    @settings(
        max_examples=2_000, deadline=1_000, database=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
    @given(_requests())
    def send(event):
        started = time.monotonic()
        returned = main(event, Context())
        assert 200 <= returned["statusCode"] < 500, returned
        assert time.monotonic() - started < 1
        json.dumps(returned)
        answered[returned["statusCode"]] = answered.get(returned["statusCode"], 0) + 1

    send()

    assert sum(answered.values()) >= 2_000
    assert {200, 400, 401} <= set(answered), answered


# ---------------------------------------------------------------- waking the poller


@pytest.fixture
def wakes(scripted, monkeypatch):
    """A server that is called to wake the poller."""
    monkeypatch.setenv("POLLER_WAKE_URL", f"{scripted.base_url}/namespaces/fn-1/actions/sora/poller")
    monkeypatch.setenv("POLLER_WAKE_KEY", WAKE_KEY)
    monkeypatch.setattr(wakeup, "TIMEOUT_SECONDS", 0.5)
    scripted.script(answer(202, {"activationId": "1"}))
    return scripted


def test_a_new_delivery_wakes_the_poller_once_and_does_not_wait_for_it(deliver, db, wakes):
    assert deliver()
    assert not deliver()

    (request,) = wakes.requests
    assert (request.method, request.body) == ("POST", b"{}")
    assert request.target == "/v1/namespaces/fn-1/actions/sora/poller?blocking=false"
    assert request.headers["authorization"] == f"Basic {base64.b64encode(WAKE_KEY.encode()).decode()}"


def _by_drops(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 202 ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize(
    "given", [never, _by_drops, raw(b"nonsense"), raw(b""), answer(500), answer(401, {"error": "no"})]
)
def test_a_poller_that_cannot_be_woken_changes_nothing(deliver, accepted, db, wakes, caplog, given):
    wakes.script(given)
    with caplog.at_level(logging.DEBUG):
        started = time.monotonic()
        assert deliver()
        assert time.monotonic() - started < 2

    assert is_due(db)
    assert len(wakes.requests) == 1
    assert WAKE_KEY not in caplog.text
    assert base64.b64encode(WAKE_KEY.encode()).decode() not in caplog.text


def test_a_wake_url_where_nobody_listens_changes_nothing(deliver, db, wakes, monkeypatch, caplog):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("POLLER_WAKE_URL", f"http://127.0.0.1:{port}/poller")

    assert deliver()

    assert "the poller could not be woken: ConnectionRefusedError" in caplog.text


def test_the_key_is_not_taken_to_another_host(deliver, db, wakes):
    wakes.script(answer(302, location=f"{wakes.base_url}/elsewhere"), answer(200))

    assert deliver()

    assert len(wakes.requests) == 1


@pytest.mark.parametrize(
    ("setting", "value"), [("POLLER_WAKE_URL", "ftp://x"), ("POLLER_WAKE_URL", "no url"), ("POLLER_WAKE_KEY", "none")]
)
def test_a_wrong_wake_setting_is_named_in_the_log_and_the_delivery_is_taken(
    deliver, db, wakes, monkeypatch, caplog, setting, value
):
    """A provider told 503 would only send again what is recorded already."""
    monkeypatch.setenv(setting, value)

    assert deliver()

    assert setting in caplog.text
    assert wakes.requests == []


def test_without_a_wake_setting_nobody_is_called(deliver, db, scripted):
    assert deliver(f"video_{uuid4()}")
    assert scripted.requests == []


def test_on_aws_the_poller_is_invoked_as_an_event_by_its_name(deliver, db, scripted, monkeypatch):
    """Asynchronously, so that the webhook does not wait for the poller to end."""
    scripted.script(answer(202))
    monkeypatch.setenv("POLLER_WAKE_LAMBDA", "history-poller")
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", scripted.base_url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    assert deliver()

    (request,) = scripted.requests
    assert request.method == "POST"
    assert request.target.endswith("/2015-03-31/functions/history-poller/invocations")
    assert request.headers["x-amz-invocation-type"] == "Event"
