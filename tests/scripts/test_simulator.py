"""The simulator keeps the promises of `/v1/videos` towards OpenAI's own client."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import imageio_ffmpeg
import openai
import pytest
import requests
from openai import OpenAI

from scripts.local.simulator.jobs import Timing
from scripts.local.simulator.server import simulator
from tests.support.waiting import eventually

KEY = "sk-simulated"
SMALL = {"seconds": "1", "size": "64x96"}
MAGIC = {"video": b"ftyp", "thumbnail": b"WEBP", "spritesheet": b"\xff\xd8\xff"}
VARIANTS = ["soft", "medium", "aggressive", "ultra"]

# The client warns that OpenAI's own service is gone; the dialect is not.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 1_800_000_000.25

    def __call__(self):
        return self.now

    def move(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def base_url(tmp_path, clock):
    timing = Timing(queue_seconds=0.5, render_seconds=2.0, expires_seconds=3600)
    with simulator(tmp_path / "data", api_key=KEY, timing=timing, clock=clock) as url:
        yield url


@pytest.fixture
def client(base_url):
    with OpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def finish(client, clock):
    """A job of this prompt, at the moment it is over."""

    def finish(prompt="a cat", **wanted):
        job = client.videos.create(prompt=prompt, **(SMALL | wanted))
        clock.move(3)
        return eventually(lambda: over(client.videos.retrieve(job.id)))

    return finish


def over(job):
    return job if job.status in {"completed", "failed"} else None


def ffmpeg(*arguments):
    return subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", *arguments],
        capture_output=True,
        check=False,
        timeout=20,
    )


def post(base_url, **body):
    return requests.post(f"{base_url}/videos", headers={"Authorization": f"Bearer {KEY}"}, timeout=10, **body)


def posts(base_url):
    return requests.get(base_url.removesuffix("/v1") + "/simulator/posts", timeout=10).json()


def test_a_new_job_is_queued_and_has_the_documented_defaults(client, clock):
    job = client.videos.create(prompt="a cat")

    assert job.to_dict() == {
        "id": job.id,
        "object": "video",
        "model": "sora-2",
        "status": "queued",
        "progress": 0,
        "created_at": int(clock.now),
        "completed_at": None,
        "expires_at": None,
        "prompt": "a cat",
        "size": "720x1280",
        "seconds": "4",
        "remixed_from_video_id": None,
        "error": None,
    }
    assert re.fullmatch("video_[0-9a-f]+", job.id)


def test_json_and_multipart_make_the_same_job(client, base_url):
    wanted = {"prompt": "ein Kätzchen 🐈", "model": "sora-2-pro", **SMALL}
    multipart = client.videos.create(**wanted).to_dict()
    json = post(base_url, json=wanted).json()

    assert multipart.pop("id") != json.pop("id")
    assert multipart == json


def test_an_input_reference_is_accepted_as_a_file_and_as_a_value(client, base_url):
    file, value = b"\x89PNG" + bytes(2_000_000), {"image_url": "data:image/png;base64," + "A" * 2_000_000}

    assert client.videos.create(prompt="a cat", input_reference=file, **SMALL).status == "queued"
    assert post(base_url, json={"prompt": "a cat", "input_reference": value, **SMALL}).ok
    assert post(base_url, data={"prompt": "a cat", "input_reference[image_url]": value["image_url"], **SMALL}).ok


def test_a_job_is_queued_then_in_progress_then_completed(client, clock):
    job = client.videos.create(prompt="a cat [delay=8]", **SMALL)
    seen = [client.videos.retrieve(job.id)]
    for _ in range(9):
        clock.move(1)
        seen.append(client.videos.retrieve(job.id))
    clock.move(2)
    done = eventually(lambda: over(client.videos.retrieve(job.id)))

    assert [job.status for job in seen] == ["queued"] + ["in_progress"] * 9
    assert all(before.progress < after.progress <= 99 for before, after in pairwise(seen))
    assert (done.status, done.progress) == ("completed", 100)
    assert job.created_at + 10 <= done.completed_at <= clock.now
    assert done.expires_at == done.completed_at + 3600


def test_a_job_is_not_completed_before_its_video_exists(client, clock):
    job = client.videos.create(prompt="a cat", seconds="4", size="1280x1280")
    clock.move(1000)
    started = client.videos.retrieve(job.id)
    done = eventually(lambda: over(client.videos.retrieve(job.id)))

    assert (started.status, started.progress) == ("in_progress", 99)
    assert len(client.videos.download_content(done.id).content) > 100_000


@pytest.mark.parametrize(("size", "seconds"), [("320x576", "1"), ("130x90", "3"), ("16x1920", "2")])
def test_size_and_seconds_are_honoured_exactly(finish, client, tmp_path, size, seconds):
    job = finish(size=size, seconds=seconds)
    video = tmp_path / "video.mp4"
    client.videos.download_content(job.id).write_to_file(video)
    said = ffmpeg("-i", video).stderr.decode()

    assert f"Duration: 00:00:0{seconds}.00" in said
    assert re.search(rf"Video: h264 .*yuv420p.*, {size} .*24 fps", said)
    assert "Audio: aac" in said


def test_a_video_can_be_played_before_it_is_all_there(finish, client):
    content = client.videos.download_content(finish().id).content

    assert content[4:8] == b"ftyp"
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(
    ("variant", "media_type"), [("video", "video/mp4"), ("thumbnail", "image/webp"), ("spritesheet", "image/jpeg")]
)
def test_each_variant_of_the_content_is_what_it_says(finish, client, tmp_path, variant, media_type):
    answer = client.videos.download_content(finish().id, variant=variant)
    path = tmp_path / "content"
    answer.write_to_file(path)

    assert answer.response.headers["content-type"] == media_type
    assert int(answer.response.headers["content-length"]) == path.stat().st_size
    assert MAGIC[variant] in path.read_bytes()[:12]
    assert ffmpeg("-v", "error", "-i", path, "-f", "null", "-").returncode == 0


def test_two_prompts_never_give_the_same_bytes(finish, client):
    contents = [client.videos.download_content(finish(f"cat {number}").id).content for number in range(8)]

    assert len(set(contents)) == 8


def test_the_colour_tells_the_variant(finish, client, tmp_path):
    """The average colour of the first variant named decides, whatever else the prompt says."""
    hues = {}
    for variant in VARIANTS:
        path = tmp_path / f"{variant}.mp4"
        client.videos.download_content(finish(f"A cat, {variant.upper()}. Not soft, not ultra.").id).write_to_file(path)
        pixel = ffmpeg("-v", "error", "-i", path, "-vf", "scale=1:1:flags=area,format=rgb24", "-f", "rawvideo", "-")
        hues[variant] = tuple(pixel.stdout[:3])

    (red, green, blue) = zip(*hues.values(), strict=True)
    assert blue[0] > green[0] > red[0]
    assert green[1] > red[1]
    assert green[1] > blue[1]
    assert red[2] > green[2] > blue[2]
    assert blue[3] > green[3]
    assert red[3] > green[3]


def test_a_job_whose_rendering_breaks_ends_failed(client, clock, tmp_path):
    (tmp_path / "data" / "videos").rmdir()
    job = client.videos.create(prompt="a cat", **SMALL)
    clock.move(3)

    assert eventually(lambda: over(client.videos.retrieve(job.id))).error.code == "provider_error"


def test_a_list_is_in_order_of_creation_even_within_one_second(client):
    ids = [client.videos.create(prompt=f"cat {number}", **SMALL).id for number in range(5)]

    assert [job.id for job in client.videos.list()] == ids[::-1]
    assert [job.id for job in client.videos.list(order="desc", limit=2)] == ids[::-1]
    assert [job.id for job in client.videos.list(order="asc", limit=2)] == ids


def test_a_page_says_where_it_ends_and_whether_more_follow(client):
    ids = [client.videos.create(prompt=f"cat {number}", **SMALL).id for number in range(3)]
    first = client.videos.list(order="asc", limit=2)
    last = client.videos.list(order="asc", limit=2, after=first.last_id)

    assert (first.to_dict()["first_id"], first.last_id, first.has_more) == (ids[0], ids[1], True)
    assert ([job.id for job in last.data], last.last_id, last.has_more) == (ids[2:], ids[2], False)


def test_a_page_of_none_is_empty(client):
    client.videos.create(prompt="a cat", **SMALL)

    assert client.videos.list(limit=0).data == []


def test_a_page_has_twenty_jobs_unless_it_is_told_otherwise(client):
    for number in range(21):
        client.videos.create(prompt=f"cat {number} [fail]", **SMALL)

    assert len(client.videos.list().data) == 20
    assert len(client.videos.list(limit=100).data) == 21


def test_paging_goes_on_after_a_job_that_was_deleted(client):
    ids = [client.videos.create(prompt=f"cat {number}", **SMALL).id for number in range(3)]
    client.videos.delete(ids[1])

    assert [job.id for job in client.videos.list(order="asc", after=ids[1])] == [ids[2]]


@pytest.mark.parametrize("query", [{"limit": 101}, {"limit": -1}, {"limit": "many"}, {"order": "up"}])
def test_a_wrong_page_is_refused_by_the_name_of_its_parameter(client, query):
    with pytest.raises(openai.BadRequestError) as refused:
        client.videos.list(extra_query=query)

    assert refused.value.param in query


def test_a_deleted_job_and_its_content_are_gone(finish, client, tmp_path):
    job = finish()
    client.videos.download_content(job.id, variant="thumbnail")
    deleted = client.videos.delete(job.id)

    assert deleted.to_dict() == {"id": job.id, "object": "video.deleted", "deleted": True}
    assert list(client.videos.list()) == []
    assert list((tmp_path / "data" / "videos").iterdir()) == []
    for gone in client.videos.retrieve, client.videos.download_content, client.videos.delete:
        with pytest.raises(openai.NotFoundError):
            gone(job.id)


def test_a_job_deleted_while_it_renders_leaves_no_file(client, tmp_path):
    videos = tmp_path / "data" / "videos"
    job = client.videos.create(prompt="a cat", seconds="4", size="720x1280")
    client.videos.delete(job.id)

    eventually(lambda: not list(videos.iterdir()))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x" * 32_001}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "\ud800"}, "prompt"),
        ({"prompt": "a cat", "model": 2}, "model"),
        ({"prompt": "a cat", "seconds": 4}, "seconds"),
        ({"prompt": "a cat", "seconds": "0"}, "seconds"),
        ({"prompt": "a cat", "seconds": "21"}, "seconds"),
        ({"prompt": "a cat", "seconds": "4.5"}, "seconds"),
        ({"prompt": "a cat", "size": "720"}, "size"),
        ({"prompt": "a cat", "size": "721x1280"}, "size"),
        ({"prompt": "a cat", "size": "14x1280"}, "size"),
        ({"prompt": "a cat", "size": "1922x1280"}, "size"),
    ],
)
def test_a_wrong_field_is_refused_by_name_and_makes_no_job(base_url, client, body, param):
    answer = post(base_url, json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert list(client.videos.list()) == []
    assert (posts(base_url)["total"], sum(posts(base_url)["rejected"].values())) == (0, 1)


@pytest.mark.parametrize("body", ["{", "[]", "null", '"a cat"'])
def test_a_body_that_is_no_object_is_refused(base_url, body):
    answer = requests.post(
        f"{base_url}/videos",
        data=body,
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        timeout=10,
    )

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_the_longest_prompt_is_accepted_and_returned_whole(client):
    prompt = "ü" * 32_000

    assert client.videos.create(prompt=prompt, **SMALL).prompt == prompt


@pytest.mark.parametrize(
    "path", ["/v1/videos", "//v1/videos", "/v1//videos", "/v1/videos/video_0/content", "/v1/nothing"]
)
def test_no_spelling_of_a_path_gets_around_the_key(base_url, path):
    answer = requests.get(base_url.removesuffix("/v1") + path, timeout=10)

    assert answer.status_code == 401
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("key", ["sk-wrong", "", "ключ"])
def test_without_the_key_nothing_is_answered_or_kept(base_url, client, key):
    answer = requests.post(
        f"{base_url}/videos", json={"prompt": "a cat"}, headers={"Authorization": f"Bearer {key}".encode()}, timeout=10
    )

    assert answer.status_code == 401
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert posts(base_url) == {"posts": {}, "total": 0, "rejected": {}}
    assert list(client.videos.list()) == []


def test_a_wrong_key_is_an_authentication_error_to_the_client(base_url):
    stranger = OpenAI(base_url=base_url, api_key="sk-wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError) as refused:
        stranger.videos.create(prompt="a cat")

    assert refused.value.code == "invalid_api_key"


def test_an_unknown_job_is_not_found(client):
    for ask in client.videos.retrieve, client.videos.download_content, client.videos.delete:
        with pytest.raises(openai.NotFoundError, match="video_0"):
            ask("video_0")
    with pytest.raises(openai.NotFoundError, match="video_0"):
        client.videos.list(after="video_0")


def test_an_unknown_variant_of_the_content_is_refused(finish, client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.videos.download_content(finish().id, extra_query={"variant": "audio"})

    assert refused.value.param == "variant"


def test_content_is_not_found_until_the_job_is_completed(client, clock):
    job = client.videos.create(prompt="a cat", **SMALL)
    for _ in "queued", "in_progress":
        with pytest.raises(openai.NotFoundError, match="not ready yet"):
            client.videos.download_content(job.id)
        clock.move(1)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/nothing", 404), ("PUT", "/v1/videos", 405), ("GET", "/", 404)]
)
def test_what_is_not_in_the_api_is_refused_in_the_same_envelope(base_url, method, path, status):
    answer = requests.request(
        method, base_url.removesuffix("/v1") + path, headers={"Authorization": f"Bearer {KEY}"}, timeout=10
    )

    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_fault_of_the_simulator_is_a_500_in_the_same_envelope(finish, client, tmp_path):
    job = finish()
    (tmp_path / "data" / "videos" / f"{job.id}.mp4").unlink()

    with pytest.raises(openai.InternalServerError) as fault:
        client.videos.download_content(job.id)

    assert fault.value.type == "server_error"


@pytest.mark.parametrize(("directive", "code"), [("[fail]", "provider_error"), ("[Moderate]", "moderation_blocked")])
def test_a_job_told_to_fail_fails_with_its_code_in_its_time(client, clock, directive, code):
    job = client.videos.create(prompt=f"a cat {directive} [delay=10]", **SMALL)
    clock.move(11)
    before = client.videos.retrieve(job.id)
    clock.move(2)
    after = client.videos.retrieve(job.id)

    assert (before.status, before.error) == ("in_progress", None)
    assert (after.status, after.error.code, after.completed_at) == ("failed", code, None)
    with pytest.raises(openai.NotFoundError):
        client.videos.download_content(job.id)


def test_a_prompt_told_to_be_rejected_is_refused_and_counted_apart(client, base_url):
    with pytest.raises(openai.BadRequestError) as refused:
        client.videos.create(prompt="a cat [reject]", **SMALL)

    assert refused.value.code == "moderation_blocked"
    assert posts(base_url) == {"posts": {}, "total": 0, "rejected": {"a cat [reject]": 1}}


def test_content_is_gone_once_it_expired_while_the_job_stays_completed(finish, client, clock):
    job = finish()
    clock.move(3600)

    with pytest.raises(openai.NotFoundError, match=r"no longer available\. Downloads expire after 1 hours\."):
        client.videos.download_content(job.id)
    assert client.videos.retrieve(job.id).status == "completed"
    assert [job.status for job in client.videos.list()] == ["completed"]


def test_a_job_told_to_expire_expires_that_soon(finish, client, clock):
    job = finish("a cat [expire=60]")
    client.videos.download_content(job.id)
    clock.move(60)

    assert job.expires_at == job.completed_at + 60
    with pytest.raises(openai.NotFoundError, match="expire after 60 seconds"):
        client.videos.download_content(job.id)


def test_brackets_that_are_no_directive_are_ordinary_words(finish):
    job = finish("a cat [wide shot] [delay] [expire=soon] [failing]")

    assert (job.status, job.expires_at) == ("completed", job.completed_at + 3600)


def test_every_accepted_post_is_counted_once_by_its_prompt(client, base_url):
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda _: client.videos.create(prompt="a cat [fail]", **SMALL), range(12)))
    client.videos.create(prompt="a dog [fail]", **SMALL)
    client.videos.delete(jobs[0].id)

    assert len({job.id for job in jobs}) == 12
    assert posts(base_url) == {"posts": {"a cat [fail]": 12, "a dog [fail]": 1}, "total": 13, "rejected": {}}
