"""What every VideoProvider promises: the fake of our tests and the real client of `/v1/videos` alike."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from generation_history import provider_settings
from generation_history.errors import JobGone, NotAllowed, Rejected
from generation_history.providers import VideoProvider, VideoRequest
from generation_history.providers.sora import SoraProvider
from tests.support.fakes import FakeProvider


def real(base_url: str) -> SoraProvider:
    return SoraProvider(base_url, provider_settings.provider_key())


@pytest.fixture(params=["fake", "sora"])
def provider(request) -> VideoProvider:
    return FakeProvider() if request.param == "fake" else real(request.getfixturevalue("sora"))


@pytest.fixture
def wanted(request) -> VideoRequest:
    """A request that no other test makes."""
    return VideoRequest(f"{request.node.name} at {time.time_ns()}", "sora-2", "64x96", 1)


def around_now() -> dict[str, datetime]:
    now = datetime.now(UTC)
    return {"since": now - timedelta(minutes=2), "until": now + timedelta(minutes=2)}


def finished(provider, job_id):
    """The job once it is over; a provider renders in its own time."""
    deadline = time.monotonic() + 30
    while (job := provider.poll(job_id)).status not in {"completed", "failed"}:
        assert time.monotonic() < deadline
    return job


def test_a_submitted_job_can_be_polled_by_its_id(provider, wanted):
    job = provider.submit(wanted)

    assert provider.poll(job.id).id == job.id
    assert provider.poll(job.id).is_of(wanted)


def test_a_finished_job_says_when_it_was_made(provider, wanted):
    before = datetime.now(UTC) - timedelta(seconds=1)

    job = finished(provider, provider.submit(wanted).id)

    assert job.status == "completed"
    assert before <= job.created_at <= datetime.now(UTC)


def test_a_moderated_prompt_is_rejected_and_leaves_no_job(provider, wanted):
    refused = VideoRequest(f"[reject] {wanted.prompt}", wanted.model, wanted.size, wanted.seconds)

    with pytest.raises(Rejected) as raised:
        provider.submit(refused)

    assert raised.value.failure_code == "moderation_blocked"
    assert provider.find(refused, **around_now()) == []


def test_a_job_is_found_by_just_what_was_asked(provider, wanted):
    job = provider.submit(wanted)
    for other in (
        VideoRequest(wanted.prompt + " ", wanted.model, wanted.size, wanted.seconds),
        VideoRequest(wanted.prompt, "sora-2-pro", wanted.size, wanted.seconds),
        VideoRequest(wanted.prompt, wanted.model, "96x64", wanted.seconds),
        VideoRequest(wanted.prompt, wanted.model, wanted.size, 2),
    ):
        provider.submit(other)

    assert [found.id for found in provider.find(wanted, **around_now())] == [job.id]


def test_a_job_made_at_another_time_is_not_found(provider, wanted):
    provider.submit(wanted)
    now = datetime.now(UTC)

    assert provider.find(wanted, since=now - timedelta(hours=2), until=now - timedelta(hours=1)) == []
    assert provider.find(wanted, since=now + timedelta(hours=1), until=now + timedelta(hours=2)) == []


def test_every_job_of_the_same_request_is_found(provider, wanted):
    jobs = {provider.submit(wanted).id for _ in range(3)}

    assert {found.id for found in provider.find(wanted, **around_now())} == jobs


def test_a_job_that_is_not_there_is_gone(provider):
    with pytest.raises(JobGone):
        provider.poll("video_of_nobody")


def test_a_finished_video_is_fetched_whole(provider, wanted, tmp_path):
    job = finished(provider, provider.submit(wanted).id)

    size = provider.fetch_video(job.id, tmp_path / "video.mp4")

    assert (tmp_path / "video.mp4").stat().st_size == size
    assert (tmp_path / "video.mp4").read_bytes()[4:8] == b"ftyp"


def test_the_real_client_reports_a_wrong_key_as_not_allowed(sora, wanted):
    stranger = SoraProvider(sora, "sk-wrong")

    for ask in (
        lambda: stranger.submit(wanted),
        lambda: stranger.poll("video_1"),
        lambda: stranger.find(wanted, **around_now()),
    ):
        with pytest.raises(NotAllowed, match="OPENAI_API_KEY"):
            ask()


def test_the_real_client_finds_a_job_beyond_the_first_page(sora, wanted, monkeypatch):
    monkeypatch.setattr("generation_history.providers.sora.LIST_PAGE", 2)
    provider = real(sora)
    job = provider.submit(wanted)
    for number in range(4):
        provider.submit(VideoRequest(f"{wanted.prompt} {number}", "sora-2", "64x96", 1))

    assert [found.id for found in provider.find(wanted, **around_now())] == [job.id]
