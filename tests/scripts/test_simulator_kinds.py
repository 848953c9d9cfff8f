"""What the simulator's kinds say of keys, inputs, jobs and files, seen by a client that tolerates nothing."""

import sqlite3

import pytest
import requests

from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator
from tests.scripts.conftest import FILM, KEY
from tests.support.kinds import FAL_MODEL, KINDS, KindsClient
from tests.support.scripted_server import answer
from tests.support.waiting import eventually

HOUR = 3600
HISTORY = "/fal-api/v1/models/requests/by-endpoint"

LIVES = {
    "fal": ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"],
    "replicate": ["starting", "processing", "succeeded"],
    "runway": ["PENDING", "RUNNING", "SUCCEEDED"],
    "gemini": ["queued", "in_progress", "completed"],
}
FAILED = {"fal": "COMPLETED", "replicate": "failed", "runway": "FAILED", "gemini": "failed"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_is_queued_then_rendered_then_there(kinds, clock, kind):
    job_id = kinds.made(kind)
    seen = []
    for _ in range(3):
        seen.append(kinds.shown(kind, job_id)["status"])
        clock.move(10)
    keys = kinds.headers["replicate"] if kind == "replicate" else kinds.headers["gemini"] if kind == "gemini" else {}

    assert seen == LIVES[kind]
    assert requests.get(kinds.video_url(kind, job_id), headers=keys, timeout=10).content == FILM
    assert kinds.arrivals() == [(kind, "a cat", "accepted")]


@pytest.mark.parametrize(
    ("kind", "headers", "status"),
    [
        ("fal", {"Authorization": "Bearer key-of-the-simulator"}, 401),
        ("replicate", {"Authorization": "Bearer wrong"}, 401),
        ("runway", {"Authorization": "Bearer key-of-the-simulator"}, 400),
        ("gemini", {"X-Goog-Api-Key": "key-of-the-simulator", "Authorization": "Bearer x"}, 400),
        ("gemini", {}, 403),
    ],
)
def test_a_key_that_is_shown_otherwise_lets_nobody_in(kinds, kind, headers, status):
    kinds.headers = {kind: headers}

    assert kinds.post(kind).status_code == status
    assert kinds.arrivals() == [(kind, "a cat", "refused")]


# ---------------------------------------------------------------- inputs


@pytest.mark.parametrize(
    ("kind", "wanted", "status", "named"),
    [
        ("replicate", {"duration": 16}, 422, "duration"),
        ("replicate", {"duration": "4"}, 422, "duration"),
        ("replicate", {"resolution": "768p"}, 422, "resolution"),
        ("replicate", {"aspect": "16:9"}, 422, "aspect"),
        ("runway", {"duration": 11}, 400, "duration"),
        ("runway", {"ratio": "16:9"}, 400, "ratio"),
        ("runway", {"generate_audio": True}, 400, "generate_audio"),
        ("runway", {"promptText": "a" * 1001}, 400, "promptText"),
        ("gemini", {"duration": 6}, 400, "duration"),
        ("gemini", {"duration": "16s"}, 400, "duration"),
        ("gemini", {"aspect_ratio": "1:1"}, 400, "aspect_ratio"),
        ("gemini", {"seed": 1}, 400, "seed"),
    ],
)
def test_what_a_model_does_not_have_is_refused_at_once_by_name(kinds, kind, wanted, status, named):
    answer = kinds.post(kind, **wanted)

    assert answer.status_code == status
    assert named in answer.text
    assert kinds.control("GET", "jobs")["jobs"] == []


@pytest.mark.parametrize(
    ("wanted", "named"), [({"duration": 4}, "duration"), ({"resolution": "720p"}, "resolution"), ({"size": 1}, "size")]
)
def test_fal_accepts_a_wrong_input_and_says_so_in_the_result_alone(kinds, clock, wanted, named):
    job_id = kinds.made("fal", **wanted)
    assert kinds.get("fal", kinds.path("fal", job_id)).json() == {"detail": "Request is still in progress"}
    clock.move(20)
    result = kinds.get("fal", kinds.path("fal", job_id))

    assert kinds.shown("fal", job_id)["status"] == "COMPLETED"
    assert "error" not in kinds.shown("fal", job_id)
    assert (result.status_code, result.json()["detail"][0]["loc"]) == (422, ["body", named])
    assert "x-fal-billable-units" not in result.headers


def test_a_key_of_the_body_that_replicate_does_not_know_is_refused(kinds):
    body = {"version": "bytedance/seedance-2.0", "input": {"prompt": "a cat"}, "metadata": {}}
    answer = kinds.ask("replicate", "POST", "/replicate/v1/predictions", json=body)

    assert answer.status_code == 422
    assert answer.json()["invalid_fields"][0]["field"] == "metadata"


def test_kling_takes_its_length_as_text_and_a_resolution_only_if_a_switch_says_so(kinds, clock):
    def failure(**fields):
        model = "fal-ai/kling-video/v3/pro/text-to-video"
        made = kinds.ask("fal", "POST", f"/fal/{model}", json={"prompt": "a cat", **fields}).json()
        clock.move(20)
        return kinds.get("fal", made["response_url"]).json().get("detail")

    assert failure(duration="5") is None
    assert failure(duration=5)
    assert failure(resolution="1080p")
    kinds.switch(fal_kling_resolution=True)
    assert failure(resolution="1080p") is None


def test_gemini_takes_a_webhook_under_v1_only_if_a_switch_says_so(kinds):
    body = {"model": "gemini-omni-1.1-flash", "input": "a cat", "background": True}
    body |= {
        "response_format": {"type": "video", "delivery": "uri"},
        "webhook_config": {"uris": ["http://127.0.0.1:9"]},
    }
    refused = kinds.ask("gemini", "POST", "/gemini/v1/interactions", json=body)
    kinds.switch(gemini_v1_webhooks=True)

    assert refused.status_code == 400
    assert "webhook_config" in refused.json()[0]["error"]["message"]
    assert kinds.ask("gemini", "POST", "/gemini/v1/interactions", json=body).ok


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("kind", "prompt", "shown"),
    [
        ("fal", "[fail]", {"status": "COMPLETED", "error_type": "internal_server_error"}),
        ("fal", "[moderate]", {"status": "COMPLETED"}),
        ("replicate", "[fail]", {"status": "failed", "error": "The provider could not render this video."}),
        ("replicate", "[ends=aborted]", {"status": "aborted", "output": None}),
        ("replicate", "[missing]", {"status": "succeeded", "output": None}),
        ("runway", "[fail]", {"status": "FAILED", "cost": {"credits": 0}}),
        ("runway", "[moderate]", {"status": "FAILED", "failureCode": "SAFETY.INPUT.TEXT", "cost": {"credits": 24}}),
        ("runway", "[ends=CANCELLED]", {"status": "CANCELLED"}),
        ("gemini", "[fail]", {"status": "failed"}),
        ("gemini", "[moderate]", {"status": "completed", "steps": [{"type": "model_output", "content": []}]}),
        ("gemini", "[ends=budget_exceeded]", {"status": "budget_exceeded"}),
    ],
)
def test_a_directive_in_the_prompt_ends_a_job_in_its_kinds_way(kinds, clock, kind, prompt, shown):
    job_id = kinds.made(kind, prompt)
    clock.move(20)
    job = kinds.shown(kind, job_id)

    assert {name: job[name] for name in shown} == shown


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_is_gone_and_an_empty_account_make_no_job(kinds, kind):
    kinds.set_faults({f"{kind}.create": [{"kind": "retired", "times": 1}, {"kind": "no_balance", "times": 1}]})
    retired, empty = kinds.post(kind), kinds.post(kind)

    assert retired.status_code == 404
    assert empty.status_code == {"fal": 403, "replicate": 402, "runway": 400, "gemini": 429}[kind]
    assert kinds.control("GET", "jobs")["jobs"] == []
    assert kinds.post(kind).ok


def test_a_fault_of_one_kind_spares_the_others(kinds):
    kinds.set_faults({"fal.everything": {"status": 503}})

    assert kinds.post("fal").status_code == 503
    assert kinds.post("replicate").ok


def test_replicate_says_in_the_body_when_to_come_again(kinds):
    kinds.set_faults({"replicate.create": {"status": 429, "retry_after": 7}})
    answer = kinds.post("replicate")

    assert (answer.status_code, answer.json()["retry_after"]) == (429, 7)
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_whose_answer_was_lost_is_there_and_its_post_counted_once(kinds, kind):
    kinds.set_faults({f"{kind}.create": {"kind": "close", "after_accepting": True}})
    with pytest.raises(requests.ConnectionError):
        kinds.post(kind)

    assert kinds.arrivals() == [(kind, "a cat", "fault_after")]
    assert [job["kind"] for job in kinds.control("GET", "jobs")["jobs"]] == [kind]


def test_a_fault_may_say_what_its_error_says(kinds):
    job_id = kinds.made("gemini")
    message = "Multiple authentication credentials received."
    kinds.set_faults({"gemini.retrieve": {"status": 400, "message": message, "times": 1}})

    assert kinds.shown("gemini", job_id)[0]["error"]["message"] == message
    assert kinds.shown("gemini", job_id)["status"] == "queued"


# ---------------------------------------------------------------- lists


def test_fals_list_lacks_what_has_not_started_unless_a_switch_says_so(kinds, clock):
    job_id = kinds.made("fal", seed=3)

    def listed():
        items = kinds.get("fal", HISTORY, endpoint_id=FAL_MODEL, expand="payloads").json()["items"]
        return [(item["request_id"], item["json_input"]) for item in items]

    assert listed() == []
    kinds.switch(fal_lists_queued=True)
    assert listed() == [(job_id, {"prompt": "a cat", "duration": 5, "seed": 3})]
    kinds.switch(fal_lists_queued=False)
    clock.move(10)
    assert [request_id for request_id, _ in listed()] == [job_id]


def test_fals_list_has_pages_times_and_nothing_that_was_not_to_be_kept(kinds, clock):
    ids = []
    for _ in range(3):
        ids.append(kinds.made("fal"))
        clock.move(60)
    kinds.headers["fal"]["X-Fal-Store-IO"] = "0"
    kinds.made("fal")
    clock.move(60)
    first = kinds.get("fal", HISTORY, endpoint_id=FAL_MODEL, limit=2).json()
    second = kinds.get("fal", HISTORY, endpoint_id=FAL_MODEL, limit=2, cursor=first["next_cursor"]).json()
    start = first["items"][0]["sent_at"]

    assert [item["request_id"] for item in (*first["items"], *second["items"])] == ids[::-1]
    assert (first["has_more"], second["has_more"]) == (True, False)
    since = kinds.get("fal", HISTORY, endpoint_id=FAL_MODEL, start=start).json()["items"]
    assert [item["request_id"] for item in since] == ids[2:]


def test_replicates_list_is_a_hundred_a_page_and_the_next_is_a_whole_url(kinds, clock):
    ids = []
    for _ in range(102):
        ids.append(kinds.made("replicate", "a cat [fail]"))
        clock.move(1)
    first = kinds.get("replicate", "/replicate/v1/predictions").json()
    second = kinds.get("replicate", first["next"]).json()

    assert [each["id"] for each in first["results"] + second["results"]] == ids[::-1]
    assert len(first["results"]) == 100
    assert second["next"] is None


def test_a_list_may_lack_the_jobs_of_the_last_seconds(kinds, clock):
    kinds.made("replicate")
    clock.move(30)
    kinds.set_faults({"replicate.list": {"kind": "omit", "seconds": 60}})
    early = kinds.get("replicate", "/replicate/v1/predictions").json()["results"]
    clock.move(40)

    assert early == []
    assert len(kinds.get("replicate", "/replicate/v1/predictions").json()["results"]) == 1


# ---------------------------------------------------------------- files, costs, cancelling


@pytest.mark.parametrize("kind", ["fal", "runway"])
def test_a_key_that_is_shown_to_a_host_of_files_is_refused_and_recorded(kinds, clock, kind):
    job_id = kinds.made(kind)
    clock.move(20)
    url = kinds.video_url(kind, job_id)

    assert url.startswith("http://127.0.0.2:")
    assert kinds.ask(kind, "GET", url).status_code == 400
    assert [(leak["kind"], leak["header"]) for leak in kinds.control("GET", "leaks")["leaks"]] == [
        (kind, "Authorization")
    ]


def test_replicates_files_need_the_key_unless_a_switch_opens_them(kinds, clock):
    job_id = kinds.made("replicate")
    clock.move(20)
    url = kinds.video_url("replicate", job_id)

    assert requests.get(url, timeout=10).status_code == 401
    assert kinds.get("replicate", url).content == FILM
    kinds.switch(replicate_content_key=False)
    assert requests.get(url, timeout=10).content == FILM
    assert kinds.control("GET", "leaks")["leaks"] == []


def test_a_prediction_loses_its_data_an_hour_after_its_end(kinds, clock):
    job_id = kinds.made("replicate")
    clock.move(20)
    url = kinds.video_url("replicate", job_id)
    clock.move(HOUR)
    shown = kinds.shown("replicate", job_id)

    assert (shown["status"], shown["input"], shown["output"], shown["data_removed"]) == ("succeeded", None, None, True)
    assert kinds.get("replicate", url).status_code == 404


def test_a_url_of_runway_expires_and_another_look_gives_a_new_one(kinds, clock):
    job_id = kinds.made("runway")
    clock.move(20)
    url = kinds.video_url("runway", job_id)
    clock.move(24 * HOUR)

    assert requests.get(url, timeout=10).status_code == 401
    assert requests.get(kinds.video_url("runway", job_id), timeout=10).content == FILM


def test_geminis_file_may_lag_behind_its_job(kinds, clock):
    job_id = kinds.made("gemini", "a cat [lag=5]")
    clock.move(20)
    url = kinds.video_url("gemini", job_id)

    assert kinds.get("gemini", url).status_code == 404
    clock.move(5)
    assert kinds.get("gemini", url).content == FILM


def test_costs_are_told_where_the_kind_tells_them(kinds, clock):
    fal, runway = kinds.made("fal"), kinds.made("runway")
    assert kinds.shown("runway", runway)["estimatedCost"] == {"credits": 24}
    clock.move(20)

    assert kinds.get("fal", kinds.path("fal", fal)).headers["x-fal-billable-units"] == "5"
    assert kinds.shown("runway", runway)["cost"] == {"credits": 24}
    kinds.switch(fal_billing_header=False)
    assert "x-fal-billable-units" not in kinds.get("fal", kinds.path("fal", fal)).headers


CANCELS = {
    "fal": ("PUT", "/cancel", 202, 400),
    "replicate": ("POST", "/cancel", 200, 200),
    "runway": ("DELETE", "", 204, 404),
    "gemini": ("POST", "/cancel", 200, 400),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_running_job_is_cancelled_and_one_that_is_over_says_so(kinds, clock, kind):
    method, path, first, second = CANCELS[kind]
    job_id = kinds.made(kind)
    clock.move(10)
    url = kinds.path(kind, job_id) + path

    assert [kinds.ask(kind, method, url).status_code for _ in range(2)] == [first, second]
    after = kinds.get(kind, kinds.path(kind, job_id))
    assert after.status_code == {"fal": 499, "runway": 404}.get(kind, 200)
    assert after.json().get("status") == {"replicate": "canceled", "gemini": "cancelled"}.get(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_cancelling_an_unstoppable_job_changes_nothing(kinds, clock, kind):
    method, path, first, _ = CANCELS[kind]
    job_id = kinds.made(kind, "a cat [unstoppable]")
    assert kinds.ask(kind, method, kinds.path(kind, job_id) + path).status_code == first
    clock.move(20)

    assert kinds.shown(kind, job_id)["status"] == LIVES[kind][2]


def test_a_request_of_fal_is_found_at_its_own_path_alone(kinds):
    made = kinds.ask("fal", "POST", "/fal/google/gemini-omni-flash", json={"prompt": "a cat", "duration": 8}).json()

    assert kinds.get("fal", made["status_url"]).status_code == 202
    for path in ("google/gemini-omni-flash", "minimax/h3-max"):
        assert kinds.get("fal", f"/fal/{path}/requests/{made['request_id']}/status").status_code == 404
    assert kinds.get("fal", f"/fal/{FAL_MODEL}/requests/{made['request_id']}/status").status_code == 405


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_knows_the_jobs_of_another(kinds, kind):
    job_id = kinds.made(kind)
    others = [other for other in KINDS if other != kind]

    assert not any(kinds.get(other, kinds.path(other, job_id)).ok for other in others)
    video = requests.get(f"{kinds.base_url}/v1/videos", headers=kinds.headers["replicate"], timeout=10)
    assert video.json()["data"] == []


def test_the_body_and_the_headers_that_matter_are_kept_as_they_came(kinds):
    kinds.headers["fal"] |= {"X-Fal-No-Retry": "1", "x-app-fal-disable-fallback": "true"}
    kinds.made("fal")
    (job,) = kinds.control("GET", "jobs")["jobs"]

    assert job["body"] == '{"prompt": "a cat", "duration": 5}'
    assert {name.lower(): value for name, value in job["headers"].items()} == {
        "x-fal-no-retry": "1",
        "x-app-fal-disable-fallback": "true",
    }


def test_an_unknown_switch_is_refused(kinds):
    assert requests.put(f"{kinds.base_url}/simulator/switches", json={"fal": True}, timeout=10).status_code == 400


# ---------------------------------------------------------------- restarts and hosts


def test_a_key_that_is_shown_to_the_host_of_files_under_a_path_of_the_api_is_recorded(kinds):
    files = kinds.base_url.replace("127.0.0.1", "127.0.0.2")
    answer = kinds.get("replicate", f"{files}/replicate/v1/predictions")

    assert answer.status_code == 404
    assert [leak["kind"] for leak in kinds.control("GET", "leaks")["leaks"]] == ["replicate"]


@pytest.fixture
def start(tmp_path, clock):
    def start():
        return simulator(tmp_path / "data", api_key=KEY, timing=Timing(10, 10, HOUR), clock=clock)

    return start


@pytest.mark.parametrize("kind", KINDS)
def test_a_simulator_that_starts_again_knows_its_jobs_and_sends_what_it_owes(start, clock, scripted, kind):
    scripted.script(answer(200))
    with start() as base_url:
        job_id = KindsClient(base_url, key=KEY).made(kind, "a cat [fail]", webhook=scripted.base_url)
    clock.move(20)
    with start() as base_url:
        kinds = KindsClient(base_url, key=KEY)

        assert kinds.shown(kind, job_id)["status"] == FAILED[kind]
        assert kinds.arrivals() == [(kind, "a cat [fail]", "accepted")]
        if kind != "runway":
            eventually(
                lambda: [each["state"] for each in kinds.control("GET", "webhooks")["webhooks"]] == ["delivered"]
            )


def test_a_folder_of_an_earlier_version_goes_on(start, tmp_path):
    with start() as base_url:
        headers = {"Authorization": f"Bearer {KEY}"}
        made = requests.post(f"{base_url}/videos", data={"prompt": "a cat [fail]"}, headers=headers, timeout=10).json()
    with sqlite3.connect(tmp_path / "data" / "jobs.sqlite3") as connection:
        for table, column in (("jobs", "kind"), ("jobs", "body"), ("jobs", "details"), ("arrivals", "kind")):
            connection.execute(f"alter table {table} drop column {column}")
    connection.close()
    with start() as base_url:
        assert requests.get(f"{base_url}/videos/{made['id']}", headers=headers, timeout=10).json() == made
        assert KindsClient(base_url, key=KEY).arrivals() == [("sora", "a cat [fail]", "accepted")]
