"""What could be read in two ways is read in one, at the edge, or refused there: never a 500, never something else."""

import base64
import importlib
import json

import pytest

from tests.fixtures.calls import Context, raw_event

pytestmark = pytest.mark.usefixtures("open_to_one", "db")

BODY = '{"source_video_url": "https://video.example/ad", "variant_types": ["soft"]}'
KINDS = [
    "application/json",
    "Application/Json",
    "APPLICATION/JSON",
    "application/JSON; charset=utf-8",
    "Application/json;charset=UTF-8",
    "application/json ; charset=utf-8",
    " application/json",
    "application/json;",
]


def post(call, body: str, **more):
    return call("generations", method="POST", body=body, **more)


def test_json_is_json_in_capitals_too(call):
    """A media type is the same in capitals (RFC 9110, 8.3.1)."""
    for kind in KINDS:
        made = post(call, BODY, headers={"content-type": kind})
        assert made.status == 202, (kind, made.returned)
        path = f"/{made.json['generation_id']}/metadata"
        body = '{"original_analysis": {"a": 1}}'
        assert call("generations", path, method="PATCH", body=body, headers={"content-type": kind}).status == 200


@pytest.mark.parametrize(
    "kind", ["application/jsonp", "text/json", "application/json, application/json", "multipart/form-data", "json", "ü"]
)
def test_what_is_no_json_is_refused_whatever_its_case(call, kind: str, db):
    for spelled in (kind, kind.upper()):
        post(call, BODY, headers={"content-type": spelled}).refused(400, "invalid_value")
    assert db.everything() == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"source_video_url": "x", "variant_types": ["soft"], "source_video_url": "y"}', "'source_video_url' twice"),
        ('{"source_video_url": "x", "prompts": {"soft": ["a"], "soft": ["b"]}}', "'soft' twice"),
        ('{"source_video_url": "x", "variant_types": ["soft"], "cost_estimate": NaN}', "cost_estimate: "),
        ('{"source_video_url": "x", "variant_types": ["soft"], "cost_estimate": -Infinity}', "cost_estimate: "),
        ('{"source_video_url": "x", "variant_types": ["soft"], "cost_estimate": 1e400}', "cost_estimate: "),
        ('{"source_video_url": "x", "variant_types": ["soft"], "cost_estimate": true}', "cost_estimate: "),
        ('{"source_video_url": "x", "variant_types": ["soft"], "cost_estimate": "1"}', "cost_estimate: "),
        ('{"source_video_url": "x", "variant_types": ["soft"], "seconds": true}', "seconds: "),
        ('{"source_video_url": "x", "variant_types": ["soft"], "seconds": "\u0668"}', "seconds: "),
        ('{"source_video_url": "x", "variant_types": ["soft"], "seconds": 1e30}', "seconds: "),
        ('{"source_video_url": "x", "variant_types": ["soft"], "seconds": ' + "9" * 5000 + "}", "not JSON"),
        ('{"source_video_url": "x", "variant_types": ["soft"], "metadata": ' + "[" * 50_000, "not JSON"),
        ('{"source_video_url": "x", "variant_types": ["soft"], "\\ud800": 1}', "valid string"),
        ('{"source_video_url": "\\ud800", "variant_types": ["soft"]}', "source_video_url: "),
        ('{"source_video_url": "a\\u0000", "variant_types": ["soft"]}', "source_video_url: "),
        ('{"source_video_url": "x", "prompts": {"\\ud800": ["a"]}}', "prompts"),
        ('{"source_video_url": "\ud800", "variant_types": ["soft"]}', "not UTF-8"),
    ],
)
def test_a_body_that_others_would_read_otherwise_is_refused(call, body: str, said: str, db):
    assert said in post(call, body).refused(400, "invalid_value")
    assert db.everything() == []


def test_a_byte_order_mark_is_no_part_of_a_body(call):
    assert post(call, f"\ufeff{BODY}").status == 202
    assert post(call, base64.b64encode(f"\ufeff{BODY}".encode()).decode(), base64=True).status == 202


@pytest.mark.parametrize("query", ["limit=1&limit=2", "q=abc&q=def", "offset=1&offset=1", "cursor=&cursor=x"])
def test_a_parameter_that_takes_one_value_is_given_once(call, query: str):
    name = query.partition("=")[0]

    assert call("generations", query=query).refused(400, "invalid_value").startswith(f"{name}: ")
    assert call("generations", query="status=completed&status=failed&_=1&_=2").status == 200


@pytest.mark.parametrize("number", ["\u0661", "%D9%A1", "1_0", "%2B1", "+1", "1.0", "1e0", "0x1", "true", " 1", "1%20"])
def test_a_number_in_a_query_has_the_digits_0_to_9_alone(call, number: str):
    for name in ("limit", "offset"):
        refused = call("generations", query=f"{name}={number}").refused(400, "invalid_value")
        assert refused.startswith(f"{name}: ")


def test_a_comma_is_part_of_an_idempotency_key(call):
    """What a gateway may have joined and what a caller chose look alike: it is one text, as it came."""
    ids = {
        post(call, BODY, headers={"content-type": "application/json", "Idempotency-Key": key}).json["generation_id"]
        for key in ("a,b", "a,b", "a,c", "a")
    }
    assert len(ids) == 3


HALF = "\ud800"


@pytest.mark.parametrize(
    "sent",
    [
        {"path": f"/{HALF}"},
        {"path": f"/{HALF}/variants"},
        {"path": f"/x/{HALF}/y"},
        {"query": f"q=abc{HALF}"},
        {"query": f"{HALF}=1"},
        {"query": f"_{HALF}=1"},
        {"query": f"cursor={HALF}"},
        {"headers": {"if-none-match": f'"{HALF}"'}},
        {"headers": {"accept-encoding": HALF, "origin": HALF, HALF: "x"}},
        {"headers": {"content-type": HALF}, "method": "POST"},
        {"headers": {"idempotency-key": HALF}, "method": "POST", "body": BODY},
        {"method": HALF},
        {"path": "/x\n"},
        {"path": "/%ED%A0%80"},
        {"query": "q=%ED%A0%80abc"},
        {"query": "q=%FF%FE%FD"},
        {"query": "limit=%"},
    ],
    ids=ascii,
)
def test_half_of_a_character_is_answered_by_a_text_that_can_be_sent(call, sent: dict):
    path = sent.pop("path", "")
    answer = call("generations", path, **sent)

    # Where no token is needed, a page of such an origin is refused.
    assert answer.status in ({403} if "origin" in sent.get("headers", {}) else {200, 400, 404, 405})
    answer.returned["body"].encode()
    json.dumps(answer.returned, ensure_ascii=False).encode()


@pytest.mark.parametrize("end", ["\n", "%0A", "\r", "\x00", "\u2028", "?", "#"])
def test_a_path_ends_where_it_ends(call, end: str):
    """A pattern's end is before a line break, too."""
    assert call("stats", end).status == 404


def test_an_id_is_one_row_in_every_spelling_and_answers_spell_it_in_one(call, generation_factory):
    made = generation_factory(1)
    for spelled in (made["id"], made["id"].upper(), made["id"].replace("-", "")):
        answer = call("generations", f"/{spelled}")
        assert answer.status == 400 or answer.json["generation"]["id"] == made["id"]


@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-01T12:00:00%2B23:59",
        "2026-11-01T12:00:00-23:59:59.999999",
        "0001-01-01T00:00:00%2B14:00",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01",
        "9999-12-31",
        "2026-W01-1",
        "20261101T120000Z",
        "\uff12\uff10\uff12\uff16-11-01",
    ],
)
def test_a_time_of_an_odd_zone_is_taken_or_refused_by_name(call, moment: str):
    for name in ("created_from", "created_to"):
        answer = call("generations", query=f"{name}={moment}")
        assert answer.status == 200 or answer.refused(400, "invalid_value").startswith(f"{name}: ")


@pytest.mark.parametrize(
    "event",
    [
        {"rawPath": "/history/stats"},
        {"rawPath": "/history/stats", "requestContext": {}},
        {"rawPath": "/history/stats", "requestContext": {"http": {"method": 5}}},
        {"rawPath": 5, "requestContext": {"http": {"method": "GET"}}},
        {"http": "GET"},
        {"http": {"method": "GET", "path": 5}},
        {"http": {"method": "GET", "headers": "x"}},
    ],
)
def test_an_event_of_no_platform_is_no_http_request(event: dict):
    main = importlib.import_module("history.stats.__main__").main

    answer = main(event, Context("/ns/history/stats"))

    assert (answer["statusCode"], json.loads(answer["body"])["error"]) == (400, "this function answers HTTP only")


def test_many_parameters_are_read_in_little_time(call):
    """Each name's values were joined one by one before."""
    event = raw_event("GET", "", "_=x&" * 100_000, {}, "", is_base64=False)
    answer = importlib.import_module("history.stats.__main__").main(event, Context("/ns/history/stats"))

    assert answer["statusCode"] == 200
