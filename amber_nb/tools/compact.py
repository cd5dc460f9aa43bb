"""Any Python value → compact JSON of a limited length, which is valid however much of the value is left out."""

from __future__ import annotations

import json
import math
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set, Sized, ValuesView
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import islice
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import BaseModel, RootModel

from ..types import encodable

__all__ = ["Beginning", "Compact", "bare", "of_module", "plain", "safe_repr"]

_MOST_NESTED = 40
_LEAST_TEXT = 40  # characters: a shorter piece of a text says nothing
_MOST_SORTED = 10_000  # of a set
_MOST_REPR = 1_000
_MOST_READ = 20_000  # items, of which fewer will be written
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_AS_TEXT_MODULES = ("pydantic", "pydantic_core", "ipaddress", "fractions", "zoneinfo")


class Beginning(list[Any]):
    """What was read of something that goes on."""


class _Full(Exception):
    """No room for the next piece."""


class Compact:
    """Writes one value.

    Args:
        room: characters, at most.
        special: what a value is written as that is none of JSON's business, such as an image; None for all others.

    Attributes:
        notes: what was left out or changed.
    """

    def __init__(self, room: int, special: Callable[[Any], Any | None] = lambda value: None) -> None:
        self.notes: list[str] = []
        self._room = room
        self._special = special
        self._pieces: list[str] = []
        self._length = 0
        self._full = False
        self._above: list[int] = []  # ids of what is being written: a value within itself is found here

    def text(self, value: Any) -> str:
        """The value as JSON."""
        try:
            self._write(value)
        except _Full:
            self.note("it was too long to be sent")
            self._pieces = ["null"]
        return "".join(self._pieces)

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def _put(self, text: str) -> None:
        # What is open must still be closed.
        if self._length + len(text) + len(self._above) > self._room:
            raise _Full
        self._pieces.append(text)
        self._length += len(text)

    def _write(self, value: Any) -> None:
        if (instead := self._special(value)) is not None:
            value = instead
        value, leaf = self._read(value)
        if leaf is not None:
            self._text(leaf)
        elif value is None or isinstance(value, bool):
            self._put(json.dumps(value))
        elif isinstance(value, (int, float)):
            self._number(value)
        elif len(self._above) >= _MOST_NESTED:
            self.note(f"nested deeper than {_MOST_NESTED} levels, where … stands")
            self._put('"…"')
        elif id(value) in self._above:
            self.note("it contains itself, where … stands")
            self._put('"…"')
        else:
            self._inside(value)

    def _read(self, value: Any) -> tuple[Any, str | None]:
        """What is plain of a value, and the text that stands for it; one that cannot be read spoils no others."""
        try:
            value = plain(value)
            return value, bare(value)
        except Exception as error:
            return value, self._unread(value, error)

    def _unread(self, value: Any, error: Exception) -> str:
        self.note(f"{type(value).__name__} could not be read ({type(error).__name__}), and stands as its repr")
        return safe_repr(value)

    def _inside(self, value: Any) -> None:
        self._above.append(id(value))
        try:
            try:
                content = _content(value)
            except Exception as error:
                self._text(self._unread(value, error))
                return
            if content is None:
                self.note(f"{type(value).__name__} has no form in JSON, and stands as its repr")
                self._text(safe_repr(value))
            elif isinstance(content, Mapping):
                self._several("{}", _named(content), len(content), "entries")
            else:
                begun = isinstance(value, Beginning)
                size = len(content) if isinstance(content, Sized) and not begun else None
                self._several("[]", ((None, one) for one in content), size, "items")
                if begun:
                    self.note(f"at most {len(value):,} items were read")
        finally:
            self._above.pop()

    def _several(self, brackets: str, pairs: Iterator[tuple[str | None, Any]], size: int | None, what: str) -> None:
        self._put(brackets[0])
        for count, (name, value) in enumerate(pairs):
            mark = len(self._pieces), self._length
            try:
                if self._full:
                    raise _Full
                if count:
                    self._put(",")
                if name is not None:
                    self._text(name)
                    self._put(":")
                self._write(value)
            except _Full:
                del self._pieces[mark[0] :]
                self._length = mark[1]
                if not count and not self._full:
                    raise  # whoever holds this leaves it out whole
                self.note(f"the first {count:,} of {f'{size:,}' if size is not None else 'more'} {what}")
                break
        self._pieces.append(brackets[1])
        self._length += 1

    def _text(self, text: str) -> None:
        left = self._room - self._length - len(self._above) - 2
        written = json.dumps(encodable(text[: max(left, 0) + 1]), ensure_ascii=False)
        if len(text) <= left and len(written) <= left + 2:
            self._put(written)
            return
        if left < _LEAST_TEXT:
            raise _Full
        # Quotes and line breaks take two characters, control characters six.
        text = text[: left + 1]
        while len(written) > left + 2:
            text = text[: min(len(text) * left // len(written), len(text) - 1)]
            written = json.dumps(encodable(text) + "…", ensure_ascii=False)
        self._full = True
        self.note("a long text was cut, where it ends in …")
        self._put(written)

    def _number(self, value: int | float) -> None:
        if isinstance(value, float):
            if not math.isfinite(value):
                self.note("NaN and infinite numbers as null")
                self._put("null")
            else:
                self._put(float.__repr__(value))
            return
        try:
            self._put(int.__repr__(value))
        except ValueError:  # Python does not write out more than 4,300 digits
            self._text(f"a whole number of {int.bit_length(value):,} bits")


def plain(value: Any) -> Any:
    """The value behind an enum's member, a scalar of numpy's, and what stands for a missing one."""
    while isinstance(value, (Enum, RootModel)):
        value = value.value if isinstance(value, Enum) else value.root
    if type(value).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return None
    if of_module(value, "numpy") and getattr(value, "ndim", 1) == 0 and hasattr(value, "dtype"):
        kind = value.dtype.kind
        if kind in "mM":
            return value if bool(value == value) else None  # NaT alone is not itself
        return value if kind == "V" else value.item()
    return value


def bare(value: Any) -> str | None:
    """The text that stands for a value without any structure; None if it has another form in JSON."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _described_bytes(value)
    if isinstance(value, (date, time)):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, (timedelta, Decimal, UUID, PurePath, complex)):
        return str(value)
    if isinstance(value, range):
        return repr(value)
    if of_module(value, "numpy") and getattr(value, "ndim", 1) == 0:
        return str(value)  # a date, a duration, a dtype; all others are plain
    if of_module(value, "pandas") and (type(value).__name__ in ("Period", "Interval") or hasattr(value, "na_value")):
        return str(value)  # the latter: a dtype
    if type(value).__module__.partition(".")[0] in _AS_TEXT_MODULES and not isinstance(value, BaseModel):
        return str(value)  # addresses, URLs, secrets that mask themselves
    return None


def _described_bytes(value: bytes | bytearray | memoryview) -> str:
    size = value.nbytes if isinstance(value, memoryview) else len(value)
    return f"({size:,} {'byte' if size == 1 else 'bytes'} of binary data)"


def of_module(value: Any, name: str) -> bool:
    """Whether a value's class, or one that it is made from, is of a library; which is not loaded for it."""
    return name in sys.modules and any(cls.__module__.partition(".")[0] == name for cls in type(value).__mro__)


def safe_repr(value: Any) -> str:
    """A value's repr, preview, and what to say where it has none."""
    try:
        text = repr(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose repr failed with {type(error).__name__}>"
    text = _ADDRESS.sub("", str.__str__(text))  # where it lies is another place each time: no recording would fit again
    return encodable(text if len(text) <= _MOST_REPR else text[: _MOST_REPR - 1] + "…")


def _content(value: Any) -> Mapping[Any, Any] | Iterable[Any] | None:
    """What a value holds: an object's fields or a list's items."""
    if isinstance(value, BaseModel):
        return dict(value.model_dump())
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name, None) for one in fields(value)}
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple) and (names := getattr(type(value), "_fields", None)):
        return dict(zip(names, value, strict=False))
    if type(value).__module__ == "sqlite3" and hasattr(value, "keys"):
        return dict(zip(value.keys(), tuple(value), strict=False))
    if isinstance(value, Set):
        return _sorted(value)
    if isinstance(value, (Sequence, ValuesView, deque)):
        return value
    if (of_module(value, "numpy") or of_module(value, "pandas")) and hasattr(value, "tolist"):
        # A list of dates would be one of nanoseconds.
        whole = value.ndim > 1 or value.dtype.kind in "mM"
        return _Sized(value if whole else value[:_MOST_READ].tolist(), len(value))
    return None


class _Sized:
    """Items of which there are more than will be written."""

    def __init__(self, items: Iterable[Any], size: int) -> None:
        self.items = items
        self.size = size

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __len__(self) -> int:
        return self.size


def _sorted(values: Set[Any]) -> Iterable[Any]:
    if len(values) <= _MOST_SORTED:
        try:
            return sorted(values)
        except Exception:  # of a comparison
            return _Sized(values, len(values))
    return _Sized(values, len(values))


def _named(content: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for key, value in islice(content.items(), _MOST_READ):
        name = _name(key)
        while name in seen:  # 1 and "1"
            name += f" ({type(key).__name__})"
        seen.add(name)
        yield name, value


def _name(key: Any) -> str:
    key = plain(key)
    if (text := bare(key)) is not None:
        return text
    return json.dumps(key) if key is None or isinstance(key, (bool, int, float)) else safe_repr(key)
