"""The simulator tells every POST that ever came, also one that a fault was all the answer to, and what became of it."""

from contextlib import suppress

import pytest
import requests

from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator
from tests.support.raw_client import RawClient

KEY = "sk-simulated"
AT_ONCE = Timing(queue_seconds=0, render_seconds=0, expires_seconds=3600)


@pytest.fixture
def raw(tmp_path):
    with simulator(tmp_path / "data", api_key=KEY, timing=AT_ONCE) as base_url:
        yield RawClient(base_url, key=KEY)


def arrivals(raw: RawClient) -> list[tuple[str, str, bool]]:
    """The prompt of each POST, what became of it, and whether a job did."""
    told = raw.control("GET", "arrivals").json()["arrivals"]
    return [(post["prompt"], post["answer"], post["job_id"] is not None) for post in told]


BECAME = {
    "accepted": ({}, "accepted", True),
    "500": ({"create": {"status": 500}}, "fault_before", False),
    "500 after accepting": ({"create": {"status": 500, "after_accepting": True}}, "fault_after", True),
    "429": ({"create": {"status": 429}}, "busy", False),
    "429 after accepting": ({"create": {"status": 429, "after_accepting": True}}, "fault_after", True),
    "401": ({"create": {"status": 401}}, "refused", False),
    "a page": ({"create": {"kind": "html"}}, "fault_before", False),
    "dropped": ({"create": {"kind": "close"}}, "fault_before", False),
    "dropped after accepting": ({"create": {"kind": "close", "after_accepting": True}}, "fault_after", True),
    "truncated": ({"create": {"kind": "truncate"}}, "fault_after", True),
    "hanging": ({"create": {"kind": "hang", "seconds": 0}}, "fault_before", False),
    "out of order": ({"everything": {"status": 503}}, "fault_before", False),
    "gone": ({"everything": {"status": 404}}, "refused", False),
}


@pytest.mark.parametrize(("faults", "became", "makes_a_job"), BECAME.values(), ids=BECAME.keys())
def test_every_post_is_told_with_what_became_of_it(raw, faults, became, makes_a_job):
    raw.set_faults(**faults)
    with suppress(requests.RequestException):
        raw.create("a cat [fail]")

    assert arrivals(raw) == [("a cat [fail]", became, makes_a_job)]


def test_a_post_that_is_no_request_or_has_no_key_is_told_as_refused(raw):
    requests.post(f"{raw.base_url}/videos", data={"prompt": "a cat"}, timeout=10)
    no_json = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    requests.post(f"{raw.base_url}/videos", data=b"{", headers=no_json, timeout=10)
    raw.create("a dog [reject]")
    raw.create("a cow", seconds="99")

    assert arrivals(raw) == [
        ("a cat", "refused", False),
        ("", "refused", False),
        ("a dog [reject]", "refused", False),
        ("a cow", "refused", False),
    ]


def test_posts_are_told_in_their_order_with_the_job_each_made(raw):
    raw.set_faults(create={"status": 500, "times": 1})
    raw.create("a cat [fail]")
    made = raw.create("a cat [fail]").json()["id"]
    first, second = raw.control("GET", "arrivals").json()["arrivals"]

    assert first["arrived_at"] <= second["arrived_at"]
    assert (first["job_id"], second["job_id"]) == (None, made)


@pytest.mark.parametrize("word", ["dreaming", "", "\N{SPARKLES}" * 60])
def test_a_job_may_be_shown_in_a_status_that_nobody_has_heard_of(raw, word):
    raw.set_faults(retrieve={"kind": "vague", "word": word, "times": 1}, list={"kind": "vague", "word": word})
    path = raw.made("a cat [fail]")

    assert [raw.get(path).json()["status"] for _ in range(2)] == [word, "failed"]
    assert [job["status"] for job in raw.get("/videos").json()["data"]] == [word]


def test_content_shows_no_job_to_be_vague_about(raw):
    assert raw.control("PUT", "faults", json={"content": {"kind": "vague"}}).status_code == 400
