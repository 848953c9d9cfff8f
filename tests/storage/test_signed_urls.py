"""Signed URLs are botocore's, byte for byte, and stay the same for a while; only a row's own keys are signed."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from urllib.parse import quote

import boto3
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from generation_history import environment, settings
from generation_history.settings import SpacesSettings
from generation_history.storage.keys import owned_key, scene_key, thumbnail_key
from generation_history.storage.object_store import SIGNED_URL_SECONDS, SIGNING_WINDOW_SECONDS, ObjectStore

GENERATION = "018f0000-0000-7000-8000-000000000000"
KEY = f"generations/{GENERATION}/soft/scene_1.mp4"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
TIMES = st.integers(0, 4_102_444_800)
ENDPOINTS = [
    "https://nyc3.digitaloceanspaces.com/",
    "https://NYC3.DigitalOceanSpaces.com",
    "https://nyc3.digitaloceanspaces.com:443",
    "http://s3.example:80",
    "http://127.0.0.1:8333",
    "http://[::1]:8333",
    "https://s3.example/base",
]


def store(**changes: object) -> ObjectStore:
    values = {
        "bucket": "soraking-videos",
        "region": "nyc3",
        "endpoint": "https://nyc3.digitaloceanspaces.com",
        "access_key": "DO00EXAMPLE",
        "secret_key": "secret/with+odd=letters",
        "path_style": False,
    }
    return ObjectStore(SpacesSettings(**{**values, **changes}))


def as_botocore_signs(url: str, *, access_key: str, secret_key: str, region: str, at: int) -> str:
    request = AWSRequest("GET", url)
    signer = auth.S3SigV4QueryAuth(Credentials(access_key, secret_key), "s3", region, expires=SIGNED_URL_SECONDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda: datetime.fromtimestamp(at, UTC).replace(tzinfo=None))
        signer.add_auth(request)
    return request.url


@given(
    key=TEXT,
    now=TIMES,
    region=st.sampled_from(["nyc3", "fra1", "us-east-1", "x"]),
    access_key=TEXT,
    secret_key=TEXT,
    endpoint=st.sampled_from(ENDPOINTS),
    path_style=st.booleans(),
)
@example(
    key="a b/ü+&=?#%2F~'()*!@:,;$",
    now=0,
    region="nyc3",
    access_key="a/b+c",
    secret_key="s",
    endpoint=ENDPOINTS[4],
    path_style=True,
)
def test_a_signed_url_is_the_one_that_botocore_makes(
    key: str, now: int, region: str, access_key: str, secret_key: str, endpoint: str, *, path_style: bool
):
    ours = store(
        endpoint=environment.url("DO_SPACES_ENDPOINT", endpoint),
        region=region,
        access_key=access_key,
        secret_key=secret_key,
        path_style=path_style or "[" in endpoint,
    )
    at = now // SIGNING_WINDOW_SECONDS * SIGNING_WINDOW_SECONDS

    assert ours.signed_url(key, now=now)[0] == as_botocore_signs(
        ours.url(key), access_key=access_key, secret_key=secret_key, region=region, at=at
    )


@given(key=TEXT, now=TIMES, disposition=TEXT, path_style=st.booleans())
@example(key=KEY, now=0, disposition="a b/ü+&=?#%2F~'()*!@:,;\"", path_style=True)
def test_a_link_that_downloads_is_the_one_that_botocores_client_makes(
    botocores_client, key: str, now: int, disposition: str, *, path_style: bool
):
    at = now // SIGNING_WINDOW_SECONDS * SIGNING_WINDOW_SECONDS
    parameters = {"Bucket": "soraking-videos", "Key": key, "ResponseContentDisposition": disposition}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda: datetime.fromtimestamp(at, UTC).replace(tzinfo=None))
        theirs = botocores_client(path_style=path_style).generate_presigned_url(
            "get_object", parameters, ExpiresIn=SIGNED_URL_SECONDS
        )

    assert store(path_style=path_style).signed_url(key, now=now, disposition=disposition)[0] == theirs


@pytest.fixture(scope="module")
def botocores_client() -> Iterator[Callable[..., object]]:
    """A client of botocore's own for the store of these tests."""

    @cache
    def make(*, path_style: bool) -> object:
        return boto3.client(
            "s3",
            endpoint_url="https://nyc3.digitaloceanspaces.com",
            region_name="nyc3",
            aws_access_key_id="DO00EXAMPLE",
            aws_secret_access_key="secret/with+odd=letters",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path" if path_style else "virtual"}),
        )

    yield make
    for path_style in (True, False):
        make(path_style=path_style).close()


@given(TIMES, st.integers(0, SIGNING_WINDOW_SECONDS - 1))
def test_a_link_is_the_same_within_a_window_and_another_in_the_next(now: int, later: int):
    start = now // SIGNING_WINDOW_SECONDS * SIGNING_WINDOW_SECONDS

    assert store().signed_url(KEY, now=start) == store().signed_url(KEY, now=start + later)
    assert store().signed_url(KEY, now=start) != store().signed_url(KEY, now=start + SIGNING_WINDOW_SECONDS)


@given(TIMES)
def test_a_link_says_when_it_ends_and_holds_for_half_its_time_at_least(now: int):
    url, ends = store().signed_url(KEY, now=now)

    signed_at = datetime.strptime(re.search(r"X-Amz-Date=(\w+)", url)[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert f"X-Amz-Expires={SIGNED_URL_SECONDS}" in url
    assert (ends - signed_at).total_seconds() == SIGNED_URL_SECONDS
    assert SIGNED_URL_SECONDS / 2 < ends.timestamp() - now <= SIGNED_URL_SECONDS
    assert ends.utcoffset().total_seconds() == 0


def test_now_is_the_time_of_signing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.time", lambda: 1_795_377_600.5)

    assert store().signed_url(KEY) == store().signed_url(KEY, now=1_795_377_600.5)


@pytest.mark.parametrize(
    "change", [{"bucket": "b"}, {"region": "fra1"}, {"access_key": "x"}, {"secret_key": "x"}, {"path_style": True}]
)
def test_a_link_is_of_its_bucket_region_and_key(change: dict[str, object]):
    assert store(**change).signed_url(KEY, now=0) != store().signed_url(KEY, now=0)


def test_a_link_does_not_show_the_secret():
    url, _ = store().signed_url(KEY)

    assert "secret" not in url
    assert quote("secret/with+odd=letters", safe="") not in url
    assert "secret/with" not in repr(store()._settings)


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize(("attempt", "name"), [(1, "scene_3.mp4"), (2, "scene_3.2.mp4"), (11, "scene_3.11.mp4")])
@pytest.mark.parametrize("kind", ["soft", "medium", "aggressive", "ultra"])
def test_the_key_of_a_plain_url_is_the_key_it_was_made_of(kind: str, attempt: int, name: str):
    key = scene_key(GENERATION, kind, 3, attempt=attempt)

    assert key == f"generations/{GENERATION}/{kind}/{name}"
    for made in (store(), store(path_style=True), store(endpoint="http://[::1]:8333", path_style=True)):
        assert owned_key(made.url(key), GENERATION) == key
        assert owned_key(made.url(thumbnail_key(key)), GENERATION) == thumbnail_key(key)
        assert owned_key(made.signed_url(key)[0], GENERATION) == key


@pytest.mark.parametrize(
    "url",
    [
        "https://spaces/generations/88d55cb6-3c7c-48f9-8b83-acfbfa5b2d35/soft/scene_1.mp4",
        f"https://spaces/generations/{GENERATION}/soft/../../88d55cb6-3c7c-48f9-8b83-acfbfa5b2d35/soft/scene_1.mp4",
        f"https://spaces/generations/{GENERATION}/loud/scene_1.mp4",
        f"https://spaces/generations/{GENERATION}/soft/scene_1.mp4/x",
        f"https://spaces/generations/{GENERATION}/soft/scene_1.mp4\n",
        f"https://spaces/generations/{GENERATION}/soft/scene_1%2F..%2F2.mp4",
        f"https://spaces/generations/{GENERATION}/soft/other.mp4",
        f"https://other.example/?/generations/{GENERATION}/soft/scene_1.mp4",
        f"https://other.example/#/generations/{GENERATION}/soft/scene_1.mp4",
        "https://other.example/video.mp4",
        "http://[",
        "https://[::1/generations",
        "",
        "\x00",
        "scene_1.mp4",
    ],
)
def test_another_url_in_a_row_is_of_no_key_of_the_generation(url: str):
    """A caller may write any URL into its own row; nothing but that row's objects is signed for it."""
    assert owned_key(url, GENERATION) is None


@given(st.text())
def test_any_text_in_a_row_is_of_no_key_and_no_error(url: str):
    assert owned_key(url, GENERATION) is None


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("endpoint", "base_url"),
    [
        (None, "https://videos.fra1.digitaloceanspaces.com"),
        ("https://nyc3.digitaloceanspaces.com/", "https://videos.nyc3.digitaloceanspaces.com"),
        ("http://127.0.0.1:8333", "http://127.0.0.1:8333/videos"),
        ("https://s3.example//", "https://s3.example/videos"),
    ],
)
def test_a_bucket_lies_where_its_endpoint_says(monkeypatch: pytest.MonkeyPatch, endpoint: str | None, base_url: str):
    for name, value in {"ACCESS_KEY": "a", "SECRET_KEY": "b", "BUCKET": "videos", "REGION": "fra1"}.items():
        monkeypatch.setenv(f"DO_SPACES_{name}", value)
    if endpoint:
        monkeypatch.setenv("DO_SPACES_ENDPOINT", endpoint)

    assert settings.spaces().base_url == base_url
