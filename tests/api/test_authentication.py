"""Who may call: nothing opens by accident, a token must hold in every respect, and its subject is its owner."""

import base64
import hashlib
import hmac
import json
import logging
import time
from uuid import uuid4

import jwt
import pytest

from generation_history.api import authentication
from generation_history.record.generation_manager import GenerationManager

SECRET = "a-secret-of-at-least-thirty-two-bytes"
READS = [
    ("generations", ""),
    ("generations", f"/{uuid4()}"),
    ("generations", f"/{uuid4()}/variants"),
    ("generations", f"/{uuid4()}/download"),
    ("variants", f"/{uuid4()}/scenes"),
    ("scenes", f"/{uuid4()}/video"),
    ("library", ""),
    ("stats", ""),
    ("stats", "/no/such/path"),
]
NOW = int(time.time())


def owner_seen_by(call, headers: dict[str, str]) -> str:
    """The owner under which a call with these headers records."""
    body = {"source_video_url": "x", "variant_types": ["soft"]}
    answer = call("generations", method="POST", body=body, headers=headers)
    assert answer.status == 202, answer.returned
    return answer.json["generation_id"]


@pytest.fixture
def owner_of(call, db):
    """Finds out the owner that a token's claims lead to, in the row that its call made."""

    def find(headers: dict[str, str]) -> str:
        made = owner_seen_by(call, headers)
        return str(db.rows("select owner_id from generations where id = %s", made)[0][0])

    return find


# ---------------------------------------------------------------- nothing opens by accident


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "HISTORY_ACCESS is not set"),
        ({"HISTORY_ACCESS": ""}, "HISTORY_ACCESS is not set"),
        ({"HISTORY_ACCESS": "none"}, "HISTORY_ACCESS is not set"),
        ({"HISTORY_ACCESS": "open"}, "HISTORY_ACCESS must be one of"),
        ({"HISTORY_ACCESS": "single-owner"}, "HISTORY_OWNER_ID is not set"),
        ({"HISTORY_ACCESS": "single-owner", "HISTORY_OWNER_ID": "me"}, "HISTORY_OWNER_ID must be a UUID"),
        ({"HISTORY_ACCESS": "jwt"}, "HISTORY_JWT_SECRET is not set"),
        (
            {"HISTORY_ACCESS": "jwt", "HISTORY_JWT_SECRET": "x" * 31},
            "HISTORY_JWT_SECRET must be at least 32 bytes long",
        ),
    ],
)
def test_without_a_whole_configuration_everything_is_503_and_names_the_setting(
    call, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], named: str
):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    for function, path in READS:
        said = call(function, path, headers={"authorization": "Bearer x"}).refused(503, "not_configured")
        assert said.startswith(named)
        assert "x" * 31 not in said


def test_a_single_owner_needs_no_token_and_the_log_says_so(
    call, manager, open_to_one, owner_of, caplog: pytest.LogCaptureFixture
):
    authentication._warn_of_open_access.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert owner_of({}) == open_to_one
        assert owner_of({"authorization": "Bearer nonsense"}) == open_to_one

    assert [record.levelname for record in caplog.records if "single-owner" in record.message] == ["WARNING"]
    assert len(manager.list_generations()) == 2
    assert call("stats").json["stats"]["total_generations"] == 2


# ---------------------------------------------------------------- a token that does not hold


def unsigned(header: dict, claims: dict, signature: str = "") -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)]
    return ".".join([*parts, signature])


GOOD = {"sub": str(uuid4()), "exp": NOW + 3600}
SIGNED = jwt.encode(GOOD, SECRET, algorithm="HS256")


def signed_over(header: dict) -> str:
    """A token that is signed rightly, and says this of itself."""
    body = unsigned(header, GOOD)[:-1]
    signature = hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).digest()
    return f"{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


TOKENS = {
    "alg none": unsigned({"alg": "none", "typ": "JWT"}, GOOD),
    "alg None": unsigned({"alg": "None"}, GOOD),
    "alg none, signed": signed_over({"alg": "none"}),
    "no alg": signed_over({}),
    "alg of another kind": signed_over({"alg": ["HS256"]}),
    "alg RS256": signed_over({"alg": "RS256"}),
    "crit": signed_over({"alg": "HS256", "crit": ["exp"], "exp": True}),
    "no signature": SIGNED.rpartition(".")[0] + ".",
    "two parts": SIGNED.rpartition(".")[0],
    "changed signature": SIGNED[:-2] + ("AA" if SIGNED[-2:] != "AA" else "BB"),
    "changed claims": ".".join([SIGNED.split(".")[0], unsigned({}, GOOD).split(".")[1] + "AA", SIGNED.split(".")[2]]),
    "no token": "a.b.c",
    "not ascii": "ü.ü.ü",
    "a surrogate": "\ud800.a.b",
    "empty": "",
    "long": "x" * 100_000,
    "JWE": "a.b.c.d.e",
    "deep header": base64.urlsafe_b64encode(b"[" * 30_000).decode() + ".e30.e30",
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_a_token_that_is_not_signed_by_us_is_refused(call, by_token, token: str):
    by_token()

    assert call("stats", headers={"authorization": f"Bearer {token}"}).refused(401, "not_authenticated")


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 60},
        {"exp": 0},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
        {"sub": ["x"]},
        {"nbf": NOW + 3600},
        {"iat": NOW + 3600},
        {"key": "another-secret-of-at-least-32-bytes!"},
        {"algorithm": "HS512", "key": SECRET * 2},
        {"algorithm": "HS384", "key": SECRET * 2},
    ],
    ids=lambda claims: "-".join(f"{name} {type(value).__name__}" for name, value in claims.items()),
)
def test_a_token_whose_claims_do_not_hold_is_refused(call, by_token, claims: dict):
    assert call("stats", headers=by_token(**claims)).refused(401, "not_authenticated")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", f"bearer{SIGNED}", SIGNED, "Token x"]
)
def test_without_a_token_the_answer_says_what_is_needed(call, by_token, header: str | None):
    by_token()
    headers = {} if header is None else {"authorization": header}

    assert "Authorization: Bearer" in call("stats", headers=headers).refused(401, "not_authenticated")


def test_no_path_and_no_method_is_open_without_a_token(call, by_token):
    """But for OPTIONS, which a browser asks without one, and which tells no more than this document does."""
    by_token()

    for function, path in READS:
        for method in ("GET", "HEAD", "POST", "DELETE", "PUT"):
            answer = call(function, path, method=method, body={})
            assert (answer.status, method == "HEAD" or answer.json["code"]) in {(401, "not_authenticated"), (401, True)}


def test_a_refusal_repeats_neither_token_nor_secret(call, by_token):
    headers = by_token(key="another-secret-of-at-least-32-bytes!")
    answer = call("stats", headers=headers)

    assert headers["authorization"].split(".")[2] not in answer.returned["body"]
    assert SECRET not in answer.returned["body"]


# ---------------------------------------------------------------- issuer and audience


@pytest.fixture
def particular(by_token, monkeypatch: pytest.MonkeyPatch):
    """Tokens where one issuer and one audience are configured."""
    monkeypatch.setenv("HISTORY_JWT_ISSUER", "https://id.example")
    monkeypatch.setenv("HISTORY_JWT_AUDIENCE", "history")
    return by_token


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://id.example"},
        {"aud": "history"},
        {"iss": "https://other.example", "aud": "history"},
        {"iss": "https://id.example/", "aud": "history"},
        {"iss": "https://id.example", "aud": "other"},
        {"iss": "https://id.example", "aud": ["other", "another"]},
        {"iss": "https://id.example", "aud": ""},
    ],
    ids=str,
)
def test_a_token_for_another_issuer_or_audience_is_refused(call, particular, claims: dict):
    assert call("stats", headers=particular(**claims)).refused(401, "not_authenticated")


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("audience", ["history", ["other", "history"]])
def test_a_token_for_our_issuer_and_audience_holds(call, particular, audience: object):
    assert call("stats", headers=particular(iss="https://id.example", aud=audience)).status == 200


@pytest.mark.usefixtures("db")
def test_a_token_may_name_any_issuer_and_audience_where_none_is_configured(call, by_token):
    assert call("stats", headers=by_token(iss="https://id.example", aud="x")).status == 200


@pytest.mark.usefixtures("db")
def test_a_scheme_is_known_in_any_case_and_clocks_may_differ_a_little(call, by_token):
    token = by_token(exp=time.time() - 5, nbf=time.time() + 10)["authorization"].split()[1]

    for scheme in ("Bearer", "bearer", "BEARER"):
        assert call("stats", headers={"authorization": f"{scheme} {token}"}).status == 200
        assert call("stats", headers={"Authorization": f"{scheme}  {token} "}).status == 200


# ---------------------------------------------------------------- whose it is


def test_a_subject_that_is_a_uuid_is_the_owner(by_token, owner_of):
    owner = str(uuid4())

    assert owner_of(by_token(sub=owner)) == owner
    assert owner_of(by_token(sub=owner, iss="https://id.example")) == owner


def test_a_subject_of_another_spelling_is_another_owner(by_token):
    """It is another text, so an identity provider may have given it to somebody else."""
    canonical = "018f0000-0000-7000-8000-00000000000a"
    spelled = [
        canonical,
        canonical.upper(),
        f"{{{canonical}}}",
        f"urn:uuid:{canonical}",
        canonical.replace("-", ""),
        canonical.replace("0", "\uff10"),
        canonical.replace("0", "\u0660"),
        f" {canonical}",
        f"{canonical} ",
        f"{canonical}\n",
        f"{canonical}\0",
        canonical.replace("-", "\u2010"),
        "caf\u00e9",
        "cafe\u0301",
        " ",
        "a" * 5000,
        "a" * 5001,
    ]
    owners = [authentication.authenticate(by_token(sub=subject), "GET").owner_id for subject in spelled]

    assert str(owners[0]) == canonical
    assert len(set(owners)) == len(spelled)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": 5},
        {"sub": True},
        {"sub": ["x"]},
        {"sub": {"a": 1}},
        {"sub": "\ud800"},
        {"iss": 5},
        {"iss": ["https://id.example"]},
        {"iss": {"a": 1}},
        {"iss": "\ud800"},
        {"iss": None, "sub": "\udfff\ud800"},
    ],
    ids=ascii,
)
def test_a_subject_or_an_issuer_that_is_no_text_is_refused(call, by_token, claims: dict):
    """Of bytes: a whole token is refused for its claims while it is made."""
    by_token()
    payload = json.dumps({"sub": "a", "exp": NOW + 3600, **claims}).encode()
    token = jwt.api_jws.encode(payload, SECRET, "HS256")

    assert call("stats", headers={"authorization": f"Bearer {token}"}).refused(401, "not_authenticated")


@pytest.mark.usefixtures("db")
def test_a_secret_that_its_issuer_takes_for_base64_proves_its_tokens_too(call, by_token, monkeypatch):
    key = b"\xfb\xff" * 20
    for secret in (base64.b64encode(key), base64.urlsafe_b64encode(key)):
        for signing in (key, secret):
            headers = by_token(key=signing)
            monkeypatch.setenv("HISTORY_JWT_SECRET", secret.decode())
            assert call("stats", headers=headers).status == 200
        assert call("stats", headers=by_token(key="another-secret-of-at-least-32-bytes!")).status == 401


def test_an_issuer_that_differs_by_its_last_slash_is_refused_with_these_words(call, particular):
    said = call("stats", headers=particular(iss="https://id.example/", aud="history")).refused(401, "not_authenticated")
    assert "slash" in said

    other = call("stats", headers=particular(iss="https://other.example/", aud="history"))
    assert "slash" not in other.refused(401, "not_authenticated")


def test_another_subject_is_an_owner_that_never_changes(by_token, owner_of):
    """It must be the same in years, or its records would be lost: the namespace is part of the contract."""
    ours = "f75ae580-a8b2-5a83-b11b-c2d0168f9d62"

    assert owner_of(by_token(sub="auth0|5f7c8ec7c33c6c004bbafe82", iss="https://id.example")) == ours
    assert owner_of(by_token(sub="auth0|5f7c8ec7c33c6c004bbafe82", iss="https://other.example")) != ours
    assert owner_of(by_token(sub="auth0|another", iss="https://id.example")) != ours


def test_one_token_sees_nothing_of_anothers(call, by_token, db, generation_factory):
    mine, theirs = str(uuid4()), str(uuid4())
    made = generation_factory(1, by=GenerationManager(theirs))

    assert call("generations", headers=by_token(sub=theirs)).json["count"] == 1
    assert call("generations", headers=by_token(sub=mine)).json["count"] == 0
    assert call("generations", f"/{made['id']}", headers=by_token(sub=mine)).refused(404, "not_found")
    assert call("generations", f"/{made['id']}", headers=by_token(sub=theirs)).status == 200
