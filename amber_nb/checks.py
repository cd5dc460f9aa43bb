"""Values of settings, checked. Messages name the setting, and the value only where it cannot be a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from .errors import ConfigError

__all__ = ["count", "header_names", "headers", "not_negative", "number", "one_of", "positive", "whole"]


def one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    """A value that is one of several, or None.

    Raises:
        ConfigError: it is another; the nearest is named.
    """
    if value is not None and value not in allowed:
        near = get_close_matches(value.lower(), allowed, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{name} must be one of {', '.join(allowed)}; it is {value!r}.{hint}")
    return value


def number(name: str, value: str | None, *, default: float) -> float:
    """A number of a variable, 0 or more.

    Raises:
        ConfigError: it is none.
    """
    if value is None:
        return default
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ConfigError(f"{name} must be a number, 0 for no waiting.")
    return number


def positive(name: str, value: float | None) -> float | None:
    """A number of seconds, checked.

    Raises:
        ConfigError: it is none, or not above 0.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0):
        raise ConfigError(f"{name} must be a number of seconds above 0, or None for the default.")
    return value


def not_negative(name: str, value: float | None) -> float | None:
    """A number of seconds that may be 0, checked.

    Raises:
        ConfigError: it is none, or below 0.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0):
        raise ConfigError(f"{name} must be a number of seconds, 0 or more, or None for the default.")
    return value


def whole(value: str | None) -> int:
    """`AMBER_SIM_DRIFT`, a whole number.

    Raises:
        ConfigError: it is none.
    """
    if value is None:
        return 0
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise ConfigError("AMBER_SIM_DRIFT must be a whole number, 0 for the simulator's answers as they are.")
    return int(value)


def count(name: str, value: int | None, *, default: int) -> int:
    """A whole number, 0 or more.

    Raises:
        ConfigError: it is none.
    """
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"{name} must be a whole number, 0 or more.")
    return value


def headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers as a dict of their own.

    Raises:
        TypeError: they do not map str to str.
    """
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("headers must map str to str")
    return dict(headers or {})


def header_names(lines: str) -> tuple[str, ...]:
    """The names in lines of `Name: value`."""
    return tuple(name.strip() for line in lines.split("\n") if (name := line.partition(":")[0]) != line)
