"""JSON compared as values: the order of keys, the spelling of numbers and a code fence around it do not matter."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from typing import Any, TypeAlias

from ..display.escape import shorten

__all__ = ["Call", "call_differences", "canonical", "differences", "json_value", "pretty"]

Call: TypeAlias = tuple[str, str]  # a tool's name and its arguments as JSON text
_FENCED = re.compile(r"```[ \t]*(?:json[c5l]?)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL | re.IGNORECASE)
_PLAIN_KEY = re.compile(r"[^\W\d]\w*")
_MISSING: Any = object()
_Path: TypeAlias = "tuple[_Path, str] | None"  # linked, and written only where something differs


def json_value(text: str) -> Any:
    """The value of a JSON text, or ValueError; numbers without a fraction are integers, so that 1 equals 1.0."""
    bare = text.strip()
    if fenced := _FENCED.fullmatch(bare):
        bare = fenced[1]
    try:
        return json.loads(bare, parse_float=_number, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a key comes twice")
    return found


def pretty(text: str) -> str:
    """JSON indented with its keys sorted, for comparing by eye; anything else as it is."""
    try:
        return json.dumps(json_value(text), indent=2, sort_keys=True, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def canonical(call: Call) -> tuple[str, bool, str]:
    """Equal for calls that are equal: same name, and the same arguments as JSON values or else as text."""
    name, arguments = call
    try:
        return name, True, json.dumps(json_value(arguments.strip() or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return name, False, arguments


def differences(old: Any, new: Any) -> Iterator[str]:
    """Each place where two JSON values differ, such as `$.items[2].price: 3 → 4`, in order."""
    waiting: list[tuple[_Path, Any, Any]] = [(None, old, new)]
    while waiting:
        path, a, b = waiting.pop()
        if isinstance(a, dict) and isinstance(b, dict):
            keys = sorted(a.keys() | b.keys(), reverse=True)
            waiting += [((path, _key(key)), a.get(key, _MISSING), b.get(key, _MISSING)) for key in keys]
        elif isinstance(a, list) and isinstance(b, list):
            items = list(enumerate(zip_longest(a, b, fillvalue=_MISSING)))
            waiting += [((path, f"[{index}]"), x, y) for index, (x, y) in reversed(items)]
        elif not _same(a, b):
            yield f"{_written(path)}: {_short(a)} → {_short(b)}"


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b  # in Python True equals 1, in JSON it does not
    return bool(a == b)


def _key(key: str) -> str:
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{json.dumps(shorten(key, 40), ensure_ascii=False)}]"


def _written(path: _Path) -> str:
    steps = []
    while path is not None:
        path, step = path
        steps.append(step)
    whole = "$" + "".join(reversed(steps[:50]))
    return shorten(whole, 80) if len(steps) <= 50 else shorten("$…" + whole[1:], 80)


def _short(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    if isinstance(value, (dict, list)):
        kind = "an object" if isinstance(value, dict) else "a list"
        return f"{kind} of {len(value):,}"
    return shorten(json.dumps(value, ensure_ascii=False), 40)


def call_differences(old: Sequence[Call], new: Sequence[Call]) -> Iterator[str]:
    """What differs between two sets of tool calls; their order does not matter."""
    was, now_called = Counter(map(canonical, old)), Counter(map(canonical, new))
    left = list((now_called - was).elements())
    for name, is_json, arguments in (was - now_called).elements():
        place = next((index for index, other in enumerate(left) if other[0] == name), None)
        if place is None:
            yield f"{shorten(name, 60)} is not called any more"
            continue
        _, also_json, now = left.pop(place)
        if is_json and also_json:
            where = ", ".join(islice(differences(json.loads(arguments), json.loads(now)), 2))
            yield f"{shorten(name, 60)} is called with {where}"
        else:
            yield f"{shorten(name, 60)} is called with arguments that are not JSON"
    for name, _, _ in left:
        yield f"{shorten(name, 60)} is called, too"
