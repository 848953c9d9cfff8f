"""Standard Webhooks as senders and people really do it: secrets, header names, several signatures, test events."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator

import pytest

from sora.webhook.receive_delivery import _deliveries
from tests.fixtures.calls import Answer

KEY, ODD = b"k" * 24, b"\xfb\xff" * 12
STANDARD, IN_URLS = base64.b64encode(ODD).decode(), base64.urlsafe_b64encode(ODD).decode()
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
BODY = json.dumps({"type": "video.completed", "data": {"id": "video_1"}})
Deliver = Callable[..., Answer]


def signed(body: str, key: bytes) -> tuple[str, str]:
    """Time and signature of a delivery msg_1, made without the library that reads them."""
    stamp = str(int(time.time()))
    mac = hmac.new(key, f"msg_1.{stamp}.{body}".encode(), hashlib.sha256).digest()
    return stamp, f"v1,{base64.b64encode(mac).decode()}"


@pytest.fixture
def deliver(db, call, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deliver]:
    """Posts a delivery that is signed with a key, where a secret is configured."""
    _deliveries.cache_clear()

    def send(secret: str = SECRET, body: str = BODY, key: bytes = KEY, prefix: str = "webhook", before: str = ""):
        monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", secret)
        stamp, signature = signed(body, key)
        names = {"id": "msg_1", "timestamp": stamp, "signature": before + signature}
        headers = {"content-type": "application/json", **{f"{prefix}-{name}": value for name, value in names.items()}}
        return call("sora/webhook", method="POST", body=body, headers=headers)

    yield send
    _deliveries.cache_clear()


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        (f"v1,{SECRET}", KEY),
        (f"v1,{SECRET}|v1,whsec_{STANDARD}", ODD),
        (f"whsec_{IN_URLS}", ODD),
        (f"whsec_{IN_URLS.rstrip('=')}", ODD),
        (f"{SECRET},whsec_{STANDARD}", KEY),
        (f"{SECRET}, whsec_{STANDARD}", ODD),
        (f"{SECRET}\nwhsec_{STANDARD}", ODD),
        (STANDARD, ODD),
        (IN_URLS, ODD),
        (ODD.hex(), ODD),
        (ODD.hex().upper(), ODD),
        ("a-text-that-a-sender-shows", b"a-text-that-a-sender-shows"),
        ("0123456789abcdef0123", b"0123456789abcdef0123"),
    ],
)
def test_a_secret_is_understood_as_its_sender_shows_it(secret: str, key: bytes, deliver: Deliver, db):
    assert deliver(secret, key=key).json == {"success": True, "new": True}
    assert deliver(secret, key=b"another key of 24 bytes!").refused(401, "not_authenticated")


@pytest.mark.parametrize(
    "secret",
    [
        f'"{SECRET}"',
        f"'{SECRET}'",
        f"OPENAI_WEBHOOK_SECRET={SECRET}",
        f'["{SECRET}"]',
        SECRET.upper(),
        f"secret:{SECRET}",
        f"{SECRET} whsec_%%%",
        "whsk_" + STANDARD,
        "whpk_" + STANDARD,
        "v1,",
        "too-short",
        "two words of a sentence",
        f"\u200b{SECRET}",
        f"\u201c{SECRET}\u201d",
    ],
)
def test_another_secret_is_refused_by_name_at_once_and_never_shown(secret: str, deliver: Deliver, db, caplog):
    """Whoever posts is told, also without a signature: it is never 401 for ever."""
    for key in (KEY, b""):
        said = deliver(secret, key=key).refused(503, "not_configured")
        assert said.startswith("OPENAI_WEBHOOK_SECRET")
    assert base64.b64encode(KEY).decode() not in said + caplog.text
    assert db.rows("select * from deliveries") == []


def test_the_older_header_names_are_known(deliver: Deliver):
    assert deliver(prefix="svix").json["new"]


def test_headers_of_two_names_are_not_mixed(call, deliver: Deliver):
    stamp, signature = signed(BODY, KEY)
    deliver()
    headers = {"webhook-id": "msg_2", "webhook-signature": "v1,AAAA", "svix-timestamp": stamp}
    mixed = call("sora/webhook", method="POST", body=BODY, headers={**headers, "svix-signature": signature})

    assert mixed.refused(401, "not_authenticated")


@pytest.mark.parametrize(
    "before", ["v1a,AAAA ", "v2,abc ", "garbage ", "v1,%%% ", "v1,A ", "v1 ", ", ", "  ", "v1,a,b "]
)
def test_what_is_not_understood_is_passed_over(before: str, deliver: Deliver):
    assert deliver(before=before).json["new"]


@pytest.mark.parametrize(
    "body",
    [
        '{"type":"ping"}',
        '{"type":"webhook.test","data":{"message":"hello"}}',
        '{"type":"webhook.test","data":null}',
        '{"type":"webhook.test","data":[]}',
        '{"event":"ping"}',
        '{"type":"invoice.paid","timestamp":"2026-11-01T12:00:00Z","data":{"amount":5}}',
        '{"status":"ok"}',
        "{}",
    ],
)
def test_a_senders_test_event_is_taken_and_does_nothing(body: str, deliver: Deliver, db):
    before = db.everything()

    assert deliver(body=body).json == {"success": True, "new": False}

    assert (db.everything(), db.rows("select * from deliveries")) == (before, [])


def test_a_job_that_is_delivered_as_it_is_names_itself(deliver: Deliver, db):
    body = json.dumps({"id": "ufawqhfynnddngldkgtslldrkq", "status": "succeeded", "output": None, "error": None})

    assert deliver(body=body).json["new"]

    assert db.rows("select sora_video_id, type from deliveries") == [("ufawqhfynnddngldkgtslldrkq", "succeeded")]


@pytest.mark.parametrize("data", ["null", "{}", '{"id": 7}', '"video_1"', '{"id": ""}'])
def test_an_event_of_a_video_names_its_job(data: str, deliver: Deliver):
    body = f'{{"type": "video.completed", "data": {data}}}'

    assert deliver(body=body).refused(400, "invalid_value").startswith("data.id: ")
