"""A delivery is believed only whole, fresh and signed; whatever else comes is refused, and never an error of ours."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from generation_history.errors import InvalidValue, NotAuthenticated, NotConfigured, TooLarge
from generation_history.work.webhooks import MAX_DELIVERY_BYTES, MAX_ID_LENGTH, MAX_SIGNATURES, Delivery, verify

SECRET, OTHER = (f"whsec_{base64.b64encode(bytes([byte]) * 32).decode()}" for byte in (1, 2))
BODY = json.dumps({"id": "evt_1", "object": "event", "type": "video.completed", "data": {"id": "video_1"}})
GOOD = Delivery("wh_1", "video.completed", "video_1")


def signed(body: str = BODY, *, webhook_id: str = "wh_1", secret: str = SECRET, ago: float = 0) -> dict[str, str]:
    """The headers of a delivery that was signed so many seconds ago."""
    at = datetime.now(UTC) - timedelta(seconds=ago)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, body),
    }


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_any_of_the_secrets_will_do(secret):
    assert verify(BODY.encode(), signed(secret=secret), [SECRET, OTHER]) == GOOD


def test_one_of_several_signatures_will_do_as_while_a_key_is_rotated():
    one, other = signed(secret=SECRET), signed(secret=OTHER)
    both = one | {"webhook-signature": f"{other['webhook-signature']} v1a,c29tZXRoaW5n {one['webhook-signature']}"}

    assert verify(BODY.encode(), both, [SECRET]) == GOOD


def test_more_signatures_than_anyone_sends_are_not_looked_at():
    good = signed()
    many = good | {"webhook-signature": " ".join([good["webhook-signature"]] * (MAX_SIGNATURES + 1))}
    with pytest.raises(NotAuthenticated):
        verify(BODY.encode(), many, [SECRET])


@pytest.mark.parametrize("ago", [301, -302])
def test_a_delivery_of_another_time_is_refused(ago):
    with pytest.raises(NotAuthenticated):
        verify(BODY.encode(), signed(ago=ago), [SECRET])


@pytest.mark.parametrize("ago", [298, -298])
def test_clocks_may_differ_by_five_minutes(ago):
    assert verify(BODY.encode(), signed(ago=ago), [SECRET]) == GOOD


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_every_header_is_needed(missing):
    headers = {name: value for name, value in signed().items() if name != missing}
    with pytest.raises(NotAuthenticated):
        verify(BODY.encode(), headers, [SECRET])


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "wh_2"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1e400"},
        {"webhook-timestamp": "now"},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,%%%"},
        {"webhook-signature": "v1,ü"},
        {"webhook-signature": "v1,a,b"},
        {"webhook-signature": ""},
    ],
)
def test_a_header_that_does_not_hold_is_refused(changed):
    with pytest.raises(NotAuthenticated):
        verify(BODY.encode(), signed() | changed, [SECRET])


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_a_body_changed_by_a_byte_is_refused(position, change):
    body = bytearray(BODY.encode())
    body[position] ^= change
    with pytest.raises(NotAuthenticated):
        verify(bytes(body), signed(), [SECRET])


def test_a_huge_body_is_refused_before_anything_is_computed():
    with pytest.raises(TooLarge):
        verify(b"x" * (MAX_DELIVERY_BYTES + 1), {}, [])


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no JSON",
        "[" * 60_000,
        '{"a":' * 12_000,
        "null",
        "[]",
        "1",
        '"x"',
        "NaN",
        '{"type": "video.completed"}',
        '{"type": "video.completed", "data": "video_1"}',
        '{"type": "video.completed", "data": {"id": 7}}',
        '{"type": "video.completed", "data": {"id": ""}}',
        '{"type": null, "data": {"id": "video_1"}}',
        '{"type": "video.completed", "data": {"id": "a\\u0000b"}}',
        '{"type": "video.completed\\n", "data": {"id": "video_1"}}',
        '{"type": "video.completed", "data": {"id": "\\ud800"}}',
        json.dumps({"type": "video.completed", "data": {"id": "v" * (MAX_ID_LENGTH + 1)}}),
        json.dumps({"type": "t" * (MAX_ID_LENGTH + 1), "data": {"id": "video_1"}}),
    ],
    ids=lambda body: body[:30],
)
def test_what_is_signed_and_no_delivery_is_refused_all_the_same(body):
    with pytest.raises(InvalidValue):
        verify(body.encode(), signed(body), [SECRET])


@pytest.mark.parametrize("webhook_id", ["w" * (MAX_ID_LENGTH + 1), "a\0b", "a\nb"])
def test_an_id_that_cannot_be_kept_is_refused(webhook_id):
    with pytest.raises(InvalidValue):
        verify(BODY.encode(), signed(webhook_id=webhook_id), [SECRET])


@pytest.mark.parametrize("secret", ["whsec_", "whsec_ä", "whsec_a", "whsec_====", ""])
def test_a_bad_secret_is_named_by_its_setting_and_never_shown(secret):
    with pytest.raises(NotConfigured, match="OPENAI_WEBHOOK_SECRET") as refused:
        verify(BODY.encode(), signed(), [SECRET, secret])

    assert refused.value.__suppress_context__
    assert SECRET not in str(refused.value)
    assert not secret.removeprefix("whsec_") or secret not in str(refused.value)
