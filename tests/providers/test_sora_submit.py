"""One POST, whatever comes of it: an answer, or the lack of one, means a job, no job, or that nobody knows."""

import datetime as dt
import ipaddress
import os
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from generation_history.errors import NotAllowed, NotConfigured, NotSent, OutcomeUnknown, Rejected
from generation_history.providers import VideoRequest, http
from generation_history.providers.sora import SoraProvider
from tests.support.scripted_server import LOOPBACK, ScriptedServer, answer, endless, hang_up, head, never, raw

KEY = "sk-secret-0123456789"
WANTED = VideoRequest("a cat", "sora-2", "720x1280", 8)
JOB = {"id": "video_1", "object": "video", "status": "queued"}


@pytest.fixture
def provider(scripted) -> SoraProvider:
    return SoraProvider(scripted.base_url, KEY)


def test_the_request_is_what_the_api_wants(provider, scripted):
    """There, seconds is a string."""
    scripted.script(answer(200, JOB))

    provider.submit(WANTED)

    asked = scripted.requests[0]
    assert (asked.method, asked.target) == ("POST", "/v1/videos")
    assert asked.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert asked.form() == {"prompt": "a cat", "model": "sora-2", "size": "720x1280", "seconds": "8"}
    assert asked.headers["authorization"] == f"Bearer {KEY}"


def test_an_accepted_job_is_known_by_its_id_and_status(provider, scripted):
    scripted.script(answer(200, JOB))

    job = provider.submit(WANTED)

    assert (job.id, job.status) == ("video_1", "queued")


def test_a_201_is_an_accepted_job_too(provider, scripted):
    scripted.script(answer(201, JOB))

    assert provider.submit(WANTED).id == "video_1"


def test_a_busy_provider_has_no_job_and_says_when_to_come_again(provider, scripted):
    scripted.script(answer(429, {"error": {"message": "Too many running tasks"}}, Retry_After=17))

    with pytest.raises(NotSent, match="Too many running tasks") as raised:
        provider.submit(WANTED)

    assert raised.value.retry_after == 17


@pytest.mark.parametrize("value", ["Wed, 21 Oct 2026 07:28:00 GMT", "-5", "soon", "²", ""])
def test_a_retry_after_that_is_no_number_of_seconds_is_ignored(provider, scripted, value):
    scripted.script(raw(b"HTTP/1.1 429 Busy\r\nRetry-After: " + value.encode() + b"\r\nContent-Length: 0\r\n\r\n"))

    with pytest.raises(NotSent) as raised:
        provider.submit(WANTED)

    assert raised.value.retry_after is None


def test_a_refused_connection_means_that_nothing_was_sent():
    with ScriptedServer() as gone:
        base_url = gone.base_url

    with pytest.raises(NotSent, match="SORA_BASE_URL"):
        SoraProvider(base_url, KEY).submit(WANTED)


def test_a_host_without_an_address_means_that_nothing_was_sent():
    with pytest.raises(NotSent, match="SORA_BASE_URL"):
        SoraProvider("http://no-such-host.invalid/v1", KEY).submit(WANTED)


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_another_4xx_is_a_refusal_for_good(provider, scripted, status):
    scripted.script(answer(status, {"error": {"message": "Invalid size", "code": "invalid_value"}}))

    with pytest.raises(Rejected, match="Invalid size") as raised:
        provider.submit(WANTED)

    assert raised.value.failure_code == "submit_rejected"


def test_a_moderated_prompt_is_refused_as_such(provider, scripted):
    scripted.script(answer(400, {"error": {"message": "Blocked", "code": "moderation_blocked"}}))

    with pytest.raises(Rejected) as raised:
        provider.submit(WANTED)

    assert raised.value.failure_code == "moderation_blocked"


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_key_or_balance_names_the_key_setting(provider, scripted, status):
    scripted.script(answer(status, {"error": {"message": "no"}}))

    with pytest.raises(NotAllowed, match="OPENAI_API_KEY"):
        provider.submit(WANTED)


UNKNOWN = {
    "500": answer(500, {"error": {"message": "oops"}}),
    "502 with a page": answer(502, b"<html>Bad gateway</html>", kind="text/html"),
    "503": answer(503),
    "504": answer(504),
    "no answer": hang_up,
    "half a status line": raw(b"HTT"),
    "no HTTP": raw(b"220 smtp.example ESMTP\r\n"),
    "half a header": raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "a truncated body": raw(head(200, {"Content-Length": 500}) + b'{"id": "video_1"'),
    "a truncated chunk": raw(head(200, {"Transfer-Encoding": "chunked"}) + b"40\r\n{"),
    "a broken chunk": raw(head(200, {"Transfer-Encoding": "chunked"}) + b"zz\r\n{}\r\n0\r\n\r\n"),
    "broken gzip": raw(head(200, {"Content-Encoding": "gzip", "Content-Length": 4}) + b"nope"),
    "garbage": answer(200, b"\xff\xfe garbage"),
    "nothing": answer(200, b""),
    "a page": answer(200, b"<html>Welcome</html>", kind="text/html"),
    "no id": answer(200, {"object": "video", "status": "queued"}),
    "an empty id": answer(200, JOB | {"id": ""}),
    "an id nobody can write down": answer(200, JOB | {"id": "video_\x00"}),
    "an error": answer(200, {"error": {"message": "oops"}}),
    "a deep nest": answer(200, b"[" * 200_000),
    "an endless body": endless(b"a" * 65536, kind="application/json"),
    "a redirect": answer(302, b"", Location="/v1/elsewhere"),
    "a redirect that keeps the method": answer(307, b"", Location="/v1/elsewhere"),
    "a redirect with a job": answer(303, JOB, Location="/v1/videos/video_1"),
    "an endless redirect": endless(b"a" * 65536, kind="text/html", status=302, Location="/elsewhere"),
    "not modified": answer(304),
}


@pytest.mark.parametrize("given", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_any_other_answer_leaves_the_outcome_unknown_after_one_post(provider, scripted, given):
    scripted.script(given)

    with pytest.raises(OutcomeUnknown):
        provider.submit(WANTED)

    assert len(scripted.requests) == 1


def test_a_provider_that_never_answers_leaves_the_outcome_unknown(provider, scripted, monkeypatch):
    monkeypatch.setattr(http, "SUBMIT_SECONDS", 0.1)
    scripted.script(never)

    with pytest.raises(OutcomeUnknown):
        provider.submit(WANTED)

    assert len(scripted.requests) == 1


def test_an_answer_that_drips_is_given_up(provider, scripted, monkeypatch):
    monkeypatch.setattr("generation_history.providers.http.ANSWER_SECONDS", 0.1)
    scripted.script(endless(b" ", kind="application/json"))

    with pytest.raises(OutcomeUnknown):
        provider.submit(WANTED)


def test_the_key_appears_in_no_error_even_if_the_provider_repeats_it(provider, scripted, caplog):
    caplog.set_level("DEBUG")
    for status in (400, 401, 429, 500):
        scripted.script(answer(status, {"error": {"message": f"Received API Key = {KEY}"}}))
        with pytest.raises((Rejected, NotAllowed, NotSent, OutcomeUnknown)) as raised:
            provider.submit(WANTED)
        assert KEY not in repr(raised.value)
    assert KEY not in caplog.text


@pytest.mark.parametrize("key", [f"{KEY}\nX-Evil: 1", f"{KEY}\r", f"{KEY}é", f"{KEY} two", ""])
def test_a_key_that_cannot_be_a_header_is_refused_without_repeating_it(key):
    with pytest.raises(NotConfigured, match="OPENAI_API_KEY") as raised:
        SoraProvider("http://provider.test/v1", key)

    assert KEY not in str(raised.value)


@pytest.fixture
def tls_server(tmp_path):
    """A server with a certificate that no authority signed; the file names it for whoever trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "provider.test")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file = tmp_path / "certificate.pem"
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "both.pem").write_bytes(plain + certificate.public_bytes(pem))
    file.write_bytes(certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with ScriptedServer(tls=context) as server:
        yield server


def test_an_untrusted_certificate_means_that_nothing_was_sent(tls_server):
    with pytest.raises(NotSent, match="SORA_BASE_URL"):
        SoraProvider(tls_server.base_url, KEY).submit(WANTED)

    assert tls_server.requests == []


def break_tls(connection: ssl.SSLSocket) -> None:
    """Bytes that are no TLS, under the connection's encryption."""
    os.write(connection.fileno(), b"HTTP/1.1 502 Bad Gateway\r\n\r\n")


@pytest.mark.parametrize("given", [hang_up, break_tls])
def test_a_tls_connection_that_breaks_after_the_post_leaves_the_outcome_unknown(
    tls_server, tmp_path, monkeypatch, given
):
    """It ends in an SSL error as a failed handshake does, but the request was read."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    tls_server.script(given)

    with pytest.raises(OutcomeUnknown):
        SoraProvider(tls_server.base_url, KEY).submit(WANTED)

    assert len(tls_server.requests) == 1
