"""The nearest form, which JSON and Postgres can hold, of whatever a pipeline knew."""

import base64
import dataclasses
import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, ValuesView
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from operator import methodcaller
from pathlib import PurePath
from typing import Any, Final, cast
from uuid import UUID

from generation_history.record.validation import MAX_DEPTH
from generation_history.recordable import recordable

#: Far more than any pipeline knows. What is shared may be more than memory holds once it is written out.
MAX_VALUES: Final = 2_000_000
#: Of the text of an object that has no other form.
MAX_TEXT: Final = 10_000
#: Of the places that are named.
MAX_PLACES: Final = 10
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def nearest_json(value: Any) -> tuple[Any, list[str]]:
    """The value in its nearest form, and the places, like `$.scenes[2].score (NaN)`, where that is another one.

    What JSON and Postgres hold is as it was. Whatever else there is has a form too; nothing is raised.
    """
    search = _Search()
    return search.form_of(value, "$", 1), search.places


def named(places: list[str]) -> str:
    """The places as a message names them: the first of them, and how many more there are."""
    text = ", ".join(recordable(place, 200) for place in places[:MAX_PLACES])
    return text if len(places) <= MAX_PLACES else f"{text} and {len(places) - MAX_PLACES} more"


class _Search:
    def __init__(self) -> None:
        self.places: list[str] = []
        self._values_left = MAX_VALUES
        self._open: set[int] = set()

    def form_of(self, value: Any, path: str, depth: int) -> Any:
        self._values_left -= 1
        kind = cast("type[object]", type(value))
        if value is None or kind is bool:
            return value
        if kind is str:
            return self._text(value, path)
        if kind is int or kind is float:
            return self._number(value, path)
        if id(value) in self._open:
            return self._changed(path, "a cycle", f"({kind.__name__} that contains itself)")
        self._open.add(id(value))
        try:
            return self._form_of_object(value, path, depth)
        except Exception as error:  # noqa: BLE001 - whatever an object's own methods raise ends no pipeline
            return self._changed(path, f"{kind.__name__}: {type(error).__name__}", f"({kind.__name__})")
        finally:
            self._open.discard(id(value))

    def _changed(self, path: str, reason: str, form: Any) -> Any:
        self.places.append(f"{path} ({reason})")
        return form

    # ------------------------------------------------------------ texts and numbers

    def _text(self, text: str, path: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:
            # Halves that belong together are one character; others are none.
            whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            return self._changed(path, "a lone surrogate", whole.replace("\0", _REPLACEMENT))
        return self._changed(path, "NUL", text.replace("\0", _REPLACEMENT)) if "\0" in text else text

    def _number(self, number: float, path: str) -> Any:
        if isinstance(number, float) and not math.isfinite(number):
            text = "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
            return self._changed(path, text, text)
        try:
            json.dumps(number)
        except ValueError:
            return self._changed(path, "a number of too many digits", hex(cast("int", number)))
        return number

    # ------------------------------------------------------------ what contains others

    def _form_of_object(self, value: Any, path: str, depth: int) -> Any:
        if isinstance(value, Mapping):
            mapping = cast("Mapping[Any, Any]", value)
            return self._too_much(mapping, path, depth) or self._mapping(mapping, path, depth)
        if isinstance(value, (list, tuple)):
            items = cast("list[Any]", value)
            return self._too_much(items, path, depth) or self._items(items, path, depth)
        if isinstance(value, (AbstractSet, ValuesView, deque)):
            items = list(cast("Iterable[Any]", value))
            ordered = _sorted(items) if isinstance(value, AbstractSet) else items
            self._changed(path, type(cast("object", value)).__name__, None)
            return self._too_much(ordered, path, depth) or self._items(ordered, path, depth)
        return self._form_of_scalar(value, path, depth)

    def _too_much(self, value: Mapping[Any, Any] | list[Any], path: str, depth: int) -> str | None:
        if not value or (depth < MAX_DEPTH and self._values_left > 0):
            return None
        reason = f"deeper than {MAX_DEPTH}" if depth >= MAX_DEPTH else f"more than {MAX_VALUES} values"
        return self._changed(path, reason, f"({type(value).__name__} of {len(value)}, {reason})")

    def _items(self, items: list[Any], path: str, depth: int) -> list[Any]:
        return [self.form_of(item, f"{path}[{number}]", depth + 1) for number, item in enumerate(items)]

    def _mapping(self, mapping: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
        forms: dict[str, Any] = {}
        for key, item in mapping.items():
            name = self._name(key, path)
            number = 1
            while name in forms:
                number += 1
                name = self._changed(path, f"a second {name!r}", f"{self._name(key, path)} ({number})")
            forms[name] = self.form_of(item, f"{path}.{name}", depth + 1)
        return forms

    def _name(self, key: object, path: str) -> str:
        if type(key) is str:
            return self._text(key, f"{path}, a name")
        form = self._changed(f"{path}, a name", type(key).__name__, self.form_of(key, f"{path}, a name", MAX_DEPTH - 2))
        return form if isinstance(form, str) else json.dumps(form, ensure_ascii=False)

    # ------------------------------------------------------------ everything else

    def _form_of_scalar(self, value: Any, path: str, depth: int) -> Any:
        for kinds, form in _FORMS:
            if isinstance(value, kinds):
                if not _is_plain(value):
                    self._changed(path, type(value).__name__, None)
                return self.form_of(form(value), path, depth)
        for name in _METHODS:
            if callable(getattr(cast("object", type(value)), name, None)):
                return self._other(value, methodcaller(name), path, depth)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._other(value, _fields, path, depth)
        return self._other(value, _object, path, depth)

    def _other(self, value: Any, form: Callable[[Any], Any], path: str, depth: int) -> Any:
        self._changed(path, type(value).__name__, None)
        return self.form_of(form(value), path, depth)


def _is_plain(value: object) -> bool:
    """Whether JSON holds the value as its own kind, of which it is a subclass."""
    return isinstance(value, (int, float, str)) and not isinstance(value, Enum)


def _decimal(value: Decimal) -> object:
    number = float(value)
    return number if math.isfinite(number) and Decimal(repr(number)) == value else str(value)


def _bytes(value: bytes) -> str:
    content = bytes(value)
    try:
        return content.decode()
    except UnicodeDecodeError:
        return base64.b64encode(content).decode()


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _object(value: Any) -> object:
    """What the object says of itself, or else its attributes."""
    kind = cast("type[object]", type(value))
    says_nothing = kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__
    attributes = getattr(value, "__dict__", None)
    if says_nothing:
        return dict(attributes) if attributes else f"({kind.__name__})"
    return str(value)[:MAX_TEXT]


def _sorted(items: list[Any]) -> list[Any]:
    try:
        return sorted(items)
    except TypeError:
        return sorted(items, key=lambda item: (type(item).__name__, str(item)))


#: The first kind that fits counts: a datetime is a date, too.
_FORMS: Final[tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...]] = (
    (Enum, lambda value: value.value),
    (int, int),
    (float, float),
    (str, str.__str__),
    ((bytes, bytearray, memoryview), _bytes),
    ((datetime, date, time), lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
    (Decimal, _decimal),
    ((UUID, PurePath), str),
)
#: How models of pydantic, and arrays and numbers of numpy, say what they are.
_METHODS: Final = ("model_dump", "tolist", "item")
