"""scripts/api-key: a key is shown once, kept as a hash, and stops when it is told to."""

import re
import sys
from collections.abc import Callable
from uuid import uuid4

import pytest

from generation_history.api.api_keys import fingerprint
from scripts.operate import api_key as command

OWNER = str(uuid4())


@pytest.fixture
def run(db, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command: its exit status, output and complaints."""
    monkeypatch.setenv("MIGRATE_DATABASE_URL", db.migrate)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["scripts/api-key", *arguments])
        try:
            status = command.main()
        except SystemExit as exited:
            status = int(exited.code or 0)
        return status, *capsys.readouterr()

    return run


def create(run, *more: str, scopes: str = "read,write") -> tuple[str, str]:
    """A new key, and its id."""
    status, out, error = run("create", "--owner", OWNER, "--name", "pipeline", "--scopes", scopes, *more)
    assert status == 0, error
    assert re.fullmatch(r"ghk_[\w-]{43}\n", out)
    return out.strip(), re.search(r"the key (\S+),", error)[1]


def test_a_key_is_printed_once_and_only_its_hash_is_kept(run, db):
    key, key_id = create(run)

    [row] = db.rows("select id::text, owner_id::text, name, scopes, expires_at, revoked_at from api_keys")
    assert row == (key_id, OWNER, "pipeline", ["read", "write"], None, None)
    assert db.rows("select sha256 from api_keys") == [(fingerprint(key),)]
    assert key[4:] not in str(db.rows("select k::text from api_keys k"))
    assert key[4:] not in run("list")[1]


def test_no_two_keys_are_the_same(run):
    assert create(run)[0] != create(run)[0]


def test_a_key_lasts_as_many_days_as_it_is_given(run, db):
    create(run, "--days", "30")

    days = "select expires_at - created_at between interval '29 days 23 hours' and interval '30 days 1 hour'"
    assert db.rows(f"{days} from api_keys") == [(True,)]


@pytest.mark.parametrize(
    ("given", "kept"), [("read", ["read"]), ("write", ["write"]), ("write,read", ["read", "write"])]
)
def test_a_key_has_the_scopes_it_is_given(run, db, given: str, kept: list[str]):
    create(run, scopes=given)

    assert db.rows("select scopes from api_keys") == [(kept,)]


def test_the_list_says_whose_each_is_and_whether_it_is_good(run, db):
    ids = [create(run)[1] for _ in range(3)] + [create(run, "--days", "5", scopes="read")[1]]
    run("revoke", ids[1])
    db.rows("update api_keys set expires_at = now() - interval '1 second' where id = %s", ids[2])
    db.rows("update api_keys set last_used_at = '2026-01-02 03:04:05Z' where id = %s", ids[0])

    status, out, _ = run("list")

    lines = out.splitlines()
    assert status == 0
    assert [line.split()[:2] for line in lines] == [[key_id, OWNER] for key_id in ids]
    assert "used 2026-01-02  live  pipeline" in lines[0]
    assert "never used  revoked  pipeline" in lines[1]
    assert "never used  expired  pipeline" in lines[2]
    assert re.search(r" read  .* live until \d{4}-\d\d-\d\d  pipeline$", lines[3])


def test_a_revoked_key_stays_revoked_since_when_it_was(run, db):
    _, key_id = create(run)
    assert run("revoke", key_id) == (0, f"revoked {key_id}\n", "")
    first = db.rows("select revoked_at from api_keys")

    assert run("revoke", key_id)[0] == 0
    assert db.rows("select revoked_at from api_keys") == first != [(None,)]


def test_a_key_that_is_not_there_cannot_be_revoked(run):
    nobody = str(uuid4())

    assert run("revoke", nobody) == (1, "", f"scripts/api-key: there is no key {nobody}\n")


GOOD = {"--owner": OWNER, "--name": "x", "--scopes": "read"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"--owner": "me"},
        {"--owner": None},
        {"--name": ""},
        {"--name": "x" * 101},
        {"--name": "a\x1b[2J"},
        {"--scopes": ""},
        {"--scopes": "admin"},
        {"--scopes": "read write"},
        {"--scopes": None},
        {"--days": "0"},
        {"--days": "-1"},
        {"--days": "3651"},
        {"--days": "x"},
    ],
    ids=str,
)
def test_a_wrong_argument_is_said_and_makes_no_key(run, db, wrong: dict):
    given = {name: value for name, value in {**GOOD, **wrong}.items() if value is not None}

    status, out, error = run("create", *(word for pair in given.items() for word in pair))

    assert (status, out) == (2, "")
    assert next(iter(wrong)) in error
    assert db.rows("select 1 from api_keys") == []


@pytest.mark.parametrize("command_line", [("list",), ("create", *(word for pair in GOOD.items() for word in pair))])
def test_without_the_login_that_owns_the_tables_nothing_is_done(run, db, monkeypatch, command_line: tuple[str, ...]):
    for url, said in (("", "is not set"), (db.api, "permission denied"), (db.worker, "permission denied")):
        monkeypatch.setenv("MIGRATE_DATABASE_URL", url)
        status, out, error = run(*command_line)
        assert (status, out) == (1, "")
        assert said in error
        assert "ghk_" not in error
    assert db.rows("select 1 from api_keys") == []
