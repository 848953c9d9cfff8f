"""Faults are switched on while the simulator runs, happen as often as was said, and never make the counting wrong."""

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests

from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator
from scripts.local.simulator.throttle import Pace
from tests.support.fakes import MP4
from tests.support.raw_client import RawClient

KEY = "sk-simulated"
AT_ONCE = Timing(queue_seconds=0, render_seconds=0, expires_seconds=3600)
FILM = MP4 + bytes(2000)


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(FILM)
    return path


@pytest.fixture
def raw(tmp_path, film):
    with simulator(tmp_path / "data", api_key=KEY, timing=AT_ONCE, content=film) as base_url:
        yield RawClient(base_url, key=KEY)


def statuses(ask, number):
    return [ask().status_code for _ in range(number)]


# ---------------------------------------------------------------- how often


def test_a_fault_happens_as_often_as_it_was_told_and_the_next_in_line_follows(raw):
    raw.set_faults(create=[{"status": 500, "times": 2}, {"status": 429, "retry_after": 7, "times": 1}])
    answers = [raw.create() for _ in range(5)]

    assert [answer.status_code for answer in answers] == [500, 500, 429, 200, 200]
    assert answers[2].headers["Retry-After"] == "7"
    assert raw.happened() == {"create": [2, 1]}
    assert raw.counted() == (2, 2)


def test_a_fault_without_a_number_happens_until_it_is_cleared_or_replaced(raw):
    raw.set_faults(list={"status": 503})
    assert statuses(lambda: raw.get("/videos"), 3) == [503] * 3

    raw.set_faults(retrieve={"status": 502})
    assert raw.get("/videos").ok
    assert raw.get(raw.made()).status_code == 502

    assert raw.control("DELETE", "faults").json() == {}
    assert raw.get(raw.made()).ok


def test_a_share_of_requests_fails_and_the_same_ones_for_the_same_seed(raw):
    def failing(seed):
        raw.set_faults(list={"status": 500, "share": 0.3, "seed": seed})
        return statuses(lambda: raw.get("/videos"), 40)

    first = failing(1)

    assert 4 <= first.count(500) <= 20
    assert failing(1) == first != failing(2)


def test_many_requests_at_once_meet_a_fault_just_as_often_as_it_was_told(raw):
    raw.set_faults(create={"status": 500, "times": 7})
    with ThreadPoolExecutor(8) as pool:
        answers = [answer.status_code for answer in pool.map(lambda _: raw.create(), range(20))]

    assert sorted(answers) == [200] * 13 + [500] * 7
    assert raw.counted() == (13, 13)


# ---------------------------------------------------------------- create


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize(
    "fault",
    [{"status": 500}, {"kind": "close"}, {"kind": "hang", "seconds": 0}, {"kind": "html", "status": 502}],
    ids=str,
)
def test_a_post_is_counted_as_a_job_just_if_the_fault_comes_after_accepting(raw, fault, accepted):
    raw.set_faults(create={**fault, "after_accepting": accepted, "times": 1})

    if "status" in fault:
        assert raw.create().status_code == fault["status"]
    else:
        with pytest.raises(requests.ConnectionError):
            raw.create()

    assert raw.counted() == ((1, 1) if accepted else (0, 0))
    assert raw.create().ok


def test_a_post_that_hangs_after_accepting_is_never_answered_in_time(raw):
    raw.set_faults(create={"kind": "hang", "after_accepting": True})

    with pytest.raises(requests.ReadTimeout):
        raw.create(timeout=0.2)

    assert raw.counted() == (1, 1)


def test_a_refused_post_keeps_its_answer_and_uses_no_fault_up(raw):
    raw.set_faults(create={"status": 500, "after_accepting": True, "times": 1})

    assert raw.create("[reject]").status_code == 400
    assert raw.happened() == {"create": [0]}
    assert raw.create().status_code == 500
    assert raw.counted() == (1, 1)


# ---------------------------------------------------------------- content


def test_truncated_content_announces_all_and_brings_half(raw):
    path = raw.made()
    raw.set_faults(content={"kind": "truncate"})
    parts = urlsplit(raw.base_url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request("GET", f"{parts.path}{path}/content", headers={"Authorization": f"Bearer {KEY}"})
    with connection.getresponse() as answer, pytest.raises(http.client.IncompleteRead) as broken:
        answer.read()

    assert answer.headers["Content-Length"] == str(len(FILM))
    assert broken.value.partial == FILM[: len(FILM) // 2]


@pytest.mark.parametrize(("kind", "media_type"), [("html", "text/html"), ("json", "application/json")])
def test_content_may_be_something_else_that_says_200(raw, kind, media_type):
    path = raw.made()
    raw.set_faults(content={"kind": kind})
    answer = raw.get(f"{path}/content")

    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, media_type)
    assert answer.content != FILM


def test_slow_content_comes_whole_in_its_time(raw):
    path = raw.made()
    raw.set_faults(content={"kind": "slow", "bytes_per_second": 2 * len(FILM)})
    before = time.monotonic()

    assert raw.get(f"{path}/content").content == FILM
    assert time.monotonic() - before >= 0.5


def test_content_may_be_a_closed_connection_an_error_or_nothing_for_ever(raw):
    path = raw.made() + "/content"
    raw.set_faults(content=[{"kind": "close", "times": 1}, {"status": 404, "times": 1}, {"kind": "hang", "times": 1}])

    with pytest.raises(requests.ConnectionError):
        raw.get(path)
    assert raw.get(path).status_code == 404
    with pytest.raises(requests.ReadTimeout):
        raw.get(path, timeout=0.2)
    assert raw.get(path).content == FILM


# ---------------------------------------------------------------- everything, and what is no fault


def test_a_provider_that_is_gone_answers_everything_so_until_it_is_back(raw):
    path = raw.made()
    raw.set_faults(everything={"status": 404})

    for ask in (raw.create, lambda: raw.get(path), lambda: raw.get("/videos"), lambda: raw.get("/models")):
        assert (ask().status_code, list(ask().json())) == (404, ["error"])
    assert requests.get(f"{raw.base_url}/videos", timeout=10).status_code == 404
    assert raw.counted() == (1, 1)

    raw.control("DELETE", "faults")
    assert raw.get(path).ok


WRONG = {
    "kind": {"create": {"kind": "explode"}},
    "place": {"upload": {"status": 500}},
    "status": {"create": {"status": 200}},
    "nothing": {"create": {}},
    "share": {"create": {"status": 500, "share": 2}},
    "times": {"create": {"status": 500, "times": 0}},
    "slow": {"content": {"kind": "slow"}},
    "unknown": {"create": {"status": 500, "often": True}},
    "accepting": {"list": {"status": 500, "after_accepting": True}},
    "list": [],
}


@pytest.mark.parametrize("plan", WRONG.values(), ids=WRONG.keys())
def test_a_plan_that_makes_no_sense_is_refused_and_changes_nothing(raw, plan):
    raw.set_faults(list={"status": 503})

    assert raw.control("PUT", "faults", json=plan).status_code == 400
    assert raw.happened() == {"list": [0]}


def test_every_job_is_shown_as_it_stands_without_a_key(raw):
    ids = [raw.create(prompt).json()["id"] for prompt in ("a cat", "a cow [fail]", "a dog [delay=600]", "an ant")]
    raw.ask("DELETE", f"/videos/{ids[3]}")
    jobs = raw.control("GET", "jobs").json()["jobs"]

    assert [(job["id"], job["prompt"], job["status"]) for job in jobs] == [
        (ids[0], "a cat", "completed"),
        (ids[1], "a cow [fail]", "failed"),
        (ids[2], "a dog [delay=600]", "in_progress"),
        (ids[3], "an ant", "gone"),
    ]
    assert all(abs(job["created_at"] - time.time()) < 60 for job in jobs)


def test_content_of_a_given_file_comes_after_the_latency_at_the_speed_of_each_connection(tmp_path, film):
    pace = Pace(bytes_per_second=2 * len(FILM), latency_seconds=0.2)
    with simulator(tmp_path / "data", timing=AT_ONCE, pace=pace, content=film) as base_url:
        raw = RawClient(base_url)
        paths = [raw.made() for _ in range(4)]
        before = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            contents = list(pool.map(lambda path: raw.get(f"{path}/content").content, paths))

        assert contents == [FILM] * 4
        assert 0.7 <= time.monotonic() - before < 2.0
        assert list((tmp_path / "data" / "videos").iterdir()) == []
