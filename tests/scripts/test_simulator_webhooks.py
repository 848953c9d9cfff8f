"""The simulator's webhooks: signed as each kind signs them, tried again, and as wrong as a fault says."""

import base64
import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook

from tests.support.scripted_server import answer
from tests.support.waiting import eventually

WITH_WEBHOOKS = ("fal", "replicate", "gemini")
#: What names an attempt, which comes back in the URL, or in Gemini's metadata.
PATH = "/hook?token=t1"


@pytest.fixture
def hook(scripted):
    """A receiver that says yes to everything."""
    scripted.script(answer(200, {}))
    scripted.url = scripted.base_url.removesuffix("/v1") + PATH
    return scripted


@pytest.fixture(autouse=True)
def _recent(clock):
    """What a verifier of today takes, also after a job's life."""
    clock.now = time.time() - 60


def events(hook, number):
    eventually(lambda: len(hook.requests) >= number)
    return hook.requests


def states(kinds):
    return [(each["state"], each["tries"]) for each in kinds.control("GET", "webhooks")["webhooks"]]


def verify_fal(kinds, event):
    names = ("request-id", "user-id", "timestamp")
    values = [event.headers[f"x-fal-webhook-{name}"] for name in names]
    message = "\n".join([*values, hashlib.sha256(event.body).hexdigest()]).encode()
    (key,) = requests.get(f"{kinds.base_url}/fal-jwks.json", timeout=10).json()["keys"]
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    public.verify(bytes.fromhex(event.headers["x-fal-webhook-signature"]), message)
    return json.loads(event.body)


def verify_replicate(kinds, event):
    secret = kinds.get("replicate", "/replicate/v1/webhooks/default/secret").json()["key"]
    return Webhook(secret).verify(event.body, dict(event.headers))


def verify_gemini(kinds, event):
    token = event.headers["webhook-signature"]
    (key,) = requests.get(f"{kinds.base_url}/gemini/jwks.json", timeout=10).json()["keys"]
    assert jwt.get_unverified_header(token)["kid"] == key["kid"]
    url = f"http://{event.headers['host']}{event.target}"
    claims = jwt.decode(token, jwt.PyJWK(key).key, algorithms=["RS256"], audience=url)
    body = json.loads(event.body)
    assert {name: claims[name] for name in body} == body
    return body


VERIFIERS = {"fal": verify_fal, "replicate": verify_replicate, "gemini": verify_gemini}


@pytest.mark.parametrize("kind", WITH_WEBHOOKS)
def test_the_end_of_a_job_is_told_once_and_signed_in_the_kinds_way(kinds, clock, hook, kind):
    job_id = kinds.made(kind, webhook=hook.url)
    clock.move(20)
    (event,) = events(hook, 1)
    told = VERIFIERS[kind](kinds, event)

    assert (event.method, event.target) == ("POST", PATH)
    match kind:
        case "fal":
            assert (told["request_id"], told["status"]) == (job_id, "OK")
            assert told["payload"] == kinds.get("fal", kinds.path("fal", job_id)).json()
        case "replicate":
            assert told == kinds.shown("replicate", job_id)
            assert told["input"] == {"prompt": "a cat", "duration": 4}
        case "gemini":
            assert (told["type"], told["data"]) == ("interaction.completed", {"id": job_id})
            assert told["user_metadata"] == {"token": "t1"}
    eventually(lambda: states(kinds) == [("delivered", 1)])


@pytest.mark.parametrize(
    ("prompt", "error"),
    [("[fail]", "The provider could not render this video."), ("[moderate]", "Unprocessable Entity")],
)
def test_fals_event_of_a_failure_says_error(kinds, clock, hook, prompt, error):
    kinds.made("fal", prompt, webhook=hook.url)
    clock.move(20)
    (event,) = events(hook, 1)
    told = verify_fal(kinds, event)

    assert (told["status"], told["error"]) == ("ERROR", error)


def test_replicate_tells_a_start_too_unless_the_post_wants_the_end_alone(kinds, clock, hook):
    body = {"version": "bytedance/seedance-2.0", "input": {"prompt": "a cat"}, "webhook": hook.url}
    assert kinds.ask("replicate", "POST", "/replicate/v1/predictions", json=body).ok
    clock.move(10)
    events(hook, 1)
    clock.move(10)

    assert [json.loads(event.body)["status"] for event in events(hook, 2)] == ["processing", "succeeded"]


@pytest.mark.parametrize("kind", ["fal", "gemini"])
def test_after_a_rotation_a_new_key_signs(kinds, clock, hook, kind):
    path = "/fal-jwks.json" if kind == "fal" else "/gemini/jwks.json"
    old = requests.get(kinds.base_url + path, timeout=10).json()
    kinds.control("POST", "rotate")
    kinds.made(kind, webhook=hook.url)
    clock.move(20)
    (event,) = events(hook, 1)

    assert VERIFIERS[kind](kinds, event)
    assert requests.get(kinds.base_url + path, timeout=10).json() != old


# ---------------------------------------------------------------- what goes wrong


def test_an_event_that_is_not_taken_comes_again_until_it_is(kinds, clock, hook):
    hook.script(answer(500), answer(404), answer(200))
    kinds.made("fal", webhook=hook.url)
    clock.move(20)
    for tries in (1, 2):
        eventually(lambda tries=tries: states(kinds) == [("waiting", tries)])
        clock.move(60)

    assert len(events(hook, 3)) == 3
    eventually(lambda: states(kinds) == [("delivered", 3)])


@pytest.mark.parametrize(("kind", "tries"), [("fal", 31), ("replicate", 6)])
def test_a_receiver_that_never_takes_it_is_given_up(kinds, clock, hook, kind, tries):
    hook.script(answer(503))
    kinds.made(kind, webhook=hook.url)
    for number in range(tries):
        clock.move(3600)
        eventually(lambda number=number: states(kinds)[0][1] == number + 1)

    assert states(kinds) == [("refused", tries)]


@pytest.mark.parametrize("kind", WITH_WEBHOOKS)
def test_a_redirect_is_final(kinds, clock, hook, kind):
    hook.script(answer(302, Location="/elsewhere"))
    kinds.made(kind, webhook=hook.url)
    clock.move(20)

    eventually(lambda: states(kinds) == [("refused", 1)])
    assert len(hook.requests) == 1


def test_an_event_may_be_lost(kinds, clock, hook):
    kinds.set_faults({"webhook": {"kind": "lost", "times": 1}})
    kinds.made("fal", webhook=hook.url)
    second = kinds.made("fal", webhook=hook.url)
    clock.move(20)

    assert json.loads(events(hook, 1)[0].body)["request_id"] == second
    eventually(lambda: states(kinds) == [("lost", 0), ("delivered", 1)])


def test_an_event_may_be_late(kinds, clock, hook):
    kinds.set_faults({"replicate.webhook": {"kind": "late", "seconds": 100}})
    kinds.made("replicate", webhook=hook.url)
    other = kinds.made("fal", webhook=hook.url)
    clock.move(60)
    (first,) = events(hook, 1)
    clock.move(60)

    assert json.loads(first.body)["request_id"] == other
    assert verify_replicate(kinds, events(hook, 2)[1])["status"] == "succeeded"


@pytest.mark.parametrize("kind", WITH_WEBHOOKS)
def test_an_event_may_come_twice(kinds, clock, hook, kind):
    kinds.set_faults({f"{kind}.webhook": {"kind": "double"}})
    kinds.made(kind, webhook=hook.url)
    clock.move(20)
    first, second = events(hook, 2)

    assert VERIFIERS[kind](kinds, first) == VERIFIERS[kind](kinds, second)


@pytest.mark.parametrize("kind", WITH_WEBHOOKS)
def test_an_event_may_come_before_the_answer_to_the_post(kinds, hook, kind):
    came, told = [], []

    def before(request):
        came.append(posting.done())
        told.append(request)
        return answer(200)

    hook.answer_by(before)
    kinds.set_faults({f"{kind}.webhook": {"kind": "early"}})
    with ThreadPoolExecutor(1) as pool:
        posting = pool.submit(kinds.made, kind, webhook=hook.url)
        job_id = posting.result()

    assert came == [False]
    assert job_id in told[0].body.decode()
    assert states(kinds) == [("delivered", 1)]


def test_an_event_comes_again_when_a_test_says_so(kinds, clock, hook):
    job_id = kinds.made("fal", webhook=hook.url)
    clock.move(20)
    events(hook, 1)

    assert kinds.control("POST", "webhooks", params={"job_id": job_id}) == {"statuses": [200]}
    assert len(hook.requests) == 2


@pytest.mark.parametrize(
    "plan",
    [
        {"webhook": {"status": 500}},
        {"create": {"kind": "lost"}},
        {"list": {"kind": "retired"}},
        {"create": {"kind": "omit"}},
        {"sora": {"kind": "close"}},
        {"kling.create": {"kind": "close"}},
    ],
    ids=str,
)
def test_a_fault_in_a_place_where_it_cannot_happen_is_refused(kinds, plan):
    assert requests.put(f"{kinds.base_url}/simulator/faults", json=plan, timeout=10).status_code == 400
