"""One client, four manners: SoraProvider keeps its promises with every server of the dialect, however it answers."""

from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from generation_history.errors import JobGone, OutcomeUnknown, ProviderError, Rejected, SceneFailure
from generation_history.providers import VideoRequest
from generation_history.providers.sora import SoraProvider
from scripts.local.simulator.dialects import MANNERS
from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator
from tests.support import films
from tests.support.raw_client import RawClient
from tests.support.waiting import eventually

KEY = "sk-simulated"
AT_ONCE = Timing(queue_seconds=0, render_seconds=0, expires_seconds=3600)
#: Those whose list tells what a job was asked for.
OPEN = {"openai", "vllm-omni"}

numbers = count()


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """The base URL of a simulator for each manner."""
    with ExitStack() as closing:
        yield {
            manner: closing.enter_context(
                simulator(tmp_path_factory.mktemp(manner), api_key=KEY, timing=AT_ONCE, manner=manner)
            )
            for manner in MANNERS
        }


@pytest.fixture(params=list(MANNERS))
def manner(request):
    return request.param


@pytest.fixture
def provider(servers, manner):
    return SoraProvider(servers[manner], KEY)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "video.mp4"


def wanted(words="a cat"):
    """A request that no other test makes."""
    return VideoRequest(f"{words} #{next(numbers)}\n“ünïcode” & =+/%", "sora-2", "64x96", 1)


def over(provider, job):
    """The job once it is over."""

    def look():
        seen = provider.poll(job.id)
        return seen if seen.status in {"completed", "failed"} else None

    return eventually(look)


def refused_content(provider, job, target):
    """How fetching the job's content fails; nothing is left of it, and it may be tried again."""
    with pytest.raises((JobGone, SceneFailure)) as raised:
        provider.fetch(provider.content_url(job.id), target)
    assert not target.exists()
    assert isinstance(raised.value, JobGone) or (raised.value.code, raised.value.final) == ("download_failed", False)
    return raised.value


def around_now():
    now = datetime.now(UTC)
    return {"since": now - timedelta(minutes=2), "until": now + timedelta(minutes=2)}


def posts(provider):
    return RawClient(provider.base_url).control("GET", "posts").json()


def test_a_job_is_submitted_once_polled_until_it_is_completed_and_fetched_whole(provider, target):
    request = wanted()

    job = over(provider, provider.submit(request))
    size = provider.fetch(provider.content_url(job.id), target)

    assert job.status == "completed"
    assert target.stat().st_size == size
    assert len(films.run("-i", target, "-map", "v", "-f", "rawvideo", "-pix_fmt", "gray", "-")) == 64 * 96 * 24
    assert posts(provider)["posts"][request.prompt] == 1


def test_a_running_job_is_neither_completed_nor_failed(provider):
    job = provider.submit(wanted("[delay=600]"))

    for seen in (job, provider.poll(job.id)):
        assert seen.status not in {"completed", "failed"}
        assert seen.error_message is None


def test_a_failed_job_is_failed_says_why_and_has_no_video(provider, target):
    job = over(provider, provider.submit(wanted("[fail]")))

    assert job.status == "failed"
    assert job.error_message == "The provider could not render this video."
    refused_content(provider, job, target)


def test_a_moderated_job_says_why_and_has_no_video(provider, manner, target):
    """Only OpenAI has a code for it, and LiteLLM calls the job completed."""
    job = over(provider, provider.submit(wanted("[moderate]")))

    assert (job.status, job.error_code) == {
        "openai": ("failed", "moderation_blocked"),
        "litellm": ("completed", None),
        "vllm-omni": ("failed", "400"),
        "sglang": ("failed", None),
    }[manner]
    assert job.error_message == (
        "This request was blocked by our moderation system." if job.status == "failed" else None
    )
    refused_content(provider, job, target)


def test_a_refused_prompt_is_rejected_with_its_reason_and_leaves_no_job(provider, manner):
    request = wanted("[reject]")

    with pytest.raises(Rejected, match="blocked by our moderation system") as raised:
        provider.submit(request)

    assert raised.value.failure_code == ("moderation_blocked" if manner == "openai" else "submit_rejected")
    assert provider.find(request, **around_now()) == []
    assert request.prompt not in posts(provider)["posts"]
    assert posts(provider)["rejected"][request.prompt] == 1


def test_an_unknown_job_is_gone(provider, target):
    for job_id in ("video_of_nobody", "aGk=+", "00000000-0000-4000-8000-000000000000"):
        with pytest.raises(JobGone):
            provider.poll(job_id)
        with pytest.raises(JobGone):
            provider.fetch(provider.content_url(job_id), target)


def test_content_asked_for_too_early_is_an_error_that_passes(manner, tmp_path, target):
    now = [1_800_000_000.0]
    with simulator(tmp_path / "data", manner=manner, clock=lambda: now[0]) as base_url:
        provider = SoraProvider(base_url, KEY)
        job = provider.submit(wanted())
        refused_content(provider, job, target)

        now[0] += 60

        over(provider, job)
        assert provider.fetch(provider.content_url(job.id), target) == target.stat().st_size


def test_a_job_is_found_by_just_its_request_where_prompts_are_told_and_never_where_they_are_not(provider, manner):
    request = wanted("[delay=600]")
    job = provider.submit(request)
    provider.submit(wanted("[delay=600]"))

    found = [found.id for found in provider.find(request, **around_now())]

    assert found == ([job.id] if manner in OPEN else [])


def test_a_job_is_found_beyond_the_first_page_and_every_list_has_an_end(provider, manner, monkeypatch):
    monkeypatch.setattr("generation_history.providers.sora.LIST_PAGE", 20)
    request = wanted("[delay=600]")
    job = provider.submit(request)
    for _ in range(25):
        provider.submit(wanted("[fail]"))

    found = [found.id for found in provider.find(request, **around_now())]

    assert found == ([job.id] if manner in OPEN else [])


def test_a_job_whose_answer_was_lost_is_found_where_prompts_are_told(provider, manner):
    request = wanted("[delay=600]")
    RawClient(provider.base_url).set_faults(create={"kind": "close", "after_accepting": True, "times": 1})

    with pytest.raises(OutcomeUnknown):
        provider.submit(request)

    assert posts(provider)["posts"][request.prompt] == 1
    assert len(provider.find(request, **around_now())) == (1 if manner in OPEN else 0)


def test_a_wrong_key_names_its_setting(servers, manner):
    with pytest.raises(ProviderError, match="OPENAI_API_KEY"):
        SoraProvider(servers[manner], "sk-wrong").poll("video_1")


def test_a_restart_forgets_jobs_only_where_they_are_in_memory_and_posts_nowhere(manner, tmp_path):
    request = wanted("[fail]")
    with simulator(tmp_path, timing=AT_ONCE, manner=manner) as base_url:
        job = SoraProvider(base_url, KEY).submit(request)

    with simulator(tmp_path, timing=AT_ONCE, manner=manner) as base_url:
        restarted = SoraProvider(base_url, KEY)
        with pytest.raises(JobGone) if manner == "vllm-omni" else nullcontext():
            assert restarted.poll(job.id).id == job.id
        assert posts(restarted)["posts"] == {request.prompt: 1}
