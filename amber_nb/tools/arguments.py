"""The arguments of a tool call as JSON: read from the model's text, or handed in by a reader or a policy."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

from ..redact import is_secret, masked
from ..types import encodable

__all__ = ["ArgumentsError", "json_ready", "no_such", "not_this", "path_text", "read_arguments", "shortened", "unknown"]

MOST_CHARACTERS = 1_000_000  # of the model's text
MOST_NESTED = 100
MOST_DIGITS = 308  # of a whole number: beyond, it is infinite as a float
_SHOWN = 60  # characters of a wrong value


class ArgumentsError(Exception):
    """The arguments do not fit; the text is what the model is told, and names each wrong one."""


def read_arguments(text: str) -> dict[str, Any]:
    """The arguments in a model's JSON text; an empty text is no arguments.

    Raises:
        ArgumentsError: it is no JSON object, names something twice, holds NaN, an infinite number or half a character
            (a lone surrogate), nests deeper than 100, or is longer than 1,000,000 characters.
    """
    if len(text) > MOST_CHARACTERS:
        raise ArgumentsError(
            f"The arguments have {len(text):,} characters; at most {MOST_CHARACTERS:,} are read. Send less."
        )
    if not text.strip():
        return {}
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_whole
        )
    except json.JSONDecodeError as error:
        raise ArgumentsError(f"The arguments are no JSON: {error.msg} at character {error.pos + 1}.") from None
    except RecursionError:
        raise ArgumentsError(_TOO_DEEP) from None
    if not isinstance(value, dict):
        raise ArgumentsError(f"The arguments must be a JSON object, not {shortened(value)}.")
    return json_ready(value)


_TOO_DEEP = f"The arguments nest deeper than {MOST_NESTED} levels."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ArgumentsError(f"The arguments name {shortened(name)} twice.")
        found[name] = value
    return found


def _constant(text: str) -> NoReturn:
    raise ArgumentsError(f"The arguments hold {text}, which is no JSON.")


def _float(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ArgumentsError(f"The number {text[:_SHOWN]} is too large.")
    return value


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > MOST_DIGITS:
        raise ArgumentsError(f"A number of {len(text):,} digits is too large.")
    return int(text)


def json_ready(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of arguments that holds JSON values only.

    Raises:
        ArgumentsError: one of them is no JSON value; tuples count as lists.
    """
    if not isinstance(arguments, Mapping):
        raise ArgumentsError(f"The arguments must be a JSON object, not {shortened(arguments)}.")
    ready = {}
    for name, value in arguments.items():
        _checked_name(name, "The arguments")
        ready[name] = _ready(value, (name,))
    return ready


def _ready(value: Any, path: tuple[str | int, ...]) -> Any:
    if len(path) > MOST_NESTED:
        raise ArgumentsError(_TOO_DEEP)
    if value is None or isinstance(value, bool):
        return value
    kind = type(value)
    if kind is str:
        if encodable(value) != value:
            raise ArgumentsError(f"{path_text(path)}: holds half a character (a lone surrogate).")
        return value
    if kind is int:
        if abs(value) >= 10**MOST_DIGITS:
            raise ArgumentsError(f"{path_text(path)}: the number is too large.")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise ArgumentsError(f"{path_text(path)}: {value} is no JSON value.")
        return value
    if isinstance(value, Mapping):
        for name in value:
            _checked_name(name, path_text(path))
        return {name: _ready(inner, (*path, name)) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_ready(inner, (*path, number)) for number, inner in enumerate(value)]
    raise ArgumentsError(f"{path_text(path)}: a {kind.__name__} is no JSON value.")


def _checked_name(name: Any, where: str) -> None:
    if type(name) is not str:
        raise ArgumentsError(f"{where}: the name {shortened(name)} is no text.")
    if encodable(name) != name:
        raise ArgumentsError(f"{where}: a name holds half a character (a lone surrogate).")


def path_text(path: tuple[str | int, ...]) -> str:
    """A place in the arguments, in words: `guests[2].name`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            named = step if len(step) <= _SHOWN else step[: _SHOWN - 1] + "…"
            text += f".{named}" if text else named
    return encodable(text) or "the arguments"


def not_this(path: tuple[str | int, ...], value: Any) -> str:
    """The end of a complaint: the value that was given, unless it is a secret by its name."""
    return (
        "" if any(isinstance(step, str) and is_secret(step) for step in path) else f", not {shortened(masked(value))}"
    )


def shortened(value: Any) -> str:
    """A value as JSON, of at most 60 characters."""
    if isinstance(value, str):
        value = value[: _SHOWN + 1]  # a megabyte is not written out only to be cut
    elif isinstance(value, (dict, list, tuple)):
        what = "an object" if isinstance(value, dict) else "a list"
        if len(value) > _SHOWN:
            return f"{what} of {len(value):,}"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return f"a {type(value).__name__}"
    return encodable(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def unknown(name: str, known: list[str]) -> str:
    """What is said of a name that nothing takes."""
    return f"{path_text((name,))}: {no_such(name, known)}"


def no_such(name: str, known: list[str], part: str = "argument") -> str:
    """The same, without the name; `part`: what it would be."""
    if near := get_close_matches(name[:200], known, 1):
        return f"no such {part}; is it {near[0]}?"
    return f"no such {part}; " + (f"there are {', '.join(known[:20])}" if known else "there are none")
