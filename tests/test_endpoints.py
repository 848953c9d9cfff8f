"""DO_SPACES_ENDPOINT is understood as the providers' panels show it, or refused with what to set."""

import pytest

from generation_history import settings
from generation_history.environment import UNSET
from generation_history.errors import NotConfigured
from generation_history.storage.keys import owned_key
from generation_history.storage.object_store import ObjectStore

BUCKET = "ad-videos"
GENERATION = "018f0000-0000-7000-8000-000000000000"
KEY = f"generations/{GENERATION}/soft/scene_1.mp4"

#: What is set, with the region (None: not set), and where the bucket's objects lie then, in which region.
UNDERSTOOD = [
    (None, None, "https://ad-videos.nyc3.digitaloceanspaces.com", "nyc3"),
    (None, "fra1", "https://ad-videos.fra1.digitaloceanspaces.com", "fra1"),
    (None, "FRA1", "https://ad-videos.fra1.digitaloceanspaces.com", "fra1"),
    ("https://nyc3.digitaloceanspaces.com", "nyc3", "https://ad-videos.nyc3.digitaloceanspaces.com", "nyc3"),
    ("https://nyc3.digitaloceanspaces.com", "us-east-1", "https://ad-videos.nyc3.digitaloceanspaces.com", "nyc3"),
    ("https://fra1.digitaloceanspaces.com/", None, "https://ad-videos.fra1.digitaloceanspaces.com", "fra1"),
    ("https://ad-videos.nyc3.digitaloceanspaces.com", "nyc3", "https://ad-videos.nyc3.digitaloceanspaces.com", "nyc3"),
    ("https://AD-VIDEOS.NYC3.DigitalOceanSpaces.com/", None, "https://ad-videos.nyc3.digitaloceanspaces.com", "nyc3"),
    ("https://nyc3.digitaloceanspaces.com/ad-videos/", None, "https://ad-videos.nyc3.digitaloceanspaces.com", "nyc3"),
    ("nyc3.digitaloceanspaces.com", None, "https://ad-videos.nyc3.digitaloceanspaces.com", "nyc3"),
    ("ad-videos.nyc3.digitaloceanspaces.com/", None, "https://ad-videos.nyc3.digitaloceanspaces.com", "nyc3"),
    ("https://s3.eu-central-1.amazonaws.com", None, "https://s3.eu-central-1.amazonaws.com/ad-videos", "eu-central-1"),
    (
        "https://ad-videos.s3.eu-central-1.amazonaws.com",
        "eu-central-1",
        "https://s3.eu-central-1.amazonaws.com/ad-videos",
        "eu-central-1",
    ),
    ("https://s3-eu-west-1.amazonaws.com/ad-videos", None, "https://s3-eu-west-1.amazonaws.com/ad-videos", "eu-west-1"),
    (
        "https://ad-videos.s3.dualstack.us-gov-west-1.amazonaws.com",
        None,
        "https://s3.dualstack.us-gov-west-1.amazonaws.com/ad-videos",
        "us-gov-west-1",
    ),
    ("https://s3.cn-north-1.amazonaws.com.cn", None, "https://s3.cn-north-1.amazonaws.com.cn/ad-videos", "cn-north-1"),
    ("https://s3.amazonaws.com", None, "https://s3.us-east-1.amazonaws.com/ad-videos", "us-east-1"),
    ("https://s3.amazonaws.com", "eu-west-3", "https://s3.eu-west-3.amazonaws.com/ad-videos", "eu-west-3"),
    ("https://ad-videos.s3.amazonaws.com/", "us-east-1", "https://s3.us-east-1.amazonaws.com/ad-videos", "us-east-1"),
    (
        "https://0a1b2c.r2.cloudflarestorage.com/ad-videos",
        None,
        "https://0a1b2c.r2.cloudflarestorage.com/ad-videos",
        "auto",
    ),
    ("https://0a1b2c.r2.cloudflarestorage.com", "auto", "https://0a1b2c.r2.cloudflarestorage.com/ad-videos", "auto"),
    (
        "https://ad-videos.0a1b2c.eu.r2.cloudflarestorage.com",
        None,
        "https://0a1b2c.eu.r2.cloudflarestorage.com/ad-videos",
        "auto",
    ),
    (
        "s3.eu-central-003.backblazeb2.com",
        None,
        "https://s3.eu-central-003.backblazeb2.com/ad-videos",
        "eu-central-003",
    ),
    (
        "https://ad-videos.s3.us-west-004.backblazeb2.com",
        None,
        "https://s3.us-west-004.backblazeb2.com/ad-videos",
        "us-west-004",
    ),
    ("https://s3.wasabisys.com", None, "https://s3.wasabisys.com/ad-videos", "us-east-1"),
    (
        "https://s3.eu-central-2.wasabisys.com/ad-videos",
        None,
        "https://s3.eu-central-2.wasabisys.com/ad-videos",
        "eu-central-2",
    ),
    ("https://storage.googleapis.com/ad-videos", None, "https://storage.googleapis.com/ad-videos", "auto"),
    ("https://s3.fr-par.scw.cloud", "fr-par", "https://s3.fr-par.scw.cloud/ad-videos", "fr-par"),
    ("https://ad-videos.s3.gra.io.cloud.ovh.net", "gra", "https://s3.gra.io.cloud.ovh.net/ad-videos", "gra"),
    ("http://minio:9000", None, "http://minio:9000/ad-videos", "nyc3"),
    ("http://127.0.0.1:9000/ad-videos", "us-east-1", "http://127.0.0.1:9000/ad-videos", "us-east-1"),
    ("https://store.example/base", "RegionOne", "https://store.example/base/ad-videos", "RegionOne"),
    ("https://store.example/base/ad-videos", None, "https://store.example/base/ad-videos", "nyc3"),
    ("https://ad-videos.example.com/ad-videos", None, "https://ad-videos.example.com/ad-videos", "nyc3"),
]

#: What is set, the region, and what the refusal begins with and says to set.
REFUSED = [
    (None, "eu-central-1", "DO_SPACES_REGION", "DO_SPACES_ENDPOINT"),
    (None, "https://nyc3", "DO_SPACES_REGION", "nyc3"),
    (
        "https://ad-videos.nyc3.cdn.digitaloceanspaces.com",
        None,
        "DO_SPACES_ENDPOINT",
        "https://REGION.digitaloceanspaces.com",
    ),
    ("https://digitaloceanspaces.com", "nyc3", "DO_SPACES_ENDPOINT", "https://REGION.digitaloceanspaces.com"),
    ("https://other.nyc3.digitaloceanspaces.com", None, "DO_SPACES_BUCKET", "without bucket"),
    ("https://nyc3.digitaloceanspaces.com/other", None, "DO_SPACES_BUCKET", "without bucket"),
    ("https://ad-videos.nyc3.digitaloceanspaces.com/films", None, "DO_SPACES_BUCKET", "without bucket"),
    ("https://nyc3.digitaloceanspaces.com/ad-videos/films", None, "DO_SPACES_ENDPOINT", "end with the bucket"),
    ("https://s3.eu-central-1.amazonaws.com", "nyc3", "DO_SPACES_REGION", "set eu-central-1"),
    (
        "https://ad-videos.s3-website.eu-central-1.amazonaws.com",
        None,
        "DO_SPACES_ENDPOINT",
        "https://s3.REGION.amazonaws.com",
    ),
    ("https://ad-videos.s3-accelerate.amazonaws.com", None, "DO_SPACES_ENDPOINT", "https://s3.REGION.amazonaws.com"),
    ("https://0a1b2c.r2.cloudflarestorage.com", "nyc3", "DO_SPACES_REGION", "set auto"),
    ("https://pub-0a1b2c.r2.dev", None, "DO_SPACES_ENDPOINT", "https://ACCOUNT.r2.cloudflarestorage.com"),
    ("https://f003.backblazeb2.com/file/ad-videos", None, "DO_SPACES_ENDPOINT", "https://s3.REGION.backblazeb2.com"),
    ("https://s3.eu-central-2.wasabisys.com", "us-east-1", "DO_SPACES_REGION", "set eu-central-2"),
    ("https://ad-videos.example.com", None, "DO_SPACES_ENDPOINT", "example.com"),
    ("minio:9000", None, "DO_SPACES_ENDPOINT", "http or https"),
    ("nonsense", None, "DO_SPACES_ENDPOINT", "http or https"),
]


@pytest.fixture
def set_store(monkeypatch: pytest.MonkeyPatch):
    def set_it(url: str | None, region: str | None, bucket: str = BUCKET) -> None:
        monkeypatch.setenv("DO_SPACES_ACCESS_KEY", "key")
        monkeypatch.setenv("DO_SPACES_SECRET_KEY", "secret")
        monkeypatch.setenv("DO_SPACES_BUCKET", bucket)
        monkeypatch.setenv("DO_SPACES_ENDPOINT", url or UNSET)
        monkeypatch.setenv("DO_SPACES_REGION", region or UNSET)

    return set_it


@pytest.mark.parametrize(("url", "region", "base", "signed_with"), UNDERSTOOD)
def test_an_endpoint_is_understood_as_panels_show_it(set_store, url, region, base, signed_with):
    set_store(url, region)

    store = settings.spaces()

    assert (store.base_url, store.region) == (base, signed_with)
    assert ObjectStore(store).url(KEY) == f"{base}/{KEY}"


@pytest.mark.parametrize(("url", "region", "named", "told"), REFUSED)
def test_an_endpoint_of_something_else_is_refused_with_what_to_set(set_store, url, region, named, told):
    set_store(url, region)

    with pytest.raises(NotConfigured, match=rf"^{named}\b") as refused:
        settings.spaces()

    assert told in str(refused.value)


def test_a_bucket_with_dots_is_asked_by_path_as_no_certificate_is_of_it(set_store):
    set_store(None, "nyc3", "ads.example.com")

    assert settings.spaces().base_url == "https://nyc3.digitaloceanspaces.com/ads.example.com"


@pytest.mark.parametrize(
    ("bucket", "url", "base"),
    [
        ("nyc3", "https://nyc3.digitaloceanspaces.com", "https://nyc3.nyc3.digitaloceanspaces.com"),
        ("storage", "https://storage.googleapis.com", "https://storage.googleapis.com/storage"),
        ("minio", "http://minio:9000", "http://minio:9000/minio"),
    ],
)
def test_a_host_that_begins_with_the_buckets_name_by_chance_stays_whole(set_store, bucket, url, base):
    set_store(url, None, bucket)

    assert settings.spaces().base_url == base


@pytest.mark.parametrize("name", ["a..b", "a.-b", "a-.b", "192.168.1.1"])
def test_a_name_that_is_no_host_name_is_no_buckets(set_store, name):
    set_store(None, None, name)

    with pytest.raises(NotConfigured, match=r"^DO_SPACES_BUCKET must"):
        settings.spaces()


@pytest.mark.parametrize(
    "url",
    [
        f"https://ad-videos.nyc3.digitaloceanspaces.com/{KEY}",
        f"https://ad-videos.s3.eu-central-1.amazonaws.com/{KEY}",
        f"https://ad-videos.s3.eu-central-1.amazonaws.com/ad-videos/{KEY}",
        f"https://nyc3.digitaloceanspaces.com/ad-videos/{KEY}",
    ],
)
def test_rows_of_before_still_name_their_objects(url):
    assert owned_key(url, GENERATION) == KEY
