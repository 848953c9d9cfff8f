"""When something breaks: every exception becomes an answer, which says nothing of our insides, and the log says all."""

import importlib
import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import psycopg
import pytest

from generation_history import errors
from generation_history.record.generation_manager import GenerationManager

READS = [
    ("generations", ""),
    ("generations", f"/{uuid4()}"),
    ("generations", f"/{uuid4()}/variants"),
    ("generations", f"/{uuid4()}/download"),
    ("variants", f"/{uuid4()}/scenes"),
    ("scenes", f"/{uuid4()}/video"),
    ("library", ""),
    ("stats", ""),
]


@pytest.fixture
def break_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes every use of the record raise."""

    def install(error: BaseException) -> None:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(GenerationManager, "__init__", fail)

    return install


@pytest.mark.usefixtures("open_to_one")
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("SECRET"),
        KeyError("SECRET"),
        ValueError("SECRET"),
        psycopg.OperationalError("SECRET"),
        errors.HistoryError("SECRET"),
        RecursionError("SECRET"),
        MemoryError("SECRET"),
        AssertionError("SECRET"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_unexpected_exception_is_500_with_the_request_id_and_without_our_insides(
    call, break_with, error: Exception, caplog: pytest.LogCaptureFixture
):
    break_with(error)

    for function, path in READS:
        answer = call(function, path)
        said = answer.refused(500, "internal")
        assert said == "something went wrong here; the log has it under this request_id"
        assert "SECRET" not in str(answer.returned)
        [record] = [record for record in caplog.records if answer.request_id in record.getMessage()]
        assert (record.levelno, record.exc_info[1]) == (logging.ERROR, error)


@pytest.mark.usefixtures("open_to_one")
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.NotConfigured("X is not set"), 503, "not_configured"),
        (errors.InvalidValue("x: wrong"), 400, "invalid_value"),
        (errors.NotAuthenticated("a token is needed"), 401, "not_authenticated"),
        (errors.NotFound("no such thing"), 404, "not_found"),
        (errors.Conflict("not now"), 409, "conflict"),
        (errors.TooLarge("too large"), 413, "too_large"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_of_ours_is_its_status_and_code_with_its_sentence(
    call, break_with, error: errors.HistoryError, status: int, code: str
):
    break_with(error)

    for function, path in READS:
        assert call(function, path, as_documented=False).refused(status, code) == str(error)


@pytest.mark.usefixtures("open_to_one")
@pytest.mark.parametrize(
    "error",
    [
        errors.LeaseLost("another has it"),
        errors.Throttled("SORA_SUBMITTING"),
        errors.StorageError("no bucket"),
        errors.ProviderUnavailable("gateway.example"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_workers_own_error_is_told_to_no_caller(call, break_with, error: errors.HistoryError):
    """The codes of an answer are a closed set."""
    break_with(error)

    for function, path in READS:
        assert str(error) not in call(function, path).refused(500, "internal")


@pytest.mark.usefixtures("open_to_one")
def test_where_the_database_is_and_as_whom_it_is_asked_is_not_told(call, break_with):
    break_with(errors.Unavailable("DATABASE_URL: the database at 10.0.0.5:5432 cannot be used now"))

    for function, path in READS:
        said = call(function, path).refused(503, "unavailable")
        assert "10.0.0.5" not in said
        assert "try again" in said


def test_every_error_of_ours_has_a_status_and_a_code_of_its_docstring():
    for line in errors.__doc__.splitlines():
        words = line.replace("|", " ").replace("`", " ").replace("--", " ").split()
        if len(words) >= 3 and words[1].isdigit():
            error = getattr(errors, words[0])
            assert (error.status, error.code if words[0] != "SceneFailure" else "its") == (int(words[1]), words[2])


@pytest.mark.usefixtures("open_to_one")
def test_a_missing_database_setting_is_named(call):
    for function, path in READS:
        assert call(function, path).refused(503, "not_configured").startswith("DATABASE_URL is not set")


@pytest.mark.usefixtures("open_to_one")
def test_a_database_that_cannot_be_reached_is_503_without_its_password(call, db, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", db.api.replace("history_api-password", "s3cr3t-w0rd"))

    answer = call("stats")

    assert answer.refused(503, "unavailable")
    assert "s3cr3t-w0rd" not in str(answer.returned)


@pytest.mark.usefixtures("open_to_one")
def test_after_a_failure_the_same_instance_answers_again(call, db, monkeypatch: pytest.MonkeyPatch):
    assert call("stats").status == 200
    with monkeypatch.context() as broken:
        broken.setattr(GenerationManager, "get_stats", lambda _: 1 / 0)
        assert call("stats").status == 500
    query = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'history_api' and datname = %s"
    assert db.rows(query, db.api.rpartition("/")[2])

    assert call("stats").status == 200


def test_the_owner_of_one_call_is_not_left_for_the_next(call, db, by_token, generation_factory):
    """An instance is kept between calls, also between those of different owners."""
    mine, theirs = str(uuid4()), str(uuid4())
    generation_factory(1, by=GenerationManager(theirs))

    counts = [call("generations", headers=by_token(sub=sub)).json["count"] for sub in (theirs, mine, theirs, mine)]

    assert counts == [1, 0, 1, 0]
    assert call("generations").refused(401, "not_authenticated")


def test_calls_at_once_get_their_own_answers(call, db, by_token, generation_factory):
    """In a server with threads; the platforms make one call at a time."""
    owners = [str(uuid4()) for _ in range(6)]
    made = {owner: [generation_factory(1, by=GenerationManager(owner))["id"] for _ in range(4)] for owner in owners}
    together = Barrier(len(owners))

    def ask(owner: str) -> list[str]:
        headers, answers = by_token(sub=owner), []
        together.wait()
        for generation_id in made[owner] * 5:
            answers.append(call("generations", f"/{generation_id}", headers=headers).json["generation"]["id"])
            assert call("stats", headers=headers).json["stats"]["total_generations"] == 4
        return answers

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(len(owners)) as pool:
            assert list(pool.map(ask, owners)) == [made[owner] * 5 for owner in owners]
    finally:
        sys.setswitchinterval(interval)


# ---------------------------------------------------------------- what the platform asks of a function


@pytest.mark.parametrize(
    "name",
    ["history.generations", "history.variants", "history.scenes", "history.library", "history.stats", "sora.poller"],
)
def test_main_is_a_plain_function_of_an_event_and_a_context(name: str):
    """The platform counts its arguments in __code__, and calls a decorated one with nothing."""
    main = importlib.import_module(f"{name}.__main__").main

    assert main.__code__.co_varnames[: main.__code__.co_argcount] == ("event", "context")
    assert not main.__code__.co_flags & 0x0C  # no *args, no **kwargs


@pytest.mark.usefixtures("open_to_one")
def test_no_answer_carries_an_error_beside_its_body(call, break_with):
    """The platform would take it for a failed activation, and answer 400 itself; the call fixture checks every key."""
    break_with(RuntimeError())

    for method in ("GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS"):
        for function, path in READS:
            assert set(call(function, path, method=method, body={}).returned) == {"statusCode", "headers", "body"}
