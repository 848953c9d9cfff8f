"""Ids of rows: UUIDs that sort by time, made here because PostgreSQL makes them from 18 on only."""

import hashlib
import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """A new UUIDv7 (RFC 9562, 5.7): 48 bits of milliseconds, then random; inserts land at the end of the index."""
    return _uuid7(time.time_ns() // 1_000_000, os.urandom(10))


def derived_id(parent: UUID, name: str) -> UUID:
    """The id of the parent's part of this name, always the same: whoever makes it again means the same row."""
    return _uuid7(parent.int >> 80, hashlib.sha256(f"{parent}/{name}".encode()).digest()[:10])


def _uuid7(milliseconds: int, rest: bytes) -> UUID:
    version_and_variant = (0x7 << 76) | (0b10 << 62)
    return UUID(int=(milliseconds << 80) | (int.from_bytes(rest) & ~((0xF << 76) | (0b11 << 62))) | version_and_variant)


def short_id(value: UUID | str) -> str:
    """The short form of an id: its last eight digits, which are random.

    Its first eight are the time: ids that are made within a minute share them. The short form is made of the id alone,
    differs among an owner's rows but for one pair in four billion, and whoever looks for it finds the id that ends
    with it.
    """
    return str(value)[-8:]


def as_uuid(value: object) -> UUID | None:
    """The UUID that a string or UUID names, None if it names none."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(str(value))
    except ValueError:
        return None
