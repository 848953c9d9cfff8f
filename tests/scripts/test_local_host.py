"""The local host carries no more than the strictest of the real platforms does, and adds nothing of its own."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from scripts.local.host import gateway as gateway_module
from scripts.local.host.carried import MAX_BYTES
from scripts.local.host.gateway import create_gateway
from scripts.local.host.instances import Pool
from scripts.local.host.project import Function, ProjectError, read_project

#: Returns what the body says in Python, with the event at hand; "count" tells the calls of this instance.
MAIN = """
count = 0

def main(event, context):
    global count
    count += 1
    return eval(event["http"]["body"], {"event": event, "count": count})
"""
KIND = "text/plain"
PAGE = "text/html; charset=UTF-8"
JSON = {"content-type": "application/json"}
REFUSED = "There was an error processing your request."

Ask = Callable[..., TestResponse]


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Function:
    main = tmp_path_factory.mktemp("function") / "__main__.py"
    main.write_text(MAIN)
    return Function("history", "generations", main, web=True, timeout=20, environment={}, crons=(), isolated=True)


@pytest.fixture
def ask(function: Function, tmp_path: Path) -> Iterator[Ask]:
    """Sends a request to the function, or to one that differs from it in this."""
    pools: list[Pool] = []

    def send(body: str | bytes = "{}", *, method: str = "POST", path: str = "", **more: Any) -> TestResponse:
        changed = more.pop("function", {})
        if not pools or changed:
            pools.append(Pool(replace(function, **changed), tmp_path))
        name = ("history", "generations")
        careless = [] if pools[-1].function.answers_options else [name]
        client = create_gateway({name: pools[-1]}, tmp_path, with_platforms_cors=careless).test_client()
        more = {"content_type": KIND, **more}
        return client.open(f"/api/history/generations{path}", method=method, data=body, **more)

    yield send
    for pool in pools:
        pool.close()


def returning(**result: Any) -> str:
    return repr(result)


def test_what_a_function_says_is_what_its_caller_gets_and_nothing_besides(ask: Ask):
    headers = {"Content-Type": "application/json", "ETag": '"a"', "Set-Cookie": ["a=1", "b=2"]}
    answer = ask(returning(statusCode=201, headers=headers, body='{"a": "ü"}'))

    assert (answer.status_code, answer.text) == (201, '{"a": "ü"}')
    assert sorted(answer.headers) == [
        ("Content-Length", "11"),
        ("Content-Type", "application/json"),
        ("ETag", '"a"'),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
    ]


def test_an_answer_without_a_body_is_204_and_has_no_type(ask: Ask):
    answer = ask(returning(headers={"Content-Type": "application/json", "X-A": "1"}))

    assert (answer.status_code, answer.data) == (204, b"")
    assert sorted(answer.headers) == [("X-A", "1")]


def test_an_answer_without_a_type_is_a_page(ask: Ask):
    """As browsers then show it, with whatever markup is in it."""
    answer = ask(returning(body="<b>"))

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, PAGE)


WHOLE = {"statusCode": 200, "headers": {"Content-Type": "application/json"}}


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ({"error": "no"}, "no"),
        ({"statusCode": 200, "body": "a", "error": {}}, "{}"),
        ({"statusCode": "200", "body": "a"}, "statusCode must be a number"),
        ({"statusCode": 200.5, "body": "a"}, "statusCode must be a number"),
        ({"statusCode": True, "body": "a"}, "statusCode must be a number"),
        ({"statusCode": 99}, "none that ends a call"),
        ({"statusCode": 100}, "none that ends a call"),
        ({"statusCode": 299}, "none that ends a call"),
        ({"statusCode": 600}, "none that ends a call"),
        ({"statusCode": 0}, "none that ends a call"),
        ({"statusCode": 204, "body": "a"}, "has no body"),
        ({"statusCode": 304, "body": "a"}, "has no body"),
        ({"body": {"a": 1}}, "body must be a text"),
        ({"body": ["a"]}, "body must be a text"),
        ({"body": 7}, "body must be a text"),
        ({"headers": []}, "headers must be an object"),
        ({"headers": "X-A: 1"}, "headers must be an object"),
        ({"headers": {"X-A": 1}}, "must be a text"),
        ({"headers": {"X-A": None}}, "must be a text"),
        ({"headers": {"X-A": True}}, "must be a text"),
        ({"headers": {"X-A": {"b": "c"}}}, "must be a text"),
        ({"headers": {"X-A": ["a", 1]}}, "must be a text"),
        ({"headers": {"X-A": [["a"]]}}, "must be a text"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "visible ASCII"),
        ({"headers": {"X-A": "ü"}}, "visible ASCII"),
        ({"headers": {"X-A": " a"}}, "visible ASCII"),
        ({"headers": {"X A": "a"}}, "no header's name"),
        ({"headers": {"": "a"}}, "no header's name"),
        ({"headers": {"Content-Type": "json"}, "body": "a"}, "no Content-Type"),
        ({"headers": {"Content-Type": "image/png"}, "body": "not base64!"}, "must be base64"),
        ({"headers": {"Content-Type": "application/octet-stream"}, "body": "YQ"}, "must be base64"),
        ({"headers": {"Content-Type": "image/png"}, "body": "YW\nI="}, "must be base64"),
        ({**WHOLE, "body": "a" * MAX_BYTES}, "bytes as JSON"),
        ({**WHOLE, "body": '"' * (MAX_BYTES // 2)}, "bytes as JSON"),
        ({**WHOLE, "body": "ü" * (MAX_BYTES // 2)}, "bytes as JSON"),
        ({**WHOLE, "more": "a" * MAX_BYTES}, "bytes as JSON"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_no_platform_carries_is_refused_and_only_its_maker_learns_why(ask: Ask, capfd, result, why):
    compact = repr(result)
    for character in ("a", '"', "ü"):
        for many in (MAX_BYTES, MAX_BYTES // 2):
            compact = compact.replace(repr(character * many), f"{character!r} * {many}")
    answer = ask(compact)

    assert (answer.status_code, set(answer.json)) == (400, {"code", "error"})
    assert answer.json["error"] == REFUSED
    assert why in capfd.readouterr().err


def test_a_result_as_long_as_the_platform_takes_is_carried(ask: Ask):
    around = len(json.dumps({**WHOLE, "body": ""}))

    assert len(ask(f"{{**{WHOLE}, 'body': 'a' * {MAX_BYTES - around}}}").data) == MAX_BYTES - around


def test_a_binary_body_is_base64_both_ways(ask: Ask):
    sent = bytes(range(256))
    encoded = base64.b64encode(sent).decode()
    answer = ask(returning(headers={"Content-Type": "image/png"}, body=encoded, isBase64Encoded=True))
    assert answer.data == sent
    # By its type alone, whatever the function says of it.
    said = ask(returning(headers=JSON, body=encoded, isBase64Encoded=True))
    assert said.text == encoded


@pytest.mark.parametrize("kind", ["APPLICATION/JSON", "Text/Plain; charset=utf-8", "application/x-www-form-urlencoded"])
def test_a_type_is_read_in_capitals_too(ask: Ask, kind: str):
    answer = ask('{"body": repr(event["http"]["isBase64Encoded"])}', content_type=kind)

    assert answer.text == "False"


def test_the_platform_writes_its_own_headers_itself(ask: Ask):
    own = {"Content-Length": "1", "Transfer-Encoding": "chunked", "Connection": "close", "Date": "never", "Server": "x"}
    answer = ask(returning(statusCode=200, headers={**own, "X-A": "1"}, body="abc"))

    assert answer.text == "abc"
    assert sorted(answer.headers) == [("Content-Length", "3"), ("Content-Type", PAGE), ("X-A", "1")]


@pytest.mark.parametrize("what", ["b'bytes'", "float('nan')", "{1, 2}", "'\\ud83d'", "exit()"])
def test_what_json_cannot_hold_ends_the_instance(ask: Ask, what: str, capfd):
    """With all that it had kept since it was started."""
    counts = "{'body': str(count)}"
    assert [ask(counts).text, ask(counts).text] == ["1", "2"]

    assert ask(f"{{'body': {what}}}").status_code == 400

    assert ask(counts).text == "1"
    assert "it ended without an answer" in capfd.readouterr().err


def test_an_exception_is_400_and_its_words_are_not_told(ask: Ask, capfd):
    answer = ask("1 / 0")

    assert (answer.status_code, answer.json["error"]) == (400, REFUSED)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_what_takes_too_long_is_202_with_nothing_of_it(ask: Ask, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gateway_module, "WEB_SECONDS", 0)

    assert (ask("{'body': 'a'}").status_code) == 202


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"body": "1" + " " * MAX_BYTES}, 413),
        ({"body": b"\0" * (MAX_BYTES * 3 // 4 + 3), "content_type": "image/png"}, 413),
        ({"path": "/" + "a" * 8_192}, 414),
        ({"query_string": "a" * 8_192}, 414),
        ({"headers": {"X-A": "a" * 8_192}}, 431),
        ({"headers": {f"X-{number}": "a" * 8_000 for number in range(5)}}, 431),
        ({"headers": {"Transfer-Encoding": "chunked"}}, 400),
        ({"method": "TRACE"}, 405),
    ],
)
def test_what_is_too_large_a_request_reaches_no_function(ask: Ask, request_: dict[str, Any], status: int, capfd):
    answer = ask(**request_)

    assert answer.status_code == status
    assert capfd.readouterr().err == ""
    assert ask("{'body': str(count)}").text == "1"


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
def test_cors_is_only_what_the_function_itself_says(ask: Ask, method: str):
    origin = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    own = returning(statusCode=200, headers={"Access-Control-Allow-Origin": "https://page.example"}, body="a")

    assert ask("{'body': 'a'}", method=method, headers=origin).headers.getlist("Access-Control-Allow-Origin") == []
    assert ask("{'body': 'a'}", method=method, headers=origin).headers.getlist("Vary") == []
    said = ask(own, method=method, headers=origin).headers.getlist("Access-Control-Allow-Origin")
    assert said == ["https://page.example"]


def test_without_the_annotation_the_platform_answers_options_and_its_headers_come_twice(ask: Ask):
    """As they would on the platform, where a browser refuses two of them."""
    own = returning(statusCode=200, headers={"Access-Control-Allow-Origin": "https://page.example"}, body="a")
    without = {"answers_options": False}
    asked = ask(own, method="OPTIONS", function=without)
    assert (asked.status_code, asked.data, asked.headers["Access-Control-Allow-Origin"]) == (200, b"", "*")

    answer = ask(own, function=without)

    assert answer.headers.getlist("Access-Control-Allow-Origin") == ["https://page.example", "*"]


def test_a_function_sees_nothing_of_the_hosts_environment(ask: Ask, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOSTS_OWN", "secret")
    names = "{'body': ' '.join(__import__('os').environ)}"

    seen = ask(names, function={"environment": {"ITS_OWN": "1"}}).text.split()

    # The interpreter itself sets the last one.
    assert set(seen) - {"LC_CTYPE"} == {"ITS_OWN"}


PROJECT = """
packages:
  - name: a
    functions:
      - name: b
        web: raw
        limits: {timeout: 1000, memory: 256}
        environment: {A: 'x'}
"""


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("web: raw", "web: raw\n        annotation: {}", "the keys annotation"),
        ("A: 'x'", "A: 1", "a variable that is no text"),
        ("A: 'x'", f"A: '{'x' * MAX_BYTES}'", "more variables than a function has"),
        ("timeout: 1000", "timeout: 900001", "a timeout"),
        ("memory: 256", "memory: 2048", "a memory"),
        ("web: raw", "triggers: [{sourceDetails: {cron: '0 0 * * mon'}}]", "a cron"),
        ("web: raw", "triggers: [{sourceDetails: {cron: '@daily'}}]", "a cron"),
        ("web: raw", f"triggers: [{', '.join(['{sourceDetails: {cron: 0 0 * * *}}'] * 4)}]", "more than 3 triggers"),
    ],
)
def test_what_the_platform_would_not_deploy_does_not_run_here(tmp_path: Path, old: str, new: str, why: str):
    (tmp_path / "good.yml").write_text(PROJECT)
    assert [function.answers_options for function in read_project({}, tmp_path / "good.yml")] == [False]
    (tmp_path / "bad.yml").write_text(PROJECT.replace(old, new))

    with pytest.raises(ProjectError, match=why):
        read_project({}, tmp_path / "bad.yml")


def test_each_function_that_is_called_over_http_answers_options_itself():
    from tests.docs.test_docs import settings_in_code  # noqa: PLC0415 - its module is a test's

    functions = read_project(dict.fromkeys(settings_in_code(), "x"))

    assert {function.name: function.answers_options for function in functions} == {
        function.name: function.web for function in functions
    }
