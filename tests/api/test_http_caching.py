"""What travels: nothing that the caller has already, less where it takes gzip, and the same on every platform."""

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest

pytestmark = pytest.mark.usefixtures("db", "open_to_one")

Lambda = Callable[..., dict[str, Any]]


@pytest.fixture
def on_lambda(call) -> Lambda:
    """Calls a function with an API Gateway v2 event, as Lambda and a Flask server do."""
    import importlib  # noqa: PLC0415

    class Context:
        function_name = "history"
        aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    def run(function: str, path: str = "", *, method: str = "GET", query: str = "", **headers: str) -> dict[str, Any]:
        main = importlib.import_module(f"history.{function}.__main__").main
        where = f"/api/history/{function}{path}"
        named: dict[str, str] = {}
        for name, value in parse_qsl(query):
            named[name] = f"{named[name]},{value}" if name in named else value
        return main(
            {
                "version": "2.0",
                "routeKey": "$default",
                "rawPath": where,
                "rawQueryString": query,
                "queryStringParameters": named,
                "headers": {name.replace("_", "-"): value for name, value in headers.items()},
                "requestContext": {"http": {"method": method, "path": where}, "stage": "$default"},
                "isBase64Encoded": False,
            },
            Context(),
        )

    return run


@pytest.fixture
def some(generation_factory) -> dict[str, Any]:
    """A generation that makes answers worth compressing."""
    return generation_factory(4)


# ---------------------------------------------------------------- tags


@pytest.mark.parametrize("function", ["generations", "library", "stats"])
def test_an_answer_has_a_tag_of_what_it_says(call, generation_factory, function: str):
    before = call(function)
    again = call(function)
    made = generation_factory(1)
    call("generations", f"/{made['id']}", method="DELETE")

    assert before.headers["etag"] == again.headers["etag"] == call(function).headers["etag"]
    assert before.headers["etag"].strip('"').isalnum()


def test_another_answer_has_another_tag(call, manager, generation_factory):
    made = generation_factory(1)
    before = call("generations")
    manager.update_generation_status(made["id"], "failed")

    assert before.headers["etag"] != call("generations").headers["etag"]


@pytest.mark.parametrize(
    "known", ["{}", "W/{}", '"other", {}', '"other",W/{} , "more"', "*", " * "], ids=lambda known: known.strip()
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.usefixtures("some")
def test_what_the_caller_has_already_is_not_sent_again(call, known: str, method: str):
    tag = call("generations").headers["etag"]

    answer = call("generations", method=method, headers={"if-none-match": known.format(tag)})

    assert (answer.status, answer.returned["body"]) == (304, "")
    assert (answer.headers["etag"], answer.headers["cache-control"]) == (tag, "private, no-cache")


@pytest.mark.parametrize("known", ['"other"', "other", "", '""', "W/", "{}", '"{}x"', "**"])
@pytest.mark.usefixtures("some")
def test_what_the_caller_has_not_is_sent_whole(call, known: str):
    first = call("generations")
    bare = first.headers["etag"].strip('"')

    answer = call("generations", headers={"if-none-match": known.format(bare)})

    assert (answer.status, answer.json) == (200, first.json)


def test_an_error_and_a_redirect_have_no_tag_and_are_never_unchanged(call, stored, generation_factory):
    scene = stored(generation_factory(1))["variants"][0]["scenes"][0]
    for function, path in (("generations", f"/{uuid4()}"), ("generations", "/x"), ("scenes", f"/{scene['id']}/video")):
        answer = call(function, path, headers={"if-none-match": "*"})
        assert answer.status in {302, 400, 404}
        assert "etag" not in answer.headers


def test_writing_is_never_unchanged(call):
    body = {"source_video_url": "x", "variant_types": ["soft"]}

    answer = call("generations", method="POST", body=body, headers={"if-none-match": "*"})

    assert (answer.status, "etag" in answer.headers) == (202, False)


# ---------------------------------------------------------------- compression


@pytest.mark.parametrize("accepted", ["gzip", "br, gzip", "GZIP;q=0.5", "*", "identity;q=0, gzip;q=1", "gzip;q=0.001"])
@pytest.mark.usefixtures("some")
def test_on_lambda_an_answer_is_compressed_for_whoever_takes_that(on_lambda: Lambda, accepted: str):
    plain = on_lambda("generations")

    packed = on_lambda("generations", accept_encoding=accepted)

    assert (packed["headers"]["Content-Encoding"], packed["isBase64Encoded"]) == ("gzip", True)
    assert gzip.decompress(base64.b64decode(packed["body"])).decode() == plain["body"]
    assert len(packed["body"]) < len(plain["body"]) / 2
    assert packed["headers"]["Vary"] == plain["headers"]["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "accepted", ["", "br", "identity", "gzip;q=0", "gzip; q=0.000", "*;q=0", "gzip;q=0, *", "xzip"]
)
@pytest.mark.usefixtures("some")
def test_nothing_is_compressed_for_whoever_does_not(on_lambda: Lambda, accepted: str):
    answer = on_lambda("generations", accept_encoding=accepted)

    assert "Content-Encoding" not in answer["headers"]
    assert "isBase64Encoded" not in answer
    assert json.loads(answer["body"])["count"] == 1


def test_a_short_answer_is_not_worth_it(on_lambda: Lambda):
    assert "Content-Encoding" not in on_lambda("generations", accept_encoding="gzip")["headers"]


@pytest.mark.usefixtures("some")
def test_packed_and_plain_have_different_tags_and_either_will_do(on_lambda: Lambda):
    """A strong tag is of the bytes that travel (RFC 9110, 8.8.3.3)."""
    tags = [on_lambda("generations", accept_encoding=how)["headers"]["ETag"] for how in ("gzip", "identity")]
    assert tags[0] != tags[1]

    for tag in tags:
        for how, mine in zip(("gzip", "identity"), tags, strict=True):
            answer = on_lambda("generations", accept_encoding=how, if_none_match=tag)
            assert (answer["statusCode"], answer["body"], answer["headers"]["ETag"]) == (304, "", mine)
            assert "Content-Encoding" not in answer["headers"]


@pytest.mark.usefixtures("some")
def test_on_digitalocean_json_travels_as_it_is(call):
    """It decodes a base64 body for a binary Content-Type only; the call fixture says that gzip is accepted."""
    answer = call("generations")

    assert (answer.json["count"], "content-encoding" in answer.headers, "vary" in answer.headers) == (1, False, False)


@pytest.mark.usefixtures("some")
def test_head_says_what_get_says(on_lambda: Lambda):
    get, head = (on_lambda("generations", method=method, accept_encoding="gzip") for method in ("GET", "HEAD"))

    assert (head["statusCode"], head["headers"], head["body"]) == (200, get["headers"], "")


@pytest.mark.usefixtures("some")
def test_every_platform_gets_the_same_answer(call, on_lambda: Lambda):
    assert call("generations").returned["body"] == on_lambda("generations")["body"]
    assert call("generations").headers["etag"] == on_lambda("generations")["headers"]["ETag"]


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    "query",
    [
        "status=processing,failed",
        "status=failed&status=processing",
        "status=completed",
        "q=example%2F&limit=1",
        "q=a,b",
        "created_from=2026-11-01T00:00:00%2B02:00&variant_type=soft",
        "q=x",
        "created_to=never",
    ],
)
def test_every_platform_understands_a_query_alike(call, on_lambda: Lambda, query: str):
    here, there = call("generations", query=query), on_lambda("generations", query=query)

    assert here.status == there["statusCode"]
    assert here.status == 400 or here.returned["body"] == there["body"]
