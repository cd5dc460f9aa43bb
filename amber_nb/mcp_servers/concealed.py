"""Texts of a server's configuration, which no verbose traceback shows: any of them may be a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..redact import MASK

__all__ = ["ConcealedText", "conceal"]

_MAX_DEPTH = 10  # deeper than a configuration has anything to say


class ConcealedText(str):
    """A text that shows itself to code, and not in a repr; what its methods return is a plain text again."""

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK


def conceal(value: Any, depth: int = 0) -> Any:
    """Return a text, or a JSON value with all its texts but the names, as `ConcealedText`; anything else as it is."""
    if isinstance(value, str):
        return ConcealedText(value)
    if depth > _MAX_DEPTH:
        return None if isinstance(value, (Mapping, list, tuple)) else value
    if isinstance(value, Mapping):
        return {name: conceal(item, depth + 1) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(conceal(item, depth + 1) for item in value) if type(value) in (list, tuple) else value
    return value
