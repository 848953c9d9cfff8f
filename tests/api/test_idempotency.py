"""Idempotency-Key: what is asked for twice under one key is recorded, submitted and paid for once."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import psycopg
import pytest

from generation_history.db import database
from generation_history.db.database import Database
from generation_history.record.generation_manager import GenerationManager, IdempotencyKey

pytestmark = pytest.mark.usefixtures("db")

BODY = {"source_video_url": "https://video.example/ad", "prompts": {"soft": ["a", "b"], "ultra": ["c"]}}
RECORDED = ("generations", "variants", "scenes", "jobs", "idempotency_keys")


@pytest.fixture
def post(call, open_to_one):
    """Posts a body under a key."""

    def run(body: dict = BODY, key: str | None = "key-1", **more):
        headers = {} if key is None else {"idempotency-key": key}
        return call("generations", method="POST", body=body, **{"headers": headers, **more})

    return run


@pytest.fixture
def counts(db):
    """How many rows of each table there are."""
    return lambda: [db.rows(f"select count(*) from {table}")[0][0] for table in RECORDED]


def test_the_same_request_again_is_answered_alike_and_records_nothing(post, counts, db):
    first = post()
    before = db.everything()

    again = [post() for _ in range(3)]

    assert first.status == 202
    assert {(answer.status, answer.returned["body"]) for answer in again} == {(202, first.returned["body"])}
    assert counts() == [1, 2, 3, 3, 1]
    assert db.everything() == before


def test_without_prompts_too(post, counts):
    body = {"source_video_url": "x", "variant_types": ["soft", "ultra"], "metadata": {"prompts_data": [1]}}

    assert post(body).json == post(body).json
    assert counts() == [1, 2, 0, 0, 1]


def test_without_a_key_each_request_is_another_generation(post, counts):
    assert post(key=None).json != post(key=None).json
    assert counts() == [2, 4, 6, 6, 0]


def test_each_key_is_another_generation(post, counts):
    keys = ["a", "A", "a,b", "a,c", "a b", "x" * 200, '"quoted"', "~!"]

    assert len({post(key=key).json["generation_id"] for key in keys}) == len(keys)
    assert counts()[0] == len(keys)


def test_another_request_under_the_same_key_is_a_conflict_and_records_nothing(post, counts, db):
    post()
    before = db.everything()

    for change in (
        {"prompts": {"soft": ["a", "B"], "ultra": ["c"]}},
        {"prompts": {"soft": ["b", "a"], "ultra": ["c"]}},
        {"source_video_url": "https://video.example/other"},
        {"cost_estimate": 0},
        {"metadata": {"prompts_data": 1}},
        {"model": "sora-2-pro"},
    ):
        said = post({**BODY, **change}).refused(409, "conflict")
        assert said == "this Idempotency-Key came with another request before"
    assert db.everything() == before
    assert counts() == [1, 2, 3, 3, 1]


def test_the_order_of_names_makes_no_other_request(post):
    turned = {"prompts": {"ultra": ["c"], "soft": ["a", "b"]}, "source_video_url": BODY["source_video_url"]}

    assert post().json == post(turned).json


def test_the_request_counts_as_it_came_and_not_as_a_version_of_ours_fills_it_in(post, db):
    """A default that is added one day must not make another request of one that is tried again."""
    post()

    as_it_came = json.dumps(BODY, sort_keys=True).encode()
    assert db.rows("select request_sha256 from idempotency_keys") == [(hashlib.sha256(as_it_came).hexdigest(),)]


def test_a_key_belongs_to_its_owner(call, by_token, counts):
    mine, theirs = by_token(sub=str(uuid4())), by_token(sub=str(uuid4()))
    other = {**BODY, "source_video_url": "x"}

    first = call("generations", method="POST", body=BODY, headers={**mine, "idempotency-key": "k"})
    second = call("generations", method="POST", body=other, headers={**theirs, "idempotency-key": "k"})

    assert (first.status, second.status) == (202, 202)
    assert first.json["generation_id"] != second.json["generation_id"]
    assert counts()[0] == 2


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "é", "a\n", "a\tb", "\x00", " a", "a "])
def test_a_key_that_is_none_is_refused_by_name(post, db, key: str):
    assert post(key=key).refused(400, "invalid_value").startswith("idempotency-key: ")
    assert db.everything() == []


def test_a_refused_request_uses_no_key_up(post, counts):
    assert post({**BODY, "prompts": {"loud": ["a"]}}).status == 400
    assert post({**BODY, "metadata": {"prompts_data": "\x00"}}).status == 400
    assert post().status == 202
    assert counts()[0] == 1


def test_two_requests_at_once_record_one_generation(post, counts):
    for number in range(5):
        together = Barrier(4)

        def begin(_: int, key: str = f"key-{number}", together: Barrier = together):
            together.wait()
            return post(key=key)

        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(begin, range(4)))

        assert {answer.status for answer in answers} == {202}
        assert len({answer.json["generation_id"] for answer in answers}) == 1
    assert counts() == [5, 10, 15, 15, 5]


def test_two_transactions_at_once_record_one_generation(manager, db, counts):
    """Past the endpoint's own turns: as two instances of the function do it."""
    managers = [GenerationManager(manager.owner_id, db=Database(db.api, setting="X")) for _ in range(4)]
    together = Barrier(4)

    def create(one: GenerationManager) -> str:
        together.wait()
        return one.create_with_scenes("x", "url", {"soft": ["a"]}, once=IdempotencyKey("key", {"a": 1}))["id"]

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(create, managers))) == 1
    for one in managers:
        one._db.close()
    assert counts() == [1, 1, 1, 1, 1]


def test_an_answer_of_the_database_that_is_lost_after_the_commit_records_nothing_twice(post, counts, monkeypatch):
    """Database.run tries the whole transaction again, which has happened already."""
    real, lost = Database._transaction, []

    def lose_the_first(self: Database, *given):
        rows = real(self, *given)
        if not lost:
            lost.append(rows)
            raise psycopg.OperationalError("the connection was lost")
        return rows

    monkeypatch.setattr(Database, "_transaction", lose_the_first)

    answer = post()

    assert answer.status == 202
    assert lost[0][-1][0]["record"]["id"] == answer.json["generation_id"]
    assert counts() == [1, 2, 3, 3, 1]


def test_a_call_that_dies_between_commit_and_answer_may_be_made_again(post, counts, monkeypatch):
    with monkeypatch.context() as dying:
        dying.setattr("history.generations.create_generation.ok", lambda *_, **__: 1 / 0)
        assert post().refused(500, "internal")
    assert counts()[0] == 1

    assert post().status == 202
    assert counts() == [1, 2, 3, 3, 1]


def test_a_database_that_goes_away_for_good_is_said_and_the_call_may_be_made_again(post, counts, db, monkeypatch):
    with monkeypatch.context() as gone:
        gone.setenv("DATABASE_URL", "postgresql://history_api:x@127.0.0.1:1/gone")
        assert post().refused(503, "unavailable")

    database.connect(db.api, setting="DATABASE_URL").close()
    assert post().status == 202
    assert counts()[0] == 1


def test_the_key_of_a_deleted_generation_answers_with_it_and_brings_nothing_back(post, call, counts):
    made = post().json["generation_id"]
    call("generations", f"/{made}", method="DELETE")

    assert post().json["generation_id"] == made
    assert call("generations", f"/{made}").refused(404, "not_found")
    assert counts() == [1, 2, 3, 0, 1]


def test_a_key_goes_with_its_generation_when_that_is_gone_for_good(post, db, counts):
    made = post().json["generation_id"]
    db.rows("delete from generations where id = %s", made)

    assert post().json["generation_id"] != made
    assert counts()[0] == 1


def test_the_other_name_of_creation_knows_the_same_keys(post):
    """/api/clone, as a Lambda behind a gateway is called."""
    from history.generations.__main__ import main  # noqa: PLC0415

    first = post()
    http = {"method": "POST", "path": "/api/clone", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "x"}
    event = {
        "version": "2.0",
        "rawPath": "/api/clone",
        "rawQueryString": "",
        "headers": {"Content-Type": "application/json", "Idempotency-Key": "key-1"},
        "requestContext": {"http": http, "requestId": "x", "stage": "$default"},
        "body": json.dumps(BODY),
        "isBase64Encoded": False,
    }

    class LambdaContext:
        function_name = "history-generations"
        aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    answered = main(event, LambdaContext())

    assert (answered["statusCode"], answered["body"]) == (202, first.returned["body"])
