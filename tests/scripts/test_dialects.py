"""What each manner of the simulator does differently, seen by a client that tolerates nothing."""

import pytest

from scripts.local.simulator.dialects import MANNERS
from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator
from tests.support.fakes import MP4
from tests.support.raw_client import SMALL, RawClient

AT_ONCE = Timing(queue_seconds=0, render_seconds=0, expires_seconds=3600)


@pytest.fixture
def content(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(MP4)
    return path


@pytest.fixture
def server(tmp_path, content):
    """A simulator of this manner, whose every video is the same few bytes."""

    def start(manner):
        return simulator(tmp_path / manner, timing=AT_ONCE, manner=manner, content=content)

    return start


@pytest.fixture
def openai(server):
    with server("openai") as base_url:
        yield RawClient(base_url)


@pytest.fixture
def litellm(server):
    with server("litellm") as base_url:
        yield RawClient(base_url)


@pytest.fixture
def vllm(server):
    with server("vllm-omni") as base_url:
        yield RawClient(base_url)


@pytest.fixture
def sglang(server):
    with server("sglang") as base_url:
        yield RawClient(base_url)


def test_no_two_manners_answer_alike(server):
    def answers(manner):
        with server(manner) as base_url:
            raw = RawClient(base_url)
            running, failed = raw.get(raw.made("a cat [delay=600]")), raw.get(raw.made("a cat [fail]"))
            unknown, early = raw.get("/videos/nobody"), raw.get(raw.made("a cat [delay=600]") + "/content")
            shown = [(name, type(value)) for name, value in running.json().items()]
            return repr((shown, failed.status_code, failed.json()["error"], list(unknown.json()), early.status_code))

    assert len({answers(manner) for manner in MANNERS}) == len(MANNERS) == 4


# ---------------------------------------------------------------- OpenAI


def test_openai_tells_all_of_a_job(openai):
    job = openai.get(openai.made("a cat [delay=600]")).json()

    assert (job["status"], job["prompt"], job["seconds"], job["size"]) == (
        "in_progress",
        "a cat [delay=600]",
        "1",
        "64x96",
    )


def test_openai_answers_a_failed_job_with_200_and_a_code(openai):
    answer = openai.get(openai.made("a cat [fail]"))

    assert (answer.status_code, answer.json()["error"]["code"]) == (200, "provider_error")


# ---------------------------------------------------------------- LiteLLM


def test_litellm_calls_queued_and_in_progress_processing(litellm):
    assert litellm.create("a cat [delay=600]").json()["status"] == "processing"
    assert litellm.get(litellm.made("a cat [delay=600]")).json()["status"] == "processing"


def test_litellm_tells_only_id_and_status_and_an_error(litellm):
    told = {"id", "object", "status"}
    for path, known in ((litellm.finished(), told), (litellm.made("a cat [fail]"), told | {"error"})):
        job = litellm.get(path).json()
        assert {name for name, value in job.items() if value is not None} == known
        assert job.keys() > known | {"prompt", "model", "created_at", "seconds"}
    assert [job["prompt"] for job in litellm.get("/videos").json()["data"]] == [None, None]


def test_litellm_has_ids_that_must_be_escaped(litellm):
    assert litellm.create().json()["id"].endswith("=")


def test_litellm_gives_the_video_whatever_variant_is_asked_for(litellm):
    path = litellm.finished() + "/content"
    for variant in ("video", "thumbnail", "anything"):
        answer = litellm.get(path, variant=variant)
        assert (answer.headers["content-type"], answer.content) == ("video/mp4", MP4)


def test_litellm_calls_a_blocked_job_completed_and_breaks_over_its_content(litellm):
    path = litellm.made("a cat [moderate]")

    assert litellm.get(path).json()["status"] == "completed"
    assert litellm.get(path).json()["error"] is None
    assert litellm.get(path + "/content").status_code == 500


def test_litellm_does_not_delete(litellm):
    path = litellm.made()

    assert litellm.ask("DELETE", path).status_code == 405
    assert litellm.get(path).ok


def test_litellm_gives_the_status_as_the_code_of_an_error(litellm):
    assert litellm.get("/videos/nobody").json()["error"]["code"] == "404"


# ---------------------------------------------------------------- vLLM-Omni


@pytest.mark.parametrize(("directive", "status"), [("[fail]", 500), ("[moderate]", 400)])
def test_vllm_omni_answers_a_failed_job_with_an_error_status_and_the_job(vllm, directive, status):
    path = vllm.made(f"a cat {directive}")
    answer = vllm.get(path)
    job = answer.json()

    assert (answer.status_code, job["error"]["code"], job["status"]) == (status, status, "failed")
    assert path == f"/videos/{job['id']}"
    assert [listed["status"] for listed in vllm.get("/videos").json()["data"]] == ["failed"]


def test_vllm_omni_has_no_content_while_a_job_runs_nor_after_it_failed(vllm):
    assert vllm.get(vllm.made("a cat [delay=600]") + "/content").status_code == 404
    assert vllm.get(vllm.made("a cat [fail]") + "/content").status_code == 422


def test_vllm_omni_does_not_read_json(vllm):
    answer = vllm.ask("POST", "/videos", json=SMALL | {"prompt": "a cat"})

    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["type"]) == (
        400,
        400,
        "Bad Request",
    )
    assert vllm.create().ok


def test_vllm_omni_forgets_its_jobs_and_their_files_at_a_restart(tmp_path):
    def start():
        return simulator(tmp_path, timing=AT_ONCE, manner="vllm-omni")

    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "somebody's.mp4").touch()
    with start() as base_url:
        path = RawClient(base_url).finished()
        assert len(list(videos.iterdir())) == 2

    with start() as base_url:
        assert RawClient(base_url).get(path).status_code == 404
        assert RawClient(base_url).get("/videos").json()["data"] == []
        assert [file.name for file in videos.iterdir()] == ["somebody's.mp4"]


# ---------------------------------------------------------------- SGLang


def test_sglang_puts_an_error_under_detail(sglang):
    for answer in (
        sglang.get("/videos/nobody"),
        sglang.create(""),
        sglang.create("a cat [reject]"),
        sglang.ask("PUT", "/videos"),
    ):
        assert answer.status_code >= 400
        assert list(answer.json()) == ["detail"]


def test_sglang_has_seconds_as_a_number_and_takes_them_so(sglang):
    answer = sglang.ask("POST", "/videos", json=SMALL | {"prompt": "a cat", "seconds": 3})

    assert answer.json()["seconds"] == 3
    assert sglang.create(seconds="2").json()["seconds"] == 2


def test_sglang_never_tells_a_prompt_nor_whether_a_list_goes_on(sglang):
    sglang.made()
    page = sglang.get("/videos").json()

    assert page.keys() == {"object", "data"}
    assert "prompt" not in page["data"][0]


def test_sglang_says_why_a_job_failed_without_a_code(sglang):
    assert sglang.get(sglang.made("a cat [fail]")).json()["error"].keys() == {"message"}


@pytest.mark.parametrize(("variant", "status"), [("0", 200), ("1", 404), ("thumbnail", 400), ("video", 400)])
def test_sglang_takes_a_variant_for_an_index(sglang, variant, status):
    assert sglang.get(sglang.finished() + "/content", variant=variant).status_code == status


def test_sglang_has_no_content_while_a_job_runs(sglang):
    assert sglang.get(sglang.made("a cat [delay=600]") + "/content").status_code == 404
