"""An error is one line and an exit code; a token is in none of them, nor is it shown to anybody but the API."""

import json
import subprocess
import sys

import jwt
import pytest

from generation_history.cli.commands import commands
from tests.cli.conftest import refused
from tests.support.scripted_server import answer, hang_up

SECRET_KEY = "ghk_0123456789abcdefghijklmnopqrstuvwxyz"
JWT = jwt.encode({"sub": "a-person", "exp": 4102444800}, "a-secret-of-at-least-thirty-two-bytes")
FIRST_WORDS = [["list"], ["show", "01a21055"], ["stats"], ["costs"], ["cancel", "01a21055"], ["download", "01a21055"]]


@pytest.fixture
def scripted_api(scripted, monkeypatch, pauses) -> str:
    monkeypatch.setenv("HISTORY_URL", scripted.base_url)
    monkeypatch.setenv("HISTORY_TOKEN", JWT)
    return scripted.base_url


@pytest.mark.parametrize("words", FIRST_WORDS, ids=lambda words: words[0])
def test_without_any_setting_it_says_which_one_to_set(typed, words):
    assert refused(typed(*words)).startswith("HISTORY_URL is not set: the base URL of the API")


def test_without_an_owner_the_database_is_not_asked(typed, db):
    assert refused(typed("list")).startswith("HISTORY_OWNER_ID is not set")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lst"], "No such command 'lst'"),
        (["list", "--statu", "failed"], "No such option"),
        (["list", "--status", "done"], "'done' is not one of pending, processing, completed, failed"),
        (["list", "--limit", "0"], "0 is not in the range 1<=x<=100"),
        (["show"], "Missing argument 'GENERATION'"),
        (["list", "--direct", "--url", "https://api.example"], "--direct uses the database itself"),
        (["download", "01a21055", "--into", "/nowhere"], "Directory '/nowhere' does not exist"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_where_help_is(typed, words, told):
    line = refused(typed(*words), code=2)
    assert told in line
    assert line.endswith("--help)")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"HISTORY_URL": "http://api.example", "HISTORY_TOKEN": JWT}, "HISTORY_URL must be an https URL"),
        ({"HISTORY_URL": "api.example"}, "HISTORY_URL must be a plain http or https URL"),
        ({"HISTORY_URL": "https://me:word@api.example"}, "HISTORY_URL must be a plain http or https URL"),
        (
            {"HISTORY_URL": "https://api.example", "HISTORY_TOKEN": "two words"},
            "HISTORY_TOKEN must be of visible ASCII",
        ),
        ({"HISTORY_URL": "https://api.example", "HISTORY_TOKEN": f'"{JWT}"'}, "HISTORY_TOKEN has quotes"),
        ({"HISTORY_TOKEN": JWT}, "HISTORY_URL is not set: a token is for the API there"),
    ],
)
def test_a_setting_that_cannot_be_meant_so_is_refused_by_name(typed, monkeypatch, settings, told):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    line = refused(typed("list"))

    assert line.startswith(told)
    assert JWT not in line
    assert "word@" not in line


def test_options_stand_for_the_settings(typed, api_url, token, monkeypatch):
    monkeypatch.setenv("HISTORY_URL", "https://another.example")
    monkeypatch.setenv("HISTORY_TOKEN", "another")

    assert json.loads(typed("list", "--json", "--url", api_url, "--token", token).stdout)["generations"] == []
    assert refused(typed("list", "--url", "ftp://x", "--token", token)).startswith("--url must be a plain http")


def test_a_token_of_the_settings_is_shown_to_the_server_of_the_settings_alone(typed, scripted, monkeypatch):
    monkeypatch.setenv("HISTORY_URL", "https://api.example")
    monkeypatch.setenv("HISTORY_TOKEN", JWT)

    line = refused(typed("list", "--url", scripted.base_url))

    assert line.startswith("--url names another server than HISTORY_URL")
    assert scripted.requests == []


@pytest.mark.parametrize("ending", ["", "/", "/history", "/history/"])
def test_a_url_is_understood_with_and_without_its_last_part(typed, api_url, token, ending):
    assert typed("list", "--url", f"{api_url}{ending}", "--token", token).exit_code == 0


@pytest.mark.parametrize("shown", ["a.b.c", SECRET_KEY, "ghk_"])
def test_a_token_that_does_not_hold_is_refused_and_not_repeated(typed, api_url, token, shown):
    line = refused(typed("list", "--url", api_url, "--token", shown))

    assert "token" in line
    assert shown not in line


@pytest.mark.parametrize("secret", [SECRET_KEY, JWT])
@pytest.mark.parametrize(
    "words", [["{}"], ["list", "{}"], ["show", "{}"], ["list", "--tokn={}"], ["list", "--from", "{}"]]
)
def test_a_token_that_stands_in_the_wrong_place_is_not_repeated(http, words, secret):
    result = http(*(word.format(secret) for word in words))

    assert result.exit_code in {1, 2}
    assert secret not in result.output
    assert secret[8:] not in result.output


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500])
def test_a_server_that_repeats_the_token_does_not_bring_it_into_an_error(typed, scripted, scripted_api, status):
    scripted.script(answer(status, {"success": False, "error": f"no: Bearer {JWT}, {JWT}", "code": "internal"}))

    assert JWT[4:] not in refused(typed("list"))


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (answer(404, b"<html>", kind="text/html"), "HISTORY_URL: {} answers 404, and not as the API does"),
        (answer(200, b"<html>", kind="text/html"), "HISTORY_URL: what {} answers is no answer of the API"),
        (answer(200, {"generations": []}), "HISTORY_URL: what {} answers is no answer of the API"),
        (answer(301, b"", Location="https://elsewhere.example"), "HISTORY_URL: {} redirects to another address"),
        (answer(502, b"bad gateway"), "{} answers 502; try again soon"),
        (hang_up, "cannot be reached: the connection broke"),
        (answer(500, {"success": False, "error": "two\nlines", "code": "internal"}), "two lines"),
    ],
)
def test_a_server_that_is_not_the_api_is_told_in_one_line(typed, scripted, scripted_api, reply, told):
    scripted.script(reply)

    assert told.format(scripted_api) in refused(typed("list"))


def test_a_server_that_is_not_there_is_told_in_one_line(typed, monkeypatch, pauses):
    monkeypatch.setenv("HISTORY_URL", "http://127.0.0.1:1")

    assert refused(typed("list")) == "http://127.0.0.1:1 cannot be reached: no connection"


def test_a_redirect_is_not_followed_with_the_token(typed, scripted, scripted_api):
    scripted.script(answer(307, b"", Location=f"{scripted_api}/elsewhere"))

    refused(typed("list"))

    assert len(scripted.requests) == 1


PAGE = {"success": True, "generations": [], "count": 0, "total": 0, "next_cursor": None, "next_offset": None}


@pytest.mark.parametrize("first", [answer(502), answer(429), hang_up])
def test_a_read_is_tried_again(typed, scripted, scripted_api, first):
    scripted.script(first, answer(200, PAGE))

    assert typed("list").exit_code == 0
    assert len(scripted.requests) == 2


def test_a_write_is_made_once(typed, scripted, scripted_api):
    scripted.script(hang_up)

    refused(typed("delete", "01a21055-74f0-7849-9a80-bc2191f48b60"))

    assert [request.method for request in scripted.requests] == ["DELETE"]


def test_a_setting_that_is_missing_at_the_server_is_not_asked_for_again(typed, scripted, scripted_api):
    scripted.script(answer(503, {"success": False, "error": "HISTORY_ACCESS is not set", "code": "not_configured"}))

    assert refused(typed("list")) == "HISTORY_ACCESS is not set"
    assert len(scripted.requests) == 1


def test_a_fault_of_our_own_is_one_line_too(typed, monkeypatch):
    from generation_history.cli import options  # noqa: PLC0415

    monkeypatch.setattr(options, "open_history", lambda *_, **__: 1 / 0)

    assert refused(typed("list")) == "this should not happen: ZeroDivisionError: division by zero"


def test_without_a_command_it_shows_all_of_them(typed):
    result = typed()

    assert (result.exit_code, result.stdout) == (2, "")
    assert all(name in result.stderr for name in commands.commands)


def test_where_its_libraries_are_missing_it_says_what_to_install():
    program = "import sys; sys.modules['click'] = None; from generation_history.cli.entry import main; main()"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "generation-history: install it as generation-history[cli]: click or rich is missing\n"


def test_as_a_process_it_prints_nothing_but_its_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "generation_history.cli", "list"],
        env={"DATABASE_URL": "postgresql://me:pass-word@127.0.0.1:1/x", "HISTORY_OWNER_ID": "0" * 32},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "the database at 127.0.0.1:1 cannot be used now" in done.stderr
    assert "pass-word" not in done.stderr
