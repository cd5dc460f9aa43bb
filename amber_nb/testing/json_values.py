"""JSON in replies and tool calls: read, written and compared as values.

The order of keys, the spelling of numbers and a code fence do not matter. A reply may say a sentence before its JSON,
and one behind it.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import Any

from ..display.escape import shorten

__all__ = ["diff_json", "find_json", "format_json", "parse_json"]

_FENCED = re.compile(r"```[ \t]*(?:json[c5l]?)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL | re.IGNORECASE)
_BLOCK = re.compile(
    r"^[ \t]*(```+|~~~+)[ \t]*([^\n`]*?)[ \t]*\n(.*?)\n?^[ \t]*\1[`~]*[ \t]*$", re.DOTALL | re.MULTILINE
)
_JSON_BLOCK = re.compile(r"(?:json[c5l]?|javascript|js)?", re.IGNORECASE)
# Where a value may begin behind a sentence: on a line of its own, or after the sentence's end.
_START = re.compile(r"(?:^[ \t]*|(?<=[]}:.!?])[ \t]+|(?<=[：。！])[ \t]*)(?=[{\[])", re.MULTILINE)
_MAX_STARTS = 8  # of values that turn out to be none, such as a citation
_MAX_TALK = 400  # characters before the JSON, and as many behind it; a text that says more is no JSON with a sentence
_MAX_STEPS = 50  # of a path, the innermost
_PLAIN_KEY = re.compile(r"[^\W\d]\w*")
_MISSING: Any = object()


def parse_json(text: str) -> Any:
    """Return the value of a JSON text, with or without a code fence.

    Numbers without a fraction become integers, so that 1 equals 1.0.

    Raises:
        ValueError: the text is not strict JSON (NaN and repeated keys are not), or is nested too deep.
    """
    bare = text.strip()
    if fenced := _FENCED.fullmatch(bare):
        bare = fenced[1]
    value, end = _decode(bare, 0)
    if end < len(bare):
        raise ValueError("more than one value")
    return value


def find_json(text: str) -> Any:
    """Return the value of a JSON text, or the one object or list that a reply gives with a sentence around it.

    Raises:
        ValueError: there is none, or more than one, or the text says more than a sentence or two.

    Example:
        >>> find_json('Here is the JSON you asked for: {"label": "spam"}')
        {'label': 'spam'}
    """
    try:
        return parse_json(text)
    except ValueError:
        text = text.replace("\r\n", "\n").strip()
        found = list(_find_values(text))
    if len(found) != 1:
        raise ValueError("no JSON, or more than one value")
    value, start, end = found[0]
    if max(start, len(text) - end) > _MAX_TALK:
        raise ValueError("more is said than a sentence")
    return value


def _find_values(text: str) -> Iterator[tuple[Any, int, int]]:
    """Yield the values among the sentences of a text, with their places: those in fences, else those without."""
    blocks = list(islice(_BLOCK.finditer(text), 3))
    for block in blocks:
        if not _JSON_BLOCK.fullmatch(block[2]):  # an example of something else: the text is no mere JSON
            raise ValueError("a block of code")
        yield parse_json(block[3]), *block.span()
    at = 0
    for start in islice(() if blocks else _START.finditer(text), _MAX_STARTS):
        if start.end() < at:  # within the value before
            continue
        with contextlib.suppress(ValueError):
            value, end = _decode(text, start.end())
            rest = text[end:].partition("\n")[0].strip()
            if rest.strip(".,;") and not (isinstance(value, dict) and value):  # a citation, such as [1]
                continue
            yield value, start.end(), end
            at = end


def _decode(text: str, start: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, start)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _parse_number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(value := dict(pairs)) < len(pairs):
        raise ValueError("a key comes twice")
    return value


_DECODER = json.JSONDecoder(parse_float=_parse_number, parse_constant=_reject_constant, object_pairs_hook=_unique_keys)


def format_json(text: str) -> str:
    """Indent a JSON text and sort its keys; return any other text unchanged."""
    try:
        return json.dumps(parse_json(text), indent=2, sort_keys=True, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def diff_json(old: Any, new: Any) -> Iterator[str]:
    """Yield each place where two JSON values differ, such as `$.items[2].price: 3 → 4`, in order."""
    stack: list[tuple[tuple[str, ...], Any, Any]] = [((), old, new)]
    while stack:
        path, a, b = stack.pop()
        outer = path[-_MAX_STEPS:]
        if isinstance(a, dict) and isinstance(b, dict):
            keys = sorted(a.keys() | b.keys(), reverse=True)
            stack += [((*outer, _key_step(key)), a.get(key, _MISSING), b.get(key, _MISSING)) for key in keys]
        elif isinstance(a, list) and isinstance(b, list):
            items = list(enumerate(zip_longest(a, b, fillvalue=_MISSING)))
            stack += [((*outer, f"[{index}]"), x, y) for index, (x, y) in reversed(items)]
        elif isinstance(a, bool) != isinstance(b, bool) or a != b:  # in Python True equals 1, in JSON it does not
            start = "$…" if len(path) > _MAX_STEPS else "$"
            where = shorten(start + "".join(outer), 80)
            yield f"{where}: {_format_value(a)} → {_format_value(b)}"


def _key_step(key: str) -> str:
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{json.dumps(shorten(key, 40), ensure_ascii=False)}]"


def _format_value(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    if isinstance(value, (dict, list)):
        kind = "an object" if isinstance(value, dict) else "a list"
        return f"{kind} of {len(value):,}"
    return shorten(json.dumps(value, ensure_ascii=False), 40)
