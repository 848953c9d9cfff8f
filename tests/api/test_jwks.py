"""Tokens of an identity provider: proven by the keys it publishes, however it behaves, and by nothing else."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from generation_history.api import jwks
from tests.support.scripted_server import answer, endless, hang_up, never, raw

ISSUER, AUDIENCE = "https://id.example/", "history"
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
WEAK_RSA = rsa.generate_private_key(65537, 1024)  # noqa: S505
EC = ec.generate_private_key(ec.SECP256R1())
EC_384 = ec.generate_private_key(ec.SECP384R1())


def jwk(private: Any, kid: str | None = "a", **more: Any) -> dict[str, Any]:
    """A public key as a set lists it."""
    kind = jwt.algorithms.RSAAlgorithm if isinstance(private, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    fields = {**kind.to_jwk(private.public_key(), as_dict=True), "kid": kid, **more}
    return {name: value for name, value in fields.items() if value is not None}


def pem(private: Any) -> bytes:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(serialization.Encoding.PEM, kind)


def token(private: Any = RSA, *, kid: Any = "a", algorithm: str = "RS256", headers: dict | None = None, **claims: Any):
    """A token that holds, unless what is given says otherwise."""
    good = {"sub": str(uuid4()), "iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 3600}
    given = {name: value for name, value in {**good, **claims}.items() if value is not None}
    named = {} if kid is None else {"kid": kid}
    # Of bytes: a whole token is refused for its claims while it is made.
    return jwt.api_jws.encode(json.dumps(given).encode(), private, algorithm, headers={**named, **(headers or {})})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock by which keys are fetched."""
    now = [1_000_000.0]
    monkeypatch.setattr(jwks, "_now", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


@pytest.fixture
def published(scripted, monkeypatch: pytest.MonkeyPatch, clock) -> Callable[..., None]:
    """Publishes just these keys from here on, or what else is given as the server's answer."""
    monkeypatch.setenv("HISTORY_ACCESS", "jwt")
    monkeypatch.setenv("HISTORY_JWKS_URL", f"{scripted.base_url}/keys")
    # Another test's server may have had this port.
    jwks.key_set.cache_clear()
    monkeypatch.setenv("HISTORY_JWT_ISSUER", ISSUER)
    monkeypatch.setenv("HISTORY_JWT_AUDIENCE", AUDIENCE)

    def publish(*keys: Any, given: Any = None) -> None:
        scripted.script(given or answer(200, {"keys": list(keys)}))

    publish(jwk(RSA))
    return publish


@pytest.fixture
def shown(call, published) -> Callable[[str], Any]:
    """The answer to a call that shows this token; it asks for nothing that there is, so no database is needed."""
    return lambda text: call("stats", "/nothing", headers={"authorization": f"Bearer {text}"})


def holds(answered: Any) -> bool:
    if answered.status != 404:
        assert answered.refused(401, "not_authenticated")
    return answered.status == 404


# ---------------------------------------------------------------- what holds


@pytest.mark.parametrize(("private", "algorithm"), [(RSA, "RS256"), (EC, "ES256")], ids=["RS256", "ES256"])
@pytest.mark.parametrize("more", [{}, {"use": "sig"}, {"key_ops": ["verify"]}, {"alg": True}, {"x5t": "x"}], ids=str)
def test_a_token_that_is_signed_with_a_published_key_holds(shown, published, private, algorithm: str, more: dict):
    published(jwk(OTHER_RSA, "b"), jwk(private, "a", **({"alg": algorithm} if "alg" in more else more)))

    assert holds(shown(token(private, algorithm=algorithm)))


def test_its_subject_is_its_owner(call, published, db):
    owner = str(uuid4())
    body = {"source_video_url": "x", "variant_types": ["soft"]}
    headers = {"authorization": f"Bearer {token(sub=owner)}"}

    assert call("generations", method="POST", body=body, headers=headers).status == 202
    assert db.rows("select owner_id::text from generations") == [(owner,)]


# ---------------------------------------------------------------- what does not


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example/"},
        {"iss": "https://id.example"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "other"},
        {"aud": None},
        {"aud": []},
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"sub": ""},
        {"nbf": 4102444800},
        {"private": OTHER_RSA},
        {"private": OTHER_RSA, "kid": "b"},
        {"algorithm": "PS256"},
        {"algorithm": "RS512"},
        {"private": EC, "algorithm": "ES256"},
        {"kid": None},
        {"kid": ""},
        {"kid": "A"},
        {"kid": "a/../a"},
        {"kid": "a" * 10_000},
        {"kid": "' or true --"},
        {"more": "x" * 16_384},
        {"headers": {"crit": ["exp"], "exp": True}},
        {"headers": {"b64": False, "crit": ["b64"]}},
    ],
    ids=lambda claims: str(claims)[:60],
)
def test_a_token_that_is_another_ones_is_refused(shown, claims: dict):
    assert not holds(shown(token(**claims)))


def made_by_hand(header: dict, key: bytes | None, **claims: Any) -> str:
    """A token as no library makes it, signed with HMAC, or not at all."""
    payload = {"sub": str(uuid4()), "iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 3600, **claims}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, payload)]
    signature = b"" if key is None else hmac.new(key, b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def test_a_public_key_is_no_shared_secret(shown):
    """RS256's public key, which everyone has, used as the secret of HS256."""
    exponent_and_modulus = json.dumps(jwk(RSA)).encode()
    for secret in (pem(RSA), pem(RSA).strip(), exponent_and_modulus, b"", b"a"):
        for algorithm in ("HS256", "hs256", "RS256", "none"):
            assert not holds(shown(made_by_hand({"alg": algorithm, "kid": "a", "typ": "JWT"}, secret)))


def test_a_token_without_a_signature_is_refused(shown):
    for algorithm in ("none", "None", "NONE", "RS256", "", None, ["RS256"], {"a": 1}, 5):
        assert not holds(shown(made_by_hand({"alg": algorithm, "kid": "a"}, None)))


@pytest.mark.parametrize("kid", [5, None, ["a"], {"a": "a"}, True, "\ud800", "a\x00"])
def test_an_id_of_another_kind_is_refused(shown, kid: Any):
    assert not holds(shown(made_by_hand({"alg": "RS256", "kid": kid}, b"x")))


def test_a_token_brings_no_key_and_no_address_of_its_own(shown, scripted):
    other = jwk(OTHER_RSA)
    for headers in (
        {"jwk": other},
        {"jku": f"{scripted.base_url}/evil"},
        {"x5u": f"{scripted.base_url}/evil"},
        {"x5c": [base64.b64encode(b"x").decode()]},
    ):
        assert not holds(shown(token(OTHER_RSA, headers=headers)))
    assert {request.target for request in scripted.requests} == {"/v1/keys"}


@pytest.mark.parametrize(
    "text", ["x" * 16_385, "a.b.c", "", ".", "..", "\ud800.a.b", "é.é.é", "[" * 16_000, "{}.{}.{}"]
)
def test_what_is_no_token_is_refused_without_a_look_at_the_keys(shown, scripted, text: str):
    assert shown(text).refused(401, "not_authenticated")
    assert scripted.requests == []


def test_a_shared_secret_does_not_hold_here_nor_a_published_key_elsewhere(shown, monkeypatch: pytest.MonkeyPatch):
    secret = "a-secret-of-at-least-thirty-two-bytes"
    assert not holds(shown(token(secret, algorithm="HS256")))

    monkeypatch.delenv("HISTORY_JWKS_URL")
    monkeypatch.setenv("HISTORY_JWT_SECRET", secret)
    assert holds(shown(token(secret, algorithm="HS256")))
    assert not holds(shown(token()))
    assert not holds(shown(token(EC, algorithm="ES256")))


UNUSABLE = {
    "a shared secret": {"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode(), "kid": "a", "alg": "HS256"},
    "for encryption": jwk(RSA, use="enc"),
    "not to verify": jwk(RSA, key_ops=["encrypt"]),
    "key_ops of another kind": jwk(RSA, key_ops=5),
    "of another algorithm": jwk(RSA, alg="RS512"),
    "of PSS": jwk(RSA, alg="PS256"),
    "of a shared algorithm": jwk(RSA, alg="HS256"),
    "of none": jwk(RSA, alg="none"),
    "without an id": jwk(RSA, None),
    "an id of another kind": jwk(RSA) | {"kid": 5},
    "too short": jwk(WEAK_RSA),
    "another curve": jwk(EC_384),
    "half of one": {"kty": "RSA", "kid": "a", "n": "AQAB"},
    "no point of the curve": jwk(EC) | {"x": jwk(EC)["y"]},
    "no number": jwk(RSA) | {"n": "*"},
    "kinds mixed up": jwk(RSA) | {"kty": ["RSA"]},
    "a private one": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA)) | {"kid": "a", "key_ops": ["verify"]},
    "a private one of a curve": json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC)) | {"kid": "a", "key_ops": ["verify"]},
    "empty": {},
    "no key": 5,
    "null": None,
}


@pytest.mark.parametrize("listed", UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_that_is_not_for_this_is_as_if_it_were_not_listed(shown, published, listed: Any):
    """And the others of the set stay good."""
    published(listed, jwk(OTHER_RSA, "b"))

    assert holds(shown(token(OTHER_RSA, kid="b")))
    for text in (
        token(),
        token(algorithm="PS256"),
        token(algorithm="RS512"),
        token(EC, algorithm="ES256"),
        token(EC_384, algorithm="ES384"),
        token(b"x" * 32, algorithm="HS256"),
    ):
        assert not holds(shown(text))


def test_a_second_key_of_the_same_id_does_not_replace_the_first(shown, published):
    published(jwk(RSA), jwk(OTHER_RSA))

    assert holds(shown(token()))
    assert not holds(shown(token(OTHER_RSA)))


# ---------------------------------------------------------------- caching and rotation


def test_a_warm_instance_fetches_the_keys_once_in_five_minutes(shown, scripted, clock):
    for _ in range(6):
        assert holds(shown(token()))
        clock(50)
    assert len(scripted.requests) == 1

    assert holds(shown(token()))
    assert len(scripted.requests) == 2
    assert (scripted.requests[0].method, scripted.requests[0].target) == ("GET", "/v1/keys")
    assert "authorization" not in scripted.requests[0].headers


def test_a_new_key_holds_from_the_moment_its_first_token_comes(shown, published, clock):
    assert holds(shown(token()))
    clock(60)
    published(jwk(RSA), jwk(EC, "new"))

    assert holds(shown(token(EC, kid="new", algorithm="ES256")))
    assert holds(shown(token()))


def test_a_key_that_was_withdrawn_holds_for_five_minutes_at_most(shown, published, clock):
    assert holds(shown(token()))
    published(jwk(OTHER_RSA, "b"))

    clock(301)

    assert not holds(shown(token()))


def test_ids_that_nobody_knows_do_not_make_us_hammer_the_provider(shown, scripted, clock):
    for number in range(20):
        assert not holds(shown(token(kid=f"unknown-{number}")))
    assert len(scripted.requests) == 1

    clock(10)
    for number in range(20):
        assert not holds(shown(token(kid=f"unknown-{number}")))
    assert len(scripted.requests) == 2


def test_a_clock_that_is_set_back_stops_no_fetching(shown, published, clock):
    assert holds(shown(token()))
    published(jwk(OTHER_RSA, "b"))

    clock(-1000)

    assert holds(shown(token(OTHER_RSA, kid="b")))


# ---------------------------------------------------------------- a provider that is down, or worse


DOWN = {
    "500": answer(500),
    "404": answer(404),
    "nothing": hang_up,
    "nonsense": raw(b"nonsense"),
    "a page": answer(200, b"<html>", kind="text/html"),
    "no set": answer(200, []),
    "keys of another kind": answer(200, {"keys": {"a": 1}}),
    "no keys": answer(200, {"keys": []}),
    "no usable key": answer(200, {"keys": [jwk(RSA, use="enc"), 5]}),
    "deep": answer(200, b"[" * 100_000),
    "not UTF-8": answer(200, b"\xff\xfe"),
    "too long": answer(200, json.dumps({"keys": [jwk(RSA)]}).encode() + b" " * 300_000),
    "without an end": endless(b'{"keys": [], "x": "' + b"x" * 65_536, kind="application/json"),
}


@pytest.mark.parametrize("given", DOWN.values(), ids=DOWN)
def test_the_last_keys_are_kept_while_there_are_no_better_ones(shown, published, scripted, clock, given, caplog):
    assert holds(shown(token()))
    published(given=given)

    for _ in range(3):
        clock(301)
        assert holds(shown(token()))
        assert not holds(shown(token(kid="unknown")))

    assert len(scripted.requests) == 4
    assert "HISTORY_JWKS_URL: the keys cannot be fetched" in caplog.text


@pytest.mark.parametrize("given", DOWN.values(), ids=DOWN)
def test_without_any_keys_yet_nobody_is_refused_for_good(shown, published, scripted, clock, given):
    """503: a client that was told 401 would throw its token away."""
    published(given=given)
    for _ in range(3):
        assert shown(token()).refused(503, "unavailable")
    assert len(scripted.requests) == 1

    published(jwk(RSA))
    clock(10)
    assert holds(shown(token()))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("500", "cannot be fetched now"),
        ("nothing", "cannot be fetched now"),
        ("a page", "no JSON"),
        ("no set", "no key set"),
        ("keys of another kind", "no key set"),
        ("no keys", "none of the keys"),
        ("no usable key", "none of the keys"),
    ],
)
def test_what_is_said_without_keys_is_what_is_wrong_with_them(shown, published, given: str, said: str):
    """It is the setting's, or the provider's: the record has nothing to do with it."""
    published(given=DOWN[given])

    refused = shown(token()).refused(503, "unavailable")

    assert refused.startswith("HISTORY_JWKS_URL: ")
    assert said in refused
    assert "record" not in refused
    assert "127.0.0.1" not in refused


def test_keys_are_kept_for_a_day_at_most(shown, published, clock):
    assert holds(shown(token()))
    published(given=answer(500))

    clock(24 * 3600)

    assert shown(token()).refused(503, "unavailable")


def _by_drops(connection) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"x: y\r\n")
        time.sleep(0.05)


@pytest.mark.parametrize("given", [never, _by_drops], ids=["silent", "by drops"])
def test_a_provider_that_takes_for_ever_is_not_waited_for(
    shown, published, scripted, given, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(jwks, "FETCH_SECONDS", 0.3)
    published(given=given)
    began = time.monotonic()

    for _ in range(3):
        assert shown(token()).refused(503, "unavailable")

    assert time.monotonic() - began < 3
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(shown, published, scripted, status: int):
    """What another address says is not the provider's word."""
    published(given=answer(status, location=f"{scripted.base_url}/elsewhere"))

    assert shown(token()).refused(503, "unavailable")
    assert len(scripted.requests) == 1


# ---------------------------------------------------------------- its settings


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("HISTORY_JWKS_URL", "http://id.example/keys", "HISTORY_JWKS_URL must be an https URL"),
        ("HISTORY_JWKS_URL", "http://127.0.0.1.id.example/keys", "HISTORY_JWKS_URL must be an https URL"),
        ("HISTORY_JWKS_URL", "file:///etc/passwd", "HISTORY_JWKS_URL must be a plain http or https URL"),
        ("HISTORY_JWKS_URL", "https://user:pass@id.example/keys", "HISTORY_JWKS_URL must be a plain"),
        ("HISTORY_JWKS_URL", "keys", "HISTORY_JWKS_URL must be a plain"),
        ("HISTORY_JWT_ISSUER", "none", "HISTORY_JWT_ISSUER is not set: tokens proven by HISTORY_JWKS_URL must be ours"),
        ("HISTORY_JWT_AUDIENCE", "", "HISTORY_JWT_AUDIENCE is not set"),
        ("HISTORY_JWT_SECRET", "x" * 40, "HISTORY_JWKS_URL and HISTORY_JWT_SECRET are both set"),
    ],
)
def test_a_configuration_that_opens_more_than_it_should_is_503(
    shown, scripted, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, said: str
):
    monkeypatch.setenv(setting, value)

    refusal = shown(token()).refused(503, "not_configured")

    assert refusal.startswith(said)
    assert "x" * 40 not in refusal
    assert "pass" not in refusal.replace("passwd", "")
    assert scripted.requests == []


def test_without_the_package_it_needs_the_setting_is_named(shown, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jwks, "has_crypto", False)

    assert shown(token()).refused(503, "not_configured") == "HISTORY_JWKS_URL needs the package cryptography"
