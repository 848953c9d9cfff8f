"""API keys over HTTP: whom they speak for, what their scopes let them do, and how soon a revoked one is useless."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from generation_history.api import api_keys
from generation_history.record.generation_manager import GenerationManager
from scripts.operate.api_key import create, revoke

BODY = {"source_video_url": "x", "variant_types": ["soft"]}
OWNER = uuid4()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock by which keys are believed."""
    now = [1_000_000.0]
    monkeypatch.setattr(api_keys, "_now", lambda: now[0])
    monkeypatch.setattr(api_keys, "_cached", {})

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


@pytest.fixture
def by_key(db, clock, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Access by API key; makes the headers of a new one."""
    monkeypatch.setenv("HISTORY_ACCESS", "api-key")

    def headers(*scopes: str, owner: UUID = OWNER) -> dict[str, str]:
        _, key = create(db.migrate, owner, "a test", list(scopes or ("read", "write")), None)
        return {"authorization": f"Bearer {key}"}

    return headers


@pytest.fixture
def looked_up(db, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The fingerprints that the database was asked about."""
    asked, real = [], api_keys._look_up
    monkeypatch.setattr(api_keys, "_look_up", lambda sha256: (asked.append(sha256), real(sha256))[1])
    return asked


def end(db, change: str) -> None:
    db.rows(f"update api_keys set {change}")


# ---------------------------------------------------------------- whose it is, and what it may


def test_a_key_speaks_for_its_owner_and_no_other(call, by_key, generation_factory):
    theirs = generation_factory(1, by=GenerationManager(uuid4()))
    headers = by_key()

    made = call("generations", method="POST", body=BODY, headers=headers).json["generation_id"]

    assert [one["id"] for one in call("generations", headers=headers).json["generations"]] == [made]
    assert GenerationManager(OWNER).get_generation(made)
    assert call("generations", f"/{theirs['id']}", headers=headers).refused(404, "not_found")


WRITES = [
    ("generations", "", "POST", BODY),
    ("generations", f"/{uuid4()}", "DELETE", ""),
    ("generations", f"/{uuid4()}", "PATCH", {"actual_cost": 1}),
    ("scenes", f"/{uuid4()}/retry", "POST", ""),
    ("stats", "", "POST", ""),
    ("stats", "/no/such/path", "PUT", ""),
]


def test_without_the_scope_to_write_nothing_but_reading_is_allowed(call, by_key, db):
    headers = by_key("read")
    assert call("stats", headers=headers).status == 200
    before = db.everything()

    assert call("stats", method="HEAD", headers=headers).status == 200
    for function, path, method, body in WRITES:
        said = call(function, path, method=method, body=body, headers=headers).refused(403, "not_allowed")
        assert said == "this API key does not have the scope write"
    assert db.everything() == before


def test_without_the_scope_to_read_nothing_is_shown(call, by_key):
    headers = by_key("write")

    assert call("generations", method="POST", body=BODY, headers=headers).status == 202
    for function in ("generations", "library", "stats"):
        for method in ("GET", "HEAD"):
            assert call(function, method=method, headers=headers).status == 403


# ---------------------------------------------------------------- keys that do not hold


@pytest.mark.parametrize(
    "key",
    [
        "ghk_",
        "ghk_short",
        "ghk_" + "x" * 43,
        "ghk_" + "x" * 44,
        "GHK_" + "x" * 43,
        "ghk_" + "x" * 42 + "é",
        "ghk_" + "x" * 42 + "\n",
        "ghk_" + "x" * 43 + "' or true --",
        "ghk_" + "\x00" * 43,
        "ghk_" + "\ud800" * 43,
        "x" * 100_000,
        "a.b.c",
        "*",
    ],
)
def test_what_is_no_key_is_refused(call, by_key, key: str):
    by_key()

    said = call("stats", headers={"authorization": f"Bearer {key}"}).refused(401, "not_authenticated")

    assert said in {"the API key does not hold", "the token does not hold: it is too long"}


def test_the_hash_of_a_key_is_not_the_key(call, by_key, db):
    """Whoever reads the table cannot call."""
    by_key()
    [(sha256,)] = db.rows("select sha256 from api_keys")

    for shown in (sha256.hex(), f"ghk_{sha256.hex()[:43]}", f"ghk_{sha256.hex()}"):
        assert call("stats", headers={"authorization": f"Bearer {shown}"}).refused(401, "not_authenticated")


def test_without_a_key_the_answer_says_what_is_needed(call, by_key):
    by_key()

    for headers in ({}, {"authorization": "Basic ghk_x"}, {"x-api-key": "ghk_x"}):
        assert "Authorization: Bearer" in call("stats", headers=headers).refused(401, "not_authenticated")


@pytest.mark.parametrize(
    "change", ["revoked_at = now()", "expires_at = now()", "expires_at = now() - interval '1 second'"]
)
def test_a_key_that_ended_is_refused(call, by_key, db, change: str):
    headers = by_key()
    end(db, change)

    assert call("stats", headers=headers).refused(401, "not_authenticated")


def test_a_revoked_key_is_believed_for_half_a_minute_at_most(call, by_key, db, clock):
    headers = by_key()
    assert call("stats", headers=headers).status == 200
    revoke(db.migrate, db.rows("select id from api_keys")[0][0])

    clock(29)
    assert call("stats", headers=headers).status == 200
    clock(1)
    assert call("stats", headers=headers).refused(401, "not_authenticated")
    clock(-2)
    assert call("stats", headers=headers).refused(401, "not_authenticated")


def test_a_clock_that_is_set_back_makes_no_key_last_longer(call, by_key, db, clock):
    headers = by_key()
    assert call("stats", headers=headers).status == 200
    end(db, "revoked_at = now()")

    clock(-1)
    assert call("stats", headers=headers).refused(401, "not_authenticated")


# ---------------------------------------------------------------- what it costs


def test_a_warm_instance_asks_about_a_key_once_in_half_a_minute(call, by_key, clock, looked_up):
    headers = by_key()

    for _ in range(5):
        assert call("stats", headers=headers).status == 200
        clock(5)
    assert len(looked_up) == 1

    clock(10)
    assert call("stats", headers=headers).status == 200
    assert len(looked_up) == 2


def test_what_cannot_be_a_key_is_not_looked_up(call, by_key, looked_up):
    by_key()

    for key in ("ghk_short", "a.b.c", "ghk_" + "x" * 44):
        assert call("stats", headers={"authorization": f"Bearer {key}"}).status == 401
    assert looked_up == []


def test_no_number_of_keys_fills_the_memory(call, by_key, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(api_keys, "MAX_CACHED", 3)

    for _ in range(8):
        assert call("stats", headers=by_key()).status == 200
        assert len(api_keys._cached) <= 3


def test_a_key_says_when_it_was_used_to_the_hour(call, by_key, db, clock):
    headers = by_key()
    call("stats", headers=headers)
    first = db.rows("select last_used_at from api_keys")
    assert first != [(None,)]

    clock(60)
    call("stats", headers=headers)
    assert db.rows("select last_used_at from api_keys") == first
    end(db, "last_used_at = now() - interval '61 minutes'")
    clock(60)
    call("stats", headers=headers)
    assert db.rows("select last_used_at > now() - interval '1 minute' from api_keys") == [(True,)]


def test_without_the_database_no_key_is_believed_and_none_is_refused(call, by_key, monkeypatch: pytest.MonkeyPatch):
    headers = by_key()
    monkeypatch.setenv("DATABASE_URL", "postgresql://history_api:x@127.0.0.1:1/gone")

    assert call("stats", headers=headers).refused(503, "unavailable")


# ---------------------------------------------------------------- beside tokens


def test_tokens_and_keys_may_be_taken_side_by_side(call, by_key, by_token, monkeypatch: pytest.MonkeyPatch):
    key, token = by_key(), by_token(sub=str(OWNER))
    monkeypatch.setenv("HISTORY_ACCESS", "jwt api-key")
    made = call("generations", method="POST", body=BODY, headers=key).json["generation_id"]

    assert call("generations", f"/{made}", headers=token).status == 200
    assert call("generations", f"/{made}", method="DELETE", headers=token).status == 200
    for shown in ("ghk_" + "x" * 43, "a.b.c"):
        assert call("stats", headers={"authorization": f"Bearer {shown}"}).refused(401, "not_authenticated")


def test_a_way_that_is_not_named_is_closed(call, by_key, by_token, monkeypatch: pytest.MonkeyPatch):
    key, token = by_key(), by_token(sub=str(OWNER))

    monkeypatch.setenv("HISTORY_ACCESS", "jwt")
    assert call("stats", headers=token).status == 200
    assert call("stats", headers=key).refused(401, "not_authenticated")
    monkeypatch.setenv("HISTORY_ACCESS", "api-key")
    assert call("stats", headers=key).status == 200
    assert call("stats", headers=token).refused(401, "not_authenticated")


@pytest.mark.parametrize("ways", ["jwt single-owner", "api-key single-owner", "api-keys", "jwt,api-key", "jwt open"])
def test_other_ways_are_refused_and_nothing_opens(call, by_key, ways: str, monkeypatch: pytest.MonkeyPatch):
    headers = by_key()
    monkeypatch.setenv("HISTORY_ACCESS", ways)
    monkeypatch.setenv("HISTORY_OWNER_ID", str(OWNER))

    assert call("stats", headers=headers).refused(503, "not_configured").startswith("HISTORY_ACCESS must be one of")
