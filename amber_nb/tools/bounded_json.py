"""Any Python value as compact JSON of a limited length, which is valid however much of the value is left out."""

from __future__ import annotations

import json
import math
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set, ValuesView
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import islice
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import BaseModel, RootModel

from ..types import replace_surrogates

__all__ = ["BoundedJson", "Truncated", "is_from_library", "safe_repr", "scalar_text", "unwrap"]

_MAX_DEPTH = 40
_MIN_TEXT = 40  # characters: a shorter piece of a text says nothing
_MAX_SORTED = 10_000  # items of a set
_MAX_REPR = 1_000  # characters
_MAX_READ = 20_000  # items, of which fewer will be written
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_TEXT_MODULES = ("pydantic", "pydantic_core", "ipaddress", "fractions", "zoneinfo")


class Truncated(list[Any]):
    """The first items of something that goes on."""


class _NoRoomError(Exception):
    """There is no room for the next piece."""


class BoundedJson:
    """A writer of one value as JSON.

    Args:
        max_characters: of the JSON.
        replace: returns what to write for a value such as an image; None for a value to be written as it is.

    Attributes:
        notes: what was left out or changed.
    """

    def __init__(self, max_characters: int, replace: Callable[[Any], Any | None] = lambda value: None) -> None:
        self.notes: list[str] = []
        self._max_characters = max_characters
        self._replace = replace
        self._pieces: list[str] = []
        self._length = 0
        self._is_full = False
        self._ancestors: list[int] = []  # ids of what is being written: a value within itself is found here

    def dumps(self, value: Any) -> str:
        """Return the value as JSON."""
        try:
            self._write(value)
        except _NoRoomError:
            self._note("it was too long to be sent")
            self._pieces = ["null"]
        return "".join(self._pieces)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _put(self, piece: str) -> None:
        # What is open must still be closed.
        if self._length + len(piece) + len(self._ancestors) > self._max_characters:
            raise _NoRoomError
        self._pieces.append(piece)
        self._length += len(piece)

    def _write(self, value: Any) -> None:
        if (replacement := self._replace(value)) is not None:
            value = replacement
        text = content = None
        try:
            value = unwrap(value)
            text = scalar_text(value)
            if text is None and not (value is None or isinstance(value, (bool, int, float))):
                content = _read_content(value)
        except Exception as error:  # a value that cannot be read spoils no others
            self._note(f"{type(value).__name__} could not be read ({type(error).__name__}), and stands as its repr")
            text = safe_repr(value)
        if text is not None:
            self._write_text(text)
        elif value is None or isinstance(value, bool):
            self._put(json.dumps(value))
        elif isinstance(value, (int, float)):
            self._write_number(value)
        elif (is_deep := len(self._ancestors) >= _MAX_DEPTH) or id(value) in self._ancestors:
            problem = f"nested deeper than {_MAX_DEPTH} levels" if is_deep else "it contains itself"
            self._note(f"{problem}, where … stands")
            self._put('"…"')
        elif content is None:
            self._note(f"{type(value).__name__} has no form in JSON, and stands as its repr")
            self._write_text(safe_repr(value))
        else:
            self._ancestors.append(id(value))
            try:
                if isinstance(content, Mapping):
                    self._write_items("{}", _iter_named(content), len(content), "entries")
                else:
                    items, size = content
                    self._write_items("[]", ((None, item) for item in items), size, "items")
            finally:
                self._ancestors.pop()
            if isinstance(value, Truncated):
                self._note(f"at most {len(value):,} items were read")

    def _write_items(self, brackets: str, items: Iterable[tuple[str | None, Any]], size: int | None, what: str) -> None:
        self._put(brackets[0])
        for count, (name, value) in enumerate(items):
            n_pieces, length = len(self._pieces), self._length
            try:
                if self._is_full:
                    raise _NoRoomError
                if count:
                    self._put(",")
                if name is not None:
                    self._write_text(name)
                    self._put(":")
                self._write(value)
            except _NoRoomError:
                del self._pieces[n_pieces:]
                self._length = length
                if not count and not self._is_full:
                    raise  # whoever holds this leaves it out whole
                self._note(f"the first {count:,} of {f'{size:,}' if size is not None else 'more'} {what}")
                break
        self._pieces.append(brackets[1])
        self._length += 1

    def _write_text(self, text: str) -> None:
        room = self._max_characters - self._length - len(self._ancestors) - 2
        written = json.dumps(replace_surrogates(text[: max(room, 0) + 1]), ensure_ascii=False)
        if len(text) <= room and len(written) <= room + 2:
            self._put(written)
            return
        if room < _MIN_TEXT:
            raise _NoRoomError
        # Quotes and line breaks take two characters, control characters six.
        text = text[: room + 1]
        while len(written) > room + 2:
            text = text[: min(len(text) * room // len(written), len(text) - 1)]
            written = json.dumps(replace_surrogates(text) + "…", ensure_ascii=False)
        self._is_full = True
        self._note("a long text was cut, where it ends in …")
        self._put(written)

    def _write_number(self, value: int | float) -> None:
        if isinstance(value, float):
            if not math.isfinite(value):
                self._note("NaN and infinite numbers as null")
            self._put(float.__repr__(value) if math.isfinite(value) else "null")
            return
        try:
            self._put(int.__repr__(value))
        except ValueError:  # Python does not write out more than 4,300 digits
            self._write_text(f"a whole number of {int.bit_length(value):,} bits")


def unwrap(value: Any) -> Any:
    """Return the value within a member of an enum, a RootModel or a numpy scalar; None for a missing value."""
    while isinstance(value, (Enum, RootModel)):
        value = value.value if isinstance(value, Enum) else value.root
    if type(value).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return None
    if is_from_library(value, "numpy") and getattr(value, "ndim", 1) == 0 and hasattr(value, "dtype"):
        kind = value.dtype.kind
        if kind in "mM":
            return value if bool(value == value) else None  # NaT alone is not itself
        return value if kind == "V" else value.item()
    return value


def scalar_text(value: Any) -> str | None:
    """Return the text of a value without structure, such as a date; None if it has another form in JSON."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        size = value.nbytes if isinstance(value, memoryview) else len(value)
        return f"({size:,} {'byte' if size == 1 else 'bytes'} of binary data)"
    if isinstance(value, (date, time)):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, (timedelta, Decimal, UUID, PurePath, complex, range)):
        return str(value)
    if is_from_library(value, "numpy") and getattr(value, "ndim", 1) == 0:
        return str(value)  # a date, a duration, a dtype; `unwrap` turns all others into Python's
    if is_from_library(value, "pandas") and (
        type(value).__name__ in ("Period", "Interval") or hasattr(value, "na_value")
    ):
        return str(value)  # the latter: a dtype
    if type(value).__module__.partition(".")[0] in _TEXT_MODULES and not isinstance(value, BaseModel):
        return str(value)  # addresses, URLs, secrets that mask themselves
    return None


def is_from_library(value: Any, name: str) -> bool:
    """Return whether a value's class, or a base of it, belongs to a library; the library is not loaded for that."""
    return name in sys.modules and any(cls.__module__.partition(".")[0] == name for cls in type(value).__mro__)


def safe_repr(value: Any) -> str:
    """Return a value's repr of at most 1,000 characters, or a description if it has none."""
    try:
        text = repr(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose repr failed with {type(error).__name__}>"
    text = _ADDRESS.sub("", str.__str__(text))  # it differs each time: no recording would fit again
    return replace_surrogates(text if len(text) <= _MAX_REPR else text[: _MAX_REPR - 1] + "…")


def _read_content(value: Any) -> Mapping[Any, Any] | tuple[Iterable[Any], int | None] | None:
    """Return an object's fields, or a list's items and their number (None: unknown); None for anything else."""
    if isinstance(value, BaseModel):
        return dict(value.model_dump())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple) and (names := getattr(type(value), "_fields", None)):
        return dict(zip(names, value, strict=False))
    if type(value).__module__ == "sqlite3" and hasattr(value, "keys"):
        return dict(zip(value.keys(), tuple(value), strict=False))
    if isinstance(value, Truncated):
        return value, None
    if isinstance(value, Set):
        try:
            return sorted(value) if len(value) <= _MAX_SORTED else value, len(value)
        except Exception:  # of a comparison
            return value, len(value)
    if isinstance(value, (Sequence, ValuesView, deque)):
        return value, len(value)
    if (is_from_library(value, "numpy") or is_from_library(value, "pandas")) and hasattr(value, "tolist"):
        # A list of dates would be one of nanoseconds.
        is_kept = value.ndim > 1 or value.dtype.kind in "mM"
        return value if is_kept else value[:_MAX_READ].tolist(), len(value)
    return None


def _iter_named(content: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    names: set[str] = set()
    for key, value in islice(content.items(), _MAX_READ):
        plain = unwrap(key)
        if (name := scalar_text(plain)) is None:
            is_json = plain is None or isinstance(plain, (bool, int, float))
            name = json.dumps(plain) if is_json else safe_repr(plain)
        while name in names:  # 1 and "1"
            name += f" ({type(key).__name__})"
        names.add(name)
        yield name, value
