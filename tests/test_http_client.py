"""Calls of functions that carry no requests: to what was checked, by its name, in bounds of time and size."""

import datetime as dt
import http.client
import socket
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from generation_history import http_client
from generation_history.http_client import AddressRefused, bounded, call, seconds_left
from generation_history.providers.sora import SoraProvider
from generation_history.urls import UnclearUrl
from tests.support.scripted_server import LOOPBACK, ScriptedServer, answer, head, never, raw

GOOD = answer(200, b"{}")


def get(url: str, *, seconds: float = 5, most_bytes: int = 1000) -> bytes:
    return call(url, seconds=seconds, most_bytes=most_bytes)


@pytest.fixture
def resolved(monkeypatch):
    """What every name resolves to here, one address after the other."""
    addresses = [LOOPBACK]
    real = socket.getaddrinfo

    def look_up(_host, port, *more, **how):
        return real(addresses.pop(0) if len(addresses) > 1 else addresses[0], port, *more, **how)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return addresses


@pytest.fixture
def tls_server(tmp_path, monkeypatch):
    """A server called home.test, by a certificate that is trusted here; it remembers by which name it was called."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "home.test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("home.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "both.pem").write_bytes(key.private_bytes(*plain) + pem)
    (tmp_path / "certificate.pem").write_bytes(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    called: list[str | None] = []
    context.sni_callback = lambda _socket, shown, _context: called.append(shown)
    with ScriptedServer(tls=context) as server:
        yield server, called


def test_what_was_checked_is_connected_to_and_called_by_its_name(tls_server, resolved):
    """TLS and the Host header name the host, though it is looked up only once, by us."""
    server, called = tls_server
    resolved.append("169.254.169.254")
    server.script(GOOD)

    assert get(f"https://home.test:{server.port}/x?y=1") == b"{}"

    assert called == ["home.test"]
    assert (server.requests[0].target, server.requests[0].headers["host"]) == ("/x?y=1", f"home.test:{server.port}")


def test_a_provider_is_called_by_its_name_as_well(tls_server, resolved):
    server, called = tls_server
    resolved.append("169.254.169.254")
    server.script(answer(200, {"id": "a", "status": "queued"}))

    assert SoraProvider(f"https://home.test:{server.port}/v1", "key").poll("a").id == "a"

    assert called == ["home.test"]
    assert server.requests[0].headers["host"] == f"home.test:{server.port}"


def test_another_names_certificate_is_refused(tls_server, resolved):
    server, _ = tls_server

    with pytest.raises(ssl.SSLCertVerificationError):
        get(f"https://other.test:{server.port}/")

    assert server.requests == []


def test_a_name_that_leads_to_metadata_is_not_connected_to(resolved):
    resolved[:] = ["169.254.169.254"]

    with pytest.raises(AddressRefused):
        get("http://home.test/")


def test_a_url_that_could_be_read_differently_is_not_called(scripted):
    with pytest.raises(UnclearUrl):
        get(f"http://evil.test\\@{LOOPBACK}:{scripted.port}/")

    assert scripted.requests == []


def test_no_proxy_of_the_environment_is_used(scripted, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://{LOOPBACK}:1")
    monkeypatch.delenv("no_proxy", raising=False)
    scripted.script(GOOD)

    assert get(scripted.base_url) == b"{}"


@pytest.mark.parametrize("status", [199, 204, 301, 304, 404, 500])
def test_only_a_success_is_an_answer(scripted, status):
    scripted.script(raw(b"HTTP/1.1 %d X\r\nConnection: close\r\nLocation: /x\r\n\r\n" % status))

    if status == 204:
        assert get(scripted.base_url) == b""
    else:
        with pytest.raises((http.client.HTTPException, OSError)):
            get(scripted.base_url)
    assert len(scripted.requests) == 1


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (answer(200, b"x" * 1001), ValueError),
        (raw(head(200, {}) + b"x" * 100_000), ValueError),
        (raw(head(200, {"Content-Length": 500}) + b"x"), http.client.IncompleteRead),
        (raw(b"HTTP/1.1 200 OK\r\n" + (b"X: " + b"y" * 60_000 + b"\r\n") * 4 + b"\r\n"), http_client.HeadTooLong),
        (raw(b"HTTP/1.1 103 X\r\n\r\n" * 20), http_client.HeadTooLong),
        (raw(b"HTTP/1.1 100 X\r\n\r\n" * 20_000), http_client.HeadTooLong),
    ],
    ids=["long", "long without a length", "cut", "large headers", "early hints", "continue"],
)
def test_what_is_too_large_or_not_whole_is_an_error(scripted, given, error):
    scripted.script(given)

    with pytest.raises(error):
        get(scripted.base_url)


def by_drops(start: bytes, drop: bytes):
    def send(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(drop)
            time.sleep(0.02)

    return send


@pytest.mark.parametrize(
    "given",
    [
        never,
        by_drops(b"HTTP/1.1 200 ", b"x"),
        by_drops(b"", b"HTTP/1.1 100 X\r\n\r\n"),
        by_drops(head(200, {}), b"x"),
        by_drops(head(200, {"Transfer-Encoding": "chunked"}) + b"0\r\n", b"X: y\r\n"),
    ],
    ids=["silence", "a head", "continue", "a body", "trailers"],
)
def test_a_call_ends_when_its_time_is_up(scripted, given):
    scripted.script(given)
    began = time.monotonic()

    with pytest.raises(TimeoutError):
        get(scripted.base_url, seconds=0.3)

    assert time.monotonic() - began < 3


def test_bounds_within_bounds_end_at_the_earlier_end():
    with bounded(5, trusted_hosts={"a"}), bounded(60, trusted_hosts={"b"}):
        assert seconds_left() < 6
    with bounded(60), bounded(5):
        assert seconds_left() < 6
    with pytest.raises(LookupError):
        seconds_left()
