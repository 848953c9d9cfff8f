"""The environment, read for settings.py and provider_settings.py alone.

A value that cannot be meant so is refused by its setting's name.
"""

import os
import re
from functools import lru_cache
from typing import Final

from generation_history.errors import NotConfigured
from generation_history.urls import UnclearUrl, Url, parse_host, parse_url

#: Stands for a setting that is not set, because DigitalOcean's deployer refuses empty variables.
UNSET: Final = "none"
#: As text processors and files of settings put them around a value.
_QUOTES: Final = frozenset({'""', "''", "``", "\u201c\u201d", "\u2018\u2019"})


def optional(name: str) -> str | None:
    """The setting's value; None where it is not set."""
    value = os.environ.get(name, "").strip()
    return None if value in {"", UNSET} else _typed_rightly(name, value)


@lru_cache(maxsize=256)
def _typed_rightly(name: str, value: str) -> str:
    """The value, checked once for all calls."""
    if not "".join(value.split()).isprintable():
        raise NotConfigured(f"{name} has a character that cannot be seen: type it anew")
    if len(value) > 1 and value[0] + value[-1] in _QUOTES:
        raise NotConfigured(f"{name} has quotes around its value: write it without them")
    if value.startswith(f"{name}="):
        raise NotConfigured(f"{name} begins with its own name: write what follows the = alone")
    return value


def required(name: str, reason: str) -> str:
    """The setting's value; NotConfigured, with the reason, where it is not set."""
    value = optional(name)
    if value is None:
        raise NotConfigured(f"{name} is not set: {reason}")
    return value


def number(name: str, default: int, *, minimum: int, maximum: int) -> int:
    """A whole number within these bounds."""
    value = optional(name)
    if value is None:
        return default
    if not re.fullmatch("[0-9]{1,12}", value) or not minimum <= int(value) <= maximum:
        raise NotConfigured(f"{name} must be a whole number from {minimum} to {maximum}, of the digits 0 to 9 alone")
    return int(value)


def parse(name: str, value: str) -> Url:
    """A plain http or https URL."""
    try:
        url = parse_url(value)
    except UnclearUrl as error:
        message = f"{name} must be a plain http or https URL, without user, query or fragment: {error}"
        raise NotConfigured(message) from None
    if "?" in value or "#" in value:
        raise NotConfigured(f"{name} must be a plain http or https URL, without user, query or fragment")
    return url


def url(name: str, value: str) -> str:
    """A plain http or https URL, as clients write it."""
    # As clients write a host into their requests, because it is signed with them.
    return parse(name, value).base


def secure_url(name: str, value: str) -> str:
    """An https URL; http for this machine alone."""
    url = parse(name, value)
    if url.scheme != "https" and url.host not in {"localhost", "127.0.0.1", "::1"}:
        raise NotConfigured(f"{name} must be an https URL: what comes over http may be anyone's")
    return url.text


def hosts(name: str, value: str) -> frozenset[str]:
    """Names or addresses of hosts."""
    try:
        return frozenset(parse_host(host) for host in value.split())
    except UnclearUrl:
        raise NotConfigured(f"{name} must be names or addresses of hosts alone, separated by spaces") from None


def bucket(name: str, value: str) -> str:
    """The name of a bucket."""
    # Part of a host name, or of a path: the store's own complaint about another would blame either.
    if not re.fullmatch("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value) or re.search(r"\.[.-]|-\.|^[0-9.]+$", value):
        raise NotConfigured(f"{name} must have 3 to 63 lower-case letters, digits, dots or hyphens, as a host name has")
    return value


def region(name: str) -> str | None:
    """The short name of a region; None where it is not set."""
    value = optional(name)
    # Part of every signature.
    if value is not None and not re.fullmatch("[A-Za-z0-9_-]{1,64}", value):
        raise NotConfigured(f"{name} must be the short name of a region, like nyc3 or eu-central-1")
    return value


def one_word(name: str) -> str | None:
    """A text without spaces; None where it is not set."""
    value = optional(name)
    if value and len(value.split()) > 1:
        raise NotConfigured(f"{name} must be one text without spaces, just as tokens have it")
    return value
