"""Endpoint: where a bucket's objects lie, from what a provider's panel shows of it.

Panels show a bucket's own URL, with its name before the host or after it, as often as the endpoint that the API wants.
Whatever cannot be told for certain is refused, with what to set: a wrong guess puts objects where no link finds them.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from generation_history.errors import NotConfigured

_SPACES: Final = "digitaloceanspaces.com"
#: The endpoints of providers whose hosts tell a region, or have but one; what stands before them is a bucket.
_HOST_PATTERNS: Final = tuple(
    re.compile(rf"(?:(?P<bucket>.+)\.)?(?P<host>{host})")
    for host in (
        rf"(?P<region>[a-z]{{3}}\d)\.{re.escape(_SPACES)}",
        r"s3(?:-fips)?(?:\.dualstack)?[.-](?P<region>[a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com(?:\.cn)?",
        r"s3\.amazonaws\.com",
        r"(?!(?:eu|us|fedramp)\.)[^.]+(?:\.eu|\.us|\.fedramp)?\.r2\.cloudflarestorage\.com",
        r"s3\.(?P<region>[a-z]{2}-[a-z]+-\d{3})\.backblazeb2\.com",
        r"s3\.(?P<region>[a-z]{2}-[a-z]+-\d(?:-[a-z]+)?)\.wasabisys\.com",
        r"s3\.wasabisys\.com",
        r"storage\.googleapis\.com",
        r"s3\.(?P<region>[a-z]{2}-[a-z]{3})\.scw\.cloud",
        r"(?P<region>fsn1|nbg1|hel1)\.your-objectstorage\.com",
    )
)
#: The region of those whose hosts do not tell it, unless another is set; R2 knows no other.
_ONE_REGION: Final = {"s3.amazonaws.com": "us-east-1", "s3.wasabisys.com": "us-east-1"}
_R2: Final = ".r2.cloudflarestorage.com"
_R2_REGIONS: Final = {"auto", "us-east-1"}
#: Hosts that serve objects, but to browsers: each with what to set in its place.
_NO_ENDPOINTS: Final = (
    (re.compile(rf".*\.cdn\.{re.escape(_SPACES)}"), "a CDN's: set https://REGION.digitaloceanspaces.com"),
    (re.compile(rf"(?:.*\.)?{re.escape(_SPACES)}"), "of no region: set https://REGION.digitaloceanspaces.com"),
    (re.compile(r"(?!.*\.vpce\.).*\.amazonaws\.com(?:\.cn)?"), "no bucket's: set https://s3.REGION.amazonaws.com"),
    (re.compile(r".*\.r2\.dev"), "for readers alone: set https://ACCOUNT.r2.cloudflarestorage.com"),
    (re.compile(r".*\.backblazeb2\.com"), "for readers alone: set https://s3.REGION.backblazeb2.com"),
    (re.compile(r".*\.wasabisys\.com"), "no bucket's: set https://s3.REGION.wasabisys.com"),
)
_DEFAULT_REGION: Final = "nyc3"


@dataclass(frozen=True)
class Endpoint:
    """The URL that the API is asked at, the region that is signed with, and where the bucket's name stands."""

    url: str
    region: str
    path_style: bool


def spaces_endpoint(region: str | None, bucket: str) -> Endpoint:
    """DigitalOcean's own, of this region."""
    region = (region or _DEFAULT_REGION).lower()
    if not re.fullmatch(r"[a-z]{3}\d", region):
        raise NotConfigured(
            f"DO_SPACES_REGION {region} is none of DigitalOcean's: for another store set DO_SPACES_ENDPOINT as well"
        )
    return Endpoint(f"https://{region}.{_SPACES}", region, path_style="." in bucket)


def endpoint_of(url: str, region: str | None, bucket: str) -> Endpoint:
    """What a URL says of this bucket; NotConfigured where it says something else, naming the setting to change."""
    parts = urlsplit(url)
    path = _without_bucket(parts.path, bucket)
    match = next(
        (candidate for pattern in _HOST_PATTERNS if (candidate := pattern.fullmatch(parts.hostname or ""))), None
    )
    if match is None:
        host = _unknown_host(parts.netloc, bucket, ends_with_bucket=path != parts.path)
        return Endpoint(f"{parts.scheme}://{host}{path}", region or _DEFAULT_REGION, path_style=True)
    _refuse_other_bucket(match["bucket"], path, bucket)
    host, port = match["host"], f":{parts.port}" if parts.port else ""
    region = _region(host, match.groupdict().get("region"), region)
    if host == "s3.amazonaws.com":
        host = f"s3.{region}.amazonaws.com"
    # A certificate is of one name before the host, and a bucket with dots is of more. Others' URLs were always by path.
    path_style = "." in bucket or not host.endswith(f".{_SPACES}")
    return Endpoint(f"{parts.scheme}://{host}{port}", region, path_style)


def _without_bucket(path: str, bucket: str) -> str:
    """A URL's path without the bucket's name at its end."""
    parent, _, name = path.rpartition("/")
    if f"/{bucket}/" in path:
        raise NotConfigured(f"DO_SPACES_ENDPOINT must end with the bucket or before it: {path} is a folder within it")
    return parent if name == bucket else path


def _unknown_host(netloc: str, bucket: str, *, ends_with_bucket: bool) -> str:
    """A host of a server of one's own, or of a provider that is not known here."""
    for pattern, complaint in _NO_ENDPOINTS:
        if pattern.fullmatch(netloc.partition(":")[0]):
            raise NotConfigured(f"DO_SPACES_ENDPOINT is {complaint}")
    rest = netloc.removeprefix(f"{bucket}.")
    if rest == netloc or ends_with_bucket:
        return netloc
    if rest.startswith(("s3.", "s3-")):
        return rest
    raise NotConfigured(
        f"DO_SPACES_ENDPOINT must be without the bucket's name: {rest}; "
        f"or, where the server itself is called so, with it at the end as well: {netloc}/{bucket}"
    )


def _refuse_other_bucket(host_bucket: str | None, path: str, bucket: str) -> None:
    bucket_in_url = path.strip("/") or host_bucket
    if bucket_in_url not in {None, bucket}:
        raise NotConfigured(
            f"DO_SPACES_BUCKET is {bucket}, but DO_SPACES_ENDPOINT leads to {bucket_in_url}: "
            "set it without bucket and folder"
        )


def _region(host: str, host_region: str | None, configured: str | None) -> str:
    """The region that requests are signed with: the host's own, where it tells one."""
    if host.endswith(_R2):
        host_region = configured if configured in _R2_REGIONS else "auto"
    elif host in _ONE_REGION and configured in {None, _DEFAULT_REGION}:
        # DigitalOcean's, as .env.example has it.
        host_region = _ONE_REGION[host]
    region = host_region or configured or "auto"
    if host.endswith(f".{_SPACES}"):
        # It takes any region for its own; its documentation has us-east-1 set.
        return region
    if configured is not None and configured.lower() != region.lower():
        raise NotConfigured(f"DO_SPACES_REGION is {configured}, but DO_SPACES_ENDPOINT is of {region}: set {region}")
    return region
