"""What an answer says, as far as two ways of asking must agree: ids, order and counts."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, cast
from urllib.parse import urlsplit

#: Nested tuples of ids and numbers.
Outline = tuple[Any, ...]


def generation(record: Mapping[str, Any]) -> Outline:
    """A generation's id, and its variants'."""
    return (record["id"], variants(record["variants"]))


def generations(records: Iterable[Mapping[str, Any]]) -> Outline:
    """Each generation of a page in order."""
    return tuple(generation(record) for record in records)


def variants(records: Iterable[Mapping[str, Any]]) -> Outline:
    """Each variant's id and its scenes', in order."""
    return tuple((record["id"], scenes(record["scenes"])) for record in records)


def scenes(records: Iterable[Mapping[str, Any]]) -> Outline:
    """Each scene's id in order."""
    return tuple(record["id"] for record in records)


def stats(record: Mapping[str, Any]) -> Outline:
    """Everything that statistics tell, by name."""
    return tuple((name, _numbers(record[name])) for name in sorted(record))


def _numbers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return stats(cast("Mapping[str, Any]", value))
    if isinstance(value, list):
        return tuple(_numbers(each) for each in cast("list[Any]", value))
    return round(float(value), 4) if isinstance(value, (float, Decimal)) else value


def place(url: str) -> Outline:
    """What a link leads to, signed or not."""
    return (urlsplit(url).path,)
