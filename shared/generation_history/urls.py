"""A URL read once: whatever two parsers could read differently is refused, and what is left has one normal form.

urlsplit, urllib3 and http.client do not read the same host in every text. So nobody else here takes a URL apart, and
who fetches is given `Url.text`, about which they all agree (tests/test_urls.py holds them to that).
"""

import re
import string
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote, unquote, urljoin

MAX_URL_LENGTH = 8192
MAX_HOST_LENGTH = 253
MAX_PORT = 65535
#: How often an escape may be escaped again before a path is refused as a riddle.
MAX_ESCAPES = 3
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_UNRESERVED: Final = string.ascii_letters + string.digits + "-._~"
_IN_PATH: Final = _UNRESERVED + "!$&'()*+,;=:@/"
#: No dots: nothing here looks like a host.
_LOGIN = "(?P<login>[A-Za-z0-9_-]*(:[A-Za-z0-9_-]*)?@)?"
_URL = re.compile(
    r"(?P<scheme>https?)://" + _LOGIN + r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>/[^?#]*)?(\?(?P<query>[^#]*))?(#.*)?",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
#: A host whose last label is a number is an IPv4 address to some, be it octal, hexadecimal or short (RFC 6943, 3.1.1).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
#: Some servers take a backslash for a slash, or leave out what follows a semicolon, before they climb.
_DOT_SEGMENT = re.compile(r"(^|[/\\])\.{1,2}(;[^/\\]*)?([/\\]|$)")


class UnclearUrl(ValueError):
    """Text that is no plain http or https URL, or that parsers read differently; the text says why, not the URL."""


@dataclass(frozen=True)
class Url:
    """A URL's parts: the host in small letters, an IPv6 address without brackets, and the path at least a slash."""

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""

    @property
    def origin(self) -> str:
        """Scheme, host and port as browsers and signatures write them: without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}")

    @property
    def target(self) -> str:
        """What a request line names: path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def text(self) -> str:
        """The whole URL, in the one form that every parser reads alike."""
        return f"{self.origin}{self.target}"

    @property
    def base(self) -> str:
        """Origin and path without a slash at its end, for paths to be put after it."""
        return f"{self.origin}{self.path.rstrip('/')}"


def parse_url(text: str, *, login: bool = False) -> Url:
    """The URL that this text is; UnclearUrl for whatever is not plainly one.

    A user and password are refused, or with login dropped: they are never handed on.
    """
    _check_characters(text)
    parts = _URL.fullmatch(text)
    if parts is None:
        raise UnclearUrl("it is no plain http or https URL")
    if parts["login"] is not None and not login:
        raise UnclearUrl("it names who logs in")
    scheme = parts["scheme"].lower()
    port = int(parts["port"] or _DEFAULT_PORTS[scheme])
    if port > MAX_PORT:
        raise UnclearUrl("its port is none")
    path = _normal(parts["path"] or "/", _IN_PATH)
    _check_path(path)
    # requests sends one slash for several, so that the path cannot be taken for a host.
    return Url(
        scheme, parse_host(parts["host"]), port, "/" + path.lstrip("/"), _normal(parts["query"] or "", _IN_PATH + "?")
    )


def resolve(location: str, base: Url) -> Url:
    """Where a redirect's Location leads to, seen from base; UnclearUrl as for parse_url, a login is dropped."""
    # Header bytes come as Latin-1, whatever they are. In a host their escapes are refused.
    try:
        decoded = location.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        raise UnclearUrl("it has letters that no header has") from None
    escaped = "".join(char if char.isascii() else quote(char) for char in decoded)
    _check_characters(escaped)
    if _SCHEME.match(escaped):
        return parse_url(escaped, login=True)
    if escaped.startswith("//"):
        return parse_url(f"{base.scheme}:{escaped}", login=True)
    # Neither scheme nor host are left for it to read.
    return parse_url(urljoin(base.text, escaped))


def is_below(text: str, base: Url) -> bool:
    """Whether this is plainly a URL of base's server, with a path that begins with base's and goes on."""
    try:
        url = parse_url(text)
    except UnclearUrl:
        return False
    return (
        url.origin == base.origin and url.path.startswith(f"{base.path.rstrip('/')}/") and url.text != f"{base.base}/"
    )


def parse_host(text: str) -> str:
    """The name or address in its normal form, an IPv6 address without brackets; UnclearUrl for any other text."""
    host = text.lower()
    if ":" in host:
        return _ipv6(host.removeprefix("[").removesuffix("]"))
    labels = host.split(".")
    if len(host) > MAX_HOST_LENGTH or not all(map(_LABEL.fullmatch, labels)):
        raise UnclearUrl("its host is no name or address")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except AddressValueError:
            raise UnclearUrl("its host is an IPv4 address in an unusual spelling") from None
    return host


def as_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host in its normal form is; None for a name."""
    if ":" in host:
        return IPv6Address(host)
    return IPv4Address(host) if host.rpartition(".")[2].isdecimal() else None


def _ipv6(host: str) -> str:
    try:
        address = IPv6Address(host)
    except AddressValueError:
        raise UnclearUrl("its host is no IPv6 address") from None
    if address.scope_id is not None or address.ipv4_mapped is not None:
        raise UnclearUrl("its host is an IPv6 address with a zone, or an IPv4 address in disguise")
    return str(address)


def _check_characters(text: str) -> None:
    if not 0 < len(text) <= MAX_URL_LENGTH:
        raise UnclearUrl(f"it is empty, or longer than {MAX_URL_LENGTH} characters")
    if not re.fullmatch(r"[!-\[\]-~]+", text):
        raise UnclearUrl("it has a space, a backslash, or characters that are not printable ASCII")


def _normal(part: str, allowed: str) -> str:
    """The part with each escape that is needed, in capitals, and no other: as urllib3 and requests would send it."""
    if re.search("%(?![0-9A-Fa-f]{2})", part):
        raise UnclearUrl("it has a percent sign that escapes nothing")

    def escape(match: re.Match[str]) -> str:
        char = chr(int(match[0][1:], 16)) if match[0][0] == "%" else match[0]
        is_allowed = char in (_UNRESERVED if match[0][0] == "%" else allowed)
        return char if is_allowed else f"%{ord(char):02X}"

    return re.sub("%..|.", escape, part)


def _check_path(path: str) -> None:
    """No segment is a dot or two to anyone, and no control character hides in an escape."""
    for _ in range(MAX_ESCAPES):
        if _DOT_SEGMENT.search(path):
            raise UnclearUrl("its path climbs")
        if re.search("[\x00-\x1f\x7f]", path):
            raise UnclearUrl("its path has an escaped control character")
        unescaped = unquote(path)
        if unescaped == path:
            return
        path = unescaped
    raise UnclearUrl("its path is escaped again and again")
