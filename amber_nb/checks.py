"""Check the values of settings, and read numbers from their texts; each error names the setting.

These take a value, never `os.environ`: a verbose traceback prints a frame's variables.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from .errors import ConfigError

__all__ = ["check_choice", "check_retries", "check_seconds", "parse_count", "parse_number"]


def check_choice(name: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    """Return a value that is one of those allowed; None for one that is missing or empty."""
    if value and value not in allowed:
        near = get_close_matches(value.lower(), allowed, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{name} must be one of {', '.join(allowed)}; it is {value!r}.{hint}")
    return value or None


def parse_number(name: str, value: str | None, default: float) -> float:
    """Return the number that a text holds, 0 or more; `default` where there is no text."""
    try:
        number = float(value or default)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ConfigError(f"{name} must be a number, 0 for no waiting.")
    return number


def parse_count(name: str, value: str | None, zero: str) -> int:
    """Return the whole number that a text holds, 0 where there is no text; `zero` says what that means."""
    if value and not re.fullmatch(r"[0-9]{1,9}", value):
        raise ConfigError(f"{name} must be a whole number, {zero}.")
    return int(value or 0)


def check_seconds(name: str, value: float | None, *, zero: bool = False) -> float | None:
    """Return a number of seconds, or None for the default, as it is; `name` is the setting's, for the message.

    Raises:
        ConfigError: it is no number, or too small; 0 is allowed only with `zero`.
    """
    if value is None:
        return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not (value >= 0 if zero else value > 0):
        least = ", 0 or more," if zero else " above 0,"
        raise ConfigError(f"{name} must be a number of seconds{least} or None for the default.")
    return value


def check_retries(value: int | None, default: int) -> int:
    """Return how often a request is tried again, `default` where nothing is said."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError("max_retries must be a whole number, 0 or more.")
    return value
