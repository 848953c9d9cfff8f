"""What a caller may send: parameters, methods, paths; whatever else comes is answered, and never with 500."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("open_to_one")

FILTERS = ("created_from", "created_to", "q", "variant_type")
ANY_ID = "/018f0000-0000-7000-8000-000000000000"


# ---------------------------------------------------------------- parameters


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("function", ["generations", "library"])
@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("limit=1&limit=x", "limit"),
        ("limit=%00", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("offset=-1", "offset"),
        ("offset=1000001", "offset"),
        ("offset=x", "offset"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=" + "x" * 501, "cursor"),
        ("cursor=%F0%9F%98%80", "cursor"),
        ("variant_type=loud", "variant_type"),
        ("variant_type=", "variant_type"),
        ("variant_type=soft,ultra", "variant_type"),
        ("q=", "q"),
        ("q=x", "q"),
        ("q=%C3%BC%C3%BC", "q"),
        ("q=abc%00", "q"),
        ("q=" + "x" * 501, "q"),
        ("created_from=", "created_from"),
        ("created_from=yesterday", "created_from"),
        ("created_from=1795377600", "created_from"),
        ("created_from=2026-13-01", "created_from"),
        ("created_from=2026-11-01T12:00:00", "created_from"),
        ("created_from=2026-11-01T12:00:00+02:00", "created_from"),
        ("created_to=2026-11-31", "created_to"),
        ("created_to=%00", "created_to"),
        ("created_to=2026-11-01T25:00:00Z", "created_to"),
    ],
)
def test_a_malformed_parameter_is_refused_by_its_name(call, function: str, query: str, named: str):
    assert call(function, query=query).refused(400, "invalid_value").startswith(f"{named}: ")


@pytest.mark.parametrize("status", ["done", "", "COMPLETED", "completed%20", "completed,done", "failed,", ",", "%00"])
def test_an_unknown_status_is_refused(call, status: str):
    assert call("generations", query=f"status={status}").refused(400, "invalid_value").startswith("status: ")


@pytest.mark.parametrize(
    ("function", "path", "known"),
    [
        ("generations", "", ["cursor", "limit", "offset", "status", *FILTERS]),
        ("library", "", ["cursor", "limit", "offset", *FILTERS]),
        ("stats", "", []),
        ("generations", ANY_ID, []),
        ("generations", f"{ANY_ID}/variants", []),
        ("generations", f"{ANY_ID}/metadata/prompts_data", ["offset"]),
        ("variants", f"{ANY_ID}/scenes", ["after"]),
        ("generations", f"{ANY_ID}/download", []),
        ("scenes", f"{ANY_ID}/video", ["download"]),
        ("scenes", f"{ANY_ID}/thumbnail", []),
    ],
)
@pytest.mark.parametrize("query", ["limits=5", "Limit=5", "%20limit=5", "limit%5B%5D=5", "owner_id=x", "=x"])
def test_an_unknown_parameter_is_refused_and_the_known_are_listed(
    call, function: str, path: str, known: list[str], query: str
):
    """A misspelt filter would otherwise answer with everything."""
    said = call(function, path, query=query).refused(400, "invalid_value")

    assert said.startswith("unknown parameter '")
    assert all(name in said for name in known)
    assert known or "there are none" in said


@pytest.mark.usefixtures("db")
def test_a_parameter_of_the_callers_own_starts_with_an_underscore(call):
    for query in ("_=1700000000", "_x", "_limit=x&limit=5", "&&", ""):
        assert call("generations", query=query).status == 200


@pytest.mark.parametrize(
    "identifier",
    ["x", "1", "018f0000", "81172ae0-4a33-4c91-9bf4-665594b68892x", "%00", "%20", "..", "*", "null", "ünï"],
)
def test_an_id_that_is_none_is_refused_by_the_name_of_the_parameter(call, identifier: str):
    for function, path, named in (
        ("generations", f"/{identifier}", "generation_id"),
        ("generations", f"/{identifier}/variants", "generation_id"),
        ("generations", f"/{identifier}/download", "generation_id"),
        ("variants", f"/{identifier}/scenes", "variant_id"),
        ("scenes", f"/{identifier}/video", "scene_id"),
    ):
        assert call(function, path).refused(400, "invalid_value").startswith(f"{named}: ")


def test_an_id_is_read_in_capitals_too(call, generation_factory):
    made = generation_factory(1)

    assert call("generations", f"/{made['id'].upper()}").json["generation"]["id"] == made["id"]


# ---------------------------------------------------------------- methods and paths


def with_implied(methods: str) -> str:
    """These methods and those that come with them."""
    named = {*methods.split(", "), "OPTIONS"}
    return ", ".join(sorted(named | {"HEAD"} if "GET" in named else named))


@pytest.mark.parametrize(
    ("function", "path", "allowed"),
    [
        ("generations", "", "GET, POST"),
        ("generations", ANY_ID, "DELETE, GET, PATCH"),
        ("generations", f"{ANY_ID}/variants", "GET"),
        ("generations", f"{ANY_ID}/metadata", "PATCH"),
        ("variants", f"{ANY_ID}/scenes", "GET, POST"),
        ("generations", f"{ANY_ID}/download", "GET, POST"),
        ("scenes", f"{ANY_ID}/thumbnail", "GET"),
        ("scenes", f"{ANY_ID}/video", "GET, POST"),
        ("scenes", f"{ANY_ID}/retry", "POST"),
        ("library", "", "GET"),
        ("stats", "", "GET"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST", "DELETE", "TRACE", "BREW"])
def test_another_method_is_refused_with_those_that_are_allowed(
    call, function: str, path: str, allowed: str, method: str
):
    if method in allowed:
        return
    answer = call(function, path, method=method)

    assert answer.refused(405, "method_not_allowed")
    assert answer.headers["allow"] == with_implied(allowed)


def test_what_is_said_of_a_wrong_path_or_method_is_that_and_not_its_parameters(call):
    assert call("library", method="PUT", query="limit=5").refused(405, "method_not_allowed")
    assert call("library", "/x", query="limit=5").refused(404, "not_found")


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("function", "path"), [("generations", ""), ("library", ""), ("stats", ""), ("generations", "/x")]
)
def test_head_answers_as_get_without_a_body(call, function: str, path: str):
    get, head = call(function, path), call(function, path, method="HEAD")

    assert (head.status, head.headers) == (get.status, get.headers)
    assert head.returned["body"] == ""


def test_a_refused_head_has_no_body_either(call, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HISTORY_ACCESS")

    assert (call("stats", method="HEAD").status, call("stats", method="HEAD").returned["body"]) == (503, "")


@pytest.mark.usefixtures("db")
def test_methods_are_known_in_any_case(call):
    assert [call("stats", method=method).status for method in ("get", "Get")] == [200, 200]


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("function", "path"), [("generations", "/"), ("library", "/"), ("stats", "/"), ("generations", "//")]
)
def test_a_trailing_slash_is_tolerated(call, function: str, path: str):
    assert call(function, path).status == 200


@pytest.mark.parametrize(
    ("function", "path"),
    [
        ("stats", "/x"),
        ("library", ANY_ID),
        ("generations", f"{ANY_ID}/scenes"),
        ("generations", f"{ANY_ID}/variants/x"),
        ("generations", "/../library"),
        ("variants", ""),
        ("variants", ANY_ID),
        ("scenes", f"{ANY_ID}/video.mp4"),
        ("generations", "/" + "a/" * 400),
    ],
)
def test_a_path_that_is_none_of_the_functions_is_not_found(call, function: str, path: str):
    assert call(function, path).refused(404, "not_found")


# ---------------------------------------------------------------- hostile requests


@pytest.mark.usefixtures("db")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    query=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    method=st.sampled_from(["GET", "POST", "DELETE", "HEAD", "PUT", ""]),
    body=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    encoded=st.booleans(),
)
def test_any_request_is_answered_and_none_with_500(call, path: str, query: str, method: str, body: str, encoded: bool):  # noqa: FBT001
    answer = call("generations", f"/{path}", query=query, method=method, body=body, base64=encoded)

    assert answer.status in {200, 202, 400, 404, 405}


HEADERS: list[dict[str, str]] = [
    {"content-type": ""},
    {"content-type": "\x00"},
    {"content-type": "application/json; charset=nonsense"},
    {"Content-Type": "application/json", "content-type": "text/html"},
    {"content-length": "99999999999"},
    {"x-forwarded-for": "'; drop table generations --"},
    {"cookie": "a=" + "b" * 100_000},
    {"x" * 10_000: "y"},
    {"": ""},
    {"host": ""},
    {"accept-encoding": "br;q=1.0, *;q=nonsense"},
    {"authorization": "Bearer " + "x" * 100_000},
    {"expect": "100-continue"},
    {"x-http-method-override": "DELETE"},
    {"ünï": "cödé\r\nset-cookie: a=b"},
]


@pytest.mark.usefixtures("db")
def test_headers_change_nothing_for_a_reader(call):
    for headers in HEADERS:
        answer = call("stats", headers=headers)
        assert (answer.status, set(answer.headers)) == (200, {"content-type", "cache-control", "etag"}), headers


@pytest.mark.usefixtures("db")
def test_a_header_without_a_value_is_no_reason_to_fail(call):
    assert call("stats", headers={"cookie": None}).status == 200


@pytest.mark.parametrize("event", [{}, None, {"http": None}, {"generation_id": "x"}, {"__ow_method": "get"}])
def test_a_call_that_is_no_http_is_refused(event: dict):
    """A scheduled call, or one over the platform's REST interface."""
    from history.stats.__main__ import main  # noqa: PLC0415

    class Nothing:
        function_name = ""

    answer = main(event, Nothing())

    assert (answer["statusCode"], json.loads(answer["body"])["error"]) == (400, "this function answers HTTP only")


@pytest.mark.usefixtures("db")
def test_an_event_that_lacks_something_is_answered():
    from history.stats.__main__ import main  # noqa: PLC0415

    class Plain:
        function_name = "/ns/history/stats"

    http = {"method": "GET", "path": "", "headers": {}, "queryString": "", "body": "", "isBase64Encoded": False}
    for missing in http:
        event = {"http": {name: value for name, value in http.items() if name != missing}}
        assert main(event, Plain())["statusCode"] == 200


@pytest.mark.usefixtures("db")
def test_a_body_of_a_read_is_ignored(call):
    body = base64.b64encode(b"\xff\x00").decode()

    assert call("stats", body="not json", headers={"content-type": "text/plain"}).status == 200
    assert call("stats", body=body[:0], base64=True).status == 200
