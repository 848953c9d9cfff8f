"""A URL is read once, and everybody who fetches reads it like that."""

import ipaddress
from urllib.parse import urljoin, urlsplit

import pytest
import requests
import urllib3.util
from hypothesis import given
from hypothesis import strategies as st

from generation_history import provider_settings, settings
from generation_history.errors import NotConfigured
from generation_history.urls import UnclearUrl, Url, is_below, parse_host, parse_url, resolve

HOME = parse_url("https://home.test:8443/v1")


def bare(host: str | None) -> str | None:
    """A host as each parser writes it, in one spelling of an IPv6 address."""
    plain = host and host.strip("[]").lower()
    return str(ipaddress.IPv6Address(plain)) if plain and ":" in plain else plain


# ---------------------------------------------------------------- all parsers agree

#: What parsers are known to differ about, beside what is usual.
PIECES = st.sampled_from(
    [
        *("http:", "https:", "HTTP:", "//", "/", "\\", "@", ":", "?", "#", ".", "..", "%", "%2e", "%40", "%5c", "%00"),
        *(
            "home.test",
            "evil.test",
            "EVIL.test",
            "127.0.0.1",
            "0x7f.1",
            "2130706433",
            "0177.1",
            "[::1]",
            "[::ffff:1.2.3.4]",
        ),
        *("[fe80::1%25eth0]", "[", "]", "user", "443", "80", "8443", "0", "65536", "v1", "x", " ", "\t", "\r\n", "\0"),
        *("é", "。", "ﬁ", "\u2100", "ß", "_", "-", "~", "*", "+", ";", "&", "=", "|", "'", '"', "<", "`", "{", "^"),
    ]
)
#: Mostly plain, so that most are read.
PLAIN = st.builds(
    "{}//{}{}{}".format,
    st.sampled_from(["http:", "HTTPS:"]),
    st.sampled_from(["home.test", "EVIL.test", "127.0.0.1", "[0:0::1]", "user:pass@home.test", "a-b_c"]),
    st.sampled_from(["", ":80", ":443", ":8443", "?", "#"]),
    st.text("/?#aZ09-._~%2fe:@!$&'()*+,;=|[]^{}\"<>`", max_size=12).map("/".__add__),
)
TEXTS = st.one_of(
    PLAIN,
    st.lists(PIECES, max_size=12).map("".join),
    st.builds(
        "{}//{}{}".format, st.sampled_from(["http:", "https:"]), PIECES, st.lists(PIECES, max_size=8).map("".join)
    ),
    st.text(max_size=30).map("http://".__add__),
)


def agree(url: Url) -> None:
    """Those who fetch send the request to just this host, for just this path."""
    read = urllib3.util.parse_url(url.text)
    assert (read.scheme, bare(read.host), read.port or (443 if url.scheme == "https" else 80)) == (
        url.scheme,
        url.host,
        url.port,
    )
    assert read.auth is None
    prepared = requests.Request("GET", url.text).prepare()
    assert (prepared.url, prepared.path_url) == (url.text, url.target)
    parts = urlsplit(url.text)
    assert (parts.scheme, bare(parts.hostname), parts.username) == (url.scheme, url.host, None)
    assert (parts.path, parts.query) == (url.path, url.query)
    assert parse_url(url.text) == url


@given(TEXTS)
def test_what_is_read_has_one_form_that_every_parser_reads_alike(text):
    try:
        url = parse_url(text, login=True)
    except UnclearUrl:
        return

    agree(url)
    # Nor did anybody read another host in the text itself.
    assert bare(urllib3.util.parse_url(text).host) == bare(urlsplit(text).hostname) == url.host


@given(TEXTS)
def test_a_redirect_leads_where_every_parser_says(location):
    try:
        url = resolve(location, HOME)
    except UnclearUrl:
        return

    agree(url)
    assert bare(urllib3.util.parse_url(urljoin(HOME.text, location)).host) == url.host


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("http://home.test", "http://home.test/"),
        ("HTTPS://Home.TEST:443/A", "https://home.test/A"),
        ("http://home.test:443/", "http://home.test:443/"),
        ("http://home.test?a=b", "http://home.test/?a=b"),
        ("http://home.test/a?#part", "http://home.test/a"),
        ("http://my_service:8000/v1", "http://my_service:8000/v1"),
        ("http://127.0.0.1:80/%7ea%2fb|c", "http://127.0.0.1/~a%2Fb%7Cc"),
        ("http://[0:0::1]:8000//x", "http://[::1]:8000/x"),
        ("https://b.s3.test/k.mp4?X-Sig=a%2Bb&name=%22a%22", "https://b.s3.test/k.mp4?X-Sig=a%2Bb&name=%22a%22"),
    ],
)
def test_a_plain_url_is_read_in_its_one_form(text, form):
    assert parse_url(text).text == form


@pytest.mark.parametrize(
    "text",
    [
        "http://evil.test\\@home.test/",
        "http://evil.test:80\\@home.test/",
        "http://home.test\\.evil.test/",
        "http:\\\\home.test/",
        "http://home.test/a\\b",
        "http://user@home.test/",
        "http://@home.test/",
        "http://a@b@home.test/",
        "http://home.test:80:81/",
        "http://home.test:/",
        "http://home.test:0/",
        "http://home.test:080/",
        "http://home.test:+80/",
        "http://home.test:65536/",
        "http://home.test:\uff18\uff10/",
        "http://home.test./",
        "http://.home.test/",
        "http://home..test/",
        "http://-home.test/",
        "http://home%2etest/",
        "http://home.test%00.evil.test/",
        "http://h\u00f6me.test/",
        "http://home\u3002test/",
        "http://home.test /",
        " http://home.test/",
        "http://home.test/\n",
        "http://home.test/a b",
        "http://ho\tme.test/",
        "http://home.test/\x00",
        "http://home.test/\u00e9",
        "http:///home.test/",
        "http://",
        "http:/home.test/",
        "http:home.test/",
        "//home.test/",
        "home.test",
        "",
        "ftp://home.test/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://0177.0.0.1/",
        "http://0x7f.0.0.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://127.1/",
        "http://127.0.0.01/",
        "http://127.0.0.1.1/",
        "http://256.0.0.1/",
        "http://home.0x/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[::1/",
        "http://::1/",
        "http://[::1].home.test/",
        "http://[home.test]/",
        "http://[1.2.3.4]/",
        "http://home.test/a/../b",
        "http://home.test/a/./b",
        "http://home.test/..",
        "http://home.test/a/%2e%2E/b",
        "http://home.test/a/.%2e/b",
        "http://home.test/a/..%2fb",
        "http://home.test/a/..%5cb",
        "http://home.test/a/%252e%252e/b",
        "http://home.test/a/..;x/b",
        "http://home.test/%25252541",
        "http://home.test/%0d%0aX:y",
        "http://home.test/%",
        "http://home.test/%zz",
        "http://home.test/?%4",
        "http://" + "a" * 64 + ".test/",
        "http://" + "a." * 127 + "test/",
        "http://home.test/" + "a" * 8200,
    ],
)
def test_what_parsers_could_read_differently_is_refused(text):
    with pytest.raises(UnclearUrl):
        parse_url(text)


def test_a_refusal_says_why_and_repeats_nothing():
    with pytest.raises(UnclearUrl) as refused:
        parse_url("http://user:secret@home.test/?sig=secret")

    assert "secret" not in str(refused.value)
    assert str(refused.value)


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("/files/1.mp4", "https://home.test:8443/files/1.mp4"),
        ("../files/./1.mp4?x=1", "https://home.test:8443/files/1.mp4?x=1"),
        ("../../../x", "https://home.test:8443/x"),
        ("x", "https://home.test:8443/x"),
        ("?x=1", "https://home.test:8443/v1?x=1"),
        ("//cdn.test/x", "https://cdn.test/x"),
        ("http://cdn.test/x", "http://cdn.test/x"),
        ("http://user:pass@cdn.test/x", "http://cdn.test/x"),
        ("/f\xc3\xa9", "https://home.test:8443/f%C3%A9"),
    ],
)
def test_a_redirect_is_resolved_by_the_same_reading(location, where):
    assert resolve(location, HOME).text == where


@pytest.mark.parametrize(
    "location",
    [
        *("", "///evil.test/", "/\\evil.test/", "\\\\evil.test/", "http:evil.test", "http:/evil.test", "/a b", "/a\tb"),
        *(
            "https://home.test:8443/../x",
            "/%2e%2e/x",
            "javascript:x",
            "//ev\xefl.test/",
            "//evil.test\\@home.test/",
            "//",
        ),
    ],
)
def test_a_redirect_that_could_be_read_differently_is_refused(location):
    with pytest.raises(UnclearUrl):
        resolve(location, HOME)


@pytest.mark.parametrize(
    ("text", "below"),
    [
        ("https://home.test:8443/v1/videos/1", True),
        ("HTTPS://HOME.test:8443/v1/videos/1", True),
        ("https://home.test:8443/v1", False),
        ("https://home.test:8443/v1/", False),
        ("https://home.test:8443/v1evil/x", False),
        ("https://home.test/v1/videos/1", False),
        ("https://user@home.test:8443/v1/videos/1", False),
        ("https://home.test:8443/v1/../admin", False),
        ("https://evil.test\\@home.test:8443/v1/x", False),
    ],
)
def test_a_url_is_of_a_server_only_if_it_is_plainly_below_its_base(text, below):
    assert is_below(text, HOME) is below


# ---------------------------------------------------------------- settings read no other way


@pytest.fixture
def configured(monkeypatch):
    """The settings beside the URL that is tried."""
    for name in (
        "DO_SPACES_ACCESS_KEY",
        "DO_SPACES_SECRET_KEY",
        "POLLER_WAKE_KEY",
        "HISTORY_JWT_ISSUER",
        "HISTORY_JWT_AUDIENCE",
    ):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("HISTORY_ACCESS", "jwt")
    monkeypatch.setenv("SORA_BASE_URL", "http://home.test/v1")
    return monkeypatch


READERS = {
    "SORA_BASE_URL": provider_settings.provider,
    "DO_SPACES_ENDPOINT": settings.spaces,
    "POLLER_WAKE_URL": settings.wake,
    "HISTORY_JWKS_URL": settings.access,
    "HISTORY_CORS_ORIGINS": settings.cors_origins,
}


@pytest.mark.parametrize("setting", READERS)
@pytest.mark.parametrize(
    "value",
    [
        *(
            "https://evil.test\\@home.test",
            "https://user@home.test",
            "https://0x7f.1",
            "https://home.test.",
            "https://home.test:0",
        ),
        *(
            "https://h\u00f6me.test",
            "https://home.test?",
            "https://home.test#",
            "https://home.test/..",
            "https:home.test",
        ),
    ],
)
def test_a_setting_that_could_be_read_differently_is_refused_by_its_name(configured, setting, value):
    configured.setenv(setting, value)

    with pytest.raises(NotConfigured, match=f"^{setting} must be"):
        READERS[setting]()


@pytest.mark.parametrize(
    "value", ["https://cdn.test", "cdn.test:443", "*.cdn.test", "cdn.test/x", "cdn.test,other.test", "127.1"]
)
def test_download_hosts_are_hosts_alone(configured, value):
    configured.setenv("SORA_DOWNLOAD_HOSTS", value)

    with pytest.raises(NotConfigured, match=r"^SORA_DOWNLOAD_HOSTS must be"):
        provider_settings.provider()


def test_download_hosts_are_compared_in_their_one_form(configured):
    configured.setenv("SORA_DOWNLOAD_HOSTS", "CDN.test [0:0::1] ::2 10.0.0.1")

    assert provider_settings.provider().download_hosts == {"cdn.test", "::1", "::2", "10.0.0.1"}
    assert parse_host("CDN.test") == "cdn.test"
